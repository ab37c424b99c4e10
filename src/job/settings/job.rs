//! The keys of a job, at the top of its file.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::setting::{Findings, Setting, duration, list, nearest, word};
use super::{Privacy, numbers, zones};
use crate::settings::privacy::Identifiers;
use domain::{GroupKind, GroupName, TimeZone, did_you_mean, is_identifier, profile_columns};
use intercom::Capabilities;
use reports::rules::{CONVERSATIONS_OPENED, Condition, FACTS, FactColumn, Reference, Rule};

pub(super) const CUSTOM_PREFIX: &str = "custom_attributes.";
const DEFAULT_PROFILE: &[&str] = &["role", "country", "browser", "os", "custom_attributes.plan"];
const DEFAULT_MAX_TAG_CHANGE: f64 = 0.5;
const DEFAULT_VANISHED_MAX: i64 = 2_000;

#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    pub timezone: Option<TimeZone>,
    /// The job's groups, each once: tags first, then segments, in the order of the file.
    pub groups: Vec<GroupName>,
    pub population: Population,
    pub conversations: bool,
    pub opened_at_least: Vec<u32>,
    pub profile: Vec<ProfileAttribute>,
    pub missing: Missing,
    pub grace: Duration,
    pub tag_history: TagHistory,
    /// Whether the contacts' choices about subscriptions are observed.
    pub subscriptions: bool,
    /// The maximum number of members of the last month that are asked about because they are gone.
    pub vanished_max: u64,
    pub rules: Vec<JobRule>,
    /// How many contacts may get or lose a rule's tag in one run, as a share of the contacts that this job tagged before. If there are
    /// none, as a share of all contacts in the snapshot.
    pub max_tag_change: f64,
    /// Whether the month's page shows some members by name.
    pub html_members: bool,
}

/// A rule of the job, and the tag that its members get in Intercom with `--apply-tags`.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRule {
    pub rule: Rule,
    pub apply_tag: Option<String>,
}

/// What cohorts are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Population {
    Everyone,
    Group(GroupName),
    /// The union of the job's cohorts.
    Cohorts,
}

/// An attribute that members are described by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProfileAttribute {
    /// A column of the contacts table.
    Column(String),
    Custom(String),
}

/// Which contacts are the members of a tag in a month that is observed late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagHistory {
    /// The contacts with the tag when it is observed.
    Current,
    /// The contacts with the tag to which it was applied before the month's end.
    AppliedAt,
}

/// What to do about a group that is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Report,
    Fail,
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("name", |all| all.job.name.clone()).derived_from("the job file's name"),
    Setting::new("timezone", |all| {
        all.job.timezone.as_ref().map_or("the workspace's own".to_string(), |timezone| timezone.name().to_string())
    }),
    Setting::new("tags", |all| groups(&all.job, GroupKind::Tag)),
    Setting::new("segments", |all| groups(&all.job, GroupKind::Segment)),
    Setting::new("population", |all| match &all.job.population {
        Population::Everyone => "everyone".to_string(),
        Population::Cohorts => "cohorts".to_string(),
        Population::Group(name) => format!("{}:{}", name.kind, name.text),
    }),
    Setting::new("conversations", |all| all.job.conversations.to_string()),
    Setting::new("opened_at_least", |all| list(all.job.opened_at_least.iter().map(u32::to_string))),
    Setting::new("profile", |all| list(all.job.profile.iter().map(ProfileAttribute::label))),
    Setting::new("missing", |all| word(&all.job.missing, &MISSING)),
    Setting::new("grace", |all| duration(all.job.grace)),
    Setting::new("tag_history", |all| word(&all.job.tag_history, &TAG_HISTORY)),
    Setting::new("subscriptions", |all| all.job.subscriptions.to_string()),
    Setting::new("vanished_max", |all| all.job.vanished_max.to_string()),
    Setting::new("rules", |all| {
        list(all.job.rules.iter().map(|rule| match &rule.apply_tag {
            Some(tag) => format!("{} → tag {tag:?}", rule.rule.name),
            None => rule.rule.name.clone(),
        }))
    }),
    Setting::new("max_tag_change", |all| all.job.max_tag_change.to_string()),
    Setting::new("html_members", |all| all.job.html_members.to_string()),
];

