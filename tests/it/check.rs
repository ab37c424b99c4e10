//! `cohorts check`: everything that a run would stumble over, all of it at once, on both generations of the API; and what
//! it calls fine does not fail in a run.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::{Job, Place, texts};
use crate::support::program::{Finished, Program, cohorts, run};
use crate::support::scripted::{Reply, Request, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tree::{check_same, tree};
use crate::support::truth::AUGUST;
use crate::support::{TOKEN, side_by_side};

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
        self.lines.iter().filter(is_amiss).map(shown).collect()
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
fn a_job_without_a_flaw_is_told_line_by_line() {
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
        assert!(found.detail("api").contains(&recorder.base_url) && found.detail("api").contains(version));
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
fn the_table_tells_the_same() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::with(one_month());
    let job = Job { tags: texts(&["value_leed", "empty tag"]), ..good_job("2.14") };
    let file = place.job(&job, &simulator.base_url);
    let found = found(check(&file));
    let text = check(&file).arguments(&["-q"]).finish();
    assert_eq!((text.code, text.stderr.as_str()), (Some(4), ""));
    for line in &found.lines {
        // What is left of the rate limit changes from one look to the next.
        let detail = if line["subject"] == "rate limit" { "1667 requests" } else { line["detail"].as_str().unwrap() };
        let is_told = |told: &str| {
            let words = [line["level"].as_str().unwrap(), line["subject"].as_str().unwrap(), detail];
            words.iter().all(|word| told.contains(word)) && line["hint"].as_str().is_none_or(|hint| told.contains(hint))
        };
        assert!(text.stdout.lines().any(is_told), "{line}:\n{}", text.stdout);
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
        let said = if case.amiss.iter().any(|(line, words)| line.starts_with("warning") && words.contains("ends with code 4")) {
            4
        } else {
            case.code
        };
        assert_eq!(run.code, Some(said), "a run ends as the check says: {}", run.stderr);
    }
}

#[track_caller]
fn check_amiss(found: &Found, code: i32, amiss: &[(&str, &str)]) {
    let told = found.amiss();
    assert_eq!(told.len(), amiss.len(), "{told:#?}");
    for (beginning, words) in amiss {
        assert!(told.iter().any(|line| line.starts_with(beginning) && line.contains(words)), "`{beginning}` … `{words}`: {told:#?}");
    }
    assert_eq!(found.code, Some(code), "{told:#?}");
}

fn check_cases(cases: impl Fn(&'static str) -> Vec<Case>) {
    let cases: Vec<(&str, Case)> =
        GENERATIONS.into_iter().flat_map(|version| cases(version).into_iter().map(move |case| (version, case))).collect();
    side_by_side(&cases, |(version, case)| format!("{} on {version}", case.name), |(_, case)| check_case(case));
}

#[test]
fn a_token_that_is_missing_or_wrong_is_one_error() {
    check_cases(|version| {
        vec![
            Case { token: None, ..case("no token", version, 3, &[("error token", "INTERCOM_ACCESS_TOKEN is not set")]) },
            Case { token: Some("tok en"), ..case("no token at all", version, 3, &[("error token", "not usable")]) },
            Case { token: Some("invalid-token"), ..case("a wrong token", version, 3, &[("error token", "401")]) },
            case("a token file that is not there", version, 3, &[("error token", "/nowhere/token")])
                .intercom("token_file = \"/nowhere/token\""),
        ]
    });
}

#[test]
fn a_token_file_that_others_can_read_is_a_warning() {
    let simulator = Simulator::at(AUGUST.as_of, &["--token", TOKEN]);
    let place = Place::new();
    let path = place.folder().join("token");
    fs::write(&path, TOKEN).unwrap();
    let job = plain_job().with_intercom(format!("token_file = {path:?}"));
    let file = place.job(&job, &simulator.base_url);
    for (mode, amiss) in [(0o600, &[][..]), (0o400, &[]), (0o644, &[("warning token", "0644")]), (0o620, &[("warning token", "0620")])] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let found = found(check(&file).without_token());
        check_amiss(&found, 0, amiss);
        assert!(found.detail("token").contains(path.to_str().unwrap()));
    }
}

#[test]
fn each_permission_that_is_missing_is_named_and_the_others_are_tried() {
    const CONTACTS: &[(&str, &str)] = &[("error reading contacts", "403")];
    check_cases(|version| {
        let is_old = version == "1.4";
        vec![
            case("tags", version, 3, &[("error reading tags", "403")]).simulator(&["--faults", "403@/tags:1"]),
            case("segments", version, 3, &[("error reading segments", "403")]).simulator(&["--faults", "403@/segments:1"]),
            case("contacts", version, 3, CONTACTS).simulator(if is_old {
                &["--faults", "403@/users:1"]
            } else {
                &["--faults", "403@/contacts:1"]
            }),
            // On 1.x nothing asks for their number before they are fetched.
            case("conversations", version, 3, &[("error reading conversations", "403")])
                .simulator(&["--faults", "403@/conversations:1"])
                .beyond_the_plan(is_old),
            case("conversations that nobody wants", version, 0, &[])
                .top("conversations = false")
                .simulator(&["--faults", "403@/conversations:1"]),
            case("two of them", version, 3, &[("error reading tags", "403"), ("error reading segments", "403")])
                .simulator(&["--faults", "403@/tags:1,403@/segments:1"]),
        ]
    });
}

#[test]
fn a_failing_request_does_not_stop_the_others() {
    let simulator = Simulator::at(AUGUST.as_of, &["--faults", "500@/tags:1,403@/segments:1"]);
    for version in GENERATIONS {
        let place = Place::new();
        let job = good_job(version).with_intercom("give_up_after = \"2s\"");
        let found = found(check(&place.job(&job, &simulator.base_url)));
        check_amiss(&found, 3, &[("error reading tags", "500"), ("error reading segments", "403")]);
        assert_eq!(found.detail("reading contacts"), "permitted");
        assert!(found.detail("tag `VIP`").contains("could not be listed"));
    }
}

#[test]
fn groups_that_a_run_would_not_find_are_4_and_empty_ones_a_warning() {
    check_cases(|version| {
        vec![
            case("a typo", version, 4, &[("error tag `value_leed`", "did you mean `value_lead`?")]).tags(&["value_leed", "VIP"]),
            case("two of one name", version, 4, &[("error segment `Duplicate name`", "id:65f0a1b2aa01c0ffee000006")])
                .segments(&["Duplicate name", "Active"]),
            case("an ID of nobody", version, 4, &[("error tag `id:999`", "is not in the workspace")]).tags(&["id:999", "VIP"]),
            case("an empty tag", version, 0, &[("warning tag `empty tag`", "0 members")]).tags(&["empty tag"]),
            case("one group twice", version, 0, &[("warning tag `id:1400074`", "names it already")]).tags(&["VIP", "id:1400074"]),
            case(
                "an archived tag by its ID",
                version,
                0,
                &[(
                    "warning tag `id:1390001`",
                    "archived (it is `old campaign`, id:1390001): no list shows it, and a run goes without it, and ends with code 4",
                )],
            )
            .tags(&["id:1390001", "VIP"]),
            case(
                "an archived tag by its bare ID",
                version,
                0,
                &[("warning tag `1390001`", "no list shows it, and a run goes without it, and ends with code 4")],
            )
            .tags(&["1390001", "VIP"]),
            case(
                "an archived tag by its key",
                version,
                0,
                &[("warning tag `tag:1390001`", "no list shows it, and a run goes without it, and ends with code 4")],
            )
            .tags(&["tag:1390001", "VIP"]),
            // Only 1.x tells of archived groups by name.
            match version {
                "1.4" => case(
                    "an archived tag by its name",
                    version,
                    0,
                    &[("warning tag `old campaign`", "no list shows it, and a run goes without it, and ends with code 4")],
                ),
                _ => case("an archived tag by its name", version, 4, &[("error tag `old campaign`", "is not in the workspace")]),
            }
            .tags(&["old campaign", "VIP"]),
            // A run that would publish nothing, or may not go without it, fails: that is no mere warning.
            case("an archived tag that the job may not miss", version, 4, &[("error tag `id:1390001`", "archived")])
                .tags(&["id:1390001", "VIP"])
                .top("missing = \"fail\""),
            case("an archived tag alone", version, 4, &[("error tag `id:1390001`", "archived")]).tags(&["id:1390001"]).segments(&[]),
            case("the name of a living and an archived tag", version, 0, &[]).tags(&["VIP"]),
            case("a population", version, 4, &[("error population: segment `Nobody`", "is not in the workspace")])
                .top("population = \"segment:Nobody\""),
            case("a population that is a cohort, too", version, 0, &[]).top("population = \"segment:Active\""),
            case("three at once", version, 4, &[("error tag `a`", ""), ("error tag `b`", ""), ("error segment `c`", "")])
                .tags(&["a", "b"])
                .segments(&["c"]),
        ]
    });
}

/// The recorder's simulator, and answers before it.
fn before(simulator: &Simulator, answer: impl Fn(&Request) -> Option<Value> + Send + Sync + 'static) -> Scripted {
    Scripted::before(simulator.address(), move |request| answer(request).map(|value| Reply::json(&value)))
}

#[test]
fn a_group_that_an_earlier_month_held_and_no_list_shows_is_archived() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let recorder = before(&simulator, |request| match request.path() {
        "/tags" => Some(json!({"type": "list", "data": [{"type": "tag", "id": "1400074", "name": "VIP"}]})),
        "/segments" => Some(json!({"type": "segment.list", "segments": []})),
        _ => None,
    });
    let place = Place::with(one_month());
    let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
    let archived = [("warning tag `value_lead`", "archived (it is `value_lead`"), ("warning segment `Active`", "archived (it is `Active`")];
    check_amiss(&found, 0, &archived);
}

