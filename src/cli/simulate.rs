use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::arguments::Simulate;
use super::failure::Failure;
use super::stdout;
use job::settings::TOKEN_VARIABLE;
use simulator::{Faults, Options, Simulator, WorldOptions};

pub(super) async fn run(arguments: Simulate) -> Result<u8, Failure> {
    let faults = Faults::parse(arguments.faults.as_deref(), arguments.faults_at.as_deref()).map_err(|error| {
        Failure::usage(error.to_string(), "for example --faults 500:0.02,cut:0.01 or --faults-at 3=500,7-9=html,20-=401")
    })?;
    if let Some(memberships) = arguments.memberships.filter(|memberships| !(0.0..=f64::from(arguments.extra_groups)).contains(memberships))
    {
        return Err(Failure::usage(
            format!("a contact cannot have {memberships} of {} extra tags", arguments.extra_groups),
            "for example --extra-groups 7 --memberships 2.4",
        ));
    }
    let address = SocketAddr::new(arguments.address, arguments.port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::usage(format!("cannot listen on {address}: {error}"), "choose another --port, or --port 0 for a free one")
    })?;
    let address = listener.local_addr().map_err(|error| Failure::unexpected("the listener has no address", error))?;
    let options = Options {
        world: WorldOptions {
            seed: arguments.seed,
            contacts: arguments.contacts as usize,
            timezone: arguments.timezone,
            extra_groups: arguments.extra_groups as usize,
            memberships: arguments.memberships,
            big_tag: arguments.big_tag.map(|size| size as usize),
            attribute_bytes: arguments.attribute_bytes as usize,
        },
        now: arguments.now,
        default_version: arguments.default_version,
        rate_limit: arguments.rate_limit,
        workspace_rate_limit: arguments.workspace_rate_limit,
        token: arguments.token,
        faults,
        latency: arguments.latency,
        search_delay: arguments.search_delay,
        legacy: !arguments.without_1x,
        cap_silent: arguments.cap_silent,
        scroll_expiry: arguments.scroll_expiry,
        prepared_pages: arguments.prepared_pages,
    };
    let making = tokio::task::spawn_blocking(move || Simulator::new(options));
    let simulator = making.await.map_err(|error| Failure::unexpected("the simulated workspace could not be generated", error))?;
    // A script may wait for this line, so it is printed when the port accepts connections and the workspace is generated.
    stdout::print(&format!("http://{address}"))?;
    // With a fixed time, the job must use the same instant.
    let as_of = arguments.now.map_or(String::new(), |now| format!(" --as-of {}", now.format("%Y-%m-%dT%H:%M:%SZ")));
    stdout::print_error(&format!(
        "the embedded Intercom listens; try it from another shell, Ctrl-C ends it:\n  \
         export COHORTS__INTERCOM__BASE_URL=http://{address} {TOKEN_VARIABLE}=demo\n  \
         curl -s -H 'Authorization: Bearer demo' http://{address}/tags\n  \
         cohorts init -o rehearsal.toml\n  \
         cohorts run --job rehearsal.toml{as_of}"
    ));
    simulator.serve(listener, std::future::pending()).await.map_err(|error| Failure::unexpected("the server ended", error))?;
    Ok(0)
}
