//! The fetch plan: groups by name → IDs, and the streams to fetch.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::bounds::old_table_finding;
use super::partitioning::{FEW_PAGES, Partitioner, Partitioning};
use super::prior_month::{MonthSizes, prior_month};
use super::resolve::resolve;
use super::strategy::{TOTALS, expected_truncated_tags};
use super::{Archive, Context, JobError, Scope, Unresolved, basis_at};
use crate::settings::{Job, Population, ProfileAttribute, Settings, TagHistory};
use archive::snapshot::{Finding, Severity};
use domain::{Basis, Group, GroupKind, MonthSpan, Months, POPULATION, Partition, TimeZone, are_alike, did_you_mean, unseen_difference};
use intercom::{Client, RateWindow};

/// Everything that is decided before the first page of members.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scope: Scope,
    /// Sorted by cohort key.
    pub cohorts: Vec<PlannedCohort>,
    pub population: PlannedPopulation,
    pub has_conversations: bool,
    /// In the order in which they start. The stream of the population, if any, is the first.
    pub streams: Vec<PlannedStream>,
    pub unresolved: Vec<Unresolved>,
    /// The basis of the published snapshot, if the month has one.
    pub published: Option<Basis>,
    /// Whether the dates of tags are fetched: the job wants them, and some month is observed late.
    pub has_tag_dates: bool,
    pub(super) findings: Vec<Finding>,
    /// The sizes in earlier months.
    pub(super) sizes_before: Vec<MonthSizes>,
    /// Whether a run will make the requests of this plan again: it is the plan of a dry run.
    pub(super) is_planned_again: bool,
    /// Requests that it took to make the plan. A run after a dry run makes them again.
    pub(super) opening: u64,
    /// Expected number of requests for contacts with truncated lists of tags.
    pub(super) expected_contact_requests: u64,
}

/// The cost of a plan, as far as sizes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// All requests, except those in `contacts`.
    pub requests: u64,
    /// Requests for names, sizes and totals, included in `requests`.
    pub asking: u64,
    /// About so many additional requests for the tags of contacts.
    pub contacts: u64,
    pub partitions: usize,
    /// At one second a page, and within the share of the rate limit.
    pub time: Duration,
}

/// Requests one after another before the first stream is fetched: workspace, groups, sizes, first page.
const STARTING_PAGES: f64 = 4.0;
/// And those that partition long streams (a search for one row takes as long as a page), and the time until as many requests
/// are under way as allowed.
const PARTITIONING_PAGES: f64 = 10.0;
/// What a page of a search takes in practice, as measured by other connectors.
const SECONDS_PER_PAGE: f64 = 1.0;
/// What a request for one contact's tags takes, estimated.
const SECONDS_PER_CONTACT: f64 = 0.25;
/// The length of a rate window.
const SECONDS_PER_WINDOW: f64 = 10.0;

#[derive(Clone, Debug)]
pub struct PlannedCohort {
    pub group: Group,
    /// As the job names it.
    pub configured: String,
    /// Index of the stream that fetches its members.
    pub stream: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedPopulation {
    Everyone,
    /// The stream that fetches it.
    Group {
        group: Group,
        stream: usize,
    },
    Cohorts,
}

impl PlannedPopulation {
    /// As the manifest names it.
    pub fn label(&self) -> String {
        match self {
            PlannedPopulation::Everyone => "everyone".to_string(),
            PlannedPopulation::Group { group, .. } => group.key(),
            PlannedPopulation::Cohorts => "cohorts".to_string(),
        }
    }
}

/// One stream of the API: a group, everyone, or the month's conversations.
#[derive(Clone, Debug)]
pub struct PlannedStream {
    /// Its name in the spool, the counts and the log.
    pub key: String,
    pub kind: StreamKind,
    /// The announced total, if it was requested.
    pub size: Option<u64>,
    /// Members that the listing of groups counts.
    pub listed: Option<u64>,
    /// The announced total of the group, if its members are derived from the contacts' own lists while everyone is read.
    pub derived: Option<u64>,
    /// Its partitions, if it is long. In a run, the first page decides.
    pub partitioning: Option<Partitioning>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamKind {
    Everyone,
    Members(Group),
    Conversations,
}

impl StreamKind {
    pub(super) fn is_tag(&self) -> bool {
        self.group().is_some_and(|group| group.kind == GroupKind::Tag)
    }

