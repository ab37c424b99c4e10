//! Bad input: the right exit code, one clear error with what to do, nothing half-published and nothing lost.

mod token;

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::fixture::{one_month, plain_job};
use crate::support::http::ClosedPort;
use crate::support::job::{Job, Place, texts};
use crate::support::program::{Program, cohorts, on, run};
use crate::support::scripted::{MakeReply, Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tree::{check_same, published};
use crate::support::truth::AUGUST;
use crate::support::{TOKEN, side_by_side, wait_until};

/// A run that fails, and how.
struct Case {
    name: &'static str,
    job: Job,
    arguments: &'static [&'static str],
    /// Arguments of the simulator.
    simulator: &'static [&'static str],
    /// The content of the file of `--config`.
    config: Option<&'static str>,
    variables: &'static [(&'static str, &'static str)],
    token: Option<&'static str>,
    code: i32,
    named: &'static [&'static str],
    /// Whether requests may have been sent.
    asks: bool,
}

const AS_OF: &[&str] = &["--as-of", AUGUST.as_of];

/// A run of August that would succeed.
fn case(name: &'static str, code: i32, named: &'static [&'static str]) -> Case {
    let job = plain_job().with_intercom("give_up_after = \"2s\"");
    Case { name, job, arguments: AS_OF, simulator: &[], config: None, variables: &[], token: Some(TOKEN), code, named, asks: true }
}

impl Case {
    fn before_any_request(self) -> Case {
        Case { asks: false, ..self }
    }

    fn groups(self, tags: &[&str], segments: &[&str]) -> Case {
        Case { job: Job { tags: texts(tags), segments: texts(segments), ..self.job }, ..self }
    }

    fn top(self, line: &str) -> Case {
        Case { job: self.job.with_top(line), ..self }
    }

    fn intercom(self, line: &str) -> Case {
        Case { job: self.job.with_intercom(line), ..self }
    }

    fn faults(self, faults: &'static [&'static str]) -> Case {
        Case { simulator: faults, ..self }
    }

    fn arguments(self, arguments: &'static [&'static str]) -> Case {
        Case { arguments, ..self }
    }
}

/// Runs it in a folder that holds July, and finds that folder as it was.
fn check(case: &Case) {
    let simulator = Simulator::at(AUGUST.as_of, case.simulator);
    let place = Place::with(one_month());
    let file = place.job(&case.job, &simulator.base_url);
    let before = published(&place.job_folder());
    let mut program = run(&file, case.arguments);
    for (name, value) in case.variables {
        program = program.variable(name, value);
    }
    if let Some(config) = case.config {
        let path = place.folder().join("shared.toml");
        fs::write(&path, config).unwrap();
        program = program.arguments(&["--config", path.to_str().unwrap()]);
    }
    program = match case.token {
        Some(token) => program.variable("INTERCOM_ACCESS_TOKEN", token),
        None => program.without_token(),
    };
    program.finish().check_failure(case.code, case.named);
    check_untouched(&place, &before);
    if !case.asks {
        assert_eq!(simulator.stats().requests, 0, "found before the first request");
    }
}

/// July is as it was, and of August nothing is to be seen.
#[track_caller]
fn check_untouched(place: &Place, before: &crate::support::tree::Tree) {
    check_same(&published(&place.job_folder()), before, "what was published before");
    for folder in [place.snapshot("2026-08"), place.history("2026-08"), place.reports("2026-08")] {
        assert!(!folder.exists(), "{} has appeared", folder.display());
    }
}

fn check_all(cases: &[Case]) {
    side_by_side(cases, |case| case.name.to_string(), check);
}

#[test]
fn a_token_that_is_missing_or_wrong_is_3() {
    check_all(&[
        Case { token: None, ..case("no token", 3, &["INTERCOM_ACCESS_TOKEN"]).before_any_request() },
        Case { token: Some(""), ..case("an empty token", 3, &["INTERCOM_ACCESS_TOKEN"]).before_any_request() },
        Case { token: Some("invalid-token"), ..case("a wrong token", 3, &["401", "unauthorized", "/me"]) },
        case("a token file that is not there", 3, &["/nowhere/token"]).intercom("token_file = \"/nowhere/token\"").before_any_request(),
        case("a token that loses its rights", 3, &["401", "/conversations/search"]).faults(&["--faults", "401@/conversations:1"]),
        case("a token without a permission", 3, &["403", "/contacts/search"]).faults(&["--faults", "403@/contacts/search:1"]),
    ]);
}

