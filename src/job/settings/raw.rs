//! The settings as written, and their conversion into checked settings with all findings at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::address::{check_base_url, check_webhook, without_secrets};
use super::keys::{DEFAULTS_ORIGIN, nearest};
use super::numbers;
use super::{
    Completeness, Finding, Format, Identifiers, Intercom, Job, JobRule, Missing, Notify, Output, Population, Privacy, ProfileAttribute,
    Settings, TagHistory, zones,
};
use domain::{GroupKind, GroupName, IDENTIFIERS, PROFILE_COLUMNS, did_you_mean};
use intercom::Capabilities;
use reports::rules::{CONVERSATIONS_OPENED, Condition, FACTS, FactColumn, Rule};

pub(super) const CUSTOM_PREFIX: &str = "custom_attributes.";
const DEFAULT_PROFILE: &[&str] = &["role", "country", "browser", "os", "custom_attributes.plan"];
/// The regions of workspaces.
const REGIONS: [(&str, &str); 3] =
    [("us", "https://api.intercom.io"), ("eu", "https://api.eu.intercom.io"), ("au", "https://api.au.intercom.io")];
const PAGE_SIZE_MAX: u32 = 150;
const CONCURRENCY_MAX: usize = 256;
const DEFAULT_MAX_TAG_CHANGE: f64 = 0.5;
/// Longer durations are typing errors, and would overflow sums of instants.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    intercom: RawIntercom,
    output: RawOutput,
    completeness: RawCompleteness,
    privacy: RawPrivacy,
    #[serde(default)]
    notify: RawNotify,
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

