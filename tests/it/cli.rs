//! The command line itself: help, the two streams, the dictionary, status, the plan, the layers of settings.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::month_end::REPORTS;
use crate::support::fixture::{self, MONTHS, four_months, one_month, plain_job};
use crate::support::job::{Place, small_job, texts};
use crate::support::program::{Finished, cohorts, on, run};
use crate::support::scripted::Scripted;
use crate::support::simulator::Simulator;
use crate::support::tree::{Tree, check_same, published, tree, with_hash};
use crate::support::truth::{AUGUST, JULY, OCTOBER};

const COMMANDS: [&str; 8] = ["demo", "run", "report", "status", "check", "schema", "simulate", "completions"];

#[test]
fn every_command_has_help() {
    let help = cohorts(["--help"]).without_token().succeed();
    for command in COMMANDS {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command} is not listed:\n{}", help.stdout);
        let own = cohorts([command, "--help"]).without_token().succeed();
        assert!(own.stdout.contains(&format!("Usage: cohorts {command}")), "{}", own.stdout);
        assert_eq!(own.stderr, "");
        assert_eq!(cohorts(["help", command]).succeed().stdout, own.stdout);
    }
    let flags: [(&str, &[&str]); 6] = [
        ("demo", &["--out", "--months", "--contacts", "--seed"]),
        ("run", &["--job", "--month", "--dry-run", "--replace", "--accept-incomplete", "--as-of", "--config", "--log-format"]),
        ("report", &["--job", "--month", "--all"]),
        ("status", &["--job", "--json", "--check"]),
        ("check", &["--job", "--config", "--json", "--log-format"]),
        ("simulate", &["--port", "--now", "--default-version", "--faults", "--faults-at"]),
    ];
    for (command, flags) in flags {
        let help = cohorts([command, "--help"]).succeed().stdout;
        flags.iter().for_each(|flag| assert!(help.contains(flag), "`{command} --help` lacks {flag}"));
    }
    assert!(cohorts(["--version"]).succeed().stdout.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_cannot_be_understood_is_2_and_nothing_is_a_result() {
    for arguments in [&["frobnicate"][..], &["run"], &["run", "--job"], &["schema", "--colour"], &["completions", "tcsh"], &["--job", "x"]]
    {
        let finished = cohorts(arguments).finish();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(finished.stderr.contains("error"), "{arguments:?}: {}", finished.stderr);
    }
    let finished = cohorts::<&str>([]).finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "no command at all");
    assert!(finished.stderr.contains("Usage"), "{}", finished.stderr);
    cohorts(["schema", "cohort_summery"]).finish().check_failure(2, &["cohort_summery", "cohort_summary"]);
    cohorts(["schema", "snapshot/contacts", "--format", "dbt"]).finish().check_failure(2, &["only reports", "omit --format"]);
    cohorts(["schema", "--format", "dbt", "--json"]).finish().check_code(2);
    cohorts(["simulate", "--port", "0", "--faults", "boom:1"]).finish().check_failure(2, &["boom"]);
    cohorts(["simulate", "--port", "0", "--address", "0.0.0.0"]).finish().check_failure(2, &["loopback"]);
}

