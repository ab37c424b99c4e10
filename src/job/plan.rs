//! The fetch plan: which groups the names in the job mean, and which streams to fetch.

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

use super::bounds::old_table_finding;
use super::partitioning::{FEW_PAGES, Partitioner, pages};
use super::prior_month::{PriorSizes, prior_month};
use super::resolve::resolve;
use super::strategy::{MembershipStrategy, TOTALS, expected_cut_subscriptions, expected_truncated_tags, membership_strategy};
use super::stream::{PlannedStream, StreamKind};
use super::{Context, JobError, Scope, Unresolved, basis_at};
use crate::settings::{Job, Population, ProfileAttribute, Settings, TagHistory};
use archive::snapshot::{CohortEntry, Finding, Severity};
use domain::{
    Basis, Contact, Group, GroupKind, Month, MonthSpan, Months, SubscriptionType, TimeZone, are_alike, did_you_mean, unseen_difference,
};
use intercom::{Client, ListedGroup};

/// Everything that is decided before the first page of members.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scope: Scope,
    /// The cohorts, sorted by cohort key.
    pub cohorts: Vec<PlannedCohort>,
    pub population: PlannedPopulation,
    pub has_conversations: bool,
    /// The streams in the order in which they start. The stream of the population, if any, is the first.
    pub streams: Vec<PlannedStream>,
    pub unresolved: Vec<Unresolved>,
    /// The basis of the published snapshot, if the month has one.
    pub published: Option<Basis>,
    /// Whether the dates of tags are fetched: the job wants them, and some month is observed late.
    pub has_tag_dates: bool,
    /// Whether the contacts' choices about subscriptions are observed.
    pub has_subscriptions: bool,
    pub(super) subscription_types: Vec<SubscriptionType>,
    /// The last month before this one that was observed at its end, and the number of its members. The run asks about those who are gone.
    /// `None` if there is no such month, or the API does not say whether a contact was deleted or merged.
    pub vanished_from: Option<(Month, u64)>,
    pub(super) findings: Vec<Finding>,
    /// The sizes of cohorts in earlier months.
    pub(super) sizes_before: PriorSizes,
    /// Whether this plan is of `run --dry-run`, and so a run after it makes the plan again, but asks for fewer sizes.
    pub(super) is_planned_again: bool,
    /// How many of the requests that were sent for this plan are sent again after it. 0 if it is not of a dry run.
    pub(super) repeated: u64,
    /// The expected number of requests for contacts with truncated lists of tags.
    pub(super) expected_contact_requests: u64,
    /// The expected number of requests for contacts whose subscriptions the API cut. It is estimated only if everyone is a long stream.
    pub(super) expected_cut_subscriptions: u64,
}

#[derive(Clone, Debug)]
pub struct PlannedCohort {
    pub group: Group,
    /// The name of the group in the job.
    pub configured: String,
    /// The index of the stream that fetches its members.
    pub stream: usize,
    /// When the group was created and last changed, if the list of groups says so.
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedPopulation {
    Everyone,
    /// A group, with the index of the stream that fetches it.
    Group {
        group: Group,
        stream: usize,
    },
    Cohorts,
}

impl PlannedPopulation {
    /// The population's name in the manifest.
    pub fn label(&self) -> String {
        match self {
            PlannedPopulation::Everyone => "everyone".to_string(),
            PlannedPopulation::Group { group, .. } => group.key(),
            PlannedPopulation::Cohorts => "cohorts".to_string(),
        }
    }
}

/// The number of requests so far, without those that were sent again after a failure.
pub(super) fn first_requests(context: &Context) -> u64 {
    let traffic = context.client.traffic();
    traffic.requests - traffic.retries
}

impl Plan {
    pub(super) async fn make(context: &Context, scope: &Scope) -> Result<Plan, JobError> {
        let job = &context.settings.job;
        let prior_month = prior_month(&context.archive, scope.workspace_id.as_deref())?;
        prior_month.check_key(&context.privacy.label())?;
        for (month, error) in &prior_month.unreadable {
            tracing::error!(%error, "the snapshot of {month} cannot be read");
        }
        let mut scope = scope.clone();
        let unnamed_workspace = prior_month.workspace_id.clone().filter(|_| scope.workspace_id.is_none());
        scope.expected_workspace = unnamed_workspace.clone();
        let mut existing: Vec<ListedGroup> = Vec::new();
        for kind in [GroupKind::Tag, GroupKind::Segment] {
            if job.has_kind(kind) {
                let listed = match kind {
                    GroupKind::Tag => context.client.tags().await?,
                    GroupKind::Segment => context.client.segments().await?,
                };
                existing.extend(listed);
            }
        }
        let groups: Vec<Group> = existing.iter().map(|listed| listed.group.clone()).collect();
        let listed = |group: &Group| existing.iter().find(|listed| listed.group == *group);
        let announced = |group: &Group| listed(group).and_then(|listed| listed.count);

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
                plan.streams.push(PlannedStream::new(StreamKind::Everyone));
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
            let (created_at, updated_at) = listed(&group).map(|listed| (listed.created_at, listed.updated_at)).unwrap_or_default();
            plan.replaced(&group, &name.text, &groups, &prior_month.cohorts);
            plan.cohorts.push(PlannedCohort { group, configured: name.text.clone(), stream, created_at, updated_at });
        }
        plan.cohorts.sort_by_key(|cohort| cohort.group.key());
        if plan.has_conversations {
            plan.streams.push(PlannedStream::new(StreamKind::Conversations));
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
        plan.plan_vanished(context);
        plan.find_subscription_types(context).await;
        plan.check_profile(context).await;
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
            has_subscriptions: false,
            subscription_types: Vec::new(),
            vanished_from: None,
            findings: Vec::new(),
            sizes_before: PriorSizes::default(),
            is_planned_again: false,
            repeated: 0,
            expected_contact_requests: 0,
            expected_cut_subscriptions: 0,
        }
    }

