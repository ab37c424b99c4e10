//! `cohorts forget`: one person out of everything that a job keeps.

use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;

use crate::formats::{fixture, restored};
use crate::resume::killed;
use crate::support::fixture::{four_months, job, one_month, plain_job};
use crate::support::job::Place;
use crate::support::program::{on, run};
use crate::support::scripted::{Reply, Scripted, forward};
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Table};
use crate::support::tree::{check_same, published, tree};
use crate::support::truth::JULY;

/// The files under a folder in which this text is a cell or a word.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let holds = |name: &str, bytes: &[u8]| {
        let is_cell = |table: Table| table.rows.into_iter().flatten().any(|cell| cell == Cell::Text(text.to_string()));
        Table::all_in(&folder.join(name)).into_iter().any(is_cell) || String::from_utf8_lossy(bytes).contains(text)
    };
    tree(folder).into_iter().filter(|(name, bytes)| holds(name, bytes)).map(|(name, _)| name).collect()
}

/// A member of `Active` in each of the four months who opened conversations, with an address of their own.
fn somebody() -> (String, String) {
    let truths = &four_months().truths;
    let key = "segment:63bbdd50aa01c0ffee000001";
    let is_known =
        |id: &&String| truths.iter().all(|truth| truth.has_member(key, id)) && truths.iter().any(|truth| truth.opened.contains_key(*id));
    let last = &truths[3];
    let email = |id: &String| last.contacts[id]["email"].as_str().unwrap_or_default().to_string();
    let is_alone = |email: &str| last.contacts.values().filter(|other| other["email"].as_str() == Some(email)).count() == 1;
    let ids = last.contacts.keys().filter(is_known);
    let mut found = ids.map(|id| (id.clone(), email(id))).filter(|(_, email)| email.len() > 5 && is_alone(email));
    found.next().expect("somebody is a member all the time")
}

fn offline(place: &Place) -> std::path::PathBuf {
    place.job(&job(), "http://127.0.0.1:9")
}

#[test]
fn a_person_is_in_nothing_that_is_kept() {
    let (id, email) = somebody();
    for person in [["--contact", id.as_str()], ["--email", email.as_str()]] {
        let place = Place::with(&four_months().job_folder());
        let before = place.report("2026-10", "cohort_summary").keyed(&["cohort_key"]);
        assert!(files_with(&place.job_folder(), &id).len() > 20);
        let finished = on(&offline(&place), "forget", &person).succeed();
        for word in [&id, &email] {
            assert!(!finished.stdout.contains(word.as_str()) && !finished.stderr.contains(word.as_str()), "{finished:?}");
            assert_eq!(files_with(&place.job_folder(), word), Vec::<String>::new());
        }
        for month in ["2026-07", "2026-08", "2026-09", "2026-10"] {
            assert!(finished.stdout.contains(month), "{}", finished.stdout);
            assert_eq!(place.manifest(month)["forgotten"], 1);
            let reported = place.report(month, "data_quality").rows_by_name();
            assert!(reported.iter().any(|row| row["check_name"].shown() == "forgotten" && row["value"].shown() == "1"), "{reported:?}");
        }
        // Everything else is as if they had never been there.
        let after = place.report("2026-10", "cohort_summary").keyed(&["cohort_key"]);
        let key = vec!["segment:63bbdd50aa01c0ffee000001".to_string()];
        let members = |rows: &std::collections::BTreeMap<Vec<String>, crate::support::tables::Row>| match rows[&key]["members"] {
            Cell::Count(count) => count,
            ref other => panic!("{other:?}"),
        };
        assert_eq!(members(&after), members(&before) - 1);
        on(&offline(&place), "status", &["--check", "--as-of", "2026-11-03T00:00:00Z"]).succeed();
        // A second time there is nothing to do.
        let kept = published(&place.job_folder());
        let again = on(&offline(&place), "forget", &person).succeed();
        assert!(again.stdout.contains("nothing was changed"), "{}", again.stdout);
        check_same(&published(&place.job_folder()), &kept, "forgotten twice");
    }
}

