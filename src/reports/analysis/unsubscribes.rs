//! Which subscriptions the members of each cohort left.

use polars::prelude::*;

use super::rows::{days_of, rows_where};
use super::{COHORT_KEY, COHORT_NAME, Facts, MONTH, Report, Source, ratio};
use crate::history;
use archive::table::{Column as Entry, Kind, Table};

const NO_RECORD: &str = "nothing to compare with, or the subscriptions of p are not known";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "unsubscribes",
        row: "a cohort and a type of subscription that a member made an explicit choice about; and one for all e-mails",
        key: &["month", "cohort_key", "subscription_id"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("subscription_id", Kind::Text, "Intercom's ID of the type of subscription; empty for all e-mails"),
            Entry::new("subscription_name", Kind::Text, "the name of the type when it was observed; `(all e-mails)` for `unsubscribed_from_emails`"),
            Entry::new("members", Kind::Count, "members of the cohort"),
            Entry::new("opted_out", Kind::Count, "members who opted out of this type of subscription"),
            Entry::new("opted_out_share", Kind::Ratio, "opted_out / members, 0 to 1").or_null("the cohort is empty"),
            Entry::new("newly_opted_out", Kind::Count, "those of opted_out whose record in p does not say so; without a record in p, those who were created since")
                .or_null(NO_RECORD),
            Entry::new(
                "newly_opted_in",
                Kind::Count,
                "members who opted into this type, and whose record in p does not say so; without a record in p, those who were created since; \
                 for all e-mails: who were unsubscribed in p and are not now",
            )
            .or_null(NO_RECORD),
        ],
    },
    source: Source::Judged(&[&history::OPT_OUTS], judge),
};

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let rows = rows_where(&tables[0], days_of(&tables[0], "month")?.into_iter().map(|month| month == facts.first_day()))?;
    let name_of = |key: Option<&str>| {
        let cohort = facts.cohorts.iter().find(|cohort| Some(cohort.cohort_key.as_str()) == key);
        cohort.map(|cohort| cohort.cohort_name.as_str())
    };
    let names: StringChunked = rows.column("cohort_key")?.str()?.iter().map(name_of).collect();
    let shares: Float64Chunked = rows
        .column("opted_out")?
        .i64()?
        .iter()
        .zip(rows.column("members")?.i64()?.iter())
        .map(|(opted_out, members)| ratio(opted_out, members))
        .collect();
    let mut rows = rows;
    rows.with_column(names.with_name("cohort_name".into()).into_column())?;
    rows.with_column(shares.with_name("opted_out_share".into()).into_column())?;
    Ok(rows)
}
