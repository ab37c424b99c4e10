//! Months, cohorts and attributes that are not what one would wish: each has a defined result, null where there is none,
//! and no report holds a number that is none.

mod older;
mod values;

use std::collections::BTreeSet;
use std::fs;

use crate::month_end::{REPORTS, check_curve, check_flows, check_movement, check_survival};
use crate::support::job::{Job, Place, texts};
use crate::support::program::{Finished, on, run};
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Row, count, day};
use crate::support::tree::{check_same, published};
use crate::support::truth::{AUGUST, JULY, Month, OCTOBER, SEPTEMBER};
use crate::support::workspace::{Workspace, contact, contact_id, plainly};

const CREATED_AT: i64 = 1_700_000_000;

/// A workspace of so many contacts, with tags and segments of some of them.
fn workspace(contacts: usize, tags: &[(&str, &str, &[usize])], segments: &[(&str, &str, &[usize])]) -> Workspace {
    let groups = |groups: &[(&str, &str, &[usize])]| {
        let group = |(id, name, members): &(&str, &str, &[usize])| {
            (id.to_string(), (name.to_string(), members.iter().map(|number| contact_id(*number)).collect::<BTreeSet<_>>()))
        };
        groups.iter().map(group).collect()
    };
    let ids = (0..contacts).map(contact_id);
    Workspace {
        id: "bad-input".to_string(),
        contacts: ids.map(|id| (id.clone(), contact(&id, CREATED_AT))).collect(),
        tags: groups(tags),
        segments: groups(segments),
        ..Workspace::default()
    }
}

fn job(tags: &[&str], segments: &[&str]) -> Job {
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(tags), segments: texts(segments), ..Job::empty() };
    job.with_top("profile = [\"role\", \"custom_attributes.plan\"]")
}

/// Runs a month of a made-up workspace.
fn observe(place: &Place, month: &Month, workspace: Workspace, job: &Job) -> Finished {
    let server = workspace.serve(plainly);
    run(&place.job(job, &server.base_url), &["--month", month.name, "--as-of", month.as_of]).finish()
}

/// Every number of every report of these months is one, and what comes and goes adds up.
#[track_caller]
fn check_sound(place: &Place, months: &[Month]) {
    for month in months {
        for (name, _) in REPORTS {
            let table = place.report(month.name, name);
            for row in &table.rows {
                for (cell, column) in row.iter().zip(table.names()) {
                    let is_number = !matches!(cell, Cell::Ratio(ratio) if !ratio.is_finite());
                    assert!(is_number, "{name}.{column} of {}: {cell:?} in {row:?}", month.name);
                    let is_negative = matches!(cell, Cell::Count(count) if *count < 0) && !column.contains("change");
                    assert!(!is_negative, "{name}.{column} of {}: {cell:?}", month.name);
                }
            }
        }
        let members = place.report(month.name, "members").rows_by_name();
        place.report(month.name, "cohort_summary").rows_by_name().iter().for_each(|row| check_flows(row, &members));
        let reports = place.reports(month.name);
        [check_survival, check_curve, check_movement].iter().for_each(|check| check(&reports));
    }
}

#[track_caller]
fn summary(place: &Place, month: &str, key: &str) -> Row {
    place
        .report(month, "cohort_summary")
        .keyed(&["cohort_key"])
        .remove(&vec![key.to_string()])
        .unwrap_or_else(|| panic!("{key} in {month}"))
}

#[track_caller]
fn check_cells(row: &Row, cells: &[(&str, Cell)]) {
    for (name, cell) in cells {
        assert!(row[*name].agrees(cell), "`{name}` is {:?}, expected {cell:?}: {row:?}", row[*name]);
    }
}

/// The finding's value and what was expected of it.
fn finding(place: &Place, month: &str, check: &str, subject: &str) -> Option<(String, String)> {
    let rows = place.report(month, "data_quality").rows_by_name();
    let row = rows.into_iter().find(|row| row["check_name"].shown() == check && row["subject"].shown() == subject)?;
    Some((row["value"].shown(), row["expected"].shown()))
}

