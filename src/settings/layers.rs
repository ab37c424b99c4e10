//! Merging the layers. Each one is checked for unknown keys by itself, so that the message can name the file and the
//! nearest known key.

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, ValueKind};

use super::keys::{KEYS, nearest};
use super::raw::Raw;
use super::{Finding, Settings, SettingsError};

const DEFAULTS: &str = include_str!("../../config/default.toml");
const DEFAULTS_ORIGIN: &str = "the built-in defaults";
const ENVIRONMENT_PREFIX: &str = "COHORTS";

/// A flag of the command line that sets a key, with the key it sets.
pub type Flag = (&'static str, String);

/// Where settings come from, besides the defaults and the environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub config: Option<PathBuf>,
    pub job: Option<JobSource>,
    pub flags: Vec<Flag>,
}

/// A job: the file of `--job`, or one that the program brings along.
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

pub fn load(sources: &Sources) -> Result<Settings, SettingsError> {
    let defaults = (DEFAULTS_ORIGIN.to_string(), text_layer(DEFAULTS_ORIGIN, DEFAULTS)?);
    let mut layers = vec![defaults];
    if let Some(path) = &sources.config {
        layers.push((format!("`{}`", path.display()), file_layer(path)?));
    }
    match &sources.job {
        Some(JobSource::File(path)) => layers.push((format!("`{}`", path.display()), file_layer(path)?)),
        Some(JobSource::Text { label, text }) => layers.push((label.clone(), text_layer(label, text)?)),
        None => {}
    }
    layers.push(("the environment".to_string(), environment_layer()?));

    let findings: Vec<Finding> = layers.iter().flat_map(|(origin, layer)| unknown_keys(origin, layer)).collect();
    if !findings.is_empty() {
        return Err(SettingsError::Findings(findings));
    }

    let mut merged = Config::builder();
    for (_, layer) in &layers {
        merged = merged.add_source(layer.clone());
    }
    for (key, value) in &sources.flags {
        merged = merged.set_override(*key, value.as_str()).map_err(|error| one("the command line", &error))?;
    }
    let merged = merged.build().map_err(|error| one("the layers", &error))?;
    let origin_of = |key: &str| {
        let overridden = sources.flags.iter().any(|(flag, _)| *flag == key);
        if overridden {
            return "the command line".to_string();
        }
        let holds = |layer: &Config| layer.get::<config::Value>(key).is_ok();
        layers.iter().rev().find(|(_, layer)| holds(layer)).map_or("the job".to_string(), |(origin, _)| origin.clone())
    };
    let raw: Raw = merged.try_deserialize().map_err(|error| wrong_type(&error, &origin_of))?;
    let job_file = match &sources.job {
        Some(JobSource::File(path)) => Some(path.as_path()),
        Some(JobSource::Text { .. }) | None => None,
    };
    raw.check(job_file, &origin_of)
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
        .filter(|key| !KEYS.contains(&key.as_str()))
        .map(|key| {
            let last = key.rsplit('.').next().unwrap_or(&key);
            let known_last = |known: &&&str| known.rsplit('.').next() == Some(last);
            let near = KEYS.iter().find(known_last).copied().or_else(|| nearest(&key, KEYS.iter().copied()));
            let problem = match near {
                Some(near) => format!("no such key; did you mean `{near}`?"),
                None => "no such key; config/default.toml lists them all".to_string(),
            };
            Finding { key, origin: origin.to_string(), problem }
        })
        .collect();
    findings.sort_by(|a, b| a.key.cmp(&b.key));
    findings
}

/// The dotted names of all values that are no tables; an empty table stands for itself unless it is a section.
fn flatten(prefix: &str, value: &ValueKind, found: &mut Vec<String>) {
    match value {
        ValueKind::Table(table) if prefix.is_empty() || !table.is_empty() => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, &value.kind, found);
            }
        }
        ValueKind::Table(_) if KEYS.iter().any(|key| key.starts_with(&format!("{prefix}."))) => {}
        _ => found.push(prefix.to_string()),
    }
}

fn wrong_type(error: &config::ConfigError, origin_of: &dyn Fn(&str) -> String) -> SettingsError {
    let (key, problem) = match error {
        config::ConfigError::Type { key: Some(key), unexpected, expected, .. } => {
            (key.clone(), format!("expected {expected}, found {unexpected}"))
        }
        config::ConfigError::At { key: Some(key), error, .. } => (key.clone(), plain(error)),
        other => (String::new(), plain(other)),
    };
    if key.is_empty() {
        return one("the layers", error);
    }
    let key = key.split('[').next().unwrap_or(&key).to_string();
    SettingsError::Findings(vec![Finding { origin: origin_of(&key), key, problem }])
}

fn one(layer: &str, error: &config::ConfigError) -> SettingsError {
    SettingsError::Syntax { layer: layer.to_string(), problem: plain(error) }
}

fn plain(error: &config::ConfigError) -> String {
    error.to_string().trim().to_string()
}
