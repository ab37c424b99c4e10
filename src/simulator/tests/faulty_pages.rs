//! List pages with faults, in both dialects, compared with the same pages without faults.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::NOW;
use super::served::{Served, ids, sorted};
use crate::*;

const YEAR: i64 = 365 * 86_400;

/// A simulator with these faults. Its world is the same for all tests.
async fn served(random: &str, at: &str) -> Served {
    let faults = Faults::parse(Some(random), Some(at)).unwrap();
    Served::with(Options { world: WorldOptions { contacts: 200, ..WorldOptions::default() }, faults, ..Options::default() }).await
}

fn list(page: &Value) -> &Vec<Value> {
    ["data", "conversations", "users", "contacts", "companies"].into_iter().find_map(|name| page[name].as_array()).unwrap()
}

/// The pages of a 2.x search, or of a list with its cursors in the query.
async fn pages(served: &Served, path: &str, per_page: u64) -> Vec<Value> {
    let (mut cursor, mut pages) = (Value::Null, Vec::new());
    loop {
        let page = page(served, path, per_page, &cursor).await.json();
        cursor = page["pages"]["next"]["starting_after"].clone();
        pages.push(page);
        if cursor.is_null() {
            return pages;
        }
    }
}

async fn page(served: &Served, path: &str, per_page: u64, cursor: &Value) -> super::served::Answer {
    if path.ends_with("/search") {
        let query = json!({"field": "created_at", "operator": ">", "value": NOW - 2 * YEAR});
        let sort = json!({"field": "created_at", "order": "ascending"});
        let pagination = json!({"per_page": per_page, "starting_after": cursor});
        return served.post("2.11", path, json!({"query": query, "sort": sort, "pagination": pagination})).await;
    }
    let encoded = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let after =
        cursor.as_str().map_or(String::new(), |cursor| format!("&starting_after={}", cursor.bytes().map(encoded).collect::<String>()));
    served.get("2.11", &format!("{path}?per_page={per_page}{after}")).await
}

fn entries(pages: &[Value]) -> Vec<Value> {
    pages.iter().flat_map(list).cloned().collect()
}

/// Each record by its id. If a record comes in several versions, the latest is kept.
fn newest(entries: &[Value]) -> BTreeMap<String, Value> {
    let mut newest = BTreeMap::new();
    for entry in entries {
        let known: &mut Value = newest.entry(entry["id"].as_str().unwrap().to_owned()).or_insert_with(|| entry.clone());
        if entry["updated_at"].as_i64() > known["updated_at"].as_i64() {
            *known = entry.clone();
        }
    }
    newest
}

