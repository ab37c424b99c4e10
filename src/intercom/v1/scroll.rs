//! The one scroll that a workspace may have open, over all users and then all leads, and those who ride along.
//!
//! Streams board before any of them asks for a page; the first that asks makes the scroll depart with everyone aboard. Who
//! comes later takes the next lap. Each rider picks from every page what it came for.
//!
//! The server remembers where a scroll stands, and a lost answer is a lost page: such a scroll is begun anew, as are one
//! that expired and one that the server gave up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, mpsc};
use tokio::time::Instant;
use tracing::Instrument;

use super::wire::{self, Person, ScrollPage};
use crate::error::{RequestError, StreamError};
use crate::stream::Bounds;
use crate::transport::{Ask, Transport};

const PATHS: [&str; 2] = ["/users/scroll", "/contacts/scroll"];
/// Pages that a rider may lag behind: the scroll expires when nobody asks for a minute.
const LAG: usize = 4;
const LAPS_MAX: u32 = 6;
/// How long to wait for a scroll that another program has open. It expires a minute after its last use.
const WAIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Scroll {
    transport: Arc<Transport>,
    give_up_after: Duration,
    platform: Mutex<Platform>,
    /// Held by the lap that is under way.
    turn: Turn<()>,
}

#[derive(Debug, Default)]
struct Platform {
    tickets: u64,
    waiting: Vec<(u64, mpsc::Sender<Leg>)>,
}

#[derive(Clone, Debug)]
pub(super) enum Leg {
    Page(Arc<Vec<Person>>),
    /// What came so far counts no more.
    Anew,
    End,
    Failed(StreamError),
}

/// A place in a lap.
pub(super) struct Rider {
    scroll: Arc<Scroll>,
    ticket: u64,
    legs: mpsc::Receiver<Leg>,
}

enum Stopped {
    /// Nobody is aboard any more.
    Deserted,
    /// A new lap may come to its end.
    Broken(StreamError),
    Failed(StreamError),
}

impl Scroll {
    pub(super) fn new(transport: Arc<Transport>, give_up_after: Duration) -> Scroll {
        Scroll { transport, give_up_after, platform: Mutex::default(), turn: Turn::default() }
    }

    pub(super) fn board(self: &Arc<Scroll>) -> Rider {
        let (sender, legs) = mpsc::channel(LAG);
        let mut platform = self.platform.lock().unwrap_or_else(PoisonError::into_inner);
        platform.tickets += 1;
        let ticket = platform.tickets;
        platform.waiting.push((ticket, sender));
        Rider { scroll: self.clone(), ticket, legs }
    }

    /// Departs with everyone who waits, if this ticket is among them.
    fn depart(self: &Arc<Scroll>, ticket: u64) {
        let mut platform = self.platform.lock().unwrap_or_else(PoisonError::into_inner);
        if !platform.waiting.iter().any(|(waiting, _)| *waiting == ticket) {
            return;
        }
        let riders = platform.waiting.drain(..).map(|(_, sender)| sender).collect();
        drop(platform);
        tokio::spawn(self.clone().drive(riders).instrument(tracing::info_span!("scroll")));
    }

    async fn drive(self: Arc<Scroll>, mut riders: Vec<mpsc::Sender<Leg>>) {
        let _turn = self.turn.lock().await;
        for lap in 1..=LAPS_MAX {
            let leg = match self.lap(&mut riders).await {
                Ok(()) => Leg::End,
                Err(Stopped::Deserted) => return,
                Err(Stopped::Broken(error)) if lap < LAPS_MAX => {
                    tracing::warn!(%error, lap, "the scroll broke off and is begun anew");
                    Leg::Anew
                }
                Err(Stopped::Broken(error) | Stopped::Failed(error)) => Leg::Failed(error),
            };
            let is_over = !matches!(leg, Leg::Anew);
            if tell(&mut riders, &leg).await.is_err() || is_over {
                return;
            }
        }
    }

    async fn lap(&self, riders: &mut Vec<mpsc::Sender<Leg>>) -> Result<(), Stopped> {
        for path in PATHS {
            let announced = self.announced(path).await?;
            let mut bounds = Bounds::default();
            let mut page = self.begin(path).await?;
            while !page.persons.is_empty()
                && let Some(param) = page.param
            {
                bounds.page(path, page.persons.len(), announced).map_err(Stopped::Failed)?;
                tell(riders, &Leg::Page(Arc::new(page.persons))).await?;
                let ask = Ask::get(path).with("scroll_param", param).once();
                page = self.transport.send(&ask, wire::scroll_page).await.map_err(broken)?;
            }
        }
        Ok(())
    }

    /// How many there are to scroll over, as the list tells.
    async fn announced(&self, scroll: &str) -> Result<Option<u64>, Stopped> {
        let list = Ask::get(scroll.trim_end_matches("/scroll")).with("per_page", "1");
        let page = self.transport.send(&list, wire::contacts).await.map_err(|error| Stopped::Failed(error.into()))?;
        Ok(page.total)
    }

    /// The first page. A scroll that is open elsewhere is waited for.
    async fn begin(&self, path: &str) -> Result<ScrollPage, Stopped> {
        let begun = Instant::now();
        loop {
            match self.transport.send(&Ask::get(path).once(), wire::scroll_page).await {
                Ok(page) => return Ok(page),
                Err(error) if error.is_scroll_open_elsewhere() && begun.elapsed() + WAIT < self.give_up_after => {
                    tracing::warn!("another scroll is open in this workspace; waiting for it to end or to expire");
                    tokio::time::sleep(WAIT).await;
                }
                // Waited for long enough: another lap would only wait as long again.
                Err(error) if error.is_scroll_open_elsewhere() => return Err(Stopped::Failed(error.into())),
                Err(error) => return Err(broken(error)),
            }
        }
    }
}

/// The scroll expired or was given up; or the failure passes, and may have moved the scroll on without us.
fn broken(error: RequestError) -> Stopped {
    if error.is_passing() { Stopped::Broken(error.into()) } else { Stopped::Failed(error.into()) }
}

/// Tells everyone aboard, and lets those go who no longer listen.
async fn tell(riders: &mut Vec<mpsc::Sender<Leg>>, leg: &Leg) -> Result<(), Stopped> {
    let mut gone = Vec::new();
    for (place, rider) in riders.iter().enumerate() {
        if rider.send(leg.clone()).await.is_err() {
            gone.push(place);
        }
    }
    for place in gone.into_iter().rev() {
        riders.remove(place);
    }
    if riders.is_empty() { Err(Stopped::Deserted) } else { Ok(()) }
}

impl Rider {
    pub(super) async fn next(&mut self) -> Leg {
        self.scroll.depart(self.ticket);
        // The driver says how it ended before it goes; silence is the end of the runtime.
        self.legs.recv().await.unwrap_or(Leg::Failed(StreamError::Abandoned))
    }
}
