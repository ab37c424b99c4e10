//! The restore drill of docs/reliability.md: `snapshots/` alone is enough.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::support::fixture::{four_months, job};
use crate::support::job::Place;
use crate::support::program::on;
use crate::support::tree::{self, tree};

/// A server where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";
const AS_OF: &str = "2026-11-03T00:00:00Z";

/// SHA-256 of every file that is derived from snapshots.
fn derived(place: &Place) -> BTreeMap<String, String> {
    let is_derived = |name: &str| name.starts_with("history/") || name.starts_with("reports/") || name == "index.html";
    let files = tree(&place.job_folder()).into_iter().filter(|(name, _)| is_derived(name));
    files.map(|(name, bytes)| (name, Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())).collect()
}

#[test]
fn snapshots_alone_give_the_same_bytes() {
    let whole = Place::with(&four_months().job_folder());
    let restored = Place::new();
    tree::copy(&whole.job_folder().join("snapshots"), &restored.job_folder().join("snapshots"));
    let file = restored.job(&job(), NOWHERE);
    on(&file, "report", &["--all"]).without_token().succeed();
    on(&file, "status", &["--check", "--as-of", AS_OF]).without_token().succeed();
    let (before, after) = (derived(&whole), derived(&restored));
    assert!(before.len() > 60 && before.contains_key("index.html"), "{}", before.len());
    let differing: Vec<&String> = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(differing.is_empty(), "{differing:?}");
}
