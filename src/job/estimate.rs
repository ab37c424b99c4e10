//! What a plan costs: requests, partitions and time, as far as sizes are known.

use std::time::Duration;

use super::fetch::CONVERSATION_TOTALS;
use super::partitioning::pages;
use super::plan::Plan;
use super::strategy::TOTALS;
use super::stream::{Partitioning, PlannedStream, StreamKind};
use crate::settings::Settings;
use intercom::RateWindow;

/// The cost of a plan, as far as sizes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The number of all requests, except those in `contacts`, `subscriptions` and `vanished`.
    pub requests: u64,
    /// The number of requests for names, sizes and totals. They are included in `requests`.
    pub asking: u64,
    /// The approximate number of additional requests for contacts with truncated lists of tags.
    pub contacts: u64,
    /// The approximate number of additional requests for contacts whose subscriptions the API cut; 0 if it cannot be estimated.
    pub subscriptions: u64,
    /// The maximum number of additional requests for members of the last month that are gone.
    pub vanished: u64,
    pub partitions: usize,
    /// The expected time, at one second a page and within the share of the rate limit.
    pub time: Duration,
}

/// The time until the first stream is fetched, in pages: requests for workspace, groups, sizes and first page, one after another.
const STARTING_PAGES: f64 = 4.0;
/// The additional time if long streams are partitioned, in pages: the probes (a search for one row takes as long as a page), and
/// the time until as many requests are under way as allowed.
const PARTITIONING_PAGES: f64 = 10.0;
/// The time that a page of a search takes in practice, as measured by other connectors.
const SECONDS_PER_PAGE: f64 = 1.0;
/// The estimated time that a request for one contact's tags takes.
const SECONDS_PER_CONTACT: f64 = 0.25;
/// The length of a rate-limit window.
const SECONDS_PER_WINDOW: f64 = 10.0;

impl Plan {
    pub fn estimate(&self, settings: &Settings, window: Option<RateWindow>) -> Estimate {
        let partitions = self.streams.iter().flat_map(PlannedStream::partitions);
        let pages: Vec<u64> = partitions.map(|(_, rows)| pages(rows, settings).unwrap_or(1)).collect();
        let probes = |partitioning: &Partitioning| if self.is_planned_again { partitioning.probe_requests() } else { 0 };
        // Each partitioned stream ends with a request for its total.
        let probes: u64 =
            self.streams.iter().filter_map(|stream| stream.partitioning.as_ref()).map(|partitioning| probes(partitioning) + 1).sum();
        let tallied = self.streams.iter().filter(|stream| stream.derived.is_some()).count() as u64;
        let deriving = tallied * if self.is_planned_again { TOTALS } else { 1 };
        // If the stream of everyone is long, the size of each tag is requested to choose its strategy.
        let asks_tag_sizes =
            self.is_planned_again && self.streams.iter().any(|stream| stream.kind == StreamKind::Everyone && stream.partitioning.is_some());
        let is_other_tag = |stream: &&PlannedStream| asks_tag_sizes && stream.kind.is_tag() && stream.derived.is_none();
        let deriving = deriving + self.streams.iter().filter(is_other_tag).count() as u64;
        let totals = if self.has_conversations { CONVERSATION_TOTALS } else { 0 };
        let asking = self.repeated + probes + deriving + totals;
        let requests = pages.iter().sum::<u64>() + asking;
        let concurrency = settings.intercom.max_concurrency.max(1) as f64;
        let longest = pages.iter().copied().max().unwrap_or_default() as f64;
        let rate = |requests: u64| window.map_or(0.0, |window| requests as f64 / f64::from(window.share.max(1)) * SECONDS_PER_WINDOW);
        // The longest partition is read one page after another. The other partitions run beside it.
        let is_partitioned = self.streams.iter().any(|stream| stream.partitioning.is_some());
        let start = STARTING_PAGES + if is_partitioned { PARTITIONING_PAGES } else { 0.0 };
        let all = requests + self.expected_contact_requests + self.expected_cut_subscriptions;
        let fetching = (start + longest.max(all as f64 / concurrency.min(pages.len().max(1) as f64))) * SECONDS_PER_PAGE;
        let dates = self.tag_date_requests();
        let tag_dates = (dates as f64 * SECONDS_PER_CONTACT / concurrency).max(rate(dates));
        let time = Duration::from_secs((fetching.max(rate(all)) + tag_dates).ceil() as u64);
        let (contacts, subscriptions) = (self.expected_contact_requests, self.expected_cut_subscriptions);
        let vanished = self.vanished_requests(settings.job.vanished_max);
        Estimate { requests: requests + dates, asking, contacts, subscriptions, vanished, partitions: pages.len(), time }
    }
}
