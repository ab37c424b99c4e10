//! What the program as the README builds it says of engines outside of it. `.ci/engine` lets real ones count.

use std::fs;

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::Place;
use crate::support::program::on;
use crate::support::tree::{check_same, published};

/// A server where nothing listens: what needs it fails.
const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn a_program_without_spark_says_how_to_get_one() {
    let place = Place::with(one_month());
    let file = place.job(&plain_job(), NOWHERE);
    let token = "sc://127.0.0.1:15002/;token=invented-secret";
    let refused = on(&file, "report", &[]).variable("COHORTS__ENGINE__KIND", "spark").variable("COHORTS__ENGINE__URL", token).finish();
    refused.check_code(2);
    for word in ["`engine.kind`", "--features spark", "protoc"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    let wrong = on(&file, "report", &[]).variable("COHORTS__ENGINE__URL", "http://127.0.0.1/;token=invented-secret").finish();
    wrong.check_code(2);
    assert!(wrong.stderr.contains("must be the address of a Spark Connect server"), "{}", wrong.stderr);
    assert!(![refused.stdout, refused.stderr, wrong.stdout, wrong.stderr].iter().any(|text| text.contains("invented-secret")));
}

#[test]
fn a_script_counts_a_month_and_a_report_waits_for_it() {
    let place = Place::with(one_month());
    let file = place.job(&plain_job(), NOWHERE);
    let before = published(&place.job_folder());
    let script = place.output().join("month.sql");
    let month = before.keys().find_map(|path| path.strip_prefix("snapshots/run_month=")?.get(..7)).unwrap().to_string();
    let path = script.to_str().unwrap();
    on(&file, "report", &["--month", &month, "--engine-script", path]).without_token().succeed();
    let mut after = published(&place.job_folder());
    after.retain(|path, _| !path.starts_with(".engine/"));
    check_same(&after, &before, "nothing is built");
    let text = fs::read_to_string(&script).unwrap();
    let here = std::path::absolute(place.job_folder()).unwrap();
    for part in [
        "SET spark.sql.session.timeZone=UTC;",
        "CREATE OR REPLACE TEMPORARY VIEW contacts (contact_id STRING, ",
        &format!("INSERT OVERWRITE DIRECTORY '{}/.engine/run_month={month}/ledger/script' USING parquet", here.display()),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let waiting = on(&file, "report", &["--month", &month]).without_token().finish();
    waiting.check_code(2);
    assert!(waiting.stderr.contains("has not run to its end: it has no rows of `opened`"), "{}", waiting.stderr);
    // Any other command leaves the folder, and without it the month is counted here.
    on(&file, "status", &[]).without_token().succeed();
    fs::remove_dir_all(place.job_folder().join(".engine")).unwrap();
    on(&file, "report", &["--month", &month]).without_token().succeed();
    check_same(&published(&place.job_folder()), &before, "the month was counted here");
    let missing = place.folder().join("no such folder/month.sql");
    let nowhere = on(&file, "report", &["--month", &month, "--engine-script", missing.to_str().unwrap()]).without_token().finish();
    nowhere.check_code(2);
    assert!(nowhere.stderr.contains("`--engine-script`"), "{}", nowhere.stderr);
    on(&file, "report", &["--month", &month]).without_token().succeed();
    for arguments in [&["--engine-script", path][..], &["--all", "--engine-script", path]] {
        on(&file, "report", arguments).finish().check_code(2);
    }
}
