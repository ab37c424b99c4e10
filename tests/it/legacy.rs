//! The job over API 1.x: the same months as over 2.x, the lists by page number, plans, faults and refusals. Groups that
//! need the scroll are in `scroll`, lists that answer oddly in `lists`.

mod lists;
mod scroll;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::month_end::REPORTS;
use crate::support::fixture::{self, COHORTS, plain_job};
use crate::support::job::{Job, Place};
use crate::support::program::run;
use crate::support::scripted::{Reply, Request, Scripted, forward};
use crate::support::side_by_side;
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Row};
use crate::support::tree::{Tree, check_same, published, tables, tree};
use crate::support::truth::{AUGUST, JULY};

/// A job as it is, asked in a version.
fn asked_in(version: &str, job: Job) -> Job {
    job.with_intercom(format!("api_version = \"{version}\""))
}

/// The groups of many tests, with a profile of attributes that both generations have.
fn shared_job() -> Job {
    let profile = "profile = [\"role\", \"country\", \"custom_attributes.plan\", \"custom_attributes.seats\"]";
    Job { top: Vec::new(), ..fixture::job() }.with_top(profile).with_top("opened_at_least = [1, 3, 5]")
}

/// Two months of one world, observed at the same instants in either version.
struct Both {
    old: Place,
    new: Place,
}

const MONTHS: [&str; 2] = ["2026-07", "2026-08"];

fn both() -> &'static Both {
    static BOTH_MADE: LazyLock<Both> = LazyLock::new(|| {
        let both = Both { old: Place::kept("legacy-1.4"), new: Place::kept("legacy-2.14") };
        for month in [JULY, AUGUST] {
            let simulator = Simulator::at(month.as_of, &[]);
            for (place, version) in [(&both.old, "1.4"), (&both.new, "2.14")] {
                run(&place.job(&asked_in(version, shared_job()), &simulator.base_url), &["--as-of", month.as_of]).succeed();
            }
        }
        both
    });
    &BOTH_MADE
}

#[test]
fn reports_over_1_4_and_over_2_14_are_the_same() {
    for month in MONTHS {
        // 1.x has no subscriptions.
        for (name, _) in REPORTS.iter().filter(|(name, _)| !["data_quality", "unsubscribes"].contains(name)) {
            let [old, new] = [&both().old, &both().new].map(|place| place.report(month, name));
            assert_eq!((&old.columns, old.rows.len()), (&new.columns, new.rows.len()), "{name} of {month}");
            // A first month is compared with none: nobody is known to have come or gone. Those who came in the second are not
            // followed yet.
            let is_silent = *name == "membership_survival" || month == MONTHS[0] && ["retention_curve", "movement"].contains(name);
            assert_eq!(new.rows.is_empty(), is_silent, "{name} of {month} says nothing");
            for (old, new) in old.rows_by_name().iter().zip(new.rows_by_name()) {
                let different: Vec<_> = new.iter().filter(|(column, cell)| old[*column] != **cell).collect();
                assert!(different.is_empty(), "{name} of {month}: 2.14 has {different:?} in {new:?}");
            }
            let [old, new] =
                [&both().old, &both().new].map(|place| std::fs::read(place.reports(month).join(format!("{name}.csv"))).unwrap());
            assert!(old == new, "{name}.csv of {month} differs");
        }
    }
    // What is the same is not nothing: the second month has come and gone, conversations and users beside leads.
    let summary = both().old.report("2026-08", "cohort_summary");
    for column in ["joined", "departed", "openers", "users", "leads", "unsubscribed"] {
        let sum: i64 = summary.rows_by_name().iter().map(|row| if let Cell::Count(count) = row[column] { count } else { 0 }).sum();
        assert!(sum > 0, "nobody in `{column}`");
    }
}

