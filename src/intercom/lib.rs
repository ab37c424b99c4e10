//! A client for Intercom's REST API, versions 1.0 to 1.4 and 2.0 to 2.17.
//!
//! - [`Client`] has one method for each thing that can be requested. It has the same methods for all versions of the API. Its
//!   [`Capabilities`] show what a version can do.
//! - A [`Stream`] returns contacts, conversations or companies page by page. Each [`Page`] has a [`Cursor`], from which a later process can
//!   continue the stream.
//! - Requests are spread evenly over the API's rate window, and retried if a retry can help. The number of concurrent requests adapts to
//!   the server, up to [`Options::max_concurrency`].
//! - Responses are decoded leniently. A field of another type than documented becomes null and is counted in [`Page::oddities`], so that
//!   one bad record does not make the whole page fail.
//! - An error is a [`ClientError`], a [`RequestError`] or a [`StreamError`]. The messages of errors never contain the token or contacts'
//!   data.
//!
//! # Example
//!
//! This prints the tags of a workspace, and the number of members of the first tag:
//!
//! ```rust,no_run
//! use std::time::Duration;
//!
//! use cohorts_intercom::{Client, Options};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::new(&Options {
//!         base_url: "https://api.intercom.io".to_string(),
//!         token: std::env::var("INTERCOM_TOKEN")?.into(),
//!         api_version: "2.14".to_string(),
//!         user_agent: "example/1.0".to_string(),
//!         page_size: 150,
//!         max_concurrency: 16,
//!         rate_share: 0.8,
//!         request_timeout: Duration::from_secs(60),
//!         give_up_after: Duration::from_secs(900),
//!     })?;
//!
//!     let tags = client.tags().await?;
//!     for tag in &tags {
//!         println!("{} ({:?} members)", tag.group.name, tag.count);
//!     }
//!
//!     if let Some(tag) = tags.first() {
//!         let mut members = client.members(&tag.group, None, None).await?;
//!         let mut ids = Vec::new();
//!         while let Some(page) = members.next().await? {
//!             if page.is_restart {
//!                 ids.clear();
//!             }
//!             ids.extend(page.rows.into_iter().map(|contact| contact.id));
//!         }
//!         println!("{} members in {}", ids.len(), tag.group.name);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Inside
//!
//! Every request waits for a permit of the `rate_limiter`. The `concurrency` controller decides how many permits there are. Then the
//! `transport` sends the request, retries it and classifies errors. `v1` and `v2` are the adapters for the two generations of the API, and
//! both adapters return a `stream`. Only `wire` and the `wire` modules of the adapters know the JSON that the API sends.

mod body;
mod capabilities;
mod client;
mod companies;
mod concurrency;
mod decoders;
mod error;
mod numbered;
pub mod proxy;
mod rate_limiter;
mod retry;
mod server_clock;
mod stream;
mod tagging;
pub mod tls;
mod transport;
mod types;
mod v1;
mod v2;
mod wire;

pub use capabilities::Capabilities;
pub use client::Client;
pub use decoders::{DECODERS, Decoder, contact_rows_of};
pub use error::{ClientError, Failure, NoAnswer, RequestError, StreamError};
pub use rate_limiter::RateWindow;
pub use server_clock::ServerTime;
pub use stream::{Cursor, Page, Stream};
pub use tagging::{Change, TagAnswer, TagCall};
pub use types::{ConversationTotals, Counted, ListedGroup, Options, Totals, Traffic, Workspace};
