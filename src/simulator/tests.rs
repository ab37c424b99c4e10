//! Tests of several parts together: the world over time, and searches through the dialect.

mod connections;
mod conversation_tags;
mod exact_dates;
mod faulty_pages;
mod merges;
mod over_http;
mod overlay;
mod planted;
mod prepared;
mod segments;
mod served;
mod subscriptions;
mod tags;
mod v1;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::calendar::{DAY, start_of_month};
use super::call::Call;
use super::context::ReadContext;
use super::numbered::Moves;
use super::scroll::Scrolls;
use super::v2;
use super::version::Version;
use super::world::groups::{VALUE_LEAD, VALUE_LEAD_ID};
use super::world::people::{End, Plan, Role};
use super::world::{World, WorldOptions};
use super::world_view::WorldView;

/// 2026-11-01 in Dublin.
const NOW: i64 = 1_793_491_200;

fn world(contacts: usize) -> Arc<World> {
    Arc::new(World::new(WorldOptions { contacts, ..WorldOptions::default() }))
}

pub(super) fn call(method: Method, path: &str, query: &[(&str, &str)], body: &str, version: &str) -> Call {
    let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Call {
        method,
        path: path.to_owned(),
        query,
        body: Bytes::from(body.to_owned()),
        version: Version::parse(version).unwrap(),
        base: "http://test".to_owned(),
        moves: false,
        is_behind: false,
    }
}

/// A response of 2.x from a view alone, without open scrolls.
fn answer(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let scrolls = Scrolls::new(Duration::from_secs(60), 1);
    let moves = Moves::default();
    v2::answer(&ReadContext { view, scrolls: &scrolls, moves: &moves, cap_silent: false }, call)
}

fn get(view: &WorldView, path: &str, query: &[(&str, &str)], version: &str) -> Result<Value, ApiError> {
    answer(view, &call(Method::GET, path, query, "", version)).map(|body| serde_json::from_str(&body).unwrap())
}

fn search(view: &WorldView, path: &str, body: &Value, version: &str) -> Result<Value, ApiError> {
    answer(view, &call(Method::POST, path, &[], &body.to_string(), version)).map(|body| serde_json::from_str(&body).unwrap())
}

/// All entries of a search, in the order of its pages.
fn read_all(view: &WorldView, path: &str, query: Value, sort: Value, per_page: u64) -> Vec<Value> {
    let (mut entries, mut pages, mut cursor) = (Vec::new(), 0, Value::Null);
    loop {
        let body = json!({"query": query, "sort": sort, "pagination": {"per_page": per_page, "starting_after": cursor}});
        let page = search(view, path, &body, "2.16").unwrap();
        pages += 1;
        assert_eq!(page["pages"]["page"], pages);
        let data = page["data"].as_array().or_else(|| page["conversations"].as_array()).unwrap();
        entries.extend(data.iter().cloned());
        match &page["pages"].get("next") {
            None => {
                assert_eq!(page["total_count"], entries.len());
                assert_eq!(page["pages"]["total_pages"], entries.len().div_ceil(per_page as usize));
                return entries;
            }
            Some(next) => cursor = next["starting_after"].clone(),
        }
    }
}

