//! Reads a file at given offsets, whatever its current position is.

use std::{fs::File, io};

/// How much of the file is searched at a time.
const PIECE: usize = 1 << 20;

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

/// Fills the buffer up to the end of the file, and returns the number of bytes read.
fn fill_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read_at(file, rest, at.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether the file holds these bytes at that offset.
pub(super) fn holds_at(file: &File, bytes: &[u8], at: u64) -> io::Result<bool> {
    let mut there = vec![0; bytes.len()];
    Ok(fill_at(file, &mut there, at)? == bytes.len() && there == bytes)
}

/// The first offset at which the file holds these bytes.
pub(super) fn find(file: &File, bytes: &[u8]) -> io::Result<Option<u64>> {
    let mut piece = vec![0; PIECE];
    let mut at = 0_u64;
    loop {
        let length = fill_at(file, &mut piece, at)?;
        let read = piece.get(..length).unwrap_or_default();
        if let Some(found) = read.windows(bytes.len()).position(|window| window == bytes) {
            return Ok(Some(at + found as u64));
        }
        if length < PIECE {
            return Ok(None);
        }
        // Pieces overlap, so that bytes across the border of two pieces are found as well.
        at += (PIECE - bytes.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_across_two_pieces_is_found() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        let key = [7_u8; 32];
        for at in [0, 1, PIECE - 31, PIECE - 1, PIECE, 3 * PIECE - 40] {
            let mut content = vec![0_u8; at];
            content.extend(key);
            content.extend([9; 100]);
            std::fs::write(&path, &content).unwrap();
            assert_eq!(find(&File::open(&path).unwrap(), &key).unwrap(), Some(at as u64), "{at}");
        }
        assert_eq!(find(&File::open(&path).unwrap(), &[8; 32]).unwrap(), None);
    }
}
