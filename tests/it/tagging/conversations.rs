//! Conversations, which are tagged one by one, in the name of an admin.

use super::*;

const ADMIN: &str = "5000103";

/// The tags of a conversation now: the ID of each, and of the admin who added it.
fn tags(simulator: &Simulator, conversation: &str) -> BTreeMap<String, String> {
    let shown = http::json(&simulator.base_url, &format!("/conversations/{conversation}"));
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let tags = shown["tags"]["tags"].as_array().unwrap().iter();
    tags.map(|tag| (text(&tag["id"]), text(&tag["applied_by"]["id"]))).collect()
}

/// Conversations without tags.
fn untagged(simulator: &Simulator) -> Vec<String> {
    let page = http::json(&simulator.base_url, "/conversations?per_page=50");
    let bare = page["conversations"].as_array().unwrap().iter().filter(|one| one["tags"]["tags"].as_array().unwrap().is_empty());
    bare.map(|one| one["id"].as_str().unwrap().to_string()).collect()
}

fn id_of(simulator: &Simulator, name: &str) -> String {
    let state = simulator.state();
    let group = state["groups"].as_array().unwrap().iter().find(|group| group["name"] == name).unwrap();
    group["group"].as_str().unwrap().strip_prefix("tag:").unwrap().to_string()
}

fn found(finished: &Finished) -> Vec<String> {
    results(finished).into_iter().map(|(_, _, result)| result).collect()
}

fn asks_for_me(server: &Scripted) -> usize {
    server.requests().iter().filter(|request| request.path() == "/me").count()
}