    pub(super) fn group(&self) -> Option<&Group> {
        match self {
            StreamKind::Members(group) => Some(group),
            StreamKind::Everyone | StreamKind::Conversations => None,
        }
    }
}

impl PlannedStream {
    /// For messages: the key, and the group's name without control characters.
    pub(super) fn title(&self) -> String {
        match &self.kind {
            StreamKind::Members(group) => {
                let name: String = group.name.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
                format!("{} ({name})", self.key)
            }
            StreamKind::Everyone | StreamKind::Conversations => self.key.clone(),
        }
    }
}

impl Plan {
    pub(super) async fn make(context: &Context, folder: &Archive, scope: &Scope) -> Result<Plan, JobError> {
        let job = &context.settings.job;
        let prior_month = prior_month(folder, scope.workspace_id.as_deref())?;
        prior_month.check_key(&context.privacy.label())?;
        for (month, error) in &prior_month.unreadable {
            tracing::error!(%error, "the snapshot of {month} cannot be read");
        }
        let mut scope = scope.clone();
        let unnamed_workspace = prior_month.workspace_id.clone().filter(|_| scope.workspace_id.is_none());
        scope.expected_workspace = unnamed_workspace.clone();
        let mut existing = Vec::new();
        for kind in [GroupKind::Tag, GroupKind::Segment] {
            if job.has_kind(kind) {
                let listed = match kind {
                    GroupKind::Tag => context.client.tags().await?,
                    GroupKind::Segment => context.client.segments().await?,
                };
                existing.extend(listed.into_iter().map(|listed| (listed.group, listed.count)));
            }
        }
        let groups: Vec<Group> = existing.iter().map(|(group, _)| group.clone()).collect();
        let announced = |group: &Group| existing.iter().find(|(other, _)| other == group).and_then(|(_, count)| *count);

        let mut plan = Plan { has_conversations: job.conversations, ..Plan::empty(scope.clone()) };
        let find = |plan: &mut Plan, name| match resolve(name, &groups, &prior_month.cohorts) {
            Ok((group, was_renamed)) => {
                if was_renamed {
                    plan.renamed(&group, &name.text);
                }
                Some(group)
            }
            Err(unresolved) => {
                plan.unresolved.push(unresolved);
                None
            }
        };
        match &job.population {
            Population::Everyone => {
                plan.population = PlannedPopulation::Everyone;
                plan.streams.push(PlannedStream {
                    key: POPULATION.to_string(),
                    kind: StreamKind::Everyone,
                    size: None,
                    listed: None,
                    derived: None,
                    partitioning: None,
                });
            }
            Population::Cohorts => {}
            Population::Group(name) => match find(&mut plan, name) {
                Some(group) => {
                    let stream = plan.stream_of(&group, announced(&group));
                    plan.population = PlannedPopulation::Group { group, stream };
                }
                // With another population, the month's comparisons would mean something else.
                None => return Err(JobError::Unresolved(plan.unresolved)),
            },
        }
        for name in &job.groups {
            let Some(group) = find(&mut plan, name) else { continue };
            if plan.cohorts.iter().any(|cohort| cohort.group == group) {
                tracing::warn!("{name}: the job names this group twice; it is fetched once");
                continue;
            }
            let stream = plan.stream_of(&group, announced(&group));
            plan.cohorts.push(PlannedCohort { group, configured: name.text.clone(), stream });
        }
        plan.cohorts.sort_by_key(|cohort| cohort.group.key());
        if plan.has_conversations {
            plan.streams.push(PlannedStream {
                key: "conversations".to_string(),
                kind: StreamKind::Conversations,
                size: None,
                listed: None,
                derived: None,
                partitioning: None,
            });
        }
        let now = (context.clock)();
        let is_late = |span: &MonthSpan| basis_at(now, span, job.grace) == Basis::Late;
        plan.has_tag_dates =
            job.tag_history == TagHistory::AppliedAt && scope.spans.iter().any(is_late) && plan.tag_cohorts().next().is_some();
        for unresolved in std::mem::take(&mut plan.unresolved) {
            plan.miss(unresolved);
        }
        for (month, finding) in &scope.findings {
            tracing::warn!("{month}: {}", finding.detail);
        }
        if let Some(finding) = old_table_finding(&scope.timezone, now) {
            tracing::warn!("{}", finding.detail);
            plan.findings.push(finding);
        }
        if let Some(expected) = unnamed_workspace {
            plan.workspace_unnamed(expected, context.client.capabilities().names_workspace);
        }
        plan.sizes_before = prior_month.sizes;
        plan.check_profile(context).await;
        let traffic = context.client.traffic();
        plan.opening = traffic.requests - traffic.retries;
        Ok(plan)
    }

