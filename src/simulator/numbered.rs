//! Lists by page number, as in 1.x: offsets into the current entries, absolute URLs as links, and a limit on the number of records.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::Call;

/// The most records that page numbers can reach.
const CAP: u64 = 10_000;
/// The longest page.
const MAX_PER_PAGE: u64 = 60;

/// One page of a list.
pub(crate) struct NumberedPage {
    pub shown: Vec<u32>,
    pub total_count: usize,
    /// The `pages` object.
    pub pages: Value,
}

/// The links of the pages whose last entry a fault has moved to the next page. They are recorded, because the request for the next page
/// contains only a page number: without this record, the next page could not begin with the moved entry. In all later responses, the entry
/// stays moved.
#[derive(Default)]
pub(crate) struct Moves(Mutex<HashSet<String>>);

impl Moves {
    fn record(&self, page: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(page);
    }

    /// Whether the last entry of any page was moved.
    pub(crate) fn any(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn contains(&self, page: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(page)
    }
}

/// The page of `entries` that the query's `page` and `per_page` request. `entries` ascend.
///
/// Beyond the limit, a `silent` list returns an empty page with a total of 0, as the real service does in lists of companies. Other lists
/// return an error.
pub(crate) fn page(
    moves: &Moves,
    call: &Call,
    entries: &[u32],
    descending: bool,
    default_per_page: u64,
    silent: bool,
) -> Result<NumberedPage, ApiError> {
    let number = positive(call, "page")?.unwrap_or(1);
    let per_page = positive(call, "per_page")?.unwrap_or(default_per_page).min(MAX_PER_PAGE);
    let pages = |next: Option<String>, total_pages: u64| json!({"type": "pages", "next": next, "page": number, "per_page": per_page, "total_pages": total_pages});
    let end = number.saturating_mul(per_page);
    // With 50 entries per page, page 200 is the last that can be requested, however many records there are.
    if end > CAP {
        if silent {
            return Ok(NumberedPage { shown: Vec::new(), total_count: 0, pages: pages(None, 0) });
        }
        return Err(ApiError::parameter_invalid("page limit reached, please use scroll API"));
    }
    let total = entries.len();
    let total_pages = (total as u64).div_ceil(per_page);
    if call.moves {
        moves.record(link(call, number, per_page));
    }
    let moved = |page: u64| {
        // No entry moves to a page beyond the limit, nor from a page with one entry.
        let has_next = page < total_pages && (page + 1).saturating_mul(per_page) <= CAP;
        usize::from(has_next && per_page > 1 && moves.contains(&link(call, page, per_page)))
    };
    let (start, end) = (total.min((end - per_page) as usize) - moved(number - 1), total.min(end as usize) - moved(number));
    let shown = if descending { entries[total - end..total - start].iter().rev().copied().collect() } else { entries[start..end].to_vec() };
    let next = (number < total_pages).then(|| link(call, number + 1, per_page));
    Ok(NumberedPage { shown, total_count: total, pages: pages(next, total_pages) })
}

/// Whether the query's `order` is descending. The default is newest first. Other words are refused (an assumption).
pub(crate) fn descending(call: &Call) -> Result<bool, ApiError> {
    match call.parameter("order") {
        None | Some("desc") => Ok(true),
        Some("asc") => Ok(false),
        Some(other) => Err(ApiError::parameter_invalid(format!("'{other}' is not an order: use asc or desc"))),
    }
}

/// The absolute link to a page, with all other query parameters repeated.
pub(crate) fn link(call: &Call, page: u64, per_page: u64) -> String {
    let kept = call.query.iter().filter(|(name, _)| name != "page" && name != "per_page");
    let others: String = kept.map(|(name, value)| format!("{}={}&", encoded(name), encoded(value))).collect();
    format!("{}{}?{others}per_page={per_page}&page={page}", call.base, call.path)
}

/// A number from 1. `None` if the parameter is missing. It is assumed that smaller numbers count as 1, and that other text is refused.
fn positive(call: &Call, name: &str) -> Result<Option<u64>, ApiError> {
    let number = |text: &str| text.trim().parse::<i64>().map(|number| number.max(1) as u64);
    call.parameter(name).map(number).transpose().map_err(|_| ApiError::parameter_invalid(format!("'{name}' is not a number")))
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
