//! Snapshots that other versions of the program wrote, kept in `tests/fixtures`: they are read for good.

use std::fs;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::job::{Job, NAME, Place, manifest, texts};
use crate::support::program::{Finished, on};
use crate::support::tables::{Cell, Row, Table, count, text};
use crate::support::tree;

/// A server where nothing listens: what needs it fails.
const NOWHERE: &str = "http://127.0.0.1:9";
const AS_OF: [&str; 2] = ["--as-of", "2026-09-02T23:00:00Z"];
const MONTHS: [&str; 2] = ["2026-07", "2026-08"];
const ACTIVE: &str = "segment:63bbdd50aa01c0ffee000001";

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A job whose snapshots are those of a fixture, and nothing else.
pub(crate) fn restored(name: &str) -> Place {
    let place = Place::new();
    assert!(place.job_folder().ends_with(NAME));
    tree::copy(&fixture(name).join("snapshots"), &place.job_folder().join("snapshots"));
    place
}

fn job() -> Job {
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["value_lead"]), segments: texts(&["Active"]), ..Job::empty() };
    job.with_top("profile = [\"role\", \"custom_attributes.plan\", \"custom_attributes.seats\"]")
}

fn command(place: &Place, command: &str, arguments: &[&str]) -> Finished {
    on(&place.job(&job(), NOWHERE), command, arguments).without_token().finish()
}

fn summary(place: &Place, month: &str, key: &str) -> Row {
    place.report(month, "cohort_summary").keyed(&["cohort_key"]).remove(&vec![key.to_string()]).unwrap()
}

/// What the reports of the fixture say, whichever way its files are written.
#[track_caller]
fn check_read(place: &Place) {
    command(place, "report", &["--all"]).check_code(0);
    command(place, "status", &[&["--check"], &AS_OF[..]].concat()).check_code(0);
    let numbers = |month: &str, key: &str, columns: &[&str]| {
        let row = summary(place, month, key);
        columns.iter().map(|column| row[*column].clone()).collect::<Vec<_>>()
    };
    let flows = ["members", "previous_members", "retained", "joined", "departed"];
    assert_eq!(numbers("2026-08", ACTIVE, &flows), [4, 3, 2, 2, 1].map(count));
    assert_eq!(numbers("2026-08", "tag:1373897", &flows), [1, 2, 1, 0, 1].map(count));
    assert_eq!(summary(place, "2026-07", ACTIVE)["members"], count(3));
    let departed = place.report("2026-08", "members").rows_by_name();
    assert_eq!(departed.iter().filter(|row| row["change"] == text("departed")).count(), 2);
}

/// One person is taken out of everything.
#[track_caller]
fn check_forgets(place: &Place) {
    let id = place.snapshot_table("2026-08", "members").rows_by_name()[0]["contact_id"].shown();
    command(place, "forget", &["--contact", &id]).check_code(0);
    for month in MONTHS {
        for table in ["contacts", "members", "attributes"] {
            let folder = place.snapshot(month).join(table);
            // A part that was rewritten has the columns of today alone.
            for part in tree::tree(&folder).into_keys() {
                let rows = Table::parquet(&folder.join(&part)).rows_by_name();
                assert!(rows.iter().all(|row| row["contact_id"].shown() != id), "{month} {table} {part}");
            }
        }
    }
    assert_eq!(summary(place, "2026-08", ACTIVE)["members"], count(3));
    command(place, "status", &[&["--check"], &AS_OF[..]].concat()).check_code(0);
}

/// Rewrites a file of a snapshot, and lists it as it is then.
fn rewrite(place: &Place, month: &str, path: &str, change: impl Fn(DataFrame) -> DataFrame) {
    let folder = place.snapshot(month);
    let file = folder.join(path);
    let mut frame = change(ParquetReader::new(fs::File::open(&file).unwrap()).finish().unwrap());
    ParquetWriter::new(fs::File::create(&file).unwrap()).finish(&mut frame).unwrap();
    list(&folder, path);
}

