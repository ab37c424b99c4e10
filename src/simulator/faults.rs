//! Faults on demand: which request fails, and how. [`super::answer`] applies them.

mod kinds;

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::kinds::{ErrorBody, Fault, PageFault};

/// A part of a fault specification that cannot be parsed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FaultSpecError {
    /// The part is not `kind:probability` or `kind@path:probability`.
    #[error("`{0}` is not of the form `kind:probability`, such as `500:0.02`")]
    Random(String),
    /// The part is not `n=kind`, `n-m=kind`, `n-=kind` or any of them with `@path`.
    #[error("`{0}` is not of the form `request-number=kind`, such as `3=500`, `4-6=cut` or `5-=401`")]
    At(String),
    /// The probability is not between 0 and 1.
    #[error("`{0}` is not a probability from 0 to 1")]
    Probability(String),
    /// The request number is not an integer from 1 on, or the range is empty.
    #[error("`{0}` is neither a request number from 1 nor a range of them")]
    Requests(String),
    /// There is no such kind of fault.
    #[error("`{0}` is no kind of fault; there are {1}")]
    Kind(String, String),
    /// The path prefix does not begin with a slash.
    #[error("`{0}` is not a path prefix: a path prefix begins with `/`")]
    Path(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Chance(f64),
    /// The numbers of the first and the last request.
    Requests(u64, u64),
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    fault: Fault,
    when: When,
    path: Option<String>,
}

/// Which requests fail. The first rule that applies to a request wins. Rules for request numbers come before random rules. A row of the
/// table with several kinds describes them in the same order.
///
/// | kinds | the response |
/// |---|---|
/// | `401` `403` `404` `500` `502` `503` `504` | that status with an `error.list` |
/// | `500-html` `502-html` `503-html` `504-html`, `html` | that status as an HTML page; the last is short for the first |
/// | `500-bare` `502-bare` `503-bare` `504-bare` | that status without a body |
/// | `429`, `429-bare` | rate limited, with the usual headers or without any |
/// | `garbage`, `empty`, `half` | 200 with HTML, with nothing, with half of the JSON |
/// | `error_list` | 200 with an `error.list`, and empty lists beside it |
/// | `index_behind` | searches and groups: a tenth of the contacts is missing, also from the totals |
/// | `content-type`, `noheaders` | the right answer as `text/plain` or, every second request, `text/html`; without rate headers |
/// | `date+1h` `date-1h`, `bad-date`, `aged` | the right answer; `Date` an hour off (or `date+40d`); invalid; an hour old, as `Age` says |
/// | `slow`, `trickle`, `hang` | the right answer 1.5 s late; at 256 bytes a second; never, with the connection open |
/// | `reset`, `cut` | the connection is reset before a byte of the answer; ends in mid-body |
/// | `cursor` | with a cursor: 400; with a scroll parameter: 404, and the scroll ends; other requests succeed |
/// | `scroll_restart` | scrolls: 500, and the scroll ends |
/// | `loop`, `foreign-next`, `short` | list pages: `next` is the cursor just sent; `next` is on another host; no `next` (scroll: empty) |
/// | `move` | list pages: the last entry is moved to the top of the next page, even when that page has no fault |
/// | `drop`, `repeat`, `stale` | list pages: one entry is missing; one is repeated; one comes twice, once as a day before its last change |
/// | `outside` | list pages: one additional entry, created ten years before the oldest entry of the page |
/// | `total`, `shrink` | list pages: `total_count` is 10 % too high, or too low, at least by one |
/// | `extra`, `stringly` | list pages: unknown keys and `next: null`; ids as numbers, dates as text, milliseconds or ISO 8601 |
/// | `nulls`, `mistyped` | list pages: all is null but `id`, `type`, `created_at` and lists; all but numbers, ids and types is mistyped |
/// | `huge` | list pages: one entry has a custom attribute of 5 MB |
/// | `not_utf8`, `half_character` | list pages: one entry has texts with bytes that are no UTF-8; with half a surrogate pair |
/// | `nested` | list pages: one entry has 10,000 lists within one another, as a custom attribute and elsewhere |
/// | `paged_groups` | lists of tags, segments and attributes: in two pages, with a cursor (1.x: a URL) to the second |
/// | `null_source`, `merged_author` | conversations: every third has no source; the authors are contacts that no longer exist |
/// | `markup` | list pages: each entry has the custom attributes `note`, with markup for contacts on a paid plan, and `own_id`, different for each |
///
/// The same request with the same fault gets the same page. Requests of a scroll are an exception, because each of them continues the
/// scroll.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// The help text: the names of all kinds and their responses.
    pub fn kinds() -> String {
        kinds::list()
    }

    /// Parses `--faults` (`kind[@path]:probability,…`) and `--faults-at` (`n[-[m]]=kind[@path],…`; `n-` is from the n-th on).
    ///
    /// Requests are counted from 1. If a path is given, only requests whose path begins with it are counted.
    ///
    /// # Errors
    /// Names the first part that cannot be parsed.
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
    let last = if last.trim().is_empty() { Ok(u64::MAX) } else { last.trim().parse() };
    match (first.trim().parse(), last) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last => Ok(When::Requests(first, last)),
        _ => Err(FaultSpecError::Requests(text.to_owned())),
    }
}

