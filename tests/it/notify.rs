//! The webhook: which messages it gets and how often, that nothing depends on it, and that its address is a secret.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::run_log::lines;
use crate::support::http::ClosedPort;
use crate::support::job::{Job, Place, small_job};
use crate::support::program::{Finished, backfill, observe, on, run};
use crate::support::scripted::{MakeReply, Reply, Request, Scripted};
use crate::support::simulator::Simulator;
use crate::support::truth::{JULY, SEPTEMBER};
use crate::support::{TOKEN, side_by_side, wait_until};

/// What nobody may read anywhere: whoever knows it may write to the webhook.
const SECRET: &str = "T0s3cretB0";
const AS_OF: &[&str] = &["--as-of", JULY.as_of];
const TAKEN: MakeReply = || Reply::text(204, "text/plain", "");

fn notifying(job: Job, base_url: &str) -> Job {
    job.with_section(format!("[notify]\nurl = \"{base_url}/{SECRET}?key={SECRET}\""))
}

/// The only message that the webhook got.
#[track_caller]
fn only_message(receiver: &Scripted) -> Value {
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1, "one message");
    check_request(&requests[0]);
    requests[0].json()
}

#[track_caller]
fn check_request(request: &Request) {
    assert_eq!((request.method.as_str(), request.path()), ("POST", format!("/{SECRET}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), None);
    let all = format!("{:?} {}", request.headers, String::from_utf8_lossy(&request.body));
    assert!(!all.contains(TOKEN), "the token went to the webhook: {all}");
}

#[track_caller]
fn check_secret(finished: &Finished) {
    assert!(!format!("{}{}", finished.stdout, finished.stderr).contains(SECRET), "{}\n{}", finished.stdout, finished.stderr);
}

#[track_caller]
fn check_message(reported: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&reported[name], value, "{name}: {reported}");
    }
}

#[test]
fn it_gets_a_month_and_its_cohorts() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let receiver = Scripted::replies(vec![TAKEN]);
    let place = Place::new();
    let job = small_job().with_section("[[rules]]\nname = \"users\"\nwhere = \"role = 'user'\"");
    let file = place.job(&notifying(job, &receiver.base_url), &simulator.base_url);
    let finished = run(&file, AS_OF).arguments(&["--log-format", "json", "-vv"]).succeed();
    check_secret(&finished);
    let reported = only_message(&receiver);
    let rows = place.report("2026-07", "cohort_summary").rows_by_name();
    let cohort = |row: &crate::support::tables::Row| {
        json!({"month": "2026-07", "cohort_key": row["cohort_key"].shown(), "cohort_name": row["cohort_name"].shown(),
            "basis": "month_end", "members": row["members"].shown().parse::<u64>().unwrap()})
    };
    assert_eq!(rows.len(), 2);
    let log = lines(&finished, "run").pop().unwrap();
    check_message(
        &reported,
        &json!({"event": "cohorts.run", "outcome": "published", "exit_code": 0, "job": "rehearsal", "month": "2026-07",
            "months": ["2026-07"], "basis": "month_end", "cohorts": rows.iter().map(cohort).collect::<Vec<_>>(), "incomplete": [],
            "missed": [], "requests": log["requests"], "retries": 0, "message": null, "hint": null, "run_id": log["run_id"],
            "duration_seconds": log["duration_seconds"], "program_version": env!("CARGO_PKG_VERSION")}),
    );
    let instant = |name: &str| reported[name].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(instant("started_at") <= instant("ended_at"));
    let stands_out = reported["stands_out"].as_array().unwrap();
    for of in stands_out {
        assert!(["sentence", "kind", "cohort_key", "metric"].iter().all(|field| of[field].is_string()) && of["value"].is_number(), "{of}");
    }
    let headlines = finished.stdout.lines().skip_while(|line| *line != "what stands out").skip(1).take_while(|line| !line.is_empty());
    assert_eq!(stands_out.len().min(5), headlines.filter(|line| !line.starts_with("  and ")).count());

    run(&file, AS_OF).succeed();
    check_message(&receiver.requests()[1].json(), &json!({"outcome": "unchanged", "requests": 0, "cohorts": reported["cohorts"]}));
    // Commands that only read, and those offline, send no message.
    run(&file, AS_OF).arguments(&["--dry-run"]).succeed();
    on(&file, "report", &[]).succeed();
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn it_gets_a_message_for_people() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let receiver = Scripted::replies(vec![TAKEN]);
    let place = Place::new();
    let job = small_job().with_section(format!(
        "[notify]\nurl = \"{}/{SECRET}\"\nformat = \"slack\"\nlink = \"https://reports.example/{{month}}/report.html\"",
        receiver.base_url
    ));
    let file = place.job(&job, &simulator.base_url);
    let finished = run(&file, AS_OF).succeed();
    check_secret(&finished);
    let message = only_message(&receiver);
    let blocks = message["blocks"].as_array().unwrap();
    let texts: Vec<&str> = blocks.iter().map(|block| block["text"]["text"].as_str().unwrap()).collect();
    assert_eq!(texts[0], "rehearsal: 2026-07 published");
    assert_eq!(texts.last().unwrap(), &"<https://reports.example/2026-07/report.html|Open the report>");
    let summary = &place.report("2026-07", "cohort_summary").rows_by_name()[0];
    let members = finished.stdout.lines().find(|line| line.contains("value_lead")).unwrap();
    assert!(members.contains(&summary["members"].shown()), "{members}");
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("```\n cohort") && text.contains("value_lead") && text.contains(&summary["members"].shown())),
        "{texts:?}"
    );
    // What stands out is what the terminal says.
    let headlines: Vec<&str> =
        finished.stdout.lines().skip_while(|line| *line != "what stands out").skip(1).take_while(|line| !line.is_empty()).collect();
    let whole = message["text"].as_str().unwrap();
    for headline in headlines {
        assert!(whole.contains(headline.trim()), "{headline}: {whole}");
    }
    // Nobody is named: no member of the cohort is in the message.
    for member in place.report("2026-07", "members").rows_by_name() {
        for column in ["contact_id", "email", "name"] {
            let shown = member[column].shown();
            assert!(shown.len() < 5 || !message.to_string().contains(&shown), "{column} {shown}");
        }
    }
    // A failure says what to do, and links to nothing.
    let failed = place.job(&Job { tags: vec!["no such tag".to_string()], ..job }, &simulator.base_url);
    run(&failed, &["--as-of", "2026-09-01T02:00:00Z"]).finish().check_code(4);
    let message = receiver.requests()[1].json();
    let text = message["text"].as_str().unwrap();
    assert!(
        text.starts_with("rehearsal: 2026-08 failed, exit code 4") && text.contains("no such tag") && text.contains("What to do: "),
        "{text}"
    );
    assert!(!text.contains("https://"), "{text}");
}