/// Brings what the manifest says of a file up to date.
fn list(folder: &Path, path: &str) {
    let bytes = fs::read(folder.join(path)).unwrap();
    edit(folder, |reported| {
        let files = reported["files"].as_array_mut().unwrap();
        let entry = files.iter_mut().find(|entry| entry["path"] == path).unwrap();
        entry["bytes"] = json!(bytes.len());
        entry["sha256"] = json!(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    });
}

fn edit(folder: &Path, change: impl Fn(&mut Value)) {
    let mut reported = manifest(folder);
    change(&mut reported);
    fs::write(folder.join("manifest.json"), serde_json::to_vec_pretty(&reported).unwrap()).unwrap();
}

#[test]
fn a_snapshot_of_format_1_is_read() {
    let place = restored("format-1");
    check_read(&place);
    check_forgets(&place);
}

#[test]
fn columns_that_a_snapshot_lacks_are_null() {
    let place = restored("format-1");
    for month in MONTHS {
        // As the programs before 19498fe wrote them.
        rewrite(&place, month, "conversations/part-0000.parquet", |rows| rows.drop("contact_ids").unwrap());
        rewrite(&place, month, "contacts/part-0000.parquet", |rows| rows.drop("continent_code").unwrap().drop("utm_term").unwrap());
    }
    check_read(&place);
    check_forgets(&place);
}

#[test]
fn columns_types_files_and_keys_of_a_later_version_are_passed_over() {
    let place = restored("format-1");
    for month in MONTHS {
        for file in ["contacts/part-0000", "conversations/part-0000", "members/part-0000", "members/part-0001", "attributes/part-0000"] {
            rewrite(&place, month, &format!("{file}.parquet"), |mut rows| {
                let height = rows.height();
                // At the beginning, so that places do not stand for names.
                rows.insert_column(0, Column::new("brand_new".into(), vec!["x"; height])).unwrap();
                rows
            });
        }
        rewrite(&place, month, "attributes/part-0000.parquet", |mut rows| {
            let narrow = rows.column("value_number").unwrap().cast(&DataType::Float32).unwrap();
            rows.with_column(narrow).unwrap();
            rows
        });
        rewrite(&place, month, "contacts/part-0000.parquet", |mut rows| {
            let millis = DataType::Datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC));
            let coarse = rows.column("created_at").unwrap().cast(&millis).unwrap();
            rows.with_column(coarse).unwrap();
            rows
        });
        // A table that this version does not know.
        let folder = place.snapshot(month);
        fs::create_dir(folder.join("vehicles")).unwrap();
        fs::copy(folder.join("members/part-0000.parquet"), folder.join("vehicles/part-0000.parquet")).unwrap();
        edit(&folder, |reported| {
            reported["brand_new"] = json!({"nested": [1, 2]});
            reported["files"]
                .as_array_mut()
                .unwrap()
                .push(json!({"path": "vehicles/part-0000.parquet", "rows": 1, "bytes": 0, "sha256": ""}));
        });
        list(&folder, "vehicles/part-0000.parquet");
    }
    check_read(&place);
    check_forgets(&place);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let place = restored("format-1");
    edit(&place.snapshot("2026-08"), |reported| *reported = json!({"format": 2}));
    let finished = command(&place, "report", &["--all"]);
    assert_ne!(finished.code, Some(0));
    for words in ["run_month=2026-08/manifest.json", "format 2", "a newer version of this program wrote it"] {
        assert!(finished.stderr.contains(words), "{words}: {}", finished.stderr);
    }
}

/// What is said of a snapshot whose file is no such file.
fn message_of(path: &str, change: impl Fn(&Place)) -> String {
    let place = restored("format-1");
    change(&place);
    let finished = command(&place, "report", &["--all"]);
    assert_ne!(finished.code, Some(0), "{}", finished.stderr);
    for advice in ["hint: pass", "pl.", "ScanCastOptions", "missing_columns", "consider", "set_", "polars"] {
        assert!(!finished.stderr.contains(advice), "{advice}: {}", finished.stderr);
    }
    assert!(finished.stderr.contains(&format!("run_month=2026-08/{path}")), "{}", finished.stderr);
    finished.stderr
}

#[test]
fn a_file_that_is_no_such_table_is_named_with_what_is_wrong_with_it() {
    let contacts = "contacts/part-0000.parquet";
    let wrong_type = message_of(contacts, |place| {
        rewrite(place, "2026-08", contacts, |mut rows| {
            let texts = rows.column("created_at").unwrap().cast(&DataType::String).unwrap();
            rows.with_column(texts).unwrap();
            rows
        });
    });
    assert!(wrong_type.contains("its column `created_at` is str instead of datetime"), "{wrong_type}");
    let no_key = message_of(contacts, |place| rewrite(place, "2026-08", contacts, |rows| rows.drop("contact_id").unwrap()));
    assert!(no_key.contains("it has no column `contact_id`"), "{no_key}");
    let short = message_of(contacts, |place| {
        let file = place.snapshot("2026-08").join(contacts);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 20]).unwrap();
        list(&place.snapshot("2026-08"), contacts);
    });
    assert!(short.lines().count() < 12, "{short}");
}

