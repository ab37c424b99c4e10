//! The embedded Intercom: a local HTTP server that answers as Intercom's REST API 1.0 to 1.4 and 2.0 to 2.17 does, over an invented workspace.
//!
//! The simulator is written from the known facts about the API, not from the client's code, and shares no type with the client. So if only
//! one of them misreads a fact, their behaviour differs, and a test can fail. Where the facts are unsure, the code says "assumption".
//!
//! - `world` invents all contacts and everything they will ever do, from a seed. `world_view` is the world at one instant, a pure function of
//!   world and instant.
//! - `overlay` has what requests wrote (tags, contacts, tags of conversations). The world itself never changes: a view combines it with an overlay.
//! - `v2` answers calls of the 2.x dialect from a view, with `search` and `paging`. `v1` does so for 1.x, with `numbered` pages and
//!   `scroll`s. Both dialects turn a `call` into a JSON body or an `api_error`, and send nothing themselves. Code that both generations of
//!   the API use is in `tagging`, `segments`, `contact_data`, `companies`, `counts` and `workspace`.
//! - `answer` is the HTTP layer: credentials, `limits` and `faults`. `reply` adds the headers and decides how much of a response is sent.
//!   `corrupt` applies faults to list pages. `connection` can cut a response in the middle. `prepared` caches responses, for benchmarks.
//! - `probes` shows tests the true state of the world under `/_simulator/`. It computes this state without the search code, so that tests
//!   can check the search results. `traffic`, `request_log` and `writes` record the requests.
//!
//! The clock of the world stands still ([`Options::now`], [`Simulator::set_now`]) or follows the wall clock. Rate windows always follow
//! the wall clock.

mod answer;
mod api_error;
mod calendar;
mod call;
mod companies;
mod connection;
mod contact_data;
mod context;
mod corrupt;
mod counts;
mod custom_attributes;
mod faults;
mod limits;
mod numbered;
mod overlay;
mod paging;
mod prepared;
mod probes;
mod reply;
mod request_log;
mod scroll;
mod search;
mod segments;
mod tagging;
mod traffic;
mod v1;
mod v2;
mod version;
mod workspace;
mod world;
mod world_view;
mod writes;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;

pub use self::calendar::{UnknownZone, Zone};
pub use self::faults::{FaultSpecError, Faults};
pub use self::traffic::{Stats, WindowStats};
pub use self::world::WorldOptions;

use self::api_error::ApiError;
use self::connection::{ConnectionControl, CuttableListener};
use self::faults::FaultPlan;
use self::limits::Limits;
use self::numbered::Moves;
use self::overlay::Overlay;
use self::request_log::RequestLog;
use self::scroll::Scrolls;
use self::traffic::Traffic;
use self::world::World;
use self::world_view::WorldView;
use self::writes::Writes;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// The workspace.
    pub world: WorldOptions,
    /// The fixed time of the world. If it is `None`, the world follows the wall clock.
    pub now: Option<DateTime<Utc>>,
    /// The API version of requests without an `Intercom-Version` header.
    pub default_version: String,
    /// The number of requests that one app (one token) may send in a window of ten seconds.
    pub rate_limit: u32,
    /// The number of requests that all apps together may send in a window.
    pub workspace_rate_limit: u32,
    /// The only token that is accepted. If it is `None`, every token is accepted that does not begin with `invalid`.
    pub token: Option<String>,
    /// Which requests fail, and how.
    pub faults: Faults,
    /// The minimum response time.
    pub latency: Duration,
    /// How old a contact must be for searches to find it: a few minutes on the real service, by default zero here.
    pub search_delay: Duration,
    /// Whether 1.x is served. If not, requests of 1.x get 400 `intercom_version_invalid`, like an app for which 1.x is switched off.
    pub legacy: bool,
    /// Whether lists by page number end with an empty page at 10,000 records, instead of with an error.
    pub cap_silent: bool,
    /// How long an open scroll may be idle.
    pub scroll_expiry: Duration,
    /// Whether responses to reads are cached, and a probe lists the reads. This is useful when the world's time is fixed, because
    /// otherwise the cache is emptied every second.
    pub prepared_pages: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            world: WorldOptions::default(),
            now: None,
            default_version: "2.11".to_owned(),
            rate_limit: 1_667,
            workspace_rate_limit: 4_167,
            token: None,
            faults: Faults::none(),
            latency: Duration::ZERO,
            search_delay: Duration::ZERO,
            legacy: true,
            cap_silent: false,
            scroll_expiry: Duration::from_secs(60),
            prepared_pages: false,
        }
    }
}

/// A world and a server for it. Clones share everything.
#[derive(Clone)]
pub struct Simulator(Arc<Shared>);

struct Shared {
    seed: u64,
    default_version: String,
    token: Option<String>,
    latency: Duration,
    search_delay: i64,
    world: Arc<World>,
    limits: Limits,
    faults: FaultPlan,
    traffic: Traffic,
    legacy: bool,
    cap_silent: bool,
    scrolls: Scrolls,
    moves: Moves,
    writes: Writes,
    log: RequestLog,
    /// Whether responses to reads are cached.
    prepares: bool,
    /// The address of the listener, once there is one.
    address: OnceLock<SocketAddr>,
    clock: Mutex<Clock>,
    /// Locked from the read of the view to its change, so that writes come one after another.
    writing: Mutex<()>,
}

