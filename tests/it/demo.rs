//! `cohorts demo`, and a golden month of it. `COHORTS_BLESS=1 cargo test --test it demo` renews the golden files; the
//! difference is to be read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::month_end::{REPORTS, check_curve, check_flows, check_movement, check_survival};
use crate::support::job::Place;
use crate::support::program::{Finished, cohorts, run};
use crate::support::tables::Table;
use crate::support::tree::{check_same, published, tree};
use crate::support::workspace::{Workspace, contact, contact_id, plainly};

/// Left out of the golden files: a row a cohort and value, which is more than anyone reads. `planted` looks at it.
const NOT_GOLDEN: &str = "attribute_profile.csv";

fn demo(out: &Path, seed: &str, months: &str) -> Finished {
    let out = out.to_str().unwrap();
    // No token and no file: that is what a demo is for.
    cohorts(["demo", "--months", months, "--contacts", "300", "--seed", seed, "--out", out]).without_token().succeed()
}

/// One demo that several tests look at.
fn shared() -> &'static (PathBuf, Finished) {
    static DEMO: LazyLock<(PathBuf, Finished)> = LazyLock::new(|| {
        let out = Place::kept("demo").output();
        let finished = demo(&out, "7", "3");
        (out, finished)
    });
    &DEMO
}

#[test]
fn the_last_month_of_a_demo_is_the_golden_one() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/demo");
    let reports = shared().0.join("demo/reports/run_month=2026-10");
    let found: BTreeMap<String, Vec<u8>> = tree(&reports).into_iter().filter(|(name, _)| name.ends_with(".csv")).collect();
    assert_eq!(found.len(), REPORTS.len());
    let found: BTreeMap<String, Vec<u8>> = found.into_iter().filter(|(name, _)| name != NOT_GOLDEN).collect();
    if std::env::var_os("COHORTS_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(&golden).unwrap();
        for (name, bytes) in &found {
            fs::write(golden.join(name), bytes).unwrap();
        }
    }
    for (name, bytes) in tree(&golden) {
        let [found, expected] = [&found[&name], &bytes].map(|bytes| String::from_utf8(bytes.clone()).unwrap());
        let line = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
        let line = line.unwrap_or(found.lines().count().min(expected.lines().count()));
        let at = |text: &str| text.lines().nth(line).map(str::to_string);
        assert!(found == expected, "{name}, line {}:\n{:?}\ngolden:\n{:?}", line + 1, at(&found), at(&expected));
    }
    assert_eq!(tree(&golden).len(), found.len());
}

#[test]
fn a_demo_prints_one_table_and_where_the_results_are() {
    let (out, finished) = shared();
    let reports = out.join("demo/reports/run_month=2026-10");
    for word in ["cohort", "members", "joined", "departed", "openers", "unsubscribed", "change", reports.to_str().unwrap()] {
        assert!(finished.stdout.contains(word), "{word}:\n{}", finished.stdout);
    }
    let summary = Table::parquet(&reports.join("cohort_summary.parquet")).rows_by_name();
    for row in &summary {
        let name = row["cohort_name"].shown();
        let line = finished.stdout.lines().find(|line| line.trim_start().starts_with(&name)).unwrap_or_else(|| panic!("{name}"));
        let numbers: Vec<String> = ["members", "joined", "departed", "openers", "unsubscribed"].map(|name| row[name].shown()).into();
        let words: Vec<&str> = line[line.find(&name).unwrap() + name.len()..].split_whitespace().collect();
        // Between the members and the changes of the month stands their trend.
        assert!(words[2].chars().all(|bar| "▁▂▃▄▅▆▇█·".contains(bar)), "{line}");
        assert_eq!([&words[1..2], &words[3..7]].concat(), numbers, "{line}");
    }
    assert!(finished.stderr.contains("2026-09"), "progress is on standard error:\n{}", finished.stderr);
}

#[test]
fn a_demo_lives_through_the_months_it_is_asked_for() {
    let (out, _) = shared();
    for table in ["snapshots", "history", "reports"] {
        let mut months: Vec<String> =
            fs::read_dir(out.join("demo").join(table)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        months.sort();
        assert_eq!(months, ["run_month=2026-08", "run_month=2026-09", "run_month=2026-10"], "{table}");
    }
    for month in ["2026-08", "2026-09", "2026-10"] {
        let report = |name: &str| Table::parquet(&out.join(format!("demo/reports/run_month={month}/{name}.parquet"))).rows_by_name();
        let members = report("members");
        for row in report("cohort_summary") {
            assert_eq!(row["basis"].shown(), "month_end");
            check_flows(&row, &members);
        }
        let reports = out.join(format!("demo/reports/run_month={month}"));
        [check_survival, check_curve, check_movement].iter().for_each(|check| check(&reports));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let (out, _) = shared();
    let place = Place::new();
    demo(&place.output(), "8", "1");
    let summary = |out: &Path| fs::read(out.join("demo/reports/run_month=2026-10/members.csv")).unwrap();
    assert_ne!(summary(&place.output()), summary(out));
    // Once more in the same folder: what the other demo left is replaced.
    demo(&place.output(), "7", "3");
    check_same(&published(&place.output().join("demo")), &published(&out.join("demo")), "two demos of one seed");
}

#[test]
fn a_demo_does_not_touch_somebodys_months() {
    // A workspace of its own, in a job that happens to be called `demo`.
    let id = contact_id(1);
    let workspace = Workspace {
        id: "another".to_string(),
        contacts: [(id.clone(), contact(&id, 1_780_000_000))].into(),
        tags: [("5".to_string(), ("customers".to_string(), [id].into()))].into(),
        ..Workspace::default()
    };
    let server = workspace.serve(plainly);
    let place = Place::new();
    let file = place.folder().join("demo.toml");
    let text = format!(
        "tags = [\"customers\"]\nconversations = false\nprofile = []\n[intercom]\nbase_url = {:?}\n[output]\ndir = {:?}\n",
        server.base_url,
        place.output().to_str().unwrap()
    );
    fs::write(&file, text).unwrap();
    run(&file, &["--month", "2026-07", "--as-of", "2026-08-02T00:00:00Z"]).succeed();
    let before = tree(&place.output());
    let out = place.output();
    let refused = cohorts(["demo", "--months", "1", "--contacts", "50", "--out", out.to_str().unwrap()]).finish();
    refused.check_failure(2, &["demo"]);
    check_same(&tree(&place.output()), &before, "somebody's months");
}

#[test]
fn a_demo_needs_no_certificate() {
    let place = Place::new();
    let nowhere = place.folder().join("no certificates");
    fs::create_dir(&nowhere).unwrap();
    let out = place.folder().join("output");
    let demo = cohorts(["demo", "--months", "1", "--contacts", "50", "--out", out.to_str().unwrap()]).without_token();
    demo.variable("SSL_CERT_DIR", &nowhere).variable("SSL_CERT_FILE", nowhere.join("none.pem")).succeed();
}

#[test]
fn a_demo_that_cannot_write_says_so() {
    let place = Place::new();
    let file = place.folder().join("a-file");
    fs::write(&file, "not a folder").unwrap();
    let out = file.join("output");
    cohorts(["demo", "--months", "1", "--contacts", "50", "--out", out.to_str().unwrap()]).finish().check_failure(2, &["a-file"]);
    cohorts(["demo", "--months", "0"]).finish().check_failure(2, &["--months"]);
}
