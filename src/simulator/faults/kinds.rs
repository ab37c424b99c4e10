//! The kinds of faults and their names.

use std::str::FromStr;

use super::FaultSpecError;

/// One kind of faulty response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An error status.
    Status { status: u16, body: ErrorBody },
    /// 429 with the usual headers.
    RateLimited,
    /// 429 without any rate header.
    RateLimitedBare,
    /// 200 without a body.
    Empty,
    /// 200 with the first half of the JSON. For HTTP the response is complete.
    Half,
    /// 200 with a body that is not JSON.
    Garbage,
    /// 200 with an `error.list` and empty lists.
    ErrorList,
    /// Searches and groups lack a tenth of the contacts, also in their totals.
    IndexBehind,
    /// The right answer under another content type.
    ContentType,
    /// The right answer without rate headers.
    NoHeaders,
    /// The right answer with a `Date` this many seconds ahead.
    Date(i64),
    /// The right answer with an invalid `Date`.
    BadDate,
    /// The right answer as a cache would send it, with an old `Date` and the matching `Age`.
    Aged,
    /// The right answer, late.
    Slow,
    /// The right answer in small chunks with pauses.
    Trickle,
    /// There is no answer, and the connection stays open.
    Hang,
    /// The connection is reset before a byte of the answer.
    Reset,
    /// The connection is closed in the middle of the body.
    Cut,
    /// A request with a cursor gets 400, and a request with a scroll parameter gets 404. Other requests succeed.
    Cursor,
    /// The open scroll fails with a 500 and has to be restarted. Other requests succeed.
    ScrollRestart,
    /// The last entry of a list page is moved to the top of the next page.
    Move,
    /// A faulty list page that still looks like a list page.
    Page(PageFault),
}

/// The body of an error status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorBody {
    /// The documented `error.list`.
    Json,
    /// An HTML page, as proxies send it.
    Html,
    Nothing,
}

/// The fault of a list page. Other responses do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageFault {
    /// The next cursor is the cursor of this request.
    Loop,
    /// `pages.next` is a URL on another host.
    ForeignNext,
    /// The page has no next page, although the list has more entries. A page of a scroll is empty, which ends the scroll.
    Short,
    /// One entry is silently missing.
    Drop,
    /// One entry appears twice.
    Repeat,
    /// One entry appears twice: as it is, and as it was a day before its last change.
    Stale,
    /// There is one more entry, which was created years before the others.
    Outside,
    /// `total_count` is 10 % too high.
    Total,
    /// `total_count` is 10 % too low.
    Shrink,
    /// Unknown keys everywhere, and `next: null` on the last page.
    Extra,
    /// Ids are JSON numbers. Dates are seconds as text, milliseconds or ISO 8601.
    Stringly,
    /// All fields are null but id, type, date of creation and lists.
    Nulls,
    /// Texts, booleans, arrays and objects have wrong types.
    Mistyped,
    /// One entry has a custom attribute of 5 MB.
    Huge,
    /// One entry has texts with invalid UTF-8.
    NotUtf8,
    /// One entry has texts that end in half a surrogate pair.
    HalfCharacter,
    /// One entry has ten thousand nested lists.
    Nested,
    /// Each entry has a custom attribute with markup, and another one whose value is different for each entry.
    Markup,
    /// A list of tags, segments or attributes comes in two pages.
    PagedGroups,
    /// Every third conversation has no source (in 1.x, no message).
    NullSource,
    /// The author of a conversation is a contact that no longer exists.
    MergedAuthor,
}

const fn json(status: u16) -> Fault {
    Fault::Status { status, body: ErrorBody::Json }
}

const fn html(status: u16) -> Fault {
    Fault::Status { status, body: ErrorBody::Html }
}

const fn bare(status: u16) -> Fault {
    Fault::Status { status, body: ErrorBody::Nothing }
}

/// The names of related kinds, and a description of their responses.
struct Group {
    kinds: &'static [(&'static str, Fault)],
    response: &'static str,
}

