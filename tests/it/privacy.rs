//! Identifiers that are hashed or dropped are in nothing that is left on disk: not in snapshots, histories, reports,
//! unfinished work, findings or logs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::resume::killed;
use crate::support::fixture::{one_month, plain_job};
use crate::support::job::{Job, Place};
use crate::support::program::{ask, on, run};
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Table};
use crate::support::tree::tree;
use crate::support::truth::{AUGUST, JULY};

const KEY: &str = "a-key-of-these-tests-and-of-nothing-else";

/// E-mails, names, phones and external ids of everybody, where they are long enough not to be part of something else.
fn identifiers(simulator: &Simulator) -> BTreeSet<String> {
    let fields = ["email", "name", "phone", "external_id"];
    let contacts = simulator.contacts();
    let all = contacts.iter().flat_map(|contact| fields.iter().filter_map(|field| contact[*field].as_str()));
    all.filter(|text| text.len() >= 6).map(str::to_string).collect()
}

/// Every text in every cell and file under a folder.
fn texts_under(folder: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for (name, bytes) in tree(folder) {
        let tables = Table::all_in(&folder.join(&name));
        if tables.is_empty() {
            texts.push((name, String::from_utf8_lossy(&bytes).into_owned()));
            continue;
        }
        let cells = tables.into_iter().flat_map(|table| table.rows).flatten();
        let cells = cells.filter_map(|cell| if let Cell::Text(text) = cell { Some(text) } else { None });
        texts.extend(cells.map(|text| (name.clone(), text)));
    }
    texts
}

#[track_caller]
fn check_hidden(identifiers: &BTreeSet<String>, texts: &[(String, String)]) {
    assert!(identifiers.len() > 300 && texts.len() > 300, "{} identifiers, {} texts", identifiers.len(), texts.len());
    for (place, text) in texts {
        // A cell that is one, or a file that holds one as a word.
        let is_cell = identifiers.contains(text);
        let words = text.split([',', '\n', '\r', '"']).any(|word| identifiers.contains(word));
        assert!(!is_cell && !words, "an identifier is in {place}");
    }
}

fn hashed(place: &Place) -> Job {
    let key = key_file(place, KEY);
    plain_job().with_section(format!("[privacy]\nidentifiers = \"hash\"\nhash_key_file = {key:?}"))
}

fn key_file(place: &Place, key: &str) -> PathBuf {
    let path = place.folder().join("hash-key");
    fs::write(&path, format!("{key}\n")).unwrap();
    path
}

fn hash(text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap().chain_update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn hidden_identifiers_are_nowhere() {
    let simulator = Simulator::at(JULY.as_of, &["--faults-at", "6=500,9=half"]);
    let identifiers = identifiers(&Simulator::at(JULY.as_of, &[]));
    for way in ["hash", "drop"] {
        let place = Place::new();
        let job = if way == "hash" { hashed(&place) } else { plain_job().with_section("[privacy]\nidentifiers = \"drop\"") };
        let file = place.job(&job, &simulator.base_url);
        let finished = run(&file, &["--as-of", JULY.as_of, "-vv"]).succeed();
        let mut texts = texts_under(&place.job_folder());
        texts.extend([("standard output".to_string(), finished.stdout), ("standard error".to_string(), finished.stderr)]);
        check_hidden(&identifiers, &texts);

        let contacts = place.snapshot_table("2026-07", "contacts").rows_by_name();
        let known = simulator.contacts();
        assert!(contacts.len() > 200);
        for contact in contacts {
            let known = known.iter().find(|known| known["id"] == contact["contact_id"].shown()).unwrap();
            for field in ["email", "name", "phone", "external_id"] {
                let expected = match known[field].as_str() {
                    _ if way == "drop" => Cell::Null,
                    None => Cell::Null,
                    Some("") => Cell::Text(String::new()),
                    Some(address) if field == "email" => Cell::Text(hash(&address.to_lowercase())),
                    Some(text) => Cell::Text(hash(text)),
                };
                assert_eq!(contact[field], expected, "{field}");
            }
        }
        let written = place.manifest("2026-07")["identifiers"].as_str().unwrap().to_string();
        assert!(written == "drop" || written.starts_with("hash:") && !written.contains(KEY), "{written}");
    }
}

#[test]
fn unfinished_work_hides_them_too() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    killed(&simulator, &place, &hashed(&place), &["--as-of", JULY.as_of]);
    check_hidden(&identifiers(&simulator), &texts_under(&place.job_folder().join(".work")));
}

