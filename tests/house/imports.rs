//! Which file uses which, read from the sources with `syn`.
//!
//! An arrow leads from a file to each file that its `use` declarations and its paths name. A `mod` declaration is no
//! arrow, nor is a visibility such as `pub(in crate::api)`. What stands under `#[cfg(test)]` isn't looked at. Macros
//! are read as tokens: a path in one counts, a string doesn't.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, File, ImplItem, Item, ItemUse, Meta, Path, Stmt, UseTree, VisRestricted, visit::Visit};

use super::{Tree, made_up, read};

/// The floors of `src`, lowest first: each may use itself and those before it. A floor is a folder, or a file beside
/// the folders.
const FLOORS: &[&str] = &[
    "domain",
    "config",
    "files",
    "log",
    "tls",
    "store",
    "service",
    "api",
    "background",
    "server",
    "cli",
    "lib",
    "main",
];
/// The most lines of a file of `src`.
const MOST_LINES: usize = 350;
/// The most characters of a line of `src` and `tests`.
const WIDTH: usize = 120;

/// The files that each file uses.
type Arrows = BTreeMap<String, BTreeSet<String>>;
/// The path of a module from the root of the crate, as `["api", "wire"]`.
type Module = Vec<String>;

#[test]
fn no_circle_among_the_files_of_the_api() {
    let found = circles(&arrows(&read("src", ".rs")), "src/api/");
    assert!(found.is_empty(), "files that use each other in a circle:\n{}", found.join("\n"));
}

#[test]
fn no_arrow_leads_upwards() {
    let found = upward(&arrows(&read("src", ".rs")));
    assert!(found.is_empty(), "arrows from a floor to a higher one, or files without a floor:\n{}", found.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let found = too_long(&read("src", ".rs"));
    assert!(found.is_empty(), "files of more than {MOST_LINES} lines:\n{}", found.join("\n"));
}

#[test]
fn no_line_is_too_wide() {
    let mut all = read("src", ".rs");
    all.extend(read("tests", ".rs"));
    let found = too_wide(&all);
    assert!(found.is_empty(), "lines of more than {WIDTH} characters:\n{}", found.join("\n"));
}

/// All arrows of a tree of sources below `src`.
fn arrows(tree: &Tree) -> Arrows {
    let parsed: Vec<(&String, Module, File)> =
        tree.iter().map(|(path, text)| (path, module_of(path), syn::parse_file(text).expect(path))).collect();
    let for_tests: BTreeSet<Module> = parsed.iter().flat_map(|(_, module, file)| test_modules(module, file)).collect();
    let parsed: Vec<_> = parsed.into_iter().filter(|(_, module, _)| !for_tests.contains(module)).collect();
    let modules: BTreeMap<&Module, &String> =
        parsed.iter().filter(|(path, ..)| *path != "src/main.rs").map(|(path, module, _)| (module, *path)).collect();
    parsed.iter().map(|(path, module, file)| ((*path).clone(), uses(path, module, file, &modules))).collect()
}

/// Which module a file is.
fn module_of(path: &str) -> Module {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { vec![] } else { path.split('/').map(ToOwned::to_owned).collect() }
}

/// The modules of files that a file declares for tests only.
fn test_modules(module: &Module, file: &File) -> Vec<Module> {
    let items = file.items.iter();
    let declared = items.filter(|item| is_for_tests(attributes(item))).filter_map(|item| match item {
        Item::Mod(declared) => Some([module.as_slice(), &[declared.ident.to_string()]].concat()),
        _ => None,
    });
    declared.collect()
}

/// The files that one file uses.
fn uses(path: &str, module: &Module, file: &File, modules: &BTreeMap<&Module, &String>) -> BTreeSet<String> {
    let mut reader = Reader { module: module.clone(), ..Reader::default() };
    reader.visit_file(file);
    // A module that was imported under its name or another leads on: `use crate::api::wire;` and `wire::page::Page`.
    let mut names = BTreeMap::new();
    // Twice, for those whose import begins with another.
    for _ in 0..2 {
        for (module, segments, name) in &reader.imports {
            let target = absolute(module, segments, &names, modules).filter(|target| modules.contains_key(target));
            names.extend(target.map(|target| (name.clone(), target)));
        }
    }
    let imports = reader.imports.iter().map(|(module, segments, _)| (module, segments));
    let mentioned = imports.chain(reader.paths.iter().map(|(module, segments)| (module, segments)));
    let targets = mentioned.filter_map(|(module, segments)| absolute(module, segments, &names, modules));
    // What a path names lies in the file of the longest module that it begins with.
    let files = targets
        .filter_map(|target| (0..=target.len()).rev().find_map(|length| modules.get(&target.get(..length)?.to_vec())));
    files.filter(|file| file.as_str() != path).map(|file| (*file).clone()).collect()
}

/// A path from the root of the crate; `None` for what another crate has.
fn absolute(
    module: &Module,
    segments: &[String],
    names: &BTreeMap<String, Module>,
    modules: &BTreeMap<&Module, &String>,
) -> Option<Module> {
    let (first, mut rest) = segments.split_first()?;
    let mut base = match first.as_str() {
        "crate" | "tokenward" => vec![],
        "self" => module.clone(),
        "super" => module.get(..module.len().checked_sub(1)?)?.to_vec(),
        name => {
            let child = [module.as_slice(), &[name.to_owned()]].concat();
            if modules.contains_key(&child) { child } else { names.get(name)?.clone() }
        }
    };
    while let Some((_, below)) = rest.split_first().filter(|(segment, _)| *segment == "super") {
        base.pop()?;
        rest = below;
    }
    base.extend(rest.iter().filter(|segment| *segment != "self").cloned());
    Some(base)
}

/// Gathers what a file names, with the module in which it does.
#[derive(Default)]
struct Reader {
    module: Module,
    /// What `use` declarations import, and under which name.
    imports: Vec<(Module, Vec<String>, String)>,
    paths: Vec<(Module, Vec<String>)>,
}

impl Reader {
    fn import(&mut self, tree: &UseTree, mut before: Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before.clone())),
            UseTree::Name(name) => {
                let own = before.last().cloned().filter(|_| name.ident == "self");
                before.push(name.ident.to_string());
                self.imports.push((self.module.clone(), before, own.unwrap_or_else(|| name.ident.to_string())));
            }
            UseTree::Rename(renamed) => {
                before.push(renamed.ident.to_string());
                self.imports.push((self.module.clone(), before, renamed.rename.to_string()));
            }
            UseTree::Glob(_) => self.imports.push((self.module.clone(), before, "*".to_owned())),
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        let Item::Mod(inline) = item else { return syn::visit::visit_item(self, item) };
        self.module.push(inline.ident.to_string());
        syn::visit::visit_item(self, item);
        self.module.pop();
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_skipped = matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs));
        if !is_skipped {
            syn::visit::visit_impl_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let is_skipped = matches!(statement, Stmt::Local(local) if is_for_tests(&local.attrs));
        if !is_skipped {
            syn::visit::visit_stmt(self, statement);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, vec![]);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        // A single name was imported, or is of this module.
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.paths.push((self.module.clone(), segments));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        let found = paths_in(tokens.clone());
        self.paths.extend(found.into_iter().map(|segments| (self.module.clone(), segments)));
    }
}

