//! Decides through which HTTP proxy a request goes, if any. Other HTTP clients of the same process can use this module too.
//!
//! - A URL of this machine is never requested through a proxy, even if the environment sets one. A proxy cannot reach this machine by this
//!   URL, and would see the access token.
//! - An `https` URL is requested through the proxy of `HTTPS_PROXY`, or else of `ALL_PROXY`. Both names may also be in lower case. On macOS
//!   and Windows the system's configuration is used if neither variable is set. No proxy is used if `NO_PROXY` excludes the host. The proxy
//!   sees host and port.
//! - `HTTP_PROXY` is never used, because plain `http` is only for this machine.
//!
//! The value of a proxy variable may contain a password, so only its host and port are ever shown.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::header::HeaderValue;
use reqwest::{ClientBuilder, Url};

use crate::tls::CertificateProblem;

/// The first variable of a pair that is set is used. If its value is empty, the next pair is used.
const VARIABLES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];
const EXCLUSIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// How requests to one URL leave this machine.
#[derive(Clone, Debug)]
pub enum Route {
    /// Without a proxy.
    Direct(Reason),
    /// Through this proxy.
    Through(Proxy),
}

/// Why no proxy is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The URL is one of this machine.
    Loopback,
    /// `NO_PROXY` excludes the host.
    Excluded,
    /// No proxy is configured.
    NotSet,
}

/// An HTTP proxy from the environment or the system's configuration.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The proxy's URL without user name and password.
    address: String,
    /// Host and port.
    host: String,
    /// The value of the header `Proxy-Authorization`, marked as sensitive.
    credentials: Option<HeaderValue>,
    /// Where the proxy is configured: the name of a variable, or the system's configuration.
    origin: &'static str,
}

/// A proxy that is configured but cannot be used. Then nothing is sent, because a direct connection may be forbidden or never be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The variable's value is not the address of a proxy.
    #[error("the proxy that {0} names cannot be used: its value is not the address of a proxy")]
    Address(&'static str),
    /// The proxy is neither an HTTP nor an HTTPS proxy.
    #[error("the proxy that {0} names cannot be used: its address is neither http nor https (SOCKS is not supported)")]
    Scheme(&'static str),
}

impl ProxyError {
    /// What to do.
    pub const HINT: &str = "write the proxy's address like http://proxy.example:3128 (or http://user:password@…), unset the variable, or add the host that is to be reached without a proxy to NO_PROXY";
}

/// Whether the host is a loopback literal: 127.0.0.0/8, ::1 or localhost.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || literal.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// How requests to this URL leave this machine, according to the environment of this process.
///
/// # Errors
/// When the proxy that is configured for the URL cannot be used.
pub fn route(address: &str) -> Result<Route, ProxyError> {
    let from_environment = decide(address, |name| std::env::var_os(name))?;
    // On macOS and Windows this also reads the system's configuration. Elsewhere it reads the same variables again.
    match (&from_environment, address.parse()) {
        (Route::Direct(Reason::NotSet), Ok(uri)) => {
            let origin = "the system's configuration";
            let system = Matcher::from_system().intercept(&uri);
            Ok(system.and_then(|found| Proxy::of(&found, origin)).map_or(from_environment, Route::Through))
        }
        _ => Ok(from_environment),
    }
}

fn decide(address: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<Route, ProxyError> {
    let direct = |reason| Ok(Route::Direct(reason));
    let Ok(url) = Url::parse(address) else { return direct(Reason::NotSet) };
    if is_loopback(&url) {
        return direct(Reason::Loopback);
    }
    let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, variable(name)?)));
    let named = VARIABLES.into_iter().filter_map(first).find(|(_, value)| !value.to_string_lossy().trim().is_empty());
    let (Some((name, value)), Ok(uri), "https") = (named, url.as_str().parse(), url.scheme()) else { return direct(Reason::NotSet) };
    let excluded = first(EXCLUSIONS).map(|(_, value)| value.to_string_lossy().into_owned()).unwrap_or_default();
    // The address of this proxy does not matter. It only serves to find out whether the host is excluded.
    if Matcher::builder().https("http://proxy.invalid").no(excluded).build().intercept(&uri).is_none() {
        return direct(Reason::Excluded);
    }
    let value = value.into_string().map_err(|_| ProxyError::Address(name))?;
    let value = value.trim();
    match Matcher::builder().https(value).build().intercept(&uri) {
        Some(found) => match found.uri().scheme_str() {
            Some("http" | "https") => Proxy::of(&found, name).map(Route::Through).ok_or(ProxyError::Address(name)),
            _ => Err(ProxyError::Scheme(name)),
        },
        None => {
            let other_scheme = value.split_once("://").is_some_and(|(scheme, _)| !matches!(scheme, "http" | "https"));
            Err(if other_scheme { ProxyError::Scheme(name) } else { ProxyError::Address(name) })
        }
    }
}

