//! How a contact's identifiers are written: kept, hashed with a key, or dropped. Identifiers are e-mail, name, phone and the
//! workspace's own id. `contact_id` is Intercom's and is always kept, so that months can be joined. (IP addresses are never read.)

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;

use domain::{Company, Contact, CustomAttribute};

/// The minimum length of a key in bytes.
const KEY_MIN: usize = 16;
/// The length of the fingerprint in bytes. It is enough to distinguish keys, but does not help to find a key.
const FINGERPRINT_BYTES: usize = 8;
/// The text whose hash is the fingerprint.
const FINGERPRINT_OF: &str = "cohorts: fingerprint of the key";

#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    #[error("the key file `{path}` cannot be read", path = .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the key in `{path}` has {length} bytes; a key of fewer than {KEY_MIN} bytes can be guessed", path = .path.display())]
    Short { path: PathBuf, length: usize },
}

/// How contacts are changed before they are written to disk.
#[derive(Debug, Default)]
pub struct Privacy {
    identifiers: Identifiers,
    /// Names of custom attributes to drop.
    dropped: HashSet<String>,
}

#[derive(Debug, Default)]
pub enum Identifiers {
    #[default]
    Keep,
    Hash(HashKey),
    Drop,
}

/// A key for HMAC-SHA-256.
pub struct HashKey(SecretSlice<u8>);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey([redacted])")
    }
}

impl HashKey {
    /// Reads the key from a file, without white space around it.
    pub fn read(path: &Path) -> Result<HashKey, PrivacyError> {
        let bytes = std::fs::read(path).map_err(|source| PrivacyError::Unreadable { path: path.to_path_buf(), source })?;
        let key = bytes.trim_ascii();
        if key.len() < KEY_MIN {
            return Err(PrivacyError::Short { path: path.to_path_buf(), length: key.len() });
        }
        Ok(HashKey(key.to_vec().into()))
    }

    /// HMAC-SHA-256 of the text, in hexadecimal.
    pub fn hash(&self, text: &str) -> String {
        hex(&self.mac(text))
    }

    fn mac(&self, text: &str) -> Vec<u8> {
        match Hmac::<Sha256>::new_from_slice(self.0.expose_secret()) {
            Ok(mac) => mac.chain_update(text.as_bytes()).finalize().into_bytes().to_vec(),
            // HMAC accepts keys of any length.
            Err(_) => Vec::new(),
        }
    }

