//! The promise of calibration, through the whole program: workspaces in which nothing changes but who is there. It is the long form of what
//! `stats::calibration` draws on counts. `just calibrate` runs it; `COHORTS_WORKSPACES` sets the number of workspaces.
//!
//! Members are replaced by contacts who were never there before. Where the same ones come back, `returned` rises as the history gets longer:
//! that is no false direction.

use std::collections::BTreeSet;

use chrono::{Months, NaiveDate};
use serde_json::json;

use crate::support::job::{Job, Place};
use crate::support::program::run;
use crate::support::workspace::{Workspace, contact, contact_id, plainly};

const COHORTS: usize = 10;
const MEMBERS: usize = 150;
/// Contacts who are in no cohort.
const OTHERS: usize = 500;
const MONTHS: u32 = 24;

/// Draws that are the same on every machine (Marsaglia's xorshift).
struct Draws(u64);

impl Draws {
    fn happens(&mut self, percent: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % 100 < percent
    }
}

/// In how many reports, of the 12th month and later ones, there is a direction that is not flat, and an odd month.
fn false_reports(seed: u64, churn: u64) -> [u32; 2] {
    let draws = &mut Draws(seed * 1_000_003 + churn);
    let mut contacts: usize = OTHERS;
    let mut cohorts: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); COHORTS];
    let place = Place::new();
    let job = Job { tags: (0..COHORTS).map(|tag| format!("tag {tag}")).collect(), ..Job::empty() };
    let first = NaiveDate::from_ymd_opt(2023, 1, 1).unwrap();
    let mut found = [0, 0];
    for number in 0..MONTHS {
        for cohort in &mut cohorts {
            cohort.retain(|_| !draws.happens(churn));
            while cohort.len() < MEMBERS {
                cohort.insert(contacts);
                contacts += 1;
            }
        }
        let (month, end) = (first + Months::new(number), first + Months::new(number + 1));
        let as_of = format!("{}T12:00:00Z", end.format("%Y-%m-%d"));
        let seen = month.and_hms_opt(12, 0, 0).unwrap().and_utc().timestamp();
        let made = |number: usize| {
            let mut made = contact(&contact_id(number), 1_600_000_000);
            made["unsubscribed_from_emails"] = json!(number.is_multiple_of(10));
            made
        };
        let present: Vec<usize> = (0..OTHERS).chain(cohorts.iter().flatten().copied()).collect();
        let mut shown: Vec<_> = present.iter().map(|number| made(*number)).collect();
        shown.iter_mut().filter(|_| draws.happens(60)).for_each(|contact| contact["last_seen_at"] = json!(seen));
        let ids = |members: &BTreeSet<usize>| members.iter().map(|number| contact_id(*number)).collect();
        let workspace = Workspace {
            id: "unchanged".to_string(),
            contacts: present.iter().map(|number| contact_id(*number)).zip(shown).collect(),
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
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
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
