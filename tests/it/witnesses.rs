//! A total is no witness for the rows it came with. What other sources say of them: the contacts' own lists, the listing of
//! groups, the month before, the other answers of the same run.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::{Job, Place};
use crate::support::program::{ask, run};
use crate::support::scripted::{Reply, Request, Scripted, forward};
use crate::support::simulator::Simulator;
use crate::support::tables::Cell;
use crate::support::truth::{AUGUST, JULY};
use crate::support::{TOKEN, side_by_side};

const ACTIVE: &str = "segment:63bbdd50aa01c0ffee000001";
const VALUE_LEAD: &str = "tag:1373897";
const VIP: &str = "tag:1400074";

/// What the server behind answers, changed.
fn changed(address: &str, request: &Request, change: impl FnOnce(&mut Value)) -> Reply {
    match forward(address, request) {
        Reply::Http { status, body, .. } => {
            let mut answer: Value = serde_json::from_slice(&body).unwrap();
            change(&mut answer);
            Reply::text(status, "application/json", &answer.to_string())
        }
        other => other,
    }
}

/// Severity, value and expected value of a month's finding about a subject.
fn finding(place: &Place, month: &str, check_name: &str, subject: &str) -> Option<(String, String, String)> {
    let text = |cell: &Cell| match cell {
        Cell::Text(text) => text.clone(),
        _ => String::new(),
    };
    let rows = place.report(month, "data_quality").rows_by_name();
    let found = rows.iter().find(|row| text(&row["check_name"]) == check_name && text(&row["subject"]) == subject)?;
    Some((text(&found["severity"]), text(&found["value"]), text(&found["expected"])))
}

/// Who is in each cohort by the snapshot.
fn members(place: &Place, month: &str, kind: &str) -> BTreeSet<String> {
    let text = |cell: &Cell| format!("{cell:?}");
    let rows = place.snapshot_table(month, "members").rows_by_name();
    let of_kind = rows.iter().filter(|row| text(&row["cohort_key"]).contains(kind));
    of_kind.map(|row| format!("{} {}", text(&row["cohort_key"]), text(&row["contact_id"]))).collect()
}

fn july(simulator_or_recorder: &str, job: &Job) -> (Place, crate::support::program::Program) {
    let place = Place::new();
    let file = place.job(job, simulator_or_recorder);
    let program = run(&file, &["--as-of", JULY.as_of]);
    (place, program)
}

#[test]
fn members_whom_the_search_does_not_give_are_taken_from_their_own_lists() {
    let whole = Place::with(one_month());
    // Over 1.x contacts list their segments, too, and groups are lists by themselves.
    for (version, path, kinds) in [("2.14", "/contacts/search", &["tag"][..]), ("1.4", "/users", &["tag", "segment"])] {
        let simulator = Simulator::at(JULY.as_of, &["--faults", &format!("index_behind@{path}:1")]);
        let (place, program) = july(&simulator.base_url, &plain_job().with_intercom(format!("api_version = \"{version}\"")));
        program.succeed();
        for kind in kinds {
            assert_eq!(members(&place, "2026-07", kind), members(&whole, "2026-07", kind), "{kind} on {version}");
        }
        let (severity, came, searched) = finding(&place, "2026-07", "search_behind", VIP).unwrap();
        assert_eq!(severity, "warning");
        assert!(came.parse::<u64>().unwrap() > searched.parse().unwrap(), "{came} {searched}");
        let manifest = place.manifest("2026-07");
        assert_eq!(manifest["incomplete"], json!([]));
        let cohort = manifest["cohorts"].as_array().unwrap().iter().find(|cohort| cohort["cohort_key"] == VIP).unwrap();
        assert_eq!(cohort["announced"].to_string(), searched, "the API's own total stays what it said");
    }
}

#[test]
fn members_whom_the_search_gives_too_many_are_not_members() {
    let whole = Place::with(one_month());
    let simulator = Simulator::at(JULY.as_of, &[]);
    let address = simulator.address().to_string();
    // Whoever lost the tag is still in the index: a search for one tag gives the holders of another, too.
    let recorder = Scripted::before(simulator.address(), move |request| {
        let mut body = request.json();
        let is_tag = body["query"]["field"] == "tag_id" && body["query"]["value"] == "1373897";
        is_tag.then(|| {
            let either = ["1373897", "1400074"].map(|tag| json!({"field": "tag_id", "operator": "=", "value": tag}));
            body["query"] = json!({"operator": "OR", "value": either});
            forward(&address, &Request { body: body.to_string().into_bytes(), ..request.clone() })
        })
    });
    let (place, program) = july(&recorder.base_url, &plain_job());
    program.succeed();
    assert_eq!(members(&place, "2026-07", "tag"), members(&whole, "2026-07", "tag"));
    assert_eq!(finding(&place, "2026-07", "search_behind", VALUE_LEAD).unwrap().0, "warning");
}

