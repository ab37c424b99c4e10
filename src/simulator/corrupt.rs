//! Applies faults to list pages. The faulty pages still look like list pages.

mod bytes;
mod entries;
mod types;

use std::mem;

use axum::http::Uri;
use serde_json::{Value, json};

use super::call::Call;
use super::faults::{PageFault, checksum};

/// The parts of a request that decide how its page is corrupted, so that the same request gets the same page.
pub(crate) struct RequestKey {
    /// The request's cursor or, for page numbers, its URL. `None` for the first page of a list with cursors.
    from: Option<String>,
    /// A checksum of the request.
    checksum: u64,
    /// Whether the request is for a later page than the first.
    is_later: bool,
    is_legacy: bool,
}

impl RequestKey {
    pub(crate) fn new(call: &Call, uri: &Uri) -> Self {
        let from = if call.parameter("page").is_some() { Some(format!("{}{uri}", call.base)) } else { call.cursor() };
        let is_later = ["page", "starting_after"].iter().any(|name| call.parameter(name).is_some());
        let checksum = checksum(&[uri.to_string().as_bytes(), &call.body].concat());
        Self { from, checksum, is_later, is_legacy: call.version.is_legacy() }
    }
}

/// Applies a fault to the body of a list page. Other bodies do not change. A page that does not have what the fault changes does not
/// change either.
pub(crate) fn corrupt(body: String, fault: PageFault, request: &RequestKey) -> Vec<u8> {
    let Ok(mut page) = serde_json::from_str::<Value>(&body) else {
        return body.into_bytes();
    };
    if fault == PageFault::PagedGroups {
        return entries::halve(page, request.is_later, request.is_legacy).to_string().into_bytes();
    }
    // A scroll has no `pages`.
    let is_paged = page["pages"].is_object();
    if !is_paged && !page["scroll_param"].is_string() {
        return body.into_bytes();
    }
    let name = ["conversations", "users", "contacts", "companies"].into_iter().find(|name| page[*name].is_array()).unwrap_or("data");
    // The list is moved out of the page, so that page and entries can both be changed.
    let mut list = page.get_mut(name).and_then(Value::as_array_mut).map(mem::take).unwrap_or_default();
    match fault {
        PageFault::Loop if is_paged => {
            let number = page["pages"]["page"].as_u64().unwrap_or(1) + 1;
            // The request for the first page has no cursor to repeat, so the first page does not change.
            if let Some(url) = request.from.as_ref().filter(|from| from.starts_with("http")) {
                page["pages"]["next"] = json!(url);
            } else if let Some(cursor) = &request.from {
                page["pages"]["next"] = json!({"page": number, "starting_after": cursor});
            }
        }
        PageFault::ForeignNext if is_paged => {
            page["pages"]["next"] = json!("http://attacker.example/contacts?page=2&starting_after=abc");
        }
        PageFault::Loop | PageFault::ForeignNext => {}
        PageFault::Short if is_paged => end(&mut page["pages"]),
        PageFault::Short => list.clear(),
        PageFault::Total => {
            if let Some(total) = page["total_count"].as_u64() {
                page["total_count"] = json!((total + total / 10).max(total + 1));
            }
        }
        PageFault::Shrink => {
            if let Some(total) = page["total_count"].as_u64() {
                page["total_count"] = json!(total.saturating_sub((total / 10).max(1)));
            }
        }
        PageFault::Extra => {
            if is_paged {
                if page["pages"]["next"].is_null() {
                    page["pages"]["next"] = Value::Null;
                }
                page["pages"]["prev"] = Value::Null;
            }
            page["limited"] = json!(false);
            entries::add_unknown_keys(&mut list);
        }
        PageFault::Drop => entries::drop_one(&mut list),
        PageFault::Repeat => entries::repeat_one(&mut list),
        PageFault::Stale => entries::add_older_version(&mut list),
        PageFault::Outside => entries::add_outsider(&mut list, request.checksum),
        PageFault::Huge => entries::swell_one(&mut list),
        PageFault::NotUtf8 => bytes::corrupt_encoding(&mut list),
        PageFault::HalfCharacter => bytes::halve_characters(&mut list),
        PageFault::Nested => bytes::nest(&mut list),
        PageFault::Markup => entries::mark_up(&mut list),
        PageFault::NullSource => entries::remove_sources(&mut list),
        PageFault::MergedAuthor => entries::merge_authors(&mut list),
        PageFault::PagedGroups => {}
        PageFault::Stringly => types::loosen(&mut list),
        PageFault::Nulls => types::empty(&mut list),
        PageFault::Mistyped => types::mistype(&mut list),
    }
    if let Some(entries) = page.get_mut(name).filter(|entries| entries.is_array()) {
        *entries = Value::Array(list);
    }
    bytes::write(&page)
}