#[test]
fn the_dictionary_is_that_of_the_reports() {
    let months = four_months();
    let listed: Value = serde_json::from_str(&cohorts(["schema", "--json"]).without_token().succeed().stdout).unwrap();
    for (name, columns) in REPORTS {
        let table = listed.as_array().unwrap().iter().find(|table| table["table"] == name).unwrap_or_else(|| panic!("{name}"));
        let reported: Vec<&str> = table["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(reported, months.place.report("2026-10", name).names());
        assert_eq!(reported.len(), columns.len());
        let text = cohorts(["schema", name]).succeed().stdout;
        let file = fs::read(months.place.reports("2026-10").join(format!("{name}.parquet"))).unwrap();
        for column in table["columns"].as_array().unwrap() {
            let description = column["description"].as_str().unwrap();
            let is_reported = file.windows(description.len()).any(|window| window == description.as_bytes());
            assert!(is_reported, "the metadata of {name}.parquet does not describe {column}");
            assert!(!column["description"].as_str().unwrap().is_empty() && !column["type"].as_str().unwrap().is_empty(), "{column}");
            assert!(text.contains(column["name"].as_str().unwrap()), "{text}");
        }
        check_nulls(name, table);
        let one: Value = serde_json::from_str(&cohorts(["schema", name, "--json"]).succeed().stdout).unwrap();
        assert_eq!(one.as_array().unwrap(), std::slice::from_ref(table));
        let sql = cohorts(["schema", name, "--sql"]).succeed().stdout;
        assert!(sql.contains("SELECT") && sql.contains("FROM"), "{sql}");
    }
    assert!(cohorts(["schema"]).succeed().stdout.contains("cohort_summary"));
    assert!(cohorts(["schema", "--sql"]).succeed().stdout.contains("SELECT"));
}

#[test]
fn the_sql_of_a_job_has_its_rules() {
    let place = Place::new();
    let rule = "[[rules]]\nname = \"heavy\"\nwhere = \"last_seen_at >= month_start AND role = 'user'\"";
    let job = place.job(&small_job().with_section(rule), "http://127.0.0.1:9");
    let job = job.to_str().unwrap();
    let sql = |arguments: &[&str]| cohorts([&["schema", "cohort_summary", "--sql"], arguments].concat()).without_token().succeed().stdout;
    let of_job = sql(&["--job", job]);
    assert!(of_job.contains("SELECT 'rule:heavy' AS cohort_key") && of_job.contains("role = 'user'"), "{of_job}");
    assert!(!sql(&[]).contains("rule:heavy"));
    cohorts(["schema", "cohort_summary", "--job", job]).finish().check_failure(2, &["--sql"]);
    cohorts(["schema", "--sql", "--job", "no-such-file.toml"]).finish().check_failure(2, &["no-such-file.toml"]);
}

/// A column that says nothing of nulls has none.
fn check_nulls(name: &str, table: &Value) {
    for month in MONTHS {
        let rows = four_months().place.report(month.name, name).rows_by_name();
        for column in table["columns"].as_array().unwrap().iter().filter(|column| column["null"].is_null()) {
            let column = column["name"].as_str().unwrap();
            let null = rows.iter().find(|row| row[column] == crate::support::tables::Cell::Null);
            assert_eq!(null, None, "{name}.{column} of {} is null, and the dictionary does not say why", month.name);
        }
    }
}

#[test]
fn every_shell_has_completions() {
    for (shell, word) in [("bash", "_cohorts"), ("zsh", "#compdef cohorts"), ("fish", "complete -c cohorts"), ("powershell", "cohorts")] {
        let script = cohorts(["completions", shell]).without_token().succeed().stdout;
        assert!(script.contains(word) && script.contains("simulate"), "{shell}");
    }
}

/// `status` of a place as of an instant.
fn status(place: &Place, as_of: &str, arguments: &[&str]) -> Finished {
    let file = place.job(&fixture::job(), "http://127.0.0.1:9");
    cohorts(["status", "--as-of", as_of, "--job"]).arguments(&[file.to_str().unwrap()]).arguments(arguments).without_token().finish()
}

#[track_caller]
fn check_status(place: &Place, as_of: &str, code: i32, what: &str) {
    let before = tree(&place.job_folder());
    let finished = status(place, as_of, &["--check"]);
    assert_eq!(finished.code, Some(code), "{what}:\n{}{}", finished.stdout, finished.stderr);
    // Without --check the same is only printed.
    assert_eq!(status(place, as_of, &[]).code, Some(0), "{what}");
    let json = status(place, as_of, &["--json"]);
    assert_eq!(json.code, Some(0), "{what}");
    let _: Value = serde_json::from_str(&json.stdout).unwrap();
    check_same(&tree(&place.job_folder()), &before, "status changes nothing");
}

#[test]
fn status_shows_what_is_missing_or_stale() {
    let months = four_months();
    let copy = || Place::with(&months.job_folder());
    let now = "2026-11-20T00:00:00Z";
    check_status(&copy(), now, 0, "all is well");
    check_status(&copy(), "2026-12-01T00:00:00Z", 8, "November is due");
    check_status(&copy(), "2026-11-30T23:59:59Z", 0, "November has not ended");
    check_status(&Place::new(), now, 8, "nothing is there");

    let place = copy();
    fs::remove_dir_all(place.snapshot("2026-08")).unwrap();
    fs::remove_dir_all(place.history("2026-08")).unwrap();
    fs::remove_dir_all(place.reports("2026-08")).unwrap();
    check_status(&place, now, 8, "a gap");
    assert!(status(&place, now, &[]).stdout.contains("2026-08"), "the gap is named");

    let place = copy();
    fs::remove_dir_all(place.reports("2026-09")).unwrap();
    check_status(&place, now, 8, "a report is missing");

    // The snapshot of the first month changes: every report after it was built from something else.
    let place = copy();
    fs::remove_file(place.reports("2026-07").join("manifest.json")).unwrap();
    check_status(&place, now, 8, "a report is stale");
    let file = place.job(&fixture::job(), "http://127.0.0.1:9");
    cohorts(["report", "--all", "--job"]).arguments(&[file.to_str().unwrap()]).succeed();
    check_status(&place, now, 0, "rebuilt");

    let place = copy();
    fs::create_dir_all(place.job_folder().join(".work/run_month=2026-11")).unwrap();
    check_status(&place, now, 8, "unfinished work");
}

/// What may happen to the snapshot folder of a month.
type Damage = fn(&std::path::Path);

#[test]
fn status_sees_what_is_damaged_of_a_snapshot() {
    let now = "2026-11-20T00:00:00Z";
    let damages: [(&str, Damage); 4] = [
        ("a part is gone", |folder| fs::remove_file(with_hash(&folder.join("members/part-0000.parquet"))).unwrap()),
        ("one byte is another", |folder| {
            let path = with_hash(&folder.join("contacts/part-0000.parquet"));
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }),
        ("the manifest is gone", |folder| fs::remove_file(folder.join("manifest.json")).unwrap()),
        ("the manifest is cut off", |folder| {
            let path = folder.join("manifest.json");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let place = Place::with(&four_months().job_folder());
        damage(&place.snapshot("2026-08"));
        check_status(&place, now, 8, what);
        // A month that cannot be read is not taken for one that is not there.
        let file = place.job(&fixture::job(), "http://127.0.0.1:9");
        let before = tree(&place.snapshot("2026-08"));
        let code = run(&file, &["--month", "2026-08", "--as-of", now]).finish().code;
        assert!(code == Some(0) || code == Some(6), "{what}: {code:?}");
        check_same(&tree(&place.snapshot("2026-08")), &before, what);
    }
}

#[test]
fn status_lists_the_months_with_basis_and_sizes() {
    let months = four_months();
    let text = status(&months.place_copy(), OCTOBER.as_of, &[]).stdout;
    let json: Value = serde_json::from_str(&status(&months.place_copy(), OCTOBER.as_of, &["--json"]).stdout).unwrap();
    let reported = json["months"].as_array().unwrap();
    assert_eq!(reported.len(), 4);
    for (month, reported) in MONTHS.iter().zip(reported) {
        assert!(text.contains(month.name) && text.contains("month_end"), "{text}");
        assert_eq!((&reported["month"], &reported["basis"]), (&month.name.into(), &"month_end".into()));
    }
}

impl fixture::Months {
    fn place_copy(&self) -> Place {
        Place::with(&self.job_folder())
    }
}

#[test]
fn a_dry_run_shows_the_plan_and_fetches_no_page_of_members() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::with(one_month());
    let before = published(&place.job_folder());
    let finished = run(&place.job(&plain_job(), &recorder.base_url), &["--as-of", AUGUST.as_of, "--dry-run"]).succeed();
    // The month, every group, its size and the requests it will take.
    let active = simulator.members("segment:63bbdd50aa01c0ffee000001").len();
    for word in ["2026-08", "month_end", "value_lead", "VIP", "Active", &active.to_string(), &active.div_ceil(20).to_string()] {
        assert!(finished.stdout.contains(word), "{word}:\n{}", finished.stdout);
    }
    let sizes: Vec<u64> = recorder.requests().iter().filter_map(|request| request.per_page()).collect();
    assert!(sizes.iter().all(|rows| *rows <= 1), "pages of {sizes:?} rows were asked for");
    check_same(&published(&place.job_folder()), &before, "a dry run");

    let empty = Place::new();
    run(&empty.job(&plain_job(), &simulator.base_url), &["--as-of", AUGUST.as_of, "--dry-run"]).succeed();
    assert_eq!(tree(&empty.output()), Tree::new());
    let mut job = plain_job();
    job.tags = texts(&["value_lead", "no such tag"]);
    let finished = run(&empty.job(&job, &simulator.base_url), &["--as-of", AUGUST.as_of, "--dry-run"]).finish();
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.stdout.contains("no such tag") || finished.stderr.contains("no such tag"));
}

#[test]
fn later_layers_win() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let shared = place.folder().join("shared.toml");
    let version = |job: &[&str], arguments: &[&str], variable: Option<&str>| {
        let mut written = plain_job();
        written.intercom = texts(job);
        let mut program = run(&place.job(&written, &recorder.base_url), &["--as-of", JULY.as_of, "--dry-run"]).arguments(arguments);
        if let Some(variable) = variable {
            program = program.variable("COHORTS__INTERCOM__API_VERSION", variable);
        }
        program.succeed();
        recorder.requests().pop().unwrap().header("intercom-version").unwrap().to_string()
    };
    fs::write(&shared, "[intercom]\napi_version = \"2.11\"\n").unwrap();
    let config = ["--config", shared.to_str().unwrap()];
    assert_eq!(version(&[], &[], None), "2.14", "the default");
    assert_eq!(version(&[], &config, None), "2.11", "--config");
    assert_eq!(version(&["api_version = \"2.12\""], &config, None), "2.12", "the job file");
    assert_eq!(version(&["api_version = \"2.12\""], &config, Some("2.13")), "2.13", "the environment");
    // A key of the job has no section.
    let program = run(&place.job(&plain_job(), &recorder.base_url), &["--as-of", JULY.as_of, "--dry-run"]);
    let finished = program.variable("COHORTS__TIMEZONE", "Asia/Tokyo").succeed();
    assert!(finished.stdout.contains("Asia/Tokyo"), "{}", finished.stdout);
}