#[test]
fn own_lists_that_were_cut_short_prove_a_search_wrong_and_do_not_replace_it() {
    let simulator = Simulator::at(JULY.as_of, &["--faults", "index_behind@/contacts/search:1"]);
    let address = simulator.address().to_string();
    let recorder = Scripted::before(simulator.address(), move |request| {
        // Who is asked is not there, so nobody knows the tags that their lists left out.
        (request.path().starts_with("/contacts/") && request.path().ends_with("/tags"))
            .then(|| forward(&address, &Request { target: "/contacts/nobody".to_string(), ..request.clone() }))
    });
    let job = Job { segments: Vec::new(), ..plain_job() };
    let (place, program) = july(&recorder.base_url, &job);
    program.finish().check_failure(6, &["2026-07", VIP, "in the contacts' own lists"]);
    assert!(!place.snapshot("2026-07").exists());
    // What came may be published all the same, and is compared with no other month.
    let file = place.job(&job, &recorder.base_url);
    run(&file, &["--as-of", JULY.as_of, "--accept-incomplete"]).succeed();
    let incomplete = place.manifest("2026-07")["incomplete"].clone();
    assert!(incomplete.as_array().unwrap().iter().any(|key| key == VIP), "{incomplete}");
}

/// Changes what a contact answers who is asked for its tags, and says whether it is there at all.
type Asked = fn(&mut Value) -> bool;

/// A server in whose answers the own lists of tags of all contacts were cut short before they named a tag, and in which a search
/// for the VIPs gives a third of them from August on. `asked`: what a contact answers who is asked for its tags.
fn cut_lists(simulator: &Simulator, is_behind: bool, asked: Asked) -> Scripted {
    let address = simulator.address().to_string();
    Scripted::before(simulator.address(), move |request| {
        let is_vip = request.json()["query"]["value"] == "1400074" && is_behind;
        match (request.method.as_str(), request.path()) {
            ("GET", "/contacts") | ("POST", "/contacts/search") => Some(changed(&address, request, |page| {
                let rows = page["data"].as_array_mut().unwrap();
                for contact in rows.iter_mut() {
                    contact["tags"] = json!({"type": "list", "data": [], "has_more": true, "total_count": 11, "url": "/t"});
                }
                if is_vip {
                    rows.truncate(rows.len() / 3);
                    page["total_count"] = json!(page["data"].as_array().unwrap().len());
                }
            })),
            ("GET", path) if path.starts_with("/contacts/") && path.ends_with("/tags") => {
                let mut is_there = true;
                let answer = changed(&address, request, |page| is_there = asked(page));
                let nobody = Request { target: "/contacts/nobody".to_string(), ..request.clone() };
                Some(if is_there { answer } else { forward(&address, &nobody) })
            }
            _ => None,
        }
    })
}

#[test]
fn own_lists_that_were_cut_short_vouch_for_nothing_and_are_completed_where_a_group_shrinks() {
    let job = Job { segments: Vec::new(), tags: vec!["VIP".to_string()], ..plain_job() }.with_top("conversations = false");
    let july = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let recorder = cut_lists(&simulator, false, |_| true);
    run(&july.job(&job, &recorder.base_url), &["--as-of", JULY.as_of]).succeed();
    assert!(recorder.requests().iter().all(|request| !request.path().ends_with("/tags") || request.path() == "/tags"), "nobody is asked");

    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let whole: BTreeSet<String> = simulator.members(VIP).into_iter().collect();
    // A contact that is asked gives all of its tags; is deleted; gives the first ten and says that there are more.
    let asked: [(Asked, bool); 3] = [
        (|_| true, true),
        (|_| false, false),
        (
            |page| {
                page["has_more"] = json!(true);
                true
            },
            false,
        ),
    ];
    for (asked, is_replaced) in asked {
        let place = Place::with(&july.job_folder());
        let recorder = cut_lists(&simulator, true, asked);
        run(&place.job(&job, &recorder.base_url), &["--as-of", AUGUST.as_of]).succeed();
        let found = members(&place, "2026-08", "tag");
        assert_eq!(found.len() == whole.len(), is_replaced, "{} of {}", found.len(), whole.len());
        let reported = if is_replaced { "search_behind" } else { "fell_by_half" };
        assert_eq!(finding(&place, "2026-08", reported, VIP).unwrap().0, "warning");
        assert_eq!(finding(&place, "2026-08", "own_lists_cut_short", VIP).is_none(), is_replaced);
    }
}

