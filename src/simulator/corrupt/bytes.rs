//! Pages that are no JSON in one entry: marks are put where that is to be, and bytes take their place when the page is written.

use serde_json::{Value, json};

use super::entries::custom_attributes;

/// What takes the place of each mark. No world has a text with one of them.
const MARKS: [(&str, &[u8]); 2] = [(NOT_UTF8, b"\xc3\x28\xff"), (HALF_CHARACTER, b"\\ud83d")];
const NOT_UTF8: &str = "\u{f0000}";
const HALF_CHARACTER: &str = "\u{f0001}";
/// Stands for a value, with its quotation marks.
const NESTED: &str = "\u{f0002}";
/// More than any reader of JSON follows by recursion.
const LEVELS: usize = 10_000;

/// Texts of an entry that clients read, and texts and a name that they may pass over, have bytes that are no UTF-8.
pub(super) fn corrupt_encoding(list: &mut [Value]) {
    break_texts(list, NOT_UTF8);
}

/// The same texts end in half a surrogate pair, as a text that was cut by its length in UTF-16.
pub(super) fn halve_characters(list: &mut [Value]) {
    break_texts(list, HALF_CHARACTER);
}

fn break_texts(list: &mut [Value], mark: &str) {
    let middle = list.len() / 2;
    let Some(entry) = list.get_mut(middle) else { return };
    for field in ["name", "state", "title", "pseudonym"] {
        if let Some(text) = entry.get_mut(field).filter(|value| value.is_string() || value.is_null()) {
            *text = json!(format!("{}{mark}", text.as_str().unwrap_or_default()));
        }
    }
    if let Some(attributes) = custom_attributes(entry) {
        attributes["odd_text"] = json!(format!("before {mark}"));
        attributes[format!("odd name {mark}")] = json!(1);
    }
}

/// An entry has lists within lists within lists, as a custom attribute and elsewhere.
pub(super) fn nest(list: &mut [Value]) {
    let middle = list.len() / 2;
    let Some(entry) = list.get_mut(middle) else { return };
    entry["brand_new_key"] = json!(NESTED);
    if let Some(attributes) = custom_attributes(entry) {
        attributes["odd_nesting"] = json!(NESTED);
    }
}

/// The page, with bytes in the place of marks.
pub(super) fn write(page: &Value) -> Vec<u8> {
    let mut bytes = page.to_string().into_bytes();
    for (mark, odd) in MARKS {
        bytes = replaced(&bytes, mark.as_bytes(), odd);
    }
    let nested = ["[".repeat(LEVELS), "]".repeat(LEVELS)].concat();
    replaced(&bytes, format!("\"{NESTED}\"").as_bytes(), nested.as_bytes())
}

fn replaced(bytes: &[u8], mark: &[u8], by: &[u8]) -> Vec<u8> {
    let (mut replaced, mut from) = (Vec::with_capacity(bytes.len()), 0);
    for at in memchr::memmem::find_iter(bytes, mark) {
        replaced.extend_from_slice(&bytes[from..at]);
        replaced.extend_from_slice(by);
        from = at + mark.len();
    }
    replaced.extend_from_slice(&bytes[from..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_is_no_json_and_the_others_are() {
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