#[test]
fn the_token_may_stand_in_a_file() {
    let simulator = Simulator::at(JULY.as_of, &["--token", "the-only-one"]);
    let place = Place::new();
    let path = place.folder().join("token");
    fs::write(&path, "the-only-one\n").unwrap();
    let job = plain_job().with_intercom(format!("token_file = {:?}", path.to_str().unwrap()));
    run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of, "--dry-run"]).without_token().succeed();
    run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", JULY.as_of, "--dry-run"]).finish().check_failure(3, &["401"]);
}

#[test]
fn groups_are_named_by_name_id_or_key() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let names: [(&[&str], &[&str]); 5] = [
        (&["value_lead"], &["Active"]),
        (&["VALUE_LEAD"], &["active"]),
        (&["1373897"], &["63bbdd50aa01c0ffee000001"]),
        (&["id:1373897"], &["id:63bbdd50aa01c0ffee000001"]),
        (&["tag:1373897"], &["segment:63bbdd50aa01c0ffee000001"]),
    ];
    for (tags, segments) in names {
        let place = Place::new();
        let mut job = plain_job();
        (job.tags, job.segments) = (texts(tags), texts(segments));
        let plan = run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of, "--dry-run"]).succeed().stdout;
        for key in ["tag:1373897", "segment:63bbdd50aa01c0ffee000001"] {
            assert!(plan.contains(key), "{tags:?} {segments:?}:\n{plan}");
        }
    }
    // Named twice, it is observed once.
    let place = Place::new();
    let mut job = plain_job();
    (job.tags, job.segments) = (texts(&["value_lead", "id:1373897", "Value_Lead"]), texts(&["Active"]));
    let plan = run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of, "--dry-run"]).succeed().stdout;
    assert_eq!(plan.matches("tag:1373897").count(), 1, "{plan}");
}