    /// A plan without streams.
    pub(super) fn empty(scope: Scope) -> Plan {
        Plan {
            scope,
            cohorts: Vec::new(),
            population: PlannedPopulation::Cohorts,
            has_conversations: false,
            streams: Vec::new(),
            unresolved: Vec::new(),
            published: None,
            has_tag_dates: false,
            findings: Vec::new(),
            sizes_before: Vec::new(),
            is_planned_again: false,
            opening: 0,
            expected_contact_requests: 0,
        }
    }

    /// The index of the group's stream; added if it is new.
    fn stream_of(&mut self, group: &Group, size: Option<u64>) -> usize {
        let kind = StreamKind::Members(group.clone());
        match self.streams.iter().position(|stream| stream.kind == kind) {
            Some(stream) => stream,
            None => {
                self.streams.push(PlannedStream { key: group.key(), kind, size, listed: size, derived: None, partitioning: None });
                self.streams.len() - 1
            }
        }
    }

    /// Records a group that was not found and is left out.
    pub(super) fn miss(&mut self, unresolved: Unresolved) {
        self.findings.push(Finding {
            severity: Severity::Error,
            check_name: "group_not_found".to_string(),
            subject: format!("{}:{}", unresolved.name.kind, unresolved.name.text),
            value: None,
            expected: None,
            detail: format!("{unresolved}; the month was published without it"),
        });
        self.unresolved.push(unresolved);
    }

    fn workspace_unnamed(&mut self, expected: String, is_documented: bool) {
        // 1.x is not documented to have `/me`, so this is expected there.
        let severity = if is_documented { Severity::Warning } else { Severity::Info };
        if is_documented {
            tracing::warn!(
                "`GET /me` names no workspace; earlier months are of `{expected}`, and contacts of another workspace are refused"
            );
        }
        self.findings.push(Finding {
            severity,
            check_name: "workspace_unnamed".to_string(),
            subject: "workspace".to_string(),
            value: None,
            expected: Some(expected),
            detail: "`GET /me` named no workspace; contacts of another workspace than in earlier months are refused, but contacts that \
                     name no workspace cannot be checked"
                .to_string(),
        });
    }

    fn renamed(&mut self, group: &Group, configured: &str) {
        tracing::warn!("{} `{configured}` is now named `{}`; found by its ID", group.kind, group.name);
        self.findings.push(Finding {
            severity: Severity::Warning,
            check_name: "group_renamed".to_string(),
            subject: group.key(),
            value: Some(group.name.clone()),
            expected: Some(configured.to_string()),
            detail: "the name in the job is not found any more; the ID in the manifest of an earlier month was used".to_string(),
        });
    }

    /// Custom attributes of the profile that the workspace lacks are a warning, not a failure.
    async fn check_profile(&mut self, context: &Context) {
        if !context.settings.job.has_custom_attributes() {
            return;
        }
        let listed = context.client.custom_attributes().await;
        let existing = match listed {
            Ok(Some(existing)) => existing,
            // The month does not depend on the names of attributes.
            listed => {
                if let Err(error) = listed {
                    tracing::warn!(%error, "listing the workspace's attributes failed; the names in the profile were not checked");
                }
                self.findings.push(Finding {
                    severity: Severity::Info,
                    check_name: "profile_not_checked".to_string(),
                    subject: "profile".to_string(),
                    value: None,
                    expected: None,
                    detail: "the workspace's attributes could not be listed".to_string(),
                });
                return;
            }
        };
        for name in unknown_attributes(&context.settings.job, &existing) {
            tracing::warn!("the profile names `custom_attributes.{name}`, which the workspace does not have");
            self.findings.push(Finding {
                severity: Severity::Warning,
                check_name: "profile_attribute_unknown".to_string(),
                subject: format!("custom_attributes.{name}"),
                value: None,
                expected: None,
                detail: format!("the workspace does not list such an attribute{}", similar_attribute(name, &existing)),
            });
        }
    }