#[test]
fn it_gets_a_backfill_and_its_months() {
    let simulator = Simulator::at(SEPTEMBER.as_of, &[]);
    let receiver = Scripted::replies(vec![TAKEN]);
    let place = Place::new();
    let file = place.job(&notifying(small_job(), &receiver.base_url), &simulator.base_url);
    backfill(&file, ("2026-07", "2026-08"), SEPTEMBER.as_of, &[]).succeed();
    let reported = only_message(&receiver);
    check_message(
        &reported,
        &json!({"event": "cohorts.backfill", "outcome": "published", "month": "2026-08", "months": ["2026-07", "2026-08"], "basis": "late"}),
    );
    let months: Vec<&Value> = reported["cohorts"].as_array().unwrap().iter().map(|cohort| &cohort["month"]).collect();
    assert_eq!(months, ["2026-07", "2026-08"]);
}

#[test]
fn it_gets_a_failure_and_its_cause() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let failing = |job: Job, arguments: &[&str], token: bool, code: i32| {
        let receiver = Scripted::replies(vec![TAKEN]);
        let program = run(&place.job(&notifying(job, &receiver.base_url), &simulator.base_url), AS_OF).arguments(arguments);
        let finished = if token { program } else { program.without_token() }.finish();
        finished.check_code(code);
        check_secret(&finished);
        receiver
    };
    let unnamed = Job { tags: vec!["no such tag".to_string()], ..small_job() };
    let reported = only_message(&failing(unnamed, &[], true, 4));
    check_message(
        &reported,
        &json!({"event": "cohorts.run", "outcome": "failed", "exit_code": 4, "month": "2026-07", "basis": null, "cohorts": []}),
    );
    assert!(reported["message"].as_str().unwrap().contains("no such tag") && reported["hint"].is_string(), "{reported}");

    let reported = only_message(&failing(small_job(), &[], false, 3));
    check_message(&reported, &json!({"outcome": "failed", "exit_code": 3, "month": null, "months": [], "requests": 0}));

    // The month is published, and not all is well: the code and the message say so.
    let one_of_two = Job { tags: vec!["value_lead".to_string(), "no such tag".to_string()], ..small_job() };
    let reported = only_message(&failing(one_of_two, &[], true, 4));
    check_message(&reported, &json!({"outcome": "published", "exit_code": 4, "basis": "month_end"}));
    assert_eq!(reported["cohorts"].as_array().unwrap().len(), 1);
    assert!(reported["message"].as_str().unwrap().contains("no such tag"), "{reported}");

    // Settings that cannot be used name no webhook that could be trusted.
    let receiver = failing(small_job().with_intercom("page_sise = 4"), &[], true, 2);
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn an_interrupted_run_sends_no_message_and_logs_that() {
    let intercom = Scripted::replies(vec![|| Reply::Hang]);
    let receiver = Scripted::replies(vec![TAKEN]);
    let place = Place::new();
    let file = place.job(&notifying(small_job(), &receiver.base_url), &intercom.base_url);
    let running = run(&file, AS_OF).arguments(&["--log-format", "json"]).start();
    wait_until("the run asks", || !intercom.requests().is_empty());
    running.signal(Signal::TERM);
    let finished = running.finish();
    finished.check_code(130);
    let last = lines(&finished, "run").pop().unwrap();
    check_message(&last, &json!({"outcome": "interrupted", "exit_code": 130, "month": "2026-07", "requests": 1}));
    assert_eq!(receiver.requests().len(), 0);
}

