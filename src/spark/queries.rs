//! The queries of a month, in the order in which they depend on one another.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, block_in_place};
use tokio::time::sleep;

use crate::failure::Failure;
use crate::session::Session;
use crate::{Server, plans};
use archive::engine::{EngineError, EngineFolder, Kept, Query, Work, declared};

/// How many queries run at once on Spark. Other servers run one query at a time: each query uses all workers anyway, and in Sail 0.7.2 with
/// two workers, four queries over two million contacts waited for one another for ever.
const AT_ONCE: usize = 4;
/// How many times a query is run if the server refuses it after it began.
const TRIES: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The time limit for ending a session on the server.
const CLOSING: Duration = Duration::from_secs(5);

/// The queries of a month, and where they run.
pub(crate) struct Queries<'a> {
    pub server: &'a Server,
    pub folder: &'a EngineFolder,
    pub work: &'a Work,
    pub give_up_after: Duration,
    pub running: &'a Arc<Mutex<Weak<Session>>>,
}

/// What the tasks of a month share.
struct Shared {
    server: Server,
    folder: EngineFolder,
    views: Vec<archive::engine::View>,
    queries: Vec<Query>,
    give_up_after: Duration,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    /// The same session, for `Spark::interrupt`.
    running: Arc<Mutex<Weak<Session>>>,
    /// The queries that are done.
    done: Mutex<BTreeSet<String>>,
    /// When the last query was done.
    progress: Mutex<Instant>,
}

impl Queries<'_> {
    pub(crate) async fn run(self, watch: &(dyn Fn(&str, Duration) + Sync)) -> Result<(), EngineError> {
        let shared = Arc::new(Shared {
            server: self.server.clone(),
            folder: self.folder.clone(),
            views: self.work.views.clone(),
            queries: self.work.queries.clone(),
            give_up_after: self.give_up_after,
            session: tokio::sync::Mutex::default(),
            running: self.running.clone(),
            done: Mutex::default(),
            progress: Mutex::new(Instant::now()),
        });
        let ended = follow_all(&shared, watch).await;
        if let Some(session) = shared.session.lock().await.take() {
            // After a query failed, other queries may still be running on the server.
            let closing = async {
                if ended.is_err() {
                    session.interrupt().await;
                }
                session.close().await;
            };
            let _ = tokio::time::timeout(CLOSING, closing).await;
        }
        ended
    }
}

/// Runs all queries. A query starts when the tables that it reads exist.
async fn follow_all(shared: &Arc<Shared>, watch: &(dyn Fn(&str, Duration) + Sync)) -> Result<(), EngineError> {
    let mut waiting: Vec<usize> = (0..shared.queries.len()).collect();
    let mut tasks: JoinSet<Result<(usize, Duration), EngineError>> = JoinSet::new();
    loop {
        let ready = waiting.iter().position(|index| shared.is_ready(*index));
        let session = if ready.is_some() { Some(shared.session().await?) } else { None };
        let has_room = session.as_ref().is_some_and(|session| tasks.len() < if session.is_spark { AT_ONCE } else { 1 });
        if let (Some(at), true) = (ready, has_room) {
            let (index, shared) = (waiting.remove(at), shared.clone());
            tasks.spawn(async move { shared.follow(index).await.map(|time| (index, time)) });
            continue;
        }
        // If no task runs, no waiting query can become ready.
        let Some(ended) = tasks.join_next().await else { break };
        let (index, time) = match ended {
            Ok(ended) => ended?,
            Err(panic) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
            Err(_) => break,
        };
        let name = &shared.queries[index].name;
        shared.done.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        *shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        watch(name, time);
    }
    match waiting.first() {
        Some(index) => {
            let problem = "a table that it reads is never made".to_string();
            Err(EngineError::Refused { query: shared.queries[*index].name.clone(), problem })
        }
        None => Ok(()),
    }
}