const fn group(kinds: &'static [(&'static str, Fault)], response: &'static str) -> Group {
    Group { kinds, response }
}

const GROUPS: &[Group] = &[
    group(
        &[
            ("401", json(401)),
            ("403", json(403)),
            ("404", json(404)),
            ("500", json(500)),
            ("502", json(502)),
            ("503", json(503)),
            ("504", json(504)),
        ],
        "that status with an error.list",
    ),
    group(
        &[("500-html", html(500)), ("502-html", html(502)), ("503-html", html(503)), ("504-html", html(504)), ("html", html(500))],
        "that status with an HTML page; html is short for 500-html",
    ),
    group(
        &[("500-bare", bare(500)), ("502-bare", bare(502)), ("503-bare", bare(503)), ("504-bare", bare(504))],
        "that status without a body",
    ),
    group(&[("429", Fault::RateLimited)], "rate limited, with the usual headers"),
    group(&[("429-bare", Fault::RateLimitedBare)], "rate limited, without any rate header"),
    group(&[("empty", Fault::Empty)], "200 without a body"),
    group(&[("half", Fault::Half)], "200 with the first half of the JSON"),
    group(&[("garbage", Fault::Garbage)], "200 with an HTML page"),
    group(&[("error_list", Fault::ErrorList)], "200 with an error.list and empty lists"),
    group(&[("content-type", Fault::ContentType)], "the right JSON as text/plain or, every second request, text/html"),
    group(&[("noheaders", Fault::NoHeaders)], "the right answer without rate headers"),
    group(
        &[("date+1h", Fault::Date(3_600)), ("date-1h", Fault::Date(-3_600))],
        "the right answer, but its Date is wrong by so much (also date+40d)",
    ),
    group(&[("bad-date", Fault::BadDate)], "the right answer with an invalid Date"),
    group(&[("aged", Fault::Aged)], "the right answer with a Date of an hour ago, and that Age"),
    group(&[("slow", Fault::Slow)], "the right answer, 1.5 s late"),
    group(&[("trickle", Fault::Trickle)], "the right answer at 256 bytes a second"),
    group(&[("hang", Fault::Hang)], "no answer; the connection stays open"),
    group(&[("reset", Fault::Reset)], "the connection is reset before a byte of the answer"),
    group(&[("cut", Fault::Cut)], "the connection ends in mid-body"),
    group(&[("cursor", Fault::Cursor)], "a cursor gets 400, like an invalid one; a scroll gets 404 and is gone"),
    group(&[("scroll_restart", Fault::ScrollRestart)], "scrolls: 500, and the scroll is gone"),
    group(&[("loop", Fault::Page(PageFault::Loop))], "lists: the next cursor is the one just sent"),
    group(&[("foreign-next", Fault::Page(PageFault::ForeignNext))], "lists: next is a URL on another host"),
    group(&[("short", Fault::Page(PageFault::Short))], "lists: next is missing; scrolls: an empty page"),
    group(&[("move", Fault::Move)], "lists: the last entry is moved to the top of the next page"),
    group(&[("index_behind", Fault::IndexBehind)], "searches and groups: a tenth is missing, also from totals"),
    group(&[("drop", Fault::Page(PageFault::Drop))], "lists: one entry is missing"),
    group(&[("repeat", Fault::Page(PageFault::Repeat))], "lists: one entry comes twice"),
    group(&[("stale", Fault::Page(PageFault::Stale))], "lists: one entry comes twice, once as it was a day before"),
    group(&[("outside", Fault::Page(PageFault::Outside))], "lists: one more entry, ten years older than the others"),
    group(&[("total", Fault::Page(PageFault::Total))], "lists: total_count is 10 % too high"),
    group(&[("shrink", Fault::Page(PageFault::Shrink))], "lists: total_count is 10 % too low"),
    group(&[("extra", Fault::Page(PageFault::Extra))], "lists: unknown keys; the last page has next: null"),
    group(&[("stringly", Fault::Page(PageFault::Stringly))], "lists: ids as numbers; dates as text, in ms or ISO 8601"),
    group(&[("nulls", Fault::Page(PageFault::Nulls))], "lists: all is null but id, type, created_at and lists"),
    group(&[("mistyped", Fault::Page(PageFault::Mistyped))], "lists: values of wrong types, such as a number in place of text"),
    group(&[("huge", Fault::Page(PageFault::Huge))], "lists: one entry has a custom attribute of 5 MB"),
    group(&[("not_utf8", Fault::Page(PageFault::NotUtf8))], "lists: one entry has texts with invalid UTF-8"),
    group(&[("half_character", Fault::Page(PageFault::HalfCharacter))], "lists: one entry has half a surrogate pair in texts"),
    group(&[("nested", Fault::Page(PageFault::Nested))], "a row of a list contains lists nested 10,000 deep"),
    group(&[("paged_groups", Fault::Page(PageFault::PagedGroups))], "lists of tags, segments and attributes: in two pages"),
    group(&[("null_source", Fault::Page(PageFault::NullSource))], "conversations: every third has no source"),
    group(&[("merged_author", Fault::Page(PageFault::MergedAuthor))], "conversations: their authors no longer exist"),
    group(&[("markup", Fault::Page(PageFault::Markup))], "lists: custom attributes `note`, with markup, and `own_id`"),
];

