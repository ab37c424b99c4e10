//! `[notify]`: where the run summary is sent.

use serde::Deserialize;

use super::address::{WebhookUrl, check_webhook};
use super::setting::{Findings, Setting};

/// Where the run summary is sent.
#[derive(Clone, Debug)]
pub struct Notify {
    pub url: Option<WebhookUrl>,
}

pub(super) const SETTINGS: &[Setting] =
    &[Setting::new("notify.url", |all| all.notify.url.as_ref().map_or("not set".to_string(), |url| format!("{}/…", url.host)))];

#[derive(Debug, Default, Deserialize)]
pub(super) struct Raw {
    url: Option<String>,
}

pub(super) fn check(Raw { url }: Raw, findings: &mut Findings<'_>) -> Notify {
    // Never shown, not even if it is wrong: the address of a webhook allows to write to it.
    Notify { url: url.and_then(|url| check_webhook(&url).map_err(|problem| findings.add("notify.url", problem)).ok()) }
}
