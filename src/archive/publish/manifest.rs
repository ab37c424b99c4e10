//! Reads and writes manifests. The last line of a manifest is the SHA-256 of everything before it, so that every reader can
//! detect a change to any byte.
//!
//! ```text
//! {
//!   "month": "2026-10",
//!   …,
//!   "checksum": "9f86d0…"
//! }
//! ```

use std::path::Path;

use serde::Serialize;

use super::{MANIFEST, PublishError, sha256, write_file};

const CHECKSUM: &str = ",\n  \"checksum\": \"";
const END: &str = "\"\n}\n";

/// Writes a JSON object as the manifest of a folder. Returns the SHA-256 of the file.
pub(super) fn write_manifest(folder: &Path, value: &impl Serialize) -> Result<String, PublishError> {
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(value).map_err(|error| PublishError::new("write", &path, error.into()))?;
    let sealed = with_checksum(&text);
    write_file(&path, sealed.as_bytes())?;
    Ok(sha256(sealed.as_bytes()))
}

/// The SHA-256 of a manifest, and whether it has a checksum; `None` if it differs from its checksum. Manifests of older versions of the
/// program have no checksum.
pub(crate) fn checked_hash(bytes: &[u8]) -> Option<(String, bool)> {
    let checked = checksum_of(bytes);
    match checked {
        Some((body, checksum)) if sha256(body) != checksum => None,
        _ => Some((sha256(bytes), checked.is_some())),
    }
}

fn with_checksum(object: &str) -> String {
    let body = object.strip_suffix("\n}").unwrap_or(object);
    format!("{body}{CHECKSUM}{}{END}", sha256(body.as_bytes()))
}

/// Splits a manifest into the bytes that the checksum covers and the checksum itself; `None` if there is no checksum.
fn checksum_of(bytes: &[u8]) -> Option<(&[u8], &str)> {
    let body_end = bytes.len().checked_sub(CHECKSUM.len() + 64 + END.len())?;
    let (body, line) = bytes.split_at(body_end);
    let checksum = std::str::from_utf8(line).ok()?.strip_prefix(CHECKSUM)?.strip_suffix(END)?;
    Some((body, checksum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn every_flipped_bit_of_a_manifest_is_detected() {
        let place = tempfile::tempdir().unwrap();
        let hash = write_manifest(place.path(), &json!({ "month": "2026-10", "files": [{ "path": "a", "rows": 12 }] })).unwrap();
        let whole = std::fs::read(place.path().join(MANIFEST)).unwrap();
        assert_eq!(checked_hash(&whole), Some((hash.clone(), true)));
        assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap()["files"][0]["rows"], 12);
        for at in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[at / 8] ^= 1 << (at % 8);
            // If the checksum is not found, the flipped bit is in the line of the checksum, and everything before that line is
            // unchanged.
            let is_detected = checked_hash(&changed)
                .is_none_or(|(found, has_checksum)| !has_checksum && found != hash && changed.starts_with(&whole[..whole.len() - 85]));
            assert!(is_detected, "bit {at}");
        }
    }

    #[test]
    fn a_manifest_of_an_older_version_has_no_checksum() {
        assert!(checked_hash(b"{}\n").is_some_and(|(_, has_checksum)| !has_checksum));
    }
}
