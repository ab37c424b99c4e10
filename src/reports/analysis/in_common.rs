//! What the members of a cohort have in common, for people: the significant rows of `attribute_profile` and
//! `numeric_profile`.

use polars::prelude::{DataFrame, PolarsResult};

use super::attribute_profile::{OTHER, UNKNOWN};
use archive::table::Rows;
use stats::{Ratio, selected_alpha};

/// A difference is significant if its q value is below this.
const SIGNIFICANT_BELOW: f64 = 0.05;
/// A value that fewer members have is not selected: it could identify people.
const MEMBERS_MIN: i64 = 5;
/// A value is selected if the lower end of its lift's interval is above this.
const LIFT_LOW_MIN: f64 = 1.5;
/// A number is selected if its delta is at least this. Smaller differences are negligible (Romano et al. 2006).
const DELTA_MIN: f64 = 0.147;

/// A value that members of a cohort have more often than others.
#[derive(Clone, Debug, PartialEq)]
pub struct InCommon {
    pub cohort_key: String,
    pub cohort_name: String,
    pub attribute: String,
    pub value: String,
    /// The number of members with the value.
    pub members: i64,
    /// The number of members whose value is known.
    pub of_members: i64,
    pub member_share: f64,
    /// The share in the compared month.
    pub previous_share: Option<f64>,
    /// The same numbers for the others: the contacts outside the cohort with which the cohort is compared.
    pub others: i64,
    pub of_others: i64,
    pub other_share: f64,
    pub lift: f64,
    /// The ends of the lift's 95 % interval.
    pub lift_low: f64,
    pub lift_high: f64,
    pub q_value: f64,
    /// The lower end of the lift, at a confidence level that is valid for all selected values of the cohort. It decides selection
    /// and rank.
    pub strength: f64,
}

impl InCommon {
    /// Whether the value is `(unknown)`.
    pub fn is_unknown(&self) -> bool {
        self.value == UNKNOWN
    }
}

/// A number that is mostly larger, or smaller, among members of a cohort than among others.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberApart {
    pub cohort_key: String,
    pub cohort_name: String,
    pub attribute: String,
    /// The number of members with a value.
    pub members: i64,
    pub median: Option<f64>,
    pub others_median: Option<f64>,
    /// Positive when members' values are larger.
    pub cliffs_delta: f64,
    /// The ends of delta's 95 % interval.
    pub delta_low: Option<f64>,
    pub delta_high: Option<f64>,
    pub q_value: f64,
}

/// The selected values. Cohorts are in the order of the report; in each cohort the strongest value comes first. A value is selected
/// if its q is below 0.05, if five members or more have it, and if the lower end of its lift is over 1.5. This end is taken at
/// level 1 - 0.05 R / m. m is the number of the cohort's tests, and R the number of tests with q below 0.05 (Benjamini and
/// Yekutieli 2005).
///
/// # Errors
/// When a column is missing.
pub fn in_common(profile: &DataFrame) -> PolarsResult<Vec<InCommon>> {
    let rows = Rows(profile);
    let mut found = Vec::new();
    let mut first = 0;
    while first < rows.count_all() {
        let of_cohort = rows.of("cohort_key", rows.text("cohort_key", first)?)?;
        let q_values = of_cohort.clone().map(|row| rows.ratio("q_value", row)).collect::<PolarsResult<Vec<_>>>()?;
        first = of_cohort.end.max(first + 1);
        let Some(alpha) = selected_alpha(&q_values) else { continue };
        for (row, q_value) in of_cohort.zip(q_values) {
            found.extend(q_value.filter(|q| *q < SIGNIFICANT_BELOW).map(|q| selected(rows, row, q, alpha)).transpose()?.flatten());
        }
    }
    found.sort_by(|a: &InCommon, b: &InCommon| a.cohort_key.cmp(&b.cohort_key).then_with(|| b.strength.total_cmp(&a.strength)));
    Ok(found)
}

/// The selected rows of `numeric_profile`, in the order of the report. A row is selected if its q is below 0.05, its delta is 0.147
/// or more in either direction, and it has five members or more. The median of fewer members could be one person's value.
///
/// # Errors
/// When a column is missing.
pub fn numbers_apart(profile: &DataFrame) -> PolarsResult<Vec<NumberApart>> {
    let rows = Rows(profile);
    let mut found = Vec::new();
    for row in 0..rows.count_all() {
        let (Some(q_value), Some(cliffs_delta)) = (rows.ratio("q_value", row)?, rows.ratio("cliffs_delta", row)?) else { continue };
        let members = rows.count("members", row)?.unwrap_or_default();
        if q_value >= SIGNIFICANT_BELOW || cliffs_delta.abs() < DELTA_MIN || members < MEMBERS_MIN {
            continue;
        }
        found.push(NumberApart {
            cohort_key: rows.text("cohort_key", row)?.to_string(),
            cohort_name: rows.text("cohort_name", row)?.to_string(),
            attribute: rows.text("attribute", row)?.to_string(),
            members,
            median: rows.ratio("median", row)?,
            others_median: rows.ratio("others_median", row)?,
            cliffs_delta,
            delta_low: rows.ratio("delta_low", row)?,
            delta_high: rows.ratio("delta_high", row)?,
            q_value,
        });
    }
    Ok(found)
}

