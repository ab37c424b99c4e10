//! The log of a run: lines that a log store can match on, the one that says how it ended, and the month that was missed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::fixture::plain_job;
use crate::support::job::{Job, Place, small_job};
use crate::support::program::{Finished, Program, backfill, on, run};
use crate::support::simulator::Simulator;
use crate::support::truth::{JULY, SEPTEMBER};

const JSON: &[&str] = &["--log-format", "json"];

/// The lines of a JSON log. All are of one process and of one command, and the last one says how it ended, once.
#[track_caller]
pub(crate) fn lines(finished: &Finished, command: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
    let lines: Vec<Value> = finished.stderr.lines().map(parse).collect();
    let ids: BTreeSet<&str> = lines.iter().map(|line| line["run_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    for line in &lines {
        assert_eq!(line["command"], command, "{line}");
        for name in ["timestamp", "level", "message", "target"] {
            assert!(line[name].is_string(), "{name}: {line}");
        }
        assert!(line.as_object().unwrap().values().all(|value| !value.is_object() && !value.is_array()), "it is flat: {line}");
    }
    let ended = lines.iter().filter(|line| line["message"] == "run ended").count();
    assert_eq!((ended, &lines.last().unwrap()["message"]), (1, &"run ended".into()), "{}", finished.stderr);
    assert_eq!(lines.last().unwrap()["exit_code"], i64::from(finished.code.unwrap()));
    lines
}

/// The last line, which has these fields.
#[track_caller]
fn check_ended(finished: &Finished, command: &str, fields: Value) -> Value {
    let last = lines(finished, command).pop().unwrap();
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&last[name], value, "{name}: {last}");
    }
    assert!(last["duration_seconds"].as_f64().unwrap() >= 0.0);
    assert!(last["requests"].is_u64() && last["retries"].is_u64() && last["incomplete"].is_u64(), "{last}");
    last
}

fn json(program: Program) -> Finished {
    program.arguments(JSON).finish()
}

#[test]
fn every_line_says_which_run_which_step_and_how_much() {
    let simulator = Simulator::at(JULY.as_of, &["--faults-at", "3=500"]);
    let place = Place::new();
    let file = place.job(&small_job().with_intercom("page_size = 20"), &simulator.base_url);
    let finished = json(run(&file, &["--as-of", JULY.as_of, "-v"]));
    finished.check_code(0);
    let all = lines(&finished, "run");
    let steps: Vec<&str> = all.iter().filter_map(|line| line["step"].as_str()).collect();
    let mut in_order = steps.clone();
    in_order.dedup();
    assert_eq!(in_order, ["plan", "fetch", "publish", "history", "report"]);
    assert!(all.iter().filter(|line| line["step"] != "plan" && !line["step"].is_null()).all(|line| line["month"] == "2026-07"));
    assert!(all.iter().any(|line| line["level"] == "WARN" && line["step"].is_string()), "the failed request is logged with its step");

    let one = |message: &str| {
        let found: Vec<&Value> = all.iter().filter(|line| line["message"] == message).collect();
        assert_eq!(found.len(), 1, "{message}: {}", finished.stderr);
        assert!(found[0]["duration_seconds"].is_f64() || found[0]["streams"].is_u64(), "{}", found[0]);
        found[0]
    };
    let members = simulator.members("tag:1373897").len();
    let stream = one("stream done");
    assert_eq!((&stream["key"], &stream["rows"], &stream["step"]), (&"tag:1373897".into(), &members.into(), &"fetch".into()));
    assert_eq!(stream["pages"], members.div_ceil(20), "{stream}");
    assert_eq!((&one("fetching")["streams"], &one("fetching")["month"]), (&1.into(), &"2026-07".into()));
    for (message, step) in [("snapshot published", "publish"), ("history built", "history"), ("reports built", "report")] {
        assert_eq!((&one(message)["step"], &one(message)["month"]), (&step.into(), &"2026-07".into()), "{message}");
    }
    // Another process is another run.
    let again = lines(&json(run(&file, &["--as-of", JULY.as_of])), "run");
    assert_ne!(again[0]["run_id"], all[0]["run_id"]);
}

#[test]
fn the_last_line_says_what_came_of_it() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.job(&small_job(), &simulator.base_url);
    let as_of = ["--as-of", JULY.as_of];
    let dry = json(run(&file, &as_of).arguments(&["--dry-run"]));
    check_ended(&dry, "run", serde_json::json!({"outcome": "unchanged", "exit_code": 0, "month": "2026-07"}));

    let before = simulator.stats().requests;
    let published = json(run(&file, &as_of));
    let members = place.report("2026-07", "cohort_summary").rows_by_name()[0]["members"].shown().parse::<u64>().unwrap();
    let asked = simulator.stats().requests - before;
    let mut expected = serde_json::json!({"outcome": "published", "exit_code": 0, "month": "2026-07", "basis": "month_end",
        "cohorts": 1, "members": members, "requests": asked, "retries": 0, "incomplete": 0, "missed": 0, "level": "INFO"});
    check_ended(&published, "run", expected.clone());
    (expected["outcome"], expected["requests"]) = ("unchanged".into(), 0.into());
    check_ended(&json(run(&file, &as_of)), "run", expected.clone());
    expected["outcome"] = "published".into();
    check_ended(&json(on(&file, "report", &[])), "report", expected);

    let later = Simulator::at(SEPTEMBER.as_of, &[]);
    let file = place.job(&small_job(), &later.base_url);
    let late = json(backfill(&file, ("2026-07", "2026-08"), SEPTEMBER.as_of, &[]));
    let late = check_ended(
        &late,
        "backfill",
        serde_json::json!({"outcome": "published", "first_month": "2026-07", "month": "2026-08", "basis": "late"}),
    );
    assert!(late["requests"].as_u64() > Some(0), "{late}");

    // For people, it is a line like the others; with -q there is none, as another test says.
    let text = run(&file, &["--as-of", SEPTEMBER.as_of]).succeed().stderr;
    let last = text.lines().last().unwrap();
    assert!(last.contains("INFO run ended outcome=published exit_code=0 month=2026-09 basis=month_end"), "{text}");
    assert_eq!(text.matches("run ended").count(), 1);
}

