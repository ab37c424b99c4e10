//! Checks of Intercom's answers: whether the API answers, which workspace it is, and what the token may read.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{CLOCK_HINT, Finding};
use crate::settings::{Job, Settings};
use crate::{JobError, PriorMonth};
use domain::{GroupKind, Month, MonthSpan, SubscriptionType, TimeZone};
use intercom::{Client, Failure, ListedGroup, RequestError, Workspace};

/// A person waits for the result, so requests that take longer are reported as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answers of the API. An optional answer is `None` if the job does not need it.
pub(super) struct Answers {
    pub workspace: Result<Workspace, RequestError>,
    /// `None` if neither the job nor the workspace names a time zone.
    pub timezone: Option<TimeZone>,
    pub tags: Option<Result<Vec<ListedGroup>, RequestError>>,
    pub segments: Option<Result<Vec<ListedGroup>, RequestError>>,
    /// The number of all contacts.
    pub contacts: Result<Option<u64>, RequestError>,
    /// The number of conversations in the month that a run would observe now.
    pub conversations: Option<Result<Option<u64>, RequestError>>,
    /// The names of the workspace's custom attributes.
    pub attributes: Option<Result<Option<Vec<String>>, RequestError>>,
    pub subscription_types: Option<Result<Option<Vec<SubscriptionType>>, RequestError>>,
}

/// The answers, or the failure after which no request is of use.
pub(super) enum Asked {
    Unanswered(RequestError),
    Answered(Box<Answers>),
}

pub(super) fn impatient(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.intercom.give_up_after = settings.intercom.give_up_after.min(PATIENCE);
    settings
}

/// Requests `/me`; then, if the API answers at all, everything that a run needs to begin, side by side.
pub(super) async fn ask(client: &Client, settings: &Settings, now: DateTime<Utc>) -> Asked {
    let workspace = match client.workspace().await {
        Err(error) if matches!(error.failure, Failure::NoAnswer(_) | Failure::Proxy(_)) => return Asked::Unanswered(error),
        answer => answer,
    };
    let job = &settings.job;
    let known = workspace.clone().unwrap_or_default();
    let timezone = crate::timezone(job, &known).ok();
    let span = match &timezone {
        Some(timezone) => Month::last_ended(now, timezone).span(timezone),
        None => MonthSpan { month: Month::of(now.date_naive()), start: now - TimeDelta::days(30), end: now },
    };
    let (tags, segments, contacts, conversations, attributes, subscription_types) = futures_util::join!(
        wanted(job.has_kind(GroupKind::Tag), client.tags()),
        wanted(job.has_kind(GroupKind::Segment), client.segments()),
        client.contact_count(None),
        wanted(job.conversations, client.try_conversations(span.start, span.end)),
        wanted(job.has_custom_attributes(), client.custom_attributes()),
        wanted(job.subscriptions_in_rules().next().is_some(), client.subscription_types()),
    );
    let answers = Answers { workspace, timezone, tags, segments, contacts, conversations, attributes, subscription_types };
    match answers.common_failure() {
        Some(error) => Asked::Unanswered(error.clone()),
        None => Asked::Answered(Box::new(answers)),
    }
}

async fn wanted<T>(is_wanted: bool, answer: impl Future<Output = T>) -> Option<T> {
    if is_wanted { Some(answer.await) } else { None }
}

/// A cause for which every request fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Token,
    Version,
    Address,
    Passing,
}

/// The cause for which every request fails. `None` if only this request fails, for example with 403, which shows a missing
/// permission.
fn cause(error: &RequestError) -> Option<Cause> {
    if matches!(error.failure, Failure::Status { status: 401, .. }) {
        Some(Cause::Token)
    } else if error.is_version_refused() {
        Some(Cause::Version)
    } else if error.is_wrong_address() {
        Some(Cause::Address)
    } else {
        error.is_transient().then_some(Cause::Passing)
    }
}