#[test]
fn a_group_that_is_not_there_or_ambiguous_is_4() {
    check_all(&[
        case("a tag with a typo", 4, &["value_leed", "value_lead"]).groups(&["value_leed"], &[]),
        case("a segment that is a tag", 4, &["value_lead"]).groups(&[], &["value_lead"]),
        case("an ID of nobody", 4, &["id:999"]).groups(&["id:999"], &[]),
        case("one of two, and all are wanted", 4, &["no such tag"]).groups(&["value_lead", "no such tag"], &[]).top("missing = \"fail\""),
        case("a name of two segments", 4, &["Duplicate name", "65f0a1b2aa01c0ffee000006", "66f0a1b2aa01c0ffee000007"])
            .groups(&[], &["Duplicate name"]),
        case("a name of two segments, in other case", 4, &["65f0a1b2aa01c0ffee000006", "66f0a1b2aa01c0ffee000007"])
            .groups(&[], &["DUPLICATE NAME"]),
        case("a population that is not there", 4, &["Nobody at all"]).top("population = \"segment:Nobody at all\""),
    ]);
}

#[test]
fn a_month_that_is_none_or_has_not_begun_is_2() {
    let bad = |name, arguments| case(name, 2, &["month"]).arguments(arguments).before_any_request();
    check_all(&[
        bad("a thirteenth month", &["--as-of", AUGUST.as_of, "--month", "2026-13"]),
        bad("a month before Intercom", &["--as-of", AUGUST.as_of, "--month", "1500-01"]),
        bad("a month of one digit", &["--as-of", AUGUST.as_of, "--month", "2026-8"]),
        bad("a day", &["--as-of", AUGUST.as_of, "--month", "2026-08-01"]),
        bad("a word", &["--as-of", AUGUST.as_of, "--month", "august"]),
        bad("nothing", &["--as-of", AUGUST.as_of, "--month", ""]),
        case("a month to come", 2, &["2026-10", "not begun"]).arguments(&["--as-of", "2026-09-30T22:59:59Z", "--month", "2026-10"]),
    ]);
}

#[test]
fn settings_with_a_slip_are_2_and_name_what_was_meant() {
    let slip = |name, named| case(name, 2, named).before_any_request();
    check_all(&[
        slip("a key of the job", &["timezon", "timezone", "job.toml"]).top("timezon = \"Europe/Dublin\""),
        slip("a key of a section", &["page_sise", "page_size", "job.toml"]).intercom("page_sise = 10"),
        slip("a section", &["outputs.dir", "output.dir"]).top("outputs.dir = \"x\""),
        slip("a zone", &["timezone", "Europe/Dubln", "Europe/Dublin"]).zone("Europe/Dubln"),
        slip("a number that is none", &["page_size", "job.toml"]).size("\"many\""),
        slip("a page without rows", &["page_size"]).size("0"),
        slip("a population", &["population", "actives"]).top("population = \"actives\""),
        slip("a time", &["grace", "3 fortnights"]).top("grace = \"3 fortnights\""),
        slip("a word", &["missing", "ignore", "report", "fail"]).top("missing = \"ignore\""),
        slip("a store that is none", &["output.dir", "ftp://", "s3://"]).output("dir = \"ftp://host/x\""),
        slip("a key in an address", &["output.dir", "environment"]).output("dir = \"s3://key:secret@bucket/x\""),
        slip("a bucket for unfinished work", &["output.work_dir", "folder"]).output("work_dir = \"s3://bucket/x\""),
        slip("a job name that leaves the folder", &["name"]).named("../elsewhere"),
        slip("a job of no group", &["tags"]).groups(&[], &[]),
        slip("no TOML", &["job.toml"]).top("tags = [unquoted]"),
        slip("a format that is none", &["formats", "pdf", "html", "xlsx"]).formats("[\"parquet\", \"pdf\"]"),
        slip("the preview version", &["api_version", "Preview"]).intercom("api_version = \"Preview\""),
        Case { config: Some("[intercom]\nregoin = \"eu\"\n"), ..slip("a key of --config", &["regoin", "region", "shared.toml"]) },
        Case { config: Some("[intercom]\naccess_token = \"x\"\n"), ..slip("a token in a file", &["access_token", "shared.toml"]) },
        Case { variables: &[("COHORTS__INTERCOM__PAGE_SISE", "10")], ..slip("a variable", &["page_sise", "page_size", "environment"]) },
        Case { variables: &[("COHORTS__INTERCOM__PAGE_SIZE", "ten")], ..slip("a variable's value", &["page_size", "environment"]) },
        slip("no such --config", &["/nowhere/shared.toml"]).arguments(&["--as-of", AUGUST.as_of, "--config", "/nowhere/shared.toml"]),
        slip("an instant that is none", &["--as-of"]).arguments(&["--as-of", "yesterday"]),
        slip("a flag", &["--replaces"]).arguments(&["--as-of", AUGUST.as_of, "--replaces"]),
    ]);
}

