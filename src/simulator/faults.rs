//! Faults on demand: which request goes wrong, and how. Applying a fault is the business of [`super::answer`].

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// One way in which an answer can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error status with the documented JSON body: 401, 403, 404, 500, 502, 503 or 504.
    Status(u16),
    /// 500 as an HTML page.
    Html,
    /// 200 without a body.
    Empty,
    /// 200 with something that is no JSON.
    Garbage,
    /// 200 with the first half of the JSON, whole as far as HTTP can tell.
    Half,
    /// The connection is closed in mid-body.
    Cut,
    /// 429 with the usual headers.
    RateLimited,
    /// 429 without any rate header.
    RateLimitedBare,
    /// The right answer, late.
    Slow,
    /// The right answer without rate headers.
    NoHeaders,
    /// A list page whose next cursor is the one just sent.
    Loop,
    /// `pages.next` is a URL on another host.
    ForeignNext,
    /// Unknown keys everywhere, and `next: null` on the last page.
    Extra,
    /// Ids as JSON numbers; dates as text, in milliseconds or in ISO 8601.
    Stringly,
    /// One entry is silently missing from the page.
    Drop,
    /// One entry of the page appears twice.
    Repeat,
    /// `total_count` is 10 % too high.
    Total,
    /// The open scroll breaks with a 500 and has to be begun anew; other requests go well.
    ScrollRestart,
}

impl Fault {
    /// Whether it changes list pages only; other answers stay as they are.
    pub fn alters_pages(self) -> bool {
        use Fault::{Drop, Extra, ForeignNext, Loop, Repeat, Stringly, Total};
        matches!(self, Loop | ForeignNext | Extra | Stringly | Drop | Repeat | Total)
    }
}

const KINDS: [(&str, Fault); 24] = [
    ("401", Fault::Status(401)),
    ("403", Fault::Status(403)),
    ("404", Fault::Status(404)),
    ("500", Fault::Status(500)),
    ("502", Fault::Status(502)),
    ("503", Fault::Status(503)),
    ("504", Fault::Status(504)),
    ("html", Fault::Html),
    ("empty", Fault::Empty),
    ("garbage", Fault::Garbage),
    ("half", Fault::Half),
    ("cut", Fault::Cut),
    ("429", Fault::RateLimited),
    ("429-bare", Fault::RateLimitedBare),
    ("slow", Fault::Slow),
    ("noheaders", Fault::NoHeaders),
    ("loop", Fault::Loop),
    ("foreign-next", Fault::ForeignNext),
    ("extra", Fault::Extra),
    ("stringly", Fault::Stringly),
    ("drop", Fault::Drop),
    ("repeat", Fault::Repeat),
    ("total", Fault::Total),
    ("scroll_restart", Fault::ScrollRestart),
];

impl FromStr for Fault {
    type Err = FaultSpecError;

    fn from_str(word: &str) -> Result<Self, FaultSpecError> {
        let known = KINDS.iter().find(|(name, _)| *name == word);
        known.map(|(_, fault)| *fault).ok_or_else(|| FaultSpecError::Kind(word.to_owned(), KINDS.map(|(name, _)| name).join(", ")))
    }
}

/// A part of a fault specification that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FaultSpecError {
    /// Not `kind:probability` or `kind@path:probability`.
    #[error("`{0}` is not of the form `kind:probability`, such as `500:0.02`")]
    Random(String),
    /// Not `n=kind`, `n-m=kind` or either with `@path`.
    #[error("`{0}` is not of the form `request-number=kind`, such as `3=500` or `4-6=cut`")]
    At(String),
    /// Not between 0 and 1.
    #[error("`{0}` is not a probability from 0 to 1")]
    Probability(String),
    /// Not a count from 1, or an empty range.
    #[error("`{0}` is neither a request number from 1 nor a range of them")]
    Requests(String),
    /// No such kind.
    #[error("`{0}` is no kind of fault; there are {1}")]
    Kind(String, String),
    /// A path prefix without its slash.
    #[error("`{0}` is no path prefix; it begins with `/`")]
    Path(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Chance(f64),
    Requests(u64, u64),
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    fault: Fault,
    when: When,
    path: Option<String>,
}

/// Which requests go wrong. The first rule that applies to a request wins; those for request numbers come before random ones.
///
/// | kinds | what comes back |
/// |---|---|
/// | `401` `403` `404` `500` `502` `503` `504` | that status with an `error.list` |
/// | `429`, `429-bare` | rate limited, with the usual headers or without any |
/// | `html`, `garbage`, `empty`, `half` | 500 as HTML; 200 with HTML, with nothing, with half of the JSON |
/// | `cut`, `slow`, `noheaders` | the connection ends in mid-body; 1.5 s late; no rate headers |
/// | `loop`, `foreign-next` | list pages: the next cursor is the one just sent; `next` is a URL on another host |
/// | `drop`, `repeat`, `total` | list pages: one entry is missing; is there twice; `total_count` is 10 % too high |
/// | `scroll_restart` | scrolls: 500, and the scroll is gone |
/// | `extra`, `stringly` | list pages: unknown keys and `next: null`; ids as numbers, dates as text, milliseconds or ISO 8601 |
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    /// Everything goes well.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads `--faults` (`kind[@path]:probability,…`) and `--faults-at` (`n[-m]=kind[@path],…`).
    ///
    /// Requests are counted from 1; with a path, only those whose path begins with it are counted.
    ///
    /// # Errors
    /// Names the first part that cannot be understood.
    pub fn parse(random: Option<&str>, at: Option<&str>) -> Result<Self, FaultSpecError> {
        let parts = |spec: Option<&str>| -> Vec<String> {
            spec.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let at = parts(at).into_iter().map(|part| {
            let (requests, kind) = part.split_once('=').ok_or_else(|| FaultSpecError::At(part.clone()))?;
            rule(kind, request_range(requests)?)
        });
        let random = parts(random).into_iter().map(|part| {
            let (kind, chance) = part.rsplit_once(':').ok_or_else(|| FaultSpecError::Random(part.clone()))?;
            let number: f64 = chance.trim().parse().map_err(|_| FaultSpecError::Probability(chance.to_owned()))?;
            if !(0.0..=1.0).contains(&number) {
                return Err(FaultSpecError::Probability(chance.to_owned()));
            }
            rule(kind, When::Chance(number))
        });
        Ok(Self { rules: at.chain(random).collect::<Result<_, _>>()? })
    }
}

