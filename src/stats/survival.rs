use std::collections::BTreeMap;

use super::normal::Z_95;

/// How many spells of this length ended, and how many were last seen going on. Several of one length add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpellCount {
    /// In whole months, from 1.
    pub duration: i64,
    pub departed: u64,
    pub censored: u64,
}

/// What part of all spells outlasts a duration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Survival {
    /// In whole months.
    pub duration: i64,
    /// Spells known to have come this far, those censored here included.
    pub at_risk: u64,
    pub departed: u64,
    pub censored: u64,
    /// The part that goes on after this duration, 0..=1, and the ends of its 95 % interval.
    pub survival: f64,
    pub low: f64,
    pub high: f64,
}

/// The months that years of four digits can tell apart.
const LONGEST: i64 = 120_000;

/// The product-limit estimate of Kaplan and Meier (1958), JASA 53:457-481, with the variance of Greenwood (1926) on the
/// log(-log) scale: Kalbfleisch and Prentice (2002), The statistical analysis of failure time data, 1.4.1. An estimate
/// of 1 has the interval [1, 1], one of 0 has [0, 0].
///
/// A row for every duration from 1 to the greatest one given, in order, also where nothing happened. Spells of no
/// duration, or of more than 120,000 months, are ignored; counts beyond u64 stop there.
pub fn kaplan_meier(spells: &[SpellCount]) -> Vec<Survival> {
    let mut counts: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    let mut at_risk = 0_u64;
    for spell in spells.iter().filter(|spell| (1..=LONGEST).contains(&spell.duration)) {
        let (departed, censored) = counts.entry(spell.duration).or_default();
        *departed = departed.saturating_add(spell.departed);
        *censored = censored.saturating_add(spell.censored);
        at_risk = at_risk.saturating_add(spell.departed).saturating_add(spell.censored);
    }

    let longest = counts.last_key_value().map_or(0, |(duration, _)| *duration);
    let (mut survival, mut greenwood) = (1.0, 0.0);
    let row = |duration| {
        let (departed, censored) = counts.get(&duration).copied().unwrap_or_default();
        let remaining = at_risk.saturating_sub(departed);
        if departed > 0 && at_risk > 0 {
            survival *= remaining as f64 / at_risk as f64;
            greenwood += departed as f64 / at_risk as f64 / remaining as f64;
        }
        let (low, high) = interval(survival, greenwood);
        let row = Survival { duration, at_risk, departed, censored, survival, low, high };
        at_risk = remaining.saturating_sub(censored);
        row
    };
    (1..=longest).map(row).collect()
}

/// S^exp(±z √V / ln S), where V is the sum of d / (n (n - d)).
fn interval(survival: f64, greenwood: f64) -> (f64, f64) {
    if survival <= 0.0 || survival >= 1.0 {
        return (survival, survival);
    }
    let reach = (Z_95 * greenwood.sqrt() / -survival.ln()).exp();
    (survival.powf(reach), survival.powf(1.0 / reach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::golden::{assert_close, rows};

    fn spell(duration: i64, departed: u64, censored: u64) -> SpellCount {
        SpellCount { duration, departed, censored }
    }

    #[test]
    fn ten_spells_by_hand() {
        // Of 10 spells 2 end after 1 month and 1 is censored there; nothing at 2; of the 7 left 1 ends at 3; 6 are censored at 4.
        let rows = kaplan_meier(&[spell(4, 0, 6), spell(1, 2, 1), spell(3, 1, 0)]);
        let counts: Vec<_> = rows.iter().map(|row| (row.duration, row.at_risk, row.departed, row.censored)).collect();
        assert_eq!(counts, [(1, 10, 2, 1), (2, 7, 0, 0), (3, 7, 1, 0), (4, 6, 0, 6)]);
        // 8/10, then 8/10 · 6/7 = 24/35.
        for (row, expected) in rows.iter().zip([0.8, 0.8, 24.0 / 35.0, 24.0 / 35.0]) {
            assert_close(row.survival, expected, "survival");
        }
        // At 1: V = 2 / (10 · 8) = 1/40, reach e^(1.959963984540054 · 0.158113883008419 / 0.223143551314210)
        // = e^1.388780963 = 4.00995879, so 0.8^4.00995879 = 0.40869 and 0.8^(1/4.00995879) = 0.94587.
        let [first, ..] = rows.as_slice() else { panic!("no rows") };
        assert!((first.low - 0.40869).abs() < 1e-5, "{}", first.low);
        assert!((first.high - 0.94587).abs() < 1e-5, "{}", first.high);
        // At 3: V = 1/40 + 1 / (7 · 6).
        let reach = (Z_95 * (1.0_f64 / 40.0 + 1.0 / 42.0).sqrt() / (35.0_f64 / 24.0).ln()).exp();
        assert_close(rows[2].low, (24.0_f64 / 35.0).powf(reach), "low at 3");
    }

    #[test]
    fn none_departed_and_all_departed() {
        let rows = kaplan_meier(&[spell(1, 0, 2), spell(2, 3, 0), spell(3, 0, 0)]);
        let ends: Vec<_> = rows.iter().map(|row| (row.survival, row.low, row.high)).collect();
        assert_eq!(ends, [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]);
        assert_eq!(rows[2].at_risk, 0);
    }

    #[test]
    fn odd_spells() {
        assert_eq!(kaplan_meier(&[]), []);
        assert_eq!(kaplan_meier(&[spell(0, 1, 1), spell(-3, 1, 1), spell(i64::MAX, 1, 1), spell(i64::MIN, 1, 1)]), []);
        let split = kaplan_meier(&[spell(1, 1, 0), spell(1, 1, 2), spell(2, 1, 1)]);
        assert_eq!(split, kaplan_meier(&[spell(1, 2, 2), spell(2, 1, 1)]));
        for row in kaplan_meier(&[spell(1, u64::MAX, 1), spell(2, 1, u64::MAX), spell(3, 1 << 60, 5), spell(LONGEST, 1, 1)]) {
            assert!(0.0 <= row.low && row.low <= row.survival && row.survival <= row.high && row.high <= 1.0, "{row:?}");
        }
    }

    #[test]
    fn agrees_with_lifelines() {
        let golden = rows(include_str!("../../tests/golden/stats/kaplan_meier.csv"));
        for of_case in golden.chunk_by(|a, b| a.case() == b.case()) {
            let spells: Vec<SpellCount> =
                of_case.iter().map(|row| spell(row.count("duration") as i64, row.count("departed"), row.count("censored"))).collect();
            let survivals = kaplan_meier(&spells);
            assert_eq!(survivals.len(), of_case.len(), "{}", of_case[0].case());
            for (survival, row) in survivals.iter().zip(of_case) {
                assert_eq!(survival.at_risk, row.count("at_risk"), "{}", row.case());
                for (actual, column) in [(survival.survival, "survival"), (survival.low, "low"), (survival.high, "high")] {
                    assert_close(actual, row.number(column), row.case());
                }
            }
        }
    }
}
