//! Groups of more than 10,000 over API 1.x: one scroll over everyone for all of them, and what may happen to a scroll.

use std::sync::LazyLock;

use serde_json::Value;

use super::asked_in;
use crate::support::job::{Job, Place, texts};
use crate::support::program::{Finished, ask, observe};
use crate::support::scripted::{Reply, Request, Scripted, forward};
use crate::support::simulator::Simulator;
use crate::support::tree::{Tree, check_same, published, tables};
use crate::support::truth::JULY;
use crate::support::{TOKEN, http, side_by_side, temporary_folder};

/// The tag `bulk import`.
const BULK: &str = "tag:1399001";
const VIP: &str = "tag:1400074";
const ACTIVE: &str = "segment:63bbdd50aa01c0ffee000001";
const SLIPPING_AWAY: &str = "segment:63bbdd50aa01c0ffee000003";

/// The most that page numbers of 60 reach.
const LAST_PAGE: u64 = 10_000 / 60;

/// A month that costs little but for its members.
fn job(tags: &[&str], segments: &[&str]) -> Job {
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(tags), segments: texts(segments), ..Job::empty() };
    let job = job.with_top("conversations = false").with_top("population = \"cohorts\"").with_top("profile = [\"role\"]");
    asked_in("1.4", job)
}

/// A tag beyond the cap and two groups within it.
fn small_job() -> Job {
    job(&["bulk import", "VIP"], &["Slipping Away"])
}

/// The smallest workspace with a tag that no list shows whole.
fn small_world(arguments: &[&str]) -> Simulator {
    Simulator::at(JULY.as_of, &[&["--contacts", "11400", "--big-tag", "10001"], arguments].concat())
}

/// Each member of each group once, and nobody else.
#[track_caller]
fn check_members(place: &Place, simulator: &Simulator, groups: &[&str]) {
    let found = place.snapshot_table("2026-07", "members");
    let (keys, ids) = (found.texts("cohort_key"), found.texts("contact_id"));
    for group in groups {
        let mut held: Vec<&String> = keys.iter().zip(&ids).filter(|(key, _)| key == group).map(|(_, id)| id).collect();
        held.sort();
        let expected = simulator.members(group);
        assert!(!expected.is_empty());
        assert!(held.iter().copied().eq(&expected), "{group}: {} rows for {} members", held.len(), expected.len());
    }
    let of_others = keys.iter().filter(|key| !groups.contains(&key.as_str())).count();
    assert_eq!(of_others, 0);
}

/// Requests that begin a scroll, and all requests of it.
fn scrolled(requests: &[Request], path: &str) -> (usize, usize) {
    let scroll: Vec<&Request> = requests.iter().filter(|request| request.path() == path).collect();
    (scroll.iter().filter(|request| request.parameter("scroll_param").is_none()).count(), scroll.len())
}

#[test]
fn all_groups_beyond_10_000_come_from_one_scroll() {
    side_by_side(
        &[&[][..], &["--cap-silent"]],
        |arguments| format!("{arguments:?}"),
        |arguments| {
            let world = [&["--contacts", "28500", "--big-tag", "25000"], *arguments].concat();
            let simulator = Simulator::at(JULY.as_of, &world);
            let recorder = Scripted::before(simulator.address(), |_| None);
            let place = Place::new();
            let job = job(&["bulk import", "VIP"], &["Active", "Slipping Away"]);
            observe(&place.job(&job, &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
            check_members(&place, &simulator, &[BULK, VIP, ACTIVE, SLIPPING_AWAY]);
            assert_eq!(simulator.members(BULK).len(), 25_000);
            assert!(simulator.members(ACTIVE).len() > 10_000, "two groups are beyond the cap");

            let state = http::json(&simulator.base_url, "/_simulator/state");
            let requests = recorder.requests();
            for (scroll, role) in [("/users/scroll", "users"), ("/contacts/scroll", "leads")] {
                let pages = state[role].as_u64().unwrap().div_ceil(100) as usize;
                assert_eq!(scrolled(&requests, scroll), (1, pages + 1), "one scroll over all {role}, to its empty page");
            }
            let numbers = requests.iter().filter_map(|request| request.parameter("page")).map(|page| page.parse::<u64>().unwrap());
            assert!(numbers.max().unwrap() <= LAST_PAGE, "no page is asked for that the cap forbids");
            assert_eq!(simulator.stats().requests, requests.len() as u64);
            assert_eq!(place.manifest("2026-07")["retries"], 0);
        },
    );
}

/// A run of the small world, and the paths it took.
fn observed(simulator: &Simulator, job: &Job) -> (Place, Finished, Vec<Request>) {
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let finished = observe(&place.job(job, &recorder.base_url), &["--as-of", JULY.as_of]).finish();
    (place, finished, recorder.requests())
}

/// The tables of the small world, scrolled without anything in the way.
fn undisturbed() -> &'static Tree {
    static UNDISTURBED: LazyLock<Tree> = LazyLock::new(|| {
        let simulator = small_world(&[]);
        let (place, finished, requests) = observed(&simulator, &small_job());
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_eq!(scrolled(&requests, "/users/scroll").0, 1);
        check_members(&place, &simulator, &[BULK, VIP, SLIPPING_AWAY]);
        tables(published(&place.job_folder()))
    });
    &UNDISTURBED
}

/// What comes in a scroll's way, and how often it is begun for that.
struct Mishap {
    simulator: &'static [&'static str],
    begun: std::ops::RangeInclusive<usize>,
    /// In the log.
    logged: &'static str,
}

