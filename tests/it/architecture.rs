//! What the compiler cannot keep of ARCHITECTURE.md: which crate may depend on which, and which module of a crate on which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A crate, and those of ours that it may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("stats", &[]),
    ("simulator", &[]),
    ("intercom", &["domain"]),
    ("archive", &["domain"]),
    ("reports", &["archive", "domain", "stats"]),
    ("spark", &["archive"]),
    ("job", &["archive", "domain", "intercom", "reports", "spark"]),
    ("cli", &["archive", "domain", "intercom", "job", "reports", "simulator"]),
];

/// They build in seconds because they do without it.
const WITHOUT_POLARS: &[&str] = &["domain", "stats", "simulator", "intercom"];

/// A module, and what it may name of its own crate.
const MODULES: &[(&str, &[&str])] = &[
    ("archive/disk", &[]),
    ("archive/publish", &["disk"]),
    ("archive/table", &["disk"]),
    ("archive/store", &["publish"]),
    ("archive/snapshot", &["publish", "store", "table"]),
    ("archive/engine", &["publish", "store", "table"]),
    ("archive/months", &["engine", "publish", "snapshot", "store"]),
    ("reports/rules", &[]),
    ("reports/history", &["rules"]),
    ("reports/steps", &["history", "rules"]),
    ("reports/analysis", &["history", "steps"]),
    ("reports/digest", &["analysis"]),
    ("reports/page", &["analysis", "digest"]),
    ("reports/workbook", &["analysis", "digest", "page"]),
    ("reports/report", &["analysis"]),
    ("job/privacy", &[]),
    ("job/settings", &[]),
    ("job/census", &[]),
    ("job/init", &["census"]),
    ("job/tagging", &[]),
    ("job/listing", &["privacy"]),
    ("cli/summary", &[]),
    ("cli/notify", &["summary"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The module's file, and those of its folder.
fn files(module: &str) -> Vec<PathBuf> {
    fn within(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                within(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = vec![source().join(format!("{module}.rs"))];
    let folder = source().join(module);
    if folder.is_dir() {
        within(&folder, &mut found);
    }
    found
}

/// What a crate's manifest lists as `[dependencies]`.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = read(&source().join(name).join("Cargo.toml"));
    let of_program = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    of_program.lines().filter_map(|line| line.split(['.', ' ']).next()).map(str::to_string).filter(|name| !name.is_empty()).collect()
}

#[test]
fn crates_depend_on_those_below_them() {
    let found: BTreeMap<&str, BTreeSet<String>> = CRATES.iter().map(|(name, _)| (*name, dependencies(name))).collect();
    for (name, below) in CRATES {
        let ours: Vec<&str> = found[name].iter().map(String::as_str).filter(|other| found.contains_key(other)).collect();
        assert_eq!(ours, *below, "{name}");
        assert_eq!(!found[name].contains("polars"), WITHOUT_POLARS.contains(name), "{name}");
    }
    let folders = fs::read_dir(source()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    assert_eq!(folders.count(), CRATES.len(), "a crate that is not in the table");
    let document = read(&source().join("../ARCHITECTURE.md"));
    for name in CRATES.iter().map(|(name, _)| *name).chain(MODULES.iter().filter_map(|(module, _)| module.split('/').next_back())) {
        assert!(document.contains(&format!("| `{name}` |")), "ARCHITECTURE.md has no row for `{name}`");
    }
}

#[test]
fn modules_name_those_below_them() {
    let mut seen = BTreeSet::new();
    for (module, below) in MODULES {
        let name = module.split('/').next_back().unwrap();
        for path in files(module) {
            // Tests stand last in a file and may look anywhere.
            for line in read(&path).lines().take_while(|line| line.trim() != "#[cfg(test)]") {
                let code = line.split("//").next().unwrap_or_default();
                for named in code.split("crate::").skip(1) {
                    let named = named.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                    let is_test = path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
                    assert!(is_test || named == name || below.contains(&named), "{}: `{line}`", path.display());
                    seen.insert((name, named.to_string()));
                }
            }
        }
    }
    for (from, to) in [("history", "rules"), ("snapshot", "table")] {
        assert!(seen.contains(&(from, to.to_string())), "`{from}` does not name `{to}`: does this test read the sources?");
    }
}
