//! `members`: everyone in a group, in each form, on both generations.

mod companies;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::http;
use crate::support::program::ask;
use crate::support::scripted::{Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tables::{self, Table};
use crate::support::temporary_folder;

const NOW: &str = "2026-11-01T02:00:00Z";
const VERSIONS: [&str; 2] = ["1.4", "2.14"];

fn ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    ids.into_iter().map(str::to_string).collect()
}

/// The key of a group by its name.
fn key(simulator: &Simulator, name: &str) -> String {
    let state = simulator.state();
    let group = state["groups"].as_array().unwrap().iter().find(|group| group["name"] == name).unwrap();
    group["group"].as_str().unwrap().to_string()
}

#[test]
fn every_form_holds_every_member_once() {
    let simulator = Simulator::at(NOW, &["--contacts", "1500"]);
    let folder = temporary_folder();
    for version in VERSIONS {
        for name in ["segment:Active", "tag:newsletter, \"weekly\"", "segment:Leads to call", "tag:empty tag"] {
            let (_, plain) = name.split_once(':').unwrap();
            let expected = simulator.members(&key(&simulator, plain)).into_iter().collect::<BTreeSet<String>>();
            let members = |arguments: &[&str]| ask(&simulator.base_url, version, ["members", name]).arguments(arguments).succeed().stdout;
            let file = |name: &str| folder.path().join(name);
            let to = |name: &str| file(name).to_str().unwrap().to_string();

            let csv = file("members.csv");
            std::fs::write(&csv, members(&["--format", "csv"])).unwrap();
            let (head, rows) = tables::csv(&csv);
            assert_eq!((head[0].as_str(), head.last().unwrap().as_str()), ("contact_id", "subscriptions"));
            assert_eq!(rows.len(), expected.len(), "{name} on {version}");
            assert_eq!(ids(rows.iter().map(|row| row[0].text.as_str())), expected);

            let jsonl = members(&["--format", "jsonl"]);
            let lines: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), expected.len());
            assert_eq!(ids(lines.iter().map(|line| line["contact_id"].as_str().unwrap())), expected);
            assert!(lines.iter().all(|line| line["custom_attributes"].is_object()));

            let table = members(&[]);
            for id in &expected {
                assert!(table.contains(id.as_str()));
            }

            // To a file, the form is in its name.
            for name in ["written.csv", "written.jsonl", "written.parquet"] {
                assert_eq!(members(&["-o", &to(name)]), "", "a file is no output");
            }
            assert_eq!(std::fs::read(file("written.csv")).unwrap(), std::fs::read(&csv).unwrap());
            assert_eq!(std::fs::read_to_string(file("written.jsonl")).unwrap(), jsonl);
            let parquet = Table::parquet(&file("written.parquet"));
            assert_eq!(parquet.names(), head);
            assert_eq!(ids(parquet.texts("contact_id").iter().map(String::as_str)), expected);
            assert_eq!(parquet.rows_by_name().len(), expected.len());
        }
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "nothing is left beside the files: {left:?}");
}

#[test]
fn a_contact_is_shown_as_the_api_shows_it() {
    let simulator = Simulator::at(NOW, &[]);
    let shown: Value = {
        let all = simulator.contacts();
        all.into_iter().find(|contact| contact["custom_attributes"]["plan"].is_string() && contact["role"] == "user").unwrap()
    };
    let tag = simulator.state()["groups"].as_array().unwrap().iter().find_map(|group| {
        let key = group["group"].as_str().unwrap();
        simulator.members(key).contains(&shown["id"].as_str().unwrap().to_string()).then(|| key.to_string())
    });
    let key = tag.unwrap();
    for version in VERSIONS {
        let jsonl = ask(&simulator.base_url, version, ["members", &key, "--format", "jsonl"]).succeed().stdout;
        let line = jsonl.lines().find(|line| line.contains(shown["id"].as_str().unwrap())).unwrap();
        let row: Value = serde_json::from_str(line).unwrap();
        for name in ["role", "external_id", "email", "name", "unsubscribed_from_emails"] {
            assert_eq!(row[name], shown[name], "{name} on {version}");
        }
        // What is not set is left out; 1.x has no custom objects.
        let is_reported = |value: &Value| !value.is_null() && (version != "1.4" || !value.is_object());
        let reported: serde_json::Map<String, Value> =
            shown["custom_attributes"].as_object().unwrap().clone().into_iter().filter(|(_, value)| is_reported(value)).collect();
        assert_eq!(row["custom_attributes"], Value::Object(reported), "{version}");
        let created = chrono::DateTime::parse_from_rfc3339(row["created_at"].as_str().unwrap()).unwrap();
        assert_eq!(created.timestamp(), shown["created_at"].as_i64().unwrap());
    }
}

