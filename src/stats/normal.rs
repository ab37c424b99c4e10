/// Φ⁻¹(0.975): what a 95 % interval reaches to either side, in standard errors.
pub(super) const Z_95: f64 = 1.959_963_984_540_054;

/// P(|Z| ≥ |z|) of a standard normal Z, as erfc(|z| / √2): Abramowitz and Stegun, Handbook of Mathematical Functions,
/// 26.2.29. With z = √χ² it is also the tail of chi-square with one degree of freedom.
///
/// `libm` (a port of FreeBSD's msun) is within 1e-15 of erfc as far as f64 reaches; that of `statrs` is off by 1e-10 near
/// 0.5. Beyond |z| of about 38 the result is 0.
pub(super) fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::golden::assert_close;

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
}
