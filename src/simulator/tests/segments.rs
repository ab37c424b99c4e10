//! Segments that are edited, deleted and made anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{NOW, get, search, world};
use crate::calendar::DAY;
use crate::world::World;
use crate::world::groups::{BIG_TEAMS_EDIT, POWER_USERS_ANEW};
use crate::world_view::WorldView;

fn listed(view: &WorldView, name: &str) -> Vec<Value> {
    let all = get(view, "/segments", &[("include_count", "true")], "2.11").unwrap()["segments"].clone();
    all.as_array().unwrap().iter().filter(|segment| segment["name"] == name).cloned().collect()
}

/// The ids of the contacts that a search by segment finds.
fn found(view: &WorldView, id: &Value) -> BTreeSet<String> {
    let body = json!({"query": {"field": "segment_id", "operator": "=", "value": id}, "pagination": {"per_page": 150}});
    let page = search(view, "/contacts/search", &body, "2.11").unwrap();
    page["data"].as_array().unwrap().iter().map(|contact| contact["id"].as_str().unwrap().to_owned()).collect()
}

fn at(world: &Arc<World>, now: i64) -> WorldView {
    WorldView::new(Arc::clone(world), now)
}

#[test]
fn the_filter_of_big_teams_is_edited() {
    let world = world(5_000);
    let (before, after) = (at(&world, BIG_TEAMS_EDIT - 1), at(&world, BIG_TEAMS_EDIT));
    let (old, new) = (&listed(&before, "Big teams")[0], &listed(&after, "Big teams")[0]);
    assert_eq!((&old["id"], &old["created_at"]), (&new["id"], &new["created_at"]));
    assert_eq!((&old["updated_at"], &new["updated_at"]), (&json!(old["created_at"].as_i64().unwrap() + DAY), &json!(BIG_TEAMS_EDIT)));
    let factor = new["count"].as_f64().unwrap() / old["count"].as_f64().unwrap();
    assert!((1.8..2.3).contains(&factor), "{factor}");
    assert!(found(&before, &old["id"]).len() > 100);
    let path = format!("/segments/{}", new["id"].as_str().unwrap());
    assert_eq!(get(&at(&world, NOW), &path, &[], "2.11").unwrap()["updated_at"], BIG_TEAMS_EDIT);
    // In other months, the size changes little.
    let size = |now: i64| listed(&at(&world, now), "Big teams")[0]["count"].as_f64().unwrap();
    let edges = [BIG_TEAMS_EDIT - 61 * DAY, BIG_TEAMS_EDIT - 30 * DAY, BIG_TEAMS_EDIT + DAY, BIG_TEAMS_EDIT + 31 * DAY].map(size);
    assert!((0.95..1.15).contains(&(edges[1] / edges[0])) && (0.95..1.15).contains(&(edges[3] / edges[2])), "{edges:?}");
}

#[test]
fn a_segment_is_made_anew_under_its_name() {
    let world = world(600);
    let (before, after) = (at(&world, POWER_USERS_ANEW - 1), at(&world, POWER_USERS_ANEW));
    let (old, new) = (listed(&before, "Power users"), listed(&after, "Power users"));
    assert_eq!((old.len(), new.len()), (1, 1));
    let (old, new) = (&old[0], &new[0]);
    assert_ne!(old["id"], new["id"]);
    assert_eq!((&new["created_at"], &new["updated_at"]), (&json!(POWER_USERS_ANEW), &json!(POWER_USERS_ANEW)));
    // Each of the two segments is visible only while it exists.
    for (view, there, gone) in [(&before, old, new), (&after, new, old)] {
        let id = there["id"].as_str().unwrap();
        assert_eq!(get(view, &format!("/segments/{id}"), &[], "2.11").unwrap()["name"], "Power users");
        let refused = get(view, &format!("/segments/{}", gone["id"].as_str().unwrap()), &[], "2.11").unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code), (404, "not_found"));
        let members = found(view, &there["id"]);
        assert_eq!(members.len(), there["count"].as_u64().unwrap() as usize);
        assert!(members.len() > 20 && found(view, &gone["id"]).is_empty());
        for member in &members {
            let segments = get(view, &format!("/contacts/{member}/segments"), &[], "2.11").unwrap();
            let ids: Vec<&Value> = segments["data"].as_array().unwrap().iter().map(|segment| &segment["id"]).collect();
            assert!(ids.contains(&&there["id"]) && !ids.contains(&&gone["id"]));
        }
    }
    assert!(listed(&after, "Power users")[0]["count"].as_u64() < old["count"].as_u64(), "the new filter is narrower");
}

#[test]
fn segments_exist_from_their_creation_on() {
    let world = world(60);
    let names = |now: i64| listed_names(&at(&world, now));
    assert_eq!(names(1_700_000_000), ["Active", "New", "Slipping Away", "Trial users", "Leads to call"]);
    assert_eq!(names(NOW).len(), 9);
}

fn listed_names(view: &WorldView) -> Vec<String> {
    let all = get(view, "/segments", &[], "2.11").unwrap()["segments"].clone();
    all.as_array().unwrap().iter().map(|segment| segment["name"].as_str().unwrap().to_owned()).collect()
}
