//! The promise of calibration, through the whole program: workspaces in which nothing changes but who is there. The long form of what
//! `stats::calibration` draws on counts; `just calibrate` runs it, with as many workspaces as `COHORTS_WORKSPACES` says.

use std::collections::BTreeSet;

use chrono::{Months, NaiveDate};
use serde_json::json;

use crate::support::job::{Job, Place};
use crate::support::program::run;
use crate::support::workspace::{Workspace, contact, contact_id, plainly};

const COHORTS: usize = 10;
const MEMBERS: usize = 150;
const CONTACTS: usize = 1_500;
const MONTHS: u32 = 24;

/// Draws that are the same on every machine (Marsaglia's xorshift).
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % limit as u64) as usize
    }

    fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// In how many reports, of the 12th month and later ones, there is a direction that is not flat, and an odd month.
fn false_reports(seed: u64, churn: usize) -> [u32; 2] {
    let draws = &mut Draws(seed * 1_000_003 + churn as u64);
    let unsubscribed: Vec<bool> = (0..CONTACTS).map(|_| draws.happens(10)).collect();
    let mut cohorts: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); COHORTS];
    let place = Place::new();
    let job = Job { tags: (0..COHORTS).map(|tag| format!("tag {tag}")).collect(), ..Job::empty() };
    let first = NaiveDate::from_ymd_opt(2023, 1, 1).unwrap();
    let mut found = [0, 0];
    for number in 0..MONTHS {
        for cohort in &mut cohorts {
            cohort.retain(|_| !draws.happens(churn));
            while cohort.len() < MEMBERS {
                cohort.insert(draws.below(CONTACTS));
            }
        }
        let (month, end) = (first + Months::new(number), first + Months::new(number + 1));
        let as_of = format!("{}T12:00:00Z", end.format("%Y-%m-%d"));
        let seen = month.and_hms_opt(12, 0, 0).unwrap().and_utc().timestamp();
        let made = |number: usize| {
            let mut made = contact(&contact_id(number), 1_600_000_000);
            made["unsubscribed_from_emails"] = json!(unsubscribed[number]);
            made
        };
        let mut contacts: Vec<_> = (0..CONTACTS).map(made).collect();
        contacts.iter_mut().filter(|_| draws.happens(60)).for_each(|contact| contact["last_seen_at"] = json!(seen));
        let ids = |members: &BTreeSet<usize>| members.iter().map(|number| contact_id(*number)).collect();
        let workspace = Workspace {
            id: "unchanged".to_string(),
            contacts: (0..CONTACTS).map(contact_id).zip(contacts).collect(),
            tags: cohorts.iter().enumerate().map(|(tag, members)| (format!("{}", 5 + tag), (format!("tag {tag}"), ids(members)))).collect(),
            ..Workspace::default()
        };
        let server = workspace.serve(plainly);
        let name = month.format("%Y-%m").to_string();
        run(&place.job(&job, &server.base_url), &["--month", &name, "--as-of", &as_of]).succeed();
        if number >= 11 {
            let trends = place.report(&name, "cohort_trends").rows_by_name();
            found[0] += u32::from(trends.iter().any(|row| ["rising", "falling"].contains(&row["direction"].shown().as_str())));
            found[1] += u32::from(trends.iter().any(|row| row["is_anomaly"].shown() == "true"));
        }
    }
    found
}

#[test]
#[ignore = "a quarter of an hour: `just calibrate`"]
fn few_reports_of_workspaces_that_do_not_change_have_a_direction_or_an_odd_month() {
    let workspaces: u64 = std::env::var("COHORTS_WORKSPACES").map_or(10, |count| count.parse().unwrap());
    let reports = workspaces as f64 * f64::from(MONTHS - 11);
    for churn in [2, 10, 50] {
        let mut sum = [0, 0];
        for seed in 1..=workspaces {
            let found = false_reports(seed, churn);
            sum = [sum[0] + found[0], sum[1] + found[1]];
        }
        let [directed, odd] = sum.map(|count| f64::from(count) / reports);
        println!("{churn} % leave a month: {directed:.3} of {reports} reports have a false direction, {odd:.3} a false anomaly");
        assert!(directed <= 1.0 / 5.0 && odd <= 1.0 / 8.0);
    }
}