#[test]
fn an_address_that_is_hashed_is_found_with_the_key_and_not_without() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let key = place.folder().join("hash-key");
    std::fs::write(&key, "a-key-of-these-tests-and-of-nothing-else").unwrap();
    let hashed = || plain_job().with_section(format!("[privacy]\nidentifiers = \"hash\"\nhash_key_file = {key:?}"));
    run(&place.job(&hashed(), &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
    let contacts = simulator.contacts();
    let (email, id) = contacts
        .iter()
        .find_map(|contact| Some((contact["email"].as_str().filter(|email| email.len() > 5)?, contact["id"].as_str()?)))
        .unwrap();
    let file = place.job(&plain_job(), "http://127.0.0.1:9");
    let unseen = on(&file, "forget", &["--email", email]).succeed();
    assert!(unseen.stdout.contains("the snapshots of 2026-07 cannot be searched by address"), "{}", unseen.stdout);
    let file = place.job(&hashed(), "http://127.0.0.1:9");
    on(&file, "forget", &["--email", email]).succeed();
    assert_eq!(files_with(&place.job_folder(), id), Vec::<String>::new());
}

/// A job that hashes, with the key of the months that an older program hashed.
fn hashed(place: &Place) -> crate::support::job::Job {
    let key = place.folder().join("hash-key");
    std::fs::copy(fixture("format-1-hashed").join("key"), &key).unwrap();
    plain_job().with_section(format!("[privacy]\nidentifiers = \"hash\"\nhash_key_file = {key:?}"))
}

/// Contact and address of somebody whose address is all small letters, and alone.
fn small_letters(contacts: Vec<(String, String)>) -> (String, String) {
    let is_alone = |email: &str| contacts.iter().filter(|(_, other)| other == email).count() == 1;
    let is_it = |email: &str| email.len() > 5 && email.to_lowercase() == email && email.to_uppercase() != email && is_alone(email);
    contacts.iter().find(|(_, email)| is_it(email)).unwrap().clone()
}

const AS_THEY_CAME: &str = "hashed addresses without normalizing them";

#[test]
fn an_address_that_is_hashed_is_found_whatever_its_capitals() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let text = |contact: &serde_json::Value, key: &str| contact[key].as_str().unwrap_or_default().to_string();
    let capitals = Scripted::before(simulator.address(), {
        let address = simulator.address().to_string();
        move |request| {
            let Reply::Http { status, headers, body } = forward(&address, request) else { return None };
            // Everyone's address in capitals, where Intercom would keep them.
            let body = String::from_utf8(body).unwrap().replace("@example.org\"", "@Example.ORG\"");
            Some(Reply::Http { status, headers, body: body.into_bytes() })
        }
    });
    let (id, email) = small_letters(simulator.contacts().iter().map(|contact| (text(contact, "id"), text(contact, "email"))).collect());
    let observed = Place::new();
    run(&observed.job(&hashed(&observed), &capitals.base_url), &["--as-of", JULY.as_of]).succeed();
    assert_eq!(observed.manifest("2026-07")["email_hash"], "lowercase");
    for spelling in [email.clone(), email.to_uppercase(), format!(" {email} ")] {
        let place = Place::with(&observed.job_folder());
        let reported = on(&place.job(&hashed(&place), "http://127.0.0.1:9"), "forget", &["--email", &spelling]).succeed();
        assert!(reported.stdout.starts_with("forgotten") && !reported.stdout.contains(AS_THEY_CAME), "{}", reported.stdout);
        assert_eq!(files_with(&place.job_folder(), &id), Vec::<String>::new());
    }
}

#[test]
fn months_that_were_hashed_as_addresses_came_are_named() {
    let contacts = |folder: &str| {
        let path = fixture(folder).join("snapshots/run_month=2026-08/contacts/part-0000.parquet");
        Table::parquet(&path).rows_by_name().into_iter().map(|row| (row["contact_id"].shown(), row["email"].shown())).collect()
    };
    let (id, email) = small_letters(contacts("format-1"));
    for spelling in [email.clone(), email.to_uppercase()] {
        let place = restored("format-1-hashed");
        let reported = on(&place.job(&hashed(&place), "http://127.0.0.1:9"), "forget", &["--email", &spelling]).succeed();
        assert!(reported.stdout.starts_with("forgotten"), "{}", reported.stdout);
        let named = reported.stdout.lines().find(|line| line.contains(AS_THEY_CAME)).unwrap();
        assert!(named.starts_with("2026-08") && named.contains("--contact"), "{named}");
        assert_eq!(files_with(&place.job_folder(), &id), Vec::<String>::new());
    }
    // Nobody is found by another address, and the message says what could not be searched for.
    let place = restored("format-1-hashed");
    let reported = on(&place.job(&hashed(&place), "http://127.0.0.1:9"), "forget", &["--email", "Nobody@nowhere.example"]).succeed();
    assert!(reported.stdout.contains("nothing was changed") && reported.stdout.contains(AS_THEY_CAME), "{}", reported.stdout);
}