    /// The index of the group's stream. If there is none yet, it is added.
    fn stream_of(&mut self, group: &Group, size: Option<u64>) -> usize {
        let kind = StreamKind::Members(group.clone());
        match self.streams.iter().position(|stream| stream.kind == kind) {
            Some(stream) => stream,
            None => {
                self.streams.push(PlannedStream { size, listed: size, ..PlannedStream::new(kind) });
                self.streams.len() - 1
            }
        }
    }

    /// Records a group that was not found and is left out.
    pub(super) fn miss(&mut self, unresolved: Unresolved) {
        let subject = format!("{}:{}", unresolved.name.kind, unresolved.name.text);
        let detail = format!("{unresolved}; the month was published without it");
        self.findings.push(Finding::error("group_not_found", subject, detail));
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
        let detail = "`GET /me` did not say which workspace this is. The run fails if a contact names another workspace than earlier months \
                      have; contacts that name none cannot be checked";
        self.findings.push(Finding::new(severity, "workspace_unnamed", "workspace", detail).expected(expected));
    }

    /// Reports a group that was deleted and created again: the newest earlier month that has this name found another group by it, and
    /// that group no longer exists.
    fn replaced(&mut self, group: &Group, configured: &str, existing: &[Group], prior: &[CohortEntry]) {
        let of_kind = |entry: &&CohortEntry| entry.kind_and_id().0 == group.kind.as_str();
        let Some(before) = prior.iter().filter(of_kind).find(|entry| entry.configured == configured && entry.cohort_name == group.name)
        else {
            return;
        };
        let id = before.kind_and_id().1;
        if id == group.id || existing.iter().any(|other| other.kind == group.kind && other.id == id) {
            return;
        }
        tracing::warn!(
            "{} `{}` is another {} of the same name: id:{}, before id:{id}, which is gone",
            group.kind,
            group.name,
            group.kind,
            group.id
        );
        let detail = format!(
            "another {} of the same name: the one of earlier months is gone, so the history of this cohort begins anew",
            group.kind
        );
        self.findings.push(Finding::warning("group_replaced", group.key(), detail).value(&group.id).expected(id));
    }

    fn renamed(&mut self, group: &Group, configured: &str) {
        tracing::warn!("{} `{configured}` is now named `{}`; found by its ID", group.kind, group.name);
        let detail = "the name in the job is not found any more; the ID in the manifest of an earlier month was used";
        self.findings.push(Finding::warning("group_renamed", group.key(), detail).value(&group.name).expected(configured));
    }

