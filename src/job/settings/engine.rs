//! `[engine]`: what counts a month.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::setting::{Findings, Setting, path, word};

#[derive(Clone, Debug)]
pub struct Engine {
    pub kind: EngineKind,
    /// The URL of a Spark Connect server. It may contain a token.
    pub url: Option<SecretString>,
    pub token_file: Option<PathBuf>,
    /// The path of `output.dir` as the engine spells it, where that differs.
    pub path: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// In this process.
    Polars,
    /// On a Spark Connect server.
    Spark,
}

const KINDS: [(&str, EngineKind); 2] = [("polars", EngineKind::Polars), ("spark", EngineKind::Spark)];
const SCHEME: &str = "sc://";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("engine.kind", |all| word(&all.engine.kind, &KINDS)),
    Setting::new("engine.url", |all| all.engine.url.as_ref().map_or("not set".to_string(), |url| shown_url(url.expose_secret()))),
    Setting::new("engine.token_file", |all| path(all.engine.token_file.as_deref())),
    Setting::new("engine.path", |all| all.engine.path.clone().unwrap_or("not set".to_string())),
];

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    kind: String,
    url: Option<String>,
    token_file: Option<PathBuf>,
    path: Option<String>,
}

pub(super) fn check(raw: Raw, findings: &mut Findings<'_>) -> Engine {
    let kind = findings.one_of("engine.kind", &raw.kind, &KINDS).unwrap_or(EngineKind::Polars);
    if kind == EngineKind::Spark && !cfg!(feature = "spark") {
        findings.add(
            "engine.kind",
            "this program was built without Spark; build it with `cargo install --path . --features spark`, which needs `protoc` (Debian: protobuf-compiler)",
        );
    }
    // The URL is never shown, because it may contain a token.
    match &raw.url {
        Some(url) if !url.starts_with(SCHEME) || shown_url(url).len() == SCHEME.len() => {
            findings
                .add("engine.url", "must be the address of a Spark Connect server, like sc://HOST:15002 or sc://HOST:443/;use_ssl=true");
        }
        None if kind == EngineKind::Spark => {
            findings.add("engine.url", "is missing: the address of the Spark Connect server, like sc://HOST:15002");
        }
        Some(_) | None => {}
    }
    if raw.path.as_ref().is_some_and(String::is_empty) {
        findings.add("engine.path", "is empty");
    }
    Engine { kind, url: raw.url.map(SecretString::from), token_file: raw.token_file, path: raw.path }
}

/// The URL without parameters and user, which may be secret.
fn shown_url(url: &str) -> String {
    let rest = url.strip_prefix(SCHEME).unwrap_or_default();
    let host = rest.split(['/', ';', '?', '#']).next().unwrap_or_default();
    format!("{SCHEME}{}", host.rsplit('@').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_address_has_no_parameters() {
        for (url, shown) in [
            ("sc://host:15002", "sc://host:15002"),
            ("sc://host/;token=secret;use_ssl=true", "sc://host"),
            ("sc://user:secret@host:443;token=secret", "sc://host:443"),
            ("token", "sc://"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }
}