#[test]
fn findings_over_1_4_and_over_2_14_differ_in_what_1x_does_not_tell() {
    for month in MONTHS {
        let findings = |place: &Place| -> BTreeSet<[String; 3]> {
            let rows = place.report(month, "data_quality").rows_by_name();
            rows.iter().map(|row| ["severity", "check_name", "subject"].map(|name| row[name].shown())).collect()
        };
        let (old, new) = (findings(&both().old), findings(&both().new));
        let only = |here: &BTreeSet<[String; 3]>, there: &BTreeSet<[String; 3]>| -> Vec<String> {
            here.difference(there).map(|finding| finding.join(" ")).collect()
        };
        assert_eq!(
            only(&old, &new),
            ["info profile_not_checked profile", "info subscriptions_unknown subscriptions", "warning no_announced_total conversations"],
            "{month}: only over 1.4"
        );
        assert_eq!(only(&new, &old), [""; 0], "{month}: only over 2.14");
        assert!(new.len() > COHORTS.len(), "{month} has findings in common");
    }
}

/// Columns of the snapshot's contacts that 1.x knows nothing of.
const LACKING: [&str; 15] = [
    "last_replied_at",
    "last_contacted_at",
    "last_email_opened_at",
    "last_email_clicked_at",
    "android_last_seen_at",
    "ios_last_seen_at",
    "browser",
    "browser_version",
    "browser_language",
    "os",
    "language_override",
    "android_device",
    "android_os_version",
    "ios_device",
    "ios_os_version",
];
/// Those of them that nobody of the invented workspace has in 2.x either.
const NOBODY: [&str; 6] =
    ["android_last_seen_at", "ios_last_seen_at", "android_device", "android_os_version", "ios_device", "ios_os_version"];

#[test]
fn contacts_of_1x_agree_one_by_one_in_what_it_knows_and_are_null_in_what_it_lacks() {
    for month in MONTHS {
        let contacts = |place: &Place| -> BTreeMap<Vec<String>, Row> { place.snapshot_table(month, "contacts").keyed(&["contact_id"]) };
        let (old, new) = (contacts(&both().old), contacts(&both().new));
        assert!(old.len() > 200);
        assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
        let columns: Vec<&String> = new.values().next().unwrap().keys().collect();
        for column in columns {
            let reported = |rows: &BTreeMap<Vec<String>, Row>| rows.values().filter(|row| row[column] != Cell::Null).count();
            if LACKING.contains(&column.as_str()) {
                assert_eq!((reported(&old), reported(&new) > 0), (0, !NOBODY.contains(&column.as_str())), "`{column}` of {month}");
                continue;
            }
            for (id, row) in &new {
                assert_eq!(old[id][column], row[column], "`{column}` of {id:?} in {month}");
            }
        }
    }
}

#[test]
fn members_attributes_and_conversations_of_1x_agree_but_for_what_it_lacks() {
    for month in MONTHS {
        let [old, new] = [&both().old, &both().new].map(|place| place.snapshot_table(month, "members"));
        assert!(new.rows.len() > 100 && old == new, "members of {month}");

        // Objects as values came with custom objects, in 2.x.
        let key = ["contact_id", "attribute"];
        let [old, mut new] = [&both().old, &both().new].map(|place| place.snapshot_table(month, "attributes").keyed(&key));
        new.retain(|_, row| row["value_type"].shown() != "json");
        assert!(new.len() > 100 && old == new, "attributes of {month}");

        let [old, mut new] = [&both().old, &both().new].map(|place| place.snapshot_table(month, "conversations").rows_by_name());
        assert!(new.len() > 10 && new.iter().all(|row| row["source_type"] != Cell::Null));
        new.iter_mut().for_each(|row| drop(row.insert("source_type".into(), Cell::Null)));
        assert_eq!(old, new, "conversations of {month}");
    }
}

