//! Stored bytes that are not what was written: noticed before they are used, whatever uses them.
//!
//! COHORTS_FLIPS says how many flipped bits are tried: a few here, more with `just soak`.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

use crate::support::fixture::{self, four_months, one_month, plain_job};
use crate::support::job::{Job, Place, manifest};
use crate::support::program::{Finished, on, run};
use crate::support::side_by_side;
use crate::support::simulator::Simulator;
use crate::support::tables::{Table, count};
use crate::support::tree::{Tree, check_same, published, tables, with_hash};
use crate::support::truth::{AUGUST, JULY, SEPTEMBER};

/// A server where nothing listens: what needs it fails.
const NOWHERE: &str = "http://127.0.0.1:9";
const MANIFEST: &str = "snapshots/run_month=2026-07/manifest.json";

/// July and August, whole.
fn two_months() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let place = Place::kept("two-months-for-damage");
        crate::support::tree::copy(one_month(), &place.job_folder());
        observe(&place, &AUGUST).check_code(0);
        offline(&place, "report", &["--all"]).check_code(0);
        place.job_folder()
    });
    &MADE
}

/// All formats: damage of each is noticed.
fn job() -> Job {
    plain_job().with_all_formats()
}

fn observe(place: &Place, month: &crate::support::truth::Month) -> Finished {
    let simulator = Simulator::at(month.as_of, &[]);
    run(&place.job(&job(), &simulator.base_url), &["--as-of", month.as_of]).finish()
}

fn offline(place: &Place, command: &str, arguments: &[&str]) -> Finished {
    on(&place.job(&job(), NOWHERE), command, arguments).finish()
}

/// Part of the work was done; the message says why not all.
#[track_caller]
fn check_partial(finished: &Finished, words: &[&str]) {
    finished.check_code(6);
    for word in words.iter().chain(&["error: ", "hint: "]) {
        assert!(finished.stderr.contains(word), "`{word}` is not in: {}", finished.stderr);
    }
}

