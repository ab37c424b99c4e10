//! Attributes that are not what one would wish.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::{check_cells, check_sound, finding, job, observe, workspace};
use crate::support::job::{Job, Place, texts};
use crate::support::program::{on, run};
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Row, count};
use crate::support::tree::{check_same, published};
use crate::support::truth::{AUGUST, JULY, OCTOBER, SEPTEMBER};
use crate::support::workspace::Workspace;

/// The profile of the members of tag 5, by attribute and value.
fn profile(place: &Place, month: &str) -> BTreeMap<Vec<String>, Row> {
    let mut rows = place.report(month, "attribute_profile").keyed(&["cohort_key", "attribute", "value"]);
    rows.retain(|key, _| key[0] == "tag:5");
    rows.into_iter().map(|(key, row)| (key[1..].to_vec(), row)).collect()
}

fn key(attribute: &str, value: &str) -> Vec<String> {
    texts(&[attribute, value])
}

/// Contacts of which the even ones are members, with a plan each.
fn with_plans(contacts: usize, plan: impl Fn(usize) -> Value) -> Workspace {
    let members: Vec<usize> = (0..contacts).filter(|number| number % 2 == 0).collect();
    let mut made_up = workspace(contacts, &[("5", "customers", &members)], &[]);
    made_up.attributes = texts(&["plan"]);
    for (number, body) in made_up.contacts.values_mut().enumerate() {
        body["custom_attributes"] = json!({"plan": plan(number)});
    }
    made_up
}

#[test]
fn an_attribute_that_changes_its_type_is_read_as_what_it_is_in_each_month() {
    let place = Place::new();
    let job = job(&["customers"], &[]);
    let months = [JULY, AUGUST, SEPTEMBER, OCTOBER];
    let plans: [&dyn Fn(usize) -> Value; 4] = [
        &|number| json!(number % 4),
        &|number| json!(["free", "pro", "team", "trial"][number % 4]),
        &|number| json!(number % 4 == 0),
        // Numbers, the same numbers as texts, lists and nothing, all in one month.
        &|number| [json!(number % 3), json!((number % 3).to_string()), json!([1, {"deep": null}]), Value::Null][number % 4].clone(),
    ];
    for (month, plan) in months.iter().zip(plans) {
        observe(&place, month, with_plans(40, plan), &job).check_code(0);
    }
    check_sound(&place, &months);
    let plan = "custom_attributes.plan";
    let numeric = |month: &str| {
        let rows = place.report(month, "numeric_profile").rows_by_name().into_iter();
        rows.filter(|row| row["attribute"].shown() == plan).collect::<Vec<_>>()
    };
    let july = numeric("2026-07");
    check_cells(
        &july[0],
        &[("members", count(20)), ("others", count(20)), ("mean", Cell::Ratio(1.0)), ("others_median", Cell::Ratio(2.0))],
    );
    for month in ["2026-08", "2026-09", "2026-10"] {
        assert_eq!(numeric(month), [], "not all values of {month} are numbers");
    }
    // Only in October are some of them numbers: ten are texts and ten are lists.
    let mixed = |month: &str| finding(&place, month, "mixed_attribute", plan);
    assert_eq!([JULY, AUGUST, SEPTEMBER].map(|month| mixed(month.name)), [None, None, None]);
    assert_eq!(mixed("2026-10"), Some(("20".to_string(), "0".to_string())));
    let august = profile(&place, "2026-08");
    check_cells(&august[&key(plan, "free")], &[("members", count(10)), ("others", count(0)), ("previous_share", Cell::Ratio(0.0))]);
    let september = profile(&place, "2026-09");
    check_cells(&september[&key(plan, "true")], &[("members", count(10)), ("member_share", Cell::Ratio(0.5))]);
    // A number and the same digits as a text are one value of the profile, and no number.
    let october = profile(&place, "2026-10");
    let counted: i64 =
        october.iter().filter(|(key, _)| key[0] == plan).map(|(_, row)| row["members"].shown().parse::<i64>().unwrap()).sum();
    assert_eq!(counted, 20, "each member has one value, or none: {october:?}");
    // Of which it is made is decided the same way each time.
    let before = published(&place.job_folder());
    let file = place.job(&job, "http://127.0.0.1:9");
    for threads in ["1", "2", "2"] {
        fs::remove_dir_all(place.job_folder().join("history")).unwrap();
        on(&file, "report", &["--all"]).without_token().variable("POLARS_MAX_THREADS", threads).succeed();
        check_same(&published(&place.job_folder()), &before, "rebuilt");
    }
}

