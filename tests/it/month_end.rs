//! One and several months against the simulator: every table against the truth, every column against the contract.

mod columns;
mod identities;
mod patterns;
mod privacy;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use polars::prelude::DataType;
use sha2::{Digest, Sha256};

use crate::support::fixture::{COHORTS, MONTHS, four_months};
use crate::support::job::{Job, Place, manifest, texts};
use crate::support::program::run;
use crate::support::scripted::Scripted;
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, CsvCell, Row, check_rows, csv};
use crate::support::truth::{Month, instant};
use crate::support::workspace::{Workspace, contact, contact_id, plainly};
use crate::support::{TOKEN, tree};

pub(crate) use columns::REPORTS;
pub(crate) use identities::{check_curve, check_movement, check_survival};

#[test]
fn every_report_has_the_columns_of_the_contract_in_their_order_and_types() {
    let months = four_months();
    for month in MONTHS {
        for (name, columns) in REPORTS {
            let expected: Vec<(String, DataType)> = columns.iter().map(|(name, kind)| (name.to_string(), kind.dtype())).collect();
            assert_eq!(months.place.report(month.name, name).columns, expected, "{name} of {}", month.name);
            let (head, _) = csv(&months.place.reports(month.name).join(format!("{name}.csv")));
            assert_eq!(head, columns.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{name}.csv of {}", month.name);
        }
    }
}

#[test]
fn csv_and_parquet_hold_the_same_rows() {
    let months = four_months();
    for month in MONTHS {
        for (name, _) in REPORTS {
            let table = months.place.report(month.name, name);
            let (_, rows) = csv(&months.place.reports(month.name).join(format!("{name}.csv")));
            assert_eq!(rows.len(), table.rows.len(), "{name} of {}", month.name);
            for (written, row) in rows.iter().zip(&table.rows) {
                assert_eq!(written.len(), row.len());
                for ((written, cell), column) in written.iter().zip(row).zip(table.names()) {
                    check_csv_cell(written, cell, &format!("{name}.{column} of {}", month.name));
                }
            }
        }
    }
}

/// A cell of the CSV against its twin in the Parquet: null is empty, an empty text is `""`, a text that a spreadsheet
/// would run is neutralised, everything else reads back as what it is.
fn check_csv_cell(written: &CsvCell, cell: &Cell, place: &str) {
    let text = written.text.as_str();
    let same = match cell {
        Cell::Null => text.is_empty() && !written.quoted,
        Cell::Text(expected) if expected.is_empty() => text.is_empty() && written.quoted,
        Cell::Text(expected) if expected.starts_with(['=', '+', '-', '@', '\t', '\r']) && expected.parse::<f64>().is_err() => {
            // Neutralised in some way, and nothing of the text is lost.
            !text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.ends_with(expected.trim_start())
        }
        Cell::Text(expected) => text == expected,
        Cell::Count(expected) => text == expected.to_string(),
        Cell::Ratio(expected) => text.parse() == Ok(*expected) && !text.contains(['e', 'E', ',']),
        Cell::Flag(expected) => text == expected.to_string(),
        Cell::Day(expected) => text == expected.to_string(),
        Cell::Instant(expected) => text.ends_with('Z') && text.parse() == Ok(*expected),
    };
    assert!(same, "{place}: {written:?} in the CSV, {cell:?} in the Parquet");
}

#[test]
fn reports_are_sorted_by_their_keys() {
    let months = four_months();
    let keys: [(&str, &[&str]); 14] = [
        ("cohort_summary", &["month", "cohort_key"]),
        ("cohort_trends", &["month", "cohort_key", "metric"]),
        ("retention", &["month", "cohort_key", "entry_month"]),
        ("retention_curve", &["month", "cohort_key"]),
        ("retention_change", &["month", "cohort_key"]),
        ("membership_survival", &["month", "cohort_key"]),
        ("attribute_profile", &["month", "cohort_key", "attribute", "value"]),
        ("numeric_profile", &["month", "cohort_key", "attribute"]),
        ("movement", &["month", "from_cohort", "to_cohort"]),
        ("overlap", &["month", "cohort_a", "cohort_b"]),
        ("conversation_activity", &["month", "cohort_key", "measure"]),
        ("members", &["month", "cohort_key", "contact_id"]),
        ("member_attributes", &["month", "contact_id", "attribute"]),
        ("data_quality", &["month", "severity", "check_name"]),
    ];
    for (name, key) in keys {
        let rows = months.place.report("2026-10", name).rows_by_name();
        let keys: Vec<Vec<String>> = rows.iter().map(|row| key.iter().map(|name| row[*name].shown()).collect()).collect();
        assert!(keys.is_sorted(), "{name}");
        assert!(!keys.is_empty(), "{name} says nothing");
    }
}

#[test]
fn a_snapshot_holds_everybody_and_the_members_of_each_group_and_the_months_conversations() {
    let months = four_months();
    for truth in &months.truths {
        let contacts = months.place.snapshot_table(&truth.month, "contacts").texts("contact_id");
        let expected: Vec<String> = truth.contacts.keys().cloned().collect();
        assert_eq!(contacts.len(), expected.len(), "each contact once");
        assert_eq!(contacts.into_iter().collect::<BTreeSet<_>>(), expected.into_iter().collect(), "{}", truth.month);

        let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let table = months.place.snapshot_table(&truth.month, "members");
        for row in table.rows_by_name() {
            let is_new = members.entry(row["cohort_key"].shown()).or_default().insert(row["contact_id"].shown());
            assert!(is_new, "{row:?} twice");
        }
        for cohort in &truth.cohorts {
            assert_eq!(members.remove(&cohort.key).unwrap_or_default(), cohort.holds, "{} in {}", cohort.name, truth.month);
        }
        assert_eq!(members, BTreeMap::new());

        let conversations = months.place.snapshot_table(&truth.month, "conversations");
        assert_eq!(conversations.rows.len(), truth.conversations.len());
        assert_eq!(conversations.texts("conversation_id").into_iter().collect::<BTreeSet<_>>(), truth.conversations, "{}", truth.month);
    }
}

#[test]
fn the_snapshot_keeps_every_custom_attribute_of_every_contact() {
    let months = four_months();
    let truth = months.truths.last().unwrap();
    let mut expected = BTreeSet::new();
    for (id, contact) in &truth.contacts {
        let attributes = contact["custom_attributes"].as_object().unwrap();
        expected.extend(attributes.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| (id.clone(), name.clone())));
    }
    let rows = months.place.snapshot_table(&truth.month, "attributes").rows_by_name();
    let found: BTreeSet<(String, String)> = rows.iter().map(|row| (row["contact_id"].shown(), row["attribute"].shown())).collect();
    assert_eq!(rows.len(), found.len(), "each once");
    assert_eq!(found, expected);
}

