//! Keyset pagination: a cursor names the last entry of a page. So the server keeps no state, and no entry is skipped or repeated when
//! other entries are added or removed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::faults::checksum;

/// The longest page of any list.
const MAX_PER_PAGE: u64 = 150;

/// The value that a list is sorted by. Entries without a value sort below all others (an assumption).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Nothing,
    Number(i64),
    Text(String),
}

impl Key {
    /// The key of a date. It is in milliseconds, as in cursors of the real service.
    pub(crate) fn date(seconds: Option<i64>) -> Self {
        seconds.map_or(Key::Nothing, |seconds| Key::Number(seconds.saturating_mul(1000)))
    }

    /// The key of a text.
    pub(crate) fn text(text: Option<&str>) -> Self {
        text.map_or(Key::Nothing, |text| Key::Text(text.to_owned()))
    }
}

/// The end of a page: the last entry's key and id, and the number of the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub key: Key,
    pub id: String,
    pub page: u64,
}

impl Position {
    /// The cursor of the search endpoints: base64 of JSON `[sort value, id, next page]`.
    pub(crate) fn to_search_cursor(&self) -> String {
        let key = match &self.key {
            Key::Nothing => Value::Null,
            Key::Number(number) => json!(number),
            Key::Text(text) => json!(text),
        };
        STANDARD.encode(json!([key, self.id, self.page]).to_string())
    }

    /// Reads a cursor of the search endpoints.
    pub(crate) fn from_search_cursor(cursor: &str) -> Result<Self, ApiError> {
        let json = STANDARD.decode(cursor).map_err(|_| ApiError::bad_cursor())?;
        let (key, id, page): (Value, String, u64) = serde_json::from_slice(&json).map_err(|_| ApiError::bad_cursor())?;
        let key = match key {
            Value::Null => Key::Nothing,
            Value::String(text) => Key::Text(text),
            Value::Number(number) => Key::Number(number.as_i64().ok_or_else(ApiError::bad_cursor)?),
            _ => return Err(ApiError::bad_cursor()),
        };
        if page < 2 {
            return Err(ApiError::bad_cursor());
        }
        Ok(Self { key, id, page })
    }

    /// The cursor of the list endpoints. It is opaque, and has `+`, `/`, `=` and a line break in it, as in Intercom's sample. So it must
    /// be percent-encoded in a query.
    pub(crate) fn to_list_cursor(&self) -> String {
        let mut bytes = OPAQUE_START.to_vec();
        bytes.extend(json!([self.id, self.page]).to_string().bytes());
        let check = checksum(&bytes);
        bytes.extend(check.to_be_bytes());
        while bytes.len() % 3 != 1 {
            bytes.push(b' ');
        }
        let (first, rest) = (STANDARD.encode(&bytes[..45]), STANDARD.encode(&bytes[45..]));
        format!("{first}\n{rest}")
    }

    /// Reads a cursor of the list endpoints. A cursor is invalid if a `+` in it was decoded to a space.
    pub(crate) fn from_list_cursor(cursor: &str) -> Result<Self, ApiError> {
        Self::read_list_cursor(cursor).ok_or_else(ApiError::bad_cursor)
    }

    fn read_list_cursor(cursor: &str) -> Option<Self> {
        let bytes = STANDARD.decode(cursor.replace(['\n', '\r'], "")).ok()?;
        let json_end = bytes.iter().position(|byte| *byte == b']')? + 1;
        let check = bytes.get(json_end..json_end + 8)?;
        if checksum(&bytes[..json_end]).to_be_bytes() != check {
            return None;
        }
        let (id, page) = serde_json::from_slice(bytes.get(OPAQUE_START.len()..json_end)?).ok()?;
        Some(Self { key: Key::Nothing, id, page })
    }
}

/// The first bytes of every cursor of the list endpoints. In base64 they are `+/+/+/…`, so each cursor has characters that must be
/// percent-encoded. They also make each cursor long enough for two lines.
const OPAQUE_START: [u8; 24] = [
    0xFB, 0xFF, 0xBF, 0xFB, 0xFF, 0xBF, 0xFB, 0xFF, 0xBF, 0xFB, 0xFF, 0xBF, 0xFB, 0xFF, 0xBF, 0xFB, 0xFF, 0xBF, 0xFB, 0xFF, 0xBF, 0xFB,
    0xFF, 0xBF,
];

/// Which page of a sorted list to return.
pub(crate) struct Cut {
    pub descending: bool,
    pub per_page: usize,
    pub after: Option<Position>,
    /// Whether the last entry is moved to the next page, if there is a next page. The cursor then names the entry before the moved one, so
    /// no entry is lost, whether or not the next page has the same fault.
    pub moves: bool,
}