impl Answers {
    /// The first failure, if every request failed for the same reason. Then only this failure is reported.
    fn common_failure(&self) -> Option<&RequestError> {
        fn failed<T>(answer: &Option<Result<T, RequestError>>) -> Option<Option<&RequestError>> {
            answer.as_ref().map(|answer| answer.as_ref().err())
        }
        // On 1.x, `/me` may be missing, which says nothing. The answer is then a workspace without an ID.
        let workspace = match &self.workspace {
            Ok(Workspace { id: None, .. }) => None,
            answer => Some(answer.as_ref().err()),
        };
        let contacts = Some(self.contacts.as_ref().err());
        let answers = [workspace, failed(&self.tags), failed(&self.segments), contacts, failed(&self.conversations)];
        let failures: Vec<&RequestError> = answers.into_iter().flatten().collect::<Option<_>>()?;
        let first = failures.first()?;
        let reason = cause(first)?;
        failures.iter().all(|failure| cause(failure) == Some(reason)).then_some(first)
    }

    /// The groups of a kind, if they could be listed.
    pub(super) fn listed(&self, kind: GroupKind) -> Option<&[ListedGroup]> {
        let listed = match kind {
            GroupKind::Tag => &self.tags,
            GroupKind::Segment => &self.segments,
        };
        listed.as_ref()?.as_deref().ok()
    }
}

impl Asked {
    /// Reports API, workspace, permissions and rate limit. Returns the answers, if any.
    pub(super) fn findings(self, client: &Client, settings: &Settings, findings: &mut Vec<Finding>) -> Option<Answers> {
        let address = &settings.intercom.base_url;
        let answers = match self {
            Asked::Unanswered(error) => {
                let is_token = cause(&error) == Some(Cause::Token);
                findings.push(Finding::error(if is_token { "token" } else { "api" }, error));
                return None;
            }
            Asked::Answered(answers) => *answers,
        };
        let newest = settings.intercom.capabilities().newest_known;
        let newest = newest.map_or(String::new(), |newest| format!("; the newest version that this program knows is {newest}"));
        findings.push(Finding::fine("api", format!("`{address}` answers in version {}{newest}", settings.intercom.api_version)));
        match &answers.workspace {
            Ok(workspace) => {
                findings.push(region(settings.intercom.expected_region, workspace.region.as_deref()));
                findings.push(match &workspace.id {
                    Some(id) => Finding::fine("workspace", id),
                    None => {
                        Finding::noted("workspace", "unknown, `GET /me` does not name it: months of another workspace would not be noticed")
                    }
                });
            }
            Err(error) => findings.push(Finding::error("workspace", error.clone())),
        }
        findings.extend(permissions(&answers));
        findings.push(rate_limit(client));
        Some(answers)
    }
}

fn region(expected: Option<&str>, found: Option<&str>) -> Finding {
    match (expected, found) {
        (_, None) => Finding::noted("region", "unknown, `GET /me` does not name it"),
        (Some(expected), Some(found)) if !expected.eq_ignore_ascii_case(found) => Finding::warning(
            "region",
            format!("the workspace is hosted in {found}, the settings say {expected}"),
            Some("set intercom.region to where it is hosted; requests to another region may be slow or refused"),
        ),
        (_, Some(found)) => Finding::fine("region", format!("the workspace is hosted in {found}")),
    }
}

/// The time zone of the months: the job's and the workspace's, its table, and the bounds of the next month.
pub(super) fn timezone(job: &Job, answers: &Answers, prior_month: &PriorMonth, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = vec![match (&answers.workspace, &job.timezone) {
        (Ok(workspace), _) => of_workspace(job, workspace),
        (Err(_), Some(timezone)) => Finding::fine("time zone", format!("{timezone}, named by the job; {}", timezone.table())),
        (Err(_), None) => Finding::noted("time zone", "the workspace's own, which could not be requested"),
    }];
    let Some(timezone) = &answers.timezone else { return findings };
    findings.extend(old_table(timezone, now));
    let next = prior_month.bounds(Month::last_ended(now, timezone), timezone);
    findings.extend(next.into_iter().map(|finding| {
        let hint = "name the former zone in the job file, unless the change is meant";
        Finding::warning("time zone", finding.detail, (finding.check_name == crate::TIMEZONE_CHANGED).then_some(hint))
    }));
    findings
}