fn flip(path: &Path, bit: u64) {
    let mut bytes = fs::read(path).unwrap();
    let bit = usize::try_from(bit).unwrap() % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

fn without(mut tree: Tree, name: &str) -> Tree {
    tree.remove(name);
    tree
}

/// One file of each kind: under a month's three folders each table, each format, each manifest.
fn kinds() -> Vec<String> {
    let mut seen = BTreeSet::new();
    let kind = |name: &str| name.split('/').filter(|part| !part.starts_with("run_month=")).collect::<Vec<_>>().join("/");
    let mut names: Vec<String> = published(two_months()).into_keys().filter(|name| name.contains("run_month=2026-07/")).collect();
    names.retain(|name| seen.insert(kind(name)));
    names
}

fn flips() -> Vec<(String, u64)> {
    let wanted = std::env::var("COHORTS_FLIPS").ok().map_or(12, |text| text.parse().expect("COHORTS_FLIPS is a number"));
    // Bits by chance; a failure names its own.
    let chance = RandomState::new();
    let kinds = kinds();
    let start = chance.hash_one("where to begin") as usize;
    // A step that meets every kind before it meets one again.
    let others = (1..wanted).map(|flip| (kinds[start.wrapping_add(flip * 7) % kinds.len()].clone(), chance.hash_one(flip)));
    others.chain([(MANIFEST.to_string(), chance.hash_one("of the manifest"))]).collect()
}

#[test]
fn a_flipped_bit_is_noticed_and_never_becomes_another_number() {
    let whole = published(two_months());
    side_by_side(
        &flips(),
        |(name, bit)| format!("bit {bit} of {name}"),
        |(name, bit)| {
            let place = Place::with(two_months());
            flip(&place.job_folder().join(name), *bit);
            offline(&place, "status", &["--check", "--as-of", AUGUST.as_of]).check_code(8);
            let rebuilt = offline(&place, "report", &["--all"]);
            if name.starts_with("snapshots/") {
                check_partial(&rebuilt, &["snapshots/run_month=2026-07", "damaged", "--accept-loss"]);
                // What was built from it when it was whole stays, and so does August, which rests on it.
                let same = |tree: Tree| without(without(tree, name), "index.html");
                check_same(&same(published(&place.job_folder())), &same(whole.clone()), name);
            } else {
                rebuilt.check_code(0);
                check_same(&published(&place.job_folder()), &whole, name);
            }
        },
    );
}

#[test]
fn the_next_month_rests_on_nothing_that_is_damaged() {
    let undisturbed = Place::with(two_months());
    observe(&undisturbed, &SEPTEMBER).check_code(0);
    let expected = tables(published(&undisturbed.job_folder()));
    let chance = RandomState::new();
    let names = ["ledger.parquet", "triangle.parquet", "counts.parquet", "states.parquet", "profiles.parquet", "manifest.json"];
    side_by_side(
        &names.map(|name| (format!("history/run_month=2026-08/{name}"), chance.hash_one(name))),
        |(name, bit)| format!("bit {bit} of {name}"),
        |(name, bit)| {
            let place = Place::with(two_months());
            let path = place.job_folder().join(name);
            flip(&if name.ends_with(".json") { path } else { with_hash(&path) }, *bit);
            let next = observe(&place, &SEPTEMBER);
            next.check_code(0);
            assert!(next.stderr.contains("the history of 2026-08 is damaged and is rebuilt"), "{}", next.stderr);
            check_same(&tables(published(&place.job_folder())), &expected, name);
        },
    );
}

#[test]
fn a_damaged_snapshot_keeps_no_other_month_from_being_observed_and_built() {
    let undisturbed = Place::with(two_months());
    observe(&undisturbed, &SEPTEMBER).check_code(0);
    // Its history is whole, and September rests on that.
    let place = Place::with(two_months());
    let members = with_hash(&place.snapshot("2026-08").join("members/part-0000.parquet"));
    let name = members.strip_prefix(place.job_folder()).unwrap().to_str().unwrap();
    flip(&members, 4_000);
    observe(&place, &SEPTEMBER).check_code(0);
    let same = |place: &Place| without(tables(published(&place.job_folder())), name);
    check_same(&same(&place), &same(&undisturbed), "September after a damaged August");

    // Nothing can be built from it any more: September follows July.
    let place = Place::with(two_months());
    flip(&place.job_folder().join(name), 4_000);
    fs::remove_dir_all(place.history("2026-08")).unwrap();
    let next = observe(&place, &SEPTEMBER);
    check_partial(&next, &["snapshots/run_month=2026-08", "members/part-0000.", "--accept-loss"]);
    assert!(next.stdout.contains("2026-09 published"), "{}", next.stdout);
    for row in place.report("2026-09", "cohort_summary").rows_by_name() {
        assert_eq!(row["compared_month"].shown(), "2026-07-01");
    }
}

#[test]
fn no_month_is_counted_from_one_that_was_counted_again_and_knows_less() {
    let place = Place::with(&four_months().job_folder());
    let counts = |place: &Place| fs::read(with_hash(&place.history("2026-09").join("counts.parquet"))).unwrap();
    let before = counts(&place);
    // August is compared with July. Its history is whole, its reports are missing: it is counted again, and who unsubscribed since July is
    // unknown now. September's history is missing: it continues August's history, which knows.
    flip(&with_hash(&place.snapshot("2026-07").join("contacts/part-0000.parquet")), 4_000);
    for gone in [place.reports("2026-08"), place.history("2026-09"), place.reports("2026-09")] {
        fs::remove_dir_all(gone).unwrap();
    }
    let report = on(&place.job(&fixture::job(), NOWHERE), "report", &["--all"]).without_token().finish();
    check_partial(&report, &["snapshots/run_month=2026-07", "contacts/part-0000."]);
    let unknown =
        |month: &str| place.report(month, "cohort_summary").rows_by_name().iter().all(|row| row["newly_unsubscribed"] == count(None));
    assert!(unknown("2026-08") && !unknown("2026-09"));
    assert!(counts(&place) == before, "September's history changed");
}

#[test]
fn a_snapshot_that_was_exchanged_is_damage_until_it_is_accepted() {
    // A whole one, of other members: nobody replaced it, as far as the job knows.
    let place = Place::with(two_months());
    let other = Place::new();
    let simulator = Simulator::at(JULY.as_of, &["--seed", "70"]);
    run(&other.job(&job(), &simulator.base_url), &["--month", "2026-07", "--as-of", JULY.as_of]).succeed();
    fs::remove_dir_all(place.snapshot("2026-07")).unwrap();
    crate::support::tree::copy(&other.snapshot("2026-07"), &place.snapshot("2026-07"));
    let before = published(&place.job_folder());
    let refused = offline(&place, "report", &["--all"]);
    check_partial(&refused, &["2026-07", "not the one that its history was built from", "--accept-loss"]);
    let same = |tree: Tree| without(tree, "index.html");
    check_same(&same(published(&place.job_folder())), &same(before), "an exchanged snapshot");
    let index = fs::read_to_string(place.job_folder().join("index.html")).unwrap();
    assert_eq!(index.matches("its snapshot is damaged").count(), 1, "{index}");
    offline(&place, "status", &["--check", "--as-of", AUGUST.as_of]).check_code(8);

    let accepted = offline(&place, "report", &["--month", "2026-07", "--accept-loss"]);
    accepted.check_code(0);
    assert!(accepted.stdout.contains("2026-07  its snapshot is accepted as it is"), "{}", accepted.stdout);
    offline(&place, "status", &["--check", "--as-of", AUGUST.as_of]).check_code(0);
    check_same(&tables_of(&place.snapshot("2026-07")), &tables_of(&other.snapshot("2026-07")), "accepted as it is");
}

fn tables_of(folder: &Path) -> Tree {
    tables(crate::support::tree::tree(folder))
}

#[test]
fn a_loss_that_is_accepted_takes_the_month_and_nothing_else() {
    let place = Place::with(two_months());
    let whole = published(&place.job_folder());
    // Nothing is lost of what is whole.
    let kept = offline(&place, "report", &["--month", "2026-07", "--accept-loss"]);
    kept.check_code(0);
    assert!(kept.stdout.contains("nothing was given up"), "{}", kept.stdout);
    check_same(&published(&place.job_folder()), &whole, "nothing was damaged");
    for (arguments, code) in [(&["--accept-loss"][..], 2), (&["--month", "2026-01", "--accept-loss"], 2)] {
        offline(&place, "report", arguments).check_code(code);
    }

    fs::remove_file(place.snapshot("2026-07").join("manifest.json")).unwrap();
    let given_up = offline(&place, "report", &["--month", "2026-07", "--accept-loss"]);
    given_up.check_code(0);
    assert!(given_up.stdout.contains("2026-07  given up"), "{}", given_up.stdout);
    let is_july = |name: &String| name.contains("run_month=2026-07/");
    let left = published(&place.job_folder());
    assert!(!left.keys().any(is_july), "{:?}", left.keys());
    assert!(place.report("2026-08", "cohort_summary").rows_by_name().iter().all(|row| row["compared_month"].shown() == ""));
    let alone = Place::new();
    observe(&alone, &AUGUST).check_code(0);
    check_same(&tables(left), &tables(published(&alone.job_folder())), "August alone");
    offline(&place, "status", &["--check", "--as-of", AUGUST.as_of]).check_code(0);
}

/// A contact that both months hold.
fn somebody(place: &Place) -> String {
    let august: BTreeSet<String> = place.snapshot_table("2026-08", "contacts").texts("contact_id").into_iter().collect();
    let july = place.snapshot_table("2026-07", "contacts").texts("contact_id");
    july.into_iter().find(|id| august.contains(id)).expect("somebody stays")
}

#[test]
fn forget_does_not_copy_damage_and_says_what_is_left_to_do() {
    let place = Place::with(two_months());
    let id = somebody(&place);
    let damaged = with_hash(&place.snapshot("2026-07").join("attributes/part-0000.parquet"));
    let whole = fs::read(&damaged).unwrap();
    flip(&damaged, 8_000);
    let before = tables_of(&place.job_folder().join("snapshots/run_month=2026-07"));
    let forgotten = offline(&place, "forget", &["--contact", &id]);
    check_partial(&forgotten, &["snapshots/run_month=2026-07", "attributes/part-0000.", "again"]);
    assert!(forgotten.stdout.contains("removed from the snapshots  2026-08") && !forgotten.stderr.contains(&id), "{forgotten:?}");
    check_same(&tables_of(&place.job_folder().join("snapshots/run_month=2026-07")), &before, "a damaged snapshot");
    // In August nothing is left of them, nor in what was built from it.
    for folder in [place.snapshot("2026-08"), place.history("2026-08"), place.reports("2026-08")] {
        for name in crate::support::tree::tree(&folder).into_keys().filter(|name| name.ends_with(".parquet")) {
            assert!(!holds(&folder.join(&name), &id), "{name}");
        }
    }
    // An address cannot be looked up there either.
    check_partial(&offline(&place, "forget", &["--email", "nobody@nowhere.example"]), &["2026-07"]);
    // Once it is restored, the same call goes on with whom it was about.
    fs::write(&damaged, whole).unwrap();
    offline(&place, "forget", &["--email", "nobody@nowhere.example"]).check_code(0);
    for month in ["2026-07", "2026-08"] {
        assert!(!place.snapshot_table(month, "contacts").texts("contact_id").contains(&id));
        assert_eq!(place.manifest(month)["forgotten"], 1);
    }
    offline(&place, "status", &["--check", "--as-of", AUGUST.as_of]).check_code(0);
}

fn holds(parquet: &Path, id: &str) -> bool {
    Table::parquet(parquet).rows.into_iter().flatten().any(|cell| cell.shown() == id)
}

#[test]
fn whom_a_forget_was_about_is_not_lost_with_its_journal() {
    let place = Place::with(two_months());
    fs::create_dir_all(place.job_folder().join(".work")).unwrap();
    fs::write(place.job_folder().join(".work/forgetting.json"), "{\"contact_ids\": [\"6").unwrap();
    offline(&place, "forget", &["--contact", "nobody"]).check_failure(6, &["forgetting.json", "delete the file"]);
}

#[test]
fn a_manifest_carries_its_own_checksum() {
    for folder in ["snapshots", "history", "reports"] {
        let folder = two_months().join(folder).join("run_month=2026-08");
        let text = fs::read_to_string(folder.join("manifest.json")).unwrap();
        let last = text.lines().rev().nth(1).unwrap();
        assert!(last.starts_with("  \"checksum\": \"") && last.len() == 80, "{last}");
        assert_eq!(manifest(&folder)["checksum"], Value::from(&last[15..79]));
    }
}

#[test]
fn a_manifest_that_is_not_json_is_damaged_and_not_of_another_version() {
    let whole = published(two_months());
    for section in ["history", "reports"] {
        let place = Place::with(two_months());
        let path = place.job_folder().join(section).join("run_month=2026-08/manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen(",\n  \"checksum\"", "\n  \"checksum\"", 1)).unwrap();
        let status = offline(&place, "status", &["--check", "--as-of", AUGUST.as_of]);
        status.check_code(8);
        let said = format!("{section} damaged: its manifest.json is not JSON");
        assert!(status.stdout.contains(&said), "{section}: {}", status.stdout);
        offline(&place, "report", &["--all"]).check_code(0);
        check_same(&published(&place.job_folder()), &whole, section);
    }
}
