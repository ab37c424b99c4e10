//! The embedded way to the rows of the step `signatures`: contacts with the same relations to the same cohorts get one signature. The SQL
//! of the step gives each contact a signature of its own, which counts the same but costs more.

use std::collections::HashMap;

use polars::prelude::*;

/// From the rows of `standing`, in which contacts are numbers.
pub(super) fn signatures(standing: &DataFrame) -> PolarsResult<DataFrame> {
    let contacts = standing.column("contact_id")?.i64()?;
    let relations = relations(standing)?;
    let mut rows: Vec<(i64, u64)> = contacts.iter().flatten().zip(relations).collect();
    rows.sort_unstable();
    let (contacts, relations): (Vec<i64>, Vec<u64>) = rows.into_iter().unzip();
    let mut first_of: HashMap<&[u64], i64> = HashMap::new();
    let (mut of_contacts, mut signatures) = (Vec::new(), Vec::new());
    let mut begin = 0;
    for same in contacts.chunk_by(|a, b| a == b) {
        let (contact, end) = (same[0], begin + same.len());
        of_contacts.push(contact);
        signatures.push(*first_of.entry(&relations[begin..end]).or_insert(contact));
        begin = end;
    }
    DataFrame::new(of_contacts.len(), vec![Column::new("contact_id".into(), of_contacts), Column::new("signature".into(), signatures)])
}

/// Each row's relation as a number: the cohort, the change and the flags.
fn relations(standing: &DataFrame) -> PolarsResult<Vec<u64>> {
    let numbered = |name: &str| -> PolarsResult<Vec<u64>> {
        let mut numbers: HashMap<&str, u64> = HashMap::new();
        let texts = standing.column(name)?.str()?;
        Ok(texts
            .iter()
            .map(|text| {
                let next = numbers.len() as u64;
                *numbers.entry(text.unwrap_or_default()).or_insert(next)
            })
            .collect())
    };
    let mut all = numbered("cohort_key")?;
    for (relation, change) in all.iter_mut().zip(numbered("change")?) {
        *relation = *relation << 3 | change;
    }
    for name in ["is_newly_unsubscribed", "is_converted", "is_gone", "is_created_since"] {
        let flags = standing.column(name)?.bool()?;
        all.iter_mut().zip(flags.iter()).for_each(|(relation, flag)| *relation = *relation << 1 | u64::from(flag == Some(true)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_paper::{assert_shows, table};

    #[test]
    fn contacts_with_the_same_relations_have_one_signature() {
        let standing = table(
            "
            cohort_key  contact_id:count  change    is_newly_unsubscribed  is_converted  is_gone  is_created_since
            tag:a       5                 retained  false                  false         false    false
            tag:a       2                 retained  false                  false         false    false
            tag:a       3                 joined    false                  false         false    false
            tag:a       7                 retained  true                   false         false    false
            tag:b       2                 departed  false                  false         false    false
            tag:b       5                 departed  false                  false         false    false
            tag:b       9                 departed  false                  false         true     false",
        );
        assert_shows(&signatures(&standing).unwrap(), "contact_id signature\n 2 2\n 3 3\n 5 2\n 7 7\n 9 9");
    }
}