#[test]
fn a_segment_of_1x_that_gives_nobody_is_taken_from_own_lists() {
    let whole = Place::with(one_month());
    let simulator = Simulator::at(JULY.as_of, &[]);
    let address = simulator.address().to_string();
    let recorder = Scripted::before(simulator.address(), move |request| {
        request.parameter("segment_id").map(|_| {
            changed(&address, request, |page| {
                page["users"] = json!([]);
                page["total_count"] = json!(0);
                page["pages"] = json!({"type": "pages", "next": null, "page": 1, "per_page": 60, "total_pages": 0});
            })
        })
    });
    let (place, program) = july(&recorder.base_url, &plain_job().with_intercom("api_version = \"1.4\""));
    program.succeed();
    assert_eq!(members(&place, "2026-07", "segment"), members(&whole, "2026-07", "segment"));
    assert_eq!(finding(&place, "2026-07", "search_behind", ACTIVE).unwrap().0, "warning");
}

#[test]
fn an_author_who_is_still_a_contact_opened_the_conversation_whoever_takes_part() {
    let whole = Place::with(one_month());
    let simulator = Simulator::at(JULY.as_of, &[]);
    let address = simulator.address().to_string();
    let other = simulator.contacts()[0]["id"].clone();
    let recorder = Scripted::before(simulator.address(), move |request| {
        (request.path() == "/conversations/search").then(|| {
            changed(&address, request, |page| {
                for conversation in page["conversations"].as_array_mut().unwrap() {
                    conversation["contacts"]["contacts"] = json!([{"type": "contact", "id": other}]);
                }
            })
        })
    });
    let (place, program) = july(&recorder.base_url, &plain_job());
    program.succeed();
    let openers = |place: &Place| -> Vec<String> {
        let rows = place.snapshot_table("2026-07", "conversations").rows_by_name();
        rows.iter().map(|row| format!("{:?} {:?}", row["conversation_id"], row["opened_by"])).collect()
    };
    assert_eq!(openers(&place), openers(&whole));
    assert_eq!(finding(&place, "2026-07", "authors_merged", "conversations"), None);
}

/// The count of the segment in the listing of groups, set.
fn listing(simulator: &Simulator, count: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Scripted {
    let address = simulator.address().to_string();
    Scripted::before(simulator.address(), move |request| {
        (request.path() == "/segments").then(|| {
            changed(&address, request, |page| {
                for segment in page["segments"].as_array_mut().unwrap() {
                    segment["count"] = json!(count(segment["count"].as_u64().unwrap()));
                }
            })
        })
    })
}

#[test]
fn a_segment_that_the_listing_counts_otherwise_is_read_again_and_then_reported() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let job = Job { tags: Vec::new(), ..plain_job() }.with_top("conversations = false");
    let reads = |recorder: &Scripted| recorder.requests().iter().filter(|request| request.stream().as_deref() == Some(ACTIVE)).count();

    let agrees = listing(&simulator, |count| count + count / 25);
    let (place, program) = july(&agrees.base_url, &job);
    program.succeed();
    assert_eq!(finding(&place, "2026-07", "listed_count", ACTIVE).unwrap().0, "info", "a gap of 4 %");

    let lags = listing(&simulator, |count| count + count / 10);
    let (place, program) = july(&lags.base_url, &job);
    program.succeed();
    let (severity, came, listed) = finding(&place, "2026-07", "listed_count", ACTIVE).unwrap();
    assert_eq!(severity, "warning");
    assert_eq!(came.parse::<u64>().unwrap() + came.parse::<u64>().unwrap() / 10, listed.parse::<u64>().unwrap());
    assert_eq!(reads(&lags), 2 * reads(&agrees), "it was read twice");

    let listed = ask(&lags.base_url, "2.14", ["members", "segment:Active", "--format", "jsonl"]).succeed();
    assert!(listed.stderr.contains("the listing of segments counts"), "{}", listed.stderr);

    let differs = listing(&simulator, |count| 2 * count + 1);
    let (place, program) = july(&differs.base_url, &job);
    program.finish().check_failure(6, &["2026-07", ACTIVE, "in the listing of segments"]);
    assert!(!place.snapshot("2026-07").exists());
    let file = place.job(&job, &differs.base_url);
    run(&file, &["--as-of", JULY.as_of, "--accept-incomplete"]).succeed();
    assert_eq!(place.manifest("2026-07")["incomplete"], json!([ACTIVE]));
}