#[test]
fn conversations_are_tagged_and_untagged_in_the_name_of_the_tokens_admin() {
    let people = People::meet(&[]);
    let simulator = &people.simulator;
    let own = http::json(&simulator.base_url, "/me")["id"].as_str().unwrap().to_string();
    let conversations = untagged(simulator);
    for (version, pair) in ["2.0", "2.14", "2.17"].into_iter().zip(conversations.chunks(2)) {
        let [one, two] = pair else { panic!("too few conversations") };
        let name = format!("escalated on {version}");
        let server = Scripted::before(simulator.address(), |_| None);
        let call = |command: &str, given: &[&str]| {
            let flags: Vec<&str> = given.iter().flat_map(|id| ["--conversation-id", id]).collect();
            ask(&server.base_url, version, [command, &name, "--json"]).arguments(&flags).finish()
        };
        let tagged = call("tag", &[one, two, "1", "a/b", one]);
        assert_eq!(
            (tagged.code, found(&tagged)),
            (Some(4), texts(&["tagged", "tagged", "not found", "not found", "tagged"])),
            "{tagged:?}"
        );
        let tag = id_of(simulator, &name);
        assert_eq!(
            (tags(simulator, one), tags(simulator, two)),
            ([(tag.clone(), own.clone())].into(), [(tag.clone(), own.clone())].into())
        );
        assert_eq!(asks_for_me(&server), 1);

        let writes = simulator.writes().len();
        let again = call("tag", &[one]);
        assert_eq!((again.code, found(&again)), (Some(0), texts(&["already tagged"])), "{again:?}");
        assert_eq!(simulator.writes().len(), writes, "what is known to be so is not sent");

        let untagged = call("untag", &[one, two]);
        assert_eq!((untagged.code, found(&untagged)), (Some(0), texts(&["untagged", "untagged"])), "{untagged:?}");
        assert!(tags(simulator, one).is_empty() && tags(simulator, two).is_empty());
        assert_eq!(found(&call("untag", &[one])), ["not tagged"]);
        let bodies: Vec<Value> =
            server.requests().iter().filter(|request| request.method == "DELETE").map(|request| request.json()).collect();
        assert_eq!(bodies, [json!({"admin_id": own}), json!({"admin_id": own})]);
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

#[test]
fn a_file_names_conversations_and_a_dry_run_shows_the_calls() {
    let people = People::meet(&[]);
    let simulator = &people.simulator;
    let [one, two, ..] = &untagged(simulator)[..] else { panic!("too few conversations") };
    let user = &people.users[0].id;
    let folder = temporary_folder();
    let path = file(&folder, &format!("contact_id,Conversation ID\n,{one}\n{user},\n,{two}\n"));
    let server = Scripted::before(simulator.address(), |_| None);
    let arguments = ["tag", "VIP", "--from", path.to_str().unwrap(), "--admin-id", ADMIN];
    let tag = id_of(simulator, "VIP");
    let planned = ask(&server.base_url, "2.14", arguments).arguments(&["--dry-run"]).succeed();
    let call = |conversation: &str| format!("POST /conversations/{conversation}/tags {{\"admin_id\":\"{ADMIN}\",\"id\":\"{tag}\"}}\n");
    assert!(planned.stdout.contains(&call(one)) && planned.stdout.contains(&call(two)), "{}", planned.stdout);
    assert!(planned.stdout.contains("3 calls would be sent; nothing was"), "{}", planned.stdout);
    assert!(planned.stderr.contains("2 rows name no contact"), "{}", planned.stderr);
    let new = ask(&server.base_url, "2.14", ["tag", "quite new", "--conversation-id", one, "--admin-id", ADMIN, "--dry-run"]).succeed();
    assert!(new.stdout.contains(&format!("POST /conversations/{one}/tags {{\"admin_id\":\"{ADMIN}\",\"id\":null}}\n")), "{}", new.stdout);
    assert!(simulator.writes().is_empty());

    let tagged = ask(&server.base_url, "2.14", arguments).succeed();
    assert!(tagged.stdout.contains("3 tagged") || tagged.stdout.contains("2 tagged, 1 already tagged"), "{}", tagged.stdout);
    for conversation in [one, two] {
        assert_eq!(tags(simulator, conversation), [(tag.clone(), ADMIN.to_string())].into());
    }
    assert_eq!(asks_for_me(&server), 0, "an admin was named");
    people.untag("2.14", &["VIP", "--id", user]);
    ask(&server.base_url, "2.14", ["tag", "VIP", "--id", user]).succeed();
    assert_eq!(asks_for_me(&server), 0, "no conversation was named");
}

#[test]
fn what_the_api_refuses_of_a_conversation_is_reported() {
    let people = People::meet(&[]);
    let simulator = &people.simulator;
    let [one, ..] = &untagged(simulator)[..] else { panic!("too few conversations") };
    let tag = id_of(simulator, "VIP");

    let wrong_admin = people.tag("2.14", &["VIP", "--conversation-id", one, "--admin-id", "1", "--json"]);
    assert_eq!((wrong_admin.code, found(&wrong_admin)), (Some(4), texts(&["failed"])), "{wrong_admin:?}");
    assert!(wrong_admin.stdout.contains("admin_not_found") && wrong_admin.stdout.contains("check the admin ID"), "{}", wrong_admin.stdout);

    // The tag was removed between the look and the call.
    let (path, looks) = (format!("/conversations/{one}"), std::sync::atomic::AtomicUsize::new(0));
    let stale = json!({"type": "conversation", "id": one, "tags": {"type": "tag.list", "tags": [{"type": "tag", "id": tag}]}});
    let server = Scripted::before(simulator.address(), move |request| {
        let is_first = request.path() == path && looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        is_first.then(|| Reply::json(&stale))
    });
    let gone = ask(&server.base_url, "2.14", ["untag", "VIP", "--conversation-id", one, "--json"]).finish();
    assert_eq!((gone.code, found(&gone)), (Some(0), texts(&["not tagged"])), "{gone:?}");

    people.tag("2.14", &["VIP", "--id", "5", "--admin-id", "1"]).check_failure(2, &["--admin-id is given, and no conversation"]);

    // Nobody knows in whose name.
    let server = Scripted::before(simulator.address(), |request| {
        (request.path() == "/me").then(|| Reply::json(&json!({"type": "app", "app": {"type": "app", "id_code": "w0rk5pac"}})))
    });
    let unnamed = ask(&server.base_url, "2.14", ["tag", "VIP", "--conversation-id", one]).finish();
    unnamed.check_failure(2, &["`GET /me` names no admin", "--admin-id"]);
    assert!(tags(simulator, one).is_empty());
}

#[test]
fn conversations_are_refused_on_1x_before_any_request() {
    let people = People::meet(&[]);
    let server = Scripted::before(people.simulator.address(), |_| None);
    for command in ["tag", "untag"] {
        let refused = ask(&server.base_url, "1.4", [command, "VIP", "--conversation-id", "5"]).finish();
        refused.check_failure(2, &["1.4 cannot tag conversations; 2.0 and later can"]);
    }
    assert!(server.requests().is_empty());
}
