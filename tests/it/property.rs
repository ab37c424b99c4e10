//! Properties that hold for any paging and any history, through the built binary.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::month_end::check_flows;
use crate::support::job::{Job, Place, texts};
use crate::support::oracle::Oracle;
use crate::support::program::{observe, run};
use crate::support::tables::check_rows;
use crate::support::truth::{AUGUST, Cohort, JULY, JUNE, Month, SEPTEMBER, Truth, instant};
use crate::support::workspace::{Workspace, contact, contact_id, plainly};

/// Few cases, since each is some runs of the program; little shrinking, for the same reason. Seeds are not kept: a case
/// worth keeping becomes a test of its own.
fn check<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value)) {
    let config = Config { cases, max_shrink_iters: 12, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        // Assertions of helpers are panics; proptest shrinks on them as on its own.
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| property(value)));
        checked.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            TestCaseError::fail(text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// How a list is dealt out to pages.
#[derive(Clone, Debug)]
struct Deal {
    /// Rows of one page after the other; what is left over comes in a last one. 0 is an empty page in the middle.
    sizes: Vec<usize>,
    /// Whether each page begins with the last row of the page before: the list has shifted meanwhile.
    repeats: bool,
    /// Whether a total is announced.
    announces: bool,
}

fn deals() -> impl Strategy<Value = Deal> {
    let sizes = prop::collection::vec(prop_oneof![1 => Just(0_usize), 4 => 1..12_usize], 0..8);
    (sizes, any::<bool>(), any::<bool>()).prop_map(|(sizes, repeats, announces)| Deal { sizes, repeats, announces })
}

impl Deal {
    fn deal(&self, ids: Vec<String>) -> (Vec<Vec<String>>, Option<usize>) {
        let total = ids.len();
        let mut rest = ids.into_iter();
        let mut pages: Vec<Vec<String>> = self.sizes.iter().map(|size| rest.by_ref().take(*size).collect()).collect();
        pages.push(rest.collect());
        if self.repeats {
            let lasts: Vec<Option<String>> = pages.iter().map(|page| page.last().cloned()).collect();
            for (page, last) in pages.iter_mut().skip(1).zip(lasts) {
                page.splice(0..0, last);
            }
        }
        (pages, self.announces.then_some(total))
    }
}

#[test]
fn every_contact_is_there_exactly_once_however_the_list_is_paged() {
    let members = prop::collection::btree_set(0..60_usize, 0..40);
    check(8, (0..60_usize, members, deals(), deals()), |(contacts, members, everyone, tag)| {
        let ids: BTreeSet<String> = (0..contacts).map(contact_id).collect();
        let members: BTreeSet<String> = members.into_iter().filter(|number| *number < contacts).map(contact_id).collect();
        let workspace = Workspace {
            id: "paged".to_string(),
            contacts: ids.iter().map(|id| (id.clone(), contact(id, 1_780_000_000))).collect(),
            tags: [("5".to_string(), ("customers".to_string(), members.clone()))].into(),
            ..Workspace::default()
        };
        let server = workspace.serve(move |stream, ids, per_page| match stream {
            "population" => everyone.deal(ids),
            "tag:5" => tag.deal(ids),
            _ => plainly(stream, ids, per_page),
        });
        let place = Place::new();
        let job = Job { tags: texts(&["customers"]), ..Job::empty() }.with_top("profile = []").with_top("conversations = false");
        observe(&place.job(&job, &server.base_url), &["--as-of", JULY.as_of]).succeed();
        let found = place.snapshot_table("2026-07", "contacts").texts("contact_id");
        assert_eq!(found.len(), ids.len(), "each contact once");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), ids);
        let found = place.snapshot_table("2026-07", "members").texts("contact_id");
        assert_eq!(found.len(), members.len(), "each member once");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), members);
    });
}

const TAGS: [(&str, &str); 3] = [("5", "customers"), ("6", "partners"), ("7", "press")];
const CONTACTS: usize = 14;

/// One contact's part in one month.
#[derive(Clone, Debug)]
struct Part {
    exists: bool,
    is_lead: bool,
    unsubscribed: bool,
    /// In which tags.
    tags: [bool; 3],
}

/// One month of a made-up job.
#[derive(Clone, Debug)]
struct Observed {
    /// Whether it is observed in time.
    in_time: bool,
    /// Which tags the job names that month; all when none.
    in_job: [bool; 3],
    parts: Vec<Part>,
}

