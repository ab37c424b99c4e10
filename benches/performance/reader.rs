//! The reader's bound: whoever wants these pages has to download, unzip and decode them. This does that and nothing else,
//! as many requests at a time as the job sends, on as many cores. Without unzipping and decoding it tells how fast the
//! server is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use intercom::{DECODERS, Decoder};
use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use tokio::task::JoinSet;

use super::job::TOKEN;
use super::server::{Recorded, Server, client};
use super::{Bench, Failure};

pub(crate) const CORES: usize = 2;
/// The job's own `max_concurrency`.
const AT_A_TIME: usize = 16;

/// What a pass over all pages took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pass {
    pub seconds: f64,
    /// Rows that were decoded; none where nothing was.
    pub rows: u64,
    /// Bytes of the bodies, unzipped where they were.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Unzip, decode into the typed struct, throw away.
    Read,
    /// The same with the fastest reader of JSON, so that the bound does not depend on the program's own decoder.
    ReadFast,
    /// Take the bytes as they come.
    Download,
}

impl Bench {
    pub(crate) fn read(&self, server: &Server, pages: &Arc<Vec<Recorded>>, what: What) -> Result<Pass, Failure> {
        let begun = Instant::now();
        let pass = self.runtime.block_on(all(server.address.clone(), pages.clone(), what))?;
        Ok(Pass { seconds: begun.elapsed().as_secs_f64(), ..pass })
    }
}

async fn all(address: String, pages: Arc<Vec<Recorded>>, what: What) -> Result<Pass, Failure> {
    let decode = DECODERS.iter().find(|(name, _)| *name == "v2-contacts").map(|(_, decode)| *decode).ok_or("no decoder of contacts")?;
    let http = client(what != What::Download)?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (http, address, pages, next) = (http.clone(), address.clone(), pages.clone(), next.clone());
        readers.spawn(async move {
            let mut pass = Pass::default();
            while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (rows, bytes) = one(&http, &address, page, what, decode).await?;
                pass = Pass { rows: pass.rows + rows, bytes: pass.bytes + bytes, ..pass };
            }
            Ok::<Pass, String>(pass)
        });
    }
    let mut sum = Pass::default();
    while let Some(pass) = readers.join_next().await {
        let pass = pass??;
        sum = Pass { rows: sum.rows + pass.rows, bytes: sum.bytes + pass.bytes, ..sum };
    }
    Ok(sum)
}

async fn one(http: &reqwest::Client, address: &str, page: &Recorded, what: What, decode: Decoder) -> Result<(u64, u64), String> {
    let method = Method::from_bytes(page.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut ask = http.request(method, format!("{address}{}", page.path)).header(AUTHORIZATION, format!("Bearer {TOKEN}"));
    ask = ask.header(ACCEPT, "application/json").header("Intercom-Version", &page.version);
    if what == What::Download {
        ask = ask.header(ACCEPT_ENCODING, "gzip");
    }
    if !page.body.is_empty() {
        ask = ask.header(CONTENT_TYPE, "application/json").body(page.body.clone());
    }
    let answer = ask.send().await.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    let rows = match what {
        What::Read => decode(&body)?,
        What::ReadFast => intercom::contact_rows_of(&mut sonic_rs::Deserializer::from_slice(&body)).map_err(|error| error.to_string())?,
        What::Download => 0,
    };
    Ok((rows as u64, body.len() as u64))
}