#[test]
fn work_that_an_older_program_hashed_goes_on_as_what_it_is() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    killed(&simulator, &place, &hashed(&place), &["--as-of", JULY.as_of]);
    let plan = place.job_folder().join(".work/run_month=2026-07/plan.json");
    let mut work: serde_json::Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
    assert_eq!(work.as_object_mut().unwrap().remove("email_hash").unwrap(), "lowercase");
    std::fs::write(&plan, serde_json::to_vec(&work).unwrap()).unwrap();
    let forget = || on(&place.job(&hashed(&place), "http://127.0.0.1:9"), "forget", &["--email", "nobody@nowhere.example"]).succeed();
    assert!(forget().stdout.contains(AS_THEY_CAME));
    let finished = run(&place.job(&hashed(&place), &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
    assert!(!finished.stderr.contains("cannot be continued"), "{}", finished.stderr);
    assert!(place.manifest("2026-07").get("email_hash").is_none());
    assert!(forget().stdout.contains(AS_THEY_CAME));
}

#[test]
fn reports_are_those_of_snapshots_without_the_person() {
    let (id, _) = somebody();
    let place = Place::with(&four_months().job_folder());
    on(&offline(&place), "forget", &["--contact", &id]).succeed();
    let forgotten = published(&place.job_folder());
    on(&offline(&place), "report", &["--all"]).succeed();
    check_same(&published(&place.job_folder()), &forgotten, "rebuilt");
}

#[test]
fn whoever_is_not_there_changes_nothing() {
    let place = Place::with(one_month());
    let before = published(&place.job_folder());
    let file = place.job(&plain_job(), "http://127.0.0.1:9");
    for person in [["--contact", "000000000000000000000000"], ["--email", "nobody@nowhere.example"]] {
        let finished = on(&file, "forget", &person).succeed();
        assert!(finished.stdout.contains("nothing was changed"), "{}", finished.stdout);
    }
    check_same(&published(&place.job_folder()), &before, "nobody was forgotten");
    on(&file, "forget", &[]).finish().check_failure(2, &["--contact"]);
    // What an unset variable leaves is nobody, and not everybody without an address.
    for nobody in [["--email", ""], ["--email", " "], ["--email", "no-address"], ["--contact", ""], ["--contact", " "]] {
        on(&file, "forget", &nobody).finish().check_failure(2, &[nobody[0]]);
    }
    check_same(&published(&place.job_folder()), &before, "nobody was named");
    on(&file, "forget", &["--contact", "a", "--email", "b"]).finish().check_failure(2, &["--email"]);
    on(&Place::new().job(&plain_job(), "http://127.0.0.1:9"), "forget", &["--contact", "a"]).finish().check_failure(2, &["does not exist"]);
}

#[test]
fn unfinished_work_forgets_too_and_can_be_gone_on_with() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    killed(&simulator, &place, &plain_job(), &["--as-of", JULY.as_of]);
    let work = place.job_folder().join(".work");
    let id = simulator.members("tag:1373897").into_iter().next().unwrap();
    assert!(!files_with(&work, &id).is_empty());
    // A crash may have left a chunk that was being written: nothing counts on it.
    std::fs::write(work.join("run_month=2026-07/population/contacts-00009.arrows"), "").unwrap();
    let finished = on(&place.job(&plain_job(), "http://127.0.0.1:9"), "forget", &["--contact", &id]).succeed();
    assert!(finished.stdout.contains("unfinished work"), "{}", finished.stdout);
    assert_eq!(files_with(&work, &id), Vec::<String>::new());
    run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
    let members = place.snapshot_table("2026-07", "members").rows_by_name();
    assert!(!members.iter().any(|row| row["contact_id"].shown() == id), "the streams that had ended are without them");
    assert_eq!(place.manifest("2026-07")["forgotten"], 1);
    let reported = place.report("2026-07", "data_quality").rows_by_name();
    assert!(reported.iter().any(|row| row["check_name"].shown() == "forgotten"));
    assert!(reported.iter().all(|row| row["check_name"].shown() != "announced_total"), "they are not a difference: {reported:?}");
}

#[test]
fn a_call_that_is_killed_is_finished_by_the_next_one() {
    let (id, email) = somebody();
    let undisturbed = Place::with(&four_months().job_folder());
    let begun = Instant::now();
    on(&offline(&undisturbed), "forget", &["--email", &email]).succeed();
    let took = begun.elapsed();
    let expected = published(&undisturbed.job_folder());
    let parts = if std::env::var_os("COHORTS_CRASHES").is_some() { &[0.15, 0.3, 0.5, 0.8][..] } else { &[0.3, 0.8] };
    for part in parts {
        let place = Place::with(&four_months().job_folder());
        let running = on(&offline(&place), "forget", &["--email", &email]).start();
        std::thread::sleep(took.mul_f64(*part));
        running.signal(Signal::KILL);
        running.finish();
        // By the address alone nobody could be found any more in months that are done: whom it is about is kept.
        on(&offline(&place), "forget", &["--email", &email]).succeed();
        assert_eq!(files_with(&place.job_folder(), &id), Vec::<String>::new(), "killed after {part}");
        check_same(&published(&place.job_folder()), &expected, &format!("killed after {part}"));
    }
}