#[test]
fn the_default_month_is_the_last_that_has_ended_in_the_jobs_zone() {
    let simulator = Simulator::at(OCTOBER.as_of, &[]);
    let place = Place::new();
    // Clocks: Kiritimati is 14 hours ahead, Los Angeles 7 behind, Havana 4.
    for (zone, as_of, month) in [
        ("UTC", "2026-10-31T23:59:59Z", "2026-09"),
        ("UTC", "2026-11-01T00:00:00Z", "2026-10"),
        ("Pacific/Kiritimati", "2026-10-31T10:00:00Z", "2026-10"),
        ("Pacific/Kiritimati", "2026-10-31T09:59:59Z", "2026-09"),
        ("America/Los_Angeles", "2026-11-01T06:59:59Z", "2026-09"),
        ("America/Los_Angeles", "2026-11-01T07:00:00Z", "2026-10"),
        ("America/Havana", "2026-11-01T03:59:59Z", "2026-09"),
        ("America/Havana", "2026-11-01T04:00:00Z", "2026-10"),
    ] {
        let mut job = small_job();
        job.timezone = Some(zone.to_string());
        let plan = run(&place.job(&job, &simulator.base_url), &["--as-of", as_of, "--dry-run"]).succeed().stdout;
        assert!(plan.contains(month), "{zone} at {as_of}, expected {month}:\n{plan}");
    }
}