#[test]
fn what_is_a_number_of_users_and_a_text_of_leads_is_no_number() {
    let place = Place::new();
    let job = job(&["customers"], &[]);
    let mut made_up = with_plans(40, |number| if number % 3 == 0 { json!("7") } else { json!(7) });
    made_up.contacts.values_mut().step_by(3).for_each(|body| body["role"] = "lead".into());
    observe(&place, &JULY, made_up, &job).check_code(0);
    check_sound(&place, &[JULY]);
    assert!(place.report("2026-07", "numeric_profile").rows.is_empty());
    check_cells(&profile(&place, "2026-07")[&key("custom_attributes.plan", "7")], &[("members", count(20)), ("others", count(20))]);
}

#[test]
fn of_ten_thousand_values_the_fifty_most_frequent_are_rows_and_the_rest_is_one() {
    let place = Place::new();
    let job = job(&["customers"], &[]);
    // Every contact has a plan of its own, but for the first hundred, who share two.
    let own = |number: usize| match number {
        0..60 => json!("first"),
        60..100 => json!("second"),
        _ => json!(format!("plan {number:05}")),
    };
    observe(&place, &JULY, with_plans(10_000, own), &job).check_code(0);
    check_sound(&place, &[JULY]);
    let plan = "custom_attributes.plan";
    let rows: BTreeMap<_, _> = profile(&place, "2026-07").into_iter().filter(|(key, _)| key[0] == plan).collect();
    // Nobody is without a plan, which is a row or none; ties go by the value.
    let named: Vec<&str> = rows.keys().map(|key| key[1].as_str()).filter(|value| !value.starts_with('(')).collect();
    assert_eq!(named.len(), 50, "{named:?}");
    assert!(named.contains(&"first") && named.contains(&"second") && named.contains(&"plan 00100") && named.contains(&"plan 00147"));
    check_cells(&rows[&key(plan, "first")], &[("members", count(30)), ("others", count(30))]);
    check_cells(&rows[&key(plan, "(other)")], &[("members", count(5_000 - 30 - 20 - 24)), ("others", count(5_000 - 30 - 20 - 24))]);
    let members: i64 = rows.values().map(|row| row["members"].shown().parse::<i64>().unwrap()).sum();
    assert_eq!(members, 5_000, "everybody is in one row");
}

#[test]
fn ten_thousand_numbers_are_described_by_their_quantiles() {
    let place = Place::new();
    let job = job(&["customers"], &[]);
    // Large and small, negative and with fractions.
    let own = |number: usize| json!((number as f64 - 5_000.0) * 1e9 + 0.5);
    observe(&place, &JULY, with_plans(10_000, own), &job).check_code(0);
    check_sound(&place, &[JULY]);
    let numeric = place.report("2026-07", "numeric_profile").rows_by_name();
    check_cells(&numeric[0], &[("members", count(5_000)), ("others", count(5_000)), ("median", Cell::Ratio(-1e9 + 0.5))]);
    assert!(matches!(numeric[0]["cliffs_delta"], Cell::Ratio(delta) if delta < 0.0 && delta > -0.01), "{numeric:?}");
    assert!(matches!(numeric[0]["p_value"], Cell::Ratio(p) if p > 0.5 && p <= 1.0), "{numeric:?}");
}

