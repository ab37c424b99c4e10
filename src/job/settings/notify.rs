//! `[notify]`: where the run summary is sent, and in which form.

use reqwest::Url;
use serde::Deserialize;

use super::address::{WebhookUrl, check_webhook};
use super::setting::{Findings, Setting, word};
use domain::Month;

/// Where the run summary is sent.
#[derive(Clone, Debug)]
pub struct Notify {
    pub url: Option<WebhookUrl>,
    pub format: MessageFormat,
    pub link: Option<Link>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    /// Fields for programs.
    Json,
    /// A message for people, in a channel of Slack or Mattermost.
    Slack,
}

/// The URL of the page of a month. It may contain `{month}`, which is replaced by the month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link(String);

/// What stands for the month in a link.
const MONTH: &str = "{month}";

impl Link {
    fn parse(text: &str) -> Result<Link, &'static str> {
        let text = text.trim();
        if text.replace(MONTH, "").contains(['{', '}']) {
            return Err("has braces around something else than `month`; write it like https://reports.example.com/{month}/report.html");
        }
        if text.contains(|character: char| character.is_whitespace() || "<>|\"".contains(character)) {
            return Err("has a blank or another character that ends an address");
        }
        let url = Url::parse(&text.replace(MONTH, "2026-10"))
            .map_err(|_| "is not an address; write it like https://reports.example.com/{month}/report.html")?;
        match url.scheme() {
            "http" | "https" if url.username().is_empty() && url.password().is_none() => Ok(Link(text.to_string())),
            "http" | "https" => Err("has a user name or password, which everyone in the channel would read"),
            _ => Err("is neither https nor http"),
        }
    }

    pub fn of(&self, month: Month) -> String {
        self.0.replace(MONTH, &month.to_string())
    }
}

const FORMATS: [(&str, MessageFormat); 2] = [("json", MessageFormat::Json), ("slack", MessageFormat::Slack)];

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("notify.url", |all| all.notify.url.as_ref().map_or("not set".to_string(), |url| format!("{}/…", url.host))),
    Setting::new("notify.link", |all| all.notify.link.as_ref().map_or("not set".to_string(), |link| link.0.clone())),
    Setting::new("notify.format", |all| word(&all.notify.format, &FORMATS)),
];

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    url: Option<String>,
    link: Option<String>,
    format: String,
}

pub(super) fn check(Raw { url, link, format }: Raw, findings: &mut Findings<'_>) -> Notify {
    Notify {
        // The URL is never shown, not even in an error: everybody who knows it can write to the webhook.
        url: url.and_then(|url| check_webhook(&url).map_err(|problem| findings.add("notify.url", problem)).ok()),
        format: findings.one_of("notify.format", &format, &FORMATS).unwrap_or(MessageFormat::Json),
        link: link.and_then(|link| Link::parse(&link).map_err(|problem| findings.add("notify.link", problem)).ok()),
    }
}
