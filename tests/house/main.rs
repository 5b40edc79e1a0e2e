//! The repository held against its own rules: which file may use which, how long files and lines are, and whether the
//! documentation names files that exist.
//!
//! - `imports`: the arrows between the files of `src`, and the sizes of files.
//! - `prose`: the paths and links in `README.md`, `docs` and the READMEs of tests, examples and snapshots.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod imports;
mod prose;

use std::{collections::BTreeMap, fs, path::Path};

/// Files by their path from the root of the repository, with `/` as separator.
type Tree = BTreeMap<String, String>;

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the repository whose names end so.
fn read(folder: &str, ending: &str) -> Tree {
    let mut tree = Tree::new();
    for entry in fs::read_dir(root().join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("a name in UTF-8"));
        let kind = entry.file_type().expect("a kind");
        // A package of its own has its own build directory.
        if kind.is_dir() && entry.file_name() != "target" {
            tree.extend(read(&path, ending));
        } else if kind.is_file() && path.ends_with(ending) {
            tree.insert(path.clone(), fs::read_to_string(root().join(&path)).expect("text in UTF-8"));
        }
    }
    tree
}

/// A tree of a few files, for tests of the checks themselves.
fn made_up(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}