/// A receiver that does not take it at once.
struct Case {
    name: &'static str,
    replies: Vec<MakeReply>,
    requests: usize,
    /// What the log says of it, if anything.
    warning: Option<&'static str>,
}

#[test]
fn a_message_is_sent_again_where_that_may_help_and_the_run_does_not_depend_on_it() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let status = |name, replies: Vec<MakeReply>, requests, warning| Case { name, replies, requests, warning };
    let cases = [
        status("500, then taken", vec![|| Reply::text(500, "text/plain", "no"), TAKEN], 2, None),
        status(
            "429, cut off, then taken",
            vec![|| Reply::text(429, "text/plain", "no"), || Reply::Raw(b"HTTP/1.1 2".to_vec()), TAKEN],
            3,
            None,
        ),
        status("always 503", vec![|| Reply::text(503, "text/plain", SECRET)], 4, Some("it answered 503")),
        status("404", vec![|| Reply::text(404, "text/plain", SECRET)], 1, Some("it answered 404")),
        status("a redirect", vec![|| Reply::redirect(&format!("/{SECRET}/elsewhere"))], 1, Some("it answered 302")),
        status("never an answer", vec![|| Reply::Hang], 3, Some("it did not answer in time")),
    ];
    side_by_side(&cases, |case| case.name.to_string(), |case| check_case(&simulator, case));
}