const MISSING: [(&str, Missing); 2] = [("report", Missing::Report), ("fail", Missing::Fail)];
const TAG_HISTORY: [(&str, TagHistory); 2] = [("current", TagHistory::Current), ("applied_at", TagHistory::AppliedAt)];

fn groups(job: &Job, kind: GroupKind) -> String {
    list(job.groups.iter().filter(|group| group.kind == kind).map(|group| format!("{:?}", group.text)))
}

impl ProfileAttribute {
    /// The attribute's name in the job file and the reports: `country`, `custom_attributes.plan`.
    pub fn label(&self) -> String {
        match self {
            ProfileAttribute::Column(name) => name.clone(),
            ProfileAttribute::Custom(name) => format!("{}{name}", CUSTOM_PREFIX),
        }
    }

    pub fn custom_name(&self) -> Option<&String> {
        match self {
            ProfileAttribute::Column(_) => None,
            ProfileAttribute::Custom(name) => Some(name),
        }
    }
}

impl Job {
    /// Whether the profile names a custom attribute.
    pub fn has_custom_attributes(&self) -> bool {
        self.profile.iter().any(|attribute| attribute.custom_name().is_some())
    }

    /// The types of subscriptions that rules name, each with the rule.
    pub fn subscriptions_in_rules(&self) -> impl Iterator<Item = (&str, &str)> {
        let references =
            self.rules.iter().flat_map(|rule| rule.rule.condition.references().iter().map(|reference| (&rule.rule, reference)));
        references.filter_map(|(rule, reference)| match reference {
            Reference::Subscription { name, .. } => Some((rule.name.as_str(), name.as_str())),
            Reference::Attribute { .. } | Reference::Group { .. } => None,
        })
    }

