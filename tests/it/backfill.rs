//! `cohorts backfill`: past months from one look at the workspace. What each month gets, what stays, what it costs.

mod applied_at;
mod resume;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::resume::by_stream;
use crate::support::fixture::plain_job;
use crate::support::job::{Job, Place, small_job, texts};
use crate::support::oracle::Oracle;
use crate::support::program::{backfill, observe, observe_months, on, run};
use crate::support::scripted::{Request, Scripted};
use crate::support::simulator::Simulator;
use crate::support::tables::check_rows;
use crate::support::tree::{Tree, check_same, published, tables, tree};
use crate::support::truth::{AUGUST, JULY, Month, Named, OCTOBER, SEPTEMBER, Truth};
use crate::support::workspace::{Workspace, contact, contact_id, plainly};

/// Some weeks after the end of October: everything before is late.
const LATE: &str = "2026-11-20T00:00:00Z";

/// The cohorts of [`plain_job`].
const PLAIN: &[Named] = &[("segment:63bbdd50aa01c0ffee000001", "Active"), ("tag:1373897", "value_lead"), ("tag:1400074", "VIP")];

/// The files of one month among those of a job.
fn of_month(tree: Tree, month: &str) -> Tree {
    tree.into_iter().filter(|(name, _)| name.contains(&format!("run_month={month}/"))).collect()
}

/// Everything that is in the snapshot of a month.
fn snapshot(place: &Place, month: &str) -> Tree {
    tree(&place.snapshot(month))
}

/// Requests that are no page of a stream, as the job of `page_size` asks for them; and how often each was sent.
fn others(requests: &[Request], page_size: u64) -> BTreeMap<String, usize> {
    let mut others = BTreeMap::new();
    for request in requests.iter().filter(|request| request.stream().is_none() || request.per_page() != Some(page_size)) {
        *others.entry(format!("{} {} {:?}", request.method, request.path(), request.per_page())).or_default() += 1;
    }
    others
}

/// The pages of streams among the requests.
fn pages(requests: &[Request], page_size: u64) -> Vec<Request> {
    requests.iter().filter(|request| request.stream().is_some() && request.per_page() == Some(page_size)).cloned().collect()
}

#[test]
fn each_month_without_a_snapshot_gets_a_late_one_and_those_that_are_there_stay_as_they_are() {
    let place = Place::new();
    let mut truths = Vec::new();
    for month in [&AUGUST, &OCTOBER] {
        let simulator = Simulator::at(month.as_of, &[]);
        run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", month.as_of]).succeed();
        truths.push(Truth::ask(&simulator, month, PLAIN));
    }
    let kept = ["2026-08", "2026-10"].map(|month| snapshot(&place, month));
    let october = tables(tree(&place.reports("2026-10")));

    let simulator = Simulator::at(LATE, &[]);
    let file = place.job(&plain_job(), &simulator.base_url);
    let finished = backfill(&file, ("2026-07", "2026-10"), LATE, &[]).succeed();
    for line in [
        "2026-08 is published already, basis month_end",
        "2026-10 is published already, basis month_end",
        "2026-07 published, basis late",
        "2026-09 published, basis late",
    ] {
        assert!(finished.stdout.contains(line), "{line}:\n{}", finished.stdout);
    }
    let reported = finished.stderr.lines().position(|line| line.contains("requests, about"));
    let begun = finished.stderr.lines().position(|line| line.contains("fetching"));
    assert!(reported.is_some() && reported < begun, "the plan is printed before it starts:\n{}", finished.stderr);
    for (month, before) in ["2026-08", "2026-10"].into_iter().zip(&kept) {
        check_same(&snapshot(&place, month), before, month);
    }
    check_same(&tables(tree(&place.reports("2026-10"))), &october, "a month of the history around which late ones were put");

    for (at, month) in [(0, JULY), (2, SEPTEMBER)] {
        truths.insert(at, Truth::ask(&simulator, &month.observed(LATE, "late"), PLAIN));
    }
    let oracle = Oracle { months: &truths, opened_at_least: &[1, 5], profile: &["role", "custom_attributes.plan"] };
    for truth in &truths {
        let month = truth.month.as_str();
        let conversations = place.snapshot_table(month, "conversations");
        assert_eq!(conversations.rows.len(), truth.conversations.len(), "{month}: each conversation once");
        assert_eq!(conversations.texts("conversation_id").into_iter().collect::<BTreeSet<_>>(), truth.conversations, "{month}");
        check_rows(&place.report(month, "cohort_summary").keyed(&["cohort_key"]), &oracle.cohort_summary(month), month);
        check_rows(&place.report(month, "members").keyed(&["cohort_key", "contact_id"]), &oracle.members(month), month);
        check_rows(&place.report(month, "overlap").keyed(&["cohort_a", "cohort_b"]), &oracle.overlap(month), month);
        let activity = place.report(month, "conversation_activity").keyed(&["cohort_key", "measure", "lower_bound"]);
        check_rows(&activity, &oracle.conversation_activity(month), month);
    }
    // Late months are compared with nothing, so they have no trends, no retention of their own and no movement.
    for month in ["2026-07", "2026-09"] {
        assert!(place.report(month, "movement").rows.is_empty(), "{month}");
        for row in place.report(month, "cohort_trends").rows_by_name() {
            let compared =
                ["previous_value", "change", "slope_per_month", "trend_p", "direction", "expected", "anomaly_p", "history_months"];
            assert!(compared.iter().all(|name| row[*name].shown().is_empty()), "{month}: {row:?}");
        }
        let left_out = place.report(month, "data_quality").rows_by_name().into_iter();
        let left_out: i64 = left_out
            .filter(|row| row["check_name"].shown() == "created_after_month_end")
            .map(|row| row["value"].shown().parse::<i64>().unwrap())
            .sum();
        assert!(left_out > 0, "{month}: contacts created after its end are left out, and it is said");
    }
    let status = on(&file, "status", &["--check", "--as-of", LATE]).succeed();
    assert_eq!(status.stdout.matches("current").count(), 4, "{}", status.stdout);
}

