use chrono::NaiveDate;
use polars::prelude::*;

use super::*;
use crate::analysis::{ExpectedMonth, OddMonth};
use crate::digest::{Digest, Tables};
use domain::Month;

const COHORTS: usize = 500;
const MONTHS: i64 = 60;
/// A name of the maximum length in Intercom.
const LONG: usize = 255;

fn now() -> Month {
    "2026-10".parse().unwrap()
}

fn key(cohort: usize) -> String {
    format!("tag:{cohort:05}")
}

fn name(cohort: usize) -> String {
    format!("{cohort:05} {}", "ß&".repeat(LONG / 2))
}

/// A table with `each` rows for each cohort, and these columns.
struct Made {
    each: usize,
    columns: Vec<Column>,
}

impl Made {
    fn new(each: usize) -> Made {
        let made = Made { each, columns: vec![Column::new("month".into(), vec![now().first_day(); COHORTS * each])] };
        made.texts(&["cohort_key"], |cohort, _| key(cohort)).texts(&["cohort_name"], |cohort, _| name(cohort))
    }

    /// The cohort of each row, and the number of the row within the cohort.
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let each = self.each;
        (0..COHORTS * each).map(move |row| (row / each, row % each))
    }

    fn counts(mut self, names: &[&str], value: impl Fn(usize, usize) -> i64) -> Made {
        let values: Vec<i64> = self.rows().map(|(cohort, row)| value(cohort, row)).collect();
        self.columns.extend(names.iter().map(|name| Column::new((*name).into(), &values)));
        self
    }

    fn ratios(mut self, names: &[&str], value: f64) -> Made {
        self.columns.extend(names.iter().map(|name| Column::new((*name).into(), vec![value; COHORTS * self.each])));
        self
    }

    fn texts(mut self, names: &[&str], value: impl Fn(usize, usize) -> String) -> Made {
        let values: Vec<String> = self.rows().map(|(cohort, row)| value(cohort, row)).collect();
        self.columns.extend(names.iter().map(|name| Column::new((*name).into(), &values)));
        self
    }

    fn days(mut self, name: &str, value: impl Fn(usize) -> NaiveDate) -> Made {
        let values: Vec<NaiveDate> = self.rows().map(|(_, row)| value(row)).collect();
        self.columns.push(Column::new(name.into(), values));
        self
    }

    fn instants(mut self, name: &str) -> Made {
        let nulls = vec![None::<chrono::NaiveDateTime>; COHORTS * self.each];
        self.columns.push(Column::new(name.into(), nulls));
        self
    }

    fn flags(mut self, name: &str) -> Made {
        self.columns.push(Column::new(name.into(), vec![false; COHORTS * self.each]));
        self
    }

    fn frame(self) -> DataFrame {
        DataFrame::new(COHORTS * self.each, self.columns).unwrap()
    }
}