#[test]
fn names_that_1x_escapes_for_html_are_the_same_in_both_generations() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let names = ["O'Brien", "O&#39;Brien", "&#39;", "&amp;amp;", "Tom & Jorla <\"Quend\">", "R&D; & co", "空木 &"];
    let members = simulator.members("tag:1400074");
    let is_user = |contact: &serde_json::Value| contact["role"] == "user" && members.iter().any(|id| contact["id"] == id.as_str());
    let users: Vec<String> = simulator.contacts().iter().filter(|contact| is_user(contact)).map(|user| user["id"].to_string()).collect();
    assert!(users.len() > names.len());
    for (id, name) in users.iter().zip(names) {
        let body = format!(r#"{{"id": {id}, "name": {}}}"#, serde_json::to_string(name).unwrap());
        let answer = in_1x(&simulator, "POST", "/users", body.as_bytes());
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
    let sent = String::from_utf8(in_1x(&simulator, "GET", "/users?tag_id=1400074&per_page=60", b"").body).unwrap();
    for text in ["O&#39;Brien", "O&amp;#39;Brien", "\"&amp;#39;\"", "&amp;amp;amp;"] {
        assert!(sent.contains(text), "1.x sends `{text}`: {sent}");
    }

    let job = Job { timezone: Some("Europe/Dublin".into()), tags: vec!["VIP".into()], ..Job::empty() };
    let job = job.with_top("conversations = false").with_top("population = \"cohorts\"").with_top("profile = []");
    let [old, new] = ["1.4", "2.14"].map(|version| {
        let place = Place::new();
        run(&place.job(&asked_in(version, job.clone()), &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
        let names = |table: crate::support::tables::Table| table.texts("contact_id").into_iter().zip(table.texts("name")).collect();
        [names(place.snapshot_table(JULY.name, "contacts")), names(place.report(JULY.name, "members"))]
    });
    let [contacts, _]: &[BTreeMap<String, String>; 2] = &new;
    for name in names {
        assert!(contacts.values().any(|found| found == name), "`{name}` in {contacts:?}");
    }
    assert_eq!(old, new);
}

fn in_1x(simulator: &Simulator, method: &str, target: &str, body: &[u8]) -> crate::support::http::Answer {
    let headers = [("Authorization", format!("Bearer {}", crate::support::TOKEN)), ("Intercom-Version", "1.4".to_string())];
    let headers = headers.map(|(name, value)| (name.to_string(), value));
    crate::support::http::send(simulator.address(), method, target, &headers, body)
}

/// One month of a small job over 1.4 where nothing goes wrong.
fn undisturbed() -> &'static Tree {
    static UNDISTURBED: LazyLock<Tree> = LazyLock::new(|| {
        let simulator = Simulator::at(JULY.as_of, &[]);
        observed(&simulator.base_url, asked_in("1.4", plain_job()))
    });
    &UNDISTURBED
}

/// Runs July, and gives the bytes of all tables.
fn observed(base_url: &str, job: Job) -> Tree {
    let place = Place::new();
    run(&place.job(&job, base_url), &["--as-of", JULY.as_of]).succeed();
    tables(published(&place.job_folder()))
}

#[test]
fn every_1x_and_every_page_size_gives_the_same_tables() {
    let ways = [
        ("1.0", "page_size = 20"),
        ("1.1", "page_size = 7"),
        ("1.2", "page_size = 60"),
        ("1.3", "page_size = 150"),
        ("1.4", "page_size = 20\nmax_concurrency = 1"),
    ];
    let simulator = Simulator::at(JULY.as_of, &[]);
    side_by_side(
        &ways,
        |way| format!("{way:?}"),
        |(version, lines)| {
            let job = asked_in(version, Job { intercom: vec![lines.to_string()], ..plain_job() });
            check_same(&observed(&simulator.base_url, job), undisturbed(), "another way to ask");
        },
    );
}

/// What goes wrong, and whether a list has to be read a second time for it.
struct Fault {
    at: &'static str,
    retries: u64,
    rate_limited: u64,
    second_walk: bool,
}

#[test]
fn faults_on_pages_of_1x_leave_no_trace_in_the_tables() {
    let fault = |at, retries| Fault { at, retries, rate_limited: 0, second_walk: false };
    // Of the conversations only the first page and its repetitions: a later one may be asked for in vain.
    let faults = [
        fault("2=500@/users,9=503@/users,2=502@/contacts,1=504@/conversations,2=html@/conversations", 5),
        fault("3=cut@/users,8=half@/users,1=empty@/contacts,1=garbage@/conversations,2=cut@/conversations", 5),
        Fault { rate_limited: 2, ..fault("5=429@/users,1=429-bare@/conversations", 2) },
        fault("1-60=noheaders,3-6=extra@/users,1=extra@/conversations", 0),
        // The next address is not followed, wherever it leads.
        fault("1-9=loop@/users,10-40=foreign-next@/users,1=foreign-next@/contacts,1-2=foreign-next@/conversations", 0),
        Fault { second_walk: true, ..fault("4=drop@/users", 0) },
        Fault { second_walk: true, ..fault("2=drop@/contacts", 0) },
    ];
    side_by_side(
        &faults,
        |fault| fault.at.to_string(),
        |fault| {
            let simulator = Simulator::at(JULY.as_of, &["--faults-at", fault.at]);
            let place = Place::new();
            let finished = run(&place.job(&asked_in("1.4", plain_job()), &simulator.base_url), &["--as-of", JULY.as_of]).succeed();
            check_same(&tables(published(&place.job_folder())), undisturbed(), fault.at);
            assert_eq!(place.manifest("2026-07")["retries"], fault.retries);
            assert_eq!(simulator.stats().rate_limited, fault.rate_limited);
            assert_eq!(finished.stderr.contains("the stream is read again"), fault.second_walk, "{}", finished.stderr);
        },
    );
}

#[test]
fn a_list_of_1x_that_never_comes_whole_is_6_and_shows_nothing() {
    let simulator = Simulator::at(JULY.as_of, &["--faults-at", "1-1000=drop@/users"]);
    let place = Place::new();
    let file = place.job(&asked_in("1.4", plain_job()), &simulator.base_url);
    run(&file, &["--as-of", JULY.as_of]).finish().check_failure(6, &["2026-07", "population"]);
    assert_eq!(published(&place.job_folder()), Tree::new());
}

#[test]
fn conversations_are_read_back_to_the_months_beginning_and_no_further() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let by_number =
        |request: &Request| (request.path() == "/conversations").then(|| request.parameter("page")?.parse::<u64>().ok()).flatten();
    let pages = |recorder: &Scripted| recorder.requests().iter().filter_map(by_number).max().unwrap();
    let plain = Scripted::before(simulator.address(), |_| None);
    let expected = observed(&plain.base_url, asked_in("1.4", plain_job()));
    let all = crate::support::http::json(&simulator.base_url, "/_simulator/state")["conversations"].as_u64().unwrap().div_ceil(20);
    assert!(pages(&plain) < all / 2, "{} pages of {all} were read for one month", pages(&plain));
    assert!(pages(&plain) > 1);

    // A server that knows no order but that of the latest change: further back, but the same.
    let address = simulator.address().to_string();
    let by_change = Scripted::before(simulator.address(), move |request| {
        let target = request.target.replace("sort=created_at", "sort=updated_at");
        (request.path() == "/conversations").then(|| forward(&address, &Request { target, ..request.clone() }))
    });
    let found = observed(&by_change.base_url, asked_in("1.4", plain_job()));
    check_same(&found, &expected, "by the latest change");
}

#[test]
fn conversations_beyond_10_000_are_refused_with_what_to_do() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let recorder = Scripted::before(simulator.address(), |request| {
        let error =
            r#"{"type": "error.list", "errors": [{"code": "parameter_invalid", "message": "page limit reached, please use scroll API"}]}"#;
        let is_capped = request.path() == "/conversations" && request.parameter("page").as_deref() == Some("2");
        is_capped.then(|| Reply::text(400, "application/json", error))
    });
    let place = Place::new();
    let file = place.job(&asked_in("1.4", plain_job()), &recorder.base_url);
    let finished = run(&file, &["--as-of", JULY.as_of]).finish();
    finished.check_failure(6, &["/conversations", "10,000", "conversations = false", "api_version"]);
    assert_eq!(published(&place.job_folder()), Tree::new());
}

