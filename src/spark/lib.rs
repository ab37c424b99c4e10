//! Counts a month on a Spark Connect server: Spark itself, or another engine with the same protocol (Sail). The server reads the files of
//! the archive and writes the rows of each query beside them. No rows of the archive pass between this process and the server, only
//! queries, paths and answers.
//!
//! The protocol is Apache Spark's `spark/connect/base.proto`. Its client for Rust provides the messages and the channel. This crate adds
//! what the client does not do: an answer that ends early is continued, and a server that was restarted gets the views again.

mod failure;
mod plans;
mod queries;
mod session;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use archive::engine::{EngineError, EngineFolder, Kept, Query, RemoteEngine, Step, View, Work};
use archive::table::{Column, Kind, Table, TableError};
use polars::prelude::df;
use spark_connect::ChannelBuilder;
use tokio::runtime::{Builder, Runtime};

use queries::Queries;
use session::Session;

/// How long the server may take to answer a small request. If the server is silent for this time while a query runs, a small request checks
/// whether the server still answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time limit for stopping the queries that run on the server.
const INTERRUPT: Duration = Duration::from_secs(5);

/// A Spark Connect server that reads and writes the folder of a job.
pub struct Spark {
    server: Server,
    give_up_after: Duration,
    /// `None` while this is dropped.
    runtime: Option<Runtime>,
    /// The session of the work that runs now.
    running: Arc<Mutex<Weak<Session>>>,
}

/// Which server, and how it reaches the job's folder.
#[derive(Clone)]
struct Server {
    channel: ChannelBuilder,
    /// `HOST:PORT`, for messages. The parameters of the URL are left out, because they may be secret.
    at: String,
    /// The path of the job's folder as the server spells it, without a slash at its end.
    place: String,
    patience: Duration,
}

impl Server {
    fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.place)
    }
}

impl fmt::Debug for Spark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spark({})", self.server.at)
    }
}

impl Spark {
    /// The server at `sc://HOST:PORT/;PARAMETER=VALUE`. `place` is the path of the job's folder as the server spells it. While the server
    /// does not answer, requests are repeated, until no query has finished for `give_up_after`.
    ///
    /// # Errors
    /// When `url` does not have this form, when its `use_ssl` is neither true nor false, when there are two tokens, when a token or a
    /// header would be sent in clear text, or when no threads can be started. The message does not quote `url`.
    pub fn new(url: &str, token: Option<&str>, place: &str, give_up_after: Duration) -> Result<Spark, String> {
        // The client's own messages quote the URL with its token, so they are replaced.
        let wrong = "is not of the form sc://HOST:PORT/;PARAMETER=VALUE;PARAMETER=VALUE".to_string();
        let mut channel = ChannelBuilder::parse(url).map_err(|_| wrong.clone())?;
        let parameters = url.split_once("://").and_then(|(_, rest)| rest.find(['/', '?', '#']).map(|end| &rest[end..])).unwrap_or_default();
        // The client would ignore a user, a path, a query or a fragment, and with it settings such as `use_ssl=true`.
        if url.contains(['@', '?', '#']) || !(parameters.is_empty() || parameters == "/" || parameters.starts_with("/;")) {
            return Err(wrong);
        }
        if channel.get("use_ssl").is_some_and(|value| !["true", "false"].contains(&value.to_ascii_lowercase().as_str())) {
            return Err("has a `use_ssl` that is neither true nor false".to_string());
        }
        if token.is_some() && channel.get("token").is_some() {
            return Err("has a token, and there is another one in `engine.token_file`".to_string());
        }
        if let Some(token) = token {
            channel.set("token", token);
        }
        if channel.get("user_agent").is_none() {
            channel.set("user_agent", "cohorts");
        }
        let is_secret = channel.token().is_some() || !channel.metadata().is_empty();
        if is_secret && !channel.use_ssl() && !channel.is_loopback() {
            return Err("has no `use_ssl=true`: the token, or a header, would be sent in clear text".to_string());
        }
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("spark").enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot be used: no threads could be started ({error})"))?;
        let server = Server {
            at: channel.endpoint(),
            channel,
            place: place.trim_end_matches('/').to_string(),
            patience: PATIENCE.min(give_up_after),
        };
        Ok(Spark { server, give_up_after, runtime: Some(runtime), running: Arc::default() })
    }

