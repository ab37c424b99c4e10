//! Checks which proxy the environment names for requests.

use secrecy::ExposeSecret;

use super::Finding;
use crate::settings::Settings;
use intercom::ClientError;
use intercom::proxy::{ProxyError, Reason, Route, route};

/// Checks the proxy for requests to the API. Returns whether requests are possible.
pub(super) fn of_api(settings: &Settings, findings: &mut Vec<Finding>) -> bool {
    let address = &settings.intercom.base_url;
    let route = route(address);
    let is_usable = route.is_ok();
    findings.push(match route {
        Ok(route) => Finding::fine("proxy", shown(&route, address)),
        Err(error) => Finding::error("proxy", ClientError::from(error)),
    });
    is_usable
}

/// Checks the proxy for the webhook, if there is a webhook. A run also works without the webhook.
pub(super) fn of_webhook(settings: &Settings, findings: &mut Vec<Finding>) {
    let Some(url) = &settings.notify.url else { return };
    findings.push(match route(url.address.expose_secret()) {
        Ok(route) => Finding::fine("webhook proxy", shown(&route, &format!("{}/…", url.host))),
        Err(error) => Finding::warning("webhook proxy", error.to_string(), Some(ProxyError::HINT)),
    });
}

fn shown(route: &Route, address: &str) -> String {
    match route {
        Route::Through(proxy) => format!("requests to `{address}` go through `{}`, as {} says", proxy.host(), proxy.origin()),
        Route::Direct(Reason::Loopback) => format!("no proxy is used for `{address}`: it is on this machine"),
        Route::Direct(Reason::Excluded) => format!("no proxy is used for `{address}`: NO_PROXY lists it"),
        Route::Direct(Reason::NotSet) => format!("no proxy is used for `{address}`: neither HTTPS_PROXY nor ALL_PROXY is set"),
    }
}
