//! `init`: a job file from what the workspace has, by names or by numbers at a terminal.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::TOKEN;
use crate::support::job::Place;
use crate::support::program::{Program, ask};
use crate::support::simulator::Simulator;
use crate::support::truth::JULY;

fn init(simulator: &Simulator, file: &Path, arguments: &[&str]) -> Program {
    ask(&simulator.base_url, "2.14", ["init", "-o", file.to_str().unwrap()]).arguments(arguments)
}

#[test]
fn the_groups_that_are_named_become_a_job_that_runs() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.folder().join("new folder/my-job.toml");
    let finished = init(&simulator, &file, &["--tags", "VIP", "1373897", "vip", "--segments", " slipping AWAY"]).succeed();
    assert!(finished.stdout.contains("2 tags, 1 segment, months in Europe/Dublin"), "{}", finished.stdout);
    let text = fs::read_to_string(&file).unwrap();
    for line in [
        "name = \"my-job\"",
        "timezone = \"Europe/Dublin\"",
        "    \"VIP\", # id ",
        "    \"value_lead\", # id 1373897, ",
        "    \"Slipping Away\", # id ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let planned = ask(&simulator.base_url, "2.14", ["run", "--dry-run", "--as-of", JULY.as_of, "--job", file.to_str().unwrap()]).succeed();
    for group in ["VIP", "value_lead", "Slipping Away"] {
        assert!(planned.stdout.contains(group), "{}", planned.stdout);
    }

    // It is never overwritten.
    init(&simulator, &file, &["--tags", "VIP"]).finish().check_failure(2, &["is there already", "-o"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn a_name_that_means_no_group_or_two_writes_no_file() {
    let simulator = Simulator::at(JULY.as_of, &["--extra-groups", "40"]);
    let place = Place::new();
    let file = place.folder().join("job.toml");
    init(&simulator, &file, &["--tags", "VIPP", "--segments", "Duplicate name"])
        .finish()
        .check_failure(4, &["did you mean `VIP`", "Duplicate name"]);
    // Nobody can answer.
    init(&simulator, &file, &[]).finish().check_failure(2, &["no terminal", "--tags"]);
    assert!(!file.exists());
}

#[test]
fn at_a_terminal_groups_are_picked_by_their_numbers() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.folder().join("picked.toml");
    let program = format!("'{}' init -o '{}'", env!("CARGO_BIN_EXE_cohorts"), file.display());
    let answered = |answers: &str| {
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &program, "/dev/null"]).env("INTERCOM_ACCESS_TOKEN", TOKEN);
        script.env("COHORTS__INTERCOM__BASE_URL", &simulator.base_url).env("SHELL", "/bin/sh");
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        script.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        let finished = script.wait_with_output().unwrap();
        (finished.status.code(), String::from_utf8(finished.stdout).unwrap())
    };
    let (code, shown) = answered("\n");
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("nothing was picked") && !file.exists(), "{shown}");
    let (code, shown) = answered("99\n1 3\n");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("`99` is no number from 1 to ") && shown.contains("Which groups?"), "{shown}");
    let number = |number: usize| {
        let line = shown.lines().find(|line| line.trim_start().starts_with(&format!("{number}  "))).unwrap();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).nth(2).unwrap().to_string()
    };
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches(" members when this was written").count(), 2, "{text}");
    for picked in [number(1), number(3)] {
        assert!(text.contains(&format!("    {}, # id ", serde_json::Value::from(picked.as_str()))), "{picked} in {text}");
    }
}