    /// Requests the sizes that are unknown, one request each, and partitions long streams.
    pub(super) async fn size(&mut self, context: &Context) -> Result<(), JobError> {
        let scope = self.scope.clone();
        let (client, scope) = (&context.client, &scope);
        let intercom = &context.settings.intercom;
        let partitioner =
            Partitioner { client, scope, page_size: intercom.page_size, max_concurrency: intercom.max_concurrency, now: (context.clock)() };
        let sized = self.streams.iter().map(|stream| async {
            let size = match (stream.size, &stream.kind) {
                (Some(size), _) => Some(size),
                (None, StreamKind::Everyone) => client.contact_count(None).await?,
                (None, StreamKind::Members(group)) => client.member_count(group, None).await?,
                (None, StreamKind::Conversations) => client.conversation_count(scope.start(), scope.end()).await?,
            };
            let Some(rows) = size.filter(|_| stream.partitioning.is_none()) else { return Ok((size, None)) };
            // A run reads this from the first page, which it needs anyway.
            let oldest = match &stream.kind {
                StreamKind::Members(group) if partitioner.is_long(rows) => client.oldest(Some(group)).await?,
                _ => None,
            };
            Ok::<_, JobError>((size, partitioner.partition(&stream.kind, rows, oldest).await?))
        });
        let sized = try_join_all(sized).await?;
        for (stream, (size, partitioning)) in self.streams.iter_mut().zip(sized) {
            stream.size = size;
            stream.partitioning = stream.partitioning.take().or(partitioning);
        }
        // Only if everyone is long: a short stream saves little.
        let lists_all_groups = client.capabilities().lists_own_segments;
        let everyone = self.streams.iter().find(|stream| stream.kind == StreamKind::Everyone);
        let is_long = |stream: &&PlannedStream| {
            stream.partitioning.is_some() || (lists_all_groups && pages(stream.size, &context.settings) > Some(FEW_PAGES))
        };
        if let Some(everyone) = everyone.filter(is_long).and_then(|stream| stream.size) {
            let may_be = |stream: &PlannedStream| if lists_all_groups { stream.kind.group().is_some() } else { stream.kind.is_tag() };
            let groups = self.streams.iter().enumerate().filter(|(_, stream)| may_be(stream));
            let sized: Vec<(usize, u64)> = groups.filter_map(|(list, stream)| Some((list, stream.size?))).collect();
            // As a run does: estimated from the first page of everyone.
            let truncated_tags = if lists_all_groups { 0.0 } else { truncated_tags(client).await? };
            for list in self.choose_derived(sized, everyone, truncated_tags, &context.settings) {
                self.streams[list].partitioning = None;
            }
        }
        Ok(())
    }

    pub fn months(&self) -> Months {
        self.scope.months
    }

    /// The cohorts that are tags.
    pub fn tag_cohorts(&self) -> impl Iterator<Item = &PlannedCohort> {
        self.cohorts.iter().filter(|cohort| cohort.group.kind == GroupKind::Tag)
    }

    /// The maximum number of requests for the dates of tags: one for each contact with a tag of the job.
    pub fn tag_date_requests(&self) -> u64 {
        if !self.has_tag_dates {
            return 0;
        }
        self.tag_cohorts().filter_map(|cohort| self.streams[cohort.stream].size).sum()
    }

    /// The partitions of a stream, with their rows if known. `None` stands for the whole stream.
    pub fn partitions<'a>(&self, stream: &'a PlannedStream) -> Vec<(Option<&'a Partition>, Option<u64>)> {
        match &stream.partitioning {
            _ if stream.derived.is_some() => Vec::new(),
            Some(partitioning) => partitioning.partitions.iter().map(|sized| (Some(&sized.partition), Some(sized.rows))).collect(),
            None => vec![(None, stream.size)],
        }
    }