#[test]
fn a_group_that_falls_by_half_without_another_witness_is_reported() {
    let job = Job { segments: Vec::new(), ..plain_job() }.with_top("conversations = false").with_top("population = \"cohorts\"");
    let place = Place::new();
    for (month, keeps) in [(&JULY, 1), (&AUGUST, 4)] {
        let simulator = Simulator::at(month.as_of, &[]);
        let address = simulator.address().to_string();
        let recorder = Scripted::before(simulator.address(), move |request| {
            request.stream().is_some().then(|| {
                changed(&address, request, |page| {
                    let rows = page["data"].as_array_mut().unwrap();
                    rows.truncate(rows.len().div_ceil(keeps));
                    page["total_count"] = json!(page["data"].as_array().unwrap().len());
                    page["pages"].as_object_mut().unwrap().remove("next");
                })
            })
        });
        let file = place.job(&job, &recorder.base_url);
        run(&file, &["--as-of", month.as_of]).succeed();
    }
    assert_eq!(finding(&place, "2026-07", "fell_by_half", VALUE_LEAD), None);
    let (severity, now, before) = finding(&place, "2026-08", "fell_by_half", VALUE_LEAD).unwrap();
    assert_eq!(severity, "warning");
    assert!(2 * now.parse::<u64>().unwrap() < before.parse().unwrap());
}

#[test]
fn a_refused_page_has_the_same_message_on_any_page_and_is_no_expired_cursor() {
    side_by_side(
        &[1, 2],
        |page| format!("page {page}"),
        |first| {
            let simulator = Simulator::at(JULY.as_of, &["--faults-at", &format!("{first}-=404@/conversations")]);
            let (place, program) = july(&simulator.base_url, &plain_job());
            let finished = program.finish();
            finished.check_failure(
                6,
                &["2026-07", "`POST /conversations/search` answered 404", "deleted conversation", "api_version", "--accept-incomplete"],
            );
            assert!(!finished.stderr.contains("expired"), "{}", finished.stderr);
            let file = place.job(&plain_job(), &simulator.base_url);
            run(&file, &["--as-of", JULY.as_of, "--accept-incomplete"]).succeed();
            assert_eq!(place.manifest("2026-07")["incomplete"], json!(["conversations"]));
        },
    );
}

#[test]
fn lists_of_groups_that_come_in_pages_are_whole_or_an_error() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let paged = Simulator::at(JULY.as_of, &["--faults", "paged_groups:1"]);
    for version in ["2.14", "1.4"] {
        for command in ["tags", "segments"] {
            let list = |base_url: &str| ask(base_url, version, [command, "--json"]).succeed().stdout;
            assert_eq!(list(&paged.base_url), list(&simulator.base_url), "{command} on {version}");
        }
    }
    // A page that cannot be asked for, or that is the first one once more.
    for pages in [json!({"next": "https://elsewhere.example/tags"}), json!({"total_pages": 2}), json!({"next": {"starting_after": "x"}})] {
        let address = simulator.address().to_string();
        let next = pages.clone();
        let recorder = Scripted::before(simulator.address(), move |request| {
            (request.path() == "/tags").then(|| changed(&address, request, |page| page["pages"] = next.clone()))
        });
        let failed = ask(&recorder.base_url, "2.14", ["tags"]).finish();
        failed.check_failure(6, &["`GET /tags`", "page"]);
        let (place, program) = july(&recorder.base_url, &plain_job());
        program.finish().check_code(6);
        assert!(!place.snapshot("2026-07").exists(), "{pages}");
    }
}