/// Removes the next page as each generation does on its last page: `next: null` in 1.x, no `next` in 2.x.
fn end(pages: &mut Value) {
    if let Some(pages) = pages.as_object_mut() {
        match pages.get_mut("next") {
            Some(next) if next.is_string() => *next = Value::Null,
            Some(next) if next.is_object() => drop(pages.remove("next")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(from: Option<&str>) -> RequestKey {
        RequestKey { from: from.map(str::to_owned), checksum: 7, is_later: false, is_legacy: false }
    }

    fn corrupted(fault: PageFault) -> Value {
        let entry = |id: &str, at: i64| json!({"id": id, "created_at": at});
        let page = json!({"type": "list", "data": [entry("5", 1), entry("6a", 2), entry("7", 3)], "total_count": 3, "pages": {"page": 2}});
        serde_json::from_slice(&corrupt(page.to_string(), fault, &request(Some("abc")))).unwrap()
    }

    #[test]
    fn each_fault_changes_what_it_names() {
        assert_eq!(corrupted(PageFault::Loop)["pages"]["next"], json!({"page": 3, "starting_after": "abc"}));
        assert!(corrupted(PageFault::ForeignNext)["pages"]["next"].is_string());
        assert_eq!(corrupted(PageFault::Extra)["pages"].get("next"), Some(&Value::Null));
        assert_eq!(corrupted(PageFault::Drop)["data"].as_array().unwrap().len(), 2);
        assert_eq!(corrupted(PageFault::Repeat)["data"][1], corrupted(PageFault::Repeat)["data"][2]);
        assert_eq!(
            (corrupted(PageFault::Total)["total_count"].clone(), corrupted(PageFault::Shrink)["total_count"].clone()),
            (json!(4), json!(2))
        );
        let data = &corrupted(PageFault::Stringly)["data"];
        assert_eq!(data[0], json!({"id": 5, "created_at": "1"}));
        assert_eq!(data[1], json!({"id": "6a", "created_at": 2000}));
        assert_eq!(data[2], json!({"id": 7, "created_at": "1970-01-01T00:00:03.000Z"}));
    }

    #[test]
    fn pages_of_1x_are_corrupted_in_their_own_form() {
        let page = json!({"type": "user.list", "users": [{"id": "5"}, {"id": "6"}], "total_count": 2, "pages": {"next": "http://here/users?page=3"}});
        let url = "http://here/users?page=2";
        let corrupted =
            |page: &Value, fault| serde_json::from_slice::<Value>(&corrupt(page.to_string(), fault, &request(Some(url)))).unwrap();
        assert_eq!(corrupted(&page, PageFault::Loop)["pages"]["next"], url);
        assert_eq!(corrupted(&page, PageFault::Short)["pages"], json!({"next": null}));
        let scroll = json!({"type": "user.list", "users": [{"id": "5"}, {"id": "6"}], "scroll_param": "abc"});
        assert_eq!(corrupted(&scroll, PageFault::Drop)["users"], json!([{"id": "5"}]));
        assert_eq!(corrupted(&scroll, PageFault::Short)["users"], json!([]));
        for fault in [PageFault::Loop, PageFault::ForeignNext, PageFault::Total, PageFault::Shrink] {
            assert_eq!(corrupted(&scroll, fault), scroll, "{fault:?}");
        }
    }

    #[test]
    fn other_bodies_do_not_change() {
        for body in ["{\"type\":\"list\",\"data\":[]}", "no json", "[]"] {
            for fault in [PageFault::Drop, PageFault::Short, PageFault::Outside, PageFault::Extra] {
                assert_eq!(corrupt(body.to_owned(), fault, &request(None)), body.as_bytes());
            }
        }
    }

    #[test]
    fn an_empty_page_does_not_change() {
        let page = json!({"type": "list", "data": [], "total_count": 0, "pages": {"page": 1}});
        for fault in [
            PageFault::Drop,
            PageFault::Repeat,
            PageFault::Stale,
            PageFault::Outside,
            PageFault::Shrink,
            PageFault::Huge,
            PageFault::Markup,
            PageFault::NotUtf8,
            PageFault::Nested,
        ] {
            assert_eq!(corrupt(page.to_string(), fault, &request(None)), page.to_string().as_bytes(), "{fault:?}");
        }
    }
}