#[tokio::test]
async fn a_request_with_a_cursor_is_refused_as_for_a_bad_one() {
    let served = served("cursor:1", "").await;
    let first = page(&served, "/contacts/search", 20, &Value::Null).await.json();
    let cursor = &first["pages"]["next"]["starting_after"];
    let refused = page(&served, "/contacts/search", 20, cursor).await;
    let bad = page(&served, "/contacts/search", 20, &json!("no cursor")).await;
    assert_eq!((refused.refusal(), refused.message()), ((400, "client_error".to_owned()), bad.message()));
    let first = page(&served, "/conversations", 20, &Value::Null).await.json();
    assert_eq!(page(&served, "/conversations", 20, &first["pages"]["next"]["starting_after"]).await.refusal(), refused.refusal());
    assert_eq!(served.get("1.4", "/users?page=2").await.status, 200, "a page number is no cursor");
    let scroll = served.get("1.4", "/users/scroll").await.json();
    let path = format!("/users/scroll?scroll_param={}", scroll["scroll_param"].as_str().unwrap());
    assert_eq!(served.get("1.4", &path).await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(served.get("1.4", "/users/scroll").await.status, 200, "it can be restarted");
}

#[tokio::test]
async fn the_newest_version_of_each_record_is_the_right_one() {
    let (clean, stale) = (served("", "").await, served("stale:1", "").await);
    for path in ["/contacts/search", "/contacts", "/conversations/search", "/conversations"] {
        let (clean, stale) = (entries(&pages(&clean, path, 10).await), pages(&stale, path, 10).await);
        let all = entries(&stale);
        assert_eq!(all.len(), clean.len() + stale.len(), "one more on each page of {path}");
        assert_eq!(newest(&all), newest(&clean), "{path}");
        // The older version comes first for some entries, and last for others.
        let twins = all.windows(2).filter(|pair| pair[0]["id"] == pair[1]["id"]);
        let older_first: HashSet<bool> = twins.map(|pair| pair[0]["updated_at"].as_i64() < pair[1]["updated_at"].as_i64()).collect();
        assert_eq!(older_first.len(), 2, "{path}");
    }
    for (path, name) in [("/users?per_page=10", "users"), ("/conversations?per_page=10", "conversations"), ("/companies", "companies")] {
        let (right, wrong) = (clean.get("1.4", path).await.json(), stale.get("1.4", path).await.json());
        assert_eq!(newest(list(&wrong)), newest(list(&right)), "{name}");
        assert_eq!((list(&wrong).len(), stale.get("1.4", path).await.json()), (list(&right).len() + 1, wrong));
    }
    let page = stale.get("1.4", "/users?per_page=10").await.json();
    let twins = list(&page).windows(2).find(|pair| pair[0]["id"] == pair[1]["id"]).unwrap();
    assert!(twins[0]["name"] != twins[1]["name"] && twins[0]["has_hard_bounced"] != twins[1]["has_hard_bounced"]);
}

#[tokio::test]
async fn an_entry_moves_to_the_next_page_and_nothing_is_lost() {
    let clean = served("", "").await;
    for moved in [served("move:1", "").await, served("", "2-3=move").await] {
        for path in ["/contacts/search", "/contacts", "/conversations/search"] {
            let (right, wrong) = (pages(&clean, path, 10).await, pages(&moved, path, 10).await);
            assert_eq!(sorted(ids(&json!(entries(&wrong)))), sorted(ids(&json!(entries(&right)))), "{path}");
        }
        assert_eq!(moved.follow("1.4", "/users?per_page=10", "users").await, clean.follow("1.4", "/users?per_page=10", "users").await);
    }
}

#[tokio::test]
async fn a_page_without_its_last_entry_is_the_same_on_repetition() {
    let (clean, moved) = (served("", "").await, served("", "1-2=move").await);
    let right = page(&clean, "/contacts/search", 10, &Value::Null).await.json();
    let first = page(&moved, "/contacts/search", 10, &Value::Null).await.json();
    assert_eq!(list(&first)[..], list(&right)[..9]);
    assert_eq!(page(&moved, "/contacts/search", 10, &Value::Null).await.json(), first);
    let second = page(&moved, "/contacts/search", 10, &first["pages"]["next"]["starting_after"]).await.json();
    assert_eq!((&list(&second)[0], &second["pages"]["page"]), (&list(&right)[9], &json!(2)), "on top, with a fault or without");
    // A page number does not depend on earlier pages, so a moved entry stays moved.
    let moved = served("", "2=move").await;
    let urls = [1, 2, 3].map(|number| format!("/users?per_page=10&page={number}"));
    let mut seen = Vec::new();
    for url in [&urls[0], &urls[1], &urls[2], &urls[1], &urls[2]] {
        seen.push(ids(&moved.get("1.4", url).await.json()["users"]));
    }
    assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [10, 9, 11, 9, 11]);
    assert_eq!((&seen[1], &seen[2]), (&seen[3], &seen[4]));
    let others = moved.get("1.4", "/users?per_page=10&page=2&order=asc").await.json();
    assert_eq!(list(&others).len(), 10, "another list is not affected");
}

#[tokio::test]
async fn entries_move_within_a_scroll() {
    let (clean, moved) = (served("", "").await, served("move:1", "").await);
    let (right, wrong) = (clean.scroll("/users/scroll", "users").await, moved.scroll("/users/scroll", "users").await);
    assert_eq!((right[0].len(), wrong[0].len()), (100, 99));
    assert_eq!(wrong.concat(), right.concat());
}

#[tokio::test]
async fn totals_shrink_and_lists_end_too_early() {
    let (clean, wrong) = (served("", "").await, served("", "1-3=shrink,4-7=short").await);
    for path in ["/users", "/companies", "/contacts"] {
        let total = |page: &Value| page["total_count"].as_u64().unwrap();
        let (right, shrunk) = (clean.get("1.4", path).await.json(), wrong.get("1.4", path).await.json());
        assert_eq!((total(&shrunk), list(&shrunk)), (total(&right) - total(&right) / 10, list(&right)), "{path}");
    }
    let right = clean.get("1.4", "/users?per_page=10").await.json();
    let short = wrong.get("1.4", "/users?per_page=10").await.json();
    assert!(right["pages"]["next"].is_string() && short["pages"]["next"].is_null());
    assert_eq!((&short["users"], &short["total_count"]), (&right["users"], &right["total_count"]));
    assert_eq!(list(&wrong.get("1.4", "/users/scroll").await.json()).len(), 0);
    let short = pages(&wrong, "/contacts/search", 10).await;
    assert_eq!((short.len(), list(&short[0]).len(), short[0]["pages"].get("next")), (1, 10, None));
    assert!(short[0]["total_count"].as_u64() > Some(10));
    let last = clean.get("1.4", "/users?per_page=10&page=99").await.json();
    assert_eq!(wrong.get("1.4", "/users?per_page=10&page=99").await.json(), last, "the last page is the last page");
}

