//! Memory must not grow with the workspace until the snapshot is published.

use super::job::Job;
use super::server::{Intercom, Server};
use super::table::{Figure, mebibytes, whole};
use super::{Bench, Failure};

const CONTACTS: usize = 100_000;
/// The second workspace is so many times as large.
const FACTOR: usize = 10;
const PEAK_KIB: u64 = 400 * 1024;
const GROWTH: f64 = 1.25;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>, Failure> {
    let contacts = bench.contacts(CONTACTS);
    let mut figures = Vec::new();
    let mut before: Option<u64> = None;
    for contacts in [contacts, contacts * FACTOR] {
        let server = Server::start(&Intercom::of(contacts))?;
        let job = Job::new(bench.folder.path().join(format!("memory-{contacts}")), false)?;
        let ran = job.run(&server)?;
        job.clear()?;
        let name = format!("memory, {} contacts, {} rows", whole(contacts as f64), whole(ran.rows as f64));
        let peak = ran.peak_kib;
        figures.push(
            Figure::reported(&name, "peak until the snapshot is published", mebibytes(peak)).wanted("under 400 MiB", peak < PEAK_KIB),
        );
        if let Some(smaller) = before {
            let ratio = peak as f64 / smaller as f64;
            figures.push(Figure::reported(&name, &format!("beside a workspace of a {FACTOR}th"), mebibytes(peak)).at_most(
                GROWTH,
                mebibytes(smaller),
                ratio,
            ));
        }
        before = Some(peak);
    }
    Ok(figures)
}
