//! Settings in layers: compiled-in defaults, the file of `--config`, the job file, the environment, flags.
//! Files are read once, here. The result is checked and typed; later code does not need the origin of a value.

mod address;
mod keys;
mod layers;
mod numbers;
mod raw;
mod token;
mod values;
mod zones;

use std::path::PathBuf;
use std::time::Duration;

use archive::Archive;
use domain::{GroupKind, GroupName, TimeZone};
use intercom::Capabilities;
use reports::rules::Rule;

pub use address::WebhookUrl;
pub use layers::{Flag, JobSource, Sources, Survey, load, survey};
pub use secrecy::SecretString;
pub use token::{TOKEN_VARIABLE, TokenError, open_to_others, read_token, token_origin};
pub use values::InForce;
pub use zones::{Zones, zones};

/// Everything that a command needs besides its own arguments.
#[derive(Clone, Debug)]
pub struct Settings {
    pub intercom: Intercom,
    pub output: Output,
    pub completeness: Completeness,
    pub privacy: Privacy,
    pub notify: Notify,
    pub job: Job,
    /// Messages about the layers, logged once logging is set up.
    pub notices: Vec<String>,
}

impl Settings {
    /// The job's folder.
    pub fn archive(&self) -> Archive {
        Archive::new(self.output.dir.join(&self.job.name))
    }
}

#[derive(Clone, Debug)]
pub struct Intercom {
    /// As written; `base_url` overrides it.
    pub region: String,
    /// Where the workspace should be hosted: what the host of `base_url` stands for, or else the region that a layer
    /// names. `None` for another host without a word about the region.
    pub expected_region: Option<&'static str>,
    /// Without a trailing slash.
    pub base_url: String,
    pub api_version: String,
    pub page_size: u32,
    pub max_concurrency: usize,
    pub rate_share: f64,
    pub request_timeout: Duration,
    pub give_up_after: Duration,
    pub token_file: Option<PathBuf>,
    /// Whether the host is a loopback literal, the only place where the clock may be set (`--as-of`).
    pub is_loopback: bool,
}

impl Intercom {
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::of(&self.api_version)
    }
}

#[derive(Clone, Debug)]
pub struct Output {
    pub dir: PathBuf,
    pub formats: Vec<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
    /// A page to look at.
    Html,
}

#[derive(Clone, Copy, Debug)]
pub struct Completeness {
    pub tolerance: f64,
}

/// How a contact's identifiers are written.
#[derive(Clone, Debug)]
pub struct Privacy {
    pub identifiers: Identifiers,
    /// Names of custom attributes that are not written, without `custom_attributes.`.
    pub drop: Vec<String>,
    pub hash_key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifiers {
    Keep,
    Hash,
    Drop,
}

/// Where the run summary is sent.
#[derive(Clone, Debug)]
pub struct Notify {
    pub url: Option<WebhookUrl>,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    pub timezone: Option<TimeZone>,
    /// Tags first, then segments, in the order of the file, each once.
    pub groups: Vec<GroupName>,
    pub population: Population,
    pub conversations: bool,
    pub opened_at_least: Vec<u32>,
    pub profile: Vec<ProfileAttribute>,
    pub missing: Missing,
    pub grace: Duration,
    pub tag_history: TagHistory,
    pub rules: Vec<JobRule>,
    /// How many tags of a rule one run may change: a share of the contacts that this job tagged.
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

impl ProfileAttribute {
    /// As the job file and the reports write it: `country`, `custom_attributes.plan`.
    pub fn label(&self) -> String {
        match self {
            ProfileAttribute::Column(name) => name.clone(),
            ProfileAttribute::Custom(name) => format!("{}{name}", raw::CUSTOM_PREFIX),
        }
    }

    pub fn custom_name(&self) -> Option<&String> {
        match self {
            ProfileAttribute::Column(_) => None,
            ProfileAttribute::Custom(name) => Some(name),
        }
    }
}

/// The members of a tag in a month that is observed late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagHistory {
    /// Contacts with the tag when it is observed.
    Current,
    /// Those of them to which it was applied before the month's end.
    AppliedAt,
}

/// What to do about a group that is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Report,
    Fail,
}

/// Why the settings cannot be used. All findings at once, each with its key and where its value came from.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings cannot be used{}", Finding::lines(.0))]
    Findings(Vec<Finding>),
    #[error("`{path}` cannot be read", path = .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{layer}` is not valid TOML: {problem}")]
    Syntax { layer: String, problem: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub key: String,
    pub origin: String,
    pub problem: String,
}

impl Finding {
    fn lines(findings: &[Finding]) -> String {
        findings.iter().map(|finding| format!("\n  `{}` in {}: {}", finding.key, finding.origin, finding.problem)).collect()
    }
}

impl Job {
    /// Whether the profile names any.
    pub fn has_custom_attributes(&self) -> bool {
        self.profile.iter().any(|attribute| attribute.custom_name().is_some())
    }

    pub fn has_kind(&self, kind: GroupKind) -> bool {
        let in_population = matches!(&self.population, Population::Group(name) if name.kind == kind);
        in_population || self.groups.iter().any(|name| name.kind == kind)
    }
}