impl Proxy {
    fn of(found: &Intercept, origin: &'static str) -> Option<Proxy> {
        let address = found.uri().to_string();
        // This is stricter than the matcher: the address needs a host and a valid port.
        let url = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let host = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        let credentials = found.basic_auth().cloned().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Some(Proxy { address, host, credentials, origin })
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where the proxy is configured: the name of a variable, or the system's configuration.
    pub fn origin(&self) -> &'static str {
        self.origin
    }

    /// Why there was no connection through this proxy. `None` when the request failed for another reason.
    pub fn failure(&self, error: &reqwest::Error) -> Option<ProxyFailure> {
        if !error.is_connect() {
            return None;
        }
        let mut why = if error.is_timeout() { Why::Timeout } else { Why::Tls(CertificateProblem::of(error)) };
        let mut cause = error.source();
        while let Some(found) = cause {
            // The error type is private to the connector, so its messages are compared. Tests check that they are still the same.
            match found.to_string().strip_prefix("tunnel error: ") {
                Some("proxy authorization required") => why = Why::Credentials,
                Some("failed to create underlying connection") if why != Why::Timeout => why = Why::Unreachable,
                Some(_) if why != Why::Timeout => why = Why::Refused,
                _ => {}
            }
            cause = found.source();
        }
        Some(ProxyFailure { proxy: self.to_string(), why })
    }
}

/// Shows host and port, and where the proxy is configured.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.host, self.origin)
    }
}

/// A request that did not get through its proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyFailure {
    proxy: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// There is no connection to the proxy.
    Unreachable,
    /// There was no connection in time, either to the proxy or to the host behind it.
    Timeout,
    /// The proxy answered with status 407.
    Credentials,
    /// The proxy answered, but opened no tunnel.
    Refused,
    /// There is a tunnel, but no TLS connection through it. The problem is `None` if the certificate is not the reason.
    Tls(Option<CertificateProblem>),
}

impl ProxyFailure {
    /// Whether only a person can fix the problem. A wrong password stays wrong, and repeated attempts may lock an account.
    pub fn is_final(&self) -> bool {
        self.why == Why::Credentials
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self.why {
            Why::Credentials => "put user name and password into the proxy's address: http://user:password@host:port",
            // A proxy that inspects TLS is a likely reason, even if no certificate was reported.
            Why::Tls(problem) => problem.unwrap_or(CertificateProblem::UnknownIssuer).hint(),
            Why::Unreachable | Why::Timeout | Why::Refused => {
                "check the proxy, and whether it lets requests to that host through; NO_PROXY names hosts that are reached without it"
            }
        }
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProxyFailure { proxy, why } = self;
        match why {
            Why::Unreachable => write!(f, "no connection to the proxy {proxy}"),
            Why::Timeout => write!(f, "no connection in time through the proxy {proxy}"),
            Why::Credentials => write!(f, "the proxy {proxy} refused: it asks for a user name and password (407)"),
            Why::Refused => write!(f, "the proxy {proxy} refused to connect to the host"),
            Why::Tls(None) => write!(f, "no TLS connection to the host through the proxy {proxy}"),
            Why::Tls(Some(problem)) => write!(f, "no TLS connection to the host through the proxy {proxy}: {problem}"),
        }
    }
}

impl Route {
    /// The proxy. `None` if the route is direct.
    pub fn proxy(self) -> Option<Proxy> {
        match self {
            Route::Through(proxy) => Some(proxy),
            Route::Direct(_) => None,
        }
    }
}