#[test]
fn a_backfill_reads_everyone_once_and_the_conversations_of_all_months_once() {
    let simulator = Simulator::at(LATE, &[]);
    let observed = |command: &dyn Fn(&PathBuf)| {
        let place = Place::new();
        let recorder = Scripted::before(simulator.address(), |_| None);
        // Pages of which no list here is so many that it would be read in slices.
        command(&place.job(&Job { intercom: vec!["page_size = 40".to_string()], ..plain_job() }, &recorder.base_url));
        recorder.requests().into_iter().filter(|request| !request.is_conversation_total()).collect::<Vec<_>>()
    };
    let one = observed(&|file| drop(observe(file, &["--month", "2026-10", "--as-of", LATE]).succeed()));
    let range = observed(&|file| drop(observe_months(file, ("2026-08", "2026-10"), LATE, &[]).succeed()));

    let (mut one_pages, mut range_pages) = (by_stream(&pages(&one, 40)), by_stream(&pages(&range, 40)));
    let conversations = [&mut one_pages, &mut range_pages].map(|pages| pages.remove("conversations").unwrap());
    assert_eq!(range_pages, one_pages, "members and contacts are read as in one run");
    let months = [AUGUST, SEPTEMBER, OCTOBER];
    let begun: usize = months.iter().map(|month| Truth::ask(&simulator, month, &[]).conversations.len()).sum();
    // A search cuts by whole days, so that some more may come.
    assert!((begun.div_ceil(40)..=begun.div_ceil(40) + 1).contains(&conversations[1]), "{conversations:?} of {begun}");
    assert!(conversations[1] > conversations[0]);
    let all: Vec<_> = pages(&range, 40).iter().map(|page| (page.stream(), page.cursor())).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "no page twice");

    // Beside the pages, only the two sizes that the lists of groups do not show.
    let (mut expected, found) = (others(&one, 40), others(&range, 40));
    let sizes: Vec<&String> = found.keys().filter(|request| request.ends_with("Some(1)")).collect();
    let segments = PLAIN.iter().filter(|(key, _)| key.starts_with("segment")).count();
    let asked: usize = sizes.iter().map(|size| found[*size]).sum();
    assert!((2..=2 + PLAIN.len()).contains(&asked), "{asked} sizes, {segments} of which the list of segments shows: {found:?}");
    expected.extend(sizes.into_iter().map(|size| (size.clone(), found[size])));
    assert_eq!(found, expected);
}

#[test]
fn a_month_within_grace_is_observed_at_its_end_as_a_run_would() {
    let simulator = Simulator::at(OCTOBER.as_of, &[]);
    let place = Place::new();
    let finished = backfill(&place.job(&plain_job(), &simulator.base_url), ("2026-09", "2026-10"), OCTOBER.as_of, &[]).succeed();
    assert!(finished.stdout.contains("2026-09 published, basis late"), "{}", finished.stdout);
    assert!(finished.stdout.contains("2026-10 published, basis month_end"), "{}", finished.stdout);

    let single = Place::new();
    run(&single.job(&plain_job(), &simulator.base_url), &["--as-of", OCTOBER.as_of]).succeed();
    let october = |place: &Place| of_month(tables(published(&place.job_folder())), "2026-10");
    let without_history = |tree: Tree| -> Tree { tree.into_iter().filter(|(name, _)| !name.starts_with("history/")).collect() };
    check_same(&without_history(october(&place)), &without_history(october(&single)), "backfilled and run");
}