#[test]
fn a_renamed_group_is_found_by_the_id_it_had() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let recorder = before(&simulator, |request| {
        let tag = |id: &str, name: &str| json!({"type": "tag", "id": id, "name": name});
        (request.path() == "/tags").then(|| json!({"type": "list", "data": [tag("1400074", "VIP"), tag("1373897", "best leads")]}))
    });
    let place = Place::with(one_month());
    let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
    check_amiss(&found, 0, &[("warning tag `value_lead`", "`best leads`, id:1373897")]);
}

#[test]
fn time_zone_region_version_and_profile_are_held_against_the_workspace() {
    check_cases(|version| {
        let mut cases = vec![
            case(
                "another zone",
                version,
                0,
                &[
                    ("warning time zone", "Asia/Tokyo, named by the job; the workspace's own is Europe/Dublin"),
                    ("warning time zone", "months were cut in Europe/Dublin before"),
                ],
            )
            .zone(Some("Asia/Tokyo")),
            case("no zone named", version, 0, &[]).zone(None),
            case("the wrong region", version, 0, &[("warning region", "hosted in EU, the settings say au")]).intercom("region = \"au\""),
            case("the right region", version, 0, &[]).intercom("region = \"eu\""),
        ];
        if version == "1.4" {
            cases
                .push(case("a version that is off", version, 2, &[("error api", "intercom_version_invalid")]).simulator(&["--without-1x"]));
        } else {
            cases.push(
                case("an unknown attribute", version, 0, &[("warning profile: custom_attributes.plam", "does not have")]).profile("plam"),
            );
            let refused = &[("warning settings", "2.99 is newer"), ("error api", "intercom_version_invalid")];
            cases.push(case("a version to come", "2.99", 2, refused));
        }
        cases
    });
}