fn selected(rows: Rows<'_>, row: usize, q_value: f64, alpha: f64) -> PolarsResult<Option<InCommon>> {
    let count = |name: &str| Ok::<_, polars::prelude::PolarsError>(rows.count(name, row)?.unwrap_or_default());
    let (value, members) = (rows.text("value", row)?, count("members")?);
    // `(other)` is a mix of values, so it is never selected.
    if value == OTHER || members < MEMBERS_MIN {
        return Ok(None);
    }
    let lift = (rows.ratio("lift", row)?, rows.ratio("lift_low", row)?, rows.ratio("lift_high", row)?);
    let (Some(lift), Some(lift_low), Some(lift_high)) = lift else { return Ok(None) };
    let strength = Ratio::from_low(lift, lift_low).and_then(|ratio| ratio.low_at(alpha));
    let Some(strength) = strength.filter(|strength| *strength > LIFT_LOW_MIN) else { return Ok(None) };
    // The shares of `(unknown)` are shares of all contacts, not only of contacts with a known value.
    let of = |with: i64, known: i64| if value == UNKNOWN { with + known } else { known };
    let others = count("others")?;
    Ok(Some(InCommon {
        cohort_key: rows.text("cohort_key", row)?.to_string(),
        cohort_name: rows.text("cohort_name", row)?.to_string(),
        attribute: rows.text("attribute", row)?.to_string(),
        value: value.to_string(),
        members,
        of_members: of(members, count("members_known")?),
        member_share: rows.ratio("member_share", row)?.unwrap_or_default(),
        previous_share: rows.ratio("previous_share", row)?,
        others,
        of_others: of(others, count("others_known")?),
        other_share: rows.ratio("other_share", row)?.unwrap_or_default(),
        lift,
        lift_low,
        lift_high,
        q_value,
        strength,
    }))
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn only_significant_values_are_in_common() {
        // Five tests, four of them significant: the level is 1 - 0.05 * 4 / 5.
        let profile = df![
            "cohort_key" => ["tag:1"; 6],
            "cohort_name" => ["VIP"; 6],
            "attribute" => ["os", "os", "plan", "plan", "plan", "plan"],
            "value" => ["linux", "(unknown)", "gold", "(other)", "rare", "tin"],
            "members" => [50_i64, 50, 40, 30, 4, 26],
            "members_known" => [50_i64, 50, 100, 100, 100, 100],
            "member_share" => [1.0, 0.5, 0.4, 0.3, 0.04, 0.26],
            "previous_share" => [None, None, Some(0.35), None, None, None],
            "others" => [500_i64, 500, 100, 70, 1, 829],
            "others_known" => [500_i64, 500, 1_000, 1_000, 1_000, 1_000],
            "other_share" => [1.0, 0.5, 0.1, 0.07, 0.001, 0.829],
            "lift" => [1.0, 1.0, 4.0, 4.0, 40.0, 0.3],
            "lift_low" => [0.9, 0.9, 3.0, 3.0, 5.0, 0.2],
            "lift_high" => [1.1, 1.1, 5.4, 5.4, 400.0, 0.4],
            "q_value" => [Some(1.0), Some(0.001), Some(0.001), Some(0.001), Some(0.001), None],
        ];
        let found = in_common(&profile.unwrap()).unwrap();
        let [gold] = &found[..] else { panic!("{found:?}") };
        assert_eq!(gold.previous_share, Some(0.35));
        assert_eq!((gold.value.as_str(), gold.members, gold.of_members, gold.others, gold.of_others), ("gold", 40, 100, 100, 1_000));
        // 4 / exp(z(0.98) / z(0.975) * ln(4 / 3)), with z(0.98) = 2.0537489106 and z(0.975) = 1.9599639845.
        assert!((gold.strength - 4.0 / (2.053_748_910_6 / 1.959_963_984_5 * (4.0_f64 / 3.0).ln()).exp()).abs() < 1e-6, "{gold:?}");
    }

    #[test]
    fn the_strongest_comes_first_and_a_lift_that_may_be_small_is_left_out() {
        let profile = df![
            "cohort_key" => ["tag:1"; 3],
            "cohort_name" => ["VIP"; 3],
            "attribute" => ["plan"; 3],
            "value" => ["gold", "own", "tin"],
            "members" => [40_i64, 20, 40],
            "members_known" => [100_i64; 3],
            "member_share" => [0.4, 0.2, 0.4],
            "previous_share" => [0.4, 0.2, 0.4],
            "others" => [100_i64, 10, 200],
            "others_known" => [1_000_i64; 3],
            "other_share" => [0.1, 0.01, 0.2],
            // A large lift of few members is less certain than a smaller one of many.
            "lift" => [4.0, 20.0, 2.0],
            "lift_low" => [3.0, 2.5, 1.4],
            "lift_high" => [5.4, 160.0, 2.9],
            "q_value" => [0.001; 3],
        ];
        let found = in_common(&profile.unwrap()).unwrap();
        assert_eq!(found.iter().map(|found| found.value.as_str()).collect::<Vec<_>>(), ["gold", "own"]);
    }
}
