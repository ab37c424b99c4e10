use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use compact_str::CompactString;

/// A map by contact id. Intercom's ids are 24 hex digits. They are stored as twelve bytes each, because the ids are the only data in a
/// run's memory that grows with the workspace (about 20 MB for a million contacts).
#[derive(Debug)]
pub struct IdMap<V> {
    object_ids: HashMap<[u8; 12], V>,
    others: HashMap<Box<str>, V>,
}

/// A compact id. An id of 24 hex digits is stored inline as twelve bytes, any other text on the heap. Ids are ordered like their texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContactId {
    Object([u8; 12]),
    Other(Box<Box<str>>),
}

impl ContactId {
    pub fn of(id: &str) -> ContactId {
        object_id(id).map_or_else(|| ContactId::Other(Box::new(id.into())), ContactId::Object)
    }

    pub fn text(&self) -> CompactString {
        match self {
            ContactId::Object(bytes) => {
                let mut digits = [0; 24];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
                    pair.copy_from_slice(&[byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
                }
                // Hex digits are valid UTF-8, so the default is never used.
                CompactString::from_utf8(digits).unwrap_or_default()
            }
            ContactId::Other(text) => CompactString::from(&***text),
        }
    }
}

impl Ord for ContactId {
    fn cmp(&self, other: &ContactId) -> Ordering {
        match (self, other) {
            (ContactId::Object(bytes), ContactId::Object(others)) => as_numbers(*bytes).cmp(&as_numbers(*others)),
            _ => self.text().cmp(&other.text()),
        }
    }
}

/// The bytes as two numbers. Numbers have the same order as the arrays, and comparing them is faster.
fn as_numbers([a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]) -> (u64, u32) {
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([i, j, k, l]))
}

impl PartialOrd for ContactId {
    fn partial_cmp(&self, other: &ContactId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Distinct contact ids, sorted by text.
#[derive(Debug, Default)]
pub struct ContactIds(Vec<ContactId>);

impl ContactIds {
    pub fn contains(&self, id: &str) -> bool {
        self.0.binary_search(&ContactId::of(id)).is_ok()
    }

    /// The index of the id, `None` if the id is missing. The search starts at the index `near`, which is fast when ids are looked up in
    /// order.
    pub fn position(&self, id: &ContactId, near: usize) -> Option<usize> {
        if let Some(next) = [near + 1, near].into_iter().find(|next| self.0.get(*next) == Some(id)) {
            return Some(next);
        }
        let ids = self.0.get(near..).filter(|ids| ids.first().is_some_and(|first| first <= id));
        let (from, ids) = ids.map_or((0, &self.0[..near.min(self.0.len())]), |ids| (near, ids));
        let mut reach = 1;
        while ids.get(reach).is_some_and(|far| far <= id) {
            reach *= 2;
        }
        let within = &ids[reach / 2..ids.len().min(reach)];
        within.binary_search(id).ok().map(|index| from + reach / 2 + index)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn with(self, others: Vec<ContactId>) -> ContactIds {
        if others.is_empty() { self } else { ContactIds::from([self.0, others].concat()) }
    }

    pub fn iter(&self) -> impl Iterator<Item = &ContactId> {
        self.0.iter()
    }

    pub fn texts(&self) -> impl Iterator<Item = CompactString> {
        self.0.iter().map(ContactId::text)
    }
}

impl From<Vec<ContactId>> for ContactIds {
    fn from(mut ids: Vec<ContactId>) -> ContactIds {
        // The stable sort is quick if the ids are a few sorted lists, one after another.
        ids.sort();
        ids.dedup();
        ContactIds(ids)
    }
}

#[derive(Debug, Default)]
pub struct IdSet(IdMap<()>);

impl<V> Default for IdMap<V> {
    fn default() -> IdMap<V> {
        IdMap { object_ids: HashMap::new(), others: HashMap::new() }
    }
}

impl<V> IdMap<V> {
    /// The value of the id, and whether the id is new. The value of a new id is `first`.
    pub fn entry(&mut self, id: &str, first: V) -> (&mut V, bool) {
        match object_id(id) {
            Some(bytes) => entered(self.object_ids.entry(bytes), first),
            None => entered(self.others.entry(id.into()), first),
        }
    }

    pub fn len(&self) -> usize {
        self.object_ids.len() + self.others.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn entered<K, V>(entry: Entry<'_, K, V>, first: V) -> (&mut V, bool) {
    match entry {
        Entry::Occupied(known) => (known.into_mut(), false),
        Entry::Vacant(free) => (free.insert(first), true),
    }
}

impl IdSet {
    pub fn contains(&self, id: &str) -> bool {
        let IdMap { object_ids, others } = &self.0;
        object_id(id).map_or_else(|| others.contains_key(id), |bytes| object_ids.contains_key(&bytes))
    }

    /// Adds the id. Returns whether it is new.
    pub fn insert(&mut self, id: &str) -> bool {
        self.0.entry(id, ()).1
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The value of each byte as a lower-case hex digit. It is more than 15 for bytes that are no digit.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// The bytes of an id of 24 hex digits, `None` for other ids. Only lower case is read, so that two ids are equal exactly when their texts
/// are.
pub fn object_id(id: &str) -> Option<[u8; 12]> {
    let text: &[u8; 24] = id.as_bytes().try_into().ok()?;
    let mut bytes = [0; 12];
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    (seen < 16).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_equal_exactly_when_their_texts_are() {
        let mut ids = IdSet::default();
        for id in [
            "667d60a98a68186f43bafdb9",
            "667D60A98A68186F43BAFDB9",
            "667d60a98a68186f43bafdb",
            "",
            "zzzzzzzzzzzzzzzzzzzzzzzz",
            "é67d60a98a68186f43bafdb",
        ] {
            assert!(!ids.contains(id) && ids.insert(id), "{id}");
            assert!(ids.contains(id) && !ids.insert(id), "{id}");
        }
        assert_eq!(ids.len(), 6);
    }

    #[test]
    fn ids_of_both_kinds_are_in_the_order_of_their_texts() {
        let mut texts = ["667d60a98a68186f43bafdb9", "667d60a98a68186f43bafdb", "0a", "f", "", "00112233445566778899aabb", "zz", "é"];
        let ids = ContactIds::from(texts.iter().chain(&texts[..2]).map(|text| ContactId::of(text)).collect::<Vec<_>>());
        texts.sort_unstable();
        assert_eq!(ids.texts().collect::<Vec<_>>(), texts);
        assert!(texts.iter().all(|text| ids.contains(text)) && !ids.contains("667d60a98a68186f43bafdba"));
    }

    #[test]
    fn the_position_of_an_id_does_not_depend_on_the_start_of_the_search() {
        let text = |number: usize| format!("{number:024x}");
        for count in [0, 1, 2, 3, 50] {
            let ids = ContactIds::from((0..count).map(|number| ContactId::of(&text(2 * number + 1))).collect::<Vec<_>>());
            for near in 0..count + 3 {
                for number in 0..count {
                    assert_eq!(ids.position(&ContactId::of(&text(2 * number + 1)), near), Some(number), "{number} of {count} from {near}");
                }
                for number in 0..=count {
                    assert_eq!(ids.position(&ContactId::of(&text(2 * number)), near), None, "{number} of {count} from {near}");
                }
            }
        }
    }
}
