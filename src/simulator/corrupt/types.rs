//! Faults that change the types of values.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

/// Converts ids to numbers where possible, and dates to text, milliseconds or ISO 8601 in turn.
pub(super) fn loosen(list: &mut [Value]) {
    for (number, entry) in list.iter_mut().enumerate() {
        loosen_value(entry, number);
    }
}

fn loosen_value(value: &mut Value, number: usize) {
    match value {
        Value::Object(fields) => loosen_fields(fields, number),
        Value::Array(values) => values.iter_mut().for_each(|value| loosen_value(value, number)),
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
            // Some dates of the world are in milliseconds already.
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
            loosen_value(value, number);
        }
    }
}

/// Sets all fields to null, except id, type, date of creation, and lists, because lists have totals.
pub(super) fn empty(list: &mut [Value]) {
    let is_list = |value: &Value| {
        let kind = value["type"].as_str().unwrap_or_default();
        value.is_array() || value["total_count"].is_number() || kind == "list" || kind.ends_with(".list")
    };
    for entry in list.iter_mut().filter_map(Value::as_object_mut) {
        for (name, value) in entry.iter_mut() {
            if !matches!(name.as_str(), "id" | "type" | "created_at") && !is_list(value) {
                *value = Value::Null;
            }
        }
    }
}

/// Converts texts to numbers or objects, booleans to text, arrays to null or objects, and objects to text or to objects with mistyped
/// fields. The index of the entry and of the field decides between two forms. Ids, types, numbers and dates do not change.
pub(super) fn mistype(list: &mut [Value]) {
    for (number, entry) in list.iter_mut().enumerate() {
        if let Some(fields) = entry.as_object_mut() {
            mistype_fields(fields, number);
        }
    }
}

fn mistype_fields(fields: &mut Map<String, Value>, turn: usize) {
    for (number, (name, value)) in fields.iter_mut().enumerate() {
        if name == "type" || name == "id" || name.ends_with("_id") {
            continue;
        }
        let first = (turn + number).is_multiple_of(2);
        *value = match value.take() {
            Value::String(text) if first => json!(text.len()),
            Value::String(text) => json!({"value": text}),
            Value::Bool(set) => json!(set.to_string()),
            Value::Array(_) if first => Value::Null,
            Value::Array(items) => json!({"items": items}),
            Value::Object(fields) if first => Value::String(Value::Object(fields).to_string()),
            Value::Object(mut fields) => {
                mistype_fields(&mut fields, turn + number);
                Value::Object(fields)
            }
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_change_in_turn() {
        let entry = json!({"a": "text", "b": "text", "c": true, "d": [1], "e": [1], "f": {"g": "text"}, "h": {"g": [1]}, "id": "5", "owner_id": "6", "n": 7});
        let mut list = [entry.clone(), entry];
        mistype(&mut list);
        let (even, odd) = (&list[0], &list[1]);
        assert_eq!((&even["a"], &even["b"], &even["c"]), (&json!(4), &json!({"value": "text"}), &json!("true")));
        assert_eq!((&odd["a"], &odd["b"], &odd["c"]), (&json!({"value": "text"}), &json!(4), &json!("true")));
        assert_eq!((&even["d"], &even["e"]), (&json!({"items": [1]}), &Value::Null));
        assert_eq!((&even["f"], &even["h"]), (&json!({"g": {"value": "text"}}), &json!("{\"g\":[1]}")));
        assert_eq!((&even["id"], &even["owner_id"], &even["n"]), (&json!("5"), &json!("6"), &json!(7)));
    }

    #[test]
    fn lists_are_not_set_to_null() {
        let tags = json!({"type": "tag.list", "tags": []});
        let mut list =
            [json!({"type": "user", "id": "5", "created_at": 1, "updated_at": 2, "name": "N", "tags": tags, "avatar": {"type": "avatar"}})];
        empty(&mut list);
        assert_eq!(
            list[0],
            json!({"type": "user", "id": "5", "created_at": 1, "updated_at": null, "name": null, "tags": tags, "avatar": null})
        );
    }
}