#[derive(Debug, Deserialize)]
struct RawIntercom {
    region: String,
    base_url: Option<String>,
    api_version: String,
    #[serde(deserialize_with = "numbers::whole")]
    page_size: i64,
    #[serde(deserialize_with = "numbers::whole")]
    max_concurrency: i64,
    #[serde(deserialize_with = "numbers::number")]
    rate_share: f64,
    request_timeout: String,
    give_up_after: String,
    token_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct RawOutput {
    dir: PathBuf,
    formats: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct RawCompleteness {
    #[serde(deserialize_with = "numbers::number")]
    tolerance: f64,
}

#[derive(Debug, Deserialize)]
struct RawPrivacy {
    identifiers: String,
    #[serde(default)]
    drop: Vec<String>,
    hash_key_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct RawNotify {
    url: Option<String>,
}

/// Collects findings during the checks.
struct Findings<'a> {
    found: Vec<Finding>,
    origin_of: &'a dyn Fn(&str) -> String,
}

impl Findings<'_> {
    fn add(&mut self, key: &str, problem: impl Into<String>) {
        self.found.push(Finding { key: key.to_string(), origin: (self.origin_of)(key), problem: problem.into() });
    }

    fn duration(&mut self, key: &str, text: &str) -> Duration {
        match humantime::parse_duration(text.trim()) {
            Ok(duration) if duration.is_zero() => self.add(key, format!("`{text}` is zero")),
            Ok(duration) if duration > DURATION_MAX => self.add(key, format!("`{text}` is more than a year")),
            Ok(duration) => return duration,
            Err(_) => self.add(key, format!("`{text}` is not a duration; write it like \"60s\", \"15m\" or \"3d\"")),
        }
        Duration::ZERO
    }

    /// The word's value, or a finding that lists the words.
    fn one_of<T: Copy>(&mut self, key: &str, word: &str, known: &[(&str, T)]) -> Option<T> {
        let value = known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if value.is_none() {
            let words: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            self.add(key, format!("`{word}` is not known here; use {}", words.join(", ")));
        }
        value
    }
}

impl Raw {
    /// The settings, with defaults instead of invalid values, and the findings.
    pub(super) fn check(self, job_file: Option<&Path>, origin_of: &dyn Fn(&str) -> String) -> (Settings, Vec<Finding>) {
        let mut findings = Findings { found: Vec::new(), origin_of };
        let mut notices = Vec::new();
        let intercom = check_intercom(self.intercom, &mut findings, &mut notices);
        let output = check_output(self.output, &mut findings);
        let tolerance = self.completeness.tolerance;
        if !(0.0..1.0).contains(&tolerance) {
            findings.add("completeness.tolerance", format!("{tolerance} is not from 0 to below 1"));
        }

        let privacy = check_privacy(self.privacy, &mut findings);
        // Never shown, not even if it is wrong: the address of a webhook allows to write to it.
        let url = self.notify.url.and_then(|url| check_webhook(&url).map_err(|problem| findings.add("notify.url", problem)).ok());

        let name = self.name.or_else(|| job_file?.file_stem()?.to_str().map(str::to_string)).unwrap_or_else(|| "job".to_string());
        if !is_plain_name(&name) {
            findings.add("name", format!("`{name}` cannot name a folder; use letters, digits, '-' and '_'"));
        }
        let timezone = self.timezone.and_then(|text| {
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
        let groups = check_groups(self.tags, self.segments, &mut findings, &mut notices);
        if job_file.is_some() && groups.is_empty() {
            findings.add("tags", "the job names no tag and no segment: there is nothing to observe");
        }
        let population = match self.population.as_deref().unwrap_or("everyone") {
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
        let opened_at_least = check_thresholds(self.opened_at_least, &mut findings);
        let profile = check_profile(self.profile, &privacy, &mut findings);
        let missing = self.missing.as_deref().unwrap_or("report");
        let missing = findings.one_of("missing", missing, &[("report", Missing::Report), ("fail", Missing::Fail)]).unwrap_or(Missing::Fail);
        let grace = findings.duration("grace", self.grace.as_deref().unwrap_or("3d"));

        let tag_history = self.tag_history.as_deref().unwrap_or("current");
        let known = [("current", TagHistory::Current), ("applied_at", TagHistory::AppliedAt)];
        let tag_history = findings.one_of("tag_history", tag_history, &known).unwrap_or(TagHistory::Current);
        if tag_history == TagHistory::AppliedAt && !intercom.capabilities().dates_tags {
            findings.add("tag_history", "`applied_at` needs an `intercom.api_version` from 2.0 on: 1.x does not have the dates of tags");
        }

        let conversations = self.conversations.unwrap_or(true);
        let rules = check_rules(self.rules, conversations, &privacy, &groups, &mut findings);
        let max_tag_change = self.max_tag_change.unwrap_or(DEFAULT_MAX_TAG_CHANGE);
        if !(0.0..=1.0).contains(&max_tag_change) {
            findings.add("max_tag_change", format!("{max_tag_change} is not from 0 to 1"));
        }
        let job = Job {
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
            rules,
            max_tag_change,
            html_members: self.html_members.unwrap_or(false),
        };
        let (completeness, notify) = (Completeness { tolerance }, Notify { url });
        (Settings { intercom, output, completeness, privacy, notify, job, notices }, findings.found)
    }
}

fn check_intercom(raw: RawIntercom, findings: &mut Findings<'_>, notices: &mut Vec<String>) -> Intercom {
    let by_region = findings.one_of("intercom.region", &raw.region, &REGIONS);
    let (base_url, is_loopback) = match raw.base_url {
        None => (by_region.unwrap_or_default().to_string(), false),
        Some(base_url) => match check_base_url(&base_url) {
            Ok(is_loopback) => (base_url.trim_end_matches('/').to_string(), is_loopback),
            Err(problem) => {
                findings.add("intercom.base_url", format!("`{}` {problem}", without_secrets(&base_url)));
                (String::new(), false)
            }
        },
    };
    let is_named = (findings.origin_of)("intercom.region") != DEFAULTS_ORIGIN;
    let region = |found: &dyn Fn(&(&str, &str)) -> bool| REGIONS.iter().find(|region| found(region)).map(|(name, _)| *name);
    let expected_region = region(&|(_, address)| *address == base_url).or_else(|| region(&|(name, _)| is_named && *name == raw.region));
    match version_parts(&raw.api_version) {
        Some((1, 0..=4) | (2, 0..=16)) => {}
        Some((2, _)) | Some((3.., _)) => notices.push(format!(
            "API version {} is newer than this program knows (2.16); dates in searches may mean something else there",
            raw.api_version
        )),
        Some((..2, _)) => {
            findings.add("intercom.api_version", format!("there was no version {}; use 1.0 to 1.4 or 2.0 to 2.16", raw.api_version))
        }
        None if raw.api_version.eq_ignore_ascii_case("preview") || raw.api_version.eq_ignore_ascii_case("unstable") => {
            findings.add("intercom.api_version", "Preview changes without notice and is refused; use 2.0 to 2.16, or 1.0 to 1.4");
        }
        None => findings
            .add("intercom.api_version", format!("`{}` is not an API version; use 2.0 to 2.16, or 1.0 to 1.4, in quotes", raw.api_version)),
    }
    let page_size = u32::try_from(raw.page_size).ok().filter(|size| (1..=PAGE_SIZE_MAX).contains(size));
    if page_size.is_none() {
        findings.add("intercom.page_size", format!("{} is not from 1 to {PAGE_SIZE_MAX}", raw.page_size));
    }
    let max_concurrency = usize::try_from(raw.max_concurrency).ok().filter(|count| (1..=CONCURRENCY_MAX).contains(count));
    if max_concurrency.is_none() {
        findings.add("intercom.max_concurrency", format!("{} is not from 1 to {CONCURRENCY_MAX}", raw.max_concurrency));
    }
    if !(raw.rate_share > 0.0 && raw.rate_share <= 1.0) {
        findings.add("intercom.rate_share", format!("{} is not above 0 and up to 1", raw.rate_share));
    }
    let page_size_max = Capabilities::of(&raw.api_version).max_page_size;
    Intercom {
        region: raw.region,
        expected_region,
        base_url,
        api_version: raw.api_version,
        page_size: page_size.unwrap_or(PAGE_SIZE_MAX).min(page_size_max),
        max_concurrency: max_concurrency.unwrap_or(1),
        rate_share: raw.rate_share,
        request_timeout: findings.duration("intercom.request_timeout", &raw.request_timeout),
        give_up_after: findings.duration("intercom.give_up_after", &raw.give_up_after),
        token_file: raw.token_file,
        is_loopback,
    }
}

fn version_parts(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    Some((number(major)?, number(minor)?))
}

const FORMATS: [(&str, Format); 3] = [("parquet", Format::Parquet), ("csv", Format::Csv), ("html", Format::Html)];

fn check_output(raw: RawOutput, findings: &mut Findings<'_>) -> Output {
    let mut formats = Vec::new();
    for word in &raw.formats {
        if let Some(format) = findings.one_of("output.formats", word, &FORMATS)
            && !formats.contains(&format)
        {
            formats.push(format);
        }
    }
    if raw.formats.is_empty() {
        findings.add("output.formats", "names no format; use parquet, csv, html");
    }
    if raw.dir.as_os_str().is_empty() {
        findings.add("output.dir", "names no folder");
    }
    Output { dir: raw.dir, formats }
}

fn check_privacy(raw: RawPrivacy, findings: &mut Findings<'_>) -> Privacy {
    let known = [("keep", Identifiers::Keep), ("hash", Identifiers::Hash), ("drop", Identifiers::Drop)];
    // For an invalid value, use the strictest choice.
    let identifiers = findings.one_of("privacy.identifiers", &raw.identifiers, &known).unwrap_or(Identifiers::Drop);
    if identifiers == Identifiers::Hash && raw.hash_key_file.is_none() {
        findings.add(
            "privacy.hash_key_file",
            "is not set, and `privacy.identifiers` is \"hash\": without a key anybody could compute the hashes",
        );
    }
    let mut drop = Vec::new();
    for name in raw.drop {
        let custom = name.strip_prefix(CUSTOM_PREFIX).unwrap_or(&name).to_string();
        if custom.is_empty() {
            findings.add("privacy.drop", "holds an empty name");
        } else if !drop.contains(&custom) {
            drop.push(custom);
        }
    }
    Privacy { identifiers, drop, hash_key_file: raw.hash_key_file }
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

fn check_rules(
    raw: Vec<RawRule>,
    conversations: bool,
    privacy: &Privacy,
    groups: &[GroupName],
    findings: &mut Findings<'_>,
) -> Vec<JobRule> {
    // What the job does not fetch, or does not write as it is, cannot be asked about.
    let is_written = |fact: &FactColumn| privacy.identifiers == Identifiers::Keep || !IDENTIFIERS.contains(&fact.name);
    let is_fetched = |fact: &FactColumn| conversations || fact.name != CONVERSATIONS_OPENED;
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
            Ok(condition) => rules.push(JobRule { rule: Rule { name, condition }, apply_tag }),
            Err(error) => findings.add("rules", format!("the rule `{name}`: {error}")),
        }
    }
    rules
}

/// Whether a text can be the name of a folder, or stand behind `rule:`.
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
    // What a job does not name it does not miss.
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
            None if PROFILE_COLUMNS.contains(&name.as_str()) => ProfileAttribute::Column(name),
            None => {
                let near = nearest(&name, PROFILE_COLUMNS.iter().copied()).map_or(String::new(), |near| did_you_mean(&name, near));
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
