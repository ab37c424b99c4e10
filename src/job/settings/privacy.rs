//! `[privacy]`: what is written about a contact.

use std::path::PathBuf;

use serde::Deserialize;

use super::CUSTOM_PREFIX;
use super::setting::{Findings, Setting, list, path, word};

/// How a contact's identifiers are written.
#[derive(Clone, Debug)]
pub struct Privacy {
    pub identifiers: Identifiers,
    /// The custom attributes that are not written. The names here do not have the prefix `custom_attributes.`.
    pub drop: Vec<String>,
    pub hash_key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifiers {
    Keep,
    Hash,
    Drop,
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("privacy.identifiers", |all| word(&all.privacy.identifiers, &IDENTIFIERS)),
    Setting::new("privacy.drop", |all| list(all.privacy.drop.iter().map(|name| format!("{name:?}")))),
    Setting::new("privacy.hash_key_file", |all| path(all.privacy.hash_key_file.as_deref())),
];

const IDENTIFIERS: [(&str, Identifiers); 3] = [("keep", Identifiers::Keep), ("hash", Identifiers::Hash), ("drop", Identifiers::Drop)];

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    identifiers: String,
    #[serde(default)]
    drop: Vec<String>,
    hash_key_file: Option<PathBuf>,
}

pub(super) fn check(raw: Raw, findings: &mut Findings<'_>) -> Privacy {
    // If the value is invalid, the strictest choice is used.
    let identifiers = findings.one_of("privacy.identifiers", &raw.identifiers, &IDENTIFIERS).unwrap_or(Identifiers::Drop);
    if identifiers == Identifiers::Hash && raw.hash_key_file.is_none() {
        findings.add(
            "privacy.hash_key_file",
            "is not set, and `privacy.identifiers` is \"hash\": without a key anybody could compute the hashes",
        );
    }
    let mut drop = Vec::new();
    for name in raw.drop {
        let custom = name.strip_prefix(CUSTOM_PREFIX).unwrap_or(&name).to_string();
        if custom.is_empty() {
            findings.add("privacy.drop", "holds an empty name");
        } else if !drop.contains(&custom) {
            drop.push(custom);
        }
    }
    Privacy { identifiers, drop, hash_key_file: raw.hash_key_file }
}