impl Case {
    fn zone(self, zone: Option<&str>) -> Case {
        Case { job: Job { timezone: zone.map(str::to_string), ..self.job }, ..self }
    }

    fn profile(self, custom: &str) -> Case {
        let top = vec![format!("profile = [\"custom_attributes.{custom}\"]")];
        Case { job: Job { top, ..self.job }, ..self }
    }
}

#[test]
fn a_workspace_without_a_zone_needs_one_in_the_job() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    for (zone, detail) in [(None, "not given by the API"), (Some("Dublin time"), "`Dublin time`, which is no IANA name")] {
        let recorder = before(&simulator, move |request| {
            let me = json!({"type": "admin", "id": "1", "app": {"id_code": "w0rk5pac", "timezone": zone}});
            (request.path() == "/me").then_some(me)
        });
        let place = Place::new();
        let job = Job { timezone: None, ..good_job("2.14") };
        let file = place.job(&job, &recorder.base_url);
        check_amiss(&found(check(&file)), 2, &[("error time zone", detail)]);
        run(&file, &["--as-of", AUGUST.as_of, "--dry-run"]).finish().check_failure(2, &["time zone"]);
    }
}

#[test]
fn a_rate_limit_that_is_not_told_is_no_error() {
    let simulator = Simulator::at(AUGUST.as_of, &["--faults", "noheaders:1"]);
    for version in GENERATIONS {
        let place = Place::new();
        let found = found(check(&place.job(&good_job(version), &simulator.base_url)));
        check_amiss(&found, 0, &[]);
        assert_eq!(found.line("rate limit")["level"], "info");
        assert!(found.detail("rate limit").starts_with("not told"), "{}", found.detail("rate limit"));
    }
}