#[test]
fn cohort_summary_is_what_the_truth_gives() {
    let months = four_months();
    for month in MONTHS {
        let found = months.place.report(month.name, "cohort_summary").keyed(&["cohort_key"]);
        check_rows(&found, &months.oracle().cohort_summary(month.name), &format!("cohort_summary of {}", month.name));
    }
}

#[test]
fn members_are_what_the_truth_gives() {
    let months = four_months();
    let mut changes = BTreeSet::new();
    for month in MONTHS {
        let found = months.place.report(month.name, "members").keyed(&["cohort_key", "contact_id"]);
        changes.extend(found.values().map(|row| row["change"].shown()));
        check_rows(&found, &months.oracle().members(month.name), &format!("members of {}", month.name));
    }
    // Otherwise the world would be too calm to show anything.
    assert_eq!(changes.into_iter().collect::<Vec<_>>(), ["departed", "first_seen", "joined", "retained", "returned"]);
}

#[test]
fn member_attributes_are_what_the_truth_gives() {
    let months = four_months();
    for month in MONTHS {
        let found = months.place.report(month.name, "member_attributes").keyed(&["contact_id", "attribute"]);
        check_rows(&found, &months.oracle().member_attributes(month.name), &format!("member_attributes of {}", month.name));
    }
}