#[test]
fn where_the_api_names_no_workspace_contacts_do() {
    let place = Place::with(one_month());
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let of_workspace = |workspace: Option<&'static str>| {
        let address = simulator.address().to_string();
        Scripted::before(simulator.address(), move |request| match (request.path(), workspace) {
            ("/me", _) => Some(Reply::json(&json!({"type": "admin", "id": "1", "app": null}))),
            ("/contacts" | "/contacts/search", Some(workspace)) => Some(changed(&address, request, |page| {
                for contact in page["data"].as_array_mut().unwrap() {
                    contact["workspace_id"] = json!(workspace);
                }
            })),
            _ => None,
        })
    };
    let other = of_workspace(Some("an0ther"));
    let file = place.job(&plain_job(), &other.base_url);
    run(&file, &["--as-of", AUGUST.as_of]).finish().check_failure(2, &["w0rk5pac", "an0ther"]);
    assert!(!place.snapshot("2026-08").exists());
    // Conversations do not say whose they are: nothing of that run may be taken over.
    assert!(std::fs::read_dir(place.job_folder().join(".work")).unwrap().next().is_none());

    let same = of_workspace(None);
    let file = place.job(&plain_job(), &same.base_url);
    run(&file, &["--as-of", AUGUST.as_of]).succeed();
    let (severity, _, expected) = finding(&place, "2026-08", "workspace_unnamed", "workspace").unwrap();
    assert_eq!((severity.as_str(), expected.as_str()), ("warning", "w0rk5pac"));
}

#[test]
fn rows_that_can_never_be_used_are_for_a_person_and_not_for_a_scheduler() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    for (path, list) in [("/contacts/search", "data"), ("/contacts", "data"), ("/conversations/search", "conversations"), ("/tags", "data")]
    {
        let address = simulator.address().to_string();
        let recorder = Scripted::before(simulator.address(), move |request| {
            (request.path() == path).then(|| {
                changed(&address, request, |page| {
                    if let Some(row) = page[list].get_mut(0) {
                        row["id"] = Value::Null;
                    }
                })
            })
        });
        let (place, program) = july(&recorder.base_url, &plain_job().with_intercom("give_up_after = \"2s\""));
        let finished = program.finish();
        finished.check_failure(6, &[path, "[", ".id`"]);
        assert!(!finished.stderr.contains(TOKEN) && !place.snapshot("2026-07").exists());
    }
}

#[test]
fn an_id_is_never_a_path() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let address = simulator.address().to_string();
    let recorder = Scripted::before(simulator.address(), move |request| {
        (request.path() == "/tags").then(|| changed(&address, request, |page| page["data"][0]["id"] = json!("x/../../victim")))
    });
    let (place, program) = july(&recorder.base_url, &plain_job().with_intercom("give_up_after = \"2s\""));
    let victim = place.output().join("victim");
    std::fs::create_dir_all(&victim).unwrap();
    std::fs::write(victim.join("kept"), "of somebody else").unwrap();
    program.finish().check_failure(6, &["`GET /tags`", "data[].id"]);
    assert_eq!(std::fs::read(victim.join("kept")).unwrap(), b"of somebody else");
}

#[test]
fn conversations_keep_who_takes_part() {
    let place = Place::with(one_month());
    let rows = place.snapshot_table("2026-07", "conversations").rows_by_name();
    let text = |cell: &Cell| if let Cell::Text(text) = cell { Some(text.clone()) } else { None };
    let opened: Vec<(Option<String>, Option<String>)> =
        rows.iter().map(|row| (text(&row["opened_by"]), text(&row["contact_ids"]))).collect();
    assert!(opened.iter().any(|(opener, _)| opener.is_some()));
    for (opener, contacts) in opened {
        let contacts = contacts.unwrap();
        assert!(opener.is_none_or(|opener| contacts.split(' ').any(|contact| contact == opener)), "{contacts}");
    }
}

#[test]
fn a_second_count_of_the_conversations_is_compared_with_what_was_read() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    // Within the tolerance, and beyond it.
    for (share, is_found) in [(2_000, false), (20, true)] {
        let address = simulator.address().to_string();
        let recorder = Scripted::before(simulator.address(), move |request| {
            (request.path() == "/conversations" && request.is_conversation_total()).then(|| {
                changed(&address, request, |page| {
                    let total = page["total_count"].as_u64().unwrap();
                    page["total_count"] = json!(total + total.div_ceil(share));
                })
            })
        });
        let (place, program) = july(&recorder.base_url, &plain_job());
        program.succeed();
        let found = finding(&place, "2026-07", "conversations_behind", "conversations");
        assert_eq!(found.is_some(), is_found, "{share}");
        if let Some((severity, value, expected)) = found {
            let (value, expected): (u64, u64) = (value.parse().unwrap(), expected.parse().unwrap());
            assert_eq!((severity.as_str(), expected), ("warning", value + value.div_ceil(share)));
        }
    }
}
