//! `cohorts copy`, from folder to folder: what is copied, what is skipped, what is kept. Buckets are in `stores`.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::fixture::{four_months, one_month, plain_job};
use crate::support::job::{NAME, Place, manifest};
use crate::support::program::{Finished, on};
use crate::support::tree::{check_same, published, with_hash};

const NOWHERE: &str = "http://127.0.0.1:9";

fn copy(place: &Place, to: &Path) -> Finished {
    let file = place.job(&plain_job(), NOWHERE);
    on(&file, "copy", &["--to", to.to_str().unwrap()]).without_token().finish()
}

/// Changes one bit of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[100] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_copy_has_the_same_bytes_and_a_second_one_writes_nothing() {
    let (place, there) = (Place::with(&four_months().job_folder()), Place::new());
    let first = copy(&place, &there.output());
    first.check_code(0);
    assert!(first.stdout.contains("2026-10  snapshot      copied, "), "{}", first.stdout);
    check_same(&published(&there.job_folder()), &published(&place.job_folder()), "the copy");
    let second = copy(&place, &there.output());
    second.check_code(0);
    assert!(second.stdout.contains("2026-10  was there already") && second.stdout.contains("\nnothing was written"), "{}", second.stdout);
    // What an interrupted copy left is finished.
    fs::remove_dir_all(there.reports("2026-09")).unwrap();
    fs::remove_file(with_hash(&there.snapshot("2026-08").join("contacts/part-0000.parquet"))).unwrap();
    let july = with_hash(&there.history("2026-07").join("counts.parquet"));
    flip(&july);
    let third = copy(&place, &there.output());
    third.check_code(0);
    assert!(third.stdout.contains("2026-08  snapshot      replaced, ") && third.stdout.contains("is missing"), "{}", third.stdout);
    assert!(third.stdout.contains("2026-07  history       replaced, ") && third.stdout.contains("differs from what"), "{}", third.stdout);
    check_same(&published(&there.job_folder()), &published(&place.job_folder()), "the finished copy");
}

#[test]
fn nothing_newer_is_replaced_and_what_differs_is_named() {
    let edited = |folder: &Path, change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = manifest(folder);
        changed.as_object_mut().unwrap().remove("checksum");
        change(&mut changed);
        fs::write(folder.join("manifest.json"), serde_json::to_vec_pretty(&changed).unwrap()).unwrap();
    };
    let later: &dyn Fn(&mut serde_json::Value) = &|manifest| manifest["observed_at"] = json!("2027-01-01T00:00:00Z");
    let forgotten: &dyn Fn(&mut serde_json::Value) = &|manifest| manifest["forgotten"] = json!(3);
    let better: &dyn Fn(&mut serde_json::Value) = &|manifest| manifest["basis"] = json!("month_end");
    let late: &dyn Fn(&mut serde_json::Value) = &|manifest| manifest["basis"] = json!("late");
    for (change, words) in [
        (better, "it is of basis `month_end` there, and only `late` here"),
        (later, "it was observed later there, at 2027-01-01"),
        (forgotten, "3 people were removed from it there on request"),
    ] {
        let (place, there) = (Place::with(one_month()), Place::with(one_month()));
        if words.contains("basis") {
            edited(&place.snapshot("2026-07"), late);
        }
        edited(&there.snapshot("2026-07"), change);
        let before = published(&there.job_folder());
        let refused = copy(&place, &there.output());
        refused.check_code(6);
        assert!(refused.stdout.contains(words) && refused.stdout.contains("its snapshot was not copied"), "{}", refused.stdout);
        check_same(&published(&there.job_folder()), &before, words);
        // The other way, it is the newer one.
        copy(&there, &place.output()).check_code(0);
        check_same(&published(&place.job_folder()), &published(&there.job_folder()), words);
    }
}

#[test]
fn damage_is_not_copied() {
    let (place, there) = (Place::with(one_month()), Place::new());
    flip(&with_hash(&place.snapshot("2026-07").join("contacts/part-0000.parquet")));
    let refused = copy(&place, &there.output());
    refused.check_code(6);
    assert!(refused.stdout.contains("not copied, it is damaged: `contacts/part-0000."), "{}", refused.stdout);
    assert!(!there.snapshot("2026-07").exists() && !there.reports("2026-07").exists());
}

#[test]
fn a_copy_that_cannot_be_right_is_refused() {
    let place = Place::with(one_month());
    let file = place.job(&plain_job(), NOWHERE);
    let refused = |to: &str, words: &[&str]| on(&file, "copy", &["--to", to]).without_token().finish().check_failure(2, words);
    refused(place.output().to_str().unwrap(), &["is the place where the job already is"]);
    refused("ftp://host/x", &["ftp://", "s3://"]);
    refused("s3://key:secret@bucket", &["name of a bucket", "environment"]);
    fs::create_dir_all(place.job_folder().join(".work")).unwrap();
    fs::write(place.job_folder().join(".work/forgetting.json"), "{\"contact_ids\": [\"1\"]}").unwrap();
    refused(place.folder().join("other").to_str().unwrap(), &["forget", "did not finish", "again"]);
    // The same folder, written in another way, and one in the job's own.
    fs::remove_dir_all(place.job_folder().join(".work")).unwrap();
    refused(&format!("{}/../output", place.output().display()), &["is the place where the job already is"]);
    refused(place.job_folder().join("snapshots").to_str().unwrap(), &["is the place where the job already is"]);
    // Months that are not of this job.
    for (key, value, words) in
        [("identifiers", "hash:0a1b", "write identifiers as `hash:0a1b`"), ("workspace_id", "another1", "are of the workspace `another1`")]
    {
        let other = Place::with(one_month());
        let manifest_file = other.snapshot("2026-07").join("manifest.json");
        let mut changed = manifest(&other.snapshot("2026-07"));
        changed.as_object_mut().unwrap().remove("checksum");
        changed[key] = json!(value);
        fs::write(&manifest_file, serde_json::to_vec_pretty(&changed).unwrap()).unwrap();
        refused(other.output().to_str().unwrap(), &[words]);
    }
    let empty = Place::new();
    let file = empty.job(&plain_job(), NOWHERE);
    on(&file, "copy", &["--to", "elsewhere"]).without_token().finish().check_failure(2, &["does not exist", NAME]);
}