#[test]
fn overlap_has_every_pair_with_zeros_too() {
    let months = four_months();
    for month in MONTHS {
        let table = months.place.report(month.name, "overlap");
        let found = table.keyed(&["cohort_a", "cohort_b"]);
        assert_eq!(found.len(), COHORTS.len() * (COHORTS.len() - 1) / 2);
        assert!(found.values().any(|row| row["in_both"] == Cell::Count(0)));
        check_rows(&found, &months.oracle().overlap(month.name), &format!("overlap of {}", month.name));
    }
}

#[test]
fn conversation_activity_is_a_recount_of_the_months_conversations() {
    let months = four_months();
    for month in MONTHS {
        let table = months.place.report(month.name, "conversation_activity");
        let found = table.keyed(&["cohort_key", "measure", "lower_bound"]);
        let expected = months.oracle().conversation_activity(month.name);
        check_rows(&found, &expected, &format!("conversation_activity of {}", month.name));
    }
}

#[test]
fn the_flows_of_every_cohort_and_month_add_up() {
    let months = four_months();
    for month in MONTHS {
        let summary = months.place.report(month.name, "cohort_summary");
        let members = months.place.report(month.name, "members").rows_by_name();
        for row in summary.rows_by_name() {
            check_flows(&row, &members);
        }
    }
}

/// The identities that hold whatever the history was.
pub(crate) fn check_flows(summary: &Row, members: &[Row]) {
    let number = |name: &str| match summary[name] {
        Cell::Count(count) => Some(count),
        _ => None,
    };
    let rows = |change: &str| -> i64 {
        let of_cohort = members.iter().filter(|row| row["cohort_key"] == summary["cohort_key"]);
        of_cohort.filter(|row| row["change"].shown() == change).count() as i64
    };
    let key = &summary["cohort_key"];
    let present = ["first_seen", "retained", "joined", "returned"].map(rows).iter().sum::<i64>();
    assert_eq!(number("members"), Some(present), "{key:?}");
    assert_eq!(number("members").unwrap(), number("users").unwrap() + number("leads").unwrap(), "{key:?}");
    if summary["compared_month"] == Cell::Null {
        assert_eq!(present, rows("first_seen"), "{key:?}");
        let flows = ["previous_members", "retained", "joined", "returned", "departed", "departed_gone", "net_change"];
        assert!(flows.iter().all(|name| summary[*name] == Cell::Null), "{key:?}");
        return;
    }
    let [members, previous, retained, joined, returned, departed, gone, net] =
        ["members", "previous_members", "retained", "joined", "returned", "departed", "departed_gone", "net_change"].map(number);
    assert_eq!(members.unwrap(), retained.unwrap() + joined.unwrap(), "{key:?}: members = retained + joined");
    assert_eq!(previous.unwrap(), retained.unwrap() + departed.unwrap(), "{key:?}: previous = retained + departed");
    assert_eq!(net.unwrap(), members.unwrap() - previous.unwrap(), "{key:?}: net_change");
    assert_eq!(net.unwrap(), joined.unwrap() - departed.unwrap(), "{key:?}: net_change");
    assert_eq!(joined.unwrap(), rows("joined") + rows("returned"), "{key:?}: joined");
    assert_eq!(returned.unwrap(), rows("returned"), "{key:?}: returned");
    assert_eq!(retained.unwrap(), rows("retained"), "{key:?}: retained");
    assert_eq!(departed.unwrap(), rows("departed"), "{key:?}: departed");
    assert!(gone.is_none_or(|gone| gone <= departed.unwrap()), "{key:?}: departed_gone");
}

