//! The URLs in settings: of the API and of the webhook, and the parts of them that may be shown.

use reqwest::Url;
use secrecy::SecretString;

use intercom::proxy::is_loopback;

/// The URL of a webhook. It is a secret: everybody who knows the URL can write to the webhook.
#[derive(Clone, Debug)]
pub struct WebhookUrl {
    pub address: SecretString,
    /// Scheme, host and port: these may be shown.
    pub host: String,
}

/// A URL without user name, password and query, for messages.
pub(super) fn without_secrets(address: &str) -> String {
    let (address, query) = match address.find(['?', '#']) {
        Some(query) => (&address[..query], "?…"),
        None => (address, ""),
    };
    match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}…{}{query}", &address[..scheme + 3], &address[at..]),
        (_, Some(at)) => format!("…{}{query}", &address[at..]),
        (_, None) => format!("{address}{query}"),
    }
}

/// Checks the URL of the API. Returns whether its host is a loopback literal, or what is wrong with the URL.
pub(super) fn check_base_url(text: &str) -> Result<bool, &'static str> {
    let (url, is_loopback) = check(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query; only scheme, host, port and path belong here");
    }
    Ok(is_loopback)
}

/// The URL of a webhook, or what is wrong with it, as a text that shows only the host.
pub(super) fn check_webhook(text: &str) -> Result<WebhookUrl, String> {
    let text = text.trim();
    match check(text) {
        Ok((url, _)) => Ok(WebhookUrl { address: SecretString::from(text), host: host(&url) }),
        Err(problem) => Err(match Url::parse(text) {
            Ok(url) if url.has_host() => format!("the address at `{}` {problem}", host(&url)),
            _ => format!("the address, which is not shown, {problem}"),
        }),
    }
}

fn host(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.port().map_or(String::new(), |port| format!(":{port}")))
}

/// The URL, and whether its host is a loopback literal. The error says what is wrong with the URL.
fn check(text: &str) -> Result<(Url, bool), &'static str> {
    let url = Url::parse(text).map_err(|_| "is not an address; write it like https://api.intercom.io")?;
    if !url.has_host() {
        return Err("has no host");
    }
    let is_loopback = is_loopback(&url);
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or password, which is refused; the token comes from the environment or a file");
    }
    match url.scheme() {
        "https" => Ok((url, is_loopback)),
        "http" if is_loopback => Ok((url, true)),
        "http" => Err("is not encrypted; plain http is only for this machine (127.0.0.0/8, ::1, localhost)"),
        _ => Err("is neither https nor http"),
    }
}