fn ids(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

#[test]
fn a_seed_is_a_world() {
    let (one, same) = (WorldView::new(world(400), NOW), WorldView::new(world(400), NOW));
    let other = World::new(WorldOptions { seed: 2, contacts: 400, ..WorldOptions::default() });
    let body = |view: &WorldView| get(view, "/contacts", &[("per_page", "150")], "2.11").unwrap();
    assert_eq!(body(&one), body(&same));
    assert_ne!(one.world.contacts[0].id, other.contacts[0].id);
}

#[test]
fn the_world_has_the_requested_size_and_grows() {
    let world = world(5_000);
    let count = |year, month| WorldView::new(Arc::clone(&world), start_of_month(&world.options.timezone, year, month)).contacts.len();
    let now = count(2026, 11);
    assert!((4_850..5_150).contains(&now), "{now}");
    let sizes: Vec<usize> = (1..=24).map(|month| count(2025, month)).collect();
    assert!(sizes.is_sorted(), "{sizes:?}");
    assert!(world.contacts.is_sorted_by(|one, next| one.id < next.id), "ids are the order of contacts, and unique");
}

#[test]
fn groups_have_their_sizes_flows_and_trends() {
    let world = world(5_000);
    let view = |year, month| WorldView::new(Arc::clone(&world), start_of_month(&world.options.timezone, year, month));
    let now = view(2026, 11);
    let share = |members: &[u32]| members.len() as f64 / now.contacts.len() as f64;
    let tag = |view: &WorldView, name: &str| {
        let tag = world.tags.iter().position(|tag| tag.name == name).unwrap();
        Arc::clone(&view.tag_members[tag])
    };
    assert!((0.06..0.10).contains(&share(now.members_of_tag(VALUE_LEAD_ID))));
    assert!((0.35..0.45).contains(&share(&now.segment_members[0])), "Active {}", share(&now.segment_members[0]));
    assert!((0.07..0.13).contains(&share(&now.segment_members[2])), "Slipping Away {}", share(&now.segment_members[2]));
    assert_eq!((tag(&now, "empty tag").len(), tag(&now, "pilot customer").len()), (0, 1));
    assert!(tag(&view(2026, 8), "webinar-2026").is_empty() && !tag(&now, "webinar-2026").is_empty());
    assert!(tag(&view(2025, 11), "beta tester").len() < tag(&now, "beta tester").len());
    assert!(tag(&view(2025, 11), "VIP").len() > tag(&now, "VIP").len());
    assert!(tag(&view(2026, 1), "winter sale").len() > 50 && tag(&view(2026, 7), "winter sale").is_empty());
    assert!(now.segments().all(|(_, members)| !members.is_empty()));
    // Monthly flows of the two most important groups.
    for members in [|view: &WorldView| view.members_of_tag(VALUE_LEAD_ID).to_vec(), |view: &WorldView| view.segment_members[0].to_vec()] {
        for month in 1..=10 {
            let before: HashSet<u32> = members(&view(2026, month)).into_iter().collect();
            let after: HashSet<u32> = members(&view(2026, month + 1)).into_iter().collect();
            let (left, joined) = (before.difference(&after).count(), after.difference(&before).count());
            let flow = |count: usize| count as f64 / before.len() as f64;
            assert!(
                (0.025..0.16).contains(&flow(left)) && (0.025..0.16).contains(&flow(joined)),
                "{month}: -{} +{}",
                flow(left),
                flow(joined)
            );
        }
    }
}

#[test]
fn members_come_go_and_come_back() {
    let world = world(3_000);
    let ends: Vec<i64> = (0..24).map(|month| start_of_month(&world.options.timezone, 2025, 1 + month)).collect();
    let came_back = world.contacts.iter().filter(|contact| {
        let there: Vec<bool> = ends.iter().map(|end| contact.exists_at(*end) && contact.has_tag_at(VALUE_LEAD, *end)).collect();
        let spells = there.iter().zip(there.iter().skip(1)).filter(|(before, after)| !**before && **after).count();
        spells >= 2 || (there[0] && spells >= 1)
    });
    assert!(came_back.count() > 20);
}

#[test]
fn slipping_away_is_free_and_brazilian_and_value_leads_talk_more() {
    let world = world(5_000);
    let view = WorldView::new(Arc::clone(&world), NOW);
    let suspicious = |index: &&u32| {
        let contact = world.contact(**index);
        contact.plan_at(NOW) == Plan::Free && contact.place.is_some_and(|(country, _)| country == 3)
    };
    let share = |members: &[u32]| members.iter().filter(suspicious).count() as f64 / members.len() as f64;
    assert!(share(&view.segment_members[2]) > 2.0 * share(&view.segment_members[0]));
    let last_month = start_of_month(&world.options.timezone, 2026, 10);
    let mut opened: BTreeMap<u32, u32> = BTreeMap::new();
    for conversation in view.conversations().iter().filter(|conversation| conversation.created_at >= last_month) {
        *opened.entry(conversation.contact).or_default() += 1;
    }
    let mean = |members: &[u32]| members.iter().filter_map(|index| opened.get(index)).sum::<u32>() as f64 / members.len() as f64;
    let talking = |members: &[u32]| members.iter().filter(|index| opened.contains_key(index)).count() as f64 / members.len() as f64;
    let (leads, all) = (view.members_of_tag(VALUE_LEAD_ID), &view.contacts[..]);
    assert!(
        talking(leads) > 1.6 * talking(all) && mean(leads) > 1.3 * mean(all),
        "{} {}, {} {}",
        talking(leads),
        talking(all),
        mean(leads),
        mean(all)
    );
    assert!(opened.values().any(|count| *count >= 10) && opened.len() * 5 < view.contacts.len(), "a heavy tail");
}

#[test]
fn the_difficult_cases_exist() {
    let world = world(5_000);
    let view = WorldView::new(Arc::clone(&world), NOW);
    let people = || view.contacts.iter().map(|index| world.contact(*index));
    let email =
        |wanted: Option<&str>| people().filter(|contact| contact.role_at(NOW) == Role::Lead && contact.email.as_deref() == wanted).count();
    assert!(email(None) > 50 && email(Some("")) > 50);
    assert!(people().all(|contact| contact.role_at(NOW) == Role::User || contact.external_id_at(NOW).is_none()));
    let addresses: Vec<&str> = people().filter_map(|contact| contact.email.as_deref()).filter(|email| !email.is_empty()).collect();
    assert!(addresses.iter().collect::<HashSet<_>>().len() < addresses.len(), "some addresses are shared");
    assert!(people().any(|contact| contact.tags_at(NOW).count() > 10) && people().any(|contact| contact.companies.len() > 10));
    assert!(people().any(|contact| contact.signed_up_at.is_some_and(|at| at < 0)));
    assert!(people().any(|contact| contact.signed_up_at.is_some_and(|at| at > 2_000_000_000)));
    let hostile = ["=1+2", "@x", "+x", "O&#39;Varen", "Velda\nOrrisk"];
    assert!(hostile.iter().all(|name| people().any(|contact| contact.name.as_deref() == Some(name))));
    let mut at_once: BTreeMap<i64, u32> = BTreeMap::new();
    people().for_each(|contact| *at_once.entry(contact.created_at).or_default() += 1);
    assert!(at_once.values().any(|count| *count > 150), "more than a page was created in one second");
    let edges: Vec<i64> = (1..=10).map(|month| start_of_month(&world.options.timezone, 2026, month)).collect();
    let begun: HashSet<i64> = view.conversations().iter().map(|conversation| conversation.created_at).collect();
    assert!(edges.iter().all(|edge| begun.contains(edge) && begun.contains(&(edge - 1))));
    assert!(view.conversations().iter().any(|conversation| !world.contact(conversation.contact).exists_at(NOW)));
}

#[test]
fn every_contact_is_on_exactly_one_page() {
    let view = WorldView::new(world(1_200), NOW);
    let all = json!({"field": "created_at", "operator": ">", "value": 0});
    for (sort, per_page) in [("created_at", 7), ("updated_at", 150), ("last_seen_at", 50), ("name", 150)] {
        for order in ["ascending", "descending"] {
            let found = read_all(&view, "/contacts/search", all.clone(), json!({"field": sort, "order": order}), per_page);
            let unique: HashSet<&str> = ids(&found).into_iter().collect();
            assert_eq!((unique.len(), found.len()), (view.contacts.len(), view.contacts.len()), "{sort} {order}");
        }
    }
    let newest = read_all(&view, "/contacts/search", all, Value::Null, 150);
    assert!(newest.is_sorted_by_key(|contact| -contact["created_at"].as_i64().unwrap()));
}

#[test]
fn the_list_shows_every_contact_once() {
    let view = WorldView::new(world(700), NOW);
    let (mut seen, mut cursor) = (HashSet::new(), None::<String>);
    loop {
        let mut query = vec![("per_page", "500")];
        query.extend(cursor.as_deref().map(|cursor| ("starting_after", cursor)));
        let page = get(&view, "/contacts", &query, "2.11").unwrap();
        assert_eq!(page["pages"]["per_page"], 150, "sizes over the maximum are cut");
        assert!(page["data"].as_array().unwrap().iter().all(|contact| seen.insert(contact["id"].to_string())));
        match page["pages"].get("next") {
            Some(next) => cursor = Some(next["starting_after"].as_str().unwrap().to_owned()),
            None => break,
        }
    }
    assert_eq!(seen.len(), view.contacts.len());
    assert_eq!(get(&view, "/contacts", &[], "2.11").unwrap()["data"].as_array().unwrap().len(), 10);
    assert_eq!(get(&view, "/contacts", &[("starting_after", "abc")], "2.11"), Err(ApiError::bad_cursor()));
}

#[test]
fn searches_find_what_the_world_knows() {
    let view = WorldView::new(world(2_000), NOW);
    let count = |query: Value| {
        search(&view, "/contacts/search", &json!({"query": query}), "2.14").unwrap()["total_count"].as_u64().unwrap() as usize
    };
    let filter = |field: &str, operator: &str, value: Value| json!({"field": field, "operator": operator, "value": value});
    let members = view.members_of_tag(VALUE_LEAD_ID);
    assert_eq!(count(filter("tag_id", "=", json!("1373897"))), members.len());
    assert_eq!(count(filter("tag_id", "!=", json!(1_373_897))), view.contacts.len() - members.len());
    assert_eq!(count(filter("tag_id", "=", json!("1"))), 0);
    let active = &view.world.segments[0];
    assert_eq!(count(filter("segment_id", "=", json!(active.id))), view.segment_members[0].len());
    assert_eq!(count(filter("role", "=", json!("user"))) + count(filter("role", "=", json!("lead"))), view.contacts.len());
    // The searches are for adjoining days: `left` is before `d`, and `right` is after `d - 1`.
    let (day, both) = (NOW - 400 * DAY, filter("tag_id", "=", json!("1373897")));
    let left = json!({"operator": "AND", "value": [both, filter("created_at", "<", json!(day))]});
    let right = json!({"operator": "AND", "value": [both, filter("created_at", ">", json!(day - DAY))]});
    assert_eq!(count(left) + count(right), members.len());
    let seats = |operator, value| count(filter("custom_attributes.seats", operator, json!(value)));
    assert_eq!(seats(">", 5) + seats("<=", 5), count(filter("role", "=", json!("user"))));
    let nested = json!({"operator": "AND", "value": [
        {"operator": "OR", "value": [filter("location.country", "=", json!("Brazil")), filter("location.country", "=", json!("Japan"))]},
        filter("custom_attributes.plan", "IN", json!(["free", "pro"])),
    ]});
    assert!((1..500).contains(&count(nested)));
}

#[test]
fn fresh_contacts_can_be_missing_from_searches() {
    let world = world(300);
    let newest = WorldView::new(Arc::clone(&world), NOW).contacts.last().map(|index| world.contact(*index)).unwrap();
    let found = |age, delay| {
        let view = WorldView::new(Arc::clone(&world), newest.created_at + age).with_search_delay(delay);
        let query = json!({"query": {"field": "id", "operator": "=", "value": newest.id}});
        assert!(get(&view, &format!("/contacts/{}", newest.id), &[], "2.11").is_ok());
        search(&view, "/contacts/search", &query, "2.11").unwrap()["total_count"].as_u64().unwrap()
    };
    assert_eq!([found(0, 0), found(0, 120), found(119, 120), found(120, 120)], [1, 0, 0, 1]);
}

#[test]
fn a_cursor_in_the_query_string_gives_page_one_again() {
    let view = WorldView::new(world(300), NOW);
    let body = json!({"query": {"field": "role", "operator": "=", "value": "user"}, "pagination": {"per_page": 5}});
    let first = search(&view, "/contacts/search", &body, "2.11").unwrap();
    let cursor = first["pages"]["next"]["starting_after"].as_str().unwrap();
    let asked = call(Method::POST, "/contacts/search", &[("starting_after", cursor)], &body.to_string(), "2.11");
    assert_eq!(answer(&view, &asked).map(|body| serde_json::from_str::<Value>(&body).unwrap()), Ok(first));
}

#[test]
fn versions_differ_where_they_should() {
    let world = world(2_000);
    let view = WorldView::new(Arc::clone(&world), NOW);
    let owned =
        view.contacts.iter().map(|index| world.contact(*index)).find(|contact| contact.owner.is_some() && contact.phone.is_some()).unwrap();
    let path = format!("/contacts/{}", owned.id);
    let show = |version| get(&view, &path, &[], version).unwrap();
    assert!(show("2.15")["owner_id"].is_u64() && show("2.16")["owner_id"].is_string());
    assert!(show("2.11").get("formatted_phone").is_some() && show("2.12").get("formatted_phone").is_none());
    let merged = world.contacts.iter().find(|contact| matches!(contact.end, Some((at, End::Merged(_))) if at <= NOW)).unwrap();
    let path = format!("/contacts/{}", merged.id);
    assert_eq!(get(&view, &path, &[], "2.15"), Err(ApiError::contact_not_found()));
    let gone = get(&view, &path, &[], "2.16").unwrap_err();
    assert_eq!((gone.status.as_u16(), gone.code), (410, "contact_merged"));
    assert!(gone.canonical.unwrap().starts_with("/contacts/"));
    let unassigned = |version: &str| {
        let query = json!({"query": {"field": "admin_assignee_id", "operator": "=", "value": null}, "pagination": {"per_page": 1}});
        search(&view, "/conversations/search", &query, version).unwrap()["conversations"][0]["admin_assignee_id"].clone()
    };
    assert_eq!((unassigned("2.15"), unassigned("2.16")), (Value::Null, json!(0)));
    let attributes = |version| get(&view, "/data_attributes", &[("model", "conversation")], version).map_err(|error| error.status.as_u16());
    assert!(attributes("2.15").is_ok());
    assert_eq!(attributes("2.16"), Err(422));
}

#[test]
fn conversations_are_found_to_the_second() {
    let view = WorldView::new(world(2_000), NOW);
    let month = start_of_month(&view.world.options.timezone, 2026, 9);
    let next = start_of_month(&view.world.options.timezone, 2026, 10);
    let filter = |operator: &str, value: i64| json!({"field": "created_at", "operator": operator, "value": value});
    let range = |from: i64, until: i64| json!({"operator": "AND", "value": [filter(">", from), filter("<", until)]});
    let found = read_all(&view, "/conversations/search", range(month - 1, next), json!({"field": "created_at", "order": "ascending"}), 20);
    let truth: Vec<String> =
        view.conversations().iter().filter(|one| (month..next).contains(&one.created_at)).map(|one| one.id.to_string()).collect();
    assert_eq!(ids(&found), truth);
    assert!(found.iter().any(|one| one["created_at"] == month) && found.iter().any(|one| one["created_at"] == next - 1));
    assert!(
        read_all(&view, "/conversations/search", range(month * 1000, next * 1000), Value::Null, 20).is_empty(),
        "milliseconds find nothing"
    );
    let kinds: HashSet<String> = found.iter().map(|one| one["source"]["author"]["type"].to_string()).collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}

#[test]
fn no_request_causes_a_panic() {
    let view = WorldView::new(world(50), NOW);
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let bodies = [
        "",
        "null",
        "[]",
        "{",
        "1e999",
        &deep,
        "{\"query\":{}}",
        "{\"query\":{\"operator\":\"AND\",\"value\":[1]}}",
        "{\"query\":null,\"sort\":7}",
    ];
    for body in bodies {
        for path in ["/contacts/search", "/conversations/search"] {
            let error = answer(&view, &call(Method::POST, path, &[], body, "2.16")).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (400, "parameter_invalid"), "{body}");
        }
    }
    for path in ["/", "", "//", "/user", "/contacts/x/y", "/contacts/%00", "/tags/x", "/segments/é"] {
        assert_eq!(get(&view, path, &[], "2.11").unwrap_err().status.as_u16(), 404, "{path}");
    }
    let refused = v2::write(&view, &call(Method::DELETE, "/tags", &[], "", "2.11"));
    assert_eq!(refused.err(), Some(ApiError::resource_not_found()));
}
