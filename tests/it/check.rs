//! `cohorts check`: everything that a run would stumble over, all of it at once, on both generations of the API; and what
//! it calls fine does not fail in a run.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::{Job, Place, texts};
use crate::support::program::{Finished, Program, cohorts, run};
use crate::support::scripted::{Reply, Request, Scripted};
use crate::support::simulator::{RATE_LIMIT, Simulator};
use crate::support::tree::{check_same, tree};
use crate::support::truth::AUGUST;
use crate::support::{TOKEN, side_by_side};

mod intercom;
mod machine;

const GENERATIONS: [&str; 2] = ["1.4", "2.14"];
const KEYS: [&str; 5] = ["code", "detail", "hint", "level", "subject"];

fn check(file: &Path) -> Program {
    cohorts(["check".as_ref(), "--job".as_ref(), file.as_os_str()])
}

/// What `check --json` found, and how it ended.
struct Found {
    code: Option<i32>,
    lines: Vec<Value>,
    finished: Finished,
}

/// Runs it, and finds what holds of every run: nothing of the token, stable keys, and the lowest code of the errors.
#[track_caller]
fn found(program: Program) -> Found {
    let finished = program.arguments(&["--json", "-q"]).finish();
    let lines: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    let lines = lines.as_array().unwrap().clone();
    for line in &lines {
        let keys: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(KEYS), "{line}");
        let level = line["level"].as_str().unwrap();
        assert!(["ok", "info", "warning", "error"].contains(&level), "{line}");
        assert_eq!(line["code"].is_null(), level != "error", "{line}");
        assert!(level != "error" || !line["hint"].is_null(), "no word about what to do: {line}");
        assert!(!line["subject"].as_str().unwrap().is_empty() && !line["detail"].as_str().unwrap().is_empty(), "{line}");
    }
    for text in [&finished.stdout, &finished.stderr] {
        // Not even a part of it.
        assert!(!text.contains(&TOKEN[..12]) && !text.contains(&TOKEN[12..]), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    let code = lines.iter().filter_map(|line| line["code"].as_i64()).min().unwrap_or(0);
    assert_eq!(finished.code.map(i64::from), Some(code), "the lowest code of what was found: {}", finished.stdout);
    Found { code: finished.code, lines, finished }
}

impl Found {
    /// `level subject: detail` of everything that is not well.
    fn amiss(&self) -> Vec<String> {
        let is_amiss = |line: &&Value| line["level"] == "warning" || line["level"] == "error";
        let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_string();
        let shown = |line: &Value| format!("{} {}: {}", text(line, "level"), text(line, "subject"), text(line, "detail"));
        // A check looks at the wall clock, and the table in the program grows older than any that a test may assume.
        let is_old_table = |line: &&Value| text(line, "subject") == "time zone" && text(line, "detail").contains("is older than a year");
        self.lines.iter().filter(is_amiss).filter(|line| !is_old_table(line)).map(shown).collect()
    }

    #[track_caller]
    fn line(&self, subject: &str) -> &Value {
        let line = self.lines.iter().find(|line| line["subject"] == subject);
        line.unwrap_or_else(|| panic!("nothing about `{subject}`:\n{}", self.finished.stdout))
    }

    #[track_caller]
    fn detail(&self, subject: &str) -> &str {
        self.line(subject)["detail"].as_str().unwrap()
    }
}

/// A job that finds everything well.
fn good_job(version: &str) -> Job {
    plain_job().with_intercom(format!("api_version = \"{version}\""))
}

#[test]
fn a_job_without_a_flaw_is_reported_line_by_line() {
    let simulator = Simulator::at(AUGUST.as_of, &["--rate-limit", "83"]);
    for version in GENERATIONS {
        let recorder = Scripted::before(simulator.address(), |_| None);
        let place = Place::new();
        let file = place.job(&good_job(version), &recorder.base_url);
        let found = found(check(&file));
        assert_eq!((found.code, found.amiss()), (Some(0), vec![]), "{version}");
        assert_eq!(found.finished.stderr, "");
        let from_job = format!("(from `{}`)", file.display());
        assert_eq!(found.detail("intercom.page_size"), format!("20 {from_job}"));
        assert_eq!(found.detail("intercom.api_version"), format!("{version} {from_job}"));
        assert_eq!(found.detail("intercom.region"), "us (from the built-in defaults)");
        assert_eq!(found.detail("tags"), format!("\"value_lead\", \"VIP\" {from_job}"));
        assert!(found.detail("token").contains("INTERCOM_ACCESS_TOKEN"));
        assert!(found.detail("api").contains(&recorder.base_url) && found.detail("api").contains(&format!("in version {version}")));
        assert_eq!(found.detail("api").contains("newest version that this program knows is 2.17"), version != "1.4");
        assert_eq!(found.detail("workspace"), "w0rk5pac");
        assert!(found.detail("time zone").contains("Europe/Dublin"));
        for what in ["tags", "segments", "contacts", "conversations"] {
            assert_eq!(found.detail(&format!("reading {what}")), "permitted");
        }
        // Four fifths of 83.
        assert!(
            found.detail("rate limit").starts_with("83 requests") && found.detail("rate limit").contains("66"),
            "{}",
            found.detail("rate limit")
        );
        for (subject, key) in
            [("tag `value_lead`", "tag:1373897"), ("tag `VIP`", "tag:1400074"), ("segment `Active`", "segment:63bbdd50aa01c0ffee000001")]
        {
            let (detail, members) = (found.detail(subject), simulator.members(key).len());
            assert!(members > 0 && detail.ends_with(&format!(" {members} members")), "{detail}, {members}");
            assert!(detail.contains(&format!("id:{}", key.split_once(':').unwrap().1)), "{detail}");
        }
        assert!(found.detail("output").contains("can be made"));
        assert!(found.detail("disk space").contains("are free"));
        // Asked for sizes, not for pages; and nothing was written, there or here.
        let requests = recorder.requests();
        let is_read = |request: &Request| request.method == "GET" || request.path().ends_with("/search");
        assert!(requests.iter().all(is_read) && requests.iter().filter_map(Request::per_page).all(|rows| rows == 1), "{version}");
        assert!(requests.iter().all(|request| request.header("intercom-version") == Some(version)));
        assert!(!place.output().exists(), "a check makes no folder");
    }
}

#[test]
fn the_table_has_the_same_findings() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::with(one_month());
    let job = Job { tags: texts(&["value_leed", "empty tag"]), ..good_job("2.14") };
    let file = place.job(&job, &simulator.base_url);
    let found = found(check(&file));
    let text = check(&file).arguments(&["-q"]).finish();
    assert_eq!((text.code, text.stderr.as_str()), (Some(4), ""));
    for line in &found.lines {
        // What is left of the rate limit changes from one look to the next.
        let limit = format!("{RATE_LIMIT} requests");
        let detail = if line["subject"] == "rate limit" { &limit } else { line["detail"].as_str().unwrap() };
        let is_reported = |reported: &str| {
            let words = [line["level"].as_str().unwrap(), line["subject"].as_str().unwrap(), detail];
            words.iter().all(|word| reported.contains(word)) && line["hint"].as_str().is_none_or(|hint| reported.contains(hint))
        };
        assert!(text.stdout.lines().any(is_reported), "{line}:\n{}", text.stdout);
    }
    assert!(text.stdout.ends_with("\n1 error, 1 warning\n"), "{}", text.stdout);
}