#[test]
fn log_lines_are_json_when_asked_for() {
    let simulator = Simulator::at(JULY.as_of, &["--faults-at", "3=500"]);
    let place = Place::new();
    let file = place.job(&small_job(), &simulator.base_url);
    let finished = run(&file, &["--as-of", JULY.as_of, "--log-format", "json", "-v"]).succeed();
    let lines: Vec<Value> = finished
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}")))
        .collect();
    let levels: BTreeSet<&str> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert!(levels.contains("INFO") && levels.contains("WARN"), "{levels:?}");
    assert!(finished.stdout.contains("2026-07 published"), "results are not logs:\n{}", finished.stdout);
}

#[test]
fn quiet_says_nothing_but_the_result() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let finished = run(&place.job(&small_job(), &simulator.base_url), &["--as-of", JULY.as_of, "-q"]).succeed();
    assert_eq!(finished.stderr, "");
    assert!(finished.stdout.contains("value_lead"), "{}", finished.stdout);
}

#[test]
fn a_pipe_that_its_reader_has_closed_is_no_failure() {
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    for arguments in [&["schema"][..], &["schema", "--json"], &["completions", "bash"], &["--help"], &["run", "--help"]] {
        let finished = cohorts(arguments).standard_output(closed()).finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.job(&small_job(), &simulator.base_url);
    let finished = run(&file, &["--as-of", JULY.as_of]).standard_output(closed()).standard_error(closed()).finish();
    assert_eq!(finished.code, Some(0));
    assert!(place.reports("2026-07").join("manifest.json").exists());
}

#[test]
fn only_the_formats_that_are_asked_for_are_written() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    for format in ["csv", "parquet", "xlsx"] {
        let place = Place::new();
        let job = small_job().with_section(format!("[output]\nformats = [\"{format}\"]"));
        let finished = run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
        let mut names: Vec<String> = tree(&place.reports("2026-07")).into_keys().filter(|name| name != "manifest.json").collect();
        names.sort();
        let mut expected: Vec<String> = match format {
            "xlsx" => vec!["report.xlsx".to_string()],
            _ => REPORTS.iter().map(|(name, _)| format!("{name}.{format}")).collect(),
        };
        expected.sort();
        assert_eq!(names, expected);
        assert!(finished.stdout.contains("2026-07 published"), "{}", finished.stdout);
    }
}

