//! `cohorts simulate` as a child process.

use std::collections::BTreeMap;
use std::process::Child;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::http;
use super::program::cohorts;

/// The seed of every world of these tests, unless a test is about seeds.
pub(crate) const SEED: &str = "7";

/// Limits that no test reaches, unless a test is about limits: the program spreads its requests evenly over the window of a limit.
pub(crate) const RATE_LIMIT: &str = "100000";

/// A running simulator; killed when dropped.
pub(crate) struct Simulator {
    child: Child,
    pub base_url: String,
}

/// The result of `/_simulator/stats`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stats {
    pub requests: u64,
    pub max_in_flight: u64,
    pub rate_limited: u64,
}

impl Simulator {
    /// A world of a few hundred contacts at an instant, with more arguments, which override the defaults.
    pub(crate) fn at(now: &str, arguments: &[&str]) -> Simulator {
        let program = cohorts(["simulate", "--port", "0", "--now", now]);
        let has = |name: &str| arguments.contains(&name);
        let mut defaults = Vec::new();
        for (name, value) in [("--seed", SEED), ("--contacts", "300"), ("--rate-limit", RATE_LIMIT), ("--workspace-rate-limit", RATE_LIMIT)]
        {
            if !has(name) {
                defaults.extend([name, value]);
            }
        }
        let (child, base_url) = program.arguments(&defaults).arguments(arguments).start_with_line();
        assert!(base_url.starts_with("http://127.0.0.1:"), "the simulator says `{base_url}`");
        Simulator { child, base_url }
    }

    pub(crate) fn address(&self) -> &str {
        self.base_url.trim_start_matches("http://")
    }

    pub(crate) fn stats(&self) -> Stats {
        let stats = http::json(&self.base_url, "/_simulator/stats");
        let number = |name: &str| stats[name].as_u64().unwrap();
        Stats { requests: number("requests"), max_in_flight: number("max_in_flight"), rate_limited: number("rate_limited") }
    }

    /// The number of requests in each window of ten seconds that had any.
    pub(crate) fn windows(&self) -> Vec<u64> {
        let stats = http::json(&self.base_url, "/_simulator/stats");
        stats["windows"].as_array().unwrap().iter().map(|window| window["requests"].as_u64().unwrap()).collect()
    }

    /// The current members of a group, by the probe and not by the search code.
    pub(crate) fn members(&self, group: &str) -> Vec<String> {
        let members = http::json(&self.base_url, &format!("/_simulator/members?group={}", http::encoded(group)));
        members.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_string()).collect()
    }

    /// The contacts that have a tag now, and since when.
    pub(crate) fn applied(&self, tag: &str) -> BTreeMap<String, DateTime<Utc>> {
        let applied = http::json(&self.base_url, &format!("/_simulator/applied?tag={tag}"));
        let since = |row: &Value| DateTime::from_timestamp(row["applied_at"].as_i64().unwrap(), 0).unwrap();
        applied.as_array().unwrap().iter().map(|row| (row["contact_id"].as_str().unwrap().to_string(), since(row))).collect()
    }

    /// `{"now", "contacts", "users", "leads", "conversations", "groups": [{"group", "name", "count"}]}`.
    pub(crate) fn state(&self) -> Value {
        http::json(&self.base_url, "/_simulator/state")
    }

    /// Write requests: `{"method", "path", "members", "bytes", "status"}`.
    pub(crate) fn writes(&self) -> Vec<Value> {
        http::json(&self.base_url, "/_simulator/writes").as_array().unwrap().clone()
    }

    /// Conversations created in `[from, to)`.
    pub(crate) fn conversations(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Value> {
        let target = format!("/_simulator/conversations?from={}&to={}", from.timestamp(), to.timestamp());
        http::json(&self.base_url, &target).as_array().unwrap().clone()
    }

    /// All contacts, by the list.
    pub(crate) fn contacts(&self) -> Vec<Value> {
        let mut contacts = Vec::new();
        let mut target = "/contacts?per_page=150".to_string();
        loop {
            let page = http::json(&self.base_url, &target);
            contacts.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["pages"]["next"]["starting_after"].as_str() {
                Some(cursor) => target = format!("/contacts?per_page=150&starting_after={}", http::encoded(cursor)),
                None => return contacts,
            }
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
