//! Tags of conversations, and lists that are filtered or counted by tag.

use serde_json::{Value, json};

use super::NOW;
use super::served::{Answer, Served, ids};
use crate::world::ADMINS;
use crate::world::groups::VALUE_LEAD_ID;
use crate::*;

const VERSION: &str = "2.16";

/// A conversation without tags that was created more than 1,000 seconds ago.
async fn untagged(served: &Served) -> Value {
    let page = served.get(VERSION, "/conversations?per_page=50").await.json();
    let is_bare = |one: &Value| one["tags"]["tags"] == json!([]);
    page["conversations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| is_bare(one) && one["created_at"].as_i64().unwrap() < NOW - 1_000)
        .unwrap()
        .clone()
}

async fn found(served: &Served, tag: &Value) -> (Vec<String>, Value) {
    let query = json!({"query": {"field": "tag_ids", "operator": "=", "value": tag}, "pagination": {"per_page": 150}});
    let page = served.post(VERSION, "/conversations/search", query).await.json();
    (ids(&page["conversations"]), page["total_count"].clone())
}

async fn untag(served: &Served, path: &str, body: Value) -> Answer {
    served.send("DELETE", VERSION, path, &body.to_string(), "token").await
}

#[tokio::test]
async fn one_conversation_is_shown_as_in_lists() {
    let served = Served::new().await;
    let listed = served.get("2.11", "/conversations").await.json();
    assert_eq!(listed["total_count"], served.probe("state").await["conversations"]);
    for conversation in listed["conversations"].as_array().unwrap() {
        assert_eq!(&served.get("2.11", &format!("/conversations/{}", conversation["id"].as_str().unwrap())).await.json(), conversation);
    }
    for unknown in ["1", "215000000000001", "x", "-1"] {
        assert_eq!(served.get("2.11", &format!("/conversations/{unknown}")).await.refusal(), (404, "not_found".to_owned()), "{unknown}");
    }
}

#[tokio::test]
async fn a_conversation_is_tagged_and_untagged() {
    let served = Served::new().await;
    let tag = served.post(VERSION, "/tags", json!({"name": "fresh"})).await.json()["id"].clone();
    let conversation = untagged(&served).await;
    let path = format!("/conversations/{}", conversation["id"].as_str().unwrap());
    let admin = ADMINS[2].0.to_string();
    let applied = served.post(VERSION, &format!("{path}/tags"), json!({"id": tag, "admin_id": admin})).await.json();
    let expected = json!({"type": "tag", "id": tag, "name": "fresh", "applied_at": NOW, "applied_by": {"type": "admin", "id": admin}});
    assert_eq!(applied, expected);
    // The conversation, the search and 1.x show the tag. `updated_at` does not change.
    let shown = served.get(VERSION, &path).await.json();
    assert_eq!(shown["tags"], json!({"type": "tag.list", "tags": [expected]}));
    assert_eq!(shown["updated_at"], conversation["updated_at"]);
    assert_eq!(found(&served, &tag).await, (vec![conversation["id"].as_str().unwrap().to_owned()], json!(1)));
    assert_eq!(served.get("1.4", &path).await.json()["tags"]["tags"], json!([{"type": "tag", "id": tag, "name": "fresh"}]));
    // Adding the tag a second time changes nothing. Ids may be numbers.
    let number: u64 = tag.as_str().unwrap().parse().unwrap();
    let again = json!({"id": number, "admin_id": ADMINS[0].0});
    assert_eq!(served.post(VERSION, &format!("{path}/tags"), again).await.json(), expected);
    let of_tag = format!("{path}/tags/{}", tag.as_str().unwrap());
    let body = json!({"admin_id": ADMINS[0].0});
    assert_eq!(untag(&served, &of_tag, body.clone()).await.json(), expected);
    assert_eq!(served.get(VERSION, &path).await.json(), conversation);
    assert_eq!(found(&served, &tag).await, (vec![], json!(0)));
    assert_eq!(untag(&served, &of_tag, body).await.refusal(), (404, "tag_not_found".to_owned()));
    let writes = served.probe("writes").await;
    let logged: Vec<(&str, u64)> =
        writes.as_array().unwrap().iter().map(|one| (one["method"].as_str().unwrap(), one["status"].as_u64().unwrap())).collect();
    assert_eq!(logged, [("POST", 200), ("POST", 200), ("POST", 200), ("DELETE", 200), ("DELETE", 404)]);
    // Before their time, the writes are not visible.
    served.post(VERSION, &format!("{path}/tags"), json!({"id": tag, "admin_id": admin})).await.json();
    served.simulator.set_now(DateTime::from_timestamp(NOW + 90, 0).unwrap());
    assert_eq!(served.get(VERSION, &path).await.json()["tags"]["tags"][0]["applied_at"], NOW);
    served.simulator.set_now(DateTime::from_timestamp(NOW - 1, 0).unwrap());
    assert_eq!(served.get(VERSION, &path).await.json()["tags"]["tags"], json!([]));
}

#[tokio::test]
async fn tags_of_the_world_can_be_removed_and_have_company() {
    let served = Served::new().await;
    let page = served.get(VERSION, "/conversations?per_page=150").await.json();
    let tagged = page["conversations"].as_array().unwrap().iter().find(|one| one["tags"]["tags"][0].is_object()).unwrap();
    let (path, own) = (format!("/conversations/{}/tags", tagged["id"].as_str().unwrap()), &tagged["tags"]["tags"][0]);
    let tag = served.post(VERSION, "/tags", json!({"name": "fresh"})).await.json()["id"].clone();
    served.post(VERSION, &path, json!({"id": tag, "admin_id": ADMINS[1].0})).await.json();
    let (before, total) = found(&served, &own["id"]).await;
    assert!(before.contains(&tagged["id"].as_str().unwrap().to_owned()), "both tags are found");
    let removed = untag(&served, &format!("{path}/{}", own["id"].as_str().unwrap()), json!({"admin_id": ADMINS[1].0})).await.json();
    assert_eq!(&removed, own);
    assert_eq!(found(&served, &own["id"]).await.1, json!(total.as_u64().unwrap() - 1));
    assert_eq!(found(&served, &tag).await.1, 1);
    // A deleted tag is gone from conversations, too.
    served.delete(VERSION, &format!("/tags/{}", tag.as_str().unwrap())).await;
    assert_eq!(found(&served, &tag).await.1, 0);
}

#[tokio::test]
async fn invalid_tag_calls_of_conversations_are_refused() {
    let served = Served::new().await;
    let conversation = untagged(&served).await["id"].as_str().unwrap().to_owned();
    let (path, admin) = (format!("/conversations/{conversation}/tags"), ADMINS[0].0);
    let tag = VALUE_LEAD_ID;
    let invalid = (400, "parameter_invalid");
    for (path, body, refusal) in [
        (path.as_str(), json!({"id": tag}), invalid),
        (&path, json!({"admin_id": admin}), invalid),
        (&path, json!({"id": "1", "admin_id": admin}), (404, "tag_not_found")),
        (&path, json!({"id": tag, "admin_id": "1"}), (404, "admin_not_found")),
        ("/conversations/1/tags", json!({"id": tag, "admin_id": admin}), (404, "not_found")),
    ] {
        let answer = served.post(VERSION, path, body.clone()).await;
        assert_eq!(answer.refusal(), (refusal.0, refusal.1.to_owned()), "{path} {body}");
    }
    for (path, body, refusal) in [
        (format!("{path}/{tag}"), json!({}), invalid),
        (format!("{path}/{tag}"), json!({"admin_id": admin}), (404, "tag_not_found")),
        (format!("{path}/{tag}"), json!({"admin_id": 1}), (404, "admin_not_found")),
        (format!("/conversations/1/tags/{tag}"), json!({"admin_id": admin}), (404, "not_found")),
    ] {
        assert_eq!(untag(&served, &path, body.clone()).await.refusal(), (refusal.0, refusal.1.to_owned()), "{path} {body}");
    }
    assert_eq!(served.delete(VERSION, &format!("{path}/{tag}")).await.refusal(), (400, "parameter_invalid".to_owned()), "no body");
    let readonly = served.send("POST", VERSION, &path, &json!({"id": tag, "admin_id": admin}).to_string(), "readonly-1").await;
    assert_eq!(readonly.refusal(), (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn companies_are_listed_by_tag_and_segment_in_pages() {
    let served = Served::new().await;
    let members: Vec<Value> = (1..=7).map(|number| json!({"company_id": number.to_string()})).collect();
    let tag = served.post("2.11", "/tags", json!({"name": "partner 🤝", "companies": members})).await.json()["id"].clone();
    let filter = format!("tag_id={}", tag.as_str().unwrap());
    let by_tag = served.follow("1.4", &format!("/companies?{filter}&per_page=3"), "companies").await;
    assert_eq!(by_tag.len(), 7);
    assert_eq!(served.follow("2.11", &format!("/companies?{filter}&per_page=3"), "data").await.len(), 7);
    let by_segment = served.follow("1.4", "/companies?segment_id=63bbdd50aa01c0ffee0000c3&per_page=3", "companies").await;
    assert_eq!(ids(&json!(by_segment)), ids(&json!(by_tag)));
}
