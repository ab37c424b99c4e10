//! `tags`, `segments` and `counts`, on both generations, compared with the simulator's probes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::http;
use crate::support::program::{ask, cohorts};
use crate::support::scripted::{Reply, Scripted};
use crate::support::simulator::Simulator;

const VERSIONS: [&str; 4] = ["1.0", "1.4", "2.0", "2.16"];
const NOW: &str = "2026-11-01T02:00:00Z";

/// The rows of `--json` output, whose keys stand in the order of the contract.
fn rows(base_url: &str, version: &str, arguments: &[&str]) -> Vec<Value> {
    let finished = ask(base_url, version, arguments).arguments(&["--json"]).succeed();
    for line in finished.stdout.lines().filter(|line| line.contains('{')) {
        let place = |key: &str| line.find(&format!("\"{key}\":")).unwrap();
        assert!(place("id") < place("name") && place("name") < place("count"), "{line}");
    }
    serde_json::from_str::<Value>(&finished.stdout).unwrap().as_array().unwrap().clone()
}

fn by_id(rows: &[Value]) -> BTreeMap<String, (String, u64)> {
    let row = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap().to_string();
        (text("id"), (text("name"), row["count"].as_u64().unwrap()))
    };
    let found: BTreeMap<_, _> = rows.iter().map(row).collect();
    assert_eq!(found.len(), rows.len(), "an ID came twice");
    found
}

/// The groups of a kind, from the probe.
fn truth(simulator: &Simulator, kind: &str) -> BTreeMap<String, (String, u64)> {
    let state = simulator.state();
    let groups = state["groups"].as_array().unwrap().iter().filter_map(|group| {
        let id = group["group"].as_str().unwrap().strip_prefix(kind)?.strip_prefix(':')?;
        Some((id.to_string(), (group["name"].as_str().unwrap().to_string(), group["count"].as_u64().unwrap())))
    });
    groups.collect()
}

#[test]
fn tags_and_segments_are_listed_with_their_ids_and_sizes() {
    let simulator = Simulator::at(NOW, &["--extra-groups", "40"]);
    for version in VERSIONS {
        for (command, kind) in [("tags", "tag"), ("segments", "segment")] {
            let expected = truth(&simulator, kind);
            assert!(expected.values().any(|(_, count)| *count > 0) && expected.len() > 5);
            assert_eq!(by_id(&rows(&simulator.base_url, version, &[command])), expected, "{command} on {version}");
            assert_eq!(by_id(&rows(&simulator.base_url, version, &["counts", "--by", kind])), expected, "counts --by {kind} on {version}");
        }
    }
    // Segments of one name are distinguished, on 1.x too, where `/counts` cannot.
    let names = truth(&simulator, "segment").into_values().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names.iter().filter(|name| *name == "Duplicate name").count(), 2);
}

#[test]
fn a_table_for_people_has_one_line_a_group() {
    let simulator = Simulator::at(NOW, &[]);
    let table = ask(&simulator.base_url, "2.14", ["tags"]).succeed().stdout;
    let expected = truth(&simulator, "tag");
    assert_eq!(table.lines().count(), expected.len() + 1, "a head and a line each, line breaks in names or not:\n{table}");
    for (id, (name, _)) in expected {
        let name = name.replace('\n', " ");
        assert!(table.lines().any(|line| line.contains(&id) && line.contains(&name)), "{id} {name}\n{table}");
    }
}

#[test]
fn everything_is_counted_alike_in_both_generations() {
    let simulator = Simulator::at(NOW, &[]);
    let state = simulator.state();
    let companies = http::json(&simulator.base_url, "/companies?per_page=1")["total_count"].clone();
    assert!(companies.as_u64().unwrap() > 0);
    let row = |name: &str, count: &Value| json!({ "id": null, "name": name, "count": count });
    let groups = |kind: &str| json!(truth(&simulator, kind).len());
    let (users, leads) = (row("users", &state["users"]), row("leads", &state["leads"]));
    let everything =
        [users.clone(), leads.clone(), row("companies", &companies), row("tags", &groups("tag")), row("segments", &groups("segment"))];
    for version in VERSIONS {
        let counts = |arguments: &[&str]| rows(&simulator.base_url, version, &[&["counts"], arguments].concat());
        assert_eq!(counts(&[]), everything, "{version}");
        assert_eq!(counts(&["--of", "users"]), [users.clone(), leads.clone()], "{version}");
        assert_eq!(counts(&["--of", "companies"]), [row("companies", &companies)], "{version}");
        let conversations = counts(&["--of", "conversations"]);
        let states: Vec<&str> = conversations.iter().map(|row| row["name"].as_str().unwrap()).collect();
        let of_all: &[&str] = if version.starts_with('1') { &["open", "closed"] } else { &["open", "snoozed", "closed"] };
        assert!(states.starts_with(of_all), "{states:?}");
        let sum: u64 = conversations[..of_all.len()].iter().map(|row| row["count"].as_u64().unwrap()).sum();
        assert_eq!(sum, state["conversations"].as_u64().unwrap(), "every conversation is in one state");
    }
}

