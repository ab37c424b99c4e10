use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::draws::{binomial, happens, poisson};
use crate::golden::{assert_close, assert_p, rows};
use crate::{LifeTableRow, life_table};

/// For each contact, the observed months in which the contact is a member.
type Members = Vec<BTreeSet<i64>>;

fn triangle(months: &BTreeSet<i64>, members: &Members) -> Vec<RetentionCell> {
    let mut cells = Vec::new();
    for &entry_month in months {
        let entered: Vec<_> = members.iter().filter(|of| of.first() == Some(&entry_month)).collect();
        for &month in months.range(entry_month..) {
            let unbroken = |of: &&&BTreeSet<i64>| months.range(entry_month..=month).all(|month| of.contains(month));
            cells.push(RetentionCell {
                entry_month,
                age_months: month - entry_month,
                entry_is_censored: !months.contains(&(entry_month - 1)),
                entrants: entered.len() as u64,
                retained: entered.iter().filter(|of| of.contains(&month)).count() as u64,
                retained_unbroken: entered.iter().filter(unbroken).count() as u64,
            });
        }
    }
    cells
}

/// Computes the same person-months by their definition, one month of one contact at a time.
fn months_of_persons(months: &BTreeSet<i64>, members: &Members) -> Vec<PersonMonths> {
    let mut all = vec![PersonMonths::default(); 50];
    for of in members {
        let Some(&entry) = of.first().filter(|entry| months.contains(&(**entry - 1))) else { continue };
        for &month in months.range(entry..).take_while(|month| of.contains(month)) {
            let counts = &mut all[(month - entry) as usize];
            if months.contains(&(month + 1)) {
                counts.at_risk += 1;
                counts.resumed += u64::from(month > entry && !months.contains(&(month - 1)));
                counts.departed += u64::from(!of.contains(&(month + 1)));
                counts.censored += u64::from(of.contains(&(month + 1)) && !months.contains(&(month + 2)));
            }
        }
    }
    all.into_iter().take_while(|counts| counts.at_risk > 0).collect()
}

fn observed(months: &BTreeSet<i64>) -> Vec<i64> {
    months.iter().copied().collect()
}

#[test]
fn eight_members_in_six_snapshots_by_hand() {
    // Months 0 and 5 were not observed, so entries in months 1 and 6 are censored. Month 7 is the last.
    let months = BTreeSet::from([1, 2, 3, 4, 6, 7]);
    let members: [&[i64]; 8] = [&[1, 2, 3, 4, 6, 7], &[2, 3, 4, 6, 7], &[2, 3], &[2, 3, 4, 6], &[3, 4, 6, 7], &[3, 6], &[4, 6, 7], &[7]];
    let members: Members = members.iter().map(|of| of.iter().copied().collect()).collect();
    let cells = triangle(&months, &members);
    let counts = person_months(&cells, &observed(&months));
    // k = 1: the second to the sixth member are at risk, and the sixth departs. The fifth is a member in month 4 and is censored, because
    // month 5 was not observed. The seventh entered in month 4, so the month at k = 1 was not observed. k = 2: the second to the fourth are
    // at risk. The third departs, and the second and the fourth are censored by month 5. From month 6 to month 7, members are at risk
    // again: the seventh for k = 3, the fifth for k = 4, the second and the fourth for k = 5. There, the fourth departs.
    let expected = [(5, 1, 1, 0), (3, 1, 2, 0), (1, 0, 1, 1), (1, 0, 1, 1), (2, 1, 1, 2)];
    assert_eq!(counts, expected.map(|(at_risk, departed, censored, resumed)| PersonMonths { at_risk, departed, censored, resumed }));
    // The survival is 4/5, then 4/5 · 2/3 = 8/15 up to k = 4, and at k = 5 half of 8/15.
    for (row, survival) in life_table(&counts).iter().zip([4.0 / 5.0, 8.0 / 15.0, 8.0 / 15.0, 8.0 / 15.0, 4.0 / 15.0]) {
        assert_close(row.survival, survival, "survival");
    }
    // At k = 2, Σ = 1/20 + 1/6 = 13/60, n* = (7/15) / (8/15 · 13/60) = 105/26, and z² = 3.841458820694124.
    let [_, second, ..] = life_table(&counts)[..] else { panic!("no second row") };
    let (n, z2, p) = (105.0_f64 / 26.0, 3.841_458_820_694_124_f64, 8.0_f64 / 15.0);
    let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    assert_close(second.interval.low, centre - half, "low");
    assert_close(second.interval.high, centre + half, "high");

    // The retention of the known entry months 2, 3, 4 and 7. At 5 months there are only the entrants of month 2.
    let curve = retention_curve(&cells);
    let points: Vec<_> = curve.iter().map(|point| (point.age_months, point.entry_months, point.entrants, point.retained)).collect();
    assert_eq!(points, [(0, 4, 7, 7), (1, 2, 5, 4), (2, 2, 4, 3), (3, 2, 3, 3), (4, 2, 5, 3), (5, 1, 3, 1)]);
    assert_eq!(curve.iter().map(|point| point.retained_unbroken).collect::<Vec<_>>(), [7, 4, 3, 2, 3, 1]);
    assert_eq!(curve[4].interval, wilson(3, 5));
}

