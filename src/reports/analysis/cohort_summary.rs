//! One row for each cohort: its size, who joined and departed, what members did.

use polars::prelude::*;

use super::metrics::{COUNTS, RATES, Rate};
use super::rows::{days_of, rows_where};
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, Source, ratio};
use crate::history;
use archive::table::{Column as Entry, Kind, Table, instants};

const NO_COMPARISON: &str = "nothing to compare with: the cohort's first month, or the basis is not month_end";
const NO_FATES: &str =
    "departed_gone is null; or the API does not distinguish merged contacts from deleted ones (before 2.16); or some were not asked for";
const NO_CONVERSATIONS: &str = "the job does not fetch conversations";

pub(super) const REPORT: Report =
    Report {
        table: Table {
            name: "cohort_summary",
            row: "a cohort",
            key: &["month", "cohort_key"],
            columns: &[
                MONTH,
                COHORT_KEY,
                COHORT_NAME,
                Entry::new("cohort_kind", Kind::Text, "`tag`, `segment` or `rule`").one_of(&["tag", "segment", "rule"]),
                Entry::new("cohort_id", Kind::Text, "Intercom's ID of the tag or segment; a rule's name"),
                Entry::new("basis", Kind::Text, "how the membership was observed: month_end, late, reconstructed or preliminary")
                    .one_of(&["month_end", "late", "reconstructed", "preliminary"]),
                Entry::new("observed_at", Kind::Instant, "time of the last page of the cohort"),
                Entry::new("members", Kind::Count, "contacts in the cohort that were created before the month's end"),
                Entry::new("users", Kind::Count, "members with the role user"),
                Entry::new("leads", Kind::Count, "members with the role lead"),
                Entry::new("intercom_count", Kind::Count, "the total that the API gave for the group").or_null("the API gave none"),
                Entry::new("new_contacts", Kind::Count, "members created in the month"),
                Entry::new("active_members", Kind::Count, "members last seen at or after the month's start")
                    .or_null("the basis is not month_end"),
                Entry::new("openers", Kind::Count, "members who opened a conversation in the month").or_null(NO_CONVERSATIONS),
                Entry::new("conversations_opened", Kind::Count, "conversations of the month that a member opened")
                    .in_unit("conversations")
                    .or_null(NO_CONVERSATIONS),
                Entry::new("unsubscribed", Kind::Count, "members unsubscribed from e-mails"),
                Entry::new("hard_bounced", Kind::Count, "members whose e-mails bounced permanently"),
                Entry::new("marked_spam", Kind::Count, "members who marked an e-mail as spam"),
                Entry::new("compared_month", Kind::Day, "p: the nearest earlier month observed at its end").or_null(NO_COMPARISON),
                Entry::new("previous_members", Kind::Count, "members in p").or_null(NO_COMPARISON),
                Entry::new("retained", Kind::Count, "members in both months").or_null(NO_COMPARISON),
                Entry::new("joined", Kind::Count, "members now who were not members in p, also those who returned").or_null(NO_COMPARISON),
                Entry::new("returned", Kind::Count, "joined members who were members in a month before p").or_null(NO_COMPARISON),
                Entry::new("departed", Kind::Count, "members in p who are not members now").or_null(NO_COMPARISON),
                Entry::new("departed_gone", Kind::Count, "departed members who are no longer in the workspace")
                    .or_null("nothing to compare with, or the population is not everyone"),
                Entry::new("departed_deleted", Kind::Count, "departed_gone, less those who were merged into another contact")
                    .or_null(NO_FATES),
                Entry::new("departed_merged", Kind::Count, "those of departed_gone whose record was merged into another contact")
                    .or_null(NO_FATES),
                Entry::new("net_change", Kind::Count, "members - previous_members").or_null(NO_COMPARISON),
                Entry::new("newly_unsubscribed", Kind::Count, "members who are unsubscribed now, and were not in p or were created since")
                    .or_null(NO_COMPARISON),
                Entry::new("converted_leads", Kind::Count, "members who are users now and were leads in p").or_null(NO_COMPARISON),
                Entry::new("growth_rate", Kind::Ratio, "net_change / previous_members")
                    .in_unit("ratio")
                    .or_null("previous_members is 0 or null"),
                Entry::new("retention_rate", Kind::Ratio, "retained / previous_members, 0 to 1").or_null("previous_members is 0 or null"),
                Entry::new("churn_rate", Kind::Ratio, "departed / previous_members, 0 to 1").or_null("previous_members is 0 or null"),
                Entry::new("quick_ratio", Kind::Ratio, "joined / departed").in_unit("ratio").or_null("departed is 0 or null"),
                Entry::new("active_rate", Kind::Ratio, "active_members / members, 0 to 1")
                    .or_null("members is 0, or active_members is null"),
                Entry::new("opener_rate", Kind::Ratio, "openers / members, 0 to 1").or_null("members is 0, or openers is null"),
                Entry::new("unsubscribed_rate", Kind::Ratio, "unsubscribed / members, 0 to 1").or_null("members is 0"),
            ],
        },
        source: Source::Judged(&[&history::COUNTS], judge),
    };

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let cohorts = &facts.cohorts;
    // The table of counts has one row for each cohort, and both the table and `cohorts` are sorted by key.
    let counts = rows_where(&tables[0], days_of(&tables[0], "month")?.into_iter().map(|month| month == facts.first_day()))?;
    polars_ensure!(counts.height() == cohorts.len(), ShapeMismatch: "{} cohorts, {} rows of counts", cohorts.len(), counts.height());
    let rate = |rate: &Rate| -> PolarsResult<Column> {
        let (part, whole) = (counts.column(rate.part)?.i64()?, counts.column(rate.whole)?.i64()?);
        let values: Float64Chunked = part.iter().zip(whole.iter()).map(|(part, whole)| ratio(part, whole)).collect();
        Ok(values.with_name(rate.name.into()).into_column())
    };
    let texts = |name: &str, value: fn(&CohortFacts) -> &str| Column::new(name.into(), cohorts.iter().map(value).collect::<Vec<_>>());
    let mut columns = vec![
        Column::new("month".into(), vec![facts.first_day(); cohorts.len()]),
        texts("cohort_key", |cohort| &cohort.cohort_key),
        texts("cohort_name", |cohort| &cohort.cohort_name),
        texts("cohort_kind", |cohort| &cohort.cohort_kind),
        texts("cohort_id", |cohort| &cohort.cohort_id),
        texts("basis", |cohort| cohort.basis.as_str()),
        instants("observed_at", cohorts.iter().map(|cohort| Some(cohort.observed_at))),
        Column::new(
            "compared_month".into(),
            cohorts.iter().map(|cohort| cohort.compared_month.map(|month| month.first_day())).collect::<Vec<_>>(),
        ),
    ];
    for name in COUNTS {
        columns.push(counts.column(name)?.clone());
    }
    for one in RATES {
        columns.push(rate(one)?);
    }
    DataFrame::new(cohorts.len(), columns)
}
