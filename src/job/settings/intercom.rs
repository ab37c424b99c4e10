//! `[intercom]`: the workspace, and how it is asked.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::address::{check_base_url, without_secrets};
use super::layers::DEFAULTS_ORIGIN;
use super::numbers;
use super::setting::{Findings, Setting, duration, path};
use intercom::Capabilities;

#[derive(Clone, Debug)]
pub struct Intercom {
    /// The region as written in the settings; `base_url` overrides it.
    pub region: String,
    /// The region in which the workspace should be hosted: the region of `base_url`'s host, or else the region that a layer names.
    /// `None` if the host is of no known region and no layer names one.
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
    /// Whether the host of `base_url` is a loopback literal. Only then may the clock be set (`--as-of`).
    pub is_loopback: bool,
}

impl Intercom {
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::of(&self.api_version)
    }
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("intercom.region", |all| all.intercom.region.clone()),
    Setting::new("intercom.base_url", |all| all.intercom.base_url.clone()).derived_from("intercom.region"),
    Setting::new("intercom.api_version", |all| all.intercom.api_version.clone()),
    Setting::new("intercom.page_size", |all| all.intercom.page_size.to_string()),
    Setting::new("intercom.max_concurrency", |all| all.intercom.max_concurrency.to_string()),
    Setting::new("intercom.rate_share", |all| all.intercom.rate_share.to_string()),
    Setting::new("intercom.request_timeout", |all| duration(all.intercom.request_timeout)),
    Setting::new("intercom.give_up_after", |all| duration(all.intercom.give_up_after)),
    Setting::new("intercom.token_file", |all| path(all.intercom.token_file.as_deref())),
];

/// The regions of workspaces.
const REGIONS: [(&str, &str); 3] =
    [("us", "https://api.intercom.io"), ("eu", "https://api.eu.intercom.io"), ("au", "https://api.au.intercom.io")];
const PAGE_SIZE_MAX: u32 = 150;
const CONCURRENCY_MAX: usize = 256;

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
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

pub(super) fn check(raw: Raw, findings: &mut Findings<'_>, notices: &mut Vec<String>) -> Intercom {
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
        Some((1, 0..=4) | (2, 0..=17)) => {}
        Some((2, _)) | Some((3.., _)) => notices.push(format!(
            "API version {} is newer than this program knows (2.17); dates in searches may mean something else there",
            raw.api_version
        )),
        Some((..2, _)) => {
            findings.add("intercom.api_version", format!("there was no version {}; use 1.0 to 1.4 or 2.0 to 2.17", raw.api_version))
        }
        None if raw.api_version.eq_ignore_ascii_case("preview") || raw.api_version.eq_ignore_ascii_case("unstable") => {
            findings.add("intercom.api_version", "Preview changes without notice and is refused; use 2.0 to 2.17, or 1.0 to 1.4");
        }
        None => findings
            .add("intercom.api_version", format!("`{}` is not an API version; use 2.0 to 2.17, or 1.0 to 1.4, in quotes", raw.api_version)),
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