fn rule(kind: &str, when: When) -> Result<Rule, FaultSpecError> {
    let (kind, path) = match kind.split_once('@') {
        None => (kind, None),
        Some((kind, path)) if path.starts_with('/') => (kind, Some(path.to_owned())),
        Some((_, path)) => return Err(FaultSpecError::Path(path.to_owned())),
    };
    Ok(Rule { fault: kind.trim().parse()?, when, path })
}

fn request_range(text: &str) -> Result<When, FaultSpecError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last => Ok(When::Requests(first, last)),
        _ => Err(FaultSpecError::Requests(text.to_owned())),
    }
}

/// The faults of a running simulator, with a count of requests for each rule.
pub struct FaultPlan {
    seed: u64,
    rules: Vec<(Rule, AtomicU64)>,
}

impl FaultPlan {
    /// Random faults follow the seed and the number of the request, so the same requests in the same order meet the same faults.
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self { seed, rules: faults.rules.into_iter().map(|rule| (rule, AtomicU64::new(0))).collect() }
    }

    /// What goes wrong with the request that has just come in.
    pub fn next(&self, path: &str) -> Option<Fault> {
        let mut chosen = None;
        for (number, (rule, count)) in self.rules.iter().enumerate() {
            if rule.path.as_ref().is_some_and(|prefix| !path.starts_with(prefix.as_str())) {
                continue;
            }
            let count = count.fetch_add(1, Ordering::Relaxed) + 1;
            let applies = match rule.when {
                When::Requests(first, last) => (first..=last).contains(&count),
                When::Chance(chance) => share(scatter(self.seed, number as u64, count)) < chance,
            };
            if applies && chosen.is_none() {
                chosen = Some(rule.fault);
            }
        }
        chosen
    }
}

/// A number that depends on all three and looks like chance (the finisher of SplitMix64).
pub fn scatter(seed: u64, stream: u64, count: u64) -> u64 {
    let mut mixed = seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
    }
    mixed
}

fn share(number: u64) -> f64 {
    (number >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(random: &str, at: &str) -> FaultPlan {
        FaultPlan::new(Faults::parse(Some(random), Some(at)).unwrap(), 1)
    }

    #[test]
    fn requests_are_counted_from_one() {
        let plan = plan("", "2=500, 4-5=cut");
        let met: Vec<_> = (1..=6).map(|_| plan.next("/tags")).collect();
        assert_eq!(met, [None, Some(Fault::Status(500)), None, Some(Fault::Cut), Some(Fault::Cut), None]);
    }

    #[test]
    fn a_path_counts_its_own_requests() {
        let plan = plan("", "2=404@/segments");
        assert_eq!(plan.next("/segments"), None);
        assert_eq!(plan.next("/tags"), None);
        assert_eq!(plan.next("/segments/1"), Some(Fault::Status(404)));
    }

    #[test]
    fn chances_are_met_about_as_often_as_asked_and_the_same_each_time() {
        let count = || {
            let plan = plan("500@/contacts:0.25,slow:0", "");
            (0..10_000).map(|_| plan.next("/contacts/search")).collect::<Vec<_>>()
        };
        let faults = count().into_iter().flatten().count();
        assert!((2_350..2_650).contains(&faults), "{faults}");
        assert_eq!(count(), count());
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let refused = |random: &str, at: &str| Faults::parse(Some(random), Some(at)).unwrap_err().to_string();
        assert!(refused("boom:0.1", "").starts_with("`boom` is no kind of fault; there are 401, "));
        assert_eq!(refused("500:1.5", ""), "`1.5` is not a probability from 0 to 1");
        assert_eq!(refused("500:NaN", ""), "`NaN` is not a probability from 0 to 1");
        assert_eq!(refused("500", ""), "`500` is not of the form `kind:probability`, such as `500:0.02`");
        assert_eq!(refused("", "0=500"), "`0` is neither a request number from 1 nor a range of them");
        assert_eq!(refused("", "5-4=500"), "`5-4` is neither a request number from 1 nor a range of them");
        assert_eq!(refused("", "3=500@segments"), "`segments` is no path prefix; it begins with `/`");
    }

    #[test]
    fn nothing_asked_is_nothing_wrong() {
        assert_eq!(Faults::parse(None, None), Ok(Faults::none()));
        assert_eq!(Faults::parse(Some(" , "), Some("")), Ok(Faults::none()));
    }
}
