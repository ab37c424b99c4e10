use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Φ⁻¹(0.975): the half-width of a 95 % interval in standard errors.
pub(super) const Z_95: f64 = 1.959_963_984_540_054;

/// P(|Z| ≥ |z|) of a standard normal Z, as erfc(|z| / √2): Abramowitz and Stegun, Handbook of Mathematical Functions,
/// 26.2.29. With z = √χ² it is also the tail of chi-square with one degree of freedom.
///
/// The erfc of `libm` (a port of FreeBSD's msun) is within 1e-15 over the whole range of f64. The erfc of `statrs` is off by 1e-10 near
/// 0.5, so it is not used. Beyond |z| of about 38 the result is 0.
pub(super) fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() * FRAC_1_SQRT_2)
}

/// The z ≥ 0 with P(|Z| ≥ z) = `alpha`. None for an `alpha` over 1 or under 1e-300.
pub(super) fn two_sided_quantile(alpha: f64) -> Option<f64> {
    if !(1e-300..=1.0).contains(&alpha) {
        return None;
    }
    // Newton's method on the logarithm of the tail. The logarithm is concave, so from a z that is too large the method comes down to the
    // right z. The first z is too large, because P(|Z| ≥ z) is at most exp(-z² / 2).
    let mut z = (-2.0 * alpha.ln()).sqrt();
    for _ in 0..100 {
        let tail = two_sided(z);
        let density = (2.0 / PI).sqrt() * (-z * z / 2.0).exp();
        let step = (tail / alpha).ln() * tail / density;
        z = (z + step).max(0.0);
        if step.abs() <= 1e-15 * z {
            break;
        }
    }
    Some(z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, rows};

    #[test]
    fn known_points_of_the_normal_distribution() {
        assert_eq!(two_sided(0.0), 1.0);
        assert_close(two_sided(Z_95), 0.05, "the definition of Z_95");
        assert_close(two_sided(-Z_95), 0.05, "both sides");
        // P(|Z| >= 1) = 0.317310507862914 in every table.
        assert_close(two_sided(1.0), 0.317310507862914, "one standard deviation");
        assert_eq!(two_sided(f64::MAX), 0.0);
        assert_eq!(two_sided(f64::INFINITY), 0.0);
    }

    #[test]
    fn known_quantiles_of_the_normal_distribution() {
        assert_close(two_sided_quantile(0.05).unwrap(), Z_95, "95 %");
        assert_eq!(two_sided_quantile(1.0), Some(0.0));
        for alpha in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(two_sided_quantile(alpha), None, "{alpha}");
        }
    }

    #[test]
    fn agrees_with_scipy() {
        for row in rows(include_str!("../../tests/golden/stats/normal.csv")) {
            assert_close(two_sided_quantile(row.number("alpha")).unwrap(), row.number("z"), row.case());
        }
    }
}