fn histories() -> impl Strategy<Value = Vec<Observed>> {
    let part = (prop::bool::weighted(0.85), any::<bool>(), any::<bool>(), any::<[bool; 3]>());
    let part = part.prop_map(|(exists, is_lead, unsubscribed, tags)| Part { exists, is_lead, unsubscribed, tags });
    let in_job = [prop::bool::weighted(0.8), prop::bool::weighted(0.8), prop::bool::weighted(0.8)];
    let month = (prop::bool::weighted(0.8), in_job, prop::collection::vec(part, CONTACTS));
    prop::collection::vec(month.prop_map(|(in_time, in_job, parts)| Observed { in_time, in_job, parts }), 4)
}

fn workspace(parts: &[Part]) -> Workspace {
    let mut contacts = BTreeMap::new();
    let mut tags: BTreeMap<String, (String, BTreeSet<String>)> =
        TAGS.iter().map(|(id, name)| (id.to_string(), (name.to_string(), BTreeSet::new()))).collect();
    for (number, part) in parts.iter().enumerate().filter(|(_, part)| part.exists) {
        let id = contact_id(number);
        // One is created just before the end of July, one just at it.
        let created_at = instant(JULY.end).timestamp() + [-1, 0, -86_400 * 90][number.min(2)];
        let mut body = contact(&id, created_at);
        body["role"] = if part.is_lead { "lead" } else { "user" }.into();
        body["unsubscribed_from_emails"] = part.unsubscribed.into();
        for ((tag, _), is_in) in TAGS.iter().zip(part.tags) {
            if is_in {
                tags.get_mut(*tag).unwrap().1.insert(id.clone());
            }
        }
        contacts.insert(id, body);
    }
    Workspace { id: "made-up".to_string(), contacts, tags, ..Workspace::default() }
}

fn truth(month: &Month, workspace: &Workspace) -> Truth {
    let cohort = |(id, (name, holds)): (&String, &(String, BTreeSet<String>))| Cohort {
        key: format!("tag:{id}"),
        name: name.clone(),
        holds: holds.clone(),
    };
    Truth {
        month: month.name.to_string(),
        start: instant(month.start),
        end: instant(month.end),
        observed_at: instant(month.as_of),
        basis: month.basis.to_string(),
        contacts: workspace.contacts.clone(),
        cohorts: workspace.tags.iter().map(cohort).collect(),
        conversations: BTreeSet::new(),
        opened: BTreeMap::new(),
    }
}

#[test]
fn flows_add_up_and_comparisons_are_right_for_any_history() {
    let late = ["2026-07-25T00:00:00Z", "2026-08-25T00:00:00Z", "2026-09-25T00:00:00Z", "2026-10-25T00:00:00Z"];
    check(3, histories(), |history| {
        let place = Place::new();
        let mut truths = Vec::new();
        for ((observed, month), late) in history.iter().zip([JUNE, JULY, AUGUST, SEPTEMBER]).zip(late) {
            let month = if observed.in_time { month } else { month.observed(late, "late") };
            let named = |number: &usize| observed.in_job[*number] || observed.in_job == [false; 3];
            let tags: Vec<(&str, &str)> = (0..3).filter(named).map(|number| TAGS[number]).collect();
            let workspace = workspace(&observed.parts);
            let mut truth = truth(&month, &workspace);
            truth.cohorts.retain(|cohort| tags.iter().any(|(_, name)| cohort.name == *name));
            truths.push(truth);
            let server = workspace.serve(plainly);
            let job = Job {
                tags: tags.iter().map(|(_, name)| name.to_string()).collect(),
                timezone: Some("Europe/Dublin".into()),
                ..Job::empty()
            };
            let file = place.job(&job.with_top("profile = [\"role\"]"), &server.base_url);
            run(&file, &["--month", month.name, "--as-of", month.as_of, "-q"]).succeed();
        }
        let oracle = Oracle { months: &truths, opened_at_least: &[1, 5], profile: &["role"] };
        for truth in &truths {
            let (month, what) = (truth.month.as_str(), format!("{} ({})", truth.month, truth.basis));
            let (summary, members) = (place.report(month, "cohort_summary"), place.report(month, "members"));
            for row in summary.rows_by_name() {
                check_flows(&row, &members.rows_by_name());
            }
            check_rows(&summary.keyed(&["cohort_key"]), &oracle.cohort_summary(month), &what);
            check_rows(&members.keyed(&["cohort_key", "contact_id"]), &oracle.members(month), &what);
            check_rows(&place.report(month, "overlap").keyed(&["cohort_a", "cohort_b"]), &oracle.overlap(month), &what);
            let attributes = place.report(month, "member_attributes").keyed(&["contact_id", "attribute"]);
            check_rows(&attributes, &oracle.member_attributes(month), &what);
        }
    });
}