#[test]
fn a_profile_that_names_what_nobody_has_says_so_and_knows_nothing() {
    let place = Place::new();
    let job = job(&["customers"], &[]);
    let job = Job { top: texts(&["profile = [\"country\", \"custom_attributes.shoe size\", \"custom_attributes.plan\"]"]), ..job };
    for month in [JULY, AUGUST] {
        let finished = observe(&place, &month, with_plans(10, |_| Value::Null), &job);
        finished.check_code(0);
        assert!(finished.stderr.contains("shoe size"), "{}", finished.stderr);
        assert!(finding(&place, month.name, "profile_attribute_unknown", "custom_attributes.shoe size").is_some());
        // The workspace lists the plan, though nobody has one.
        assert_eq!(finding(&place, month.name, "profile_attribute_unknown", "custom_attributes.plan"), None);
    }
    check_sound(&place, &[JULY, AUGUST]);
    let rows = profile(&place, "2026-08");
    for attribute in ["country", "custom_attributes.shoe size", "custom_attributes.plan"] {
        let of_it: Vec<_> = rows.keys().filter(|key| key[0] == attribute).map(|key| key[1].clone()).collect();
        assert_eq!(of_it, ["(unknown)"], "{attribute}");
        let row = &rows[&key(attribute, "(unknown)")];
        check_cells(
            row,
            &[("members", count(5)), ("member_share", Cell::Ratio(1.0)), ("other_share", Cell::Ratio(1.0)), ("lift", Cell::Ratio(1.0))],
        );
        check_cells(row, &[("previous_share", Cell::Ratio(1.0)), ("share_change", Cell::Ratio(0.0))]);
    }
    assert_eq!(place.report("2026-08", "numeric_profile").rows.len(), 0);
}

#[test]
fn values_that_look_like_the_reports_own_words_do_not_merge_with_them() {
    let place = Place::new();
    let job = job(&["customers"], &[]);
    let plan = |number: usize| [json!("(unknown)"), json!("(other)"), Value::Null, json!("")][number % 4].clone();
    observe(&place, &JULY, with_plans(40, plan), &job).check_code(0);
    check_sound(&place, &[JULY]);
    let rows = place.report("2026-07", "attribute_profile").rows_by_name().into_iter();
    let rows = rows.filter(|row| row["attribute"].shown() == "custom_attributes.plan");
    let members: i64 = rows.map(|row| row["members"].shown().parse::<i64>().unwrap()).sum();
    assert_eq!(members, 20, "each member once");
}

#[test]
fn a_contact_that_is_no_json_costs_its_characters_or_its_attribute_in_either_generation() {
    for version in ["2.14", "1.4"] {
        let job = Job { tags: texts(&["value_lead"]), ..Job::empty() }.with_top("profile = [\"role\"]");
        let job = Job { timezone: Some("Europe/Dublin".into()), ..job }.with_intercom(format!("api_version = \"{version}\""));
        let observed = |faults: &[&str]| {
            let (simulator, place) = (Simulator::at(JULY.as_of, faults), Place::new());
            run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
            place
        };
        let ids = |place: &Place| place.snapshot_table("2026-07", "contacts").texts("contact_id");
        let undisturbed = ids(&observed(&[]));
        for (fault, check, text) in [
            ("not_utf8:1", "texts_repaired", Some("before \u{fffd}(\u{fffd}")),
            ("half_character:1", "texts_repaired", Some("before \u{fffd}")),
            ("nested:1", "nested_too_deep", None),
        ] {
            let place = observed(&["--faults", fault]);
            assert_eq!(ids(&place), undisturbed, "{version}, {fault}: everybody came");
            let attributes = place.snapshot_table("2026-07", "attributes").rows_by_name();
            let odd: Vec<String> =
                attributes.iter().filter(|row| row["attribute"].shown() == "odd_text").map(|row| row["value"].shown()).collect();
            assert!(
                odd.iter().all(|value| Some(value.as_str()) == text) && odd.is_empty() == text.is_none(),
                "{version}, {fault}: {odd:?}"
            );
            assert!(attributes.iter().all(|row| row["attribute"].shown() != "odd_nesting"), "{version}, {fault}");
            let (value, expected) = finding(&place, "2026-07", check, "population").unwrap_or_else(|| panic!("{version}, {fault}"));
            assert!(value.parse::<u64>().unwrap() > 0 && expected == "0", "{version}, {fault}: {value}");
        }
    }
}
