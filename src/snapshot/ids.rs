use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// What is known of each contact, by its id. Intercom's ids are 24 hex digits: kept as twelve bytes each, the one thing
/// of a run that grows with the workspace (some 20 MB for a million contacts).
#[derive(Debug)]
pub struct IdMap<V> {
    object_ids: HashMap<[u8; 12], V>,
    others: HashMap<Box<str>, V>,
}

/// An id in as little space: twelve bytes in place, any other text beside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContactId {
    Object([u8; 12]),
    Other(Box<Box<str>>),
}

impl ContactId {
    pub fn of(id: &str) -> ContactId {
        object_id(id).map_or_else(|| ContactId::Other(Box::new(id.into())), ContactId::Object)
    }
}

/// What an [`IdMap`] held: the ids of twelve bytes, ascending, and the others.
pub type SortedIds<V> = (Vec<([u8; 12], V)>, HashMap<Box<str>, V>);

/// A set of contact ids.
#[derive(Debug, Default)]
pub struct IdSet(IdMap<()>);

impl<V> Default for IdMap<V> {
    fn default() -> IdMap<V> {
        IdMap { object_ids: HashMap::new(), others: HashMap::new() }
    }
}

impl<V> IdMap<V> {
    /// What is known of the id, which is `first` when it is new; and whether it is.
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

impl<V> IdMap<V> {
    /// The ids of twelve bytes, ascending, and the others.
    pub fn into_sorted(self) -> SortedIds<V> {
        let mut ids: Vec<([u8; 12], V)> = self.object_ids.into_iter().collect();
        ids.sort_unstable_by_key(|(id, _)| *id);
        (ids, self.others)
    }
}

fn entered<K, V>(entry: Entry<'_, K, V>, first: V) -> (&mut V, bool) {
    match entry {
        Entry::Occupied(known) => (known.into_mut(), false),
        Entry::Vacant(free) => (free.insert(first), true),
    }
}

impl IdSet {
    /// Whether the id is new.
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

/// Lower-case hex only, so that two ids are equal exactly when their texts are.
pub(super) fn object_id(id: &str) -> Option<[u8; 12]> {
    let digits: &[u8; 24] = id.as_bytes().try_into().ok()?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 12];
    for (index, pair) in digits.chunks_exact(2).enumerate() {
        bytes[index] = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
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
            assert!(ids.insert(id), "{id}");
            assert!(!ids.insert(id), "{id}");
        }
        assert_eq!(ids.len(), 6);
    }
}