impl Case {
    fn zone(self, zone: &str) -> Case {
        Case { job: Job { timezone: Some(zone.to_string()), ..self.job }, ..self }
    }

    fn size(self, size: &str) -> Case {
        let intercom = vec![format!("page_size = {size}")];
        Case { job: Job { intercom, ..self.job }, ..self }
    }

    fn named(self, name: &'static str) -> Case {
        let variables: &'static [(&str, &str)] = Box::leak(Box::new([("COHORTS__NAME", name)]));
        Case { variables, ..self }
    }

    fn output(self, line: &str) -> Case {
        Case { job: self.job.with_section(format!("[output]\n{line}")), ..self }
    }

    fn formats(self, formats: &str) -> Case {
        self.output(&format!("formats = {formats}"))
    }
}

#[test]
fn a_server_that_is_down_or_does_not_stop_failing_is_5() {
    let down = case("", 5, &[]);
    let closed = ClosedPort::new();
    let place = Place::with(one_month());
    let before = published(&place.job_folder());
    run(&place.job(&down.job, &closed.base_url), AS_OF).finish().check_failure(5, &["/me", "no connection"]);
    check_untouched(&place, &before);

    check_all(&[
        case("errors", 5, &["500", "/contacts/search"]).faults(&["--faults", "500@/contacts/search:1"]),
        case("errors from the first request on", 5, &["503", "/me"]).faults(&["--faults", "503:1"]),
        case("an HTML error page", 5, &["/conversations/search"]).faults(&["--faults", "html@/conversations:1"]),
        case("an HTML page in place of JSON", 5, &["/conversations/search", "HTML"]).faults(&["--faults", "garbage@/conversations:1"]),
        case("no body where the tags should be", 5, &["/tags", "empty"]).faults(&["--faults", "empty@/tags:1"]),
        case("half of a body", 5, &["/conversations/search", "half"]).faults(&["--faults", "half@/conversations:1"]),
        case("a body that breaks off", 5, &["/conversations/search", "cut"]).faults(&["--faults", "cut@/conversations:1"]),
        case("HTML where the tags should be", 5, &["/tags"]).faults(&["--faults", "garbage@/tags:1"]),
        case("a rate limit that never ends", 5, &["429", "/conversations/search"]).faults(&["--faults", "429-bare@/conversations:1"]),
    ]);
}

#[test]
fn answers_that_are_no_json_or_another_json_are_5() {
    let replies: [(&str, MakeReply); 4] = [
        ("binary", || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x00\xff\xfe\x01".to_vec())),
        ("no HTTP at all", || Reply::Raw(b"220 smtp.example ready\r\n".to_vec())),
        ("another JSON", || Reply::text(200, "application/json", "[1, 2, 3]")),
        ("silence", || Reply::Hang),
    ];
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    side_by_side(
        &replies,
        |(name, _)| name.to_string(),
        |(_, reply)| {
            let reply = *reply;
            let recorder = Scripted::before(simulator.address(), move |request| (request.path() == "/tags").then(reply));
            let place = Place::with(one_month());
            let before = published(&place.job_folder());
            let job = plain_job().with_intercom("give_up_after = \"2s\"").with_intercom("request_timeout = \"1s\"");
            run(&place.job(&job, &recorder.base_url), AS_OF).finish().check_failure(5, &["/tags"]);
            check_untouched(&place, &before);
        },
    );
}

#[test]
fn a_list_that_would_never_end_or_leads_elsewhere_is_6() {
    check_all(&[
        case("the same cursor again", 6, &["2026-08", "cursor", "/contacts"]).faults(&["--faults", "loop@/contacts:1"]),
        case("a next page on another host", 6, &["2026-08", "another host", "/contacts"]).faults(&["--faults", "foreign-next@/contacts:1"]),
    ]);
}

#[test]
fn rows_that_do_not_come_are_6() {
    check_all(&[
        case("rows missing from every page", 6, &["2026-08", "population", "announced"]).faults(&["--faults", "drop@/contacts:1"]),
        case("totals that are too high", 6, &["2026-08", "announced"]).faults(&["--faults", "total:1"]),
    ]);
}

#[test]
fn a_segment_whose_search_gives_nobody_although_it_has_members_is_not_published() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let nobody = |request: &crate::support::scripted::Request| {
        let body = serde_json::json!({"type": "list", "data": [], "total_count": 0, "pages": {}});
        (request.json()["query"]["field"] == "segment_id").then(|| Reply::json(&body))
    };
    let recorder = Scripted::before(simulator.address(), nobody);
    let place = Place::with(one_month());
    let before = published(&place.job_folder());
    run(&place.job(&plain_job(), &recorder.base_url), AS_OF).finish().check_failure(6, &["segment:63bbdd50aa01c0ffee000001", "0 came"]);
    check_untouched(&place, &before);
}

