//! No latency and no limit: what the job costs beside what reading the pages costs anybody.

use std::sync::Arc;

use super::job::{Job, Ran};
use super::reader::{Pass, What};
use super::server::{Intercom, Server};
use super::table::{Figure, seconds, whole};
use super::{Bench, Failure, say};

const CONTACTS: usize = 200_000;
const PASSES: usize = 3;
const RATIO: f64 = 1.5;
/// Rows a second, whatever the ratio.
const ROWS_PER_SECOND: f64 = 60_000.0;
/// How much faster than the job the server has to be.
const SERVER: f64 = 3.0;

/// One after the other in one pass.
struct Beside {
    job: Ran,
    reader: Pass,
    fast: Pass,
    download: Pass,
}

impl Beside {
    fn ratio(&self) -> f64 {
        self.job.published / self.reader.seconds
    }
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>, Failure> {
    let contacts = bench.contacts(CONTACTS);
    let server = Server::start(&Intercom { keeps_pages: true, ..Intercom::of(contacts) })?;
    let job = Job::new(bench.folder.path().join("cpu"), false)?;
    // The server makes its pages the first time that they are asked for.
    job.run(&server)?;
    let pages = Arc::new(bench.runtime.block_on(server.pages())?);
    let mut passes = Vec::new();
    for number in 1..=PASSES {
        job.clear()?;
        let pass = Beside {
            job: job.run(&server)?,
            reader: bench.read(&server, &pages, What::Read)?,
            fast: bench.read(&server, &pages, What::ReadFast)?,
            download: bench.read(&server, &pages, What::Download)?,
        };
        say(&format!(
            "  pass {number}: job {:.2} s (fetched after {:.2} s), reader {:.2} s, with sonic-rs {:.2} s, download {:.2} s, ratio {:.2}",
            pass.job.published,
            pass.job.fetched,
            pass.reader.seconds,
            pass.fast.seconds,
            pass.download.seconds,
            pass.ratio()
        ))?;
        passes.push(pass);
    }
    job.clear()?;
    passes.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
    let ratios: Vec<String> = passes.iter().map(|pass| format!("{:.2}", pass.ratio())).collect();
    let Beside { job: ran, reader, fast, download } = &passes[PASSES / 2];
    // Rows that came: members of tags that the job took from everyone's own lists were not fetched. A few came twice, where a
    // total was asked for.
    let rows = reader.rows as f64;
    if reader.rows < contacts as u64 * 9 / 10 {
        return Err(format!("the reader came to {} rows of {contacts} contacts", reader.rows).into());
    }
    let name = format!(
        "CPU-bound, {} contacts, {} memberships and contacts out of {} rows",
        whole(contacts as f64),
        whole(ran.rows as f64),
        whole(rows)
    );
    let speed = |seconds: f64| format!("{} rows/s, {:.0} MB/s", whole(rows / seconds), reader.bytes as f64 / 1e6 / seconds);
    let ratio = ran.published / reader.seconds;
    let of_server = ran.published / download.seconds;
    Ok(vec![
        Figure::reported(
            &name,
            &format!("start to published snapshot (ratios of the passes: {})", ratios.join(", ")),
            seconds(ran.published),
        )
        .at_most(RATIO, format!("reader {}", seconds(reader.seconds)), ratio),
        Figure::reported(&name, "beside a reader with sonic-rs, into the same structs", seconds(ran.published))
            .beside(format!("sonic-rs {}", seconds(fast.seconds)), ran.published / fast.seconds),
        Figure::reported(&name, "the job's speed", speed(ran.published))
            .wanted("at least 60,000 rows/s", rows / ran.published >= ROWS_PER_SECOND),
        Figure::reported(&name, "the job's speed until the last list was done", speed(ran.fetched)),
        Figure::reported(&name, "the reader's speed", speed(reader.seconds)),
        Figure::reported(
            &name,
            "the server's speed: bytes taken, neither unzipped nor decoded",
            format!(
                "{}, {:.0} MB/s as sent, {of_server:.1} x the job",
                speed(download.seconds),
                download.bytes as f64 / 1e6 / download.seconds
            ),
        )
        .wanted("at least 3 x the job", of_server >= SERVER),
    ])
}