    pub fn has_kind(&self, kind: GroupKind) -> bool {
        let in_population = matches!(&self.population, Population::Group(name) if name.kind == kind);
        in_population || self.groups.iter().any(|name| name.kind == kind)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    name: Option<String>,
    timezone: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    segments: Vec<String>,
    population: Option<String>,
    conversations: Option<bool>,
    #[serde(default, deserialize_with = "numbers::whole_ones")]
    opened_at_least: Option<Vec<i64>>,
    profile: Option<Vec<String>>,
    missing: Option<String>,
    grace: Option<String>,
    tag_history: Option<String>,
    subscriptions: Option<bool>,
    #[serde(default, deserialize_with = "numbers::whole_if_any")]
    vanished_max: Option<i64>,
    #[serde(default)]
    rules: Vec<RawRule>,
    #[serde(default, deserialize_with = "numbers::number_if_any")]
    max_tag_change: Option<f64>,
    html_members: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: String,
    #[serde(rename = "where")]
    condition: String,
    apply_tag: Option<String>,
}

pub(super) fn check(
    raw: Raw,
    job_file: Option<&Path>,
    capabilities: &Capabilities,
    privacy: &Privacy,
    findings: &mut Findings<'_>,
    notices: &mut Vec<String>,
) -> Job {
    let name = raw.name.or_else(|| job_file?.file_stem()?.to_str().map(str::to_string)).unwrap_or_else(|| "job".to_string());
    if !is_plain_name(&name) {
        findings.add("name", format!("`{name}` cannot name a folder; use letters, digits, '-' and '_'"));
    }
    let timezone = raw.timezone.and_then(|text| {
        let zone = zones().zone(&text);
        notices.extend(zone.as_ref().and_then(|zone| zones().notice(zone)));
        if zone.is_none() {
            let names = zones().names();
            let near = nearest(&text, names.iter().map(String::as_str));
            let near = near.map_or(String::new(), |near| did_you_mean(&text, near));
            findings.add("timezone", format!("`{text}` is not an IANA time zone{near}"));
        }
        zone
    });
    let groups = check_groups(raw.tags, raw.segments, findings, notices);
    if job_file.is_some() && groups.is_empty() {
        findings.add("tags", "the job names no tag and no segment: there is nothing to observe");
    }
    let population = match raw.population.as_deref().unwrap_or("everyone") {
        "everyone" => Population::Everyone,
        "cohorts" => Population::Cohorts,
        other => match GroupName::parse_qualified(other) {
            Some(name) => Population::Group(name),
            None => {
                findings.add("population", format!("`{other}` is not known here; use everyone, cohorts, tag:NAME or segment:NAME"));
                Population::Everyone
            }
        },
    };
    let opened_at_least = check_thresholds(raw.opened_at_least, findings);
    let profile = check_profile(raw.profile, privacy, findings);
    let missing = raw.missing.as_deref().unwrap_or("report");
    let missing = findings.one_of("missing", missing, &MISSING).unwrap_or(Missing::Fail);
    let grace = findings.duration("grace", raw.grace.as_deref().unwrap_or("3d"));

    let tag_history = raw.tag_history.as_deref().unwrap_or("current");
    let tag_history = findings.one_of("tag_history", tag_history, &TAG_HISTORY).unwrap_or(TagHistory::Current);
    if tag_history == TagHistory::AppliedAt && !capabilities.dates_tags {
        findings.add("tag_history", "`applied_at` needs an `intercom.api_version` from 2.0 on: 1.x does not have the dates of tags");
    }

    let conversations = raw.conversations.unwrap_or(true);
    let subscriptions = raw.subscriptions.unwrap_or(true);
    let observed = Observed {
        conversations,
        no_subscriptions: if !subscriptions {
            Some("`subscriptions = true` in the job")
        } else {
            (!capabilities.has_subscriptions).then_some("an `intercom.api_version` from 2.5 on")
        },
    };
    let rules = check_rules(raw.rules, &observed, privacy, &groups, findings);
    let vanished_max = raw.vanished_max.unwrap_or(DEFAULT_VANISHED_MAX);
    if vanished_max < 0 {
        findings.add("vanished_max", format!("{vanished_max} is less than 0"));
    }
    let max_tag_change = raw.max_tag_change.unwrap_or(DEFAULT_MAX_TAG_CHANGE);
    if !(0.0..=1.0).contains(&max_tag_change) {
        findings.add("max_tag_change", format!("{max_tag_change} is not from 0 to 1"));
    }
    Job {
        name,
        timezone,
        groups,
        population,
        conversations,
        opened_at_least,
        profile,
        missing,
        grace,
        tag_history,
        subscriptions,
        vanished_max: vanished_max.unsigned_abs(),
        rules,
        max_tag_change,
        html_members: raw.html_members.unwrap_or(false),
    }
}

fn check_groups(tags: Vec<String>, segments: Vec<String>, findings: &mut Findings<'_>, notices: &mut Vec<String>) -> Vec<GroupName> {
    let mut groups: Vec<GroupName> = Vec::new();
    for (key, kind, names) in [("tags", GroupKind::Tag, tags), ("segments", GroupKind::Segment, segments)] {
        for text in names {
            if text.trim().is_empty() {
                findings.add(key, "holds an empty name");
                continue;
            }
            let group = GroupName::new(kind, text);
            if groups.contains(&group) {
                notices.push(format!("{group} is listed twice; it is observed once"));
            } else {
                groups.push(group);
            }
        }
    }
    groups
}

/// What the job observes besides the records of contacts.
struct Observed {
    conversations: bool,
    /// What is missing to observe subscriptions, for messages. `None` if they are observed.
    no_subscriptions: Option<&'static str>,
}

fn check_rules(
    raw: Vec<RawRule>,
    observed: &Observed,
    privacy: &Privacy,
    groups: &[GroupName],
    findings: &mut Findings<'_>,
) -> Vec<JobRule> {
    // A rule cannot use a fact that the job does not fetch, or that it does not write unchanged.
    let is_written = |fact: &FactColumn| privacy.identifiers == Identifiers::Keep || !is_identifier(fact.name);
    let is_fetched = |fact: &FactColumn| observed.conversations || fact.name != CONVERSATIONS_OPENED;
    let facts: Vec<FactColumn> = FACTS.iter().copied().filter(|fact| is_written(fact) && is_fetched(fact)).collect();
    let mut rules: Vec<JobRule> = Vec::new();
    for RawRule { name, condition, apply_tag } in raw {
        if !is_plain_name(&name) {
            findings.add("rules", format!("`{name}` cannot name a rule; use letters, digits, '-' and '_'"));
        } else if rules.iter().any(|known| known.rule.name == name) {
            findings.add("rules", format!("two rules are named `{name}`"));
        }
        if apply_tag.as_ref().is_some_and(|tag| tag.trim().is_empty()) {
            findings.add("rules", format!("the rule `{name}` has an empty `apply_tag`"));
        }
        match Condition::parse(&condition, &facts, groups) {
            Ok(condition) => {
                let names_one = condition.references().iter().any(|reference| matches!(reference, Reference::Subscription { .. }));
                if let Some(needed) = observed.no_subscriptions.filter(|_| names_one) {
                    findings.add("rules", format!("the rule `{name}` names a subscription; that needs {needed}"));
                }
                rules.push(JobRule { rule: Rule { name, condition }, apply_tag });
            }
            Err(error) => findings.add("rules", format!("the rule `{name}`: {error}")),
        }
    }
    rules
}

/// Whether a text can be the name of a folder, and can follow `rule:` in a key.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn check_thresholds(raw: Option<Vec<i64>>, findings: &mut Findings<'_>) -> Vec<u32> {
    let mut thresholds = Vec::new();
    for number in raw.unwrap_or_else(|| vec![1, 5]) {
        match u32::try_from(number) {
            Ok(threshold) if threshold >= 1 => thresholds.push(threshold),
            _ => findings.add("opened_at_least", format!("{number} is no threshold; use whole numbers from 1")),
        }
    }
    thresholds.sort_unstable();
    thresholds.dedup();
    thresholds
}