/// Compares this machine's clock with the API's, if that is known.
pub(super) fn clock(client: &Client, grace: Duration, timezone: Option<&TimeZone>, now: DateTime<Utc>) -> Option<Finding> {
    let offset = crate::clock_offset(client, now)?;
    let otherwise = timezone.and_then(|timezone| offset.otherwise(grace, timezone, None));
    Some(match otherwise {
        Some(otherwise) => Finding::error("clock", JobError::ClockDiffers { offset, otherwise }),
        None if offset.is_tolerable() => Finding::fine("clock", offset.to_string()),
        None => Finding::warning("clock", offset.to_string(), Some(CLOCK_HINT)),
    })
}

fn old_table(timezone: &TimeZone, now: DateTime<Utc>) -> Option<Finding> {
    let what = crate::old_table(timezone, now)?;
    Some(Finding::warning("time zone", what, Some("update this program, or the machine's tzdata")))
}

fn of_workspace(job: &Job, workspace: &Workspace) -> Finding {
    let timezone = match crate::timezone(job, workspace) {
        Ok(timezone) => timezone,
        Err(error) => return Finding::error("time zone", error),
    };
    let table = timezone.table();
    match &workspace.timezone {
        _ if job.timezone.is_none() => {
            Finding::fine("time zone", format!("{timezone}, the workspace's own, since the job names none; {table}"))
        }
        Some(own) if own != timezone.name() => Finding::warning(
            "time zone",
            format!("{timezone}, named by the job; the workspace's own is {own}; {table}"),
            Some("months begin and end in the job's; dates that Intercom shows are in the workspace's"),
        ),
        Some(_) => Finding::fine("time zone", format!("{timezone}, named by the job, and the workspace's own; {table}")),
        None => Finding::fine("time zone", format!("{timezone}, named by the job; the workspace's own is unknown; {table}")),
    }
}

fn permissions(answers: &Answers) -> Vec<Finding> {
    fn tried<T>(what: &str, answer: Option<&Result<T, RequestError>>, unneeded: &str) -> Finding {
        let subject = format!("reading {what}");
        match answer {
            Some(Ok(_)) => Finding::fine(subject, "permitted"),
            Some(Err(error)) => Finding::error(subject, error.clone()),
            None => Finding::noted(subject, format!("not tried: {unneeded}")),
        }
    }
    vec![
        tried("tags", answers.tags.as_ref(), "the job names no tag"),
        tried("segments", answers.segments.as_ref(), "the job names no segment"),
        tried("contacts", Some(&answers.contacts), ""),
        tried("conversations", answers.conversations.as_ref(), "the job does not use conversations"),
        Finding::noted("writing", "not tried: a check writes nothing, and a run writes only with --apply-tags"),
    ]
}

/// With fewer requests in ten seconds, a run seems to make no progress.
const SLOW_SHARE: u32 = 10;

fn rate_limit(client: &Client) -> Finding {
    match client.rate_window() {
        None => Finding::noted("rate limit", "unknown, the API does not send it; 167 requests in 10 seconds are assumed"),
        Some(window) => {
            let left = window.remaining.map_or("an unknown number".to_string(), |left| left.to_string());
            let what = format!("{} requests in 10 seconds, {left} left in this window; a run uses at most {}", window.limit, window.share);
            match window.share {
                ..SLOW_SHARE => Finding::warning("rate limit", what, Some("at this rate a month takes hours; see `intercom.rate_share`")),
                _ => Finding::fine("rate limit", what),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Seen;

    #[test]
    fn another_region_than_the_settings_say_is_a_warning() {
        let warns = |expected, found| matches!(region(expected, found).seen, Seen::Warning { .. });
        assert!(warns(Some("us"), Some("EU")));
        assert!(!warns(Some("eu"), Some("EU")) && !warns(None, Some("EU")) && !warns(Some("us"), None));
    }

    #[test]
    fn an_old_table_is_a_warning() {
        let warning = |now: &str| old_table(&TimeZone::utc(), now.parse().unwrap());
        assert!(warning("2026-12-01T00:00:00Z").is_none());
        let Some(Finding { seen: Seen::Warning { what, hint: Some(_) }, .. }) = warning("2099-01-01T00:00:00Z") else {
            panic!("no warning")
        };
        assert!(what.contains(&TimeZone::utc().table().to_string()), "{what}");
    }
}
