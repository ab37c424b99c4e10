//! What the members of a cohort have in common, as it is told to people: the rows of `attribute_profile` that stand.

use polars::prelude::{DataFrame, PolarsResult};

use super::attribute_profile::OTHER;
use crate::stats::{Lift, TwoByTwo};
use crate::table::Rows;

/// A difference stands when its q value is below this.
pub const STANDS_BELOW: f64 = 0.05;
/// What fewer members have in common would point at people.
pub const MEMBERS_MIN: i64 = 5;

/// A value that members of a cohort have more often than others.
#[derive(Clone, Debug, PartialEq)]
pub struct InCommon {
    pub cohort_key: String,
    pub cohort_name: String,
    pub attribute: String,
    pub value: String,
    /// Members with the value, and all members within the population.
    pub members: i64,
    pub of_members: i64,
    /// Contacts outside the cohort with it, and all of them that it is compared with.
    pub others: i64,
    pub of_others: i64,
    /// None when no other has it.
    pub lift: Option<Lift>,
    pub q_value: f64,
}

/// By cohort in the order of the report, the strongest first: one that no other has before all.
///
/// # Errors
/// When a column is missing.
pub fn in_common(profile: &DataFrame) -> PolarsResult<Vec<InCommon>> {
    let rows = Rows(profile);
    let mut found = Vec::new();
    let mut next = 0;
    while next < rows.count_all() {
        let of_attribute = next..end_of_attribute(rows, next)?;
        next = of_attribute.end;
        // The values of an attribute, with the remainders, are everybody.
        let sum = |name: &str| of_attribute.clone().map(|row| Ok(rows.count(name, row)?.unwrap_or_default())).sum::<PolarsResult<i64>>();
        let (of_members, of_others) = (sum("members")?, sum("others")?);
        for row in of_attribute.clone() {
            let count = |name: &str| Ok::<_, polars::prelude::PolarsError>(rows.count(name, row)?.unwrap_or_default());
            let (members, others) = (count("members")?, count("others")?);
            let table = TwoByTwo {
                members_with: members.unsigned_abs(),
                members_without: (of_members - members).unsigned_abs(),
                others_with: others.unsigned_abs(),
                others_without: (of_others - others).unsigned_abs(),
            };
            let lift = table.lift();
            // What is left of an attribute's values tells nothing of anybody.
            let is_value = rows.text("value", row)? != OTHER;
            let is_commoner = is_value && lift.map_or(others == 0, |lift| lift.ratio > 1.0);
            match rows.ratio("q_value", row)? {
                Some(q_value) if q_value < STANDS_BELOW && members >= MEMBERS_MIN && is_commoner => found.push(InCommon {
                    cohort_key: rows.text("cohort_key", row)?.to_string(),
                    cohort_name: rows.text("cohort_name", row)?.to_string(),
                    attribute: rows.text("attribute", row)?.to_string(),
                    value: rows.text("value", row)?.to_string(),
                    members,
                    of_members,
                    others,
                    of_others,
                    lift,
                    q_value,
                }),
                _ => {}
            }
        }
    }
    let strength = |found: &InCommon| found.lift.map_or(f64::INFINITY, |lift| lift.ratio);
    found.sort_by(|a, b| a.cohort_key.cmp(&b.cohort_key).then_with(|| strength(b).total_cmp(&strength(a))));
    Ok(found)
}

/// The report is sorted by cohort and attribute.
fn end_of_attribute(rows: Rows<'_>, first: usize) -> PolarsResult<usize> {
    let of = |row: usize| Ok::<_, polars::prelude::PolarsError>((rows.text("cohort_key", row)?, rows.text("attribute", row)?));
    let own = of(first)?;
    let mut end = first + 1;
    while end < rows.count_all() && of(end)? == own {
        end += 1;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn only_what_stands_is_in_common() {
        let profile = df![
            "cohort_key" => ["tag:1"; 6],
            "cohort_name" => ["VIP"; 6],
            "attribute" => ["os", "os", "plan", "plan", "plan", "plan"],
            "value" => ["linux", "(unknown)", "gold", "(other)", "rare", "tin"],
            "members" => [50_i64, 50, 40, 30, 4, 26],
            "others" => [500_i64, 500, 100, 70, 0, 830],
            "q_value" => [Some(1.0), Some(0.001), Some(0.001), Some(0.001), Some(0.001), None],
        ];
        let found = in_common(&profile.unwrap()).unwrap();
        let [gold] = &found[..] else { panic!("{found:?}") };
        assert_eq!((gold.value.as_str(), gold.members, gold.of_members, gold.others, gold.of_others), ("gold", 40, 100, 100, 1_000));
        // (40 / 100) / (100 / 1000) = 4.
        assert!((gold.lift.unwrap().ratio - 4.0).abs() < 1e-12);
    }

    #[test]
    fn what_no_other_has_comes_first() {
        let profile = df![
            "cohort_key" => ["tag:1"; 3],
            "cohort_name" => ["VIP"; 3],
            "attribute" => ["plan"; 3],
            "value" => ["gold", "own", "tin"],
            "members" => [40_i64, 20, 40],
            "others" => [100_i64, 0, 900],
            "q_value" => [0.001; 3],
        ];
        let found = in_common(&profile.unwrap()).unwrap();
        assert_eq!(found.iter().map(|found| found.value.as_str()).collect::<Vec<_>>(), ["own", "gold"]);
        assert_eq!(found[0].lift, None);
    }
}
