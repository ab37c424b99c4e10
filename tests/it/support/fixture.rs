//! Months that many tests read, created once. Tests that change something use a copy.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::job::{Job, Place, texts};
use super::oracle::Oracle;
use super::program::{Finished, run};
use super::simulator::Simulator;
use super::truth::{AUGUST, JULY, Month, Named, OCTOBER, SEPTEMBER, Truth};

/// Groups of all kinds: names that break CSV or act as formulas, an empty group, one that exists from August on.
pub(crate) const COHORTS: &[Named] = &[
    ("segment:63bbdd50aa01c0ffee000001", "Active"),
    ("segment:63bbdd50aa01c0ffee000002", "New"),
    ("segment:63bbdd50aa01c0ffee000003", "Slipping Away"),
    ("segment:64a1c2f0aa01c0ffee000005", "Leads to call"),
    ("tag:1373897", "value_lead"),
    ("tag:1400074", "VIP"),
    ("tag:1400111", "churn risk"),
    ("tag:1400148", "newsletter, \"weekly\""),
    ("tag:1400185", "webinar-2026"),
    ("tag:1400222", "empty tag"),
    ("tag:1400518", "multi\nline"),
    ("tag:1400555", "+1 referral"),
];

pub(crate) const PROFILE: &[&str] =
    &["role", "country", "browser", "custom_attributes.plan", "custom_attributes.seats", "custom_attributes.newsletter"];
pub(crate) const OPENED_AT_LEAST: &[i64] = &[1, 3, 5];
pub(crate) const MONTHS: [Month; 4] = [JULY, AUGUST, SEPTEMBER, OCTOBER];

/// The job whose cohorts are [`COHORTS`]. Small pages, so that streams have several.
pub(crate) fn job() -> Job {
    let names = |kind: &str| COHORTS.iter().filter(|(key, _)| key.starts_with(kind)).map(|(_, name)| name.to_string()).collect();
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: names("tag"), segments: names("segment"), ..Job::empty() };
    job.with_top(format!("profile = {}", serde_json::to_string(PROFILE).unwrap()))
        .with_top(format!("opened_at_least = {OPENED_AT_LEAST:?}"))
        .with_intercom("page_size = 40")
        .with_all_formats()
}

/// A job with a few groups, for tests that need any month.
pub(crate) fn plain_job() -> Job {
    let job =
        Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["value_lead", "VIP"]), segments: texts(&["Active"]), ..Job::empty() };
    // The page size is so small that the month's conversations have two pages.
    job.with_top("profile = [\"role\", \"custom_attributes.plan\"]").with_intercom("page_size = 20")
}

/// Months and the truth about them. The next test run deletes the folder.
pub(crate) struct Months {
    pub place: Place,
    pub truths: Vec<Truth>,
    pub runs: Vec<Finished>,
}

impl Months {
    pub(crate) fn oracle(&self) -> Oracle<'_> {
        Oracle { months: &self.truths, opened_at_least: OPENED_AT_LEAST, profile: PROFILE }
    }

    pub(crate) fn job_folder(&self) -> PathBuf {
        self.place.job_folder()
    }
}

/// Four months of [`job`], each observed just after its end.
pub(crate) fn four_months() -> &'static Months {
    static MONTHS_MADE: LazyLock<Months> = LazyLock::new(|| {
        let place = Place::kept("four-months");
        let (mut truths, mut runs) = (Vec::new(), Vec::new());
        for month in &MONTHS {
            let simulator = Simulator::at(month.as_of, &[]);
            let file = place.job(&job(), &simulator.base_url);
            // Without `--month`: the default is the last month that has ended.
            runs.push(run(&file, &["--as-of", month.as_of]).succeed());
            truths.push(Truth::ask(&simulator, month, COHORTS));
        }
        Months { place, truths, runs }
    });
    &MONTHS_MADE
}

/// One month of [`plain_job`], which a failing run must not change.
pub(crate) fn one_month() -> &'static Path {
    static MONTH_MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let place = Place::kept("one-month");
        let simulator = Simulator::at(JULY.as_of, &[]);
        let file = place.job(&plain_job(), &simulator.base_url);
        run(&file, &["--as-of", JULY.as_of]).succeed();
        place.job_folder()
    });
    &MONTH_MADE
}
