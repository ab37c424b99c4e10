//! The log of a run: the month that was missed.

use crate::support::job::{Place, small_job};
use crate::support::program::{Finished, backfill, on, run};
use crate::support::simulator::Simulator;
use crate::support::truth::{JULY, SEPTEMBER};

#[test]
fn a_month_that_was_missed_is_told() {
    let place = Place::new();
    let observe = |as_of: &str, arguments: &[&str]| {
        let simulator = Simulator::at(as_of, &[]);
        run(&place.job(&small_job(), &simulator.base_url), arguments).arguments(&["--as-of", as_of]).succeed()
    };
    let warnings = |finished: &Finished| {
        let told = finished.stderr.lines().filter(|line| line.contains("without a snapshot")).map(str::to_string);
        told.collect::<Vec<_>>()
    };
    assert_eq!(warnings(&observe(JULY.as_of, &[])), [""; 0], "nothing is held yet");
    assert_eq!(warnings(&observe(SEPTEMBER.as_of, &["--month", "2026-09"])), [""; 0], "who names a month knows");
    // With a month missing the run still says so when there is nothing to do.
    let told = warnings(&observe(SEPTEMBER.as_of, &[]));
    assert_eq!(told.len(), 1, "{told:?}");
    for word in ["WARN", "2026-08", "month_end", "cohorts backfill --from 2026-08 --to 2026-08"] {
        assert!(told[0].contains(word), "{word}: {told:?}");
    }
    assert!(!told[0].contains("2026-07") && !told[0].contains("2026-09"), "{told:?}");

    // A monitor hears of it, too: of a gap, of the months since the last one, and of the one that is due.
    let file = place.job(&small_job(), "http://127.0.0.1:9");
    let status = |as_of: &str| on(&file, "status", &["--check", "--as-of", as_of]).finish();
    let gap = status(SEPTEMBER.as_of);
    gap.check_code(8);
    assert!(gap.stdout.contains("months without a snapshot: 2026-08\n"), "{}", gap.stdout);
    let since = status("2026-12-15T00:00:00Z");
    since.check_code(8);
    assert!(since.stdout.contains("months without a snapshot: 2026-08, 2026-10\ndue: 2026-11\n"), "{}", since.stdout);

    // Late is better than never.
    let simulator = Simulator::at(SEPTEMBER.as_of, &[]);
    let file = place.job(&small_job(), &simulator.base_url);
    backfill(&file, ("2026-08", "2026-08"), SEPTEMBER.as_of, &[]).succeed();
    assert_eq!(warnings(&run(&file, &["--as-of", SEPTEMBER.as_of]).succeed()), [""; 0]);
    on(&file, "status", &["--check", "--as-of", SEPTEMBER.as_of]).finish().check_code(0);
}