    pub fn estimate(&self, settings: &Settings, window: Option<RateWindow>) -> Estimate {
        let partitions = self.streams.iter().flat_map(|stream| self.partitions(stream));
        let pages: Vec<u64> = partitions.map(|(_, rows)| pages(rows, settings).unwrap_or(1)).collect();
        let probes = |partitioning: &Partitioning| if self.is_planned_again { partitioning.probe_requests() } else { 0 };
        // Each partitioned stream ends with a request for its total.
        let probes: u64 =
            self.streams.iter().filter_map(|stream| stream.partitioning.as_ref()).map(|partitioning| probes(partitioning) + 1).sum();
        let tallied = self.streams.iter().filter(|stream| stream.derived.is_some()).count() as u64;
        let deriving = tallied * if self.is_planned_again { TOTALS } else { 1 };
        // If everyone is long, the size of each tag is requested to choose its strategy.
        let asks_tag_sizes =
            self.is_planned_again && self.streams.iter().any(|stream| stream.kind == StreamKind::Everyone && stream.partitioning.is_some());
        let is_other_tag = |stream: &&PlannedStream| asks_tag_sizes && stream.kind.is_tag() && stream.derived.is_none();
        let deriving = deriving + self.streams.iter().filter(is_other_tag).count() as u64;
        let opening = if self.is_planned_again { self.opening } else { 0 };
        let asking = opening + probes + deriving;
        let requests = pages.iter().sum::<u64>() + asking;
        let concurrency = settings.intercom.max_concurrency.max(1) as f64;
        let longest = pages.iter().copied().max().unwrap_or_default() as f64;
        let rate = |requests: u64| window.map_or(0.0, |window| requests as f64 / f64::from(window.share.max(1)) * SECONDS_PER_WINDOW);
        // The longest partition is read one page after another; the others run beside it.
        let is_partitioned = self.streams.iter().any(|stream| stream.partitioning.is_some());
        let start = STARTING_PAGES + if is_partitioned { PARTITIONING_PAGES } else { 0.0 };
        let all = requests + self.expected_contact_requests;
        let fetching = (start + longest.max(all as f64 / concurrency.min(pages.len().max(1) as f64))) * SECONDS_PER_PAGE;
        let dates = self.tag_date_requests();
        let tag_dates = (dates as f64 * SECONDS_PER_CONTACT / concurrency).max(rate(dates));
        let time = Duration::from_secs((fetching.max(rate(all)) + tag_dates).ceil() as u64);
        Estimate { requests: requests + dates, asking, contacts: self.expected_contact_requests, partitions: pages.len(), time }
    }

    pub fn timezone(&self) -> &TimeZone {
        &self.scope.timezone
    }
}

/// The number of pages for so many rows, at least one.
pub fn pages(rows: Option<u64>, settings: &Settings) -> Option<u64> {
    let intercom = &settings.intercom;
    rows.map(|rows| intercom.capabilities().pages(rows, intercom.page_size))
}

/// The share of contacts with truncated lists of tags, estimated from the first page of everyone.
async fn truncated_tags(client: &Client) -> Result<f64, JobError> {
    let mut everyone = client.everyone(None, None).await?;
    Ok(everyone.peek().await.map_or(0.0, |page| expected_truncated_tags(&page.rows)))
}

/// The custom attributes that the job's profile names and the workspace does not have.
pub fn unknown_attributes<'a>(job: &'a Job, existing: &[String]) -> Vec<&'a String> {
    job.profile.iter().filter_map(ProfileAttribute::custom_name).filter(|name| !existing.contains(name)).collect()
}

/// The end of a sentence: an attribute of the workspace with a name similar to the unknown one. Only the exact name matches.
pub fn similar_attribute(unknown: &str, existing: &[String]) -> String {
    let similar = existing.iter().find(|name| are_alike(name, unknown) || unseen_difference(unknown, name).is_some());
    similar.map_or(String::new(), |name| did_you_mean(unknown, name))
}