#[test]
fn across_a_gap_the_nearest_month_is_compared_and_nothing_is_called_a_monthly_change() {
    let place = Place::new();
    let job = job(&["customers"], &[]);
    let months = [JULY, AUGUST, OCTOBER];
    for (month, members) in months.iter().zip([&[0, 1, 2][..], &[1, 2, 3], &[2, 4]]) {
        observe(&place, month, workspace(6, &[("5", "customers", members)], &[]), &job).check_code(0);
    }
    check_sound(&place, &months);
    let october = summary(&place, "2026-10", "tag:5");
    let compared = [("compared_month", Cell::Day(day("2026-08"))), ("retained", count(1)), ("joined", count(1)), ("departed", count(2))];
    check_cells(&october, &compared);

    let trends = place.report("2026-10", "cohort_trends").keyed(&["metric"]);
    let members = &trends[&vec!["members".to_string()]];
    let nothing = ["change", "change_rate", "moving_average_3", "expected", "anomaly_p", "direction"].map(|name| (name, Cell::Null));
    check_cells(members, &nothing);
    check_cells(members, &[("previous_value", Cell::Ratio(3.0)), ("value", Cell::Ratio(2.0)), ("history_months", count(3))]);

    // Ages at the month that is missing are absent: of those of July there are 0, 1 and 3.
    let ages = place.report("2026-10", "retention").rows_by_name().into_iter().filter(|row| row["entry_month"].shown() == "2026-07-01");
    assert_eq!(ages.map(|row| row["age_months"].shown()).collect::<Vec<_>>(), ["0", "1", "3"]);
    // What is counted since August is of two months.
    for metric in ["joined", "returned", "departed", "departed_gone", "churn_rate", "quick_ratio"] {
        check_cells(&trends[&vec![metric.to_string()]], &[("value", Cell::Null), ("change", Cell::Null)]);
    }
    // Whoever entered in August cannot be followed into the month that is missing: nobody is said to have left, nor to have stayed.
    let survival = place.report("2026-10", "membership_survival").rows_by_name();
    assert_eq!(survival, [], "nobody was seen a month after entering");
    // Who is new in October may have entered in September.
    let censored = place.report("2026-10", "retention").rows_by_name().into_iter().filter(|row| row["age_months"] == count(0));
    let censored: Vec<Cell> = censored.map(|row| row["entry_is_censored"].clone()).collect();
    assert_eq!(censored, [true, false, true].map(Cell::Flag));
    let joined = place.report("2026-10", "members").rows_by_name().into_iter().find(|row| row["change"].shown() == "joined").unwrap();
    check_cells(&joined, &[("entered_month", Cell::Null), ("months_in_cohort", count(1))]);
    let change = &place.report("2026-10", "retention_change").rows_by_name()[0];
    check_cells(change, &[("recent_entrants", count(1)), ("earlier_entrants", count(0)), ("hazard_ratio", Cell::Null)]);
    // The month that is missing is named.
    let status = on(&place.job(&job, "http://127.0.0.1:9"), "status", &["--check", "--as-of", OCTOBER.as_of]).finish();
    status.check_code(8);
    assert!(status.stdout.contains("months without a snapshot: 2026-09"), "{}", status.stdout);
}

#[test]
fn a_cohort_that_appears_disappears_and_comes_back_is_compared_with_its_own_months() {
    let place = Place::new();
    let of_both = |members| workspace(6, &[("5", "customers", &[0, 1]), ("6", "partners", members)], &[]);
    let (both, one) = (job(&["customers", "partners"], &[]), job(&["customers"], &[]));
    let months = [JULY, AUGUST, SEPTEMBER, OCTOBER];
    for ((month, members), job) in months.iter().zip([&[0, 1][..], &[1, 2], &[2], &[2, 3]]).zip([&one, &both, &one, &both]) {
        observe(&place, month, of_both(members), job).check_code(0);
    }
    check_sound(&place, &months);
    let keys = |month: &str| place.report(month, "cohort_summary").texts("cohort_key");
    assert_eq!((keys("2026-07"), keys("2026-08"), keys("2026-09")), (texts(&["tag:5"]), texts(&["tag:5", "tag:6"]), texts(&["tag:5"])));
    // Its first month has nothing to compare with, and its members have no known entry.
    check_cells(
        &summary(&place, "2026-08", "tag:6"),
        &[("members", count(2)), ("compared_month", Cell::Null), ("joined", Cell::Null), ("churn_rate", Cell::Null)],
    );
    let changes = |month: &str| {
        let rows = place.report(month, "members").rows_by_name().into_iter();
        rows.filter(|row| row["cohort_key"].shown() == "tag:6").map(|row| row["change"].shown()).collect::<Vec<_>>()
    };
    assert_eq!(changes("2026-08"), ["first_seen", "first_seen"]);
    assert_eq!(changes("2026-10"), ["departed", "retained", "joined"]);
    let compared = [("compared_month", Cell::Day(day("2026-08"))), ("retained", count(1)), ("joined", count(1)), ("departed", count(1))];
    check_cells(&summary(&place, "2026-10", "tag:6"), &compared);
    // In the month without it no report knows it.
    for (name, columns) in REPORTS {
        if columns.iter().any(|(column, _)| *column == "cohort_key") {
            assert!(!place.report("2026-09", name).texts("cohort_key").contains(&"tag:6".to_string()), "{name}");
        }
    }
    let moves = place.report("2026-09", "movement").rows_by_name();
    assert!(moves.is_empty(), "nobody has left a cohort because the job no longer names it: {moves:?}");
}

