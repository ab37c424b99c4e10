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
    // The address is never shown, not even in an error: everybody who knows it can write to the webhook.
    Notify { url: url.and_then(|url| check_webhook(&url).map_err(|problem| findings.add("notify.url", problem)).ok()) }
}