#[test]
fn the_months_of_another_workspace_are_2() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let me = json!({"type": "admin", "id": "1", "app": {"id_code": "another1", "timezone": "Europe/Dublin"}});
    let recorder = before(&simulator, move |request| (request.path() == "/me").then(|| me.clone()));
    let place = Place::with(one_month());
    let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
    check_amiss(&found, 2, &[("error workspace", "w0rk5pac")]);
}

#[test]
fn a_legacy_api_without_me_is_no_obstacle() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let without_me = |request: &Request| {
        let body = json!({"type": "error.list", "errors": [{"code": "not_found", "message": "Resource Not Found"}]});
        (request.path() == "/me").then(|| Reply::text(404, "application/json", &body.to_string()))
    };
    let recorder = Scripted::before(simulator.address(), without_me);
    let place = Place::new();
    let file = place.job(&good_job("1.4"), &recorder.base_url);
    let checked = found(check(&file));
    check_amiss(&checked, 0, &[]);
    assert!(checked.detail("workspace").contains("not told"));
    run(&file, &["--as-of", AUGUST.as_of]).succeed();
    // Without a zone in the job nobody knows one; and from 2.0 on an API has `/me`.
    let file = place.job(&Job { timezone: None, ..good_job("1.4") }, &recorder.base_url);
    check_amiss(&found(check(&file)), 2, &[("error time zone", "not given by the API")]);
    let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
    check_amiss(&found, 2, &[("error workspace", "`GET /me` answered 404")]);
}

#[test]
fn an_api_that_is_not_there_is_one_error() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    let elsewhere = Scripted::new(|_| Reply::text(404, "text/html", "<h1>no such page</h1>"));
    let down = Simulator::at(AUGUST.as_of, &["--faults", "503:1"]);
    let mut cases: Vec<(&str, &str, i32, &str)> = Vec::new();
    for version in GENERATIONS {
        cases.push((version, &nobody, 5, "no connection"));
        cases.push((version, &elsewhere.base_url, 2, "404"));
        cases.push((version, &down.base_url, 5, "503"));
    }
    side_by_side(
        &cases,
        |(version, _, _, words)| format!("{words} on {version}"),
        |(version, address, code, words)| {
            let place = Place::new();
            let job = good_job(version).with_intercom("give_up_after = \"2s\"");
            let found = found(check(&place.job(&job, address)));
            check_amiss(&found, *code, &[("error api", words)]);
            assert!(found.detail("groups").contains("not checked"));
            assert!(found.detail("output").contains("can be made"), "what needs no network is checked");
        },
    );
}

