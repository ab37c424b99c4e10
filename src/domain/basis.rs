use std::fmt;

/// How the membership of a cohort was observed. The order is from worst to best, so `max` of two is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// Observed before the month's end.
    Preliminary,
    /// Observed later than the job's grace after the month's end. The membership is that of the observation, not of the month's end.
    Late,
    /// Current members whose tag was applied before the month's end. This is a lower bound: contacts that lost the tag since then are
    /// missing.
    Reconstructed,
    /// Observed within the job's grace after the month's end.
    MonthEnd,
}

impl Basis {
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Preliminary => "preliminary",
            Basis::Late => "late",
            Basis::Reconstructed => "reconstructed",
            Basis::MonthEnd => "month_end",
        }
    }

    pub fn parse(text: &str) -> Option<Basis> {
        [Basis::Preliminary, Basis::Late, Basis::Reconstructed, Basis::MonthEnd].into_iter().find(|basis| basis.as_str() == text)
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
