//! The flags of the embedded Intercom.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::values::{instant, loopback};
use simulator::{Faults, Zone};

#[derive(Debug, Args)]
#[command(after_long_help = format!("Kinds of faults:\n{}", Faults::kinds()))]
pub(crate) struct Simulate {
    /// The port on this machine; 0 uses a free one
    #[arg(long, value_name = "P", default_value_t = 8080)]
    pub port: u16,
    /// The loopback address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = loopback)]
    pub address: IpAddr,
    /// The instant at which the workspace is shown; by default the current time
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub now: Option<DateTime<Utc>>,
    /// The API version of requests without a version
    #[arg(long, value_name = "VERSION", default_value = "2.11")]
    pub default_version: String,
    /// Random faults, as kind:probability, for example 500:0.02,429:0.01,cut:0.01
    ///
    /// With a path, as in 404@/segments:0.1, only requests whose path begins with it. The kinds are listed below.
    #[arg(long, value_name = "SPEC")]
    pub faults: Option<String>,
    /// Faults at given requests, as number=kind, for example 3=500,7-9=html,20-=401
    ///
    /// Requests are counted from 1; 20- is from the 20th on. With a path, as in 2=drop@/contacts, only requests whose path begins with it
    /// are counted.
    #[arg(long, value_name = "SPEC")]
    pub faults_at: Option<String>,
    /// The seed of the generated workspace
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// About how many contacts the workspace has in November 2026
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub contacts: u32,
    /// The number of tags in addition to the named ones
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub extra_groups: u32,
    /// How many of the --extra-groups a contact has on average; by default 1 to 6 of 100 contacts ever have one
    #[arg(long, value_name = "N")]
    pub memberships: Option<f64>,
    /// The workspace's time zone
    #[arg(long, value_name = "ZONE", default_value = "Europe/Dublin")]
    pub timezone: Zone,
    /// The only accepted access token; by default every token that does not begin with `invalid`
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Requests that one app may send in ten seconds
    #[arg(long, value_name = "N", default_value_t = 1_667, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_limit: u32,
    /// Requests that all apps together may send in ten seconds
    #[arg(long, value_name = "N", default_value_t = 4_167, value_parser = clap::value_parser!(u32).range(1..))]
    pub workspace_rate_limit: u32,
    /// The minimum time of each answer
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub latency: Duration,
    /// How long a new contact is missing from searches
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub search_delay: Duration,
    /// Add a tag `bulk import` to so many of the oldest contacts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub big_tag: Option<u32>,
    /// Additional bytes of custom attributes for each contact, in texts of 1,000
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub attribute_bytes: u32,
    /// Serve only 2.x: requests of version 1.x are refused
    #[arg(long)]
    pub without_1x: bool,
    /// Lists of 1.x end with an empty page at 10,000 records, instead of with an error
    #[arg(long)]
    pub cap_silent: bool,
    /// How long an open scroll may be idle
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub scroll_expiry: Duration,
    /// Cache answers to reads, compressed, so that the server does not slow down a benchmark. Needs --now
    ///
    /// An answer is made at the first request and reused until something is written; faults, scrolls and answers beyond 2 GiB are not
    /// cached. Limits, latency and counts do not change. GET /_simulator/requests lists the requests; ?reset=true empties the list.
    #[arg(long, requires = "now")]
    pub prepared_pages: bool,
}