/// The tables of a job with five hundred cohorts in its sixtieth month, with everything that a page can show of them.
fn large() -> Tables {
    let back = |row: usize| Month::from_index(now().index() - MONTHS + 1 + row as i64).first_day();
    let mut tables = Tables::default();
    let flows = ["joined", "departed", "unsubscribed", "newly_unsubscribed"];
    let counts = Made { each: MONTHS as usize, columns: Vec::new() };
    let counts =
        counts.texts(&["cohort_key"], |cohort, _| key(cohort)).days("month", back).flags("in_history").instants("definition_updated_at");
    tables.add(
        "counts",
        counts.counts(&["members"], |cohort, row| (cohort * 1_000 + row) as i64).counts(&flows, |_, row| 1_234_567 + row as i64).frame(),
    );
    let summary = Made::new(1).texts(&["cohort_kind"], |_, _| "segment".to_string()).texts(&["basis"], |_, _| "late".to_string());
    let summary = summary
        .instants("observed_at")
        .counts(&["members"], |cohort, _| cohort as i64 * 1_000)
        .days("compared_month", |_| now().previous().first_day());
    let summary = summary.counts(&["previous_members", "joined", "departed", "openers", "unsubscribed"], |_, _| 1_234_567);
    tables.add("cohort_summary", summary.ratios(&["growth_rate", "churn_rate"], 0.123_456_789).frame());
    let trends = Made::new(1).texts(&["metric"], |_, _| "members".to_string()).texts(&["direction"], |_, _| "rising".to_string());
    let trends = trends.ratios(&["change", "value", "slope_per_month", "trend_q"], 0.012_345_678_9);
    let trends = trends.ratios(&["expected", "expected_low", "expected_high"], 1_234.567_8);
    tables.add("cohort_trends", trends.flags("is_anomaly").frame());
    // Each entry month with all ages up to now.
    let triangle: Vec<(usize, i64)> =
        (0..MONTHS as usize).flat_map(|entry| (0..MONTHS - entry as i64).map(move |age| (entry, age))).collect();
    let (entries, ages) = (triangle.clone(), triangle.clone());
    let retention =
        Made::new(triangle.len()).days("entry_month", move |row| back(entries[row].0)).counts(&["age_months"], move |_, row| ages[row].1);
    let retention = retention.counts(&["entrants", "retained"], |_, _| 1_234_567).flags("entry_is_censored");
    tables.add("retention", retention.ratios(&["retention_rate", "rate_low", "rate_high"], 0.123_456_789).frame());
    let survival = Made::new(MONTHS as usize).counts(&["duration_months"], |_, row| row as i64 + 1);
    let survival = survival.counts(&["at_risk", "departed", "censored", "resumed"], |_, _| 1_234_567);
    tables.add("membership_survival", survival.ratios(&["hazard", "survival", "survival_low", "survival_high"], 0.123_456_789_012).frame());
    let curve = Made::new(MONTHS as usize).counts(&["age_months"], |_, row| row as i64);
    let curve = curve.counts(&["entry_months", "entrants", "retained", "retained_unbroken"], |_, _| 1_234_567);
    tables.add("retention_curve", curve.ratios(&["retention_rate", "rate_low", "rate_high"], 0.123_456_789).frame());
    tables.add(
        "retention_change",
        Made::new(1).counts(&["recent_departed"], |_, _| 12).ratios(&["recent_expected", "hazard_ratio", "q_value"], 0.012_345).frame(),
    );
    let activity = Made::new(8).texts(&["measure"], |_, _| "bucket".to_string()).texts(&["label"], |_, row| row.to_string());
    tables.add(
        "conversation_activity",
        activity.counts(&["contacts", "conversations_opened"], |_, _| 1_234_567).ratios(&["contacts_share"], 0.1).frame(),
    );
    let of_type = |row: usize| row / MONTHS as usize;
    let opt_outs = Made { each: 6 * MONTHS as usize, columns: Vec::new() }.texts(&["cohort_key"], |cohort, _| key(cohort));
    let opt_outs = opt_outs.days("month", move |row| back(row % MONTHS as usize));
    let opt_outs = opt_outs.texts(&["subscription_id"], move |_, row| of_type(row).to_string());
    let opt_outs = opt_outs.texts(&["subscription_name"], move |_, row| format!("{} {}", of_type(row), "<".repeat(LONG)));
    tables.add("opt_outs", opt_outs.counts(&["opted_out", "newly_opted_out"], |_, row| 1_234_567 + row as i64).frame());
    let profile = Made::new(51).texts(&["attribute"], |_, _| "custom_attributes.".to_string() + &"ü".repeat(LONG));
    let profile =
        profile.texts(&["value"], |_, row| format!("{row} {}", "<".repeat(LONG))).counts(&["members"], |_, row| 1_000_000 + row as i64);
    let profile = profile.counts(&["members_known"], |_, _| 5_000_000).counts(&["others_known"], |_, _| 9_000_000);
    let profile = profile.counts(&["others"], |_, row| (51 - row as i64) * 100_000);
    let profile = profile.ratios(&["member_share", "previous_share", "other_share"], 0.123_456_789).ratios(&["lift"], 6.789_012);
    tables.add(
        "attribute_profile",
        profile.ratios(&["lift_low"], 6.012_345).ratios(&["lift_high"], 7.012_345).ratios(&["q_value"], 0.001_234).frame(),
    );
    let numbers = Made::new(5).texts(&["attribute"], |_, row| format!("{row} {}", "ü".repeat(LONG))).counts(&["members"], |_, _| 1_234_567);
    tables.add(
        "numeric_profile",
        numbers
            .ratios(&["median", "others_median", "q_value"], 0.012_345_678_9)
            .ratios(&["cliffs_delta", "delta_low", "delta_high"], 0.567_89)
            .frame(),
    );
    tables.add("unsubscribes", crate::analysis::Report::named("unsubscribes").unwrap().table.empty());
    tables.add("followed", crate::steps::FOLLOWED.empty());
    tables.add("overlap", pairs());
    tables.add("movement", ways());
    let quality = Made::new(3)
        .texts(&["severity"], |_, _| "warning".to_string())
        .texts(&["check_name"], |_, _| "a_check".to_string())
        .texts(&["subject"], |cohort, _| key(cohort));
    tables.add(
        "data_quality",
        quality.texts(&["value", "expected"], |_, _| "1234567".to_string()).texts(&["detail"], |_, _| "why ".repeat(40)).frame(),
    );
    tables
}

