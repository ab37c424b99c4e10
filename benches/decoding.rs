//! Decoding of full pages, as they come once they are unzipped.
//!
//!     cargo bench --bench decoding

#[path = "shared/workspace.rs"]
mod workspace;

use criterion::{Criterion, Throughput};
use intercom::DECODERS;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const PAGE: u64 = 150;
/// As many as give the last month a full page of conversations.
const CONTACTS: usize = 5_000;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let pages = runtime.block_on(pages())?;
    let mut criterion = Criterion::default().configure_from_args();
    for (name, page) in &pages {
        let (_, decode) = DECODERS.iter().find(|(known, _)| known == name).ok_or(format!("no decoder is called {name}"))?;
        let rows = decode(page)?;
        if rows as u64 != PAGE {
            return Err(format!("the page for {name} has {rows} rows").into());
        }
        let mut group = criterion.benchmark_group(format!("decode {rows} rows"));
        // Bytes a second; a page's rows are in its name.
        group.throughput(Throughput::Bytes(page.len() as u64));
        group.bench_function(*name, |bencher| bencher.iter(|| decode(page)));
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

/// A full page for each decoder.
async fn pages() -> Result<Vec<(&'static str, Vec<u8>)>, Failure> {
    let (_simulator, address) = workspace::serve(CONTACTS).await?;
    // Nobody else sets one in this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let get = |path: &str| http.get(format!("{address}{path}"));
    let all = json!({"field": "created_at", "operator": ">", "value": 0});
    let search = json!({"query": all, "pagination": {"per_page": PAGE}});
    let post = |path: &str, body: &Value| http.post(format!("{address}{path}")).json(body);
    let asks = [
        ("v2-contacts", "2.14", get(&format!("/contacts?per_page={PAGE}"))),
        ("v2-conversations", "2.14", post("/conversations/search", &search)),
    ];
    let mut pages = Vec::new();
    for (name, version, ask) in asks {
        let answer = ask.bearer_auth("bench").header("Intercom-Version", version).send().await?.error_for_status()?;
        pages.push((name, answer.bytes().await?.to_vec()));
    }
    Ok(pages)
}
