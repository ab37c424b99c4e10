//! Writes are visible in all reads, from their time on.

use chrono::DateTime;
use serde_json::{Value, json};

use super::NOW;
use super::served::{Served, ids, sorted};
use crate::world::groups::VALUE_LEAD_ID;
use crate::world::people::Contact;
use crate::*;

#[tokio::test]
async fn both_generations_see_what_either_wrote() {
    let served = Served::new().await;
    let before = served.probe("state").await;
    let user = served.post("1.4", "/users", json!({"user_id": "fresh-user", "email": "u@fresh.example"})).await.json();
    let lead = served.post("2.11", "/contacts", json!({"role": "lead", "name": "Fresh Lead"})).await.json();
    let old = served.get("1.4", "/users?order=asc&per_page=1").await.json()["users"][0].clone();
    let members = json!([{"id": user["id"]}, {"id": lead["id"]}, {"id": old["id"]}]);
    let tag = served.post("2.11", "/tags", json!({"name": "fresh", "users": members})).await.json();
    let id = tag["id"].as_str().unwrap();
    let expected = sorted(ids(&members));
    // The members are right in the probe, the list of 1.x, the search of 2.x with its total, the bodies and the counts.
    assert_eq!(served.members(&format!("tag:{id}")).await, expected);
    let listed = served.follow("1.4", &format!("/users?tag_id={id}&per_page=1&order=asc"), "users").await;
    assert_eq!(ids(&json!(listed)), expected, "in the order of creation");
    let query = |filter: Value, per_page: u64| json!({"query": filter, "pagination": {"per_page": per_page}});
    let by_tag = json!({"field": "tag_id", "operator": "=", "value": id});
    let found = served.post("2.11", "/contacts/search", query(by_tag.clone(), 50)).await.json();
    assert_eq!((sorted(ids(&found["data"])), &found["total_count"]), (expected.clone(), &json!(3)));
    let without = json!({"field": "tag_id", "operator": "!=", "value": id});
    let rest = served.post("2.11", "/contacts/search", query(without, 1)).await.json();
    assert_eq!(rest["total_count"], before["contacts"].as_u64().unwrap() + 2 - 3);
    let shown = served.get("2.11", &format!("/contacts/{}", old["id"].as_str().unwrap())).await.json();
    assert!(shown["tags"]["data"].as_array().unwrap().iter().any(|tag| tag["id"] == id));
    assert_eq!(shown["updated_at"], NOW);
    let counts = served.get("1.4", "/counts?type=user&count=tag").await.json();
    assert!(counts["user"]["tag"].as_array().unwrap().contains(&json!({"fresh": 3})));
    // The contacts are right in lists, scrolls and totals, and in searches by their own data.
    let after = served.probe("state").await;
    assert_eq!(after["contacts"].as_u64(), before["contacts"].as_u64().map(|count| count + 2));
    assert_eq!(served.follow("1.4", "/users?per_page=60", "users").await.len() as u64, before["users"].as_u64().unwrap() + 1);
    assert_eq!(served.scroll("/contacts/scroll", "contacts").await.concat().len() as u64, before["leads"].as_u64().unwrap() + 1);
    assert_eq!(served.get("1.4", "/counts").await.json()["lead"]["count"], after["leads"]);
    for (role, path, rows) in [("user", "/users?per_page=60", "users"), ("lead", "/contacts?per_page=60", "contacts")] {
        let listed = served.follow("1.4", path, rows).await;
        assert_eq!(sorted(ids(&json!(listed))), served.members(&format!("role:{role}")).await, "{role}");
    }
    let segment_counts = served.get("1.4", "/counts?type=user&count=segment").await.json();
    for archived in after["archived"].as_array().unwrap() {
        let counts = if archived["group"].as_str().unwrap().starts_with("tag:") {
            &counts["user"]["tag"]
        } else {
            &segment_counts["user"]["segment"]
        };
        let (name, count) = (archived["name"].as_str().unwrap(), &archived["count"]);
        assert!(counts.as_array().unwrap().contains(&json!({name: count})), "{archived}");
    }
    assert_eq!(served.get("2.11", "/contacts?per_page=1").await.json()["total_count"], after["contacts"]);
    let by_id = json!({"field": "external_id", "operator": "=", "value": "fresh-user"});
    assert_eq!(ids(&served.post("2.11", "/contacts/search", query(by_id, 5)).await.json()["data"]), [user["id"].as_str().unwrap()]);
    assert_eq!(served.get("1.4", "/users?email=u@fresh.example").await.json()["users"][0]["id"], user["id"]);
    let new = "63bbdd50aa01c0ffee000002";
    assert!(served.members(&format!("segment:{new}")).await.contains(&user["id"].as_str().unwrap().to_owned()));
    let in_new = json!({"operator": "AND", "value": [by_tag, {"field": "segment_id", "operator": "=", "value": new}]});
    assert_eq!(served.post("2.11", "/contacts/search", query(in_new, 5)).await.json()["total_count"], 1);
    let segments = served.get("2.11", "/segments?include_count=true").await.json();
    assert_eq!(segments["segments"][1]["count"], served.members(&format!("segment:{new}")).await.len());
}