#[test]
fn a_replacement_does_not_lose_a_group_that_has_vanished() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::with(one_month());
    run(&place.job(&plain_job(), &simulator.base_url), AS_OF).succeed();
    let before = published(&place.job_folder());
    let recorder = Scripted::before(simulator.address(), |request| {
        let body = serde_json::json!({"type": "list", "data": [{"type": "tag", "id": "1400074", "name": "VIP"}]});
        (request.path() == "/tags").then(|| Reply::json(&body))
    });
    let file = place.job(&plain_job(), &recorder.base_url);
    run(&file, AS_OF).arguments(&["--replace"]).finish().check_failure(4, &["value_lead", "2026-08"]);
    check_same(&published(&place.job_folder()), &before, "a refused replacement");
}

#[test]
fn a_list_of_ever_new_cursors_without_a_row_is_given_up() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let recorder = Scripted::before(simulator.address(), move |request| {
        let next =
            format!("after-{}", request.cursor().map_or(0, |cursor| cursor.trim_start_matches("after-").parse::<u64>().unwrap() + 1));
        let body = serde_json::json!({"type": "list", "data": [], "total_count": 0, "pages": {"next": {"starting_after": next}}});
        (request.path() == "/contacts").then(|| Reply::json(&body))
    });
    let place = Place::with(one_month());
    let before = published(&place.job_folder());
    run(&place.job(&plain_job(), &recorder.base_url), AS_OF).finish().check_failure(6, &["/contacts", "empty pages"]);
    check_untouched(&place, &before);
}

#[test]
fn a_next_page_on_another_host_is_not_asked() {
    let elsewhere = Scripted::replies(vec![|| Reply::text(200, "application/json", "{}")]);
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let next = format!("{}/contacts?page=2&starting_after=abc", elsewhere.base_url);
    let recorder = Scripted::before(simulator.address(), move |request| {
        let body = serde_json::json!({"type": "list", "data": [], "total_count": 300, "pages": {"type": "pages", "next": next}});
        (request.path() == "/contacts").then(|| Reply::json(&body))
    });
    let place = Place::with(one_month());
    let before = published(&place.job_folder());
    run(&place.job(&plain_job(), &recorder.base_url), AS_OF).finish().check_failure(6, &["/contacts"]);
    check_untouched(&place, &before);
    assert_eq!(elsewhere.requests().len(), 0, "nobody but the API is asked");
}

#[test]
fn the_token_is_not_carried_to_where_a_redirect_leads() {
    let elsewhere = Scripted::replies(vec![|| Reply::text(200, "application/json", "{}")]);
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    for path in ["/me", "/contacts"] {
        let to = format!("{}{path}", elsewhere.base_url);
        let recorder = Scripted::before(simulator.address(), move |request| (request.path() == path).then(|| Reply::redirect(&to)));
        let place = Place::with(one_month());
        let before = published(&place.job_folder());
        let finished = run(&place.job(&plain_job(), &recorder.base_url), AS_OF).finish();
        assert!(finished.code.is_some_and(|code| code > 0), "{}", finished.stderr);
        assert!(finished.stderr.contains(path) && finished.stderr.contains("302"), "{}", finished.stderr);
        check_untouched(&place, &before);
    }
    let followed = elsewhere.requests().into_iter().filter(|request| request.header("authorization").is_some()).count();
    assert_eq!(followed, 0, "the token went elsewhere");
}

