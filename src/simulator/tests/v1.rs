//! Reads of 1.x, over HTTP.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::NOW;
use super::served::{Served, ids, sorted};
use crate::world::groups::{BIG_TAG_ID, VALUE_LEAD_ID};
use crate::*;

const ACTIVE: &str = "63bbdd50aa01c0ffee000001";

fn of_contacts(contacts: usize) -> WorldOptions {
    WorldOptions { contacts, ..WorldOptions::default() }
}

#[tokio::test]
async fn a_version_has_its_own_resources() {
    let served = Served::new().await;
    let invalid = (400, "intercom_version_invalid".to_owned());
    for (version, path) in [
        ("2.0", "/users"),
        ("2.11", "/users/scroll"),
        ("2.7", "/counts"),
        ("2.16", "/contacts/scroll"),
        ("1.4", "/data_attributes?model=contact"),
    ] {
        assert_eq!(served.get(version, path).await.refusal(), invalid, "{version} {path}");
    }
    for path in ["/contacts/search", "/conversations/search", "/companies/list"] {
        assert_eq!(served.post("1.4", path, json!({})).await.refusal(), invalid, "{path}");
    }
    assert_eq!(served.post("2.11", "/users", json!({})).await.refusal(), invalid);
    assert_eq!(served.get("1.4", "/nothing").await.refusal(), (404, "not_found".to_owned()));
    for version in ["1.0", "1.4", "2.0", "2.6"] {
        assert_eq!(served.get(version, "/counts").await.json()["type"], "count.hash", "{version}");
    }
    assert_eq!(served.get("1.2", "/me").await.json()["type"], "admin");
    assert_eq!(served.get("1.2", "/admins").await.json()["admins"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn without_1x_every_request_of_it_is_refused() {
    let served = Served::with(Options { world: of_contacts(60), legacy: false, ..Options::default() }).await;
    for path in ["/users", "/tags", "/nothing"] {
        assert_eq!(served.get("1.4", path).await.refusal(), (400, "intercom_version_invalid".to_owned()), "{path}");
    }
    assert_eq!(served.get("2.11", "/tags").await.status, 200);
}

#[tokio::test]
async fn a_default_version_of_1x_decides_what_contacts_are() {
    let served = Served::with(Options { world: of_contacts(60), default_version: "1.3".to_owned(), ..Options::default() }).await;
    assert_eq!(served.get("", "/contacts").await.json()["type"], "contact.list");
    assert_eq!(served.get("2.11", "/contacts").await.json()["type"], "list");
}

#[tokio::test]
async fn plain_users_are_users_and_members_are_mixed() {
    let served = Served::new().await;
    let state = served.probe("state").await;
    let users = served.follow("1.4", "/users?per_page=60", "users").await;
    assert_eq!(users.len(), state["users"].as_u64().unwrap() as usize);
    assert!(users.iter().all(|user| user["type"] == "user" && user["anonymous"] == false));
    assert!(users.is_sorted_by_key(|user| -user["created_at"].as_i64().unwrap()), "newest first");
    let leads = served.follow("1.4", "/contacts?per_page=7", "contacts").await;
    assert_eq!(leads.len(), state["leads"].as_u64().unwrap() as usize);
    assert!(
        leads.iter().all(|lead| lead["type"] == "contact" && lead["anonymous"] == true && lead["user_id"].as_str().unwrap().len() == 36)
    );
    let members = served.follow("1.4", &format!("/users?tag_id={VALUE_LEAD_ID}&per_page=10"), "users").await;
    assert_eq!(sorted(ids(&json!(members))), served.members(&format!("tag:{VALUE_LEAD_ID}")).await);
    let kinds: HashSet<&str> = members.iter().map(|member| member["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, HashSet::from(["user", "contact"]));
    let active = served.follow("1.4", &format!("/users?segment_id={ACTIVE}"), "users").await;
    assert_eq!(sorted(ids(&json!(active))), served.members(&format!("segment:{ACTIVE}")).await);
    let both = served.get("1.4", &format!("/users?tag_id={VALUE_LEAD_ID}&segment_id={ACTIVE}")).await;
    assert_eq!(both.refusal(), (400, "parameter_invalid".to_owned()));
    assert_eq!(served.get("1.4", "/users?tag_id=1").await.status, 404);
}

#[tokio::test]
async fn pages_are_numbered_and_links_repeat_what_was_asked() {
    let served = Served::new().await;
    let page = served.get("1.4", &format!("/users?tag_id={VALUE_LEAD_ID}&order=asc&sort=updated_at&per_page=5&odd=a%20b%26")).await.json();
    let next = format!("{}/users?tag_id={VALUE_LEAD_ID}&order=asc&sort=updated_at&odd=a%20b%26&per_page=5&page=2", served.base());
    assert_eq!((&page["pages"]["next"], &page["pages"]["page"], &page["pages"]["per_page"]), (&json!(next), &json!(1), &json!(5)));
    assert_eq!(page["pages"]["total_pages"].as_u64().unwrap(), page["total_count"].as_u64().unwrap().div_ceil(5));
    let page = served.get("1.4", "/users").await.json();
    assert_eq!((page["pages"]["per_page"].as_u64(), page["users"].as_array().unwrap().len()), (Some(50), 50));
    let page = served.get("1.4", "/users?per_page=500").await.json();
    assert_eq!((page["pages"]["per_page"].as_u64(), page["users"].as_array().unwrap().len()), (Some(60), 60));
    let beyond = served.get("1.4", "/users?page=100").await.json();
    assert_eq!((beyond["users"].as_array().unwrap().len(), &beyond["pages"]["next"]), (0, &Value::Null));
    for sort in ["created_at", "last_request_at", "signed_up_at", "updated_at"] {
        let users = served.follow("1.4", &format!("/users?per_page=60&order=asc&sort={sort}"), "users").await;
        assert!(users.is_sorted_by_key(|user| user[sort].as_i64()), "{sort}");
        assert_eq!(users.iter().map(|user| user["id"].as_str()).collect::<HashSet<_>>().len(), users.len(), "{sort}");
    }
    for bad in ["sort=name", "order=up", "page=x", "per_page=many", "created_since=soon"] {
        assert_eq!(served.get("1.4", &format!("/users?{bad}")).await.refusal(), (400, "parameter_invalid".to_owned()), "{bad}");
    }
    let recent = served.follow("1.4", "/users?created_since=30", "users").await;
    assert!(!recent.is_empty() && recent.iter().all(|user| user["created_at"].as_i64().unwrap() >= NOW - 30 * 86_400));
}

#[tokio::test]
async fn lists_end_at_ten_thousand() {
    let world = WorldOptions { big_tag: Some(10_100), ..of_contacts(11_000) };
    let served = Served::with(Options { world: world.clone(), ..Options::default() }).await;
    let ask = |page: u32, per_page: u32| format!("/users?tag_id={BIG_TAG_ID}&order=asc&per_page={per_page}&page={page}");
    let last = served.get("1.4", &ask(200, 50)).await.json();
    assert_eq!((last["users"].as_array().unwrap().len(), &last["total_count"]), (50, &json!(10_100)));
    assert!(last["pages"]["next"].is_string(), "it leads into the cap");
    for (page, per_page) in [(201, 50), (167, 60), (1_000_000, 60)] {
        let refused = served.get("1.4", &ask(page, per_page)).await;
        assert_eq!((refused.status, refused.message().as_str()), (400, "page limit reached, please use scroll API"), "{page} x {per_page}");
    }
    assert_eq!(served.get("1.4", &ask(166, 60)).await.json()["users"].as_array().unwrap().len(), 60);
    let companies = served.get("1.4", "/companies?page=201&per_page=50").await.json();
    assert_eq!(
        (&companies["companies"], &companies["total_count"], &companies["pages"]["total_pages"]),
        (&json!([]), &json!(0), &json!(0))
    );
    let silent = Served::with(Options { world, cap_silent: true, ..Options::default() }).await;
    let empty = silent.get("1.4", &ask(201, 50)).await.json();
    assert_eq!((&empty["users"], &empty["total_count"]), (&json!([]), &json!(0)));
    assert_eq!((&empty["pages"]["total_pages"], &empty["pages"]["next"]), (&json!(0), &Value::Null));
    // Scrolls reach more than 10,000 contacts, and show the tags of all of them.
    let scrolled = silent.scroll("/users/scroll", "users").await.concat();
    let leads = silent.scroll("/contacts/scroll", "contacts").await.concat();
    let tagged =
        scrolled.iter().chain(&leads).filter(|person| person["tags"]["tags"].as_array().unwrap().iter().any(|tag| tag["id"] == BIG_TAG_ID));
    assert_eq!(tagged.count(), 10_100);
}

#[tokio::test]
async fn a_workspace_has_one_scroll() {
    let expiry = Duration::from_millis(700);
    let served = Served::with(Options { world: of_contacts(600), scroll_expiry: expiry, ..Options::default() }).await;
    let pages = served.scroll("/users/scroll", "users").await;
    assert!(pages.iter().rev().skip(1).all(|page| page.len() == 100) && pages.len() > 2);
    let state = served.probe("state").await;
    assert_eq!(pages.concat().len(), state["users"].as_u64().unwrap() as usize);
    let first = served.get("1.4", "/contacts/scroll").await.json();
    let param = first["scroll_param"].as_str().unwrap();
    for path in ["/users/scroll", "/contacts/scroll", "/companies/scroll"] {
        assert_eq!(served.get("1.4", path).await.refusal(), (400, "scroll_exists".to_owned()), "{path}");
    }
    assert_eq!(served.get("2.11", "/companies/scroll").await.refusal(), (400, "scroll_exists".to_owned()));
    let other = served.get("1.4", &format!("/users/scroll?scroll_param={param}")).await;
    assert_eq!((other.refusal(), other.message().as_str()), ((404, "not_found".to_owned()), "scroll parameter not found"));
    let second = served.get("1.4", &format!("/contacts/scroll?scroll_param={param}")).await.json();
    assert_eq!(second["scroll_param"], param);
    tokio::time::sleep(expiry + Duration::from_millis(300)).await;
    assert_eq!(served.get("1.4", &format!("/contacts/scroll?scroll_param={param}")).await.status, 404);
    let companies = served.get("2.11", "/companies/scroll").await.json();
    assert_eq!((companies["type"].as_str(), companies["data"].as_array().unwrap().len()), (Some("list"), 80));
}

#[tokio::test]
async fn a_scroll_that_fails_can_be_restarted() {
    let faults = Faults::parse(None, Some("2=scroll_restart@/users/scroll")).unwrap();
    let served = Served::with(Options { world: of_contacts(400), faults, ..Options::default() }).await;
    let first = served.get("1.4", "/users/scroll").await.json();
    let path = format!("/users/scroll?scroll_param={}", first["scroll_param"].as_str().unwrap());
    let broken = served.get("1.4", &path).await;
    assert_eq!(broken.status, 500);
    assert!(broken.message().ends_with("Please restart the scroll operation."));
    assert_eq!(served.get("1.4", &path).await.status, 404, "it is gone");
    assert_eq!(
        served.scroll("/users/scroll", "users").await.concat().len(),
        served.probe("state").await["users"].as_u64().unwrap() as usize
    );
}

#[tokio::test]
async fn counts_are_keyed_by_name_and_names_can_be_equal() {
    let served = Served::new().await;
    let count =
        |body: &Value, name: &str| -> Vec<Value> { body.as_array().unwrap().iter().filter_map(|entry| entry.get(name).cloned()).collect() };
    let state = served.probe("state").await;
    let counts = served.get("1.4", "/counts").await.json();
    assert_eq!((&counts["user"]["count"], &counts["lead"]["count"]), (&state["users"], &state["leads"]));
    assert_eq!((&counts["tag"]["count"], &counts["segment"]["count"]), (&json!(23), &json!(11)));
    assert_eq!(served.get("1.4", "/counts?type=user").await.json()["user"]["user"]["count"], state["users"]);
    let tags = served.get("1.4", "/counts?type=user&count=tag").await.json()["user"]["tag"].clone();
    let members = served.members(&format!("tag:{VALUE_LEAD_ID}")).await.len();
    assert_eq!(count(&tags, "value_lead"), [json!(members)], "users and leads together");
    assert_eq!(count(&tags, "VIP").len(), 2, "one of them is archived");
    assert_eq!(count(&tags, "old campaign").len(), 1);
    let segments = served.get("1.4", "/counts?type=user&count=segment").await.json()["user"]["segment"].clone();
    assert_eq!(count(&segments, "Active"), [json!(served.members(&format!("segment:{ACTIVE}")).await.len())]);
    assert_eq!((count(&segments, "New").len(), count(&segments, "Duplicate name").len()), (2, 2));
    let page = served.get("1.4", "/counts?type=company&count=tag&per_page=5").await.json();
    let next = format!("{}/counts?type=company&count=tag&per_page=5&page=2", served.base());
    assert_eq!((page["company"]["tag"].as_array().unwrap().len(), &page["pages"]["pages"]["next"]), (5, &json!(next)));
    assert_eq!(served.get("1.4", "/counts?type=company").await.json()["company"]["count"], 80);
    let users = served.get("1.4", "/counts?type=company&count=user").await.json()["company"]["user"].clone();
    assert!(users.as_array().unwrap().iter().all(|entry| entry.as_object().unwrap().len() == 2 && entry["remote_company_id"].is_string()));
    let talk = served.get("1.4", "/counts?type=conversation").await.json()["conversation"].clone();
    let sum = |one: &str, other: &str| talk[one].as_u64().unwrap() + talk[other].as_u64().unwrap();
    assert_eq!(
        (sum("open", "closed"), sum("assigned", "unassigned")),
        (state["conversations"].as_u64().unwrap(), state["conversations"].as_u64().unwrap())
    );
    let admins = served.get("1.4", "/counts?type=conversation&count=admin").await.json()["conversation"]["admin"].clone();
    assert_eq!(
        admins.as_array().unwrap().iter().map(|admin| admin["open"].as_u64().unwrap() + admin["closed"].as_u64().unwrap()).sum::<u64>(),
        talk["assigned"].as_u64().unwrap()
    );
    assert_eq!(served.get("1.4", "/counts?type=shoe").await.status, 400);
}

#[tokio::test]
async fn no_list_contains_archived_groups() {
    let served = Served::new().await;
    for version in ["1.4", "2.11"] {
        assert!(!served.get(version, "/tags").await.text.contains("old campaign"));
        assert!(!served.get(version, "/segments").await.text.contains("Signed up in 2023"));
        assert_eq!(served.get(version, "/tags/1390001").await.json(), json!({"type": "tag", "id": "1390001", "name": "old campaign"}));
    }
    let tags = served.get("1.4", "/tags").await.json();
    assert_eq!((&tags["type"], &tags["tags"][0]), (&json!("tag.list"), &json!({"type": "tag", "id": "1373897", "name": "value_lead"})));
    let segments = served.get("1.4", "/segments?include_count=true").await.json();
    assert_eq!((&segments["type"], &segments["segments"][4]["person_type"]), (&json!("segment.list"), &json!("contact")));
    assert!(segments["segments"].as_array().unwrap().iter().all(|segment| segment["count"].is_u64()));
    assert!(served.get("1.4", &format!("/segments/{ACTIVE}")).await.json().get("count").is_none());
    assert_eq!(served.get("1.4", "/segments?type=company").await.json()["segments"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn users_are_found_by_id_user_id_and_email() {
    let served = Served::with(Options { world: of_contacts(5_000), ..Options::default() }).await;
    let page = served.get("1.4", "/users?per_page=60").await.json();
    let user = page["users"].as_array().unwrap().iter().find(|user| user["user_id"].is_string()).unwrap();
    let (id, user_id) = (user["id"].as_str().unwrap(), user["user_id"].as_str().unwrap());
    assert_eq!(&served.get("1.4", &format!("/users/{id}")).await.json(), user);
    assert_eq!(&served.get("1.4", &format!("/users?user_id={user_id}")).await.json(), user);
    assert_eq!(served.get("1.4", &format!("/users/{user_id}")).await.refusal(), (404, "not_found".to_owned()), "id and user_id differ");
    assert_eq!(served.get("1.4", &format!("/contacts/{id}")).await.status, 404, "a user is no lead");
    let lead = served.get("1.4", "/contacts?per_page=1").await.json()["contacts"][0].clone();
    assert_eq!(served.get("1.4", &format!("/contacts/{}", lead["id"].as_str().unwrap())).await.json(), lead);
    assert_eq!(served.get("1.4", &format!("/contacts?user_id={}", lead["user_id"].as_str().unwrap())).await.json(), lead);
    // Several contacts can have the same email address.
    let shared = served.probe("shared_emails").await;
    let list = |kind: &str, entry: &Value| entry[kind].as_array().unwrap().len();
    let three = shared.as_array().unwrap().iter().find(|entry| list("users", entry) >= 3).expect("an address of three users");
    let mixed = shared.as_array().unwrap().iter().find(|entry| list("users", entry) == 1 && list("leads", entry) > 0);
    let mixed = mixed.expect("an address of a user and a lead");
    let path = format!("/users?email={}", three["email"].as_str().unwrap());
    let users = served.get("1.1", &path).await.json();
    assert_eq!((&users["type"], sorted(ids(&users["users"]))), (&json!("user.list"), sorted(ids(&three["users"]))));
    assert_eq!(served.get("1.0", &path).await.refusal(), (409, "conflict".to_owned()));
    let address = mixed["email"].as_str().unwrap();
    assert_eq!(served.get("1.0", &format!("/users?email={address}")).await.json()["id"], mixed["users"][0]["id"]);
    let leads = served.get("1.4", &format!("/contacts?email={address}")).await.json();
    assert_eq!((ids(&leads["contacts"]), &leads["limited"]), (ids(&mixed["leads"]), &json!(false)));
    let of_company = user_with_company(&served).await;
    let members = served.follow("1.4", &format!("/users?company_id={}", of_company["company_id"].as_str().unwrap()), "users").await;
    let same = served.follow("1.4", &format!("/companies/{}/users", of_company["id"].as_str().unwrap()), "users").await;
    assert!(!members.is_empty() && members == same);
}

async fn user_with_company(served: &Served) -> Value {
    let page = served.get("1.4", "/users?per_page=60").await.json();
    let mut companies = page["users"].as_array().unwrap().iter().map(|user| user["companies"]["companies"][0].clone());
    companies.find(|company| company.is_object()).unwrap()
}

#[tokio::test]
async fn both_generations_show_one_world() {
    let served = Served::new().await;
    for user in served.get("1.4", "/users?per_page=60").await.json()["users"].as_array().unwrap() {
        let contact = served.get("2.11", &format!("/contacts/{}", user["id"].as_str().unwrap())).await.json();
        for (old, new) in
            [("user_id", "external_id"), ("email", "email"), ("last_request_at", "last_seen_at"), ("signed_up_at", "signed_up_at")]
        {
            assert_eq!(user[old], contact[new], "{old}");
        }
        assert_eq!(user["tags"]["tags"].as_array().unwrap().len(), contact["tags"]["total_count"].as_u64().unwrap() as usize);
        assert_eq!(user["custom_attributes"]["plan"], contact["custom_attributes"]["plan"]);
        assert_eq!(user["location_data"].get("country_name").cloned().unwrap_or_default(), contact["location"]["country"]);
    }
}

#[tokio::test]
async fn conversations_of_1x_have_their_own_shape() {
    let served = Served::new().await;
    let page = served.get("1.4", "/conversations").await.json();
    assert_eq!((page["type"].as_str(), page["conversations"].as_array().unwrap().len()), (Some("conversation.list"), 20));
    let all = served.follow("1.4", "/conversations?per_page=60", "conversations").await;
    assert!(all.is_sorted_by_key(|one| -one["updated_at"].as_i64().unwrap()));
    let state = served.probe("state").await;
    assert_eq!(all.len(), state["conversations"].as_u64().unwrap() as usize);
    let assigned: HashSet<&str> = all.iter().map(|one| one["assignee"]["type"].as_str().unwrap()).collect();
    assert_eq!(assigned, HashSet::from(["admin", "nobody_admin"]));
    assert!(
        all.iter().all(|one| one["conversation_message"]["author"]["id"].is_string() && one["user"]["id"] == one["customers"][0]["id"])
    );
    let leads = served.follow("1.4", "/contacts?per_page=60", "contacts").await;
    let talks = |lead: &&Value| all.iter().any(|one| one["user"]["id"] == lead["id"]);
    let lead = leads.iter().find(talks).unwrap()["id"].as_str().unwrap();
    let of_lead = served.follow("1.4", &format!("/conversations?type=user&intercom_user_id={lead}"), "conversations").await;
    let takes_part = |one: &&Value| one["customers"].as_array().unwrap().iter().any(|customer| customer["id"] == *lead);
    assert_eq!(of_lead.len(), all.iter().filter(takes_part).count());
    let open = served.follow("1.4", "/conversations?open=true", "conversations").await;
    assert!(open.iter().all(|one| one["open"] == true));
    assert_eq!(open.len(), all.iter().filter(|one| one["open"] == true).count());
    assert_eq!(served.get("1.4", "/conversations?type=user&intercom_user_id=nobody").await.status, 404);
}

#[tokio::test]
async fn faults_of_pages_reach_numbered_pages() {
    let faults = Faults::parse(None, Some("2=loop@/users,3=foreign-next@/users,4=drop@/users,5=repeat@/users,6=total@/users")).unwrap();
    let served = Served::with(Options { world: of_contacts(600), faults, ..Options::default() }).await;
    let path = "/users?per_page=10&page=2";
    let whole = served.get("1.4", path).await.json();
    assert_eq!(served.get("1.4", path).await.json()["pages"]["next"], format!("{}{path}", served.base()));
    assert!(served.get("1.4", path).await.json()["pages"]["next"].as_str().unwrap().starts_with("http://attacker.example/"));
    let length = |page: Value| page["users"].as_array().unwrap().len();
    assert_eq!((length(served.get("1.4", path).await.json()), length(served.get("1.4", path).await.json())), (9, 11));
    assert!(served.get("1.4", path).await.json()["total_count"].as_u64() > whole["total_count"].as_u64());
}