/// Makes the client send all its requests through this proxy, or through none. The client ignores the environment.
///
/// # Errors
/// When the client cannot use the proxy's URL.
pub fn configure(builder: ClientBuilder, proxy: Option<&Proxy>) -> reqwest::Result<ClientBuilder> {
    let builder = builder.no_proxy();
    let Some(proxy) = proxy else { return Ok(builder) };
    let mut used = reqwest::Proxy::https(&proxy.address)?;
    if let Some(credentials) = &proxy.credentials {
        used = used.custom_http_auth(credentials.clone());
    }
    Ok(builder.proxy(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "https://api.intercom.io";

    fn decided(address: &str, variables: &[(&str, &str)]) -> Result<Route, ProxyError> {
        decide(address, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)))
    }

    /// The proxy's host and variable, or why there is no proxy.
    fn shown(address: &str, variables: &[(&str, &str)]) -> String {
        match decided(address, variables) {
            Ok(Route::Through(proxy)) => proxy.to_string(),
            Ok(Route::Direct(reason)) => format!("{reason:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn this_machine_is_never_reached_through_a_proxy() {
        let everything = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        for value in ["http://proxy.example:3128", "::::"] {
            let variables: Vec<(&str, &str)> = everything.iter().map(|name| (*name, value)).chain([("NO_PROXY", "")]).collect();
            for scheme in ["http", "https"] {
                for host in ["127.0.0.1", "127.8.9.1:81", "localhost:8080", "LOCALHOST", "[::1]:8080"] {
                    assert_eq!(shown(&format!("{scheme}://{host}/hook"), &variables), "Loopback", "{scheme}://{host}");
                }
            }
        }
    }

    #[test]
    fn https_goes_through_the_proxy_that_is_named_first() {
        let https = ("HTTPS_PROXY", "http://one.example:3128");
        let lower = ("https_proxy", "http://two.example:3128");
        let all = ("ALL_PROXY", "three.example:81");
        for (variables, expected) in [
            (&[https, lower, all][..], "`one.example:3128` (HTTPS_PROXY)"),
            (&[lower, all], "`two.example:3128` (https_proxy)"),
            (&[all], "`three.example:81` (ALL_PROXY)"),
            (&[("HTTPS_PROXY", ""), lower, all], "`three.example:81` (ALL_PROXY)"),
            (&[("all_proxy", " https://four.example/ ")], "`four.example:443` (all_proxy)"),
            (&[("HTTPS_PROXY", "five.example")], "`five.example:80` (HTTPS_PROXY)"),
            (&[("HTTPS_PROXY", "http://[2001:db8::1]:3128")], "`[2001:db8::1]:3128` (HTTPS_PROXY)"),
            (&[("HTTPS_PROXY", ""), ("NO_PROXY", "*")], "NotSet"),
            // In a CGI program, a stranger's request can set `HTTP_PROXY`, but not this variable.
            (&[https, ("REQUEST_METHOD", "GET")], "`one.example:3128` (HTTPS_PROXY)"),
            (&[("HTTP_PROXY", "http://one.example:3128"), ("http_proxy", "http://one.example:3128")], "NotSet"),
            (&[], "NotSet"),
        ] {
            assert_eq!(shown(API, variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn excluded_hosts_are_reached_directly() {
        for (excluded, expected) in [
            ("api.intercom.io", true),
            ("intercom.io", true),
            ("example.com, .intercom.io", true),
            ("*", true),
            ("API.INTERCOM.IO", true),
            ("pi.intercom.io", false),
            ("", false),
            ("127.0.0.1,localhost", false),
        ] {
            for name in EXCLUSIONS {
                for value in ["http://proxy.example:3128", "::::"] {
                    let shown = shown(API, &[("HTTPS_PROXY", value), (name, excluded)]);
                    assert_eq!(shown == "Excluded", expected, "{name}={excluded}: {shown}");
                }
            }
        }
    }

    #[test]
    fn invalid_proxies_are_refused_and_not_quoted() {
        for (value, is_scheme) in [
            ("::::", false),
            ("http://", false),
            ("http://:3128", false),
            ("/s3cret", false),
            ("http://me:s3cret@", false),
            ("http://me:s3cret@proxy.example:99999", false),
            ("me:s3cret@proxy.example:http", false),
            ("http://proxy example:3128", false),
            ("socks5://me:s3cret@proxy.example:1080", true),
            ("socks5h://proxy.example", true),
            ("ftp://me:s3cret@proxy.example", true),
        ] {
            for name in ["HTTPS_PROXY", "all_proxy"] {
                let error = decided(API, &[(name, value)]).map(|_| ()).unwrap_err();
                assert_eq!(matches!(error, ProxyError::Scheme(_)), is_scheme, "{value}: {error}");
                let shown = format!("{error} {error:?}");
                assert!(shown.contains(name) && !shown.contains("s3cret"), "{shown}");
            }
        }
        // If the first variable is wrong, neither the next variable nor a direct connection is used in its place.
        assert!(decided(API, &[("HTTPS_PROXY", "::::"), ("ALL_PROXY", "http://proxy.example:3128")]).is_err());
    }

    #[test]
    fn credentials_go_to_the_proxy_and_nowhere_else() {
        let variables = [("HTTPS_PROXY", "http://me:s3cr%3At@proxy.example:3128")];
        let proxy = decided(API, &variables).unwrap().proxy().unwrap();
        assert_eq!(proxy.credentials.as_ref().unwrap(), "Basic bWU6czNjcjp0");
        let shown = format!("{proxy} {proxy:?}");
        assert!(!["s3cr", "bWU6", "me:"].iter().any(|secret| shown.contains(secret)), "{shown}");
        assert_eq!(proxy.address, "http://proxy.example:3128/");
        let configured = configure(reqwest::Client::builder(), Some(&proxy)).unwrap();
        let shown = format!("{configured:?}");
        assert!(!["s3cr", "bWU6", "me:"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}
