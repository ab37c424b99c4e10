//! Snapshots and histories of other versions of the program.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::{Place, manifest};
use crate::support::program::{on, run};
use crate::support::simulator::Simulator;
use crate::support::tree::{check_same, published, tables, tree, with_hash};
use crate::support::truth::{AUGUST, JULY};

/// A server where nothing listens: what needs it fails.
const NOWHERE: &str = "http://127.0.0.1:9";

/// As a program would have written it that gave manifests no checksum.
fn rewrite(folder: &Path, change: impl Fn(&mut Value)) {
    let mut reported = manifest(folder);
    reported.as_object_mut().unwrap().remove("checksum");
    change(&mut reported);
    fs::write(folder.join("manifest.json"), serde_json::to_vec_pretty(&reported).unwrap()).unwrap();
}

/// A job that has a snapshot and nothing that was derived from it.
fn snapshot_alone() -> Place {
    let place = Place::with(one_month());
    for derived in ["history", "reports"] {
        fs::remove_dir_all(place.job_folder().join(derived)).unwrap();
    }
    place
}

#[test]
fn a_snapshot_with_keys_that_this_version_does_not_know_or_without_optional_ones_is_read() {
    for change in [
        // What a later version of the same format may add.
        (|reported| {
            reported["brand_new"] = json!({"nested": [1, 2]});
            reported["cohorts"][0]["slices"] = json!(4);
        }) as fn(&mut Value),
        // What an API, or an earlier version, did not give.
        |reported| {
            reported.as_object_mut().unwrap().remove("workspace_id");
            for cohort in reported["cohorts"].as_array_mut().unwrap() {
                cohort.as_object_mut().unwrap().remove("announced");
            }
        },
        |reported| reported["program_version"] = json!("0.0.1"),
    ] {
        let place = snapshot_alone();
        rewrite(&place.snapshot("2026-07"), change);
        let file = place.job(&plain_job(), NOWHERE);
        on(&file, "status", &["--as-of", JULY.as_of]).succeed();
        on(&file, "report", &["--all"]).without_token().succeed();
        let summary = place.report("2026-07", "cohort_summary").rows_by_name();
        assert_eq!(summary.len(), 3);
        on(&file, "status", &["--check", "--as-of", JULY.as_of]).succeed();
        // The next month is compared with it.
        let simulator = Simulator::at(AUGUST.as_of, &[]);
        run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", AUGUST.as_of]).succeed();
        for row in place.report("2026-08", "cohort_summary").rows_by_name() {
            assert_eq!(row["compared_month"].shown(), "2026-07-01");
        }
    }
}

#[test]
fn histories_and_reports_of_another_format_are_rebuilt() {
    let whole = published(one_month());
    type Change = fn(&mut Value);
    // As the version before wrote them: another format, no definitions.
    let changes: [Change; 3] = [
        |reported| {
            reported["format"] = json!(1);
            reported["built_from"].as_object_mut().unwrap().remove("definitions");
        },
        |reported| reported["format"] = json!(999),
        |reported| *reported = json!({"something": "else"}),
    ];
    for change in changes {
        for command in ["run", "report"] {
            let place = Place::with(one_month());
            rewrite(&place.history("2026-07"), change);
            fs::remove_file(with_hash(&place.history("2026-07").join("triangle.parquet"))).unwrap();
            let file = place.job(&plain_job(), NOWHERE);
            let reported = on(&file, "status", &["--as-of", JULY.as_of]).succeed();
            assert!(reported.stdout.contains("stale"), "{}", reported.stdout);
            match command {
                "run" => on(&file, "run", &["--as-of", JULY.as_of]).succeed(),
                _ => on(&file, "report", &["--all"]).without_token().succeed(),
            };
            check_same(&published(&place.job_folder()), &whole, command);
        }
    }
}

#[test]
fn a_job_folder_of_the_first_version_is_brought_up_to_date_by_the_next_run() {
    // The first version had the same snapshots, fewer tables in a history, and six reports of which two had fewer columns.
    let place = Place::with(one_month());
    for table in ["counts", "triangle", "profiles"] {
        fs::remove_file(with_hash(&place.history("2026-07").join(format!("{table}.parquet")))).unwrap();
    }
    rewrite(&place.history("2026-07"), |reported| {
        reported["format"] = json!(1);
        reported["built_from"].as_object_mut().unwrap().remove("definitions");
        let files = reported["files"].as_array_mut().unwrap();
        files.retain(|file| {
            !["counts", "triangle", "profiles"].iter().any(|name| file["path"].as_str().unwrap().starts_with(&format!("{name}.")))
        });
    });
    // `retention` stands for `retention_curve` and `retention_change`, too.
    let newer = ["cohort_trends", "retention", "membership_survival", "attribute_profile", "numeric_profile", "movement"];
    let is_newer = |path: &str| newer.iter().any(|name| path.starts_with(name));
    for name in tree(&place.reports("2026-07")).into_keys().filter(|name| is_newer(name)) {
        fs::remove_file(place.reports("2026-07").join(name)).unwrap();
    }
    rewrite(&place.reports("2026-07"), |reported| {
        reported["built_from"]["history"] = json!("0".repeat(64));
        reported["files"].as_array_mut().unwrap().retain(|file| !is_newer(file["path"].as_str().unwrap()));
    });
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let file = place.job(&plain_job(), &simulator.base_url);
    let finished = run(&file, &["--as-of", AUGUST.as_of]).succeed();
    assert!(finished.stdout.contains("also brought up to date: 2026-07"), "{}", finished.stdout);
    let july = |tree: crate::support::tree::Tree| -> crate::support::tree::Tree {
        tree.into_iter().filter(|(name, _)| name.contains("run_month=2026-07/")).collect()
    };
    check_same(&july(published(&place.job_folder())), &july(published(one_month())), "July");
    on(&file, "status", &["--check", "--as-of", AUGUST.as_of]).succeed();
}

#[test]
fn a_snapshot_of_a_newer_format_is_refused_with_its_path_and_left_alone() {
    let place = snapshot_alone();
    rewrite(&place.snapshot("2026-07"), |reported| {
        reported["format"] = json!(2);
        // Whatever it may mean then.
        reported["cohorts"] = json!({"moved to": "cohorts.parquet"});
    });
    let file = place.job(&plain_job(), NOWHERE);
    let before = published(&place.job_folder());
    for command in [&["report", "--all"][..], &["report"], &["run", "--as-of", JULY.as_of]] {
        let refused = on(&file, command[0], &command[1..]).finish();
        refused.check_failure(1, &["run_month=2026-07", "format 2", "newer"]);
        check_same(&published(&place.job_folder()), &before, "what cannot be read");
    }
    let status = on(&file, "status", &["--check", "--as-of", JULY.as_of]).finish();
    status.check_code(8);
    assert!(status.stdout.contains("2026-07 cannot be read") && status.stdout.contains("format 2"), "{}", status.stdout);
    // The next month is observed all the same: nobody can do that later.
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let next = run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", AUGUST.as_of]).finish();
    assert_eq!(next.code, Some(1), "{}", next.stderr);
    assert_eq!(place.manifest("2026-08")["basis"], "month_end");
    check_same(&tables(tree(&place.snapshot("2026-07"))), &tables(tree(&one_month().join("snapshots/run_month=2026-07"))), "July");
}