    /// Checks the custom attributes of the profile. An attribute that the workspace does not have is a warning, not a failure.
    async fn check_profile(&mut self, context: &Context) {
        if !context.settings.job.has_custom_attributes() {
            return;
        }
        let listed = context.client.custom_attributes().await;
        let existing = match listed {
            Ok(Some(existing)) => existing,
            // The month does not depend on the names of attributes, so a failure is only logged.
            listed => {
                if let Err(error) = listed {
                    tracing::warn!(%error, "listing the workspace's attributes failed; the names in the profile were not checked");
                }
                self.findings.push(Finding::info("profile_not_checked", "profile", "the workspace's attributes could not be listed"));
                return;
            }
        };
        for name in unknown_attributes(&context.settings.job, &existing) {
            tracing::warn!("the profile names `custom_attributes.{name}`, which the workspace does not have");
            let detail = format!("the workspace does not list such an attribute{}", similar_attribute(name, &existing));
            self.findings.push(Finding::warning("profile_attribute_unknown", format!("custom_attributes.{name}"), detail));
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
            // A run for one month reads the oldest contact from the first page, which it fetches anyway. Here, it must be requested.
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
        // Members are derived only if the stream of everyone is long. For a short stream, deriving them saves few requests.
        let lists_all_groups = client.capabilities().lists_own_segments;
        let everyone = self.streams.iter().find(|stream| stream.kind == StreamKind::Everyone);
        let is_long = |stream: &&PlannedStream| {
            stream.partitioning.is_some() || (lists_all_groups && pages(stream.size, &context.settings) > Some(FEW_PAGES))
        };
        if let Some(everyone) = everyone.filter(is_long).and_then(|stream| stream.size) {
            let may_be = |stream: &PlannedStream| if lists_all_groups { stream.kind.group().is_some() } else { stream.kind.is_tag() };
            let groups = self.streams.iter().enumerate().filter(|(_, stream)| may_be(stream));
            let sized: Vec<(usize, u64)> = groups.filter_map(|(list, stream)| Some((list, stream.size?))).collect();
            // The share of truncated lists is estimated from the first page of everyone, as in a run for one month.
            let (truncated_tags, cut) = if lists_all_groups { (0.0, 0.0) } else { first_page(client).await? };
            if self.may_cut_subscriptions() {
                self.expected_cut_subscriptions = (everyone as f64 * cut).ceil() as u64;
            }
            for list in self.choose_strategy(sized, everyone, truncated_tags, &context.settings) {
                self.streams[list].partitioning = None;
            }
        }
        Ok(())
    }

    /// Chooses the membership strategy of groups whose totals are known. `truncated_tags` is the expected share of contacts with
    /// truncated lists. Returns the streams whose members are derived.
    pub(super) fn choose_strategy(
        &mut self,
        groups: Vec<(usize, u64)>,
        everyone: u64,
        truncated_tags: f64,
        settings: &Settings,
    ) -> Vec<usize> {
        let pages = |total: u64| pages(Some(total), settings).unwrap_or(1);
        let worth_it: Vec<(usize, u64)> = groups.into_iter().filter(|(_, total)| pages(*total) > TOTALS).collect();
        if worth_it.is_empty() {
            return Vec::new();
        }
        let searching: u64 = worth_it.iter().map(|(_, total)| pages(*total)).sum();
        let (count, totals) = (worth_it.len(), worth_it.len() as u64 * TOTALS);
        let contacts = (everyone as f64 * truncated_tags).ceil() as u64;
        let deriving = totals + contacts;
        if membership_strategy(searching, totals, contacts) == MembershipStrategy::SearchMembers {
            tracing::info!("searching for the members of {count} groups: {searching} requests, instead of about {deriving} to derive them");
            return Vec::new();
        }
        tracing::info!(
            "the members of {count} groups are derived from the contacts' own lists: about {deriving} requests, instead of {searching}"
        );
        self.expected_contact_requests = contacts;
        for (stream, total) in &worth_it {
            self.streams[*stream].derived = Some(*total);
        }
        worth_it.into_iter().map(|(stream, _)| stream).collect()
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

    pub fn timezone(&self) -> &TimeZone {
        &self.scope.timezone
    }
}

/// The shares of contacts with truncated lists of tags and with cut subscriptions, estimated from the first page of everyone.
async fn first_page(client: &Client) -> Result<(f64, f64), JobError> {
    let mut everyone = client.everyone(None, None).await?;
    let shares = |page: &[Contact]| (expected_truncated_tags(page), expected_cut_subscriptions(page));
    Ok(everyone.peek().await.map_or((0.0, 0.0), |page| shares(&page.rows)))
}

/// The custom attributes that the job's profile names and the workspace does not have.
pub fn unknown_attributes<'a>(job: &'a Job, existing: &[String]) -> Vec<&'a String> {
    job.profile.iter().filter_map(ProfileAttribute::custom_name).filter(|name| !existing.contains(name)).collect()
}

/// The end of a message about an unknown attribute: it names an attribute of the workspace with a similar name. Empty if there is
/// none.
pub fn similar_attribute(unknown: &str, existing: &[String]) -> String {
    let similar = existing.iter().find(|name| are_alike(name, unknown) || unseen_difference(unknown, name).is_some());
    similar.map_or(String::new(), |name| did_you_mean(unknown, name))
}