#[test]
fn later_layers_are_named_as_origins() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::new();
    let shared = place.folder().join("shared.toml");
    fs::write(&shared, "[intercom]\nrate_share = 0.5\npage_size = 7\n").unwrap();
    let program = check(&place.job(&plain_job(), &simulator.base_url)).arguments(&["--config", shared.to_str().unwrap()]);
    let found = found(program.variable("COHORTS__GRACE", "2d"));
    assert_eq!(found.code, Some(0));
    assert_eq!(found.detail("intercom.rate_share"), format!("0.5 (from `{}`)", shared.display()));
    assert!(found.detail("intercom.page_size").starts_with("20 (from") && found.detail("intercom.page_size").contains("job.toml"));
    assert_eq!(found.detail("grace"), "2days (from the environment)");
}

/// A check that finds something, and what.
struct Case {
    name: &'static str,
    job: Job,
    /// Arguments of the simulator.
    simulator: &'static [&'static str],
    token: Option<&'static str>,
    code: i32,
    /// Everything that is amiss: the beginning of each line, and what else it says.
    amiss: &'static [(&'static str, &'static str)],
    /// Whether a run that is asked for its plan ends the same way.
    is_as_run: bool,
}

fn case(name: &'static str, version: &str, code: i32, amiss: &'static [(&'static str, &'static str)]) -> Case {
    let job = good_job(version).with_intercom("give_up_after = \"2s\"");
    Case { name, job, simulator: &[], token: Some(TOKEN), code, amiss, is_as_run: true }
}

