/// The q-values of p-values, in the same order. A q-value is the smallest false discovery rate at which the test would be a discovery.
/// Step-up procedure of Benjamini and Hochberg (1995), Controlling the false discovery rate, JRSS B 57:289-300; adjusted as by Yekutieli
/// and Benjamini (1999). A p-value that is null or outside 0..=1 is not counted as a test. Its q-value is null.
pub fn benjamini_hochberg(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut tests: Vec<(usize, f64)> =
        p_values.iter().enumerate().filter_map(|(i, p)| p.filter(|p| (0.0..=1.0).contains(p)).map(|p| (i, p))).collect();
    tests.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let count = tests.len() as f64;

    let mut q_values = vec![None; p_values.len()];
    let mut least = 1.0_f64;
    for (rank, (i, p)) in (1_u64..).zip(tests).collect::<Vec<_>>().into_iter().rev() {
        least = least.min(p * (count / rank as f64));
        if let Some(q) = q_values.get_mut(i) {
            *q = Some(least);
        }
    }
    q_values
}

/// The alpha for the intervals of findings that were selected because q is below 0.05. It is 0.05 R / m if R of m tests were selected.
/// Then on average 95 % of the reported intervals contain the true value: Benjamini and Yekutieli (2005), False discovery rate-adjusted
/// multiple confidence intervals for selected parameters, JASA 100:71-81. A null is not a test. None when nothing was selected.
pub fn selected_alpha(q_values: &[Option<f64>]) -> Option<f64> {
    let (tests, chosen) = (q_values.iter().flatten().count(), q_values.iter().flatten().filter(|q| **q < 0.05).count());
    (chosen > 0).then(|| 0.05 * (chosen as f64 / tests as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, rows};

    #[test]
    fn four_tests_by_hand() {
        // The sorted p-values 0.01, 0.02, 0.03, 0.8, times 4/1, 4/2, 4/3, 4/4, are 0.04, 0.04, 0.04, 0.8. Nulls are not tests.
        let q = benjamini_hochberg(&[Some(0.8), None, Some(0.01), Some(0.03), None, Some(0.02)]);
        let expected = [Some(0.8), None, Some(0.04), Some(0.04), None, Some(0.04)];
        for (q, expected) in q.into_iter().zip(expected) {
            assert_eq!(q.is_some(), expected.is_some());
            assert_close(q.unwrap_or(1.0), expected.unwrap_or(1.0), "by hand");
        }
        // A test gets the q of a larger p if that q is smaller: 0.04 · 2/1 = 0.08, but 0.05 · 2/2 = 0.05.
        assert_eq!(benjamini_hochberg(&[Some(0.04), Some(0.05)]), [Some(0.05), Some(0.05)]);
    }

    #[test]
    fn levels_of_selected_findings_by_hand() {
        // Two of five tests (nulls do not count): 0.05 · 2 / 5.
        assert_close(selected_alpha(&[Some(0.01), None, Some(0.05), Some(0.9), Some(0.049), Some(0.2)]).unwrap(), 0.02, "two of five");
        assert_eq!(selected_alpha(&[Some(0.0); 3]), Some(0.05), "all of them");
        assert_eq!(selected_alpha(&[Some(0.05), None]), None);
        assert_eq!(selected_alpha(&[]), None);
    }

    #[test]
    fn invalid_p_values_are_not_tests() {
        assert_eq!(benjamini_hochberg(&[]), []);
        assert_eq!(benjamini_hochberg(&[None]), [None]);
        let odd = [Some(f64::NAN), Some(f64::INFINITY), Some(-0.1), Some(1.1), Some(0.5), Some(0.0), Some(1.0)];
        assert_eq!(benjamini_hochberg(&odd), [None, None, None, None, Some(0.75), Some(0.0), Some(1.0)]);
    }

    #[test]
    fn agrees_with_statsmodels() {
        for row in rows(include_str!("../../tests/golden/stats/benjamini_hochberg.csv")) {
            let parse = |column| row.text(column).split(' ').map(|p| p.parse().ok()).collect::<Vec<Option<f64>>>();
            let q_values = benjamini_hochberg(&parse("p_values"));
            let expected = parse("q_values");
            assert_eq!(q_values.len(), expected.len(), "{}", row.case());
            for (q, expected) in q_values.into_iter().zip(expected) {
                assert_eq!(q.is_some(), expected.is_some(), "{}", row.case());
                assert_close(q.unwrap_or(1.0), expected.unwrap_or(1.0), row.case());
            }
        }
    }
}