impl FromStr for Fault {
    type Err = FaultSpecError;

    fn from_str(word: &str) -> Result<Self, FaultSpecError> {
        let known = all().find(|(name, _)| *name == word);
        known.map(|(_, fault)| fault).or_else(|| date(word)).ok_or_else(|| FaultSpecError::Kind(word.to_owned(), names(all(), ", ")))
    }
}

/// Parses `date+40d` or `date-90s`. `None` for other words.
fn date(word: &str) -> Option<Fault> {
    let by = word.strip_prefix("date")?;
    let seconds = |by: &str| i64::try_from(humantime::parse_duration(by).ok()?.as_secs()).ok();
    match (by.strip_prefix('+'), by.strip_prefix('-')) {
        (Some(by), _) => seconds(by).map(Fault::Date),
        (None, Some(by)) => seconds(by).map(|seconds| Fault::Date(-seconds)),
        (None, None) => None,
    }
}

/// The help text: for each group of kinds, the names and the response.
pub(super) fn list() -> String {
    const WIDTH: usize = 14;
    let line = |group: &Group| {
        let names = names(group.kinds.iter().copied(), " ");
        // If the names are too long, the description goes on the next line.
        let names = if names.len() > WIDTH { format!("{names}\n  {:WIDTH$}", "") } else { format!("{names:WIDTH$}") };
        format!("  {names}  {}", group.response)
    };
    GROUPS.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn all() -> impl Iterator<Item = (&'static str, Fault)> {
    GROUPS.iter().flat_map(|group| group.kinds).copied()
}

fn names(kinds: impl Iterator<Item = (&'static str, Fault)>, between: &str) -> String {
    kinds.map(|(name, _)| name).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_is_one_kind_and_documented() {
        let (documented, list) = (include_str!("../faults.rs"), list());
        let mut seen = HashSet::new();
        for (name, fault) in all() {
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(name.parse(), Ok(fault));
            let row = |line: &&str| line.starts_with("/// |") && line.contains(&format!("`{name}`"));
            assert_eq!(documented.lines().filter(row).count(), 1, "{name} in the table of `Faults`");
            assert!(list.split_whitespace().any(|word| word == name), "{name}");
        }
        assert!(list.lines().all(|line| line.len() <= 90), "{list}");
        assert_eq!("html".parse::<Fault>(), "500-html".parse());
        assert_eq!(("date+40d".parse(), "date-90s".parse()), (Ok(Fault::Date(40 * 86_400)), Ok(Fault::Date(-90))));
        assert!("date".parse::<Fault>().is_err() && "date+soon".parse::<Fault>().is_err());
    }
}
