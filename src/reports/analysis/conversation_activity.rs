//! How many members opened how many conversations: in fixed buckets, and by the job's own thresholds.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, Source, ratio};
use crate::steps;
use archive::table::{Column as Entry, Kind, Table};

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "conversation_activity",
        row: "a cohort and a measure; no rows if the job does not fetch conversations",
        key: &["month", "cohort_key", "measure", "lower_bound"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("measure", Kind::Text, "`bucket`: a range of conversations; `at_least`: a threshold of the job")
                .one_of(&["bucket", "at_least"]),
            Entry::new("label", Kind::Text, "the bucket or threshold in words: 0, 1, 2, 3-4, 5-9, 10+; 5+"),
            Entry::new("lower_bound", Kind::Count, "the lower end of the bucket (3 for 3-4), or the threshold itself")
                .in_unit("conversations"),
            Entry::new("contacts", Kind::Count, "members who opened that many conversations in the month"),
            Entry::new("contacts_share", Kind::Ratio, "contacts / members of the cohort, 0 to 1").or_null("the cohort is empty"),
            Entry::new("conversations_opened", Kind::Count, "conversations that those members opened").in_unit("conversations"),
        ],
    },
    source: Source::Judged(&[&steps::ACTIVITY], judge),
};

/// For each bucket: its label, and the least and the greatest number of conversations.
const BUCKETS: &[(&str, i64, i64)] = &[("0", 0, 0), ("1", 1, 1), ("2", 2, 2), ("3-4", 3, 4), ("5-9", 5, 9), ("10+", 10, i64::MAX)];

struct Row<'a> {
    cohort: &'a CohortFacts,
    measure: &'static str,
    label: String,
    lower_bound: i64,
    contacts: i64,
    members: i64,
    conversations: i64,
}

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let cohorts: &[CohortFacts] = if facts.has_conversations { &facts.cohorts } else { &[] };
    let histograms = histograms(&tables[0])?;
    let nobody = BTreeMap::new();
    let mut rows = Vec::new();
    for cohort in cohorts {
        let histogram = histograms.get(cohort.cohort_key.as_str()).unwrap_or(&nobody);
        let members = histogram.values().sum();
        let buckets = BUCKETS.iter().map(|(label, least, most)| ("bucket", label.to_string(), *least, *most));
        let thresholds = facts.opened_at_least.iter().map(|least| ("at_least", format!("{least}+"), i64::from(*least), i64::MAX));
        for (measure, label, least, most) in buckets.chain(thresholds) {
            let counted = histogram.range(least..=most);
            let contacts = counted.clone().map(|(_, contacts)| contacts).sum();
            let conversations = counted.map(|(conversations, contacts)| conversations * contacts).sum();
            rows.push(Row { cohort, measure, label, lower_bound: least, contacts, members, conversations });
        }
    }
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); rows.len()]),
        Column::new("cohort_key".into(), rows.iter().map(|row| row.cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), rows.iter().map(|row| row.cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("measure".into(), rows.iter().map(|row| row.measure).collect::<Vec<_>>()),
        Column::new("label".into(), rows.iter().map(|row| row.label.as_str()).collect::<Vec<_>>()),
        Column::new("lower_bound".into(), rows.iter().map(|row| row.lower_bound).collect::<Vec<_>>()),
        Column::new("contacts".into(), rows.iter().map(|row| row.contacts).collect::<Vec<_>>()),
        Column::new("contacts_share".into(), rows.iter().map(|row| ratio(Some(row.contacts), Some(row.members))).collect::<Vec<_>>()),
        Column::new("conversations_opened".into(), rows.iter().map(|row| row.conversations).collect::<Vec<_>>()),
    ];
    DataFrame::new(rows.len(), columns)
}

/// For each cohort: how many contacts opened each number of conversations.
fn histograms(counts: &DataFrame) -> PolarsResult<BTreeMap<&str, BTreeMap<i64, i64>>> {
    let keys = counts.column("cohort_key")?.str()?;
    let conversations = counts.column("conversations")?.i64()?;
    let contacts = counts.column("contacts")?.i64()?;
    let mut histograms: BTreeMap<&str, BTreeMap<i64, i64>> = BTreeMap::new();
    for row in 0..counts.height() {
        if let (Some(key), Some(conversations), Some(contacts)) = (keys.get(row), conversations.get(row), contacts.get(row)) {
            histograms.entry(key).or_default().insert(conversations, contacts);
        }
    }
    Ok(histograms)
}
