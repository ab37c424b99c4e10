//! Dates in searches for contacts, from 2.17 on.

use serde_json::{Value, json};

use super::{NOW, get, search, world};
use crate::calendar::day_around;
use crate::world_view::WorldView;

/// The number of contacts that a search finds by one date.
fn count(view: &WorldView, version: &str, field: &str, operator: &str, value: i64) -> usize {
    let body = json!({"query": {"field": field, "operator": operator, "value": value}, "pagination": {"per_page": 1}});
    search(view, "/contacts/search", &body, version).unwrap()["total_count"].as_u64().unwrap() as usize
}

#[test]
fn one_query_has_other_results_in_2_17() {
    let view = WorldView::new(world(1_500), NOW);
    let zone = &view.world.options.timezone;
    let created: Vec<i64> = view.contacts.iter().map(|index| view.contact(*index).created_at).collect();
    let seen: Vec<i64> = view.contacts.iter().filter_map(|index| view.contact(*index).last_seen_at(NOW)).collect();
    for (field, dates) in [("created_at", created), ("last_seen_at", seen)] {
        let at = dates[dates.len() / 2];
        let (start, end) = day_around(zone, at).unwrap();
        let number = |passes: &dyn Fn(i64) -> bool| dates.iter().filter(|date| passes(**date)).count();
        // The versions alternate, so a result that is cached for one version must not be used for the other.
        for _ in 0..2 {
            assert_eq!(count(&view, "2.17", field, ">", at), number(&|date| date > at), "{field}");
            assert_eq!(count(&view, "2.16", field, ">", at), number(&|date| date >= end), "{field}");
            assert_eq!(count(&view, "2.17", field, "<", at), number(&|date| date < at), "{field}");
            assert_eq!(count(&view, "2.16", field, "<", at), number(&|date| date < start), "{field}");
            assert_eq!(count(&view, "2.17", field, "=", at), number(&|date| date == at), "{field}");
            assert_eq!(count(&view, "2.16", field, "=", at), number(&|date| (start..end).contains(&date)), "{field}");
        }
    }
}

#[test]
fn custom_dates_are_days_of_utc_in_2_17() {
    let view = WorldView::new(world(3_000), NOW);
    let ends: Vec<i64> = view.contacts.iter().filter_map(|index| view.contact(*index).trial_ends_at).collect();
    let at = ends[ends.len() / 2];
    let start = at.div_euclid(86_400) * 86_400;
    let field = "custom_attributes.trial_ends_at";
    let number = |passes: &dyn Fn(i64) -> bool| ends.iter().filter(|date| passes(**date)).count();
    assert_eq!(count(&view, "2.17", field, "=", at), number(&|date| (start..start + 86_400).contains(&date)));
    assert_eq!(count(&view, "2.17", field, ">", at), number(&|date| date >= start + 86_400));
    assert_eq!(count(&view, "2.17", field, "<", at), number(&|date| date < start));
}

#[test]
fn unsure_operators_are_refused_in_2_17() {
    let view = WorldView::new(world(60), NOW);
    for operator in [">=", "<=", "!=", "IN"] {
        for field in ["created_at", "ios_last_seen_at", "custom_attributes.trial_ends_at"] {
            let body = json!({"query": {"field": field, "operator": operator, "value": NOW}});
            let error = search(&view, "/contacts/search", &body, "2.17").unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (400, "parameter_invalid"), "{field} {operator}");
        }
    }
}

#[test]
fn standard_dates_are_datetime_in_2_17() {
    let view = WorldView::new(world(60), NOW);
    let kind = |version: &str, name: &str| -> Value {
        let all = get(&view, "/data_attributes", &[("model", "contact")], version).unwrap()["data"].clone();
        all.as_array().unwrap().iter().find(|one| one["full_name"] == name).unwrap()["data_type"].clone()
    };
    for name in ["created_at", "last_seen_at", "last_email_clicked_at", "android_last_seen_at"] {
        assert_eq!([kind("2.16", name), kind("2.17", name)], ["date", "datetime"], "{name}");
    }
    assert_eq!(kind("2.17", "custom_attributes.trial_ends_at"), "date");
    assert_eq!(kind("2.17", "name"), "string");
}
