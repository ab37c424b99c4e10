//! Settings in layers: compiled-in defaults, the file of `--config`, the job file, the environment, flags.
//! Files are read once, here. The result is checked and typed. Later code does not need the origin of a value.
//!
//! Each section of the settings has a file with its checked values, how they are written (`Raw`) and checked (`check`), and the list of
//! its keys (`SETTINGS`) with their values as text. `config/default.toml` has the defaults.

mod address;
mod completeness;
mod engine;
mod intercom;
mod job;
mod layers;
mod notify;
mod numbers;
mod output;
mod privacy;
mod setting;
mod token;
mod zones;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::job::CUSTOM_PREFIX;
use setting::{Findings, Setting};

pub use self::intercom::Intercom;
pub use self::job::{Job, JobRule, Missing, Population, ProfileAttribute, TagHistory};
pub use address::WebhookUrl;
pub use completeness::Completeness;
pub use engine::{Engine, EngineKind};
pub use layers::{Flag, JobSource, Sources, Survey, load, survey};
pub use notify::{Link, MessageFormat, Notify};
pub use output::{Format, Output};
pub use privacy::{Identifiers, Privacy};
pub use secrecy::SecretString;
pub use setting::InForce;
pub(crate) use setting::nearest;
pub use token::{TOKEN_VARIABLE, TokenError, open_to_others, read_secret, read_token, token_origin};
pub use zones::{Zones, zones};

/// Everything that a command needs besides its own arguments.
#[derive(Clone, Debug)]
pub struct Settings {
    pub intercom: Intercom,
    pub output: Output,
    pub engine: Engine,
    pub completeness: Completeness,
    pub privacy: Privacy,
    pub notify: Notify,
    pub job: Job,
    /// Messages about the layers. They are logged when logging is set up.
    pub notices: Vec<String>,
}

/// Why the settings cannot be used. It contains all findings, each with its key and the origin of the value.
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

/// All keys, in the order of the documentation.
fn all() -> impl Iterator<Item = &'static Setting> {
    let sections = [
        intercom::SETTINGS,
        output::SETTINGS,
        engine::SETTINGS,
        completeness::SETTINGS,
        privacy::SETTINGS,
        notify::SETTINGS,
        job::SETTINGS,
    ];
    sections.into_iter().flatten()
}

fn is_key(key: &str) -> bool {
    all().any(|setting| setting.key == key)
}

/// The settings as written.
#[derive(Debug, Deserialize)]
struct Raw {
    intercom: intercom::Raw,
    output: output::Raw,
    engine: engine::Raw,
    completeness: completeness::Raw,
    privacy: privacy::Raw,
    notify: notify::Raw,
}

/// The settings, with defaults instead of invalid values, and the findings.
fn check(raw: Raw, job: job::Raw, job_file: Option<&Path>, origin_of: &dyn Fn(&str) -> String) -> (Settings, Vec<Finding>) {
    let mut findings = Findings { found: Vec::new(), origin_of };
    let mut notices = Vec::new();
    let intercom = intercom::check(raw.intercom, &mut findings, &mut notices);
    let output = output::check(raw.output, &mut findings);
    let engine = engine::check(raw.engine, &mut findings);
    let completeness = completeness::check(raw.completeness, &mut findings);
    let privacy = privacy::check(raw.privacy, &mut findings);
    let notify = notify::check(raw.notify, &mut findings);
    let job = job::check(job, job_file, &intercom.capabilities(), &privacy, &mut findings, &mut notices);
    (Settings { intercom, output, engine, completeness, privacy, notify, job, notices }, findings.found)
}