/// The paths of two and more segments among tokens.
fn paths_in(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut found = vec![];
    let mut path: Vec<String> = vec![];
    let mut colons = 0;
    let mut is_after_pub = false;
    for token in tokens {
        let was_after_pub =
            std::mem::replace(&mut is_after_pub, matches!(&token, TokenTree::Ident(ident) if ident == "pub"));
        match token {
            // A visibility.
            TokenTree::Group(_) if was_after_pub => {}
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
            TokenTree::Ident(ident) if colons == 2 => {
                path.push(ident.to_string());
                colons = 0;
            }
            token => {
                found.push(std::mem::take(&mut path));
                colons = 0;
                match token {
                    TokenTree::Ident(ident) => path.push(ident.to_string()),
                    TokenTree::Group(group) => found.extend(paths_in(group.stream())),
                    _ => {}
                }
            }
        }
    }
    found.push(path);
    found.retain(|path| path.len() > 1);
    found
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The circles among the files below a folder, each once for the arrow that closes it.
fn circles(arrows: &Arrows, folder: &str) -> Vec<String> {
    let mut found = vec![];
    let mut done = BTreeSet::new();
    for file in arrows.keys().filter(|file| file.starts_with(folder)) {
        follow(arrows, folder, file, &mut vec![], &mut done, &mut found);
    }
    found
}

fn follow<'a>(
    arrows: &'a Arrows,
    folder: &str,
    file: &'a str,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
    found: &mut Vec<String>,
) {
    if let Some(from) = way.iter().position(|passed| *passed == file) {
        let circle: Vec<&str> = way.iter().skip(from).copied().chain([file]).collect();
        return found.push(circle.join(" -> "));
    }
    if done.contains(file) {
        return;
    }
    way.push(file);
    for next in arrows.get(file).into_iter().flatten().filter(|next| next.starts_with(folder)) {
        follow(arrows, folder, next, way, done, found);
    }
    way.pop();
    done.insert(file);
}

/// The arrows that lead to a higher floor, and the files that have no floor.
fn upward(arrows: &Arrows) -> Vec<String> {
    let floor = |file: &str| {
        let name = module_of(file).into_iter().next().unwrap_or_else(|| "lib".to_owned());
        FLOORS.iter().position(|floor| *floor == name)
    };
    let mut found = vec![];
    for (file, targets) in arrows {
        let Some(own) = floor(file) else {
            found.push(format!("{file} has no floor: FLOORS doesn't name it"));
            continue;
        };
        let above = targets.iter().filter(|target| floor(target).is_some_and(|floor| floor > own));
        found.extend(above.map(|target| format!("{file} -> {target}")));
    }
    found
}

