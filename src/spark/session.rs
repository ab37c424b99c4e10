//! A session on the server: its settings, and requests in it.

use spark_connect::{ExecutePlanResponseReattachableIterator, RetryPolicy, SparkConnectClient, SparkError};
use spark_connect_proto::analyze_plan_request::{Analyze, SparkVersion};
use spark_connect_proto::{AnalyzePlanRequest, ExecutePlanRequest, ExecutePlanResponse, Plan, UserContext, analyze_plan_response};
use std::time::Duration;
use tokio::time::timeout;
use tonic::Streaming;

use crate::Server;
use crate::failure::Failure;
use archive::engine::EngineError;

/// Instants are in UTC. Parquet files store them in microseconds, a type that every reader knows.
const SETTINGS: [(&str, &str); 3] = [
    ("spark.sql.session.timeZone", "UTC"),
    ("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS"),
    // `${…}` is text, and no variable.
    ("spark.sql.variable.substitute", "false"),
];
/// How often an answer that broke off is continued before the server counts as gone.
const REATTACHED: u32 = 5;

type Answers = Streaming<ExecutePlanResponse>;

/// Waits for the answer to a small request, for `patience` at most.
async fn soon<T>(patience: Duration, asked: impl Future<Output = Result<T, SparkError>>) -> Result<T, Failure> {
    match timeout(patience, asked).await {
        Ok(answer) => answer.map_err(|error| Failure::of(&error)),
        Err(_) => Err(Failure::Gone(format!("does not answer for {} seconds", patience.as_secs()))),
    }
}

pub(crate) struct Session {
    client: SparkConnectClient,
    at: String,
    patience: Duration,
    /// Whether the server is Spark: only Spark names its application. Other servers write rows in the requested order only if the query has
    /// a limit, see [`Session::sorted`].
    pub(crate) is_spark: bool,
}

impl Session {
    pub(crate) async fn open(server: &Server) -> Result<Session, EngineError> {
        let failed = |failure: Failure| match failure {
            // The URL leads to something that is not a Spark Connect server, or the server refuses a parameter of the URL or a setting.
            Failure::Refused { problem, .. } => EngineError::NotSpark { at: server.at.clone(), problem },
            failure => failure.of_query(&server.at, "the settings of the session"),
        };
        let mut client = soon(server.patience, SparkConnectClient::connect(&server.channel)).await.map_err(failed)?;
        // The client does not retry. If the server restarts, the queries wait for it and then open a new session.
        client.set_retry_policy(RetryPolicy::no_retries());
        for (key, value) in SETTINGS {
            soon(server.patience, client.set_config(key, value)).await.map_err(failed)?;
        }
        let name = soon(server.patience, client.get_config_with_defaults(&[("spark.app.name", None)])).await.map_err(failed)?;
        let is_spark = name.into_iter().flatten().next().is_some();
        Ok(Session { client, at: server.at.clone(), patience: server.patience, is_spark })
    }

    /// No other session has this ID, not even one of another process.
    pub(crate) fn id(&self) -> &str {
        self.client.session_id()
    }

    fn user(&self) -> UserContext {
        UserContext { user_id: self.client.user_id().unwrap_or_default().to_string(), ..UserContext::default() }
    }

    /// The kind, version and `HOST:PORT` of the server, and the ID of this session, for messages.
    pub(crate) async fn describe(&self) -> Result<String, EngineError> {
        let request = AnalyzePlanRequest {
            session_id: self.client.session_id().to_string(),
            user_context: Some(self.user()),
            analyze: Some(Analyze::SparkVersion(SparkVersion {})),
            ..AnalyzePlanRequest::default()
        };
        let answer =
            soon(self.patience, self.client.analyze_plan(request)).await.map_err(|failure| failure.of_query(&self.at, "its version"))?;
        let version = match answer.result {
            Some(analyze_plan_response::Result::SparkVersion(found)) => found.version,
            _ => "unknown".to_string(),
        };
        let what = if self.is_spark { "Spark" } else { "a server that speaks like Spark" };
        Ok(format!("{what} {version} at {}, session {}", self.at, self.client.session_id()))
    }

    /// The SQL with its rows sorted by the columns of `key`. Spark gets no limit, so that it sorts parts in parallel. Other servers ignore
    /// an order without a limit, so they get a limit that no result reaches.
    pub(crate) fn sorted(&self, sql: &str, key: &[&str]) -> String {
        let limit = if self.is_spark { "" } else { "\nLIMIT 9000000000000000000" };
        format!("{sql}\nORDER BY {}{limit}", key.join(", "))
    }

    /// Runs a plan and waits for its end.
    pub(crate) async fn execute(&self, query: &str, plan: Plan) -> Result<(), EngineError> {
        self.done(plan).await.map_err(|failure| failure.of_query(&self.at, query))
    }

    /// As [`Session::execute`], but returns the [`Failure`]. If the stream of answers ends before the plan is done, the stream is
    /// continued: Spark ends every stream after some minutes.
    pub(crate) async fn done(&self, plan: Plan) -> Result<(), Failure> {
        let operation = ExecutePlanResponseReattachableIterator::new(ExecutePlanRequest {
            session_id: self.client.session_id().to_string(),
            user_context: Some(self.user()),
            plan: Some(plan),
            client_type: Some("cohorts".to_string()),
            ..ExecutePlanRequest::default()
        });
        let mut answers = self.begin(&operation).await?;
        let mut broken_off = 0;
        loop {
            let answered = match timeout(self.patience, answers.message()).await {
                Ok(answered) => answered,
                Err(_) => {
                    self.is_there().await?;
                    continue;
                }
            };
            let failure = match answered {
                Ok(Some(answer)) => {
                    broken_off = 0;
                    operation.set_last_response_id(&answer).await;
                    if operation.is_completed().await {
                        // Best effort: the server forgets the operation by itself after a while.
                        let _ = soon(self.patience, self.client.release_execute(operation.create_release_request(true).await)).await;
                        return Ok(());
                    }
                    continue;
                }
                Ok(None) => Failure::Gone("ended its answer early".to_string()),
                Err(status) => Failure::of(&SparkError::from_grpc_status(status)),
            };
            broken_off += 1;
            if broken_off > REATTACHED || !matches!(failure, Failure::Gone(_)) {
                return Err(failure);
            }
            let again = operation.create_reattach_request().await;
            answers = soon(self.patience, self.client.reattach_execute(again)).await?;
        }
    }

    /// Sends a plan. Some servers answer only when the plan is done, so silence is not a failure while the server answers small requests.
    async fn begin(&self, operation: &ExecutePlanResponseReattachableIterator) -> Result<Answers, Failure> {
        let mut beginning = std::pin::pin!(self.client.execute_plan(operation.request().clone()));
        loop {
            match timeout(self.patience, &mut beginning).await {
                Ok(begun) => return begun.map_err(|error| Failure::of(&error)),
                Err(_) => self.is_there().await?,
            }
        }
    }

    /// Whether the server answers a small request.
    async fn is_there(&self) -> Result<(), Failure> {
        soon(self.patience, self.client.get_config_with_defaults(&[(SETTINGS[0].0, None)])).await.map(drop)
    }

    /// Stops all that runs in the session.
    pub(crate) async fn interrupt(&self) {
        // The command is ending, so a failure has no consequence.
        let _ = soon(self.patience, self.client.interrupt_all()).await;
    }

    /// Ends the session on the server.
    pub(crate) async fn close(&self) {
        // Best effort: the server ends sessions by itself after a while.
        let _ = soon(self.patience, self.client.release_session()).await;
    }
}