    fn fingerprint(&self) -> String {
        hex(&self.mac(FINGERPRINT_OF)[..FINGERPRINT_BYTES])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Privacy {
    pub fn new(identifiers: Identifiers, dropped: impl IntoIterator<Item = String>) -> Privacy {
        Privacy { identifiers, dropped: dropped.into_iter().collect() }
    }

    /// How identifiers are written, as a label in manifests: `keep`, `drop`, or `hash:` and the key's fingerprint. Identifiers with
    /// different labels cannot be compared.
    pub fn label(&self) -> String {
        match &self.identifiers {
            Identifiers::Keep => KEEP.to_string(),
            Identifiers::Drop => DROP.to_string(),
            Identifiers::Hash(key) => format!("{HASH_PREFIX}{}", key.fingerprint()),
        }
    }

    /// How an e-mail address is normalized before it is hashed, as a label in manifests; `None` if addresses are not hashed. In months
    /// without this label, e-mail addresses were hashed without normalizing.
    pub fn email_hash(&self) -> Option<&'static str> {
        matches!(self.identifiers, Identifiers::Hash(_)).then_some(LOWERCASE)
    }

    /// An e-mail address as it is written. Before hashing, it is normalized to lower case.
    pub fn written_email(&self, address: Option<String>) -> Option<String> {
        match &self.identifiers {
            Identifiers::Hash(_) => self.written(address.map(|address| same_address(&address))),
            Identifiers::Keep | Identifiers::Drop => self.written(address),
        }
    }

    /// An identifier as it is written. An empty text is not hashed.
    pub fn written(&self, identifier: Option<String>) -> Option<String> {
        match &self.identifiers {
            Identifiers::Keep => identifier,
            Identifiers::Drop => None,
            Identifiers::Hash(key) => identifier.map(|text| if text.is_empty() { text } else { key.hash(&text) }),
        }
    }

    /// The contact as it is written.
    pub fn apply(&self, mut contact: Contact) -> Contact {
        if !matches!(self.identifiers, Identifiers::Keep) {
            contact.write_identifiers(|column, value| {
                let value = value.map(Into::into);
                if column == "email" { self.written_email(value) } else { self.written(value) }.map(Into::into)
            });
        }
        self.drop_attributes(&mut contact.custom_attributes);
        contact
    }

    /// The company as it may be written. It has no identifiers of a person, but its custom attributes may be dropped.
    pub fn apply_to_company(&self, mut company: Company) -> Company {
        self.drop_attributes(&mut company.custom_attributes);
        company
    }

    fn drop_attributes(&self, attributes: &mut Vec<CustomAttribute>) {
        if !self.dropped.is_empty() {
            attributes.retain(|attribute| !self.dropped.contains(attribute.name.as_str()));
        }
    }
}

/// The normalized form of an e-mail address: no blanks around it, one form of accents, lower case. Mail servers may distinguish `Ada`
/// from `ada`, but none is known that does.
pub fn same_address(address: &str) -> String {
    // In lower case, one letter may become two characters (for example `İ`), so accents are combined after this.
    address.trim().to_lowercase().nfc().collect()
}

/// The label of e-mail addresses that are hashed in lower case.
const LOWERCASE: &str = "lowercase";
/// The label of identifiers that are kept.
pub const KEEP: &str = "keep";
/// The label of identifiers that are dropped.
pub const DROP: &str = "drop";
/// The start of the label of hashed identifiers.
pub const HASH_PREFIX: &str = "hash:";

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AttributeValue, Role};

    fn key(bytes: &[u8]) -> HashKey {
        HashKey(bytes.to_vec().into())
    }

    fn contact() -> Contact {
        let attribute = |name: &str| CustomAttribute { name: name.into(), value: AttributeValue::Bool(true) };
        Contact {
            external_id: Some("customer-1".into()),
            email: Some("ada@customer.example".into()),
            phone: Some("+353 1 555 0100".into()),
            name: Some("".into()),
            country: Some("Ireland".into()),
            custom_attributes: vec![attribute("plan"), attribute("tax_number")],
            ..Contact::unknown("64a1c2f0aa01c0ffee000005".to_string(), Role::User)
        }
    }

    /// Test case 2 of RFC 4231.
    #[test]
    fn a_hash_is_hmac_sha_256() {
        let hash = key(b"Jefe").hash("what do ya want for nothing?");
        assert_eq!(hash, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn identifiers_are_kept_hashed_or_dropped_and_nothing_else_is() {
        let written = |identifiers| Privacy::new(identifiers, ["tax_number".to_string()]).apply(contact());
        let kept = written(Identifiers::Keep);
        assert_eq!(kept.email, contact().email);
        let hashed = written(Identifiers::Hash(key(b"0123456789abcdef")));
        assert_eq!(hashed.email, Some(key(b"0123456789abcdef").hash("ada@customer.example").into()));
        assert_eq!(hashed.phone, Some(key(b"0123456789abcdef").hash("+353 1 555 0100").into()));
        assert_eq!(hashed.name.as_deref(), Some(""));
        let dropped = written(Identifiers::Drop);
        assert_eq!((&dropped.external_id, &dropped.email, &dropped.phone, &dropped.name), (&None, &None, &None, &None));
        for contact in [kept, hashed, dropped] {
            assert_eq!(contact.country.as_deref(), Some("Ireland"));
            assert_eq!(contact.custom_attributes.iter().map(|attribute| attribute.name.as_str()).collect::<Vec<_>>(), ["plan"]);
        }
    }

    #[test]
    fn an_address_is_hashed_in_lower_case() {
        let privacy = Privacy::new(Identifiers::Hash(key(b"0123456789abcdef")), []);
        let written = |address: &str| privacy.written_email(Some(address.to_string())).unwrap();
        let known = key(b"0123456789abcdef").hash("zoë@customer.example");
        for spelling in ["zoë@customer.example", "ZOË@Customer.Example", " Zoë@customer.example\t", "ZOE\u{308}@customer.example"] {
            assert_eq!(written(spelling), known, "{spelling}");
        }
        assert_ne!(written("zoe@customer.example"), known);
        assert_eq!((written(""), privacy.email_hash()), (String::new(), Some("lowercase")));
        // Names and other identifiers are hashed as they came. Addresses that are kept do not change.
        assert_ne!(privacy.written(Some("Ada".to_string())), privacy.written(Some("ada".to_string())));
        let kept = Privacy::new(Identifiers::Keep, []);
        assert_eq!((kept.written_email(Some("Ada@x.example ".to_string())).as_deref(), kept.email_hash()), (Some("Ada@x.example "), None));
    }

    #[test]
    fn another_key_has_another_label_and_none_shows_the_key() {
        let label = |bytes: &[u8]| Privacy::new(Identifiers::Hash(key(bytes)), []).label();
        assert_ne!(label(b"0123456789abcdef"), label(b"0123456789abcdeg"));
        assert_eq!(label(b"0123456789abcdef").len(), "hash:".len() + 16);
        assert!(!format!("{:?}", key(b"0123456789abcdef")).contains("48"));
    }

    #[test]
    fn a_key_that_can_be_guessed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "  0123456789abcde\n").unwrap();
        assert!(matches!(HashKey::read(&path), Err(PrivacyError::Short { length: 15, .. })));
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        assert_eq!(HashKey::read(&path).unwrap().hash("x"), key(b"0123456789abcdef").hash("x"));
        assert!(matches!(HashKey::read(&folder.path().join("none")), Err(PrivacyError::Unreadable { .. })));
    }
}
