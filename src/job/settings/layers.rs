//! Merges the layers. Each layer is checked for unknown keys separately, so that the message can name the file and the most similar
//! key.

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, ValueKind};

use super::setting::{InForce, nearest};
use super::{Finding, Raw, Settings, SettingsError, all, check, is_key, job};
use domain::did_you_mean;

const DEFAULTS: &str = include_str!("../../../config/default.toml");
/// The name of the lowest layer.
pub(super) const DEFAULTS_ORIGIN: &str = "the built-in defaults";
const ENVIRONMENT_PREFIX: &str = "COHORTS";

/// The key that a flag of the command line sets, and its value.
pub type Flag = (&'static str, String);

/// The sources of settings, in addition to the defaults and the environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub config: Option<PathBuf>,
    pub job: Option<JobSource>,
    pub flags: Vec<Flag>,
}

/// A job: the file of `--job`, or the text of a built-in job.
#[derive(Clone, Debug)]
pub enum JobSource {
    File(PathBuf),
    Text { label: String, text: String },
}

impl From<PathBuf> for JobSource {
    fn from(path: PathBuf) -> JobSource {
        JobSource::File(path)
    }
}

/// The settings, or why they cannot be used.
pub fn load(sources: &Sources) -> Result<Settings, SettingsError> {
    let survey = survey(sources)?;
    match survey.unread.into_iter().next() {
        Some(unread) => Err(unread),
        None if survey.findings.is_empty() => Ok(survey.settings),
        None => Err(SettingsError::Findings(survey.findings)),
    }
}

/// The merged layers, valid or not.
#[derive(Debug)]
pub struct Survey {
    /// Values that cannot be used are replaced by defaults, so keys with findings must not be trusted.
    pub settings: Settings,
    /// The keys without a finding, in the order of the documentation.
    pub values: Vec<InForce>,
    pub findings: Vec<Finding>,
    /// Files that could not be read.
    pub unread: Vec<SettingsError>,
}

impl Survey {
    /// Whether the value of this key is certain. Every file must have been read. There must be no finding about the key, or about
    /// an unknown key that may be a misspelling of it.
    pub fn is_certain_of(&self, section_or_key: &str) -> bool {
        let is_about = |key: &str| key == section_or_key || key.strip_prefix(section_or_key).is_some_and(|rest| rest.starts_with('.'));
        let casts_doubt = |key: &str| is_about(key) || (!is_key(key) && meant(key).is_none_or(is_about));
        self.unread.is_empty() && !self.findings.iter().any(|finding| casts_doubt(&finding.key))
    }
}

/// Reads and checks all layers, and finds the origin of each value.
///
/// # Errors
/// If the environment cannot be read.
pub fn survey(sources: &Sources) -> Result<Survey, SettingsError> {
    let defaults = text_layer(DEFAULTS_ORIGIN, DEFAULTS)?;
    let mut layers = vec![(DEFAULTS_ORIGIN.to_string(), defaults.clone())];
    let mut unread = Vec::new();
    let mut add = |origin: String, layer: Result<Config, SettingsError>| match layer {
        Ok(layer) => layers.push((origin, layer)),
        Err(error) => unread.push(error),
    };
    if let Some(path) = &sources.config {
        add(format!("`{}`", path.display()), file_layer(path));
    }
    match &sources.job {
        Some(JobSource::File(path)) => add(format!("`{}`", path.display()), file_layer(path)),
        Some(JobSource::Text { label, text }) => add(label.clone(), text_layer(label, text)),
        None => {}
    }
    layers.push(("the environment".to_string(), environment_layer()?));

    let mut findings: Vec<Finding> = layers.iter().flat_map(|(origin, layer)| unknown_keys(origin, layer)).collect();
    findings.extend(layers.iter().filter_map(|(origin, layer)| unquoted_version(origin, layer)));
    let mut merged = Config::builder();
    for (_, layer) in &layers {
        merged = merged.add_source(layer.clone());
    }
    for (key, value) in &sources.flags {
        merged = merged.set_override(*key, value.as_str()).map_err(|error| one("the command line", &error))?;
    }
    let merged = merged.build().map_err(|error| one("the layers", &error))?;
    let holder_of = |key: &str| {
        if sources.flags.iter().any(|(flag, _)| *flag == key) {
            return Some("the command line".to_string());
        }
        let holds = |layer: &Config| layer.get::<config::Value>(key).is_ok();
        layers.iter().rev().find(|(_, layer)| holds(layer)).map(|(origin, _)| origin.clone())
    };
    let origin_of = |key: &str| holder_of(key).unwrap_or("the job".to_string());
    let (raw, job) = typed(merged, &defaults, &origin_of, &mut findings)?;
    let job_file = match &sources.job {
        // If the job could not be read, its missing keys are not reported.
        Some(JobSource::File(path)) if unread.is_empty() => Some(path.as_path()),
        Some(JobSource::File(_) | JobSource::Text { .. }) | None => None,
    };
    let (settings, found) = check(raw, job, job_file, &origin_of);
    findings.extend(found);

    let fine = all().filter(|setting| !findings.iter().any(|finding| finding.key == setting.key));
    let values = fine.map(|setting| InForce {
        key: setting.key,
        value: (setting.shown)(&settings),
        origin: holder_of(setting.key).unwrap_or_else(|| setting.derived_from.unwrap_or(DEFAULTS_ORIGIN).to_string()),
    });
    let values = values.collect();
    Ok(Survey { values, settings, findings, unread })
}

