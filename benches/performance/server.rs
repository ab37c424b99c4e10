//! The embedded Intercom in a process of its own, and what its probes tell.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Bench, Failure};

/// Two hours after the end of the month that is measured.
pub(crate) const NOW: &str = "2026-11-01T02:00:00Z";
/// The same a month before, where there is something to compare with.
pub(crate) const A_MONTH_BEFORE: &str = "2026-10-01T02:00:00Z";
/// Contacts are in 0.58 of the five segments on average; with so many of the seven tags it is three groups of twelve.
const MEMBERSHIPS: &str = "2.42";
pub(crate) const TAGS: usize = 7;
/// Requests in a window where no limit is wanted.
const UNLIMITED: u32 = 1_000_000;

/// How the server is to be.
pub(crate) struct Intercom {
    pub contacts: usize,
    pub now: &'static str,
    /// Requests in ten seconds.
    pub rate_limit: Option<u32>,
    pub latency: Duration,
    /// Answers are made once and kept as they go over the wire.
    pub keeps_pages: bool,
}

impl Intercom {
    pub(crate) fn of(contacts: usize) -> Intercom {
        Intercom { contacts, now: NOW, rate_limit: None, latency: Duration::ZERO, keeps_pages: false }
    }
}

/// Ends the server when it is dropped.
pub(crate) struct Server {
    process: Child,
    pub address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the server has counted. Refused requests are among the requests.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub requests: u64,
    pub rate_limited: u64,
    pub max_in_flight: u64,
    /// Those in which there were requests, oldest first.
    pub windows: Vec<Window>,
}

/// Ten seconds, as the rate limit counts them.
#[derive(Debug, Deserialize)]
pub(crate) struct Window {
    /// In Unix seconds.
    pub start: u64,
    pub requests: u64,
    pub rate_limited: u64,
}

/// A request that came in, to be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub method: String,
    /// With the query.
    pub path: String,
    pub version: String,
    pub body: String,
}

impl Server {
    pub(crate) fn start(intercom: &Intercom) -> Result<Server, Failure> {
        let limit = intercom.rate_limit.unwrap_or(UNLIMITED).to_string();
        let mut simulate = Command::new(env!("CARGO_BIN_EXE_cohorts"));
        simulate.args(["simulate", "--port", "0", "--now", intercom.now, "--contacts", &intercom.contacts.to_string()]);
        simulate.args(["--extra-groups", &TAGS.to_string(), "--memberships", MEMBERSHIPS]);
        simulate.args(["--rate-limit", &limit, "--workspace-rate-limit", &UNLIMITED.to_string()]);
        simulate.args(["--latency", &format!("{}ms", intercom.latency.as_millis())]);
        if intercom.keeps_pages {
            simulate.arg("--prepared-pages");
        }
        let process = simulate.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut server = Server { process, address: String::new() };
        let output = server.process.stdout.take().ok_or("the server has no standard output")?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        server.address = address.trim().to_string();
        if server.address.is_empty() { Err("`cohorts simulate` ended before it listened".into()) } else { Ok(server) }
    }

    pub(crate) async fn seen(&self) -> Result<Seen, Failure> {
        Ok(serde_json::from_value(self.probe("stats").await?)?)
    }

    /// The pages of contacts that were asked for so far.
    pub(crate) async fn pages(&self) -> Result<Vec<Recorded>, Failure> {
        let answered = self.probe("requests").await?;
        let all = answered.as_array().ok_or("the server's list of requests is none")?;
        let recorded: Option<Vec<Recorded>> = all.iter().map(recorded).collect();
        let recorded = recorded.ok_or("a request in the server's list lacks its method or path")?;
        let is_page = |request: &Recorded| {
            let path = request.path.split('?').next().unwrap_or_default();
            path == "/contacts" || path == "/contacts/search"
        };
        Ok(recorded.into_iter().filter(is_page).collect())
    }

    async fn probe(&self, name: &str) -> Result<Value, Failure> {
        let address = format!("{}/_simulator/{name}", self.address);
        let answer = client(true)?.get(&address).send().await?;
        if !answer.status().is_success() {
            return Err(format!("{address} answers {}", answer.status()).into());
        }
        Ok(answer.json().await?)
    }
}

fn recorded(told: &Value) -> Option<Recorded> {
    let text = |name: &str| told[name].as_str().map(str::to_string);
    let body = match &told["body"] {
        Value::Null => String::new(),
        Value::String(body) => body.clone(),
        body => body.to_string(),
    };
    Some(Recorded { method: text("method")?, path: text("path")?, version: text("version").unwrap_or("2.14".to_string()), body })
}

/// The client of the bench itself, unzipping or not.
pub(crate) fn client(unzips: bool) -> Result<reqwest::Client, Failure> {
    // A second time it stays as it is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().gzip(unzips).no_proxy().build()?)
}

impl Bench {
    pub(crate) fn seen(&self, server: &Server) -> Result<Seen, Failure> {
        self.runtime.block_on(server.seen())
    }
}
