//! Writing tags and contacts, over HTTP, in the versions that differ.

use serde_json::{Value, json};

use super::NOW;
use super::served::{Served, ids, sorted};
use crate::world::ADMINS;
use crate::world::companies::PARTNER_TAG_ID;
use crate::world::groups::{VALUE_LEAD, VALUE_LEAD_ID};
use crate::world::people::{Contact, End};
use crate::*;

/// Ids and user ids of users.
async fn users(served: &Served) -> Vec<(String, String)> {
    let page = served.get("1.4", "/users?per_page=60").await.json();
    let users = page["users"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    users.filter(|user| user["user_id"].is_string()).map(|user| (text(&user["id"]), text(&user["user_id"]))).collect()
}

async fn a_lead(served: &Served) -> String {
    served.get("1.4", "/contacts?per_page=1").await.json()["contacts"][0]["id"].as_str().unwrap().to_owned()
}

async fn tag_names(served: &Served) -> Vec<String> {
    let tags = served.get("2.11", "/tags").await.json()["data"].clone();
    tags.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_bulk_tag_of_1x_takes_users_by_any_of_their_ids() {
    let served = Served::new().await;
    let (users, lead) = (users(&served).await, a_lead(&served).await);
    let email = served.get("1.4", &format!("/users/{}", users[2].0)).await.json()["email"].as_str().unwrap().to_owned();
    let members = json!([{"id": users[0].0}, {"user_id": users[1].1}, {"email": email.to_uppercase()}, {"id": lead}]);
    let name = "night shift, \"late\"";
    let tag = served.post("1.4", "/tags", json!({"name": name, "users": members})).await.json();
    assert_eq!(tag, json!({"type": "tag", "id": tag["id"], "name": name}), "no result for each member");
    let id = tag["id"].as_str().unwrap();
    let expected = sorted(vec![users[0].0.clone(), users[1].0.clone(), users[2].0.clone(), lead.clone()]);
    assert_eq!(served.members(&format!("tag:{id}")).await, expected);
    // The same name in another case is the same tag. `untag` applies only to its own entry.
    let members = json!([{"id": users[0].0, "untag": true}, {"id": users[3].0, "untag": false}]);
    assert_eq!(served.post("1.1", "/tags", json!({"name": name.to_uppercase(), "users": members})).await.json(), tag);
    let expected = sorted(vec![users[3].0.clone(), users[1].0.clone(), users[2].0.clone(), lead]);
    assert_eq!(served.members(&format!("tag:{id}")).await, expected);
}

#[tokio::test]
async fn one_unknown_member_leaves_everybody_untagged() {
    let served = Served::with(Options { world: WorldOptions { contacts: 5_000, ..WorldOptions::default() }, ..Options::default() }).await;
    let users = users(&served).await;
    let shared = served.probe("shared_emails").await[0]["email"].clone();
    let not_found = (404, "not_found".to_owned());
    let lead = served.get("1.4", &format!("/contacts/{}", a_lead(&served).await)).await.json();
    for (version, odd, refusal) in [
        ("1.4", json!({"id": "000000000000000000000000"}), not_found.clone()),
        ("1.4", json!({"user_id": users[1].0}), not_found.clone()),
        ("1.4", json!({"id": users[1].1}), not_found.clone()),
        ("1.4", json!({"email": shared}), (409, "conflict".to_owned())),
        ("1.4", json!({"user_id": lead["user_id"]}), not_found.clone()),
        ("2.15", json!({"id": "000000000000000000000000"}), not_found.clone()),
        ("2.15", json!({"user_id": users[1].1}), not_found.clone()),
    ] {
        let body = json!({"name": "fresh", "users": [{"id": users[0].0}, odd]});
        let answer = served.post(version, "/tags", body).await;
        assert_eq!(answer.refusal(), refusal, "{version} {odd}");
        assert!(refusal.0 != 404 || answer.message() == "User Not Found");
    }
    assert!(!tag_names(&served).await.contains(&"fresh".to_owned()), "not even the tag was made");
    let body = json!({"name": "fresh", "companies": [{"company_id": "1"}, {"company_id": "none"}]});
    assert_eq!(served.post("2.15", "/tags", body).await.refusal(), (404, "company_not_found".to_owned()));
    let writes = served.probe("writes").await;
    assert_eq!(writes.as_array().unwrap().len(), 8);
    assert_eq!(
        (&writes[0]["method"], &writes[0]["path"], &writes[0]["members"], &writes[0]["status"]),
        (&json!("POST"), &json!("/tags"), &json!(2), &json!(404))
    );
}

#[tokio::test]
async fn unknown_members_are_skipped_from_2_16() {
    let served = Served::new().await;
    let users = users(&served).await;
    let body = json!({"name": "fresh", "users": [{"id": users[0].0}, {"id": "nobody"}, {"user_id": users[1].1}]});
    let tag = served.post("2.16", "/tags", body).await.json();
    assert_eq!((&tag["users"], &tag["companies"]), (&json!([{"id": users[0].0, "tagged": true}]), &json!([])));
    assert_eq!(served.members(&format!("tag:{}", tag["id"].as_str().unwrap())).await, [users[0].0.clone()]);
    let company = served.get("2.16", "/companies?company_id=3").await.json();
    let entries = json!([{"company_id": "3"}, {"company_id": "none"}]);
    let tagged = served.post("2.16", "/tags", json!({"name": "fresh", "companies": entries})).await.json();
    assert_eq!(tagged["companies"], json!([{"id": company["id"], "tagged": true}]));
    let untagged = served.post("2.16", "/tags", json!({"id": tag["id"], "companies": [{"id": company["id"], "untag": true}]})).await.json();
    assert_eq!(untagged["companies"], json!([{"id": company["id"], "tagged": false}]));
    assert!(served.post("2.15", "/tags", json!({"name": "fresh"})).await.json().get("users").is_none());
}

#[tokio::test]
async fn invalid_tag_calls_are_refused() {
    let served = Served::new().await;
    let user = users(&served).await[0].0.clone();
    for body in [
        json!({}),
        json!({"test": "invalid"}),
        json!({"name": ""}),
        json!({"name": 7}),
        json!({"name": "x".repeat(256)}),
        json!({"id": VALUE_LEAD_ID}),
        json!({"name": "x", "users": "all"}),
        json!({"name": "x", "users": ["5"]}),
        json!({"name": "x", "users": [{"id": user}], "companies": [{"company_id": "1"}]}),
        json!({"id": VALUE_LEAD_ID, "name": "VIP"}),
    ] {
        for version in ["1.4", "2.11", "2.16"] {
            assert_eq!(
                served.post(version, "/tags", body.clone()).await.refusal(),
                (400, "parameter_invalid".to_owned()),
                "{version} {body}"
            );
        }
    }
    assert_eq!(served.post("2.11", "/tags", json!({"id": "1", "name": "x"})).await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(served.post("2.11", "/tags", json!({"name": "x".repeat(255)})).await.status, 200);
}

#[tokio::test]
async fn tags_are_created_renamed_and_deleted() {
    let served = Served::new().await;
    let user = users(&served).await[0].0.clone();
    let tag = served.post("2.11", "/tags", json!({"name": "Fresh", "users": [{"id": user}]})).await.json();
    let path = format!("/tags/{}", tag["id"].as_str().unwrap());
    assert_eq!(served.post("1.4", "/tags", json!({"id": tag["id"], "name": "Older"})).await.json()["name"], "Older");
    assert_eq!(served.post("1.4", "/tags", json!({"id": 1_373_897, "name": "Value Lead"})).await.json()["name"], "Value Lead");
    for version in ["1.4", "2.11"] {
        assert_eq!(served.get(version, &path).await.json()["name"], "Older");
    }
    let names = tag_names(&served).await;
    assert!(names.contains(&"Older".to_owned()) && names.contains(&"Value Lead".to_owned()) && !names.contains(&"value_lead".to_owned()));
    let deleted = served.delete("2.11", &path).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (200, ""));
    assert_eq!(served.get("2.11", &path).await.status, 404);
    assert_eq!(served.delete("2.11", &path).await.status, 404);
    assert_eq!(served.searched(tag["id"].as_str().unwrap()).await, 0);
    let contact = served.get("2.11", &format!("/contacts/{user}/tags")).await;
    assert!(!contact.text.contains("Older"));
    let used = served.delete("2.11", &format!("/tags/{PARTNER_TAG_ID}")).await;
    assert_eq!(used.refusal(), (400, "tag_has_dependent_objects".to_owned()));
    assert_eq!(used.message(), "Unable to delete Tag with dependent objects. Segments: Partners.");
}

#[tokio::test]
async fn one_contact_is_tagged_and_untagged() {
    let served = Served::new().await;
    let tag = served.post("2.11", "/tags", json!({"name": "fresh"})).await.json()["id"].clone();
    let user = users(&served).await[0].0.clone();
    let path = format!("/contacts/{user}/tags");
    let before = served.get("2.11", &path).await.json()["data"].as_array().unwrap().len();
    let applied = served.post("2.11", &path, json!({"id": tag})).await.json();
    assert_eq!((&applied["id"], &applied["applied_at"], &applied["applied_by"]["type"]), (&tag, &json!(NOW), &json!("admin")));
    // Adding the tag once more changes nothing, and ids may be sent as numbers.
    let number: u64 = tag.as_str().unwrap().parse().unwrap();
    assert_eq!(served.post("2.11", &path, json!({"id": number})).await.json(), applied);
    let listed = served.get("2.11", &path).await.json()["data"].clone();
    assert_eq!((listed.as_array().unwrap().len(), listed.as_array().unwrap().last().unwrap()), (before + 1, &applied));
    assert_eq!(served.delete("2.11", &format!("{path}/{}", tag.as_str().unwrap())).await.json()["id"], tag);
    assert_eq!(served.delete("2.11", &format!("{path}/{}", tag.as_str().unwrap())).await.status, 404);
    assert_eq!(served.get("2.11", &path).await.json()["data"].as_array().unwrap().len(), before);
    assert_eq!(served.post("2.11", "/contacts/nobody/tags", json!({"id": tag})).await.message(), "User Not Found");
    assert_eq!(served.post("2.11", &path, json!({"id": "1"})).await.message(), "Resource Not Found");
    assert_eq!(served.post("1.4", &path, json!({"id": tag})).await.refusal(), (400, "intercom_version_invalid".to_owned()));
}

#[tokio::test]
async fn companies_carry_tags_and_a_segment_follows_them() {
    let served = Served::new().await;
    let partners = "63bbdd50aa01c0ffee0000c3";
    let list = |version: &'static str, filter: String| {
        let served = &served;
        async move {
            let entries = if version == "1.4" { "companies" } else { "data" };
            ids(&served.get(version, &format!("/companies?{filter}")).await.json()[entries])
        }
    };
    assert!(list("1.4", format!("segment_id={partners}")).await.is_empty());
    served.post("1.4", "/tags", json!({"name": "partner 🤝", "companies": [{"company_id": "1"}, {"company_id": "2"}]})).await.json();
    let two: Vec<String> = sorted(vec![
        served.get("1.4", "/companies?company_id=1").await.json()["id"].as_str().unwrap().to_owned(),
        served.get("2.11", "/companies?company_id=2").await.json()["id"].as_str().unwrap().to_owned(),
    ]);
    for version in ["1.4", "2.11"] {
        assert_eq!(sorted(list(version, format!("tag_id={PARTNER_TAG_ID}")).await), two);
        assert_eq!(sorted(list(version, format!("segment_id={partners}")).await), two);
    }
    let counts = served.get("1.4", "/counts?type=company&count=tag").await.json()["company"]["tag"].clone();
    assert!(counts.as_array().unwrap().contains(&json!({"partner 🤝": 2})));
    served.post("2.11", "/tags", json!({"id": PARTNER_TAG_ID, "companies": [{"id": two[0], "untag": true}]})).await.json();
    assert_eq!(list("1.4", format!("tag_id={PARTNER_TAG_ID}")).await, [two[1].clone()]);
    assert_eq!(served.get("2.11", "/companies?company_id=none").await.refusal(), (404, "company_not_found".to_owned()));
}

#[tokio::test]
async fn a_token_that_reads_only_writes_nothing() {
    let served = Served::new().await;
    for (version, path) in [("1.4", "/tags"), ("2.11", "/tags"), ("1.4", "/users"), ("2.11", "/contacts")] {
        let answer = served.send("POST", version, path, "{\"name\":\"fresh\",\"email\":\"a@b.example\"}", "readonly-1").await;
        assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{version} {path}");
    }
    let search = r#"{"query":{"field":"role","operator":"=","value":"user"}}"#;
    assert_eq!(served.send("POST", "2.11", "/contacts/search", search, "readonly-1").await.status, 200);
    assert_eq!(served.send("GET", "1.4", "/users", "", "readonly-1").await.status, 200);
    assert!(!tag_names(&served).await.contains(&"fresh".to_owned()));
}

#[tokio::test]
async fn users_and_leads_are_created() {
    let served = Served::new().await;
    let attributes = json!({"paid": true, "seats": 7, "note": null});
    let made = served
        .post("1.4", "/users", json!({"user_id": "new-1", "email": "new@b.example", "name": "New", "custom_attributes": attributes}))
        .await
        .json();
    assert_eq!(
        (&made["type"], &made["user_id"], &made["created_at"], &made["custom_attributes"]),
        (&json!("user"), &json!("new-1"), &json!(NOW), &attributes)
    );
    let updated =
        served.post("1.4", "/users", json!({"email": "NEW@b.example", "name": "Newer", "custom_attributes": {"seats": 8}})).await.json();
    assert_eq!((&updated["id"], &updated["name"], &updated["custom_attributes"]["seats"]), (&made["id"], &json!("Newer"), &json!(8)));
    assert_eq!(updated["custom_attributes"]["paid"], true);
    // Another user id identifies another user, even if the address is the same.
    let second = served.post("1.4", "/users", json!({"user_id": "new-2", "email": "new@b.example"})).await.json();
    assert_ne!(second["id"], made["id"]);
    assert_eq!(served.post("1.4", "/users", json!({"email": "new@b.example"})).await.refusal(), (409, "conflict".to_owned()));
    assert_eq!(served.post("1.4", "/users", json!({"id": "nobody"})).await.status, 404);
    assert_eq!(served.post("1.4", "/users", json!({"name": "Nobody"})).await.status, 400);
    assert_eq!(served.post("2.11", "/contacts", json!({"email": "new@b.example"})).await.refusal(), (409, "conflict".to_owned()));
    assert_eq!(served.post("2.11", "/contacts", json!({"external_id": "new-2"})).await.status, 409);
    let lead = served.post("2.11", "/contacts", json!({"role": "lead", "email": "new@b.example"})).await.json();
    assert_eq!((&lead["role"], &lead["external_id"]), (&json!("lead"), &Value::Null));
    let old_lead = served.post("1.4", "/contacts", json!({"email": "lead@b.example"})).await.json();
    assert_eq!((&old_lead["type"], &old_lead["anonymous"]), (&json!("contact"), &json!(true)));
    let renamed = served.post("1.4", "/contacts", json!({"user_id": old_lead["user_id"], "name": "Lea"})).await.json();
    assert_eq!((&renamed["id"], &renamed["name"]), (&old_lead["id"], &json!("Lea")));
}

/// A contact of the world with certain properties.
fn somebody(served: &Served, wanted: impl Fn(&Contact) -> bool) -> Contact {
    served.simulator.0.world.contacts.iter().find(|contact| wanted(contact)).unwrap().clone()
}

#[tokio::test]
async fn the_tags_of_a_contact_have_dates() {
    let served = Served::with(Options { world: WorldOptions { contacts: 2_000, ..WorldOptions::default() }, ..Options::default() }).await;
    let of = |contact: &str| format!("/contacts/{contact}/tags");
    // All tags are in one list without pages, as documented.
    let collector = somebody(&served, |contact| contact.exists_at(NOW) && contact.tags_at(NOW).count() > 10);
    let expected: Vec<Value> = collector
        .tags_at(NOW)
        .map(|spell| {
            let tag = &served.simulator.0.world.tags[usize::from(spell.tag)];
            let admin = ADMINS[usize::from(spell.admin)].0.to_string();
            json!({"type": "tag", "id": tag.id, "name": tag.name, "applied_at": spell.from, "applied_by": {"type": "admin", "id": admin}})
        })
        .collect();
    for version in ["2.0", "2.11", "2.16"] {
        assert_eq!(served.get(version, &of(&collector.id)).await.json(), json!({"type": "list", "data": expected}), "{version}");
    }
    let body = served.get("2.11", &format!("/contacts/{}", collector.id)).await.json();
    assert_eq!((&body["tags"]["has_more"], &body["tags"]["url"]), (&json!(true), &json!(of(&collector.id))));
    // The current spell counts, not an earlier or a later one.
    let returned = somebody(&served, |contact| {
        let spells: Vec<_> = contact.tags.iter().filter(|spell| spell.tag == VALUE_LEAD).collect();
        contact.exists_at(NOW)
            && spells.iter().any(|spell| spell.until <= NOW)
            && spells.iter().any(|spell| spell.from > NOW)
            && contact.has_tag_at(VALUE_LEAD, NOW)
    });
    let spell = returned.tags_at(NOW).find(|spell| spell.tag == VALUE_LEAD).unwrap();
    let tags = served.get("2.11", &of(&returned.id)).await.json();
    assert_eq!(tags["data"][0]["applied_at"], spell.from);
    let untagged = somebody(&served, |contact| contact.exists_at(NOW) && contact.tags_at(NOW).count() == 0);
    assert_eq!(served.get("2.11", &of(&untagged.id)).await.json(), json!({"type": "list", "data": []}));
}

#[tokio::test]
async fn tags_of_nobody_are_not_found() {
    let served = Served::with(Options { world: WorldOptions { contacts: 2_000, ..WorldOptions::default() }, ..Options::default() }).await;
    let of = |contact: &str| format!("/contacts/{contact}/tags");
    let deleted = somebody(&served, |contact| matches!(contact.end, Some((at, End::Deleted)) if at <= NOW));
    let merged = somebody(&served, |contact| matches!(contact.end, Some((at, End::Merged(_))) if at <= NOW));
    let to_come = somebody(&served, |contact| contact.created_at > NOW);
    let not_found = (404, "not_found".to_owned());
    for (version, contact, refusal) in [
        ("2.16", deleted.id.as_str(), &not_found),
        ("2.16", to_come.id.as_str(), &not_found),
        ("2.16", "000000000000000000000000", &not_found),
        ("2.15", merged.id.as_str(), &not_found),
        ("2.16", merged.id.as_str(), &(410, "contact_merged".to_owned())),
        ("1.4", merged.id.as_str(), &(400, "intercom_version_invalid".to_owned())),
    ] {
        let answer = served.get(version, &of(contact)).await;
        assert_eq!(&answer.refusal(), refusal, "{version} {contact}");
        assert!(refusal.0 != 404 || answer.message() == "User Not Found");
    }
}

#[tokio::test]
async fn a_tag_that_is_added_again_has_the_date_of_its_request() {
    let served = Served::new().await;
    let at = |seconds: i64| DateTime::from_timestamp(NOW + seconds, 0).unwrap();
    let group = format!("applied?tag={VALUE_LEAD_ID}");
    let before = served.probe(&group).await;
    let contact = before[0]["contact_id"].as_str().unwrap();
    let path = format!("/contacts/{contact}/tags");
    let since = || async {
        served.get("2.11", &path).await.json()["data"].as_array().unwrap().iter().find(|tag| tag["id"] == VALUE_LEAD_ID).cloned()
    };
    assert_eq!(since().await.unwrap()["applied_at"], before[0]["applied_at"]);
    served.delete("2.11", &format!("{path}/{VALUE_LEAD_ID}")).await.json();
    assert_eq!(since().await, None, "a tag taken away leaves no trace");
    served.simulator.set_now(at(90));
    served.post("1.4", "/tags", json!({"name": "value_lead", "users": [{"id": contact}]})).await.json();
    served.simulator.set_now(at(5_000));
    assert_eq!(since().await.unwrap()["applied_at"], NOW + 90);
    // The probes show both spells and the gap between them.
    assert!(served.probe(&group).await.as_array().unwrap().contains(&json!({"contact_id": contact, "applied_at": NOW + 90})));
    let held = |at: i64| {
        let served = &served;
        async move { ids(&served.probe(&format!("members?group=tag:{VALUE_LEAD_ID}&at={at}")).await).contains(&contact.to_owned()) }
    };
    assert_eq!([held(NOW - 1).await, held(NOW).await, held(NOW + 89).await, held(NOW + 90).await], [true, false, false, true]);
}

#[tokio::test]
async fn the_probes_report_dates_of_tags_and_former_members() {
    let served = Served::new().await;
    let earlier = NOW - 100 * 86_400;
    for group in [format!("tag:{VALUE_LEAD_ID}"), "segment:63bbdd50aa01c0ffee000001".to_owned(), "role:lead".to_owned()] {
        let earlier_members = served.probe(&format!("members?group={group}&at={earlier}")).await;
        let now = served.members(&group).await;
        assert_eq!(ids(&served.probe(&format!("members?group={group}&at={}", NOW + 86_400 * 40)).await), now, "no look ahead");
        served.simulator.set_now(DateTime::from_timestamp(earlier, 0).unwrap());
        assert_eq!(ids(&earlier_members), served.members(&group).await, "{group}");
        served.simulator.set_now(DateTime::from_timestamp(NOW, 0).unwrap());
    }
    let applied = served.probe(&format!("applied?tag={VALUE_LEAD_ID}")).await;
    let applied = applied.as_array().unwrap();
    assert_eq!(
        applied.iter().map(|one| one["contact_id"].as_str().unwrap()).collect::<Vec<_>>(),
        served.members(&format!("tag:{VALUE_LEAD_ID}")).await
    );
    for one in applied {
        let tags = served.get("2.14", &format!("/contacts/{}/tags", one["contact_id"].as_str().unwrap())).await.json();
        let tag = tags["data"].as_array().unwrap().iter().find(|tag| tag["id"] == VALUE_LEAD_ID).unwrap();
        assert_eq!(tag["applied_at"], one["applied_at"]);
    }
    assert_eq!(served.get("2.11", "/_simulator/applied?tag=1").await.status, 404);
}
