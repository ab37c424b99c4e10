//! The step `signatures`: contacts with the same relations to the same cohorts get one signature. The SQL of the step gives each contact a
//! signature of its own. The later steps then make the same counts, but need more time.

use polars::prelude::*;

use super::super::tables::STANDING;
use archive::engine::Polars;

pub(super) fn signatures(tables: &Polars) -> PolarsResult<DataFrame> {
    of_standing(tables.table(STANDING.name)?, tables.numbers().count())
}

fn of_standing(standing: &DataFrame, contacts: usize) -> PolarsResult<DataFrame> {
    let of_rows = standing.column("contact_id")?.u32()?.rechunk();
    let of_rows = of_rows.cont_slice()?;
    let relations = relations(standing)?;
    // The rows of each contact, one contact after another: where they begin, and their relations in the order of the rows.
    let mut begins = vec![0_usize; contacts + 1];
    of_rows.iter().for_each(|contact| begins[*contact as usize + 1] += 1);
    (0..contacts).for_each(|contact| begins[contact + 1] += begins[contact]);
    let mut next = begins.clone();
    let mut of_contacts = vec![0_u64; relations.len()];
    for (contact, relation) in of_rows.iter().zip(relations) {
        let at = &mut next[*contact as usize];
        of_contacts[*at] = relation;
        *at += 1;
    }
    let mut first_of: PlHashMap<&[u64], u32> = PlHashMap::default();
    let (mut numbers, mut signatures) = (Vec::new(), Vec::new());
    for (contact, bounds) in begins.windows(2).enumerate().filter(|(_, bounds)| bounds[0] < bounds[1]) {
        numbers.push(contact as u32);
        signatures.push(*first_of.entry(&of_contacts[bounds[0]..bounds[1]]).or_insert(contact as u32));
    }
    DataFrame::new(numbers.len(), vec![Column::new("contact_id".into(), numbers), Column::new("signature".into(), signatures)])
}

/// Each row's relation as a number: the cohort, the change and the flags.
fn relations(standing: &DataFrame) -> PolarsResult<Vec<u64>> {
    let mut all: Vec<u64> = numbered(standing.column("cohort_key")?.str()?).collect();
    all.iter_mut().zip(numbered(standing.column("change")?.str()?)).for_each(|(relation, change)| *relation = *relation << 3 | change);
    for name in ["is_newly_unsubscribed", "is_converted", "is_gone", "is_merged", "is_of_unknown_fate", "is_created_since"] {
        let flags = standing.column(name)?.bool()?;
        all.iter_mut().zip(flags.iter()).for_each(|(relation, flag)| *relation = *relation << 1 | u64::from(flag == Some(true)));
    }
    Ok(all)
}

/// A number for each text. Most rows have the text of the row before.
fn numbered(texts: &StringChunked) -> impl Iterator<Item = u64> {
    let mut numbers: PlHashMap<Option<&str>, u64> = PlHashMap::default();
    let mut last = (None, u64::MAX);
    texts.iter().map(move |text| {
        if last.1 == u64::MAX || last.0 != text {
            let next = numbers.len() as u64;
            last = (text, *numbers.entry(text).or_insert(next));
        }
        last.1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_paper::{assert_shows, table};

    #[test]
    fn contacts_with_the_same_relations_have_one_signature() {
        let standing = table(
            "
            cohort_key  contact_id:contact  change    is_newly_unsubscribed  is_converted  is_gone  is_merged  is_of_unknown_fate  is_created_since
            tag:a       5                 retained  false                  false         false  false  false    false
            tag:a       2                 retained  false                  false         false  false  false    false
            tag:a       3                 joined    false                  false         false  false  false    false
            tag:a       7                 retained  true                   false         false  false  false    false
            tag:b       2                 departed  false                  false         false  false  false    false
            tag:b       5                 departed  false                  false         false  false  false    false
            tag:b       9                 departed  false                  false         true  false  false     false",
        );
        assert_shows(&of_standing(&standing, 10).unwrap(), "contact_id signature\n 2 2\n 3 3\n 5 2\n 7 7\n 9 9");
    }
}