#[test]
fn a_renamed_cohort_goes_on_and_one_that_turns_from_tag_to_segment_is_another() {
    let place = Place::new();
    let members: &[usize] = &[0, 1, 2];
    let tagged = job(&["customers"], &[]);
    observe(&place, &JULY, workspace(5, &[("5", "customers", members)], &[]), &tagged).check_code(0);
    let renamed = observe(&place, &AUGUST, workspace(5, &[("5", "clients", members)], &[]), &tagged);
    renamed.check_code(0);
    assert!(renamed.stderr.contains("clients"), "{}", renamed.stderr);
    check_cells(&summary(&place, "2026-08", "tag:5"), &[("retained", count(3)), ("joined", count(0)), ("departed", count(0))]);
    assert_eq!(summary(&place, "2026-08", "tag:5")["cohort_name"].shown(), "clients");
    assert_eq!(finding(&place, "2026-08", "group_renamed", "tag:5"), Some(("clients".to_string(), "customers".to_string())));
    let names = place.report("2026-08", "retention").texts("cohort_name");
    assert!(names.iter().all(|name| name == "clients"), "one name a month: {names:?}");

    // A segment with the ID and the name that the tag had.
    let both = workspace(5, &[("5", "clients", members)], &[("5", "customers", &[1, 2, 3])]);
    observe(&place, &SEPTEMBER, both, &job(&[], &["customers"])).check_code(0);
    check_sound(&place, &[JULY, AUGUST, SEPTEMBER]);
    let keys = place.report("2026-09", "cohort_summary").texts("cohort_key");
    assert_eq!(keys, ["segment:5"]);
    let segment = summary(&place, "2026-09", "segment:5");
    check_cells(&segment, &[("members", count(3)), ("compared_month", Cell::Null), ("joined", Cell::Null), ("retained", Cell::Null)]);
    assert!(place.report("2026-09", "members").texts("change").iter().all(|change| change == "first_seen"));
    assert!(place.report("2026-09", "movement").rows.is_empty());
    assert_eq!(finding(&place, "2026-09", "group_renamed", "segment:5"), None);
}

#[test]
fn a_month_with_nobody_in_it_has_counts_of_nothing_and_shares_of_none() {
    let place = Place::new();
    let job = job(&["customers", "partners"], &[]);
    let months = [JULY, AUGUST, SEPTEMBER, OCTOBER];
    let members: [(usize, &[usize]); 4] = [(4, &[0, 1]), (4, &[]), (0, &[]), (4, &[0, 3])];
    for (month, (contacts, members)) in months.iter().zip(members) {
        observe(&place, month, workspace(contacts, &[("5", "customers", members), ("6", "partners", &[])], &[]), &job).check_code(0);
    }
    check_sound(&place, &months);
    let emptied = [("members", count(0)), ("departed", count(2)), ("churn_rate", Cell::Ratio(1.0)), ("opener_rate", Cell::Null)];
    check_cells(&summary(&place, "2026-08", "tag:5"), &emptied);
    let empty = [
        ("members", count(0)),
        ("compared_month", Cell::Day(day("2026-08"))),
        ("previous_members", count(0)),
        ("growth_rate", Cell::Null),
        ("retention_rate", Cell::Null),
        ("quick_ratio", Cell::Null),
        ("unsubscribed_rate", Cell::Null),
    ];
    check_cells(&summary(&place, "2026-09", "tag:5"), &empty);
    check_cells(&summary(&place, "2026-10", "tag:5"), &[("joined", count(2)), ("returned", count(1)), ("growth_rate", Cell::Null)]);
    for (month, population) in [("2026-08", 4), ("2026-09", 0)] {
        for row in place.report(month, "attribute_profile").rows_by_name() {
            check_cells(&row, &[("members", count(0)), ("member_share", Cell::Null), ("lift", Cell::Null), ("odds_ratio", Cell::Null)]);
        }
        let overlap = place.report(month, "overlap").rows_by_name().remove(0);
        check_cells(&overlap, &[("in_either", count(0)), ("jaccard", Cell::Null), ("share_of_a", Cell::Null), ("lift", Cell::Null)]);
        assert_eq!(place.snapshot_table(month, "contacts").rows.len(), population);
    }
    let never = place.report("2026-10", "retention").rows_by_name().into_iter().filter(|row| row["cohort_key"].shown() == "tag:6");
    for row in never {
        check_cells(&row, &[("entrants", count(0)), ("retention_rate", Cell::Null), ("rate_low", Cell::Null), ("rate_high", Cell::Null)]);
    }
}