#[test]
fn the_same_key_joins_months_and_another_one_is_refused() {
    let place = Place::new();
    for month in [JULY, AUGUST] {
        let simulator = Simulator::at(month.as_of, &[]);
        run(&place.job(&hashed(&place), &simulator.base_url), &["--as-of", month.as_of]).succeed();
    }
    let emails = |month: &str| -> BTreeSet<String> {
        place.snapshot_table(month, "contacts").texts("email").into_iter().filter(|text| !text.is_empty()).collect()
    };
    assert!(emails("2026-07").intersection(&emails("2026-08")).count() > 100);

    key_file(&place, "quite-another-key-of-these-tests");
    let simulator = Simulator::at(crate::support::truth::SEPTEMBER.as_of, &[]);
    let file = place.job(
        &plain_job().with_section(format!("[privacy]\nidentifiers = \"hash\"\nhash_key_file = {:?}", place.folder().join("hash-key"))),
        &simulator.base_url,
    );
    let refused = run(&file, &["--as-of", crate::support::truth::SEPTEMBER.as_of]).finish();
    refused.check_failure(2, &["another key", "2026-08"]);
    assert!(!place.snapshot("2026-09").exists());
}

#[test]
fn those_who_left_before_identifiers_were_hidden_are_not_shown_after() {
    let place = Place::with(one_month());
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let job = plain_job().with_section("[privacy]\nidentifiers = \"drop\"");
    run(&place.job(&job, &simulator.base_url), &["--as-of", AUGUST.as_of]).succeed();
    let members = place.report("2026-08", "members").rows_by_name();
    assert!(members.iter().any(|row| row["change"].shown() == "departed"));
    for row in members {
        assert_eq!((&row["email"], &row["name"], &row["external_id"]), (&Cell::Null, &Cell::Null, &Cell::Null));
    }
}

#[test]
fn what_would_show_more_than_was_meant_is_refused() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let refused = |section: &str, top: &str, named: &[&str]| {
        let job = plain_job().with_section(section);
        let job = if top.is_empty() { job } else { Job { top: vec![top.to_string()], ..job } };
        run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).finish().check_failure(2, named);
    };
    refused("[privacy]\nidentifiers = \"hash\"", "", &["privacy.hash_key_file"]);
    refused("[privacy]\nidentifiers = \"hsah\"", "", &["privacy.identifiers", "hsah", "drop"]);
    refused("[privacy]\nidentifiers = \"hash\"\nhash_key_file = \"/nowhere/key\"", "", &["/nowhere/key"]);
    let short = key_file(&place, "too-short");
    refused(&format!("[privacy]\nidentifiers = \"hash\"\nhash_key_file = {short:?}"), "", &["9 bytes"]);
    refused(
        "[privacy]\ndrop = [\"custom_attributes.plan\"]",
        "profile = [\"custom_attributes.plan\"]",
        &["custom_attributes.plan", "privacy.drop"],
    );
    refused("[privacy]\nidentifiers = \"drop\"\n[[rules]]\nname = \"ours\"\nwhere = \"email = 'x'\"", "", &["ours", "email"]);
    assert_eq!(simulator.stats().requests, 0);
}

#[test]
fn dropped_attributes_are_not_written() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let job = Job { top: vec!["profile = [\"role\"]".to_string()], ..plain_job() };
    let job = job.with_section("[privacy]\ndrop = [\"plan\", \"custom_attributes.seats\"]");
    run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
    let attributes: BTreeSet<String> = place.snapshot_table("2026-07", "attributes").texts("attribute").into_iter().collect();
    assert!(!attributes.is_empty() && !attributes.contains("plan") && !attributes.contains("seats"), "{attributes:?}");
}

#[test]
fn the_list_of_a_group_hides_them_as_well() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let output = place.folder().join("members.csv");
    let arguments = ["members", "tag:value_lead", "-o", output.to_str().unwrap()];
    ask(&simulator.base_url, "2.14", arguments).variable("COHORTS__PRIVACY__IDENTIFIERS", "drop").succeed();
    let text = fs::read_to_string(&output).unwrap();
    assert!(text.lines().count() > 5);
    let identifiers = identifiers(&simulator);
    assert!(!text.split([',', '\n', '\r', '"']).any(|word| identifiers.contains(word)), "{text}");
}

#[test]
fn check_says_how_identifiers_are_written() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let checked = on(&place.job(&hashed(&place), &simulator.base_url), "check", &[]).succeed();
    assert!(checked.stdout.contains("hash:") && !checked.stdout.contains(KEY), "{}", checked.stdout);
}