fn pairs() -> DataFrame {
    let pairs: Vec<(usize, usize)> = (0..COHORTS).flat_map(|a| (a + 1..COHORTS).map(move |b| (a, b))).collect();
    let column = |name: &str, of: &dyn Fn(&(usize, usize)) -> String| Column::new(name.into(), pairs.iter().map(of).collect::<Vec<_>>());
    let ratios = ["share_of_a", "share_of_b", "lift"].map(|name| Column::new(name.into(), vec![0.123_456_789; pairs.len()]));
    let mut columns = vec![
        column("cohort_a", &|(a, _)| key(*a)),
        column("cohort_a_name", &|(a, _)| name(*a)),
        column("cohort_b", &|(_, b)| key(*b)),
        column("cohort_b_name", &|(_, b)| name(*b)),
        Column::new("in_both".into(), vec![1_234_567_i64; pairs.len()]),
    ];
    columns.extend(ratios);
    DataFrame::new(pairs.len(), columns).unwrap()
}

fn ways() -> DataFrame {
    let ways: Vec<(usize, usize)> = (0..100).flat_map(|a| (100..200).map(move |b| (a, b))).collect();
    let column = |name: &str, of: &dyn Fn(&(usize, usize)) -> String| Column::new(name.into(), ways.iter().map(of).collect::<Vec<_>>());
    let columns = vec![
        column("from_cohort", &|(a, _)| key(*a)),
        column("from_name", &|(a, _)| name(*a)),
        column("to_cohort", &|(_, b)| key(*b)),
        column("to_name", &|(_, b)| name(*b)),
        Column::new("contacts".into(), (0..ways.len() as i64).collect::<Vec<_>>()),
        Column::new("previous_members".into(), vec![1_234_567_i64; ways.len()]),
        Column::new("share_of_from".into(), vec![0.123_456_789; ways.len()]),
    ];
    DataFrame::new(ways.len(), columns).unwrap()
}

fn members() -> DataFrame {
    let members = Made::new(40).texts(&["contact_id", "name", "email", "country"], |_, row| format!("{row} {}", "ü".repeat(100)));
    let members =
        members.texts(&["role"], |_, _| "user".to_string()).texts(&["change"], |_, row| ["retained", "joined"][row % 2].to_string());
    members.days("entered_month", |_| now().first_day()).counts(&["conversations_opened"], |_, row| row as i64).frame()
}

fn expected(place: usize) -> ExpectedMonth {
    let month = Month::from_index(now().index() - (place % MONTHS as usize) as i64);
    ExpectedMonth { cohort_key: key(place / MONTHS as usize), month, metric: "members", low: -1.5, high: 1_234_567.8 }
}

fn about() -> About {
    About {
        job: "large".to_string(),
        month: now(),
        observed_at: chrono::DateTime::UNIX_EPOCH,
        timezone: "Europe/Dublin".to_string(),
        population: "everyone".to_string(),
        odd_months: (0..COHORTS).map(|cohort| OddMonth { cohort_key: key(cohort), month: now(), metric: "members" }).collect(),
        expected_months: (0..COHORTS * MONTHS as usize).map(expected).collect(),
        changed_definitions: Vec::new(),
        notable_series: Vec::new(),
    }
}

#[test]
fn a_page_of_a_large_job_can_still_be_mailed() {
    let tables = large();
    let digest = Digest::of(now(), &tables).unwrap();
    let people = some_members(&members()).unwrap();
    let html = month(&about(), &digest, &tables, Some(&people)).unwrap();
    assert!(html.len() < 3_000_000, "{} bytes", html.len());
    // The page says what it leaves out.
    for sentence in [
        "100 more cohorts are in the report",
        " smaller cohorts have no section here",
        "The 10 largest cohorts are drawn by themselves, 490 others as one.",
        "9960 more are in the report movement",
        "1300 more are in the report",
        "The band is what the months before let expect",
        "2 more types are in the report unsubscribes",
    ] {
        assert!(html.contains(sentence), "{sentence}");
    }
    assert!(html.contains("odd"));
}

#[test]
fn some_members_are_those_who_joined_or_departed_and_those_with_most_conversations() {
    let people = some_members(&members()).unwrap();
    assert_eq!(people.height(), COHORTS * 25);
    let first = people.head(Some(25));
    let changes: Vec<&str> = first.column("change").unwrap().str().unwrap().iter().flatten().collect();
    assert_eq!((changes[..20].to_vec(), changes[20..].to_vec()), (vec!["joined"; 20], vec!["retained"; 5]));
    let opened: Vec<i64> = first.column("conversations_opened").unwrap().i64().unwrap().iter().flatten().collect();
    assert_eq!((opened[0], opened[19], opened[20], opened[24]), (39, 1, 38, 30));
}