const RESTARTING: &str = "the scroll was lost; restarting it";

#[test]
fn a_scroll_that_breaks_off_restarts_and_nobody_is_lost_or_there_twice() {
    let mishaps = [
        // It expires between two pages.
        Mishap { simulator: &["--scroll-expiry", "1s", "--faults-at", "30=slow@/users/scroll"], begun: 2..=6, logged: RESTARTING },
        Mishap { simulator: &["--faults-at", "30=scroll_restart@/users/scroll"], begun: 2..=2, logged: RESTARTING },
        // Among the leads, after all users.
        Mishap { simulator: &["--faults-at", "3=scroll_restart@/contacts/scroll"], begun: 2..=2, logged: RESTARTING },
        // Each time a little further.
        Mishap {
            simulator: &["--faults-at", "2=scroll_restart@/users/scroll,12=scroll_restart@/users/scroll"],
            begun: 3..=3,
            logged: RESTARTING,
        },
        // The answer is lost, and the server has moved on: the scroll is still open there, and a page of it is gone.
        Mishap {
            simulator: &["--scroll-expiry", "2s", "--faults-at", "40=cut@/users/scroll"],
            begun: 2..=9,
            logged: "another scroll is open",
        },
        Mishap {
            simulator: &["--scroll-expiry", "2s", "--faults-at", "1=half@/users/scroll"],
            begun: 2..=9,
            logged: "another scroll is open",
        },
        // A refusal for the rate alone moves nothing on.
        Mishap { simulator: &["--faults-at", "20=429-bare@/users/scroll,25=429-bare@/users/scroll"], begun: 1..=1, logged: "trying again" },
    ];
    side_by_side(
        &mishaps,
        |mishap| format!("{:?}", mishap.simulator),
        |mishap| {
            let simulator = small_world(mishap.simulator);
            let (place, finished, requests) = observed(&simulator, &small_job());
            assert_eq!(finished.code, Some(0), "{}", finished.stderr);
            assert!(finished.stderr.contains(mishap.logged), "{}", finished.stderr);
            let (begun, _) = scrolled(&requests, "/users/scroll");
            assert!(mishap.begun.contains(&begun), "begun {begun} times");
            check_same(&tables(published(&place.job_folder())), undisturbed(), "after a mishap");
        },
    );
}

/// Another client opens a scroll and leaves it.
fn open_scroll(simulator: &Simulator) {
    let headers = [("Authorization", format!("Bearer {TOKEN}")), ("Intercom-Version", "1.4".to_string())];
    let headers = headers.map(|(name, value)| (name.to_string(), value));
    let opened = http::send(simulator.address(), "GET", "/users/scroll", &headers, b"");
    let body: Value = serde_json::from_slice(&opened.body).unwrap();
    assert!(opened.status == 200 && body["scroll_param"].is_string());
}