/// The current view of the world.
struct Clock {
    view: Arc<WorldView>,
    /// When the view is rebuilt, if the world follows the wall clock. `None` if the world's time is fixed.
    rebuild_at: Option<Instant>,
}

impl Simulator {
    /// Invents the world. For 100,000 contacts this takes a third of a second, or five seconds in an unoptimised build.
    pub fn new(options: Options) -> Self {
        let Options { world, now, rate_limit, workspace_rate_limit, search_delay, .. } = options;
        let seed = world.seed;
        let world = Arc::new(World::new(world));
        let search_delay = i64::from(u32::try_from(search_delay.as_secs()).unwrap_or(u32::MAX));
        let clock = match now {
            Some(now) => Clock::fixed(&world, Arc::default(), now, search_delay),
            None => Clock::running(&world, Arc::default(), search_delay),
        };
        Self(Arc::new(Shared {
            seed,
            default_version: options.default_version,
            token: options.token,
            latency: options.latency,
            search_delay,
            limits: Limits::new(rate_limit, workspace_rate_limit),
            faults: FaultPlan::new(options.faults, seed),
            traffic: Traffic::default(),
            legacy: options.legacy,
            cap_silent: options.cap_silent,
            scrolls: Scrolls::new(options.scroll_expiry, seed),
            moves: Moves::default(),
            writes: Writes::default(),
            log: RequestLog::new(options.prepared_pages),
            prepares: options.prepared_pages,
            address: OnceLock::new(),
            clock: Mutex::new(clock),
            writing: Mutex::default(),
            world,
        }))
    }

    /// Sets the world's time and fixes it. Writes after that instant are not visible.
    pub fn set_now(&self, now: DateTime<Utc>) {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let fixed = Clock::fixed(&self.0.world, Arc::clone(&self.view().overlay), now, self.0.search_delay);
        *self.0.clock.lock().unwrap_or_else(PoisonError::into_inner) = fixed;
    }

    /// Counts of the requests so far.
    pub fn stats(&self) -> Stats {
        self.0.traffic.stats(self.0.log.pages_repeated())
    }

    /// Serves until `shutdown` completes, then finishes the responses under way.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        if let Ok(address) = listener.local_addr() {
            // With a second listener the first address is kept.
            let _ = self.0.address.set(address);
        }
        let router = Router::new().fallback(answer::answer).layer(CompressionLayer::new()).with_state(self.clone());
        let service = router.into_make_service_with_connect_info::<ConnectionControl>();
        // This ends hanging responses, which would delay the shutdown for ever.
        let (stop, stopping) = watch::channel(false);
        let shutdown = async move {
            shutdown.await;
            stop.send_replace(true);
        };
        axum::serve(CuttableListener { listener, stopping }, service).with_graceful_shutdown(shutdown).await
    }

    /// The world now. If the world follows the wall clock, the view is rebuilt after a second, or later if the last rebuild took long.
    fn view(&self) -> Arc<WorldView> {
        let mut clock = self.0.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if clock.rebuild_at.is_some_and(|at| at <= Instant::now()) {
            *clock = Clock::running(&self.0.world, Arc::clone(&clock.view.overlay), self.0.search_delay);
        }
        Arc::clone(&clock.view)
    }

    /// Executes a write. `change` returns the view after the write and the body of the response, or it refuses the write.
    fn write(&self, change: impl FnOnce(&WorldView) -> Result<(WorldView, String), ApiError>) -> Result<String, ApiError> {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.view();
        let (after, body) = change(&before)?;
        let mut clock = self.0.clock.lock().unwrap_or_else(PoisonError::into_inner);
        // A read may have rebuilt the view for a later time meanwhile. Then only the overlay of `after` is used.
        clock.view = Arc::new(if Arc::ptr_eq(&clock.view, &before) { after } else { clock.view.with_overlay(after.overlay) });
        Ok(body)
    }

    fn knows(&self, token: &str) -> bool {
        match &self.0.token {
            Some(known) => known == token,
            None => !token.starts_with("invalid"),
        }
    }
}

impl Clock {
    fn fixed(world: &Arc<World>, overlay: Arc<Overlay>, now: DateTime<Utc>, search_delay: i64) -> Self {
        let view = WorldView::new(Arc::clone(world), now.timestamp()).with_search_delay(search_delay).with_overlay(overlay);
        Self { view: Arc::new(view), rebuild_at: None }
    }

    #[expect(clippy::disallowed_methods, reason = "a world that follows the wall clock has to ask it")]
    fn running(world: &Arc<World>, overlay: Arc<Overlay>, search_delay: i64) -> Self {
        let begun = Instant::now();
        let view = WorldView::new(Arc::clone(world), Utc::now().timestamp()).with_search_delay(search_delay).with_overlay(overlay);
        let view = Arc::new(view);
        let pause = (begun.elapsed() * 10).max(Duration::from_secs(1));
        Self { view, rebuild_at: Some(Instant::now() + pause) }
    }
}
