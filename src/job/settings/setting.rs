//! One key: its value as text, and how a wrong value is reported.

use std::path::Path;
use std::time::Duration;

use super::token::shown_path;
use super::{Finding, Settings};

/// A key, as `section.key`. The keys of a job have no section.
pub(super) struct Setting {
    pub key: &'static str,
    /// The checked value as text. It is never secret: the token is not a setting, a URL with a user name or a password is refused, and
    /// only the host of a webhook is shown.
    pub shown: fn(&Settings) -> String,
    /// Where the value comes from if no layer has it; `None` for the built-in defaults.
    pub derived_from: Option<&'static str>,
}

impl Setting {
    pub(super) const fn new(key: &'static str, shown: fn(&Settings) -> String) -> Setting {
        Setting { key, shown, derived_from: None }
    }

    pub(super) const fn derived_from(self, source: &'static str) -> Setting {
        Setting { derived_from: Some(source), ..self }
    }
}

/// A key, its value, and the layer that the value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    pub key: &'static str,
    pub value: String,
    pub origin: String,
}

/// The maximum duration. A longer one is a typing error, and sums of instants would overflow.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Collects findings during the checks.
pub(super) struct Findings<'a> {
    pub found: Vec<Finding>,
    pub origin_of: &'a dyn Fn(&str) -> String,
}

impl Findings<'_> {
    pub(super) fn add(&mut self, key: &str, problem: impl Into<String>) {
        self.found.push(Finding { key: key.to_string(), origin: (self.origin_of)(key), problem: problem.into() });
    }

    pub(super) fn duration(&mut self, key: &str, text: &str) -> Duration {
        match humantime::parse_duration(text.trim()) {
            Ok(duration) if duration.is_zero() => self.add(key, format!("`{text}` is zero")),
            Ok(duration) if duration > DURATION_MAX => self.add(key, format!("`{text}` is more than a year")),
            Ok(duration) => return duration,
            Err(_) => self.add(key, format!("`{text}` is not a duration; write it like \"60s\", \"15m\" or \"3d\"")),
        }
        Duration::ZERO
    }

    /// The value of a word. For an unknown word, adds a finding that lists the known words and returns `None`.
    pub(super) fn one_of<T: Copy>(&mut self, key: &str, word: &str, known: &[(&str, T)]) -> Option<T> {
        let value = known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if value.is_none() {
            let words: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            self.add(key, format!("`{word}` is not known here; use {}", words.join(", ")));
        }
        value
    }
}

/// The word for a value, from the list of known words that `one_of` reads. Empty if the list does not have the value.
pub(super) fn word<T: PartialEq>(value: &T, known: &[(&str, T)]) -> String {
    known.iter().find(|(_, known)| known == value).map_or(String::new(), |(word, _)| (*word).to_string())
}

pub(super) fn list(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    if values.is_empty() { "none".to_string() } else { values.join(", ") }
}

pub(super) fn duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

pub(super) fn path(path: Option<&Path>) -> String {
    path.map_or("not set".to_string(), shown_path)
}

/// The most similar known name, if one is similar enough.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.6)
        .map(|(_, candidate)| candidate)
}