#[test]
fn ranges_that_make_no_sense_are_2() {
    let simulator = Simulator::at(LATE, &[]);
    let place = Place::new();
    let file = place.job(&small_job(), &simulator.base_url);
    let asked = simulator.stats().requests;
    backfill(&file, ("2026-10", "2026-08"), LATE, &[]).finish().check_failure(2, &["2026-10", "2026-08", "--from", "--to"]);
    backfill(&file, ("2026-13", "2026-14"), LATE, &[]).finish().check_failure(2, &["2026-13"]);
    on(&file, "backfill", &["--from", "2026-08", "--as-of", LATE]).finish().check_failure(2, &["--to"]);
    assert_eq!(simulator.stats().requests, asked, "nothing was asked for that");
    let unbegun = backfill(&file, ("2026-10", "2026-12"), LATE, &[]).finish();
    unbegun.check_failure(2, &["2026-12", "not begun", "--to"]);
    assert!(!unbegun.stderr.contains("--month"), "backfill has no such flag:\n{}", unbegun.stderr);
    assert_eq!(published(&place.job_folder()), Tree::new());

    let elsewhere = place.job(&small_job(), "https://api.intercom.example");
    backfill(&elsewhere, ("2026-08", "2026-10"), LATE, &[]).finish().check_failure(2, &["--as-of", "api.intercom.example"]);
}

/// Basis and instant of observation of a month's snapshot.
fn held(place: &Place, month: &str) -> (String, String) {
    let manifest = place.manifest(month);
    [&manifest["basis"], &manifest["observed_at"]].map(|value| value.as_str().unwrap().to_string()).into()
}

#[test]
fn a_lesser_basis_is_replaced_unasked_an_equal_one_when_asked_and_a_better_one_never() {
    let place = Place::new();
    let simulator = Simulator::at(LATE, &[]);
    let file = place.job(&small_job(), &simulator.base_url);
    // One month in time, one late, one before its end.
    for (month, as_of) in [("2026-08", AUGUST.as_of), ("2026-09", "2026-10-20T00:00:00Z"), ("2026-10", "2026-10-20T00:00:00Z")] {
        run(&file, &["--month", month, "--as-of", as_of]).succeed();
    }
    let august = snapshot(&place, "2026-08");
    let range = ("2026-08", "2026-10");
    let in_time = ("month_end".to_string(), AUGUST.as_of.to_string());
    let late = |at: &str| ("late".to_string(), at.to_string());

    let first = backfill(&file, range, LATE, &[]).succeed();
    assert!(first.stdout.contains("2026-09 is published already, basis late"), "{}", first.stdout);
    assert_eq!(held(&place, "2026-10"), late(LATE), "late is worth more than preliminary");
    assert_eq!(held(&place, "2026-09"), late("2026-10-20T00:00:00Z"));

    let before = published(&place.job_folder());
    let again = backfill(&file, range, "2026-11-21T00:00:00Z", &[]).succeed();
    assert!(again.stdout.contains("nothing was fetched"), "{}", again.stdout);
    check_same(&published(&place.job_folder()), &before, "a second backfill");

    let replaced = backfill(&file, range, "2026-11-21T00:00:00Z", &["--replace"]).succeed();
    assert!(replaced.stdout.contains("2026-08 is published already, basis month_end"), "{}", replaced.stdout);
    assert_eq!(
        ["2026-08", "2026-09", "2026-10"].map(|month| held(&place, month)),
        [in_time, late("2026-11-21T00:00:00Z"), late("2026-11-21T00:00:00Z")]
    );
    check_same(&snapshot(&place, "2026-08"), &august, "what was observed at the month's end");
}