#[test]
fn a_dry_run_over_1x_prints_sizes_and_fetches_nobody() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let place = Place::new();
    let file = place.job(&asked_in("1.4", shared_job()), &recorder.base_url);
    let plan = run(&file, &["--as-of", JULY.as_of, "--dry-run"]).succeed().stdout;
    let state = crate::support::http::json(&simulator.base_url, "/_simulator/state");
    let everyone = state["contacts"].as_u64().unwrap();
    let members = COHORTS.iter().map(|(key, _)| (*key, simulator.members(key).len() as u64));
    for (key, rows) in members.chain([("population", everyone)]) {
        let line = plan.lines().find(|line| line.contains(&format!("{key} "))).unwrap_or_else(|| panic!("no line of {key}:\n{plan}"));
        let requests = rows.div_ceil(40).max(1);
        let numbers: Vec<&str> = line.split_whitespace().rev().filter(|word| word.parse::<u64>().is_ok()).take(3).collect();
        // In one stream: 1.x has no slices.
        assert_eq!(numbers, [requests.to_string(), "1".to_string(), rows.to_string()], "{line}");
    }
    let line = plan.lines().find(|line| line.contains("conversations")).unwrap();
    assert!(line.contains("unknown"), "1.x does not know how many conversations a month has: {line}");

    // Two lists of everyone and each tag once; what a segment holds stands in the list of segments.
    let lists: Vec<Request> = recorder.requests().into_iter().filter(|request| ["/users", "/contacts"].contains(&request.path())).collect();
    assert_eq!(lists.len(), 2 + COHORTS.iter().filter(|(key, _)| key.starts_with("tag:")).count());
    assert!(lists.iter().all(|list| list.per_page() == Some(1)), "one contact is asked for, for the total beside it");
    let asked: BTreeSet<String> = recorder.requests().iter().map(|request| request.path().to_string()).collect();
    assert_eq!(asked.iter().collect::<Vec<_>>(), ["/contacts", "/me", "/segments", "/tags", "/users"]);
    assert_eq!(tree(&place.output()), Tree::new(), "nothing is written");
}

