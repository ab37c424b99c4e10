use std::fmt;

/// By how much the number of rows may differ from the announced total.
#[derive(Clone, Copy, Debug)]
pub enum Allowed {
    Nothing,
    /// This share of the number of members, rounded down. It is at least 1, and from 1,000 members on at least 5.
    Tolerance(f64),
}

impl Allowed {
    pub fn of(self, members: u64) -> u64 {
        match self {
            Allowed::Nothing => 0,
            Allowed::Tolerance(part) => ((members as f64 * part).floor() as u64).max(if members >= 1_000 { 5 } else { 1 }),
        }
    }
}

/// An incomplete stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    pub stream: String,
    pub came: u64,
    pub expected: u64,
    /// Where the expected number comes from. This text is the end of the sentence `270 came, 300 …`.
    pub source: &'static str,
    /// A further explanation of the difference. `None` if there is none.
    pub detail: Option<String>,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortfall { stream, came, expected, source, detail } = self;
        write!(f, "`{stream}`: {came} came, {expected} {source}")?;
        detail.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

/// Whether the number of rows agrees with the totals that the API announced on the first and the last page. A stream may change while it
/// is read, so any number between the two totals agrees. `allowed` widens this range at both ends. If a total is unknown, any number
/// agrees.
pub fn agrees(came: u64, first: Option<u64>, last: Option<u64>, allowed: Allowed) -> bool {
    let (Some(first), Some(last)) = (first, last) else { return true };
    let allowed = allowed.of(last);
    (first.min(last).saturating_sub(allowed)..=first.max(last).saturating_add(allowed)).contains(&came)
}

/// The counts in the list of groups lag behind the members. The number of rows of a group may differ from its count by this share of the
/// count or by this number of members, whichever is more.
const LISTED_PART: f64 = 0.05;
const LISTED_MEMBERS: u64 = 5;

/// Whether the number of rows of a group differs from its count in the list of groups by more than the lag of these counts explains.
pub fn differs_from_listing(came: u64, listed: u64) -> bool {
    let gap = listed.abs_diff(came);
    gap > LISTED_MEMBERS && gap as f64 > listed as f64 * LISTED_PART
}

/// Whether a stream announced fewer rows on its last page than on its first page, by more than `allowed`. This happens when a stream was
/// cut short, and also when many members leave a group while it is read.
pub fn shrank(first: Option<u64>, last: Option<u64>, allowed: Allowed) -> bool {
    first.zip(last).is_some_and(|(first, last)| last + allowed.of(first) < first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_groups_may_differ_by_one_and_large_ones_by_a_thousandth() {
        let allowed: Vec<u64> = [0, 1, 999, 1_000, 4_999, 6_000, 100_000].map(|members| Allowed::Tolerance(0.001).of(members)).into();
        assert_eq!(allowed, [1, 1, 1, 5, 5, 6, 100]);
    }

    #[test]
    fn a_listed_count_may_lag_by_a_twentieth_and_by_five() {
        let differs: Vec<bool> = [(95, 100), (94, 100), (106, 100), (1, 6), (0, 6), (0, 0), (6, 0)]
            .map(|(came, listed)| differs_from_listing(came, listed))
            .into();
        assert_eq!(differs, [false, true, true, false, true, false, true]);
    }

    #[test]
    fn a_stream_that_lost_half_of_its_rows_shrank() {
        let check = |first, last| shrank(first, last, Allowed::Tolerance(0.001));
        assert!(check(Some(300), Some(150)));
        assert!(check(Some(300), Some(298)));
        assert!(!check(Some(300), Some(299)));
        assert!(!check(Some(300), Some(400)));
        assert!(!check(Some(300), None) && !check(None, Some(1)));
    }

    #[test]
    fn a_stream_that_grew_while_it_was_read_is_complete() {
        let check = |came, first, last| agrees(came, first, last, Allowed::Tolerance(0.001));
        assert!(check(100, Some(100), Some(100)));
        assert!(check(99, Some(100), Some(100)));
        assert!(!check(98, Some(100), Some(100)));
        assert!(!check(102, Some(100), Some(100)));
        assert!(check(105, Some(100), Some(110)));
        assert!(check(111, Some(100), Some(110)));
        assert!(!check(112, Some(100), Some(110)));
        assert!(check(7, None, None), "nothing was announced");
        let exactly: Vec<bool> = [99, 100, 101, 102].map(|came| agrees(came, Some(100), Some(101), Allowed::Nothing)).into();
        assert_eq!(exactly, [false, true, true, false]);
    }
}