#[test]
fn contacts_created_after_the_months_end_are_left_out_and_counted() {
    let months = four_months();
    let mut left_out = 0;
    for truth in &months.truths {
        let findings = months.place.report(&truth.month, "data_quality").rows_by_name();
        let members = months.place.report(&truth.month, "members").rows_by_name();
        for cohort in &truth.cohorts {
            let late = cohort.holds.len() - truth.members(&cohort.key).len();
            left_out += late;
            let reported = findings.iter().any(|row| row["subject"].shown() == cohort.key && row["value"].shown() == late.to_string());
            assert!(reported || late == 0, "data_quality of {} does not say {late} of {}", truth.month, cohort.key);
        }
        let is_late = |row: &&Row| matches!(row["created_at"], Cell::Instant(at) if at >= truth.end);
        assert_eq!(members.iter().find(is_late), None, "{}", truth.month);
    }
    assert!(left_out > 0, "two days after the month's end somebody new is in `New`");
}

#[test]
fn manifests_list_every_file_with_rows_bytes_and_hash() {
    let months = four_months();
    for month in MONTHS {
        for folder in [months.place.snapshot(month.name), months.place.history(month.name), months.place.reports(month.name)] {
            check_files(&folder);
        }
    }
}

fn check_files(folder: &Path) {
    let listed = manifest(folder)["files"].as_array().unwrap().clone();
    let mut found = tree::tree(folder);
    assert!(found.remove("manifest.json").is_some());
    let names: BTreeSet<&str> = listed.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(names, found.keys().map(String::as_str).collect(), "{}", folder.display());
    for file in &listed {
        let name = file["path"].as_str().unwrap();
        let place = format!("{name} in {}", folder.display());
        assert_eq!(file["bytes"], found[name].len(), "{place}");
        assert_eq!(file["sha256"], sha256(&found[name]), "{place}");
        let path = folder.join(name);
        let rows = match path.extension().unwrap().to_str().unwrap() {
            "csv" => csv(&path).1.len(),
            "parquet" => crate::support::tables::Table::parquet(&path).rows.len(),
            "html" | "xlsx" => 0,
            other => panic!("{other} is no format of the contract"),
        };
        assert_eq!(file["rows"], rows, "{place}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn reports_say_from_which_snapshot_and_history_they_were_built() {
    let months = four_months();
    let hash = |folder: &Path| sha256(&fs::read(folder.join("manifest.json")).unwrap());
    for (index, month) in MONTHS.iter().enumerate() {
        let (snapshot, history) = (months.place.snapshot(month.name), months.place.history(month.name));
        let built_from = manifest(&months.place.reports(month.name))["built_from"].clone();
        assert_eq!(built_from, serde_json::json!({"snapshot": hash(&snapshot), "history": hash(&history)}), "{}", month.name);
        // A history is derived from its snapshot and from the history before it.
        let text = fs::read_to_string(history.join("manifest.json")).unwrap();
        assert!(text.contains(&hash(&snapshot)));
        if index > 0 {
            assert!(text.contains(&hash(&months.place.history(MONTHS[index - 1].name))));
        }
    }
}

#[test]
fn a_snapshots_manifest_says_what_was_observed() {
    let months = four_months();
    for (truth, month) in months.truths.iter().zip(MONTHS) {
        let manifest = months.place.manifest(month.name);
        assert_eq!(manifest["job"], "rehearsal");
        assert_eq!(manifest["month"], month.name);
        assert_eq!(manifest["basis"], "month_end");
        assert_eq!(instant(manifest["observed_at"].as_str().unwrap()), truth.observed_at);
        assert_eq!(manifest["program_version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(manifest["api_version"], "2.14");
        assert_eq!(manifest["timezone"], "Europe/Dublin");
        assert!(manifest["requests"].as_u64().unwrap() > 12);
        assert_eq!(manifest["retries"], 0);
        assert_eq!(manifest["incomplete"], serde_json::json!([]));
        let cohorts = manifest["cohorts"].as_array().unwrap();
        assert_eq!(cohorts.len(), truth.cohorts.len());
        for cohort in &truth.cohorts {
            let reported = cohorts.iter().find(|reported| reported["cohort_key"] == cohort.key.as_str()).unwrap();
            assert_eq!(reported["cohort_name"], cohort.name);
            assert_eq!(reported["basis"], "month_end");
            assert_eq!(instant(reported["observed_at"].as_str().unwrap()), truth.observed_at);
            assert_eq!(reported["members"], cohort.holds.len(), "{}", cohort.name);
            assert_eq!(reported["announced"], cohort.holds.len(), "{}", cohort.name);
        }
    }
}

#[test]
fn a_run_prints_its_result_and_logs_elsewhere() {
    let runs = &four_months().runs;
    for (run, month) in runs.iter().zip(MONTHS) {
        for word in [month.name, "value_lead", "Slipping Away", "reports/run_month="] {
            assert!(run.stdout.contains(word), "{word}:\n{}", run.stdout);
        }
        assert!(!run.stderr.contains('\u{1b}'), "no colours and no progress line where no terminal is");
        assert!(!run.stderr.contains('\r'));
    }
}

#[test]
fn every_request_names_the_version_and_carries_the_token() {
    let simulator = Simulator::at(MONTHS[0].as_of, &[]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let file = place.job(&crate::support::fixture::plain_job(), &recorder.base_url);
    run(&file, &["--as-of", MONTHS[0].as_of]).succeed();
    let requests = recorder.requests();
    assert_eq!(place.manifest("2026-07")["requests"], requests.len());
    for request in requests {
        assert_eq!(request.header("intercom-version"), Some("2.14"), "{}", request.target);
        assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()), "{}", request.target);
        assert!(request.header("accept").unwrap().contains("application/json"), "{}", request.target);
        assert!(request.header("accept-encoding").unwrap().contains("gzip"), "{}", request.target);
        assert!(request.per_page().is_none_or(|rows| rows == 20) || request.is_conversation_total(), "{}", request.target);
    }
}

#[test]
fn the_zone_is_the_workspaces_own_when_the_job_names_none() {
    // Los Angeles puts its clocks forward on 8 March. The world has conversations in the first and last second of each
    // of the zone's months.
    let now = "2026-04-02T09:00:00Z";
    let simulator = Simulator::at(now, &["--timezone", "America/Los_Angeles"]);
    let place = Place::new();
    let job = Job { tags: texts(&["value_lead"]), ..Job::empty() }.with_top("population = \"cohorts\"");
    let file = place.job(&job, &simulator.base_url);
    run(&file, &["--as-of", now]).succeed();
    assert_eq!(place.manifest("2026-03")["timezone"], "America/Los_Angeles");
    let (start, end) = (instant("2026-03-01T08:00:00Z"), instant("2026-04-01T07:00:00Z"));
    let expected: BTreeSet<String> =
        simulator.conversations(start, end).iter().map(|conversation| conversation["id"].as_str().unwrap().to_string()).collect();
    let times: Vec<i64> =
        simulator.conversations(start, end).iter().map(|conversation| conversation["created_at"].as_i64().unwrap()).collect();
    assert!(times.contains(&start.timestamp()) && times.contains(&(end.timestamp() - 1)), "the edges have conversations");
    let found = place.snapshot_table("2026-03", "conversations").texts("conversation_id");
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn the_population_may_be_a_group_or_the_cohorts() {
    let month = MONTHS[0];
    let simulator = Simulator::at(month.as_of, &[]);
    let job = |population: &str| {
        let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["value_lead", "churn risk"]), ..Job::empty() };
        job.with_top(format!("population = \"{population}\"")).with_top("conversations = false")
    };
    let [active, lead, risk] = ["segment:63bbdd50aa01c0ffee000001", "tag:1373897", "tag:1400111"]
        .map(|group| simulator.members(group).into_iter().collect::<BTreeSet<String>>());

    let place = Place::new();
    run(&place.job(&job("segment:Active"), &simulator.base_url), &["--as-of", month.as_of]).succeed();
    let contacts: BTreeSet<String> = place.snapshot_table(month.name, "contacts").texts("contact_id").into_iter().collect();
    assert_eq!(contacts, active.iter().chain(&lead).chain(&risk).cloned().collect());
    let overlap = place.report(month.name, "overlap").rows_by_name().remove(0);
    // Within the population: only those of each cohort who are active, too.
    let truth = simulator.contacts();
    let in_time = |ids: &BTreeSet<String>| -> BTreeSet<String> {
        let is_in_time = |id: &&String| {
            let contact = truth.iter().find(|contact| contact["id"] == id.as_str()).unwrap();
            contact["created_at"].as_i64().unwrap() < instant(month.end).timestamp()
        };
        ids.iter().filter(is_in_time).cloned().collect()
    };
    let (active, lead, risk) = (in_time(&active), in_time(&lead), in_time(&risk));
    let of_active = |ids: &BTreeSet<String>| ids.intersection(&active).count() as f64;
    let both: BTreeSet<String> = lead.intersection(&risk).cloned().collect();
    let expected = of_active(&lead) * of_active(&risk);
    let expected = if expected == 0.0 { Cell::Null } else { Cell::Ratio(of_active(&both) * active.len() as f64 / expected) };
    assert!(overlap["lift"].agrees(&expected), "{:?} {expected:?}", overlap["lift"]);
    assert_eq!(overlap["in_both"], Cell::Count(both.len() as i64));

    let place = Place::new();
    run(&place.job(&job("cohorts"), &simulator.base_url), &["--as-of", month.as_of]).succeed();
    let overlap = place.report(month.name, "overlap").rows_by_name().remove(0);
    assert_eq!(overlap["lift"], Cell::Null, "no lift within the union of the cohorts");
    for row in place.report(month.name, "cohort_summary").rows_by_name() {
        assert_eq!((&row["openers"], &row["conversations_opened"]), (&Cell::Null, &Cell::Null), "conversations were not fetched");
    }
    let contacts: BTreeSet<String> = place.snapshot_table(month.name, "contacts").texts("contact_id").into_iter().collect();
    let all: BTreeSet<String> = ["tag:1373897", "tag:1400111"].iter().flat_map(|group| simulator.members(group)).collect();
    assert_eq!(contacts, all);
}

#[test]
fn a_tag_that_was_renamed_is_found_by_the_id_it_had() {
    let members: BTreeSet<String> = (1..4).map(contact_id).collect();
    let observe = |place: &Place, month: &Month, name: &str| {
        let workspace = Workspace {
            id: "renaming".to_string(),
            contacts: members.iter().map(|id| (id.clone(), contact(id, 1_780_000_000))).collect(),
            tags: [("5".to_string(), (name.to_string(), members.clone()))].into(),
            ..Workspace::default()
        };
        let server = workspace.serve(plainly);
        let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["customers"]), ..Job::empty() };
        let file = place.job(&job.with_top("profile = []"), &server.base_url);
        run(&file, &["--month", month.name, "--as-of", month.as_of]).finish()
    };
    let place = Place::new();
    assert_eq!(observe(&place, &MONTHS[0], "customers").code, Some(0));
    let renamed = observe(&place, &MONTHS[1], "clients and friends");
    assert_eq!(renamed.code, Some(0), "{}", renamed.stderr);
    assert!(renamed.stderr.contains("WARN") && renamed.stderr.contains("clients and friends"), "{}", renamed.stderr);
    let row = place.report(MONTHS[1].name, "cohort_summary").rows_by_name().remove(0);
    assert_eq!(row["cohort_key"].shown(), "tag:5");
    assert_eq!(row["cohort_name"].shown(), "clients and friends");
    assert_eq!(row["retained"], Cell::Count(3), "the cohort is the same under another name");
    let findings = place.report(MONTHS[1].name, "data_quality").rows_by_name();
    assert!(findings.iter().any(|row| row["severity"].shown() == "warning" && row["subject"].shown() == "tag:5"), "{findings:?}");
    // Where no month has ever seen it, there is no ID to go by.
    observe(&Place::new(), &MONTHS[1], "clients and friends").check_failure(4, &["customers"]);
}