/// The layers as typed values. A value of the wrong type is reported and replaced by the default.
fn typed(
    mut merged: Config,
    defaults: &Config,
    origin_of: &dyn Fn(&str) -> String,
    findings: &mut Vec<Finding>,
) -> Result<(Raw, job::Raw), SettingsError> {
    // `config` reports only the first value of a wrong type, so repeat until none is left.
    for _ in all() {
        let Err(error) = written(&merged) else { break };
        let Some(finding) = wrong_type(&error, origin_of) else { return Err(one("the layers", &error)) };
        replace(&mut merged.cache, &finding.key, defaults.get::<config::Value>(&finding.key).ok());
        // A section that is not a table was reported as an unknown key already.
        if !findings.iter().any(|known| known.key == finding.key) {
            findings.push(finding);
        }
    }
    written(&merged).map_err(|error| one("the layers", &error))
}

/// The sections, and the keys of the job beside them.
fn written(merged: &Config) -> Result<(Raw, job::Raw), config::ConfigError> {
    Ok((merged.clone().try_deserialize()?, merged.clone().try_deserialize()?))
}

fn replace(value: &mut config::Value, key: &str, with: Option<config::Value>) {
    let ValueKind::Table(table) = &mut value.kind else { return };
    match (key.split_once('.'), with) {
        (Some((section, rest)), with) => {
            if let Some(value) = table.get_mut(section) {
                replace(value, rest, with);
            }
        }
        (None, Some(with)) => drop(table.insert(key.to_string(), with)),
        (None, None) => drop(table.remove(key)),
    }
}

fn text_layer(layer: &str, text: &str) -> Result<Config, SettingsError> {
    Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .build()
        .map_err(|error| SettingsError::Syntax { layer: layer.to_string(), problem: plain(&error) })
}

fn file_layer(path: &Path) -> Result<Config, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_path_buf(), source };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable(std::io::Error::other("it is not UTF-8 text")))?;
    text_layer(&path.display().to_string(), &text)
}

fn environment_layer() -> Result<Config, SettingsError> {
    // Values stay text (no `try_parsing`): a number from the environment still reaches a number key, and a name
    // such as `0012345` stays what it is.
    Config::builder()
        .add_source(Environment::with_prefix(ENVIRONMENT_PREFIX).prefix_separator("__").separator("__"))
        .build()
        .map_err(|error| one("the environment", &error))
}

fn unknown_keys(origin: &str, layer: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    flatten("", &layer.cache.kind, &mut found);
    let mut findings: Vec<Finding> = found
        .into_iter()
        .filter(|key| !is_key(key))
        .map(|key| {
            let problem = match meant(&key) {
                // Such a key may have a secret as its value, so the message says where a token belongs.
                _ if key.to_lowercase().contains("token") || key.to_lowercase().contains("secret") => {
                    "no such key; a token must not be in a settings file: remove it, and use the environment variable \
                     INTERCOM_ACCESS_TOKEN or a file that `intercom.token_file` names"
                        .to_string()
                }
                Some(near) => format!("no such key{}", did_you_mean(&key, near)),
                None => "no such key; config/default.toml lists them all".to_string(),
            };
            Finding { key, origin: origin.to_string(), problem }
        })
        .collect();
    findings.sort_by(|a, b| a.key.cmp(&b.key));
    findings
}

/// The finding for an API version that is written as a number: 2.10 as a number is 2.1, which is another version.
fn unquoted_version(origin: &str, layer: &Config) -> Option<Finding> {
    let key = "intercom.api_version";
    let value = layer.get::<config::Value>(key).ok()?;
    let is_number = matches!(value.kind, ValueKind::Float(_) | ValueKind::I64(_) | ValueKind::U64(_));
    let problem =
        "is a number, but a version is expected: as numbers, 2.10 and 2.1 are the same; write it in quotes, like \"2.10\"".to_string();
    is_number.then(|| Finding { key: key.to_string(), origin: origin.to_string(), problem })
}

/// The known key that an unknown key was probably meant for.
fn meant(key: &str) -> Option<&'static str> {
    let last = key.rsplit('.').next().unwrap_or(key);
    let known = || all().map(|setting| setting.key);
    known().find(|known| known.rsplit('.').next() == Some(last)).or_else(|| nearest(key, known()))
}

/// The dotted names of all values that are not tables. An empty table is included unless it is a section.
fn flatten(prefix: &str, value: &ValueKind, found: &mut Vec<String>) {
    match value {
        ValueKind::Table(table) if prefix.is_empty() || !table.is_empty() => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, &value.kind, found);
            }
        }
        ValueKind::Table(_) if all().any(|setting| setting.key.starts_with(&format!("{prefix}."))) => {}
        _ => found.push(prefix.to_string()),
    }
}

/// The finding for a value of the wrong type; `None` if the error does not name a key.
fn wrong_type(error: &config::ConfigError, origin_of: &dyn Fn(&str) -> String) -> Option<Finding> {
    let (key, problem) = match error {
        config::ConfigError::Type { key: Some(key), unexpected, expected, .. } => (key, format!("expected {expected}, found {unexpected}")),
        config::ConfigError::At { key: Some(key), error, .. } => (key, plain(error)),
        _ => return None,
    };
    let key = key.split('[').next().filter(|key| !key.is_empty())?.to_string();
    Some(Finding { origin: origin_of(&key), key, problem })
}

fn one(layer: &str, error: &config::ConfigError) -> SettingsError {
    SettingsError::Syntax { layer: layer.to_string(), problem: plain(error) }
}

/// The message without quoted lines that contain a URL, which may be a secret.
fn plain(error: &config::ConfigError) -> String {
    let text = error.to_string();
    let lines = text.trim().lines().map(|line| match line.split_once('|') {
        Some((number, quoted)) if quoted.contains("://") => format!("{number}| …"),
        _ => line.to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