#[tokio::test]
async fn an_entry_comes_that_was_not_requested() {
    let (clean, wrong) = (served("", "").await, served("outside:1", "").await);
    for path in ["/contacts/search", "/conversations/search", "/contacts"] {
        let right = page(&clean, path, 10, &Value::Null).await.json();
        let more = page(&wrong, path, 10, &Value::Null).await.json();
        let known: HashSet<&str> = list(&right).iter().map(|entry| entry["id"].as_str().unwrap()).collect();
        let (inside, outside): (Vec<&Value>, Vec<&Value>) =
            list(&more).iter().partition(|entry| known.contains(entry["id"].as_str().unwrap()));
        assert_eq!((inside, outside.len()), (list(&right).iter().collect(), 1), "{path}");
        assert!(outside[0]["created_at"].as_i64().unwrap() < NOW - 5 * YEAR);
        assert_eq!(page(&wrong, path, 10, &Value::Null).await.json(), more, "the same request gets the same entry");
        let other = page(&wrong, path, 11, &Value::Null).await.json();
        assert!(!list(&other).iter().any(|entry| entry["id"] == outside[0]["id"]), "{path}");
    }
    let (right, more) = (clean.get("1.4", "/users?page=2").await.json(), wrong.get("1.4", "/users?page=2").await.json());
    assert_eq!(list(&more).len(), list(&right).len() + 1);
}

#[tokio::test]
async fn fields_are_null_or_of_another_type() {
    let (clean, wrong) = (served("", "").await, served("", "1-2=nulls,3-5=mistyped").await);
    for (version, path) in [("2.11", "/contacts"), ("1.4", "/users")] {
        let (right, empty) = (clean.get(version, path).await.json(), wrong.get(version, path).await.json());
        for (right, empty) in list(&right).iter().zip(list(&empty)) {
            assert!(["id", "type", "created_at", "companies"].iter().all(|name| right[name] == empty[name]));
            assert!(
                ["name", "email", "updated_at", "custom_attributes", "has_hard_bounced", "owner_id"]
                    .iter()
                    .all(|name| empty[name].is_null())
            );
        }
        assert_eq!(ids(&right[kind(&right)]), ids(&empty[kind(&empty)]));
    }
    for path in ["/contacts", "/conversations"] {
        let (right, mixed) = (clean.get("2.11", path).await.json(), wrong.get("2.11", path).await.json());
        assert_eq!(ids(&right[kind(&right)]), ids(&mixed[kind(&mixed)]));
        let changed =
            |(right, mixed): (&Value, &Value)| right.as_object().unwrap().iter().filter(|(name, value)| mixed[*name] != **value).count();
        assert!(list(&right).iter().zip(list(&mixed)).all(|pair| changed(pair) > 5), "{path}");
    }
    let mixed = wrong.get("2.11", "/contacts").await.json();
    let kinds = |name: &str| list(&mixed).iter().map(|entry| (entry[name].is_object(), entry[name].is_string())).collect::<HashSet<_>>();
    assert_eq!(kinds("custom_attributes"), HashSet::from([(true, false), (false, true)]));
    assert_eq!(kinds("has_hard_bounced"), HashSet::from([(false, true)]));
    assert_eq!(kinds("role"), HashSet::from([(true, false), (false, false)]));
}

fn kind(page: &Value) -> &'static str {
    ["data", "conversations", "users"].into_iter().find(|name| page[*name].is_array()).unwrap()
}

#[tokio::test]
async fn one_entry_is_huge() {
    let (clean, wrong) = (served("", "").await, served("huge:1", "").await);
    for (version, path) in [("2.11", "/contacts"), ("1.4", "/users"), ("2.11", "/conversations")] {
        let (right, huge) = (clean.get(version, path).await.json(), wrong.get(version, path).await);
        assert!(huge.text.len() > 5_000_000);
        let mut huge = huge.json();
        let name = kind(&huge);
        let grown = |entry: &Value| entry["custom_attributes"]["huge_text"].is_string();
        assert_eq!(list(&huge).iter().filter(|entry| grown(entry)).count(), 1);
        for entry in huge[name].as_array_mut().unwrap() {
            entry["custom_attributes"].as_object_mut().unwrap().remove("huge_text");
        }
        assert!(huge[name] == right[name], "{path}: nothing else has changed");
    }
}