/// The entries of one page, and the position of the next page. The position is `None` on the last page. `entries` ascend by `sort_key`:
/// the key, then the id.
pub(crate) fn page(entries: &[u32], cut: &Cut, sort_key: impl Fn(u32) -> (Key, String)) -> (Vec<u32>, Option<Position>) {
    let mut shown: Vec<u32>;
    let more;
    if cut.descending {
        let end = cut.after.as_ref().map_or(entries.len(), |after| {
            entries.partition_point(|entry| {
                let (key, id) = sort_key(*entry);
                (&key, &id) < (&after.key, &after.id)
            })
        });
        let start = end.saturating_sub(cut.per_page);
        shown = entries[start..end].iter().rev().copied().collect();
        more = start > 0;
    } else {
        let start = cut.after.as_ref().map_or(0, |after| {
            entries.partition_point(|entry| {
                let (key, id) = sort_key(*entry);
                (&key, &id) <= (&after.key, &after.id)
            })
        });
        let end = entries.len().min(start + cut.per_page);
        shown = entries[start..end].to_vec();
        more = end < entries.len();
    }
    // The only entry of a page is not moved, because a page without entries would have no cursor.
    if cut.moves && more && shown.len() > 1 {
        shown.pop();
    }
    let next = shown.last().filter(|_| more).map(|last| {
        let (key, id) = sort_key(*last);
        Position { key, id, page: cut.after.as_ref().map_or(1, |after| after.page) + 1 }
    });
    (shown, next)
}

/// The requested page size, capped at the maximum. It is an assumption that a larger size is capped and not refused.
pub(crate) fn per_page(requested: Option<&Value>, default: u64) -> Result<usize, ApiError> {
    let requested = match requested {
        None | Some(Value::Null) => default,
        Some(Value::Number(number)) => number.as_u64().unwrap_or(if number.as_f64().unwrap_or(0.0) > 1.0 { MAX_PER_PAGE } else { 1 }),
        Some(Value::String(text)) => {
            text.trim().parse().map_err(|_| ApiError::parameter_invalid(format!("per_page '{text}' is not a number")))?
        }
        Some(_) => return Err(ApiError::parameter_invalid("per_page is not a number")),
    };
    Ok(requested.clamp(1, MAX_PER_PAGE) as usize)
}

/// The `pages` object of a list.
#[derive(Serialize)]
pub(crate) struct Pages {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
    page: u64,
    per_page: usize,
    total_pages: usize,
}

#[derive(Serialize)]
struct Next {
    page: u64,
    starting_after: String,
}

impl Pages {
    /// `next` is the next page's number and cursor. `None` on the last page.
    pub(crate) fn new(cut: &Cut, total: usize, next: Option<(u64, String)>) -> Self {
        Self {
            r#type: "pages",
            next: next.map(|(page, starting_after)| Next { page, starting_after }),
            page: cut.after.as_ref().map_or(1, |after| after.page),
            per_page: cut.per_page,
            total_pages: total.div_ceil(cut.per_page),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(descending: bool, per_page: usize, moves: bool) -> Vec<u32> {
        // Ten entries. The first three share a key, and the last three share another key.
        let sort_key = |entry: u32| (Key::Number(i64::from(entry.clamp(2, 7))), format!("{entry:02}"));
        let entries: Vec<u32> = (0..10).collect();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (shown, next) = page(&entries, &Cut { descending, per_page, after, moves }, sort_key);
            seen.extend(shown);
            let Some(next) = next else { return seen };
            after = Some(Position::from_search_cursor(&next.to_search_cursor()).unwrap());
        }
    }

    #[test]
    fn pages_show_every_entry_once_whatever_their_length() {
        for per_page in 1..12 {
            for moves in [false, true] {
                assert_eq!(read_all(false, per_page, moves), (0..10).collect::<Vec<_>>());
                assert_eq!(read_all(true, per_page, moves), (0..10).rev().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn search_cursors_are_base64_json() {
        let position = Position { key: Key::date(Some(1_772_633_377)), id: "67570a0000000000000000a8".into(), page: 2 };
        let json = STANDARD.decode(position.to_search_cursor()).unwrap();
        assert_eq!(json, br#"[1772633377000,"67570a0000000000000000a8",2]"#);
        for bad in ["", "x", "bm90IGpzb24=", "W10=", "WzEsMiwzXQ==", "W3t9LCJhIiwyXQ=="] {
            assert_eq!(Position::from_search_cursor(bad), Err(ApiError::bad_cursor()), "{bad}");
        }
    }

    #[test]
    fn list_cursors_need_percent_encoding() {
        let position = Position { key: Key::Nothing, id: "67570a0000000000000000a8".into(), page: 12 };
        let cursor = position.to_list_cursor();
        assert!(['+', '/', '=', '\n'].into_iter().all(|sign| cursor.contains(sign)), "{cursor}");
        assert_eq!(Position::from_list_cursor(&cursor), Ok(position));
        for bad in [cursor.replace('+', " "), cursor.replace('M', "N"), String::new(), "+/+/".into()] {
            assert_eq!(Position::from_list_cursor(&bad), Err(ApiError::bad_cursor()), "{bad}");
        }
    }

    #[test]
    fn page_sizes_are_capped() {
        let size = |value: Value| per_page(Some(&value), 50);
        assert_eq!(per_page(None, 50), Ok(50));
        assert_eq!(
            [json!(5), json!("5"), json!(151), json!(0), json!(-3), json!(1e300)].map(size),
            [Ok(5), Ok(5), Ok(150), Ok(1), Ok(1), Ok(150)]
        );
        assert!(size(json!("many")).is_err() && size(json!([])).is_err());
    }
}