impl Shared {
    /// Whether every table that a query reads is there.
    fn is_ready(&self, index: usize) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |input: &str| done.contains(input) || self.views.iter().any(|view| view.name == input);
        self.queries[index].step.inputs().all(is_there)
    }

    /// The current session. If there is none, opens one, with the views of all tables that exist.
    async fn session(&self) -> Result<Arc<Session>, EngineError> {
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(session.clone());
        }
        let mut pause = FIRST_PAUSE;
        loop {
            match self.prepared().await {
                Ok(opened) => {
                    let opened = session.insert(Arc::new(opened));
                    *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(opened);
                    return Ok(opened.clone());
                }
                Err(error @ EngineError::Unreachable { .. }) => {
                    tracing::warn!("{error}; it is asked again");
                    self.wait_or(error, &mut pause).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn prepared(&self) -> Result<Session, EngineError> {
        let session = Session::open(&self.server).await?;
        for view in &self.views {
            let files = view.files.iter().map(|file| self.server.path(file)).collect();
            session.execute(&view.name, plans::view(&view.name, plans::rows_in(files, &declared(view.table)))).await?;
        }
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for query in self.queries.iter().filter(|query| done.contains(&query.name)) {
            self.view(&session, query).await.map_err(|failure| failure.of_query(&self.server.at, &query.name))?;
        }
        Ok(session)
    }

    /// Creates the view through which other queries read the rows of this query.
    async fn view(&self, session: &Session, query: &Query) -> Result<(), Failure> {
        let rows = match query.kept {
            Kept::View => plans::rows_of(&query.sql()),
            Kept::Files | Kept::SortedFiles => {
                let files = block_in_place(|| self.folder.files(&query.name));
                let files = files.map_err(|error| Failure::Refused { problem: error.to_string(), is_final: true })?;
                let files = files.iter().map(|file| self.server.path(file)).collect();
                plans::rows_in(files, &declared(query.step.table))
            }
        };
        session.done(plans::view(&query.name, rows)).await
    }

    /// Runs a query, and runs it again after a failure that may pass. Returns how long the successful run took.
    async fn follow(&self, index: usize) -> Result<Duration, EngineError> {
        let query = &self.queries[index];
        let (mut attempt, mut refused) = (0, 0);
        let mut pause = FIRST_PAUSE;
        loop {
            let session = self.session().await?;
            let begun = Instant::now();
            attempt += 1;
            let failure = match self.attempt(&session, query, &format!("{}-{attempt}", session.id())).await {
                Ok(()) => return Ok(begun.elapsed()),
                Err(Attempted::Here(error)) => return Err(error),
                Err(Attempted::There(failure)) => failure,
            };
            match failure {
                Failure::Refused { is_final: false, ref problem } if refused + 1 < TRIES => {
                    refused += 1;
                    tracing::warn!(query = query.name, problem, "the engine did not end the query; it is run again");
                }
                Failure::Gone(ref problem) => {
                    tracing::warn!(query = query.name, "the engine {problem}; the query is run again");
                    self.forget(&session).await;
                    self.wait_or(failure.clone().of_query(&self.server.at, &query.name), &mut pause).await?;
                }
                failure => return Err(failure.of_query(&self.server.at, &query.name)),
            }
        }
    }

    async fn attempt(&self, session: &Session, query: &Query, attempt: &str) -> Result<(), Attempted> {
        if query.kept != Kept::View {
            let sql = match query.kept {
                Kept::SortedFiles => session.sorted(&query.sql(), query.step.table.key),
                _ => query.sql(),
            };
            let target = self.server.path(&self.folder.path(&query.name, attempt));
            session.done(plans::write(&sql, target)).await.map_err(Attempted::There)?;
            block_in_place(|| self.folder.finished(&query.name, query.step.table, attempt)).map_err(Attempted::Here)?;
        }
        self.view(session, query).await.map_err(Attempted::There)
    }

    /// Drops a session that is lost, unless another task did.
    async fn forget(&self, lost: &Arc<Session>) {
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(|session| Arc::ptr_eq(session, lost)) {
            *session = None;
        }
    }

    /// Waits before the next try. Returns the error if no query has finished for `give_up_after`.
    async fn wait_or(&self, error: EngineError, pause: &mut Duration) -> Result<(), EngineError> {
        let since = self.progress.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        let left = self.give_up_after.saturating_sub(since);
        if left.is_zero() {
            return Err(error);
        }
        sleep((*pause).min(left)).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Why an attempt failed.
enum Attempted {
    /// The server did not complete a request.
    There(Failure),
    /// What the server wrote cannot be read or completed from here.
    Here(EngineError),
}
