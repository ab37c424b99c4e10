//! The contents of folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// All files under a folder, by relative path; none if the folder does not exist.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

pub(crate) fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    gather(folder, "", &mut found);
    found
}

fn gather(folder: &Path, prefix: &str, found: &mut Tree) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), &format!("{name}/"), found);
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

/// The published files of a job's folder: all but the lock and the unfinished work.
pub(crate) fn published(job_folder: &Path) -> Tree {
    let mut found = tree(job_folder);
    found.retain(|name, _| !name.starts_with(".work/") && name != ".lock");
    found
}

/// The files of a tree without the manifests, which depend on the run: they have its number of requests.
pub(crate) fn tables(mut tree: Tree) -> Tree {
    tree.retain(|name, _| !name.ends_with("manifest.json"));
    tree
}

/// Asserts that both have the same files with the same bytes, and names those that differ.
#[track_caller]
pub(crate) fn check_same(left: &Tree, right: &Tree, what: &str) {
    let mut different: Vec<&String> = left.iter().filter(|(name, bytes)| right.get(*name) != Some(bytes)).map(|(name, _)| name).collect();
    different.extend(right.keys().filter(|name| !left.contains_key(*name)));
    assert!(different.is_empty(), "{what}: these files differ or are on one side only: {different:?}");
}

/// The path of a published file: its name has a part of its hash before the ending.
#[track_caller]
pub(crate) fn with_hash(path: &Path) -> PathBuf {
    let [stem, ending] = [path.file_stem(), path.extension()].map(|part| part.unwrap().to_str().unwrap());
    let is_it = |name: &str| {
        let hash = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(ending)?.strip_suffix('.'));
        hash.is_some_and(|hash| hash.len() == 16)
    };
    let names = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: Vec<String> = names.filter(|name| is_it(name)).collect();
    assert_eq!(found.len(), 1, "{}: {found:?}", path.display());
    path.with_file_name(&found[0])
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