#[test]
fn a_cohort_that_is_the_whole_population_has_nobody_to_be_compared_with() {
    let everyone: Vec<usize> = (0..40).collect();
    let groups: [(&str, &str, &[usize]); 2] = [("5", "all of them", &everyone), ("6", "some", &[1, 2, 3])];
    let mut made_up = workspace(40, &groups, &[]);
    made_up.attributes = texts(&["plan", "seats"]);
    for (number, body) in made_up.contacts.values_mut().enumerate() {
        body["custom_attributes"] = serde_json::json!({"plan": if number % 3 == 0 { "pro" } else { "free" }, "seats": number});
    }
    for population in ["everyone", "tag:all of them", "cohorts"] {
        let place = Place::new();
        let mut job = job(&["all of them", "some"], &[]).with_top(format!("population = \"{population}\""));
        job.top[0] = "profile = [\"role\", \"custom_attributes.plan\", \"custom_attributes.seats\"]".to_string();
        for month in [JULY, AUGUST] {
            observe(&place, &month, made_up.clone(), &job).check_code(0);
        }
        check_sound(&place, &[JULY, AUGUST]);
        let all = |report: &str| {
            let rows = place.report("2026-08", report).rows_by_name().into_iter();
            rows.filter(|row| row["cohort_key"].shown() == "tag:5").collect::<Vec<_>>()
        };
        let null = ["other_share", "lift", "lift_low", "lift_high", "odds_ratio", "odds_low", "odds_high", "p_value", "q_value"]
            .map(|name| (name, Cell::Null));
        let profile = all("attribute_profile");
        assert!(!profile.is_empty(), "{population}");
        for row in profile {
            check_cells(&row, &[("others", count(0))]);
            check_cells(&row, &null);
            assert_ne!(row["member_share"], Cell::Null, "{row:?}");
        }
        let numbers = all("numeric_profile");
        assert_eq!(numbers.len(), 1, "{population}");
        let null = ["others_median", "cliffs_delta", "delta_low", "delta_high", "p_value", "q_value"].map(|name| (name, Cell::Null));
        check_cells(&numbers[0], &[("members", count(40)), ("others", count(0)), ("median", Cell::Ratio(19.5))]);
        check_cells(&numbers[0], &null);
        let overlap = place.report("2026-08", "overlap").rows_by_name().remove(0);
        let lift = if population == "cohorts" { Cell::Null } else { Cell::Ratio(1.0) };
        check_cells(&overlap, &[("in_both", count(3)), ("share_of_b", Cell::Ratio(1.0)), ("lift", lift)]);
    }
}

#[test]
fn a_bulk_tag_on_everyone_is_a_cohort_like_any_other() {
    let simulator = Simulator::at(SEPTEMBER.as_of, &["--big-tag", "100000"]);
    let place = Place::new();
    let job = job(&["bulk import", "VIP"], &["Active"]).with_top("population = \"tag:bulk import\"");
    run(&place.job(&job, &simulator.base_url), &["--as-of", SEPTEMBER.as_of]).succeed();
    check_sound(&place, &[SEPTEMBER]);
    let all = place.report("2026-09", "cohort_summary").rows_by_name().into_iter().find(|row| row["cohort_name"].shown() == "bulk import");
    let created = simulator.contacts().iter().filter(|contact| contact["created_at"].as_i64().unwrap() < 1_790_809_200).count();
    assert_eq!(all.unwrap()["members"], count(created as i64));
    // Population and cohort are one stream, and a rebuild gives the same bytes.
    let before = published(&place.job_folder());
    fs::remove_dir_all(place.job_folder().join("history")).unwrap();
    on(&place.job(&job, "http://127.0.0.1:9"), "report", &["--all"]).without_token().succeed();
    check_same(&published(&place.job_folder()), &before, "rebuilt");
}
