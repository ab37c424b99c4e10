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

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Damage, ListedFile, ListedFiles, MANIFEST, PublishError, sha256, write_file};

const CHECKSUM: &str = ",\n  \"checksum\": \"";
const END: &str = "\"\n}\n";

/// The bytes of a manifest. If it has a checksum, it was verified.
#[derive(Debug)]
pub struct ReadManifest {
    folder: PathBuf,
    bytes: Vec<u8>,
    /// SHA-256 of the file.
    pub hash: String,
    /// Whether the manifest has a checksum. Manifests of older versions have none.
    pub has_checksum: bool,
}

impl ReadManifest {
    /// # Errors
    /// When the manifest is not JSON of that shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }

    /// The files that the manifest lists.
    ///
    /// # Errors
    /// When a path leads out of the folder.
    pub fn files(&self, listed: &[ListedFile]) -> Result<ListedFiles, Damage> {
        ListedFiles::new(&self.folder, listed)
    }

    /// The error for a manifest with this problem.
    pub fn damage(&self, problem: &str) -> Damage {
        Damage { folder: self.folder.clone(), problem: format!("its {MANIFEST} {problem}") }
    }
}

/// Writes a JSON object as the manifest of a folder. Returns the SHA-256 of the file.
pub(super) fn write_manifest(folder: &Path, value: &impl Serialize) -> Result<String, PublishError> {
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(value).map_err(|error| PublishError::new("write", &path, error.into()))?;
    let sealed = with_checksum(&text);
    write_file(&path, sealed.as_bytes())?;
    Ok(sha256(sealed.as_bytes()))
}

/// The manifest of a folder; `None` if it has none.
///
/// # Errors
/// When the manifest cannot be read or differs from its checksum.
pub(crate) fn read_manifest(folder: &Path) -> Result<Option<ReadManifest>, Damage> {
    let damage = |problem: String| Damage { folder: folder.to_path_buf(), problem };
    let bytes = match std::fs::read(folder.join(MANIFEST)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(damage(format!("its {MANIFEST} cannot be read ({error})"))),
    };
    let checked = checksum_of(&bytes);
    match checked {
        Some((body, checksum)) if sha256(body) != checksum => Err(damage(format!("its {MANIFEST} differs from its own checksum"))),
        _ => Ok(Some(ReadManifest { folder: folder.to_path_buf(), hash: sha256(&bytes), has_checksum: checked.is_some(), bytes })),
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
        let read = read_manifest(place.path()).unwrap().unwrap();
        assert!(read.has_checksum && read.hash == hash);
        assert_eq!(read.parse::<Value>().unwrap()["files"][0]["rows"], 12);
        let path = place.path().join(MANIFEST);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[at / 8] ^= 1 << (at % 8);
            std::fs::write(&path, &changed).unwrap();
            // If the checksum is not found, the flipped bit is in the line of the checksum, and everything before that line is
            // unchanged.
            let is_detected = match read_manifest(place.path()) {
                Err(_) => true,
                Ok(read) => {
                    read.is_some_and(|read| !read.has_checksum && read.hash != hash && changed.starts_with(&whole[..whole.len() - 85]))
                }
            };
            assert!(is_detected, "bit {at}");
        }
    }

    #[test]
    fn a_manifest_of_an_older_version_has_no_checksum() {
        let place = tempfile::tempdir().unwrap();
        assert!(read_manifest(place.path()).unwrap().is_none());
        std::fs::write(place.path().join(MANIFEST), "{}\n").unwrap();
        assert!(!read_manifest(place.path()).unwrap().unwrap().has_checksum);
    }
}