#[test]
fn a_dry_run_shows_streams_requests_and_time_and_writes_nothing() {
    let simulator = Simulator::at(LATE, &[]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let file = place.job(&plain_job(), &recorder.base_url);
    let planned = backfill(&file, ("2026-08", "2026-10"), LATE, &["--dry-run"]).succeed();
    assert!(!place.output().exists(), "a dry run writes nothing");
    assert!(pages(&recorder.requests(), 20).is_empty(), "no page of members or conversations is fetched");
    let state = simulator.state();
    for word in ["population", "tag:1373897", "segment:63bbdd50aa01c0ffee000001", "conversations of these months", "basis late"] {
        assert!(planned.stdout.contains(word), "{word}:\n{}", planned.stdout);
    }
    assert!(planned.stdout.contains("would get a snapshot: 2026-08, 2026-09, 2026-10"), "{}", planned.stdout);
    assert!(planned.stdout.contains(&state["contacts"].to_string()), "{}", planned.stdout);

    // The plan has all requests, also those that the dry run has made already.
    let reported = planned.stdout.lines().find(|line| line.contains(" partitions, ")).unwrap();
    let reported: usize = reported.split(" partitions, ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(planned.stdout.contains("about "), "{}", planned.stdout);
    let before = recorder.requests().len();
    observe_months(&file, ("2026-08", "2026-10"), LATE, &[]).succeed();
    assert_eq!(recorder.requests().len() - before, reported);

    let before = published(&place.job_folder());
    let nothing = observe_months(&file, ("2026-08", "2026-10"), LATE, &["--dry-run"]).succeed();
    assert!(nothing.stdout.contains("2026-09 is published already") && nothing.stdout.contains("nothing to do"), "{}", nothing.stdout);
    check_same(&published(&place.job_folder()), &before, "a dry run");
}

#[test]
fn a_group_that_is_missing_is_4_and_the_others_are_published() {
    let simulator = Simulator::at(LATE, &[]);
    let place = Place::new();
    let job = Job { tags: texts(&["value_lead", "no such tag"]), ..small_job() };
    let file = place.job(&job, &simulator.base_url);
    let range = ("2026-09", "2026-10");
    let finished = backfill(&file, range, LATE, &[]).finish();
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.stderr.contains("no such tag"), "{}", finished.stderr);
    for month in ["2026-09", "2026-10"] {
        assert!(finished.stdout.contains(&format!("{month} published, basis late")), "{}", finished.stdout);
        assert_eq!(place.report(month, "cohort_summary").texts("cohort_name"), ["value_lead"]);
        let findings = place.report(month, "data_quality").rows_by_name();
        let reported = findings.iter().any(|row| row["check_name"].shown() == "group_not_found" && row["severity"].shown() == "error");
        assert!(reported, "{findings:?}");
    }
    assert_eq!(on(&file, "status", &["--check", "--as-of", LATE]).finish().code, Some(8));
    backfill(&file, range, LATE, &["--replace", "--dry-run"]).finish().check_code(4);

    // And with `missing = "fail"` nothing is fetched.
    let strict = Place::new();
    let file = strict.job(&job.with_top("missing = \"fail\""), &simulator.base_url);
    backfill(&file, range, LATE, &[]).finish().check_failure(4, &["no such tag"]);
    assert_eq!(published(&strict.job_folder()), Tree::new());
}

#[test]
fn a_replacement_of_any_month_does_not_lose_a_group_that_has_vanished() {
    let id = contact_id(1);
    let group = |name: &str| (name.to_string(), BTreeSet::from([id.clone()]));
    let mut workspace = Workspace {
        id: "vanishing".to_string(),
        contacts: [(id.clone(), contact(&id, 1_780_000_000))].into(),
        tags: [("5".to_string(), group("customers")), ("6".to_string(), group("partners"))].into(),
        ..Workspace::default()
    };
    let place = Place::new();
    let job = Job { tags: texts(&["customers", "partners"]), ..small_job() };
    let whole = workspace.clone().serve(plainly);
    // October is within grace here, September is not.
    observe_months(&place.job(&job, &whole.base_url), ("2026-09", "2026-10"), OCTOBER.as_of, &[]).succeed();
    let before = published(&place.job_folder());
    workspace.tags.remove("6");
    let lesser = workspace.serve(plainly);
    let file = place.job(&job, &lesser.base_url);
    for range in [("2026-09", "2026-09"), ("2026-09", "2026-10")] {
        observe_months(&file, range, OCTOBER.as_of, &["--replace"]).finish().check_failure(4, &["2026-09", "partners"]);
        check_same(&published(&place.job_folder()), &before, "what is held of the group");
    }
}

#[test]
fn months_are_cut_in_the_jobs_zone() {
    // A conversation of the last hour of a month in Dublin is one of the next month in Auckland.
    let simulator = Simulator::at(LATE, &[]);
    let place = Place::new();
    let job = Job { timezone: Some("Pacific/Auckland".into()), tags: texts(&["VIP"]), ..Job::empty() }.with_top("profile = []");
    observe_months(&place.job(&job, &simulator.base_url), ("2026-09", "2026-10"), LATE, &[]).succeed();
    // Auckland's clocks go forward on the last Sunday of September.
    let september = Month { start: "2026-08-31T12:00:00Z", end: "2026-09-30T11:00:00Z", ..SEPTEMBER };
    let october = Month { start: "2026-09-30T11:00:00Z", end: "2026-10-31T11:00:00Z", ..OCTOBER };
    for month in [september, october] {
        let found: BTreeSet<String> = place.snapshot_table(month.name, "conversations").texts("conversation_id").into_iter().collect();
        assert_eq!(found, Truth::ask(&simulator, &month, &[]).conversations, "{}", month.name);
    }
}