#[test]
fn broken_settings_are_all_told_and_what_is_certain_is_checked() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    for version in GENERATIONS {
        let place = Place::new();
        let job = good_job(version)
            .with_top("timezon = \"Europe/Dublin\"")
            .with_top("grace = \"3 fortnights\"")
            .with_top("missing = \"perhaps\"")
            .with_intercom("rate_share = \"most\"")
            .with_intercom("max_concurrency = 0");
        let file = place.job(&job, &simulator.base_url);
        let found = found(check(&file));
        let amiss = [
            ("error timezon:", "did you mean `timezone`?"),
            ("error grace:", "3 fortnights"),
            ("error missing:", "report, fail"),
            ("error intercom.rate_share:", "most"),
            ("error intercom.max_concurrency:", "0 is not from 1 to 256"),
        ];
        check_amiss(&found, 2, &amiss);
        for (subject, _) in amiss {
            let subject = subject.trim_start_matches("error ").trim_end_matches(':');
            assert!(found.detail(subject).contains(file.to_str().unwrap()), "where it stands: {}", found.detail(subject));
        }
        assert!(found.detail("token").contains("INTERCOM_ACCESS_TOKEN") && found.detail("output").contains("can be made"));
        assert!(found.detail("groups").contains("not checked"));
        assert_eq!(simulator.stats().requests, 0, "nothing is asked with settings in doubt");
    }
    // A slip elsewhere: token and output are certain.
    let place = Place::new();
    let file = place.job(&good_job("2.14").with_top("grace = \"long\"").with_intercom("max_concurrency = 0"), &simulator.base_url);
    let checked = found(check(&file).without_token());
    check_amiss(&checked, 2, &[("error grace:", "long"), ("error intercom.max_concurrency:", "0"), ("error token", "not set")]);
    assert!(checked.detail("output").contains("can be made"));
    assert_eq!(simulator.stats().requests, 0);
    // And one that is no business of Intercom's: everything is asked.
    let file = place.job(&good_job("2.14").with_top("grace = \"long\""), &simulator.base_url);
    let checked = found(check(&file));
    check_amiss(&checked, 2, &[("error grace:", "long")]);
    assert_eq!(checked.detail("reading contacts"), "permitted");
    // A key that may have been meant for anything leaves nothing certain.
    let checked = found(check(&place.job(&good_job("2.14").with_top("zzzz = 1"), &simulator.base_url)));
    check_amiss(&checked, 2, &[("error zzzz:", "no such key")]);
    for subject in ["token", "groups", "output"] {
        assert!(checked.detail(subject).contains("not checked"), "{subject}");
    }
    // Not taken for a job that names no zone.
    let file = place.job(&Job { timezone: Some("Europe/Dubln".into()), ..good_job("2.14") }, &simulator.base_url);
    let checked = found(check(&file));
    check_amiss(&checked, 2, &[("error timezone:", "Europe/Dublin")]);
    assert!(!checked.lines.iter().any(|line| line["subject"] == "time zone"), "{}", checked.finished.stdout);
    // A password in an address is not repeated.
    let file = place.job(&plain_job(), &format!("http://me:{TOKEN}@127.0.0.1:1"));
    check_amiss(&found(check(&file)), 2, &[("error intercom.base_url:", "user name or password")]);
}

