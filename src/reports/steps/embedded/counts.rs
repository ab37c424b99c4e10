//! The step `counts`, without its SQL. In a small month, the planning of its sixty expressions would take longer than all other counting.

use polars::prelude::*;

use super::super::tables::{COHORTS, COUNTS_BEFORE, RELATIONS, SIZES};
use crate::history::COUNTS;
use archive::engine::Polars;
use archive::table::{Rows, in_order};

/// The columns of `sizes` that are summed over the signatures of a cohort's members, and their names in `counts`.
const OF_MEMBERS: [(&str, &str); 10] = [
    ("contacts", "members"),
    ("users", "users"),
    ("leads", "leads"),
    ("new_contacts", "new_contacts"),
    ("active_members", "active_members"),
    ("openers", "openers"),
    ("conversations_opened", "conversations_opened"),
    ("unsubscribed", "unsubscribed"),
    ("hard_bounced", "hard_bounced"),
    ("marked_spam", "marked_spam"),
];

/// The sums of a cohort.
#[derive(Clone, Default)]
struct Sums {
    of_members: [i64; OF_MEMBERS.len()],
    retained: i64,
    joined: i64,
    returned: i64,
    departed: i64,
    departed_gone: i64,
    departed_merged: i64,
    of_unknown_fate: i64,
    newly_unsubscribed: i64,
    converted_leads: i64,
}

/// Gives the rows of counts.sql.
pub(super) fn counts(tables: &Polars) -> PolarsResult<DataFrame> {
    let cohorts = Rows(tables.table(COHORTS.name)?);
    let sums = sums(tables, cohorts)?;
    let all = 0..cohorts.count_all();
    let flags = |name: &str| all.clone().map(|row| Ok(cohorts.flag(name, row)? == Some(true))).collect::<PolarsResult<Vec<bool>>>();
    let (in_history, has_conversations) = (flags("in_history")?, flags("has_conversations")?);
    let (knows_gone, knows_compared, knows_fates) = (flags("knows_gone")?, flags("knows_compared")?, flags("knows_fates")?);
    let is_compared: Vec<bool> = cohorts.0.column("compared_month")?.is_not_null().iter().map(|is| is == Some(true)).collect();
    let counted = |name: &str, value: &dyn Fn(usize, &Sums) -> Option<i64>| {
        Column::new(name.into(), sums.iter().enumerate().map(|(row, sums)| value(row, sums)).collect::<Vec<Option<i64>>>())
    };
    let compared = |name: &str, value: &dyn Fn(&Sums) -> i64| counted(name, &|row, sums| is_compared[row].then(|| value(sums)));
    let knows_every_fate = |row: usize, sums: &Sums| is_compared[row] && knows_gone[row] && knows_fates[row] && sums.of_unknown_fate == 0;
    let mut columns: Vec<Column> = ["cohort_key", "month", "in_history", "intercom_count", "definition_updated_at"]
        .iter()
        .map(|name| cohorts.0.column(name).cloned())
        .collect::<Result<_, _>>()?;
    for (index, (_, name)) in OF_MEMBERS.iter().enumerate() {
        let is_known = |row: usize| match *name {
            "active_members" => in_history[row],
            "openers" | "conversations_opened" => has_conversations[row],
            _ => true,
        };
        columns.push(counted(name, &|row, sums| is_known(row).then_some(sums.of_members[index])));
    }
    columns.extend([
        compared("previous_members", &|sums| sums.retained + sums.departed),
        compared("retained", &|sums| sums.retained),
        compared("joined", &|sums| sums.joined),
        compared("returned", &|sums| sums.returned),
        compared("departed", &|sums| sums.departed),
        counted("departed_gone", &|row, sums| (is_compared[row] && knows_gone[row]).then_some(sums.departed_gone)),
        counted("departed_deleted", &|row, sums| knows_every_fate(row, sums).then_some(sums.departed_gone - sums.departed_merged)),
        counted("departed_merged", &|row, sums| knows_every_fate(row, sums).then_some(sums.departed_merged)),
        compared("net_change", &|sums| sums.joined - sums.departed),
        counted("newly_unsubscribed", &|row, sums| (is_compared[row] && knows_compared[row]).then_some(sums.newly_unsubscribed)),
        counted("converted_leads", &|row, sums| (is_compared[row] && knows_compared[row]).then_some(sums.converted_leads)),
    ]);
    let mut rows = COUNTS.conform(&DataFrame::new(sums.len(), columns)?)?;
    let before = tables.table(COUNTS_BEFORE.name)?;
    rows.vstack_mut_owned(before.filter(before.column("in_history")?.bool()?)?)?;
    in_order(rows, &COUNTS)
}

/// The sums of each cohort.
fn sums(tables: &Polars, cohorts: Rows<'_>) -> PolarsResult<Vec<Sums>> {
    let sizes = tables.table(SIZES.name)?;
    let mut of_signature: PlHashMap<Option<u32>, [i64; OF_MEMBERS.len()]> = PlHashMap::default();
    let columns = OF_MEMBERS.iter().map(|(name, _)| sizes.column(name)?.i64()).collect::<PolarsResult<Vec<_>>>()?;
    for (row, signature) in sizes.column("signature")?.u32()?.iter().enumerate() {
        of_signature.insert(signature, std::array::from_fn(|index| columns[index].get(row).unwrap_or_default()));
    }
    let keys = cohorts.0.column("cohort_key")?.str()?;
    let row_of: PlHashMap<Option<&str>, usize> = keys.iter().enumerate().map(|(row, key)| (key, row)).collect();
    let mut sums = vec![Sums::default(); cohorts.count_all()];
    let relations = tables.table(RELATIONS.name)?;
    let flags = |name: &str| relations.column(name)?.bool().map(|flags| flags.iter().map(|flag| flag == Some(true)));
    let who = relations.column("cohort_key")?.str()?.iter().zip(relations.column("signature")?.u32()?.iter());
    let is = flags("is_newly_unsubscribed")?.zip(flags("is_converted")?);
    let gone = flags("is_gone")?.zip(flags("is_merged")?).zip(flags("is_of_unknown_fate")?);
    for (((key, signature), change), ((is_newly_unsubscribed, is_converted), ((is_gone, is_merged), is_of_unknown_fate))) in
        who.zip(relations.column("change")?.str()?.iter()).zip(is.zip(gone))
    {
        let (Some(row), Some(size)) = (row_of.get(&key), of_signature.get(&signature)) else { continue };
        let (sums, contacts) = (&mut sums[*row], size[0]);
        match change {
            Some("departed") => {
                sums.departed += contacts;
                sums.departed_gone += if is_gone { contacts } else { 0 };
                sums.departed_merged += if is_merged { contacts } else { 0 };
                sums.of_unknown_fate += if is_of_unknown_fate { contacts } else { 0 };
                continue;
            }
            Some("retained") => sums.retained += contacts,
            Some("joined") => sums.joined += contacts,
            Some("returned") => {
                sums.joined += contacts;
                sums.returned += contacts;
            }
            _ => {}
        }
        sums.of_members.iter_mut().zip(size).for_each(|(sum, size)| *sum += size);
        sums.newly_unsubscribed += if is_newly_unsubscribed { contacts } else { 0 };
        sums.converted_leads += if is_converted { contacts } else { 0 };
    }
    Ok(sums)
}