/// The faults of a running simulator, with a count of requests for each rule.
pub(crate) struct FaultPlan {
    seed: u64,
    rules: Vec<(Rule, AtomicU64)>,
}

impl FaultPlan {
    /// Random faults depend on the seed and the number of the request, so the same requests in the same order get the same faults.
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self { seed, rules: faults.rules.into_iter().map(|rule| (rule, AtomicU64::new(0))).collect() }
    }

    /// The fault for the request that has just arrived.
    pub(crate) fn next(&self, path: &str) -> Option<Fault> {
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

/// A pseudo-random number from all three arguments (the finisher of SplitMix64).
pub(crate) fn scatter(seed: u64, stream: u64, count: u64) -> u64 {
    let mut mixed = seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
    }
    mixed
}

/// A checksum that depends on every byte.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| scatter(sum, 0, u64::from(*byte)))
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

    fn status(status: u16) -> Fault {
        Fault::Status { status, body: ErrorBody::Json }
    }

    #[test]
    fn requests_are_counted_from_one() {
        let plan = plan("", "2=500, 4-5=cut");
        let met: Vec<_> = (1..=6).map(|_| plan.next("/tags")).collect();
        assert_eq!(met, [None, Some(status(500)), None, Some(Fault::Cut), Some(Fault::Cut), None]);
    }

    #[test]
    fn a_range_without_an_end_never_ends() {
        let plan = plan("", "3-=401");
        let met: Vec<_> = (1..=1_000).map(|_| plan.next("/tags")).collect();
        assert_eq!(met[..3], [None, None, Some(status(401))]);
        assert!(met[2..].iter().all(|fault| *fault == Some(status(401))));
    }

    #[test]
    fn a_path_counts_its_own_requests() {
        let plan = plan("", "2=404@/segments");
        assert_eq!(plan.next("/segments"), None);
        assert_eq!(plan.next("/tags"), None);
        assert_eq!(plan.next("/segments/1"), Some(status(404)));
    }

    #[test]
    fn random_faults_are_as_frequent_as_requested_and_reproducible() {
        let count = || {
            let plan = plan("500@/contacts:0.25,slow:0", "");
            (0..10_000).map(|_| plan.next("/contacts/search")).collect::<Vec<_>>()
        };
        let faults = count().into_iter().flatten().count();
        assert!((2_350..2_650).contains(&faults), "{faults}");
        assert_eq!(count(), count());
    }

    #[test]
    fn parts_that_cannot_be_parsed_are_named() {
        let refused = |random: &str, at: &str| Faults::parse(Some(random), Some(at)).unwrap_err().to_string();
        assert!(refused("boom:0.1", "").starts_with("`boom` is no kind of fault; there are 401, "));
        assert_eq!(refused("500:1.5", ""), "`1.5` is not a probability from 0 to 1");
        assert_eq!(refused("500:NaN", ""), "`NaN` is not a probability from 0 to 1");
        assert_eq!(refused("500", ""), "`500` is not of the form `kind:probability`, such as `500:0.02`");
        assert_eq!(refused("", "0=500"), "`0` is neither a request number from 1 nor a range of them");
        assert_eq!(refused("", "5-4=500"), "`5-4` is neither a request number from 1 nor a range of them");
        assert_eq!(refused("", "-5=500"), "`-5` is neither a request number from 1 nor a range of them");
        assert_eq!(refused("", "0-=500"), "`0-` is neither a request number from 1 nor a range of them");
        assert_eq!(refused("", "3=500@segments"), "`segments` is not a path prefix: a path prefix begins with `/`");
    }

    #[test]
    fn an_empty_specification_has_no_faults() {
        assert_eq!(Faults::parse(None, None), Ok(Faults::none()));
        assert_eq!(Faults::parse(Some(" , "), Some("")), Ok(Faults::none()));
    }
}
