//! The embedded Intercom in this process, for benches of single steps.

use chrono::{DateTime, Utc};
use simulator::{Options, Simulator, WorldOptions};
use tokio::net::TcpListener;

use super::Failure;

pub(crate) const NOW: &str = "2026-11-01T02:00:00Z";

/// A workspace that stands still, without a limit worth the name, and its address.
pub(crate) async fn serve(contacts: usize) -> Result<(Simulator, String), Failure> {
    let world = WorldOptions { contacts, extra_groups: 7, memberships: Some(2.42), ..WorldOptions::default() };
    let now = NOW.parse::<DateTime<Utc>>()?;
    let options = Options { world, now: Some(now), rate_limit: 1_000_000, workspace_rate_limit: 1_000_000, ..Options::default() };
    let simulator = Simulator::new(options);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = format!("http://{}", listener.local_addr()?);
    let server = simulator.clone();
    tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
    Ok((simulator, address))
}
