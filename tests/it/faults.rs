//! Runs against a server with faults: scenarios as data (`tests/scenarios/*.toml`), and how requests are spread.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use config::{Config, File, FileFormat};
use serde::Deserialize;

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::{Job, Place, manifest, texts};
use crate::support::program::run;
use crate::support::scripted::Scripted;
use crate::support::side_by_side;
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Table};
use crate::support::tree::{check_same, tables, tree, with_hash};
use crate::support::truth::JULY;

/// What goes wrong, and what comes of it. Every scenario observes July as `one_month` does without faults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// For whom reads the file.
    about: String,
    /// As `cohorts simulate` takes them.
    faults: Option<String>,
    faults_at: Option<String>,
    /// More settings of `[intercom]`.
    #[serde(default)]
    intercom: Vec<String>,
    /// More arguments of the run.
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    exit: i32,
    /// What the error names, besides the month.
    #[serde(default)]
    error: Vec<String>,
    /// Least and most retries in the snapshot's manifest.
    retries: Option<[u64; 2]>,
    /// Least and most answers with 429.
    rate_limited: Option<[u64; 2]>,
    /// Whether a stream had to be done again; looked at where the result is compared.
    #[serde(default)]
    second_walk: bool,
    /// How the result compares with that of the run without faults.
    same: Option<Same>,
    /// Severity and check of findings that `data_quality` must have.
    #[serde(default)]
    findings: Vec<[String; 2]>,
    /// Whether the manifest lists streams as incomplete.
    #[serde(default)]
    incomplete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
enum Same {
    /// Every byte of every table.
    #[serde(rename = "all")]
    All,
    /// The same, but for `data_quality`.
    #[serde(rename = "all but findings")]
    AllButFindings,
    /// The same rows, but for what no client can know: what a custom attribute of another type means, and whether a
    /// number before 1970 is in milliseconds.
    #[serde(rename = "all that can be known")]
    Knowable,
}

#[test]
fn scenarios_end_as_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let scenarios: Vec<(String, Scenario)> = tree(&folder)
        .into_iter()
        .map(|(name, bytes)| {
            let text = String::from_utf8(bytes).unwrap();
            let scenario = Config::builder().add_source(File::from_str(&text, FileFormat::Toml)).build();
            let scenario: Scenario = scenario.and_then(Config::try_deserialize).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!scenario.about.is_empty());
            (name, scenario)
        })
        .collect();
    assert!(scenarios.len() > 10);
    side_by_side(&scenarios, |(name, _)| name.clone(), |(_, scenario)| check(scenario));
}

fn check(scenario: &Scenario) {
    let specs = [("--faults", &scenario.faults), ("--faults-at", &scenario.faults_at)];
    let faults: Vec<&str> = specs.iter().filter_map(|(flag, spec)| Some([*flag, spec.as_deref()?])).flatten().collect();
    let simulator = Simulator::at(JULY.as_of, &faults);
    let place = Place::new();
    let job = scenario.intercom.iter().fold(plain_job(), Job::with_intercom);
    let file = place.job(&job, &simulator.base_url);
    let arguments: Vec<&str> = scenario.arguments.iter().map(String::as_str).collect();
    let finished = run(&file, &["--as-of", JULY.as_of]).arguments(&arguments).finish();
    assert_eq!(finished.code, Some(scenario.exit), "stdout:\n{}\nstderr:\n{}", finished.stdout, finished.stderr);
    if scenario.exit != 0 {
        let named: Vec<&str> = ["2026-07"].into_iter().chain(scenario.error.iter().map(String::as_str)).collect();
        finished.check_failure(scenario.exit, &named);
        assert!(tree(&place.job_folder().join("snapshots")).is_empty() && tree(&place.job_folder().join("reports")).is_empty());
        return;
    }
    let reported = place.manifest("2026-07");
    let stats = simulator.stats();
    assert_eq!(reported["requests"], stats.requests, "every request is counted");
    let within = |what: &str, number: u64, range: Option<[u64; 2]>| {
        assert!(range.is_none_or(|[least, most]| (least..=most).contains(&number)), "{number} {what}, expected {range:?}");
    };
    within("retries", reported["retries"].as_u64().unwrap(), scenario.retries);
    within("answers with 429", stats.rate_limited, scenario.rate_limited);
    if scenario.same.is_some() {
        let fault_free = manifest(&one_month().join("snapshots/run_month=2026-07"))["requests"].as_u64().unwrap();
        let pages = stats.requests - reported["retries"].as_u64().unwrap();
        assert_eq!(pages > fault_free, scenario.second_walk, "{pages} answers were needed, {fault_free} without faults");
    }
    assert_eq!(!reported["incomplete"].as_array().unwrap().is_empty(), scenario.incomplete, "{}", reported["incomplete"]);

    let findings = place.report("2026-07", "data_quality").rows_by_name();
    for [severity, check] in &scenario.findings {
        let is_there = findings.iter().any(|row| row["severity"].shown() == *severity && row["check_name"].shown() == *check);
        assert!(is_there, "no {severity} `{check}` among {findings:?}");
    }
    if scenario.incomplete {
        // Each incomplete stream is an error of its own.
        let subjects: BTreeSet<String> =
            findings.iter().filter(|row| row["severity"].shown() == "error").map(|row| row["subject"].shown()).collect();
        for key in reported["incomplete"].as_array().unwrap() {
            assert!(subjects.contains(key.as_str().unwrap()), "{key} is not among {subjects:?}");
        }
    }
    let Some(same) = scenario.same else { return };
    if same == Same::Knowable {
        return check_knowable(&place.job_folder());
    }
    for folder in ["snapshots", "history", "reports"] {
        let [mut left, mut right] = [place.job_folder().as_path(), one_month()].map(|job| tables(tree(&job.join(folder))));
        if same == Same::AllButFindings {
            for tree in [&mut left, &mut right] {
                // The page shows them, too.
                tree.retain(|name, _| !name.contains("data_quality.") && !name.ends_with("report.html"));
            }
        }
        check_same(&left, &right, folder);
    }
    let listed = |folder: &Path| manifest(folder)["files"].clone();
    if same == Same::All {
        let fault_free = one_month().join("reports/run_month=2026-07");
        assert_eq!(listed(&place.reports("2026-07")), listed(&fault_free), "the manifest of the reports lists the same");
    }
}