#[test]
fn a_scroll_that_another_client_has_open_is_waited_for() {
    let simulator = small_world(&["--scroll-expiry", "2s"]);
    open_scroll(&simulator);
    let (place, finished, requests) = observed(&simulator, &small_job());
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("another scroll is open in this workspace"), "{}", finished.stderr);
    assert!(scrolled(&requests, "/users/scroll").0 > 1);
    check_same(&tables(published(&place.job_folder())), undisturbed(), "after waiting");
}

#[test]
fn a_scroll_that_never_comes_to_its_end_is_5_and_publishes_nothing() {
    struct Case {
        name: &'static str,
        simulator: &'static [&'static str],
        named: &'static [&'static str],
        begun: usize,
    }
    let cases = [
        Case {
            name: "broken off by the server each time",
            simulator: &["--faults", "scroll_restart@/users/scroll:1"],
            named: &["2026-07", BULK, "/users/scroll", "500"],
            begun: 6,
        },
        Case {
            name: "expired each time",
            simulator: &["--faults-at", "1-6=404@/contacts/scroll"],
            named: &["2026-07", BULK, "/contacts/scroll", "404"],
            begun: 6,
        },
        Case {
            name: "open elsewhere for longer than is waited",
            simulator: &[],
            named: &["2026-07", BULK, "/users/scroll", "scroll_exists"],
            begun: 2,
        },
    ];
    side_by_side(
        &cases,
        |case| case.name.to_string(),
        |case| {
            let simulator = small_world(case.simulator);
            if case.simulator.is_empty() {
                open_scroll(&simulator);
            }
            let (place, finished, requests) = observed(&simulator, &small_job().with_intercom("give_up_after = \"8s\""));
            finished.check_failure(5, case.named);
            assert_eq!(scrolled(&requests, "/users/scroll").0, case.begun);
            assert_eq!(published(&place.job_folder()), Tree::new(), "nothing is to be seen");
        },
    );
}

#[test]
fn a_list_that_ends_at_the_cap_unannounced_is_read_from_the_scroll() {
    side_by_side(
        &[&[][..], &["--cap-silent"]],
        |arguments| format!("{arguments:?}"),
        |arguments| {
            let simulator = small_world(arguments);
            let address = simulator.address().to_string();
            // Lists that name a next page, but not how many there are.
            let recorder = Scripted::before(simulator.address(), move |request| {
                request.parameter("page")?;
                let Reply::Http { status, headers, body } = forward(&address, request) else { return None };
                let body = String::from_utf8(body).unwrap().replace("\"total_pages\"", "\"no_such_key\"").into_bytes();
                Some(Reply::Http { status, headers, body })
            });
            let place = Place::new();
            observe(&place.job(&small_job(), &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
            let requests = recorder.requests();
            let last = requests.iter().filter_map(|request| request.parameter("page")).map(|page| page.parse::<u64>().unwrap()).max();
            assert_eq!(last, Some(LAST_PAGE + 1), "the list was followed to the page that the cap forbids");
            assert_eq!(scrolled(&requests, "/users/scroll").0, 1);
            check_same(&tables(published(&place.job_folder())), undisturbed(), "from list to scroll");
        },
    );
}

/// A list that goes to a reader cannot be taken back when the scroll restarts, a file can: either way everybody is
/// there once.
#[test]
fn a_listing_survives_a_scroll_that_restarts() {
    let folder = temporary_folder();
    let file = folder.path().join("bulk.csv");
    for (arguments, is_file) in
        [(&["--format", "table"][..], false), (&["--format", "jsonl"], false), (&["-o", file.to_str().unwrap()], true)]
    {
        // Not at the end of a thousand, so that some wait to be printed.
        let simulator = small_world(&["--faults-at", "35=scroll_restart@/users/scroll"]);
        let listed = ask(&simulator.base_url, "1.4", ["members", BULK]).arguments(arguments).succeed();
        assert!(listed.stderr.contains(RESTARTING), "{}", listed.stderr);
        let text = if is_file { std::fs::read_to_string(&file).unwrap() } else { listed.stdout };
        let first_word =
            |line: &str| line.trim_start_matches(['{', '"']).trim_start_matches("contact_id\":\"").chars().take(24).collect::<String>();
        let is_id = |word: &String| word.len() == 24 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut ids: Vec<String> = text.lines().map(|line| first_word(line.trim_start())).filter(is_id).collect();
        ids.sort();
        assert_eq!(ids, simulator.members(BULK), "{arguments:?}");
    }
}
