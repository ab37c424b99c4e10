//! Random counts, for the tests of this crate that are simulations.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub(super) fn happens(rng: &mut ChaCha8Rng, chance: f64) -> bool {
    rng.random_bool(chance.clamp(0.0, 1.0))
}

/// Draws how often an event with the probability `chance` happens in `trials` trials. The waiting times between events are geometric.
pub(super) fn binomial(rng: &mut ChaCha8Rng, trials: u64, chance: f64) -> u64 {
    if chance > 0.5 {
        return trials - binomial(rng, trials, 1.0 - chance);
    }
    if chance <= 0.0 {
        return 0;
    }
    let (mut times, mut at) = (0, 0.0_f64);
    loop {
        at += (exponential(rng) / -(-chance).ln_1p()).floor() + 1.0;
        if at > trials as f64 {
            return times;
        }
        times += 1;
    }
}

/// Draws from the Poisson distribution: the number of arrivals up to the time `mean`, with exponential waiting times of mean 1.
pub(super) fn poisson(rng: &mut ChaCha8Rng, mean: f64) -> u64 {
    let (mut times, mut at) = (0, exponential(rng));
    while at < mean {
        times += 1;
        at += exponential(rng);
    }
    times
}

pub(super) fn exponential(rng: &mut ChaCha8Rng) -> f64 {
    -rng.random_range(f64::MIN_POSITIVE..1.0).ln()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn counts_have_their_means_and_variances() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for (mean, variance, draw) in [
            (6.0, 4.2, (|rng| binomial(rng, 20, 0.3)) as fn(&mut ChaCha8Rng) -> u64),
            (18.0, 1.8, |rng| binomial(rng, 20, 0.9)),
            (5.0, 5.0, |rng| poisson(rng, 5.0)),
            (0.25, 0.1875, |rng| u64::from(happens(rng, 0.25))),
        ] {
            let counts: Vec<f64> = (0..40_000).map(|_| draw(rng) as f64).collect();
            let average = counts.iter().sum::<f64>() / 40_000.0;
            let spread = counts.iter().map(|count| (count - average).powi(2)).sum::<f64>() / 40_000.0;
            assert!((average / mean - 1.0).abs() < 0.02 && (spread / variance - 1.0).abs() < 0.05, "{average} {spread}");
        }
        assert_eq!((binomial(rng, 7, 0.0), binomial(rng, 7, 1.0), binomial(rng, 0, 0.5)), (0, 7, 0));
    }
}