#[test]
fn the_triangle_says_what_the_contacts_say() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    for _ in 0..300 {
        let months: BTreeSet<i64> = (1..=14).filter(|_| happens(rng, 0.8)).collect();
        let mut members: Members = Vec::new();
        for _ in 0..30 {
            let mut is_member = happens(rng, 0.3);
            let mut of = BTreeSet::new();
            for month in 1..=14 {
                is_member = happens(rng, if is_member { 0.8 } else { 0.15 });
                if is_member && months.contains(&month) {
                    of.insert(month);
                }
            }
            members.push(of);
        }
        let counts = person_months(&triangle(&months, &members), &observed(&months));
        assert_eq!(counts, months_of_persons(&months, &members), "{months:?}");
        for pair in counts.windows(2) {
            let [one, next] = pair else { continue };
            assert_eq!(next.at_risk, one.at_risk - one.departed - one.censored + next.resumed, "{months:?}");
        }
    }
}

#[test]
fn one_entry_month_without_a_gap_survives_as_it_is_retained() {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    for entrants in [1, 4, 60, 100_000] {
        let months = BTreeSet::from_iter(1..=10);
        let cells = thinned(rng, &[(2, entrants)], 10, 0.3);
        let table = life_table(&person_months(&cells, &observed(&months)));
        assert!(!table.is_empty());
        for row in table {
            let cell = cells.iter().find(|cell| cell.age_months == row.duration_months).unwrap();
            let expected = wilson(cell.retained_unbroken, entrants).unwrap();
            assert_close(row.survival, cell.retained_unbroken as f64 / entrants as f64, "survival");
            assert_close(row.interval.low, expected.low, "low");
            assert_close(row.interval.high, expected.high, "high");
        }
    }
}

/// The cells of these entries, up to the month `last`. Each month, every member departs with the probability `hazard`.
fn thinned(rng: &mut ChaCha8Rng, entries: &[(i64, u64)], last: i64, hazard: f64) -> Vec<RetentionCell> {
    let mut cells = Vec::new();
    for &(entry_month, entrants) in entries {
        let mut retained = entrants;
        for age_months in 0..=last - entry_month {
            retained -= if age_months == 0 { 0 } else { binomial(rng, retained, hazard) };
            cells.push(RetentionCell {
                entry_month,
                age_months,
                entry_is_censored: false,
                entrants,
                retained,
                retained_unbroken: retained,
            });
        }
    }
    cells
}

/// The share of the simulated life tables whose interval contains the true survival, at 1, 3 and 6 months.
fn coverage(rng: &mut ChaCha8Rng, entrants: f64, last: i64, hazard: f64, tables: usize) -> [f64; 3] {
    let months: Vec<i64> = (1..=last).collect();
    let (mut held, mut judged) = ([0_u32; 3], [0_u32; 3]);
    for _ in 0..tables {
        let entries: Vec<_> = (2..last).map(|month| (month, poisson(rng, entrants))).collect();
        let table = life_table(&person_months(&thinned(rng, &entries, last, hazard), &months));
        for (at, k) in [1, 3, 6].into_iter().enumerate() {
            let Some(LifeTableRow { interval, .. }) = table.get(k - 1) else { continue };
            let truth = (1.0 - hazard).powi(k as i32);
            judged[at] += 1;
            held[at] += u32::from(interval.low <= truth && truth <= interval.high);
        }
    }
    std::array::from_fn(|at| f64::from(held[at]) / f64::from(judged[at]))
}

#[test]
fn intervals_of_survival_hold_the_truth() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    for (entrants, hazard) in [(100.0, 0.05), (100.0, 0.2), (100.0, 0.5), (4.0, 0.05), (4.0, 0.1), (4.0, 0.2), (4.0, 0.3)] {
        for held in coverage(rng, entrants, 12, hazard, 1_000) {
            assert!((0.92..=0.98).contains(&held), "{entrants} entrants a month, hazard {hazard}: {held}");
        }
    }
}

fn cell(entry_month: i64, age_months: i64, retained_unbroken: u64) -> RetentionCell {
    let entry_is_censored = false;
    RetentionCell {
        entry_month,
        age_months,
        entry_is_censored,
        entrants: retained_unbroken,
        retained: retained_unbroken,
        retained_unbroken,
    }
}

