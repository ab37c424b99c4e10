//! How much memory a run takes: bytes bound it, not only rows.

use std::path::Path;

use crate::support::job::{Job, Place, texts};
use crate::support::program::run;
use crate::support::simulator::Simulator;
use crate::support::truth::JULY;

/// A month of everyone with so many bytes of custom attributes each: its place, and the most memory that the run had, in MiB.
fn observed(attribute_bytes: &str) -> (Place, u64) {
    let simulator = Simulator::at(JULY.as_of, &["--contacts", "4000", "--attribute-bytes", attribute_bytes]);
    let place = Place::new();
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["VIP"]), ..Job::empty() };
    let job = job.with_top("conversations = false").with_top("profile = [\"role\", \"custom_attributes.plan\"]");
    let running = run(&place.job(&job, &simulator.base_url), &["--as-of", JULY.as_of]).start();
    let status = format!("/proc/{}/status", running.id());
    let (finished, peak) = running.finish_watching(|| high_water(Path::new(&status)));
    finished.check_code(0);
    (place, peak.unwrap_or_default())
}

/// The high-water mark of a process that runs.
fn high_water(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kibibytes.parse::<u64>().unwrap() / 1024)
}

#[cfg(target_os = "linux")]
#[test]
fn large_contacts_take_little_more_memory_than_usual_ones() {
    let (usual, large) = (observed("0"), observed("16000"));
    let parts = |place: &Place| std::fs::read_dir(place.snapshot("2026-07").join("contacts")).unwrap().count();
    assert!(parts(&usual.0) == 1 && parts(&large.0) > 1, "parts are cut by bytes, those of usual contacts by rows");
    let rows = |place: &Place| place.snapshot_table("2026-07", "contacts").rows.len();
    assert_eq!(rows(&usual.0), rows(&large.0));
    assert!(large.1 < usual.1 + 200, "a peak of {} MiB instead of {}", large.1, usual.1);
}
