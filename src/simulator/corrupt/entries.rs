//! Faults that add, remove or change whole entries of a page. A fault of one entry applies to the entry in the middle.

use serde_json::{Value, json};

use crate::calendar::DAY;
use crate::faults::checksum;

const TEN_YEARS: i64 = 3_653 * DAY;
/// The length of a huge text, in bytes.
const HUGE: usize = 5_000_000;
/// The boolean fields that [`add_older_version`] inverts.
const FLAGS: [&str; 5] = ["unsubscribed_from_emails", "marked_email_as_spam", "has_hard_bounced", "open", "read"];

/// Splits a list that is documented to come without pages into two pages, and returns one of them. `next` of the first page leads to the
/// second.
pub(super) fn halve(mut body: Value, is_second: bool, is_legacy: bool) -> Value {
    let name = ["tags", "segments", "data"].into_iter().find(|name| body[*name].is_array());
    let Some(list) = name.and_then(|name| body[name].as_array_mut()).filter(|list| list.len() > 1) else { return body };
    let second = list.split_off(list.len() / 2);
    if is_second {
        *list = second;
    }
    let next = match (is_second, is_legacy) {
        (true, _) => Value::Null,
        (false, true) => json!("https://api.intercom.io/elsewhere?page=2"),
        (false, false) => json!({"page": 2, "starting_after": "c2Vjb25k"}),
    };
    body["pages"] = json!({"type": "pages", "page": if is_second { 2 } else { 1 }, "total_pages": 2, "next": next});
    body
}

/// Removes the source of every third conversation.
pub(super) fn remove_sources(list: &mut [Value]) {
    for entry in list.iter_mut().step_by(3) {
        for source in ["source", "conversation_message"] {
            if let Some(source) = entry.get_mut(source) {
                *source = Value::Null;
            }
        }
    }
}

/// Replaces the id of each author that is a contact by an id that no contact has, as if the author had been merged into the contact that is
/// the participant now.
pub(super) fn merge_authors(list: &mut [Value]) {
    for entry in list {
        for source in ["source", "conversation_message"] {
            let Some(author) = entry.get_mut(source).and_then(|source| source.get_mut("author")) else { continue };
            if let Some(id) = author["id"].as_str().filter(|_| matches!(author["type"].as_str(), Some("user" | "lead" | "contact"))) {
                author["id"] = json!(format!("00000000{:016x}", checksum(id.as_bytes())));
            }
        }
    }
}

pub(super) fn drop_one(list: &mut Vec<Value>) {
    if !list.is_empty() {
        list.remove(list.len() / 2);
    }
}

pub(super) fn repeat_one(list: &mut Vec<Value>) {
    let middle = list.len() / 2;
    if let Some(entry) = list.get(middle).cloned() {
        list.insert(middle, entry);
    }
}

/// Adds an older version of an entry, as it may have been a day before its last change: with another name, other flags and another state.
/// The id decides whether the older version comes before or after the current version. So both orders occur, and the same request gets the
/// same page.
pub(super) fn add_older_version(list: &mut Vec<Value>) {
    let middle = list.len() / 2;
    let Some(mut older) = list.get(middle).cloned() else { return };
    let (Some(id), Some(updated_at)) = (older["id"].as_str(), older["updated_at"].as_i64()) else { return };
    let position = middle + usize::from(checksum(id.as_bytes()).is_multiple_of(2));
    older["updated_at"] = json!(updated_at - DAY);
    if let Some(name) = older.get_mut("name") {
        *name = json!("An earlier name");
    }
    for flag in FLAGS {
        if let Some(Value::Bool(set)) = older.get_mut(flag) {
            *set = !*set;
        }
    }
    if let Some(state) = older.get_mut("state") {
        *state = json!(if *state == "open" { "closed" } else { "open" });
    }
    list.insert(position, older);
}

/// Adds an entry that was created ten years before the oldest entry of the page. So it is outside the dates that were requested. `seed`
/// decides its id.
pub(super) fn add_outsider(list: &mut Vec<Value>, seed: u64) {
    let Some(oldest) = list.iter().filter_map(|entry| entry["created_at"].as_i64()).min() else { return };
    let middle = list.len() / 2;
    let mut outsider = list[middle].clone();
    let created_at = (oldest - TEN_YEARS).max(0);
    let is_numeric = outsider["id"].as_str().is_some_and(|id| id.bytes().all(|sign| sign.is_ascii_digit()));
    // No other entry has this id. A numeric id is longer than all numeric ids of the world. Any other id is a date and a suffix, like the
    // ids of contacts.
    outsider["id"] = json!(if is_numeric { format!("9{:018}", seed % 10_u64.pow(18)) } else { format!("{created_at:08x}{seed:016x}") });
    outsider["created_at"] = json!(created_at);
    for own in ["external_id", "user_id", "company_id"] {
        if let Some(Value::String(id)) = outsider.get_mut(own) {
            *id = format!("outsider-{seed:x}");
        }
    }
    list.insert(middle, outsider);
}

pub(super) fn swell_one(list: &mut [Value]) {
    let middle = list.len() / 2;
    if let Some(attributes) = list.get_mut(middle).and_then(custom_attributes) {
        attributes["huge_text"] = json!("x".repeat(HUGE));
    }
}

/// Adds the custom attributes `note` and `own_id`. For contacts on a paid plan, `note` has markup that an HTML page must not execute.
/// `own_id` is different for each entry.
pub(super) fn mark_up(list: &mut [Value]) {
    for entry in list {
        let id = entry["id"].clone();
        let pays = entry["custom_attributes"]["plan"].as_str().is_some_and(|plan| plan != "free");
        let Some(attributes) = custom_attributes(entry) else { continue };
        let note =
            if pays { "</script><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">" } else { "plain" };
        attributes["note"] = json!(note);
        attributes["own_id"] = json!(format!("own {}", id.as_str().unwrap_or_default()));
    }
}

pub(super) fn custom_attributes(entry: &mut Value) -> Option<&mut Value> {
    let attributes = entry.as_object_mut()?.entry("custom_attributes").or_insert(Value::Null);
    if !attributes.is_object() {
        *attributes = json!({});
    }
    Some(attributes)
}

pub(super) fn add_unknown_keys(list: &mut [Value]) {
    for entry in list {
        entry["brand_new_key"] = json!({"nested": [1, null, {"deep": true}]});
        entry["another"] = Value::Null;
    }
}
