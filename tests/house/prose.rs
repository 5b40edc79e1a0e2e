//! Whether the documentation names files that exist.

use std::{collections::BTreeSet, fs};

use regex::Regex;

use super::{Tree, made_up, read, root};

/// The most lines of `README.md`.
const MOST_LINES: usize = 150;

#[test]
fn every_path_in_the_documentation_exists() {
    let found = missing_paths(&prose(), |path| root().join(path).exists());
    assert!(found.is_empty(), "paths that don't exist:\n{}", found.join("\n"));
}

#[test]
fn every_link_to_a_file_resolves() {
    let found = broken_links(&prose(), |path| root().join(path).exists());
    assert!(found.is_empty(), "links that lead nowhere:\n{}", found.join("\n"));
}

#[test]
fn the_readme_is_short() {
    let lines = prose().get("README.md").expect("README.md").lines().count();
    assert!(lines <= MOST_LINES, "README.md has {lines} lines; at most {MOST_LINES} are allowed");
}

/// `README.md`, `docs/*.md` and the READMEs of tests, examples and snapshots.
fn prose() -> Tree {
    let mut prose = read("docs", ".md");
    for folder in ["tests", "examples", "snapshots"] {
        prose.extend(read(folder, "/README.md"));
    }
    prose.insert("README.md".to_owned(), fs::read_to_string(root().join("README.md")).expect("README.md"));
    prose
}

/// The paths that stand in a text and don't exist: those that begin with a folder of the repository.
fn missing_paths(prose: &Tree, exists: impl Fn(&str) -> bool) -> Vec<String> {
    // A path may end in a full stop that is the sentence's, and `tests/*.py` names the folder.
    let path = Regex::new(r"(?:^|[^\w/.-])((?:src|docs|tests|spec|examples|snapshots|benches|\.ci)/[\w./*-]*)")
        .expect("a pattern");
    let mut missing = BTreeSet::new();
    for (file, text) in prose {
        for found in text.lines().flat_map(|line| path.captures_iter(line)).filter_map(|found| found.get(1)) {
            let named = found.as_str();
            let solid = named
                .split_once('*')
                .map_or(named, |(before, _)| before.rsplit_once('/').map_or(before, |(folder, _)| folder));
            if !exists(solid.trim_end_matches('.')) {
                missing.insert(format!("{file}: {named}"));
            }
        }
    }
    missing.into_iter().collect()
}

/// The links to files, and to headings of these, that lead nowhere.
fn broken_links(prose: &Tree, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let mut broken = vec![];
    for (file, text) in prose {
        for target in link.captures_iter(text).filter_map(|found| found.get(1)).map(|found| found.as_str()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) =
                target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
            let path = if path.is_empty() { file.clone() } else { beside(file, path) };
            let has_heading = || match (heading, prose.get(&path)) {
                (Some(heading), Some(text)) => {
                    text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading)
                }
                _ => true,
            };
            if !exists(&path) || !has_heading() {
                broken.push(format!("{file}: {target}"));
            }
        }
    }
    broken
}

/// A path that is relative to the folder of a file.
fn beside(file: &str, path: &str) -> String {
    let mut segments: Vec<&str> = file.split('/').collect();
    segments.pop();
    for segment in path.split('/') {
        match segment {
            ".." => drop(segments.pop()),
            "." | "" => {}
            segment => segments.push(segment),
        }
    }
    segments.join("/")
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn a_missing_path_is_found() {
    let prose = made_up(&[
        (
            "README.md",
            "`src/there.rs`, src/gone.rs. And tests/*.py, target/src/x, https://example.com/src/x and src/…\n.ci/gone \
                spec/there",
        ),
        ("docs/a.md", "(see `docs/there.md`) and docs/gone/*.md"),
    ]);
    let exists = |path: &str| matches!(path, "src/there.rs" | "tests" | "src/" | "spec/there" | "docs/there.md");
    assert_eq!(
        missing_paths(&prose, exists),
        ["README.md: .ci/gone", "README.md: src/gone.rs.", "docs/a.md: docs/gone/*.md"]
    );
}

#[test]
fn a_broken_link_is_found() {
    let prose = made_up(&[
        (
            "README.md",
            "[a](docs/a.md#what-is-it-for) [b](docs/a.md#nothing) [c](docs/gone.md) [d](#own) \
                [e](https://example.com/x)\n# Own",
        ),
        ("docs/a.md", "## What is it for?\n[up](../README.md) [beside](a.md) [gone](../gone.md)"),
    ]);
    let exists = |path: &str| matches!(path, "README.md" | "docs/a.md");
    assert_eq!(
        broken_links(&prose, exists),
        ["README.md: docs/a.md#nothing", "README.md: docs/gone.md", "docs/a.md: ../gone.md"]
    );
}
