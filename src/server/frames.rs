//! Parses received bytes as far as needed to tell whether they end within a request's head. In HTTP/1.1 it searches
//! only for the end of the first line; in HTTP/2 it follows the frames, because there a head may arrive slowly while
//! other requests are in progress.

use super::activity::Activity;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The types of frames that a head comes in (RFC 9113 §6.2, §6.10), and the flag on the last one.
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// The state of parsing what a client sends.
#[derive(Debug)]
pub enum Frames {
    /// The number of bytes received so far, all of which match the beginning of HTTP/2.
    Beginning(usize),
    /// Whether a request's first line is incomplete.
    Http1(bool),
    Http2(Frame),
}

/// The frame that is being received.
#[derive(Debug, Default)]
pub struct Frame {
    head: [u8; 9],
    filled: usize,
    /// How many bytes of its payload haven't been received yet.
    left: usize,
    /// Whether the frames so far leave a head incomplete.
    is_open: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self::Beginning(0)
    }
}

impl Frames {
    /// Processes received bytes.
    pub fn read(&mut self, mut bytes: &[u8], activity: &Activity) {
        if let Self::Beginning(matched) = self {
            let wanted = PREFACE.get(*matched..).unwrap_or_default();
            let common = wanted.len().min(bytes.len());
            if wanted.get(..common) != bytes.get(..common) {
                *self = Self::Http1(true);
            } else if common < wanted.len() {
                *matched += common;
            } else {
                *self = Self::Http2(Frame::default());
                activity.speaks_http2();
                bytes = bytes.get(common..).unwrap_or_default();
            }
        }
        match self {
            Self::Beginning(_) => {
                activity.received(None);
            }
            Self::Http1(in_first_line) => {
                let begins = activity.received(None);
                *in_first_line = (begins || *in_first_line) && !bytes.contains(&b'\n');
            }
            Self::Http2(frame) => {
                activity.received(Some(frame.read(bytes)));
            }
        }
    }

    /// Whether the bytes received so far end within the first line of an HTTP/1.1 request.
    pub fn in_first_line(&self) -> bool {
        matches!(self, Self::Http1(true))
    }
}

impl Frame {
    /// Whether a request's head is incomplete after these bytes.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        while let [byte, rest @ ..] = bytes {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
            } else {
                if let Some(slot) = self.head.get_mut(self.filled) {
                    *slot = *byte;
                }
                self.filled += 1;
                bytes = rest;
                if self.filled < self.head.len() {
                    continue;
                }
                let [high, middle, low, ..] = self.head;
                self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            }
            if self.filled == self.head.len() && self.left == 0 {
                let [_, _, _, kind, flags, ..] = self.head;
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.is_open = flags & END_HEADERS == 0;
                }
                self.filled = 0;
            }
        }
        let [_, _, _, kind, ..] = self.head;
        self.is_open || (self.filled == self.head.len() && matches!(kind, HEADERS | CONTINUATION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn heads_are_followed_through_frames_however_they_are_cut() {
        let whole = [frame(4, 0, b""), frame(HEADERS, END_HEADERS, b"abc"), frame(0, 1, b"body")].concat();
        let open = [frame(HEADERS, 0, b"abc"), frame(CONTINUATION, 0, b"d")].concat();
        for size in 1..30 {
            let read = |bytes: &[u8]| {
                let mut frame = Frame::default();
                bytes.chunks(size).map(|chunk| frame.read(chunk)).last()
            };
            assert_eq!(read(&whole), Some(false));
            assert_eq!(read(&open), Some(true));
            assert_eq!(read(&[&open[..], &frame(CONTINUATION, END_HEADERS, b"")].concat()), Some(false));
            assert_eq!(read(&whole[..9 + 10]), Some(true), "within the payload");
            assert_eq!(read(&whole[..whole.len() - 1]), Some(false), "within a body");
        }
    }

    #[test]
    fn the_first_line_of_a_request_is_told_from_the_rest() {
        let activity = std::sync::Arc::new(Activity::default());
        let mut frames = Frames::default();
        let mut reads = |bytes: &[u8], activity: &Activity| {
            frames.read(bytes, activity);
            frames.in_first_line()
        };
        assert!(reads(b"P", &activity) || reads(b"OST /x", &activity), "from the byte on that tells it from HTTP/2");
        assert!(reads(b"yz", &activity));
        assert!(!reads(b" HTTP/1.1\r\nHost", &activity) && !reads(b": x\r\n\r\n", &activity));
        let request = activity.begin();
        assert!(!reads(b"a body", &activity));
        drop(request);
        assert!(reads(b"GET /", &activity) && !reads(b" HTTP/1.1\r\n", &activity) && !reads(b"X", &activity));
    }

    #[test]
    fn http2_is_told_from_http1() {
        let activity = Activity::default();
        for (bytes, is_http2) in
            [(&b"GET / HTTP/1.1\r\n"[..], false), (PREFACE, true), (b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", false)]
        {
            for size in 1..30 {
                let mut frames = Frames::default();
                for chunk in bytes.chunks(size) {
                    frames.read(chunk, &activity);
                }
                assert_eq!(matches!(frames, Frames::Http2(_)), is_http2, "{bytes:?} by {size}");
            }
        }
    }
}
