//! What is on this machine: settings, output, disk, lock.

use super::*;
use crate::support::http::ClosedPort;

#[test]
fn broken_settings_are_all_reported_and_what_is_certain_is_checked() {
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
    let is_reported = |subject: &str| found_broken.lines.iter().any(|line| line["subject"] == subject);
    assert!(!is_reported("tags") && !is_reported("output.dir"), "nobody knows which values are in force: {}", found_broken.finished.stdout);
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
fn a_bucket_that_cannot_be_used_is_one_error_and_shows_no_key() {
    const SECRET: &str = "inv3nted/s3cret/k3y";
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::new();
    let job = good_job("2.14").with_section("[output]\ndir = \"s3://results/cohorts\"").with_intercom("give_up_after = \"1s\"");
    let file = place.job(&job, &simulator.base_url);
    let answering = |status: u16, code: &str| {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>");
        Scripted::new(move |_| Reply::text(status, "application/xml", &body))
    };
    let (closed, denied, missing) = (ClosedPort::new(), answering(403, "AccessDenied"), answering(404, "NoSuchBucket"));
    for (endpoint, code, words) in [
        (closed.base_url.as_str(), 5, "there is no connection to the store"),
        (&denied.base_url, 2, "403 Forbidden, AccessDenied"),
        (&missing.base_url, 2, "404 Not Found, NoSuchBucket"),
        ("http://store.example.com", 2, "plain HTTP on another machine"),
    ] {
        let with_store = |program: Program| {
            let program = program.variable("AWS_ACCESS_KEY_ID", "invented").variable("AWS_SECRET_ACCESS_KEY", SECRET);
            program.variable("AWS_ENDPOINT", endpoint).variable("XDG_STATE_HOME", place.folder())
        };
        let found = found(with_store(check(&file)));
        check_amiss(&found, code, &[("error output", words)]);
        let ended = with_store(run(&file, &["--as-of", AUGUST.as_of])).finish();
        ended.check_failure(code, &["s3://results/cohorts/rehearsal", words]);
        for text in [&found.finished.stdout, &found.finished.stderr, &ended.stdout, &ended.stderr] {
            assert!(!text.contains("s3cret"), "{text}");
        }
    }
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
fn what_a_run_cannot_open_or_read_is_reported_with_its_code() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let place = Place::with(one_month());
    let file = place.job(&good_job("2.14"), &simulator.base_url);
    let manifests: Vec<PathBuf> = tree(&place.job_folder())
        .keys()
        .filter(|path| path.contains("snapshots") && path.ends_with("manifest.json"))
        .map(|path| place.job_folder().join(path))
        .collect();
    fs::write(&manifests[0], "{").unwrap();
    let found_now = found(check(&file));
    let reported = found_now.amiss();
    assert!(reported.iter().any(|line| line.starts_with("error snapshot of ")), "{reported:#?}");
    let run = run(&file, &["--as-of", AUGUST.as_of, "--replace"]).finish();
    assert_eq!(found_now.code, run.code, "{}", run.stderr);

    let place = Place::new();
    let file = place.job(&good_job("2.14"), &simulator.base_url);
    fs::create_dir_all(place.job_folder().join(".lock")).unwrap();
    check_amiss(&found(check(&file)), 2, &[("error lock", ".lock")]);
}

#[test]
fn mistakes_with_secrets_and_versions_are_reported_without_the_secret() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let secret = "dG9rOnRoaXMtaXMtYS1zZWNyZXQ";
    for (line, word) in [
        (format!("token_file = \"{secret}\""), "may be the token itself"),
        (format!("access_token = \"{secret}\""), "INTERCOM_ACCESS_TOKEN"),
        ("api_version = 2.10".to_string(), "write it in quotes"),
    ] {
        let place = Place::new();
        let job = Job { intercom: vec![line.clone()], ..plain_job() };
        let checked = check(&place.job(&job, &simulator.base_url)).finish();
        assert!(checked.code != Some(0) && checked.stdout.contains(word), "{line}: {checked:?}");
        assert!(!format!("{checked:?}").contains(secret), "{line}: {checked:?}");
    }
}