fn check_case(simulator: &Simulator, case: &Case) {
    let receiver = Scripted::replies(case.replies.clone());
    let place = Place::new();
    let begun = Instant::now();
    let finished = observe(&place.job(&notifying(small_job(), &receiver.base_url), &simulator.base_url), AS_OF).succeed();
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    check_secret(&finished);
    let requests = receiver.requests();
    assert_eq!(requests.len(), case.requests);
    requests.iter().for_each(check_request);
    assert!(requests.iter().all(|request| request.body == requests[0].body), "the same each time");
    let warned: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("WARN")).collect();
    match case.warning {
        None => assert_eq!(warned, [""; 0]),
        Some(warning) => {
            assert_eq!(warned.len(), 1, "{warned:?}");
            assert!(warned[0].contains(warning) && warned[0].contains(&receiver.base_url), "{warned:?}");
        }
    }
    // The same as without a webhook.
    let without = Place::new();
    let other = observe(&without.job(&small_job(), &simulator.base_url), AS_OF).succeed();
    let shown = |finished: &Finished, place: &Place| finished.stdout.replace(place.folder().to_str().unwrap(), "…");
    assert_eq!(shown(&finished, &place), shown(&other, &without));
    assert!(finished.stderr.lines().last().unwrap().contains("run ended outcome=published exit_code=0"), "{}", finished.stderr);
}

#[test]
fn a_webhook_where_nothing_listens_changes_no_exit_code() {
    let closed = ClosedPort::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let unnamed = Job { tags: vec!["no such tag".to_string()], ..small_job() };
    let finished = run(&place.job(&notifying(unnamed, &closed.base_url), &simulator.base_url), AS_OF).finish();
    finished.check_failure(4, &["no such tag"]);
    check_secret(&finished);
    assert!(finished.stderr.contains("there is no connection to it"), "{}", finished.stderr);
}

#[test]
fn its_address_is_in_no_output_not_even_when_it_is_wrong() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.job(&notifying(small_job(), "https://hooks.example"), &simulator.base_url);
    let checked = on(&file, "check", &[]).finish();
    check_secret(&checked);
    assert!(checked.stdout.contains("https://hooks.example/…"), "{}", checked.stdout);
    let from_environment = on(&place.job(&small_job(), &simulator.base_url), "check", &["--json"]);
    let checked = from_environment.variable("COHORTS__NOTIFY__URL", format!("https://other.example/{SECRET}")).finish();
    check_secret(&checked);
    assert!(checked.stdout.contains("https://other.example/…") && checked.stdout.contains("the environment"), "{}", checked.stdout);

    for (section, named) in [
        (format!("[notify]\nurl = \"http://hooks.example/{SECRET}\""), "not encrypted"),
        (format!("[notify]\nurl = \"https://me:{SECRET}@hooks.example\""), "user name"),
        (format!("[notify]\nurl = \"hooks.example/{SECRET}\""), "notify.url"),
        (format!("[notify]\nurl = https://hooks.example/{SECRET}"), "TOML"),
        (format!("[notify]\nlink = \"https://x.example/{{moth}}\"\nurl = \"https://hooks.example/{SECRET}\""), "notify.link"),
        (format!("[notify]\nformat = \"teams\"\nurl = \"https://hooks.example/{SECRET}\""), "json, slack"),
        (format!("[notify]\nuri = \"https://hooks.example/{SECRET}\""), "notify.url"),
    ] {
        let file = place.job(&small_job().with_section(section), &simulator.base_url);
        for command in ["run", "check", "status"] {
            let finished = on(&file, command, &[]).finish();
            check_secret(&finished);
            assert!(finished.code != Some(0), "{command}");
            assert!(format!("{}{}", finished.stdout, finished.stderr).contains(named), "{named}: {}{}", finished.stdout, finished.stderr);
        }
    }
}