/// The rows of all tables against those of the run without faults.
fn check_knowable(job_folder: &Path) {
    let files = [
        "snapshots/run_month=2026-07/contacts/part-0000",
        "snapshots/run_month=2026-07/members/part-0000",
        "snapshots/run_month=2026-07/conversations/part-0000",
        "reports/run_month=2026-07/cohort_summary",
        "reports/run_month=2026-07/overlap",
        "reports/run_month=2026-07/conversation_activity",
        "reports/run_month=2026-07/members",
        "reports/run_month=2026-07/member_attributes",
    ];
    for file in files {
        let [found, expected] = [job_folder, one_month()].map(|job| {
            let path = job.join(format!("{file}.parquet"));
            Table::parquet(&if file.starts_with("reports/") { path } else { with_hash(&path) })
        });
        assert_eq!((&found.columns, found.rows.len()), (&expected.columns, expected.rows.len()), "{file}");
        for (found, expected) in found.rows.iter().zip(&expected.rows) {
            for (found, expected) in found.iter().zip(expected) {
                let is_unknowable = matches!(expected, Cell::Instant(at) if at.timestamp() < 0);
                assert!(found == expected || is_unknowable, "{file}: {found:?}, expected {expected:?}");
            }
        }
    }
}

#[test]
fn a_small_window_is_spent_evenly_and_never_overdrawn() {
    let simulator = Simulator::at(JULY.as_of, &["--rate-limit", "20"]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let job = Job { tags: texts(&["value_lead", "VIP", "churn risk"]), segments: texts(&["Active"]), ..plain_job() };
    let job = Job { intercom: texts(&["page_size = 25"]), ..job };
    run(&place.job(&job, &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    let stats = simulator.stats();
    assert_eq!(stats.rate_limited, 0);
    assert!(stats.requests > 20, "{} requests say nothing about a window of 20", stats.requests);
    // 80 % of 20: no ten seconds, wherever they begin, see more.
    let sent: Vec<_> = recorder.requests().iter().map(|request| request.at).collect();
    for (index, first) in sent.iter().enumerate() {
        let within = sent[index..].iter().filter(|at| **at - *first < Duration::from_millis(9_900)).count();
        assert!(within <= 16, "{within} requests within ten seconds");
    }
    // And it is not a third of what is allowed, either.
    let took = sent[sent.len() - 1] - sent[0];
    let needed = Duration::from_secs_f64(10.0 / 16.0 * sent.len() as f64);
    assert!(took < needed * 3 / 2, "{} requests took {took:?}", sent.len());
}

#[test]
fn no_more_requests_are_under_way_than_the_job_allows() {
    for most in [1, 3] {
        let simulator = Simulator::at(JULY.as_of, &["--latency", "40ms"]);
        let place = Place::new();
        let job = plain_job().with_intercom(format!("max_concurrency = {most}"));
        run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
        assert_eq!(simulator.stats().max_in_flight, most, "all places are used, and no more");
    }
}
