//! `/counts` as 1.x sends it. Sources disagree on the shape of `type=user`, and on whether a count is a number or an object with a number.
//! So all these forms are accepted.

use serde_json::Value;

use crate::types::Totals;
use crate::wire::{DecodeError, decode, shape};

type JsonObject = serde_json::Map<String, Value>;

/// One page of sizes by name.
#[derive(Debug)]
pub(in crate::v1) struct Sizes {
    pub sizes: Vec<(String, u64)>,
    /// The number of the last page.
    pub last: u32,
}

pub(in crate::v1) fn totals(body: &[u8]) -> Result<Totals, DecodeError> {
    let hash: JsonObject = decode(body)?;
    let count = |name: &str| hash.get(name).and_then(count);
    let totals = Totals { users: count("user"), leads: count("lead"), companies: count("company") };
    // A response without any of these counts is another document.
    if totals.users.is_none() && totals.leads.is_none() && totals.companies.is_none() { Err(shape("user.count")) } else { Ok(totals) }
}

pub(in crate::v1) fn conversation_states(body: &[u8]) -> Result<Vec<(&'static str, Option<u64>)>, DecodeError> {
    let hash: JsonObject = decode(body)?;
    let states = hash.get("conversation").and_then(Value::as_object).ok_or_else(|| shape("conversation"))?;
    Ok(["open", "closed", "assigned", "unassigned"].map(|state| (state, states.get(state).and_then(count))).into())
}

pub(in crate::v1) fn sizes(body: &[u8], of: &str, by: &str) -> Result<Sizes, DecodeError> {
    let hash: JsonObject = decode(body)?;
    let entries = hash.get(of).and_then(|counts| counts.get(by)).and_then(Value::as_array).ok_or_else(|| shape(format!("{of}.{by}")))?;
    let mut sizes = Vec::with_capacity(entries.len());
    for entry in entries {
        let entry = entry.as_object().ok_or_else(|| shape(format!("{of}.{by}[]")))?;
        // The key is the group's name, which may be any text. A group without a number is left out, because its size can be requested by
        // its ID.
        sizes.extend(entry.iter().find_map(|(name, value)| Some((name.clone(), count(value)?))));
    }
    // In the responses seen so far, `pages` is nested in `pages`.
    let pages = hash.get("pages").map(|pages| pages.get("pages").unwrap_or(pages));
    let last = pages.and_then(|pages| pages.get("total_pages")).and_then(Value::as_u64).and_then(|last| u32::try_from(last).ok());
    Ok(Sizes { sizes, last: last.unwrap_or(1) })
}

/// Reads a count: a number, a number as text, or an object that has a count under the key `count` or else under its first key.
fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Object(object) => object.get("count").or_else(|| object.values().next()).and_then(count),
        _ => None,
    }
}