#[test]
fn a_settings_file_that_cannot_be_read_is_2() {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        let path = place.folder().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (fine, broken): (PathBuf, PathBuf) = (write("fine.toml", "tags = [\"VIP\"]\n"), write("broken.toml", "tags = [unquoted]\n"));
    let with_config = |job: &Path, config: &str| found(check(job).arguments(&["--config", config]));
    check_amiss(&found(check(Path::new("/nowhere/job.toml"))), 2, &[("error settings", "/nowhere/job.toml")]);
    let found_broken = found(check(&broken));
    check_amiss(&found_broken, 2, &[("error settings", "broken.toml")]);
    let is_told = |subject: &str| found_broken.lines.iter().any(|line| line["subject"] == subject);
    assert!(!is_told("tags") && !is_told("output.dir"), "nobody knows which values are in force: {}", found_broken.finished.stdout);
    check_amiss(&with_config(&fine, "/nowhere/shared.toml"), 2, &[("error settings", "/nowhere/shared.toml")]);
    let both = [("error settings", "broken.toml"), ("error settings", "/nowhere/shared.toml")];
    check_amiss(&with_config(&broken, "/nowhere/shared.toml"), 2, &both);
}

#[test]
fn an_output_that_cannot_be_written_is_2() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::new();
    fs::write(place.folder().join("file"), "").unwrap();
    let dir = |dir: &str| good_job("2.14").with_section(format!("[output]\ndir = {:?}", place.folder().join(dir)));
    for folder in ["file", "file/below", "file/far/below"] {
        let file = place.job(&dir(folder), &simulator.base_url);
        check_amiss(&found(check(&file)), 2, &[("error output", "cannot write in")]);
        run(&file, &["--as-of", AUGUST.as_of]).finish().check_failure(2, &["file"]);
    }
    // A file where one of the job's own folders should be.
    fs::create_dir_all(place.folder().join("there/rehearsal")).unwrap();
    fs::write(place.folder().join("there/rehearsal/history"), "").unwrap();
    let file = place.job(&dir("there"), &simulator.base_url);
    check_amiss(&found(check(&file)), 2, &[("error output", "rehearsal/history")]);
    run(&file, &["--as-of", AUGUST.as_of]).finish().check_failure(2, &["history"]);
}

#[test]
fn a_disk_without_room_for_the_month_is_5() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    // Of these no disk has room, and the sum of the latter no number.
    for total in [1_000_000_000_000_000, i64::MAX] {
        let recorder = before(&simulator, move |request| {
            let many = json!({"type": "list", "data": [], "total_count": total, "pages": {}});
            request.path().starts_with("/contacts").then_some(many)
        });
        for place in [Place::new(), Place::with(one_month())] {
            let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
            check_amiss(&found, 5, &[("error disk space", "TiB")]);
        }
    }
    // With a month on disk, that month says what one takes.
    let place = Place::with(one_month());
    let found = found(check(&place.job(&good_job("2.14"), &simulator.base_url)));
    assert!(found.detail("disk space").contains("as 2026-07 took"), "{}", found.detail("disk space"));
}

#[test]
fn a_job_that_is_being_worked_on_is_no_error() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::with(one_month());
    let file = place.job(&good_job("2.14"), &simulator.base_url);
    let is_locked = |found: &Found| found.lines.iter().any(|line| line["subject"] == "lock");
    assert!(!is_locked(&found(check(&file))));
    let lock = fs::File::options().write(true).create(true).truncate(false).open(place.job_folder().join(".lock")).unwrap();
    lock.try_lock().unwrap();
    let locked = found(check(&file));
    check_amiss(&locked, 0, &[]);
    assert_eq!(locked.line("lock")["level"], "info");
    run(&file, &["--as-of", AUGUST.as_of]).finish().check_failure(7, &["locked"]);
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
            ("warning tag `id:1390001`", "ends with code 4"),
            ("warning time zone", "Asia/Tokyo"),
            ("error reading conversations", "403"),
        ];
        check_amiss(&found(check(&place.job(&job, &simulator.base_url))), 3, &amiss);
        amiss.push(("error output", "cannot write in"));
        let job = job.with_section(format!("[output]\ndir = {:?}", place.folder().join("file")));
        check_amiss(&found(check(&place.job(&job, &simulator.base_url))), 2, &amiss);
    }
}