#[test]
fn a_snapshot_alone_gives_the_same_histories_and_reports_elsewhere() {
    let (place, elsewhere) = (restored("format-1"), restored("format-1"));
    command(&place, "report", &["--all"]).check_code(0);
    command(&elsewhere, "report", &["--all"]).check_code(0);
    let derived = |place: &Place| tree::published(&place.job_folder());
    tree::check_same(&derived(&elsewhere), &derived(&place), "built from the same snapshots");
    assert!(derived(&place).contains_key("reports/run_month=2026-08/cohort_summary.parquet"));
    assert!(matches!(summary(&place, "2026-08", ACTIVE)["observed_at"], Cell::Instant(_)));
}

#[test]
fn months_of_the_version_before_are_rebuilt_by_the_next_run() {
    let (place, fresh) = (restored("format-1"), restored("format-1"));
    for derived in ["history", "reports"] {
        tree::copy(&fixture("history-4").join(derived), &place.job_folder().join(derived));
    }
    let reported = command(&place, "status", &AS_OF);
    assert_eq!(reported.stdout.matches("stale").count(), 2, "{}", reported.stdout);
    // Nothing is observed again: both months are published.
    on(&place.job(&job(), NOWHERE), "run", &AS_OF).succeed();
    command(&fresh, "report", &["--all"]).check_code(0);
    tree::check_same(&tree::published(&place.job_folder()), &tree::published(&fresh.job_folder()), "rebuilt from the same snapshots");
    for month in MONTHS {
        assert!(!place.history(month).join("spells.parquet").exists(), "{month}");
        assert_eq!(place.report(month, "retention_change").rows.len(), 2, "{month}");
    }
    command(&place, "status", &[&["--check"], &AS_OF[..]].concat()).check_code(0);
}

#[test]
fn a_month_is_the_same_whether_the_month_before_is_in_memory_or_on_disk() {
    let (at_once, one_by_one) = (restored("format-1"), restored("format-1"));
    command(&at_once, "report", &["--all"]).check_code(0);
    for month in MONTHS {
        command(&one_by_one, "report", &["--month", month]).check_code(0);
    }
    let derived = |place: &Place| tree::published(&place.job_folder());
    tree::check_same(&derived(&at_once), &derived(&one_by_one), "built in one process and in two");
}

#[test]
fn a_report_too_long_for_a_spreadsheet_is_parquet_alone() {
    let place = restored("format-1");
    let rows = |most: &str| {
        let job = place.job(&job().with_all_formats(), NOWHERE);
        let report = on(&job, "report", &["--all"]).without_token().variable("COHORTS__OUTPUT__CSV_MAX_ROWS", most);
        report.finish().check_code(0);
        let found = place.report("2026-08", "data_quality").rows_by_name();
        let found = found.into_iter().filter(|row| row["check_name"] == text("too_long_for_csv"));
        found.map(|row| [&row["subject"], &row["value"], &row["expected"]].map(|cell| cell.clone())).collect::<Vec<_>>()
    };
    let exists = |name: &str| place.reports("2026-08").join(name).exists();
    rows("0");
    let members = place.report("2026-08", "members").rows.len();
    assert!(members > place.report("2026-08", "cohort_summary").rows.len());
    // As many rows as are allowed are written.
    let found = rows(&members.to_string());
    assert!(exists("members.csv") && !found.iter().any(|row| row[0] == text("members")), "{found:?}");
    let most = members - 1;
    assert!(rows(&most.to_string()).contains(&[text("members"), text(&members.to_string()), text(&most.to_string())]));
    assert!(!exists("members.csv") && exists("members.parquet") && exists("cohort_summary.csv"));
    assert_eq!(rows("0"), Vec::<[Cell; 3]>::new());
    assert!(exists("members.csv"));
    // Without Parquet a report would be nowhere.
    let job = place.job(&job().with_section("[output]\nformats = [\"csv\"]"), NOWHERE);
    on(&job, "report", &["--all"]).without_token().variable("COHORTS__OUTPUT__CSV_MAX_ROWS", "1").finish().check_code(0);
    assert!(exists("members.csv") && exists("data_quality.csv") && !exists("members.parquet"));
}