fn too_long(tree: &Tree) -> Vec<String> {
    let lines = tree.iter().map(|(path, text)| (path, text.lines().count()));
    lines.filter(|(_, lines)| *lines > MOST_LINES).map(|(path, lines)| format!("{path}: {lines}")).collect()
}

fn too_wide(tree: &Tree) -> Vec<String> {
    let lines = tree
        .iter()
        .flat_map(|(path, text)| text.lines().enumerate().map(move |(at, line)| (path, at + 1, line.chars().count())));
    lines.filter(|(.., width)| *width > WIDTH).map(|(path, at, width)| format!("{path}:{at}: {width}")).collect()
}

#[test]
fn a_circle_is_found() {
    let tree = made_up(&[
        ("src/lib.rs", "mod api;"),
        ("src/api/mod.rs", "mod a; mod b; mod c; pub use c::C;"),
        ("src/api/a.rs", "use super::b::B;"),
        ("src/api/b.rs", "fn f() { crate::api::a::f(); }"),
        ("src/api/c.rs", "use super::a;"),
    ]);
    assert_eq!(circles(&arrows(&tree), "src/api/"), ["src/api/a.rs -> src/api/b.rs -> src/api/a.rs"]);
}

#[test]
fn a_circle_through_a_reexport_is_found() {
    let tree = made_up(&[
        ("src/lib.rs", "mod api;"),
        ("src/api/mod.rs", "mod a; mod b; pub use b::B;"),
        ("src/api/a.rs", "use crate::api::B;"),
        ("src/api/b.rs", "use super::a;"),
    ]);
    assert_eq!(circles(&arrows(&tree), "src/api/"), ["src/api/a.rs -> src/api/mod.rs -> src/api/b.rs -> src/api/a.rs"]);
}

#[test]
fn an_upward_arrow_is_found() {
    let tree = made_up(&[
        ("src/lib.rs", "mod api; mod domain; mod service; mod store; mod stray;"),
        ("src/main.rs", "use tokenward::api;"),
        ("src/domain/mod.rs", "pub fn f() {}"),
        (
            "src/service/mod.rs",
            "use crate::{api::{self, wire as other}, domain}; fn f() { other::page::g(); domain::f(); }",
        ),
        (
            "src/store/mod.rs",
            "macro_rules! m { ($x:expr) => { pub(in crate::api) fn f() { concat!(\"crate::api\", \
                $crate::service::f($x)) } } }",
        ),
        ("src/stray.rs", ""),
        ("src/api/mod.rs", "pub mod wire;"),
        ("src/api/wire/mod.rs", "pub mod page;"),
        ("src/api/wire/page.rs", "mod inner { use super::super::super::super::service; }"),
    ]);
    let found = upward(&arrows(&tree));
    assert_eq!(
        found,
        [
            "src/service/mod.rs -> src/api/mod.rs",
            "src/service/mod.rs -> src/api/wire/mod.rs",
            "src/service/mod.rs -> src/api/wire/page.rs",
            "src/store/mod.rs -> src/service/mod.rs",
            "src/stray.rs has no floor: FLOORS doesn't name it",
        ]
    );
}

#[test]
fn what_is_no_arrow_is_let_pass() {
    let tree = made_up(&[
        ("src/lib.rs", "mod domain; mod api;"),
        ("src/api/mod.rs", ""),
        (
            "src/domain/mod.rs",
            "mod deep; #[cfg(test)] mod tests; pub(in crate::api) fn f() {} fn g() { let api = 1; std::fmt::f(api); } \
             /** See [`crate::api`]. */ const TEXT: &str = \"crate::api::f\"; #[cfg(test)] mod inline { use \
             crate::api; } \
             #[cfg(test)] use crate::api;",
        ),
        ("src/domain/deep.rs", "use super::f;"),
        ("src/domain/tests.rs", "use crate::api;"),
    ]);
    let arrows = arrows(&tree);
    assert_eq!(upward(&arrows), Vec::<String>::new());
    assert_eq!(arrows.get("src/domain/deep.rs"), Some(&BTreeSet::from(["src/domain/mod.rs".to_owned()])));
    assert_eq!(arrows.get("src/domain/tests.rs"), None);
}

#[test]
fn sizes_are_measured() {
    let tree = made_up(&[
        ("src/long.rs", &"\n".repeat(MOST_LINES + 1)),
        ("src/short.rs", &"\n".repeat(MOST_LINES)),
        ("tests/narrow.rs", &"ä".repeat(WIDTH)),
        ("tests/wide.rs", &format!("\n{}", "ä".repeat(WIDTH + 1))),
    ]);
    assert_eq!(too_long(&tree), [format!("src/long.rs: {}", MOST_LINES + 1)]);
    assert_eq!(too_wide(&tree), [format!("tests/wide.rs:2: {}", WIDTH + 1)]);
}
