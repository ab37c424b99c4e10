//! A simulator behind a real listener, and helpers for tests of a dialect.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::NOW;
use crate::*;

/// A simulator that listens, and a client for it that speaks one version.
pub(super) struct Served {
    pub simulator: Simulator,
    port: u16,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    /// The status and the code of an error.
    pub(super) fn refusal(&self) -> (u16, String) {
        let body: Value = serde_json::from_str(&self.text).unwrap();
        assert_eq!(body["type"], "error.list", "{}", self.text);
        (self.status, body["errors"][0]["code"].as_str().unwrap().to_owned())
    }

    pub(super) fn message(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap();
        body["errors"][0]["message"].as_str().unwrap().to_owned()
    }
}

impl Served {
    /// A world of 600 contacts with a fixed time.
    pub(super) async fn new() -> Self {
        Self::with(Options { world: WorldOptions { contacts: 600, ..WorldOptions::default() }, ..Options::default() }).await
    }

    pub(super) async fn with(options: Options) -> Self {
        let unlimited = Options { rate_limit: 1_000_000, workspace_rate_limit: 1_000_000, ..options };
        let simulator = Simulator::new(Options { now: DateTime::from_timestamp(NOW, 0), ..unlimited });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = simulator.clone();
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
        Self { simulator, port }
    }

    pub(super) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) async fn get(&self, version: &str, path: &str) -> Answer {
        self.send("GET", version, path, "", "token").await
    }

    pub(super) async fn post(&self, version: &str, path: &str, body: Value) -> Answer {
        self.send("POST", version, path, &body.to_string(), "token").await
    }

    pub(super) async fn delete(&self, version: &str, path: &str) -> Answer {
        self.send("DELETE", version, path, "", "token").await
    }

    pub(super) async fn probe(&self, path: &str) -> Value {
        self.get("2.11", &format!("/_simulator/{path}")).await.json()
    }

    /// The ids of a group's members, as the probe returns them.
    pub(super) async fn members(&self, group: &str) -> Vec<String> {
        ids(&self.probe(&format!("members?group={group}")).await)
    }

    /// The total of a 2.x search for contacts with a tag.
    pub(super) async fn searched(&self, tag: &str) -> Value {
        let query = serde_json::json!({"query": {"field": "tag_id", "operator": "=", "value": tag}, "pagination": {"per_page": 1}});
        self.post("2.11", "/contacts/search", query).await.json()["total_count"].clone()
    }

    /// Sends a request on its own connection. If `version` is empty, the request has no version header.
    pub(super) async fn send(&self, method: &str, version: &str, path: &str, body: &str, token: &str) -> Answer {
        let port = self.port;
        let version = if version.is_empty() { String::new() } else { format!("Intercom-Version: {version}\r\n") };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             {version}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = exchange.await.unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, text: text.to_owned() }
    }

    /// Follows `next` from page to page and returns all entries.
    pub(super) async fn follow(&self, version: &str, first: &str, entries: &str) -> Vec<Value> {
        let (mut path, mut all) = (first.to_owned(), Vec::new());
        loop {
            let page = self.get(version, &path).await.json();
            all.extend(page[entries].as_array().unwrap().iter().cloned());
            match page["pages"]["next"].as_str() {
                Some(next) => path = next.strip_prefix(&self.base()).unwrap().to_owned(),
                None => {
                    assert_eq!(page["total_count"], all.len());
                    return all;
                }
            }
        }
    }

    /// Reads a scroll to its end and returns all pages.
    pub(super) async fn scroll(&self, path: &str, entries: &str) -> Vec<Vec<Value>> {
        let (mut param, mut pages) = (String::new(), Vec::new());
        loop {
            let page = self.get("1.4", &format!("{path}{param}")).await.json();
            assert!(page.get("pages").is_none() && page.get("total_count").is_none());
            param = format!("?scroll_param={}", page["scroll_param"].as_str().unwrap());
            match page[entries].as_array().unwrap() {
                shown if shown.is_empty() => return pages,
                shown => pages.push(shown.clone()),
            }
        }
    }
}

/// Ids of entries, or the entries themselves when they are ids.
pub(super) fn ids(entries: &Value) -> Vec<String> {
    let id = |entry: &Value| entry.as_str().or_else(|| entry["id"].as_str()).unwrap().to_owned();
    entries.as_array().unwrap().iter().map(id).collect()
}

pub(super) fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}
