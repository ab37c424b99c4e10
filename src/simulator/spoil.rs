//! List pages that are wrong in ways that still look like list pages.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::faults::Fault;

/// Applies a fault to the body of a list page. Bodies that are no list with pages stay as they are.
///
/// `cursor` is the one that the request carried; where pages have numbers, the URL of the request.
pub fn spoil(body: String, fault: Fault, cursor: Option<&str>) -> String {
    let Ok(mut page) = serde_json::from_str::<Value>(&body) else {
        return body;
    };
    let (is_paged, is_scroll) = (page["pages"].is_object(), page["scroll_param"].is_string());
    if !is_paged && !is_scroll {
        return body;
    }
    // A scroll has no `pages` that could be wrong.
    if !is_paged && matches!(fault, Fault::Loop | Fault::ForeignNext) {
        return body;
    }
    let entries = ["conversations", "users", "contacts", "companies"].into_iter().find(|name| page[*name].is_array()).unwrap_or("data");
    match fault {
        Fault::Loop => {
            let number = page["pages"]["page"].as_u64().unwrap_or(1) + 1;
            // The first page has no cursor that it could repeat: its next page will.
            if let Some(url) = cursor.filter(|cursor| cursor.starts_with("http")) {
                page["pages"]["next"] = json!(url);
            } else if let Some(cursor) = cursor {
                page["pages"]["next"] = json!({"page": number, "starting_after": cursor});
            }
        }
        Fault::ForeignNext => {
            page["pages"]["next"] = json!("http://attacker.example/contacts?page=2&starting_after=abc");
        }
        Fault::Extra => {
            if is_paged {
                if page["pages"]["next"].is_null() {
                    page["pages"]["next"] = Value::Null;
                }
                page["pages"]["prev"] = Value::Null;
            }
            page["limited"] = json!(false);
            for entry in list(&mut page, entries) {
                entry["brand_new_key"] = json!({"nested": [1, null, {"deep": true}]});
                entry["another"] = Value::Null;
            }
        }
        Fault::Stringly => {
            for (number, entry) in list(&mut page, entries).iter_mut().enumerate() {
                loosen(entry, number);
            }
        }
        Fault::Drop => {
            let list = list(&mut page, entries);
            if !list.is_empty() {
                list.remove(list.len() / 2);
            }
        }
        Fault::Repeat => {
            let list = list(&mut page, entries);
            if let Some(entry) = list.get(list.len() / 2).cloned() {
                list.insert(list.len() / 2, entry);
            }
        }
        Fault::Total => {
            if let Some(total) = page["total_count"].as_u64() {
                page["total_count"] = json!((total + total / 10).max(total + 1));
            }
        }
        _ => {}
    }
    page.to_string()
}

/// The entries of a page; an empty list is put where none is.
fn list<'a>(page: &'a mut Value, entries: &str) -> &'a mut Vec<Value> {
    if !page[entries].is_array() {
        page[entries] = Value::Array(Vec::new());
    }
    match &mut page[entries] {
        Value::Array(list) => list,
        _ => unreachable!("an array was put there above"),
    }
}

/// Ids become numbers where they can; dates become text, milliseconds or ISO 8601, in turn.
fn loosen(value: &mut Value, number: usize) {
    match value {
        Value::Object(fields) => loosen_fields(fields, number),
        Value::Array(values) => values.iter_mut().for_each(|value| loosen(value, number)),
        _ => {}
    }
}

fn loosen_fields(fields: &mut Map<String, Value>, number: usize) {
    for (name, value) in fields.iter_mut() {
        if (name == "id" || name.ends_with("_id"))
            && let Some(id) = value.as_str().and_then(|id| id.parse::<u64>().ok())
        {
            *value = json!(id);
        } else if name.ends_with("_at")
            && let Some(seconds) = value.as_i64()
            // The world has dates in milliseconds of its own.
            && seconds < 100_000_000_000
        {
            *value = match number % 3 {
                0 => json!(seconds.to_string()),
                1 => json!(seconds.saturating_mul(1000)),
                _ => match DateTime::from_timestamp(seconds, 0) {
                    Some(instant) => json!(instant.to_rfc3339_opts(SecondsFormat::Millis, true)),
                    None => continue,
                },
            };
        } else {
            loosen(value, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoiled(fault: Fault) -> Value {
        let entry = |id: &str, at: i64| json!({"id": id, "created_at": at});
        let page = json!({"type": "list", "data": [entry("5", 1), entry("6a", 2), entry("7", 3)], "total_count": 3, "pages": {"page": 2}});
        serde_json::from_str(&spoil(page.to_string(), fault, Some("abc"))).unwrap()
    }

    #[test]
    fn each_fault_changes_what_it_names() {
        assert_eq!(spoiled(Fault::Loop)["pages"]["next"], json!({"page": 3, "starting_after": "abc"}));
        assert!(spoiled(Fault::ForeignNext)["pages"]["next"].is_string());
        assert_eq!(spoiled(Fault::Extra)["pages"].get("next"), Some(&Value::Null));
        assert_eq!(spoiled(Fault::Drop)["data"].as_array().unwrap().len(), 2);
        assert_eq!(spoiled(Fault::Repeat)["data"][1], spoiled(Fault::Repeat)["data"][2]);
        assert_eq!(spoiled(Fault::Total)["total_count"], 4);
        let data = &spoiled(Fault::Stringly)["data"];
        assert_eq!(data[0], json!({"id": 5, "created_at": "1"}));
        assert_eq!(data[1], json!({"id": "6a", "created_at": 2000}));
        assert_eq!(data[2], json!({"id": 7, "created_at": "1970-01-01T00:00:03.000Z"}));
    }

    #[test]
    fn pages_of_1x_are_spoiled_by_their_own_words() {
        let page = json!({"type": "user.list", "users": [{"id": "5"}, {"id": "6"}], "total_count": 2, "pages": {"next": "http://here/users?page=3"}});
        let url = "http://here/users?page=2";
        let looping: Value = serde_json::from_str(&spoil(page.to_string(), Fault::Loop, Some(url))).unwrap();
        assert_eq!(looping["pages"]["next"], url);
        let scroll = json!({"type": "user.list", "users": [{"id": "5"}, {"id": "6"}], "scroll_param": "abc"});
        let shorter: Value = serde_json::from_str(&spoil(scroll.to_string(), Fault::Drop, None)).unwrap();
        assert_eq!(shorter["users"], json!([{"id": "5"}]));
        assert_eq!(spoil(scroll.to_string(), Fault::ForeignNext, None), scroll.to_string());
    }

    #[test]
    fn what_is_no_list_page_stays() {
        for body in ["{\"type\":\"list\",\"data\":[]}", "no json", "[]"] {
            assert_eq!(spoil(body.to_owned(), Fault::Drop, None), body);
        }
    }
}