#[test]
fn another_time_zone_than_the_month_before_is_reported() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    for (timezone, is_reported) in [("Asia/Tokyo", true), ("Europe/Dublin", false)] {
        let place = Place::with(one_month());
        let job = Job { timezone: Some(timezone.into()), ..plain_job() };
        let finished = run(&place.job(&job, &simulator.base_url), &["--month", "2026-08", "--as-of", AUGUST.as_of]).succeed();
        let findings = place.report("2026-08", "data_quality").rows_by_name();
        let reported = findings.iter().any(|row| row["check_name"].shown().contains("timezone_changed"));
        assert_eq!((reported, finished.stderr.contains("Asia/Tokyo")), (is_reported, is_reported), "{timezone}");
    }
}

#[test]
fn a_group_that_is_not_there_keeps_no_other_from_being_published() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::with(one_month());
    let job = Job { tags: texts(&["value_lead", "no such tag"]), segments: texts(&["Duplicate name", "Active"]), ..plain_job() };
    let finished = run(&place.job(&job, &simulator.base_url), AS_OF).finish();
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.stdout.contains("value_lead"), "the others are a result:\n{}", finished.stdout);
    for word in ["no such tag", "Duplicate name", "65f0a1b2aa01c0ffee000006"] {
        assert!(finished.stderr.contains(word), "{word}:\n{}", finished.stderr);
    }
    assert!(finished.stderr.contains("hint: "), "no word about what to do:\n{}", finished.stderr);
    let found = place.report("2026-08", "cohort_summary").texts("cohort_name");
    assert_eq!(found, ["Active", "value_lead"]);
    // It stays to be seen: to a monitor, and to the next run of the timer.
    let file = place.job(&job, &simulator.base_url);
    let status = cohorts(["status", "--check", "--as-of", AUGUST.as_of, "--job", file.to_str().unwrap()]).finish();
    assert_eq!(status.code, Some(8), "{}", status.stdout);
    let again = run(&file, AS_OF).succeed();
    assert!(again.stderr.contains("no such tag") && again.stderr.contains("--replace"), "{}", again.stderr);
    let findings = place.report("2026-08", "data_quality").rows_by_name();
    for group in ["no such tag", "Duplicate name"] {
        let reported = findings.iter().filter(|row| row["severity"].shown() == "error");
        assert!(reported.clone().any(|row| row["subject"].shown().contains(group)), "{group}: {findings:?}");
    }
}

#[test]
fn no_page_of_members_is_asked_for_when_a_group_is_missing_and_all_are_wanted() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let job = Job { tags: texts(&["value_lead", "no such tag"]), ..plain_job() }.with_top("missing = \"fail\"");
    run(&place.job(&job, &recorder.base_url), AS_OF).finish().check_failure(4, &["no such tag"]);
    let fetched: Vec<_> = recorder.requests().into_iter().filter_map(|request| request.stream()).collect();
    assert_eq!(fetched, Vec::<String>::new());
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_the_first_request() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    // A file where a folder should be stops even root.
    let place = Place::new();
    fs::write(place.folder().join("a-file"), "not a folder").unwrap();
    for (name, dir) in [("a file's child", "a-file/output"), ("a file", "a-file")] {
        let dir = place.folder().join(dir);
        let job = plain_job().with_section(format!("[output]\ndir = {}", serde_json::to_string(&dir).unwrap()));
        run(&place.job(&job, &simulator.base_url), AS_OF).finish().check_failure(2, &["a-file"]);
        assert_eq!(simulator.stats().requests, 0, "{name}");
    }
    // A file in the place of one of the job's own folders.
    for inner in ["snapshots", "history", "reports", ".work"] {
        let place = Place::new();
        fs::create_dir_all(place.job_folder()).unwrap();
        fs::write(place.job_folder().join(inner), "not a folder").unwrap();
        run(&place.job(&plain_job(), &simulator.base_url), AS_OF).finish().check_failure(2, &[inner]);
        assert_eq!(simulator.stats().requests, 0, "{inner}");
    }
}

