//! The months of a run, and the basis of an observation made now.

use chrono::{DateTime, Duration, Utc};

use super::bounds::{Cut, begun_finding, cut, fits, is_near, published_months};
use super::{Context, Event, JobError, clock, timezone};
use crate::settings::{Job, TagHistory, zones};
use archive::snapshot::Finding;
use domain::{Basis, GroupKind, Month, MonthSpan, Months, TimeZone};
use intercom::Workspace;

/// The months and the workspace of a run.
#[derive(Clone, Debug)]
pub struct Scope {
    /// `None` before the first request, and if the API does not name the workspace.
    pub workspace_id: Option<String>,
    /// The workspace of earlier months, if the API does not name the token's workspace.
    pub expected_workspace: Option<String>,
    pub timezone: TimeZone,
    /// The workspace's own time zone, in which Intercom truncates contacts' dates to days. `None` before the first request.
    pub workspace_timezone: Option<TimeZone>,
    /// The months that are fetched together.
    pub months: Months,
    /// The bounds of the months that get a snapshot, ascending.
    pub spans: Vec<MonthSpan>,
    /// The first instant of the first month.
    start: DateTime<Utc>,
    /// The last of the months.
    newest: MonthSpan,
    /// Findings about the bounds of months.
    pub findings: Vec<(Month, Finding)>,
    /// The basis that an observation made now has, for the newest month.
    pub basis: Basis,
}

impl Scope {
    pub(super) fn at(context: &Context, month: Option<Month>, timezone: TimeZone) -> Result<Scope, JobError> {
        let now = (context.clock)();
        let month = month.unwrap_or_else(|| Month::last_ended(now, &timezone));
        Scope::over(context, month.into(), timezone)
    }

    /// # Errors
    /// When the last month has not begun.
    pub(super) fn over(context: &Context, months: Months, timezone: TimeZone) -> Result<Scope, JobError> {
        (context.observer)(Event::Planning { months });
        let now = (context.clock)();
        let published = published_months(&context.archive)?;
        let Cut { spans, findings } = cut(months, &timezone, &published, |_| true);
        let newest = spans.last().copied().unwrap_or_else(|| months.last.span(&timezone));
        if now < newest.start {
            return Err(JobError::NotBegun { month: months.last, start: newest.start });
        }
        Ok(Scope {
            workspace_id: None,
            expected_workspace: None,
            workspace_timezone: None,
            months,
            start: spans.first().map_or(newest.start, |first| first.start),
            newest,
            spans,
            findings,
            basis: prospect(&context.settings.job, now, &newest),
            timezone,
        })
    }

    /// The same months, but only the wanted ones get a snapshot. The others keep the bounds with which they were published.
    pub(super) fn only(self, context: &Context, wanted: &[Month]) -> Result<Scope, JobError> {
        let published = published_months(&context.archive)?;
        let Cut { mut spans, findings } = cut(self.months, &self.timezone, &published, |month| wanted.contains(&month));
        let newest = spans.last().copied().unwrap_or(self.newest);
        let start = spans.first().map_or(self.start, |first| first.start);
        spans.retain(|span| wanted.contains(&span.month));
        let basis = prospect(&context.settings.job, (context.clock)(), &newest);
        Ok(Scope { start, newest, spans, findings, basis, ..self })
    }

    /// The month with the bounds of an interrupted run that used another table of the same time zone. So rows that were observed at
    /// the month's end are not lost. `None` if these bounds do not fit the months beside it.
    pub(super) fn as_begun(
        &self,
        context: &Context,
        timezone: &str,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Option<Scope>, JobError> {
        let begun = MonthSpan { start, end, ..self.newest };
        let is_alike = self.months.first == self.months.last && timezone == self.timezone.name() && is_near(&begun);
        if !is_alike || !fits(&published_months(&context.archive)?, &begun) {
            return Ok(None);
        }
        let mut scope = self.clone().cut_at(context, start, end);
        let finding = begun_finding(&self.timezone, &self.newest, &begun);
        tracing::warn!("{}: {}", begun.month, finding.detail);
        scope.findings.push((begun.month, finding));
        Ok(Some(scope))
    }

    /// The month with the bounds of an earlier run.
    pub(super) fn cut_at(self, context: &Context, start: DateTime<Utc>, end: DateTime<Utc>) -> Scope {
        let newest = MonthSpan { month: self.months.last, start, end };
        let basis = prospect(&context.settings.job, (context.clock)(), &newest);
        Scope { start, newest, spans: vec![newest], basis, ..self }
    }

    /// Asks the API for the workspace, and takes its time zone if the job names none.
    pub(super) async fn ask(context: &Context, month: Option<Month>) -> Result<Scope, JobError> {
        let workspace = context.client.workspace().await?;
        let timezone = timezone(&context.settings.job, &workspace)?;
        clock::check(context, &timezone, month.map(Months::from)).await?;
        Ok(Scope::at(context, month, timezone)?.of(workspace))
    }

    /// This scope, with the ID and the time zone of this workspace.
    pub(super) fn of(self, workspace: Workspace) -> Scope {
        let workspace_timezone = workspace.timezone.and_then(|name| zones().zone(&name));
        Scope { workspace_id: workspace.id, workspace_timezone, ..self }
    }

    /// The last of the months.
    pub fn newest(&self) -> MonthSpan {
        self.newest
    }

    /// The first instant of the first month.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// The first instant after the last month.
    pub fn end(&self) -> DateTime<Utc> {
        self.newest.end
    }

    /// The basis, for the newest month, of what was observed at this instant.
    pub fn basis_at(&self, instant: DateTime<Utc>, grace: std::time::Duration) -> Basis {
        basis_at(instant, &self.newest, grace)
    }
}

/// The basis that a month's snapshot has when everything is observed now.
pub(super) fn prospect(job: &Job, now: DateTime<Utc>, span: &MonthSpan) -> Basis {
    let basis = basis_at(now, span, job.grace);
    // A snapshot's basis is the lowest basis of its cohorts. The API does not say when a contact came into a segment, so a segment cannot
    // be reconstructed: one segment is enough to make the snapshot `late`.
    let all_tags = job.groups.iter().all(|name| name.kind == GroupKind::Tag);
    if basis == Basis::Late && job.tag_history == TagHistory::AppliedAt && all_tags { Basis::Reconstructed } else { basis }
}

/// The basis of what was observed at this instant.
pub(super) fn basis_at(instant: DateTime<Utc>, span: &MonthSpan, grace: std::time::Duration) -> Basis {
    let grace = Duration::from_std(grace).unwrap_or(Duration::zero());
    if instant < span.end {
        Basis::Preliminary
    } else if instant <= span.end + grace {
        Basis::MonthEnd
    } else {
        Basis::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basis_follows_from_when_the_last_page_came() {
        let span = "2026-10".parse::<Month>().unwrap().span(&TimeZone::utc());
        let grace = std::time::Duration::from_secs(3 * 24 * 3600);
        let basis = |text: &str| basis_at(text.parse().unwrap(), &span, grace);
        assert_eq!(basis("2026-10-31T23:59:59Z"), Basis::Preliminary);
        assert_eq!(basis("2026-11-01T00:00:00Z"), Basis::MonthEnd);
        assert_eq!(basis("2026-11-04T00:00:00Z"), Basis::MonthEnd);
        assert_eq!(basis("2026-11-04T00:00:01Z"), Basis::Late);
    }
}
