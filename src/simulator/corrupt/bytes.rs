//! Pages with invalid JSON in one entry: placeholders are put into the entry, and replaced by invalid bytes when the page is serialised.

use serde_json::{Value, json};

use super::entries::custom_attributes;

/// The bytes for each placeholder. No text of a world contains a placeholder.
const PLACEHOLDERS: [(&str, &[u8]); 2] = [(NOT_UTF8, b"\xc3\x28\xff"), (HALF_CHARACTER, b"\\ud83d")];
const NOT_UTF8: &str = "\u{f0000}";
const HALF_CHARACTER: &str = "\u{f0001}";
/// A placeholder for a whole value, including its quotation marks.
const NESTED: &str = "\u{f0002}";
/// More levels than any recursive JSON parser accepts.
const LEVELS: usize = 10_000;

/// Puts invalid UTF-8 into one entry: in texts that clients use, and in texts and a key that they may ignore.
pub(super) fn corrupt_encoding(list: &mut [Value]) {
    break_texts(list, NOT_UTF8);
}

/// Adds half a surrogate pair to the end of the texts that [`corrupt_encoding`] changes. Texts end like this when they are truncated by
/// their length in UTF-16.
pub(super) fn halve_characters(list: &mut [Value]) {
    break_texts(list, HALF_CHARACTER);
}

fn break_texts(list: &mut [Value], placeholder: &str) {
    let middle = list.len() / 2;
    let Some(entry) = list.get_mut(middle) else { return };
    for field in ["name", "state", "title", "pseudonym"] {
        if let Some(text) = entry.get_mut(field).filter(|value| value.is_string() || value.is_null()) {
            *text = json!(format!("{}{placeholder}", text.as_str().unwrap_or_default()));
        }
    }
    if let Some(attributes) = custom_attributes(entry) {
        attributes["odd_text"] = json!(format!("before {placeholder}"));
        attributes[format!("odd name {placeholder}")] = json!(1);
    }
}

/// Puts deeply nested lists into one entry, as a custom attribute and elsewhere.
pub(super) fn nest(list: &mut [Value]) {
    let middle = list.len() / 2;
    let Some(entry) = list.get_mut(middle) else { return };
    entry["brand_new_key"] = json!(NESTED);
    if let Some(attributes) = custom_attributes(entry) {
        attributes["odd_nesting"] = json!(NESTED);
    }
}

/// Serialises the page and replaces the placeholders.
pub(super) fn write(page: &Value) -> Vec<u8> {
    let mut bytes = page.to_string().into_bytes();
    for (placeholder, invalid) in PLACEHOLDERS {
        bytes = replaced(&bytes, placeholder.as_bytes(), invalid);
    }
    let nested = ["[".repeat(LEVELS), "]".repeat(LEVELS)].concat();
    replaced(&bytes, format!("\"{NESTED}\"").as_bytes(), nested.as_bytes())
}

fn replaced(bytes: &[u8], placeholder: &[u8], by: &[u8]) -> Vec<u8> {
    let (mut replaced, mut from) = (Vec::with_capacity(bytes.len()), 0);
    for at in memchr::memmem::find_iter(bytes, placeholder) {
        replaced.extend_from_slice(&bytes[from..at]);
        replaced.extend_from_slice(by);
        from = at + placeholder.len();
    }
    replaced.extend_from_slice(&bytes[from..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_is_invalid_and_the_others_do_not_change() {
        let entries = || vec![json!({"id": "1", "name": "a"}), json!({"id": "2", "name": "b"}), json!({"id": "3", "name": "c"})];
        type Break = fn(&mut [Value]);
        for (corrupt, odd) in [(corrupt_encoding as Break, &b"b\xc3\x28\xff"[..]), (halve_characters, b"b\\ud83d\""), (nest, b"[[[[")] {
            let mut list = entries();
            corrupt(&mut list);
            assert_eq!((&list[0], &list[2]), (&entries()[0], &entries()[2]));
            let bytes = write(&json!({ "data": list }));
            assert!(memchr::memmem::find(&bytes, odd).is_some());
            assert!(serde_json::from_slice::<Value>(&bytes).is_err());
        }
    }
}