#[test]
fn the_clock_is_set_only_for_an_api_on_this_machine() {
    let place = Place::with(one_month());
    let before = published(&place.job_folder());
    for base_url in ["https://api.intercom.example", "https://127.0.0.1.example", "https://10.0.0.1"] {
        let file = place.job(&plain_job(), base_url);
        run(&file, AS_OF).finish().check_failure(2, &["--as-of", base_url]);
        let status = cohorts(["status", "--as-of", AUGUST.as_of, "--job"]).arguments(&[file.to_str().unwrap()]);
        status.finish().check_failure(2, &["--as-of", base_url]);
    }
    // The token would travel in the open.
    run(&place.job(&plain_job(), "http://api.intercom.example"), &[]).finish().check_failure(2, &["base_url", "http"]);
    check_untouched(&place, &before);
}

#[test]
fn a_job_at_work_keeps_others_out_with_7() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    // The first run holds the lock for as long as its first answer does not come.
    let recorder = Scripted::before(simulator.address(), |_| Some(Reply::Hang));
    let place = Place::with(one_month());
    let file = place.job(&plain_job(), &recorder.base_url);
    let before = published(&place.job_folder());
    let first = run(&file, AS_OF).start();
    wait_until("the first run asks", || !recorder.requests().is_empty());
    let holder = format!("process {} (`cohorts run`)", first.id());
    run(&file, AS_OF).finish().check_failure(7, &[".lock", &holder]);
    let report: Program = cohorts(["report", "--all", "--job"]).arguments(&[file.to_str().unwrap()]);
    report.finish().check_failure(7, &[".lock", &holder]);
    on(&file, "forget", &["--contact", "64a1c2f0aa01c0ffee000005"]).finish().check_failure(7, &[".lock", &holder]);
    let status = cohorts(["status", "--as-of", AUGUST.as_of, "--job"]).arguments(&[file.to_str().unwrap()]).succeed();
    assert!(status.stdout.contains("2026-07"), "looking is allowed: {}", status.stdout);
    assert_eq!(recorder.requests().len(), 1, "the second run has asked nothing");
    // What it works on is not for others to go on with, or to delete.
    fs::create_dir_all(place.job_folder().join(".work/run_month=2026-08")).unwrap();
    let status = |arguments: &[&str]| on(&file, "status", &["--as-of", AUGUST.as_of]).arguments(arguments).succeed().stdout;
    let (text, json) = (status(&[]), status(&["--json"]));
    assert!(text.contains(&format!("at work: {holder} works on this job since 20")), "{text}");
    assert!(text.contains("unfinished work of 2026-08\n") && !text.contains("delete") && !text.contains("continues it"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["at_work"]["process"], holder);
    assert!(json["at_work"]["since"].as_str().unwrap().ends_with('Z'), "{json}");
    // A lock file that is deleted meanwhile lets nobody in.
    fs::remove_file(place.job_folder().join(".lock")).unwrap();
    run(&file, AS_OF).finish().check_failure(7, &[".lock", "another process works on this job"]);
    // The lock goes with the process, however it ends.
    drop(first);
    check_untouched(&place, &before);
    run(&place.job(&plain_job(), &simulator.base_url), AS_OF).succeed();
    assert!(place.reports("2026-08").join("manifest.json").exists());
}

#[test]
fn a_lock_that_is_a_link_is_2() {
    let place = Place::with(one_month());
    let file = place.job(&plain_job(), "http://127.0.0.1:9");
    fs::remove_file(place.job_folder().join(".lock")).unwrap();
    symlink(place.folder().join("victim"), place.job_folder().join(".lock")).unwrap();
    run(&file, AS_OF).finish().check_failure(2, &[".lock", "symbolic link"]);
    assert!(!place.folder().join("victim").exists());
    assert!(on(&file, "status", &["--as-of", AUGUST.as_of]).succeed().stdout.contains("2026-07"));
}

#[test]
fn a_report_of_what_is_not_there_is_2() {
    let place = Place::with(one_month());
    let file = place.job(&plain_job(), "http://127.0.0.1:9");
    let report = |arguments: &[&str]| cohorts(["report", "--job"]).arguments(&[file.to_str().unwrap()]).arguments(arguments).finish();
    report(&["--month", "2026-03"]).check_failure(2, &["2026-03"]);
    report(&["--month", "2026-03", "--all"]).check_failure(2, &["--all"]);
    let place = Place::new();
    let file = place.job(&plain_job(), "http://127.0.0.1:9");
    cohorts(["report", "--all", "--job"]).arguments(&[file.to_str().unwrap()]).finish().check_failure(2, &["snapshot"]);
    cohorts(["run", "--job", "/nowhere/job.toml"]).finish().check_failure(2, &["/nowhere/job.toml"]);
}