fn check_profile(raw: Option<Vec<String>>, privacy: &Privacy, findings: &mut Findings<'_>) -> Vec<ProfileAttribute> {
    let is_dropped = |name: &str| name.strip_prefix(CUSTOM_PREFIX).is_some_and(|custom| privacy.drop.iter().any(|drop| drop == custom));
    // If the job names no profile, dropped attributes are left out of the default profile without a message.
    let names = raw.unwrap_or_else(|| {
        let names = DEFAULT_PROFILE.iter().map(|name| name.to_string());
        names.filter(|name| !is_dropped(name)).collect()
    });
    let mut profile: Vec<ProfileAttribute> = Vec::new();
    for name in names {
        let attribute = match name.strip_prefix(CUSTOM_PREFIX) {
            Some("") => {
                findings.add("profile", "`custom_attributes.` names no attribute");
                continue;
            }
            Some(_) if is_dropped(&name) => {
                findings.add("profile", format!("`{name}` is one that `privacy.drop` leaves out"));
                continue;
            }
            Some(custom) => ProfileAttribute::Custom(custom.to_string()),
            None if profile_columns().any(|column| column == name) => ProfileAttribute::Column(name),
            None => {
                let near = nearest(&name, profile_columns()).map_or(String::new(), |near| did_you_mean(&name, near));
                findings.add("profile", format!("`{name}` is no attribute; custom ones begin with `custom_attributes.`{near}"));
                continue;
            }
        };
        if !profile.contains(&attribute) {
            profile.push(attribute);
        }
    }
    profile
}
