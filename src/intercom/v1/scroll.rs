//! The scroll over all users and then all leads. A workspace can have only one scroll open at a time, so streams share it.
//!
//! Streams subscribe before any of them asks for a page. The first stream that asks starts the scroll for all subscribers. Streams that
//! subscribe later get the next scroll. Each subscriber receives every page and takes the rows that it needs.
//!
//! The server keeps the position of a scroll, so a lost response is a lost page. After a lost page the scroll is restarted. It is also
//! restarted when it expired or the server dropped it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::time::Instant;
use tracing::Instrument;

use super::wire::{self, Person, ScrollPage};
use crate::error::{RequestError, StreamError};
use crate::stream::Bounds;
use crate::transport::{Request, Transport};

const PATHS: [&str; 2] = ["/users/scroll", "/contacts/scroll"];
/// How many pages a subscriber may lag behind before the scroll waits for it. The scroll expires when no page is requested for a minute.
const BUFFERED_PAGES: usize = 4;
const ATTEMPTS_MAX: u32 = 6;
/// How long to wait before the next attempt to open the scroll, when another program has a scroll open. An open scroll expires a minute
/// after its last use.
const WAIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Scroll {
    transport: Arc<Transport>,
    give_up_after: Duration,
    pending: Mutex<Pending>,
    /// Locked while a scroll is under way.
    is_open: AsyncMutex<()>,
}

/// The subscribers of the next scroll.
#[derive(Debug, Default)]
struct Pending {
    last_id: u64,
    subscribers: Vec<(u64, mpsc::Sender<ScrollEvent>)>,
}

#[derive(Clone, Debug)]
pub(super) enum ScrollEvent {
    Page(Arc<Vec<Person>>),
    /// The scroll starts again, so discard the pages so far.
    Restarted,
    End,
    Failed(StreamError),
}

/// The receiver of one stream's events from a scroll.
pub(super) struct Subscription {
    scroll: Arc<Scroll>,
    id: u64,
    events: mpsc::Receiver<ScrollEvent>,
}

enum Stopped {
    /// All subscribers are gone.
    NoSubscribers,
    /// Another attempt may succeed.
    Lost(StreamError),
    Failed(StreamError),
}

impl Scroll {
    pub(super) fn new(transport: Arc<Transport>, give_up_after: Duration) -> Scroll {
        Scroll { transport, give_up_after, pending: Mutex::default(), is_open: AsyncMutex::default() }
    }

    /// Subscribes to the next scroll.
    pub(super) fn subscribe(self: &Arc<Scroll>) -> Subscription {
        let (sender, events) = mpsc::channel(BUFFERED_PAGES);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.last_id += 1;
        let id = pending.last_id;
        pending.subscribers.push((id, sender));
        Subscription { scroll: self.clone(), id, events }
    }

    /// Starts a scroll for all pending subscribers. Does nothing if the scroll of this subscriber was started before.
    fn start_for(self: &Arc<Scroll>, id: u64) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if !pending.subscribers.iter().any(|(subscriber, _)| *subscriber == id) {
            return;
        }
        let subscribers = pending.subscribers.drain(..).map(|(_, sender)| sender).collect();
        drop(pending);
        tokio::spawn(self.clone().run(subscribers).instrument(tracing::info_span!("scroll")));
    }

    async fn run(self: Arc<Scroll>, mut subscribers: Vec<mpsc::Sender<ScrollEvent>>) {
        let _open = self.is_open.lock().await;
        for attempt in 1..=ATTEMPTS_MAX {
            let event = match self.attempt(&mut subscribers).await {
                Ok(()) => ScrollEvent::End,
                Err(Stopped::NoSubscribers) => return,
                Err(Stopped::Lost(error)) if attempt < ATTEMPTS_MAX => {
                    tracing::warn!(%error, attempt, "the scroll was lost; restarting it");
                    ScrollEvent::Restarted
                }
                Err(Stopped::Lost(error) | Stopped::Failed(error)) => ScrollEvent::Failed(error),
            };
            let is_over = !matches!(event, ScrollEvent::Restarted);
            if send_to_all(&mut subscribers, &event).await.is_err() || is_over {
                return;
            }
        }
    }

    /// Scrolls once over everyone.
    async fn attempt(&self, subscribers: &mut Vec<mpsc::Sender<ScrollEvent>>) -> Result<(), Stopped> {
        for path in PATHS {
            let announced = self.announced(path).await?;
            let mut bounds = Bounds::default();
            let mut page = self.begin(path).await?;
            while !page.persons.is_empty()
                && let Some(param) = page.param
            {
                bounds.page(path, page.persons.len(), announced).map_err(Stopped::Failed)?;
                send_to_all(subscribers, &ScrollEvent::Page(Arc::new(page.persons))).await?;
                let request = Request::get(path).with("scroll_param", param).once();
                page = self.transport.send(&request, wire::scroll_page).await.map_err(stopped)?;
            }
        }
        Ok(())
    }

    /// The number of rows to expect, which is the total of the list. `None` if the list has no total.
    async fn announced(&self, scroll: &str) -> Result<Option<u64>, Stopped> {
        let list = Request::get(scroll.trim_end_matches("/scroll")).with("per_page", "1");
        let page = self.transport.send(&list, wire::contacts).await.map_err(|error| Stopped::Failed(error.into()))?;
        Ok(page.total)
    }

    /// Opens the scroll and returns its first page. Waits while another program has a scroll open.
    async fn begin(&self, path: &str) -> Result<ScrollPage, Stopped> {
        let begun = Instant::now();
        loop {
            match self.transport.send(&Request::get(path).once(), wire::scroll_page).await {
                Ok(page) => return Ok(page),
                Err(error) if error.is_scroll_open_elsewhere() && begun.elapsed() + WAIT < self.give_up_after => {
                    tracing::warn!("another scroll is open in this workspace; waiting until it ends or expires");
                    tokio::time::sleep(WAIT).await;
                }
                // This waited as long as allowed. Another attempt would only wait again.
                Err(error) if error.is_scroll_open_elsewhere() => return Err(Stopped::Failed(error.into())),
                Err(error) => return Err(stopped(error)),
            }
        }
    }
}

/// A scroll that expired or was dropped can be restarted. After a transient failure the scroll is restarted too, because the server may
/// have moved to the next page although this page did not arrive.
fn stopped(error: RequestError) -> Stopped {
    if error.is_transient() { Stopped::Lost(error.into()) } else { Stopped::Failed(error.into()) }
}

/// Sends an event to all subscribers, and removes those that are gone.
async fn send_to_all(subscribers: &mut Vec<mpsc::Sender<ScrollEvent>>, event: &ScrollEvent) -> Result<(), Stopped> {
    let mut gone = Vec::new();
    for (index, subscriber) in subscribers.iter().enumerate() {
        if subscriber.send(event.clone()).await.is_err() {
            gone.push(index);
        }
    }
    for index in gone.into_iter().rev() {
        subscribers.remove(index);
    }
    if subscribers.is_empty() { Err(Stopped::NoSubscribers) } else { Ok(()) }
}

impl Subscription {
    pub(super) async fn next(&mut self) -> ScrollEvent {
        self.scroll.start_for(self.id);
        // The task of the scroll always sends how it ended. If the channel closes without such an event, the runtime is shutting down.
        self.events.recv().await.unwrap_or(ScrollEvent::Failed(StreamError::Abandoned))
    }
}