    /// Runs a task on the threads of this engine and waits for it.
    fn wait<T>(&self, task: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
        let ended = || EngineError::Unreachable { at: self.server.at.clone(), problem: "is no longer asked".to_string() };
        self.runtime.as_ref().ok_or_else(ended)?.block_on(task)
    }
}

impl Drop for Spark {
    fn drop(&mut self) {
        // This may be dropped on a thread of another runtime, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A table to try out reading and writing.
const PROBE: Table = Table { name: "probe", row: "the only one", key: &["n"], columns: &[Column::new("n", Kind::Count, "a number")] };

impl RemoteEngine for Spark {
    fn run(&self, work: &Work, folder: &EngineFolder, watch: &(dyn Fn(&str, Duration) + Sync)) -> Result<(), EngineError> {
        let queries = Queries { server: &self.server, folder, work, give_up_after: self.give_up_after, running: &self.running };
        self.wait(queries.run(watch))
    }

    fn check(&self, folder: &EngineFolder) -> Result<String, EngineError> {
        let number = i64::from(std::process::id());
        let failed = |error| TableError::new("make", "a table for a trial", error);
        let file = folder.put(&PROBE, &df!("n" => [number]).map_err(failed)?)?;
        let views = vec![View { name: PROBE.name.to_string(), table: &PROBE, files: vec![file] }];
        let read = Step::new(&PROBE, "-- in: probe\n-- out: probe\nSELECT p.n + 1 AS n FROM probe AS p");
        let queries = vec![Query::new("probe_read", read, Kept::SortedFiles)];
        let said = self.wait(async {
            let session = Session::open(&self.server).await?;
            session.execute("SELECT 1", plans::query("SELECT 1")).await?;
            let said = session.describe().await;
            session.close().await;
            said
        });
        let tried = said.and_then(|said| {
            self.run(&Work { views, queries }, folder, &|_, _| {})?;
            let found = folder.rows("probe_read", &PROBE)?;
            let failed = |error| TableError::new("read", "the result of a trial", error);
            if found.column("n").and_then(|n| Ok(n.i64()?.iter().eq([Some(number + 1)]))).map_err(failed)? {
                return Ok(said);
            }
            Err(EngineError::Unsound { query: PROBE.name.to_string(), problem: "the rows are not those that were expected".to_string() })
        });
        let cleared = folder.clear();
        let said = tried?;
        cleared.map(|()| said)
    }

    fn interrupt(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let (Some(session), Some(runtime)) = (running, &self.runtime) {
            let stopping = async move { tokio::time::timeout(INTERRUPT, session.interrupt()).await };
            // The caller may be on a thread of another runtime, where `block_on` panics. So a new thread calls it.
            let handle = runtime.handle().clone();
            let waited = std::thread::spawn(move || handle.block_on(stopping));
            let _ = waited.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_is_not_quoted() {
        for (url, token, problem) in [
            ("http://host:15002/;token=secret", None, "is not of the form"),
            ("sc://host:15002/path;token=secret", None, "is not of the form"),
            ("sc://", None, "is not of the form"),
            ("sc://user:secret@host:15002", None, "is not of the form"),
            ("sc://host:15002/?use_ssl=true", None, "is not of the form"),
            ("sc://host:15002/;use_ssl=yes", None, "neither true nor false"),
            ("sc://host:15002/;use_ssl=true;token=secret", Some("another"), "another one"),
            ("sc://host:15002/;authorization=secret", None, "in clear text"),
            ("sc://host:15002/;token=secret", None, "in clear text"),
            ("sc://host:15002", Some("secret"), "in clear text"),
        ] {
            let error = Spark::new(url, token, "/place", Duration::ZERO).unwrap_err();
            assert!(error.contains(problem) && !error.contains("secret"), "{url}: {error}");
        }
        let spark = Spark::new("sc://127.0.0.1:15002", Some("secret"), "/place/", Duration::ZERO).unwrap();
        assert_eq!((format!("{spark:?}").as_str(), spark.server.path("a").as_str()), ("Spark(127.0.0.1:15002)", "/place/a"));
    }
}