#[test]
fn a_format_that_was_added_later_is_missed_until_it_is_written() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let with = |formats: &str| place.job(&small_job().with_section(format!("[output]\nformats = {formats}")), &simulator.base_url);
    let observed = |file: &Path| run(file, &["--as-of", JULY.as_of]).succeed().stdout;
    assert!(!observed(&with("[\"parquet\"]")).contains("not written"));
    let file = with("[\"parquet\", \"csv\", \"xlsx\"]");
    let said = observed(&file);
    assert!(said.contains("its reports were not written as csv, xlsx: `cohorts report --all`"), "{said}");
    on(&file, "report", &["--all"]).succeed();
    assert!(place.reports("2026-07").join("report.xlsx").exists());
    assert!(!observed(&file).contains("not written"));
}

#[test]
fn a_relative_output_folder_is_in_the_current_one() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.job(&small_job().with_section("[output]\ndir = \"here/below\""), &simulator.base_url);
    let current = place.folder().join("current");
    fs::create_dir(&current).unwrap();
    run(&file, &["--as-of", JULY.as_of]).directory(&current).succeed();
    assert!(current.join("here/below/rehearsal/reports/run_month=2026-07/manifest.json").exists());
}

#[test]
fn an_observation_counts_as_month_end_until_the_grace_is_over() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::new();
    let check = |as_of: &str, grace: Option<&str>, basis: &str| {
        let job = grace.map_or(small_job(), |grace| small_job().with_top(format!("grace = \"{grace}\"")));
        let file = place.job(&job, &simulator.base_url);
        let plan = run(&file, &["--month", "2026-07", "--as-of", as_of, "--dry-run"]).succeed().stdout;
        let bases = ["preliminary", "month_end", "late"].into_iter().filter(|basis| plan.contains(basis)).collect::<Vec<_>>();
        assert_eq!(bases, [basis], "{as_of}, grace {grace:?}:\n{plan}");
    };
    check("2026-07-31T22:59:59Z", None, "preliminary");
    check("2026-07-31T23:00:00Z", None, "month_end");
    check("2026-08-03T23:00:00Z", None, "month_end");
    check("2026-08-03T23:00:01Z", None, "late");
    check("2026-08-01T00:00:00Z", Some("1h"), "month_end");
    check("2026-08-01T00:00:01Z", Some("1h"), "late");
}

#[test]
fn schedulers_try_again_after_the_codes_that_pass() {
    let read = |name: &str| std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let codes = |text: &str| text.split([' ', ',']).filter_map(|word| word.trim().parse::<i32>().ok()).collect::<Vec<_>>();
    let readme = read("README.md");
    let passing =
        readme.lines().filter(|line| line.starts_with("| ") && line.ends_with("| run again |") || line.ends_with("| run again later |"));
    let passing: Vec<i32> = passing.filter_map(|line| line.split('|').nth(1)?.trim().parse().ok()).collect();
    assert_eq!(passing, [5, 7, 130, 137]);
    let cron_job = read("jobs/month-end.cronjob.yaml");
    let values = cron_job.lines().find_map(|line| line.trim().strip_prefix("values: [")?.strip_suffix(']')).unwrap();
    assert_eq!(codes(values), passing);
    // A signal is no exit code to systemd: of those it tries again on failure, whatever this names.
    let unit = read("jobs/month-end.service");
    let named = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    assert_eq!(named("Restart="), "on-failure");
    assert!(codes(named("RestartPreventExitStatus=")).iter().all(|code| !passing.contains(code)));
    assert!(!named("RestartPreventExitStatus=").contains("KILL") && unit.contains("MemoryMax="));
}