#[test]
fn a_group_is_named_by_name_id_or_key_and_a_wrong_name_is_reported() {
    let simulator = Simulator::at(NOW, &[]);
    let key = key(&simulator, "VIP");
    let id = key.strip_prefix("tag:").unwrap();
    let members = |name: &str| ask(&simulator.base_url, "2.14", ["members", name, "--format", "csv"]);
    let expected = members(&key).succeed().stdout;
    assert_eq!(expected.lines().count(), simulator.members(&key).len() + 1);
    for name in ["tag:VIP", "tag:vip", &format!("tag:id:{id}"), &format!("tag:tag:{id}")] {
        assert_eq!(members(name).succeed().stdout, expected, "{name}");
    }
    members("tag:valu_lead").finish().check_failure(4, &["`valu_lead` is not in the workspace", "did you mean `value_lead`"]);
    members("segment:Duplicate name").finish().check_failure(4, &["could be", "id:"]);
    for name in ["VIP", "tags:VIP", "tag:", ""] {
        members(name).finish().check_failure(2, &["tag:value_lead"]);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_members_are_requested() {
    let simulator = Simulator::at(NOW, &[]);
    let folder = temporary_folder();
    let to = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let members = |arguments: &[&str]| ask(&simulator.base_url, "2.14", ["members", "tag:VIP"]).arguments(arguments).finish();
    members(&["-o", &to("nowhere/x.csv")]).check_failure(2, &["nowhere/x.csv", "does not exist"]);
    members(&["--format", "csv", "-o", folder.path().to_str().unwrap()]).check_failure(2, &["it is a folder"]);
    members(&["--format", "parquet"]).check_failure(2, &["-o"]);
    members(&["-o", "/dev/null", "--format", "parquet"]).check_failure(2, &["pipe or a device"]);
    for name in ["members", "members.txt", "members.json"] {
        members(&["-o", &to(name)]).check_failure(2, &[name, ".csv, .jsonl or .parquet"]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(members(&["-o", &to("members.txt"), "--format", "table"]).code, Some(0));
    assert_eq!(members(&["-o", &to("members.CSV")]).code, Some(0));
    assert!(std::fs::read_to_string(to("members.CSV")).unwrap().starts_with("contact_id,"));
    assert_eq!(members(&["-o", "/dev/null", "--format", "csv"]).code, Some(0));
    assert!(std::fs::metadata("/dev/null").unwrap().file_type() != std::fs::metadata(folder.path()).unwrap().file_type());
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file(), "a device is written to, not replaced");
}

#[test]
fn an_incomplete_stream_is_reported_and_leaves_no_file() {
    let simulator = Simulator::at(NOW, &[]);
    let folder = temporary_folder();
    let file = folder.path().join("members.csv");
    std::fs::write(&file, "what was there before").unwrap();
    // The second page of the search never comes, or comes as if it were the last.
    for (reply, code) in [(500, 5), (200, 6)] {
        let server = Scripted::before(simulator.address(), move |request| {
            request.cursor()?;
            let body = r#"{"type":"list","data":[],"total_count":9999,"pages":{"type":"pages"}}"#;
            Some(Reply::text(reply, "application/json", body))
        });
        let failed = ask(&server.base_url, "2.14", ["members", "segment:Active", "-o", file.to_str().unwrap()])
            .variable("COHORTS__INTERCOM__GIVE_UP_AFTER", "1s")
            .variable("COHORTS__INTERCOM__PAGE_SIZE", "20")
            .finish();
        failed.check_failure(code, &[]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "what was there before");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written stays");
    }
}

#[test]
fn the_instant_that_counts_as_now_is_for_this_machine_only() {
    let simulator = Simulator::at(NOW, &[]);
    let members = |base_url: &str| ask(base_url, "2.14", ["members", "tag:VIP", "--as-of", NOW, "--format", "csv"]).finish();
    assert_eq!(members(&simulator.base_url).code, Some(0));
    members("https://api.example.com").check_failure(2, &["--as-of is refused"]);
    assert_eq!(http::json(&simulator.base_url, "/_simulator/writes"), Value::Array(Vec::new()), "reading changes nothing");
}

#[test]
fn standard_output_under_another_name_is_standard_output() {
    let simulator = Simulator::at(NOW, &[]);
    let folder = temporary_folder();
    let path = folder.path().join("all.txt");
    std::fs::write(&path, "before\n").unwrap();
    for name in ["-", "/dev/stdout"] {
        let appended = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        let members = ask(&simulator.base_url, "2.14", ["members", "tag:VIP", "--format", "jsonl", "-o", name]);
        assert_eq!(members.standard_output(appended).finish().code, Some(0));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1 + 2 * simulator.members(&key(&simulator, "VIP")).len());
    assert!(text.starts_with("before\n"), "what was there stays");
}