#[test]
fn what_1x_refuses_ends_with_its_exit_code_and_what_to_do() {
    struct Case {
        name: &'static str,
        version: &'static str,
        simulator: &'static [&'static str],
        code: i32,
        named: &'static [&'static str],
        asks: bool,
    }
    let case = |name, version, simulator, code, named| Case { name, version, simulator, code, named, asks: true };
    let cases = [
        case(
            "switched off for the app",
            "1.4",
            &["--without-1x"],
            2,
            &["400", "intercom_version_invalid", "intercom.api_version", "switched off", "another one"],
        ),
        case("a token of another app", "1.4", &["--token", "another"], 3, &["401", "access token"]),
        case("a token without a permission", "1.4", &["--faults", "403@/users:1"], 3, &["403", "/users", "permissions"]),
        Case {
            asks: false,
            ..case("a version between the generations", "1.5", &[], 2, &["api_version", "1.5", "1.0 to 1.4", "2.0 to 2.17"])
        },
        Case { asks: false, ..case("a version with a dot too many", "1.4.1", &[], 2, &["api_version", "1.4.1", "1.0 to 1.4"]) },
        Case { asks: false, ..case("a generation without a version", "1", &[], 2, &["api_version", "1.0 to 1.4"]) },
    ];
    side_by_side(
        &cases,
        |case| case.name.to_string(),
        |case| {
            let simulator = Simulator::at(JULY.as_of, case.simulator);
            let place = Place::new();
            let file = place.job(&asked_in(case.version, plain_job()), &simulator.base_url);
            run(&file, &["--as-of", JULY.as_of]).finish().check_failure(case.code, case.named);
            assert_eq!(published(&place.job_folder()), Tree::new());
            assert_eq!(simulator.stats().requests > 0, case.asks, "{} requests", simulator.stats().requests);
        },
    );
}