impl Case {
    fn tags(self, tags: &[&str]) -> Case {
        Case { job: Job { tags: texts(tags), ..self.job }, ..self }
    }

    fn segments(self, segments: &[&str]) -> Case {
        Case { job: Job { segments: texts(segments), ..self.job }, ..self }
    }

    fn top(self, line: &str) -> Case {
        Case { job: self.job.with_top(line), ..self }
    }

    fn intercom(self, line: &str) -> Case {
        Case { job: self.job.with_intercom(line), ..self }
    }

    fn simulator(self, simulator: &'static [&'static str]) -> Case {
        Case { simulator, ..self }
    }

    /// Nothing that asking for the plan alone would stumble over.
    fn beyond_the_plan(self, is_so: bool) -> Case {
        Case { is_as_run: !is_so, ..self }
    }
}

fn check_case(case: &Case) {
    let simulator = Simulator::at(AUGUST.as_of, case.simulator);
    let place = Place::with(one_month());
    let file = place.job(&case.job, &simulator.base_url);
    let before = tree(place.folder());
    let with_token = |program: Program| match case.token {
        Some(token) => program.variable("INTERCOM_ACCESS_TOKEN", token),
        None => program.without_token(),
    };
    let found = found(with_token(check(&file)));
    check_amiss(&found, case.code, case.amiss);
    check_same(&tree(place.folder()), &before, "a check leaves everything as it was");
    if case.is_as_run {
        let run = with_token(run(&file, &["--as-of", AUGUST.as_of, "--dry-run"])).finish();
        // An archived group is a warning, which says how a run ends.
        let said = if case.amiss.iter().any(|(line, words)| line.starts_with("warning") && words.contains("ends with exit code 4")) {
            4
        } else {
            case.code
        };
        assert_eq!(run.code, Some(said), "a run ends as the check says: {}", run.stderr);
    }
}

#[track_caller]
fn check_amiss(found: &Found, code: i32, amiss: &[(&str, &str)]) {
    let reported = found.amiss();
    assert_eq!(reported.len(), amiss.len(), "{reported:#?}");
    for (beginning, words) in amiss {
        assert!(
            reported.iter().any(|line| line.starts_with(beginning) && line.contains(words)),
            "`{beginning}` … `{words}`: {reported:#?}"
        );
    }
    assert_eq!(found.code, Some(code), "{reported:#?}");
}

fn check_cases(cases: impl Fn(&'static str) -> Vec<Case>) {
    let cases: Vec<(&str, Case)> =
        GENERATIONS.into_iter().flat_map(|version| cases(version).into_iter().map(move |case| (version, case))).collect();
    side_by_side(&cases, |(version, case)| format!("{} on {version}", case.name), |(_, case)| check_case(case));
}

/// The recorder's simulator, and answers before it.
fn before(simulator: &Simulator, answer: impl Fn(&Request) -> Option<Value> + Send + Sync + 'static) -> Scripted {
    Scripted::before(simulator.address(), move |request| answer(request).map(|value| Reply::json(&value)))
}

#[test]
fn everything_is_found_at_once_and_the_lowest_code_counts() {
    let simulator = Simulator::at(AUGUST.as_of, &["--faults", "403@/conversations:1"]);
    for version in GENERATIONS {
        let place = Place::new();
        fs::write(place.folder().join("file"), "").unwrap();
        let job = Job { timezone: Some("Asia/Tokyo".into()), tags: texts(&["value_leed", "empty tag", "id:1390001"]), ..good_job(version) };
        let mut amiss = vec![
            ("error tag `value_leed`", "value_lead"),
            ("warning tag `empty tag`", "empty"),
            ("warning tag `id:1390001`", "ends with exit code 4"),
            ("warning time zone", "Asia/Tokyo"),
            ("error reading conversations", "403"),
        ];
        check_amiss(&found(check(&place.job(&job, &simulator.base_url))), 3, &amiss);
        amiss.push(("error output", "cannot write in"));
        let job = job.with_section(format!("[output]\ndir = {:?}", place.folder().join("file")));
        check_amiss(&found(check(&place.job(&job, &simulator.base_url))), 2, &amiss);
    }
}
