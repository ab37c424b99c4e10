use std::f64::consts::PI;

use super::normal::Z_95;

/// P(|T| ≥ |t|) of Student's T (1908), The probable error of a mean, Biometrika 6:1-25, as the incomplete beta function I(df / (df + t²);
/// df / 2, 1 / 2): Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1. None when `t` is NaN, and when `df` is not over 0.
/// Also none when `df` is over a million, because digits would be lost.
pub(super) fn two_sided(t: f64, df: f64) -> Option<f64> {
    if t.is_nan() || !is_degrees(df) || df > 1e6 {
        return None;
    }
    let square = t * t;
    if !square.is_finite() {
        return Some(0.0);
    }
    // `near` converges fast for a small t, and `far` for a large one.
    let is_far = square * (df + 2.0) > 3.0 * df;
    let tail = if is_far { far(square, df) } else { 1.0 - near(square, df) };
    Some(tail.clamp(0.0, 1.0))
}

/// The half-width of a 95 % interval: the t with P(|T| ≥ t) = 0.05. None when `df` is infinite. Also none when `df` is under 0.05, because
/// t is then meaningless.
pub(super) fn reach_95(df: f64) -> Option<f64> {
    if !is_degrees(df) || df < 0.05 {
        return None;
    }
    // The expansion of Fisher and Cornish (Abramowitz and Stegun 26.7.5); the next term is under 1e-14.
    if df > 1e5 {
        let (z, z2) = (Z_95, Z_95 * Z_95);
        return Some(z + z * (z2 + 1.0) / (4.0 * df) + z * (5.0 * z2 * z2 + 16.0 * z2 + 3.0) / (96.0 * df * df));
    }
    // Newton's method on the tail. It starts at the normal quantile, which is too small. It never overshoots, because the tail is convex.
    let mut t = Z_95;
    for _ in 0..1_000 {
        let density = 2.0 * gamma_ratio(df / 2.0) / (PI * df).sqrt() * (-(df + 1.0) / 2.0 * (t * t / df).ln_1p()).exp();
        let step = (two_sided(t, df)? - 0.05) / density;
        t += step;
        if step.abs() <= 1e-14 * t {
            break;
        }
    }
    Some(t)
}

fn is_degrees(df: f64) -> bool {
    df.is_finite() && df > 0.0
}

/// I(x; df / 2, 1 / 2) at x = df / (df + t²).
fn far(square: f64, df: f64) -> f64 {
    let x = df / (df + square);
    let power = -df / 2.0 * (square / df).ln_1p();
    power.exp() * (square / (df + square)).sqrt() * gamma_ratio(df / 2.0) / PI.sqrt() / (df / 2.0) * beta_fraction(df / 2.0, 0.5, x)
}

/// I(1 - x; 1 / 2, df / 2), at the same x as in `far`.
fn near(square: f64, df: f64) -> f64 {
    let x = square / (df + square);
    let power = -df / 2.0 * (square / df).ln_1p();
    power.exp() * x.sqrt() * gamma_ratio(df / 2.0) / PI.sqrt() / 0.5 * beta_fraction(0.5, df / 2.0, x)
}

/// Γ(a + 1/2) / Γ(a). From 60 on it is computed by its series (Abramowitz and Stegun 6.1.47), below 60 by Γ(a + 1) = a Γ(a). Logarithms of
/// Γ would lose digits.
fn gamma_ratio(a: f64) -> f64 {
    let (mut a, mut factor) = (a, 1.0);
    while a < 60.0 {
        factor *= a / (a + 0.5);
        a += 1.0;
    }
    let terms = [-1.0 / 8.0, 1.0 / 128.0, 5.0 / 1024.0, -21.0 / 32_768.0, -399.0 / 262_144.0, 869.0 / 4_194_304.0];
    factor * a.sqrt() * (1.0 + terms.iter().rev().fold(0.0, |sum, term| (sum + term) / a))
}

/// The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), for x < (a + 1) / (a + b + 2), by the
/// method of Lentz (1976), Generating Bessel functions in Mie scattering calculations, Appl. Opt. 15:668-671.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let not_zero = |value: f64| if value.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { value };
    let (mut c, mut d) = (1.0, 1.0 / not_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..100_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / not_zero(1.0 + even * d);
        c = not_zero(1.0 + even / c);
        fraction *= c * d;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / not_zero(1.0 + odd * d);
        c = not_zero(1.0 + odd / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, assert_p, rows};

    #[test]
    fn one_and_two_degrees_have_closed_forms() {
        for t in [1e-9, 0.1, 0.5, 1.0, 1.7, 1.8, 3.0, 12.0, 1e6, 1e100] {
            // Cauchy: 1 - 2 atan(t) / π, which is 2 atan(1 / t) / π.
            assert_close(two_sided(t, 1.0).unwrap(), 2.0 * (1.0 / t).atan() / PI, "one");
            // 1 - t / √(2 + t²).
            let r = (2.0 + t * t).sqrt();
            assert_close(two_sided(-t, 2.0).unwrap(), 2.0 / (r * (r + t)), "two");
        }
        assert_eq!(two_sided(0.0, 5.0), Some(1.0));
        // tan(0.475 π), and √2 · 0.95 / √(1 - 0.95²).
        assert_close(reach_95(1.0).unwrap(), (0.475 * PI).tan(), "one");
        assert_close(reach_95(2.0).unwrap(), 2.0_f64.sqrt() * 0.95 / 0.0975_f64.sqrt(), "two");
    }

    #[test]
    fn any_numbers_give_a_probability_or_none() {
        for df in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!((two_sided(1.0, df), reach_95(df)), (None, None), "{df}");
        }
        assert_eq!(two_sided(f64::NAN, 3.0), None);
        assert_eq!(two_sided(f64::INFINITY, 3.0), Some(0.0));
        for df in [f64::MIN_POSITIVE, 1e-9, 0.04, 0.05, 0.3, 1.0, 7.5, 1e3, 1e5, 1e9, 1e18, f64::MAX] {
            for t in [0.0, 1e-300, 1e-9, 0.5, 1.7320508, 2.0, 40.0, 1e150, f64::MAX] {
                assert!(two_sided(t, df).map_or(df > 1e6, |p| (0.0..=1.0).contains(&p)), "{t} with {df}");
            }
            assert!(reach_95(df).is_none_or(|t| t.is_finite() && t >= Z_95), "{df}");
        }
    }

    #[test]
    fn agrees_with_scipy() {
        for row in rows(include_str!("../../tests/golden/stats/student.csv")) {
            let df = row.number("df");
            assert_p(two_sided(row.number("t"), df), row.optional("p_value"), row.case());
            assert_close(reach_95(df).unwrap(), row.number("reach_95"), row.case());
        }
    }
}