#[tokio::test]
async fn cursors_include_written_contacts() {
    let served = Served::new().await;
    for number in 0..25 {
        served.post("1.4", "/users", json!({"user_id": format!("fresh-{number}")})).await.json();
    }
    let total = served.probe("state").await["contacts"].clone();
    for sort in ["created_at", "updated_at", "name"] {
        let (mut seen, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let body = json!({"query": {"field": "created_at", "operator": ">", "value": 0}, "sort": {"field": sort, "order": "ascending"},
                "pagination": {"per_page": 40, "starting_after": cursor}});
            let page = served.post("2.11", "/contacts/search", body).await.json();
            seen.extend(ids(&page["data"]));
            cursor = page["pages"]["next"]["starting_after"].clone();
            if cursor.is_null() {
                break;
            }
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((json!(seen.len()), json!(count)), (total.clone(), total.clone()), "{sort}");
    }
}

#[tokio::test]
async fn writes_stay_visible_as_time_passes() {
    let served = Served::new().await;
    let at = |seconds: i64| DateTime::from_timestamp(NOW + seconds, 0).unwrap();
    let members = served.members(&format!("tag:{VALUE_LEAD_ID}")).await;
    let path = format!("/contacts/{}/tags/{VALUE_LEAD_ID}", members[0]);
    served.delete("2.11", &path).await.json();
    let user = served.post("1.4", "/users", json!({"user_id": "fresh", "email": "f@fresh.example"})).await.json();
    served.post("1.4", "/tags", json!({"name": "fresh", "users": [{"user_id": "fresh"}]})).await.json();
    assert_eq!(served.searched(VALUE_LEAD_ID).await, members.len() - 1);
    // A month later the world has more contacts. Their indices are below that of the contact made above, but their ids are above its id.
    served.simulator.set_now(at(30 * 86_400));
    let all = served.follow("1.4", "/users?order=asc&per_page=60", "users").await;
    assert!(all.is_sorted_by_key(|user| user["id"].as_str().unwrap().to_owned()), "the order of ids is that of creation");
    assert!(all.iter().any(|one| one["id"] == user["id"]) && all.last().unwrap()["id"] != user["id"]);
    let tagged = served.get("2.11", &format!("/contacts/{}/tags", user["id"].as_str().unwrap())).await.json();
    assert_eq!(tagged["data"][0]["applied_at"], NOW);
    // Before their time, the writes are not visible.
    served.simulator.set_now(at(-1));
    assert!(served.members(&format!("tag:{VALUE_LEAD_ID}")).await.contains(&members[0]));
    assert_eq!(served.get("1.4", "/users?user_id=fresh").await.status, 404);
    assert!(!served.get("2.11", "/tags").await.text.contains("fresh"));
}

#[tokio::test]
async fn the_big_tag_belongs_to_the_oldest_contacts_and_changes_nothing_else() {
    let (seed, contacts) = (7, 400);
    let plain = World::new(WorldOptions { seed, contacts, ..WorldOptions::default() });
    let big = World::new(WorldOptions { seed, contacts, big_tag: Some(90), ..WorldOptions::default() });
    let number = plain.tags.len() as u16;
    for at in [NOW, NOW - 86_400 * 400, NOW - 86_400 * 900, NOW - 86_400 * 1_300] {
        let oldest: Vec<&str> = plain.contacts.iter().filter(|one| one.exists_at(at)).take(90).map(|one| one.id.as_str()).collect();
        let tagged = big.contacts.iter().filter(|one| one.exists_at(at) && one.has_tag_at(number, at));
        assert_eq!(tagged.map(|one| one.id.as_str()).collect::<Vec<_>>(), oldest);
    }
    for (one, other) in plain.contacts.iter().zip(&big.contacts) {
        let others: Vec<_> = other.tags.iter().filter(|spell| spell.tag != number).cloned().collect();
        assert_eq!((&one.id, &one.email, &one.tags), (&other.id, &other.email, &others));
    }
    assert_eq!(plain.conversations.len(), big.conversations.len());
}

#[test]
fn extra_tags_have_the_requested_shares_and_change_nothing_else() {
    let options = WorldOptions { seed: 7, contacts: 3_000, ..WorldOptions::default() };
    let plain = World::new(options.clone());
    let world = World::new(WorldOptions { extra_groups: 7, memberships: Some(2.4), ..options });
    let first = plain.tags.len() as u16;
    for at in [NOW, NOW - 86_400 * 400, NOW - 86_400 * 900] {
        let existing: Vec<_> = world.contacts.iter().filter(|one| one.exists_at(at)).collect();
        let carried = |number: u16| existing.iter().filter(|one| one.has_tag_at(number, at)).count() as f64 / existing.len() as f64;
        let shares: Vec<f64> = (first..first + 7).map(carried).collect();
        assert!(shares.iter().all(|share| (0.25..0.45).contains(share)), "{shares:?}");
        assert!((2.3..2.5).contains(&shares.iter().sum()), "{shares:?}");
    }
    let changes = |one: &Contact, at: i64| (first..first + 7).any(|tag| one.has_tag_at(tag, at) != one.has_tag_at(tag, at - 86_400 * 31));
    assert!(world.contacts.iter().any(|one| one.exists_at(NOW) && changes(one, NOW)), "some come and go");
    for (one, other) in plain.contacts.iter().zip(&world.contacts) {
        let others: Vec<_> = other.tags.iter().filter(|spell| spell.tag < first).cloned().collect();
        assert_eq!((&one.id, &one.email, &one.tags), (&other.id, &other.email, &others));
    }
    assert_eq!(plain.conversations.len(), world.conversations.len());
}

#[tokio::test]
async fn a_write_is_executed_even_if_its_response_is_lost() {
    let faults = Faults::parse(None, Some("1=empty@/tags,2=500@/tags,3=half@/tags")).unwrap();
    let served =
        Served::with(Options { world: WorldOptions { contacts: 60, ..WorldOptions::default() }, faults, ..Options::default() }).await;
    for name in ["first", "second", "third"] {
        served.post("1.4", "/tags", json!({"name": name})).await;
    }
    let names = served.get("2.11", "/tags").await.text;
    assert_eq!(
        ["first", "second", "third"].map(|name| names.contains(name)),
        [false, false, true],
        "half a response comes after the write"
    );
    let statuses: Vec<Value> = served.probe("writes").await.as_array().unwrap().iter().map(|write| write["status"].clone()).collect();
    assert_eq!(statuses, [200, 500, 200]);
}