#[test]
fn a_change_by_hand() {
    // There are 40 earlier entrants in month 2: 20 depart in the first month, and 4 of 20 in the second. There are 20 recent entrants, two
    // months before now: 10 depart in the first month, and 2 of 10 in the second. The hazards are the same.
    let earlier = [cell(2, 0, 40), cell(2, 1, 20), cell(2, 2, 16)];
    let recent = [cell(5, 0, 20), cell(5, 1, 10), cell(5, 2, 8)];
    let change = retention_change(&[earlier, recent].concat(), &[1, 2, 3, 4, 5, 6, 7], 7);
    assert_eq!((change.recent_entrants, change.earlier_entrants), (20, 40));
    assert_eq!((change.recent_departed, change.earlier_departed), (12, 24));
    assert_close(change.recent_expected, 12.0, "expected");
    let test = change.test.unwrap();
    assert_close(test.hazard_ratio, 1.0, "ratio");
    assert_close(test.interval.high, (1.96 * (1.0_f64 / 12.0 + 1.0 / 24.0).sqrt()).exp(), "high");
    assert_close(test.interval.low * test.interval.high, 1.0, "low");
    assert_close(test.p_value, 1.0, "p");

    // All 20 recent entrants depart in the first month. Of the 40 departures in the first month, 40/3 (20 of 60) are expected among the
    // recent entrants, and 80/3 among the earlier. In the second month, 4 earlier entrants depart, and no recent entrant is at risk.
    // V = 40 · 20/60 · 40/60 · 20/59, and p = P(|Z| >= (20 - 40/3) / √V = 3.84057...).
    let gone = [cell(5, 0, 20), cell(5, 1, 0), cell(5, 2, 0)];
    let change = retention_change(&[earlier, gone].concat(), &[1, 2, 3, 4, 5, 6, 7], 7);
    assert_close(change.recent_expected, 40.0 / 3.0, "expected");
    let test = change.test.unwrap();
    assert_close(test.hazard_ratio, 1.5 / (24.0 / (80.0 / 3.0 + 4.0)), "ratio");
    assert_close(test.p_value, two_sided((20.0 / 3.0) / (40.0 * 2.0 / 9.0 * 20.0 / 59.0_f64).sqrt()), "p");
}

#[test]
fn few_departures_change_nothing() {
    let months = [1, 2, 3, 4, 5, 6, 7];
    let of = |earlier, recent| {
        retention_change(&[cell(2, 0, 40), cell(2, 1, 40 - earlier), cell(5, 0, 20), cell(5, 1, 20 - recent)], &months, 7)
    };
    assert!(of(10, 10).test.is_some());
    for (earlier, recent) in [(9, 10), (10, 9)] {
        let change = of(earlier, recent);
        assert_eq!((change.recent_departed, change.earlier_departed, change.test), (recent, earlier, None));
        assert!(change.recent_expected > 0.0);
    }
    // Recent entries are those of the last three observed months before this one. This month's entrants count neither as recent nor as
    // earlier.
    let cells: Vec<_> = (2..=8).flat_map(|entry| [cell(entry, 0, 10), cell(entry, 1, 0)]).collect();
    let change = retention_change(&cells, &[1, 2, 3, 5, 6, 8], 8);
    assert_eq!((change.recent_entrants, change.earlier_entrants), (30, 10));
    assert_eq!(retention_change(&[], &[], 3).test, None);
    // Ages at which only the recent or only the earlier entrants were observed are not compared.
    let apart = [cell(2, 0, 40), cell(2, 1, 20), cell(5, 1, 40), cell(5, 2, 20)];
    assert_eq!(retention_change(&apart, &months, 7).test.map(|test| (test.hazard_ratio, test.p_value)), Some((1.0, 1.0)));
}

#[test]
fn any_cells_give_numbers() {
    let ends = [i64::MIN, -1, 0, 1, 2, i64::MAX];
    let counts = [0, 1, 20, u64::MAX];
    let mut cells = Vec::new();
    for (entry_month, age_months) in ends.into_iter().flat_map(|entry| ends.map(|age| (entry, age))) {
        for retained in counts {
            cells.push(RetentionCell { retained, ..cell(entry_month, age_months, retained) });
        }
    }
    for now in ends {
        let change = retention_change(&cells, &ends, now);
        assert!(change.recent_expected.is_finite());
        assert!(change.test.is_none_or(|test| test.interval.high.is_finite() && (0.0..=1.0).contains(&test.p_value)), "{change:?}");
    }
    for row in life_table(&person_months(&cells, &ends)) {
        assert!((0.0..=1.0).contains(&row.survival), "{row:?}");
    }
    assert!(retention_curve(&cells).iter().all(|point| point.age_months >= 0));
}

#[test]
fn agrees_with_statsmodels_and_lifelines() {
    for row in rows(include_str!("../../../tests/golden/stats/log_rank.csv")) {
        let cells: Vec<_> = row.tallies("cells").into_iter().map(|of| cell(of[0] as i64, of[1] as i64, of[2] as u64)).collect();
        let months: Vec<i64> = row.numbers("months").into_iter().map(|month| month as i64).collect();
        let change = retention_change(&cells, &months, row.count("now") as i64);
        let counts = [change.recent_entrants, change.earlier_entrants, change.recent_departed, change.earlier_departed];
        let columns = ["recent_entrants", "earlier_entrants", "recent_departed", "earlier_departed"];
        assert_eq!(counts, columns.map(|column| row.count(column)), "{}", row.case());
        let test = change.test.unwrap();
        assert_close(change.recent_expected, row.number("recent_expected"), row.case());
        assert_close(test.hazard_ratio, row.number("hazard_ratio"), row.case());
        assert_close(test.interval.low, row.number("low"), row.case());
        assert_close(test.interval.high, row.number("high"), row.case());
        assert_p(Some(test.p_value), row.optional("p_value"), row.case());
    }
}
