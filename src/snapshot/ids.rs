use std::collections::HashSet;

/// A set of contact ids. Intercom's are 24 hex digits: kept as twelve bytes each, the one thing of a run that grows
/// with the workspace (some 20 MB for a million contacts).
#[derive(Debug, Default)]
pub struct IdSet {
    object_ids: HashSet<[u8; 12]>,
    others: HashSet<Box<str>>,
}

impl IdSet {
    /// Whether the id is new.
    pub fn insert(&mut self, id: &str) -> bool {
        match object_id(id) {
            Some(bytes) => self.object_ids.insert(bytes),
            None => self.others.insert(id.into()),
        }
    }

    pub fn len(&self) -> usize {
        self.object_ids.len() + self.others.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Lower-case hex only, so that two ids are equal exactly when their texts are.
fn object_id(id: &str) -> Option<[u8; 12]> {
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