#[test]
fn companies_and_conversations_are_counted_by_group_as_far_as_each_generation_can() {
    let simulator = Simulator::at(NOW, &[]);
    let company = http::json(&simulator.base_url, "/companies?per_page=1")["data"][0]["company_id"].as_str().unwrap().to_string();
    ask(&simulator.base_url, "2.14", ["tag", "VIP", "--company-id", &company]).succeed();
    for version in VERSIONS {
        let counts = |arguments: &[&str]| by_id(&rows(&simulator.base_url, version, &[&["counts"], arguments].concat()));
        let companies = counts(&["--of", "companies", "--by", "tag"]);
        assert_eq!(companies.len(), truth(&simulator, "tag").len());
        let held: Vec<&(String, u64)> = companies.values().filter(|(_, count)| *count > 0).collect();
        assert_eq!(held, [&("VIP".to_string(), 1)], "{version}");
    }
    for version in ["1.0", "1.4"] {
        let segments = by_id(&rows(&simulator.base_url, version, &["counts", "--of", "companies", "--by", "segment"]));
        assert!(segments.values().any(|(_, count)| *count > 0), "{segments:?}");
    }
    let conversations = by_id(&rows(&simulator.base_url, "2.14", &["counts", "--of", "conversations", "--by", "tag"]));
    assert!(conversations.values().any(|(_, count)| *count > 0), "{conversations:?}");
    for (version, of, by) in [
        ("2.14", "companies", "segment"),
        ("2.14", "conversations", "segment"),
        ("1.4", "conversations", "segment"),
        ("1.4", "conversations", "tag"),
    ] {
        let failed = ask(&simulator.base_url, version, ["counts", "--of", of, "--by", by]).finish();
        failed.check_failure(2, &[&format!("API version {version} does not count {of} by {by}")]);
    }
}

#[test]
fn sizes_of_tags_are_asked_side_by_side_and_once() {
    let simulator = Simulator::at(NOW, &["--extra-groups", "200", "--latency", "20ms"]);
    let tags = truth(&simulator, "tag").len() as u64;
    let before = simulator.stats();
    ask(&simulator.base_url, "2.14", ["tags"]).succeed();
    let after = simulator.stats();
    assert_eq!(after.requests - before.requests, tags + 1, "the list, and one search a tag");
    assert!(after.max_in_flight > 4 && after.max_in_flight <= 16, "{after:?}");
    // 1.x has all of them in one answer; only names that are not unique are asked for by ID.
    let listed = ask(&simulator.base_url, "1.4", ["tags"]).succeed();
    assert_eq!(listed.stdout.lines().count() as u64, tags + 1);
    let of_tags = simulator.stats();
    assert!(of_tags.requests - after.requests < 10, "{of_tags:?}");
    // The one count that comes in pages.
    let listed = ask(&simulator.base_url, "1.4", ["counts", "--of", "companies", "--by", "tag"]).succeed();
    assert_eq!(listed.stdout.lines().count() as u64, tags + 1);
    let pages = simulator.stats().requests - of_tags.requests - 1;
    assert!(pages >= tags / 60 && pages < 10, "{pages} pages of {tags} tags");
}

#[test]
fn a_failing_answer_is_one_error_with_its_exit_code() {
    let status = |status: u16| Scripted::new(move |_| Reply::text(status, "application/json", r#"{"type":"error.list","errors":[]}"#));
    for (status_code, code) in [(401, 3), (403, 3), (500, 5), (404, 2)] {
        let server = status(status_code);
        for arguments in [vec!["tags"], vec!["segments"], vec!["counts"], vec!["members", "tag:VIP"], vec!["tag", "VIP", "--id", "1"]] {
            let failed = ask(&server.base_url, "2.14", &arguments).variable("COHORTS__INTERCOM__GIVE_UP_AFTER", "1s").finish();
            failed.check_failure(code, &[&status_code.to_string()]);
        }
    }
    cohorts(["tags"]).without_token().finish().check_failure(3, &["INTERCOM_ACCESS_TOKEN"]);
    ask("http://127.0.0.1:1", "3.x", ["tags"]).finish().check_failure(2, &["intercom.api_version"]);
    let off = Simulator::at(NOW, &["--without-1x"]);
    ask(&off.base_url, "1.4", ["tags"]).finish().check_failure(2, &["intercom_version_invalid", "intercom.api_version"]);
}