#[test]
fn a_failure_is_logged_before_the_last_line() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let check = |job: &Job, arguments: &[&str], token: Option<&str>, code: i32, month: Value| {
        let place = Place::new();
        let program = run(&place.job(job, &simulator.base_url), arguments).arguments(&["--as-of", JULY.as_of]);
        let program = match token {
            Some(token) => program.variable("INTERCOM_ACCESS_TOKEN", token),
            None => program.without_token(),
        };
        let finished = json(program);
        finished.check_code(code);
        check_ended(&finished, "run", serde_json::json!({"outcome": "failed", "exit_code": code, "month": month, "cohorts": null}));
        let error = lines(&finished, "run").into_iter().rev().nth(1).unwrap();
        assert_eq!((&error["level"], &error["code"]), (&"ERROR".into(), &code.into()), "{error}");
        error
    };
    let fine = Some("some-token");
    let slip = check(&small_job().with_top("page_sise = 4"), &[], fine, 2, Value::Null);
    assert!(slip["message"].as_str().unwrap().contains("page_sise") && slip["step"].is_null(), "{slip}");
    check(&small_job(), &["--month", "2026-07"], None, 3, "2026-07".into());
    check(&small_job(), &[], Some("invalid-token"), 3, "2026-07".into());
    let unnamed = Job { tags: vec!["no such tag".to_string()], ..small_job() };
    assert_eq!(check(&unnamed, &[], fine, 4, "2026-07".into())["step"], "plan");
    check(&small_job(), &["--month", "2030-01"], fine, 2, "2030-01".into());
}

#[test]
fn a_month_that_was_missed_is_reported() {
    let place = Place::new();
    let observe = |as_of: &str, arguments: &[&str]| {
        let simulator = Simulator::at(as_of, &[]);
        run(&place.job(&small_job(), &simulator.base_url), arguments).arguments(&["--as-of", as_of]).succeed()
    };
    let warnings = |finished: &Finished| {
        let reported = finished.stderr.lines().filter(|line| line.contains("without a snapshot")).map(str::to_string);
        reported.collect::<Vec<_>>()
    };
    assert_eq!(warnings(&observe(JULY.as_of, &[])), [""; 0], "nothing is held yet");
    assert_eq!(warnings(&observe(SEPTEMBER.as_of, &["--month", "2026-09"])), [""; 0], "who names a month knows");
    // With a month missing the run still says so when there is nothing to do.
    let reported = warnings(&observe(SEPTEMBER.as_of, &[]));
    assert_eq!(reported.len(), 1, "{reported:?}");
    for word in ["WARN", "2026-08", "month_end", "cohorts backfill --from 2026-08 --to 2026-08"] {
        assert!(reported[0].contains(word), "{word}: {reported:?}");
    }
    assert!(!reported[0].contains("2026-07") && !reported[0].contains("2026-09"), "{reported:?}");

    // A monitor hears of it, too: of a gap, of the months since the last one, and of the one that is due.
    let file = place.job(&small_job(), "http://127.0.0.1:9");
    let status = |as_of: &str| on(&file, "status", &["--check", "--as-of", as_of]).finish();
    let gap = status(SEPTEMBER.as_of);
    gap.check_code(8);
    assert!(gap.stdout.contains("months without a snapshot: 2026-08\n"), "{}", gap.stdout);
    let since = status("2026-12-15T00:00:00Z");
    since.check_code(8);
    assert!(since.stdout.contains("months without a snapshot: 2026-08, 2026-10\ndue: 2026-11\n"), "{}", since.stdout);

    // Late is better than never.
    let simulator = Simulator::at(SEPTEMBER.as_of, &[]);
    let file = place.job(&small_job(), &simulator.base_url);
    backfill(&file, ("2026-08", "2026-08"), SEPTEMBER.as_of, &[]).succeed();
    assert_eq!(warnings(&run(&file, &["--as-of", SEPTEMBER.as_of]).succeed()), [""; 0]);
    on(&file, "status", &["--check", "--as-of", SEPTEMBER.as_of]).finish().check_code(0);
}

#[test]
fn a_run_without_a_terminal_says_every_ten_seconds_how_far_it_is() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &["--latency", "600ms"]);
    // One request at a time, so that it takes longer than that.
    let job = plain_job().with_intercom("max_concurrency = 1");
    let finished = run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
    let line = finished.stderr.lines().find(|line| line.contains("fetching: ")).unwrap_or_else(|| panic!("{}", finished.stderr));
    for part in ["2026-07", " streams, ", " pages, ", " rows, ", " a second", "% of the rate limit"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
