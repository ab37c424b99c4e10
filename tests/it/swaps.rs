//! What stands in the folders of months: readers see each month once while it is replaced, linked months are months, and
//! what this program did not put there stays.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::fixture::{one_month, plain_job};
use crate::support::job::Place;
use crate::support::program::{Program, on, run};
use crate::support::scripted::Scripted;
use crate::support::simulator::Simulator;
use crate::support::tables::Table;
use crate::support::tree::{Tree, check_same, published, tree, with_hash};
use crate::support::truth::JULY;

const TABLES: [&str; 3] = ["snapshots", "history", "reports"];
const MONTH: &str = "run_month=2026-07";

fn offline(place: &Place, command: &str, arguments: &[&str]) -> Program {
    on(&place.job(&plain_job(), "http://127.0.0.1:9"), command, arguments)
}

/// The folders of a table that hold a manifest, hidden ones included: what `*` means to some readers.
fn months_of(table: &Path) -> Vec<String> {
    let names = fs::read_dir(table).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| table.join(name).join("manifest.json").exists()).collect()
}

#[test]
fn readers_see_a_month_once_while_it_is_replaced() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::with(one_month());
    let file = place.job(&plain_job(), &simulator.base_url);
    // A folder that is open keeps its inode, so that no later one can have the same number.
    let folders = || TABLES.map(|table| fs::File::open(place.job_folder().join(table).join(MONTH)).unwrap());
    let inode = |folder: &fs::File| folder.metadata().unwrap().ino();
    let before = folders();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut looks = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                for table in TABLES {
                    assert_eq!(months_of(&place.job_folder().join(table)), [MONTH], "{table}, look {looks}");
                }
                looks += 1;
            }
            looks
        });
        for _ in 0..3 {
            run(&file, &["--as-of", JULY.as_of, "--replace"]).succeed();
            on(&file, "report", &["--all"]).succeed();
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(looking.join().unwrap() > 1_000);
    });
    assert!(folders().iter().zip(&before).all(|(now, before)| inode(now) != inode(before)), "all of them were replaced");
    assert_eq!(tree(&place.job_folder().join(".work")), Tree::new());
}

/// Moves a month of each table elsewhere and puts links in their places. What is behind them.
fn linked(place: &Place) -> Tree {
    for table in TABLES {
        let shown = place.job_folder().join(table).join(MONTH);
        let archive = place.folder().join("archive").join(table);
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        fs::rename(&shown, &archive).unwrap();
        symlink(&archive, &shown).unwrap();
    }
    tree(&place.folder().join("archive"))
}

#[test]
fn a_linked_month_is_a_month_to_every_command() {
    let place = Place::with(one_month());
    let status = |place: &Place| offline(place, "status", &["--json", "--check", "--as-of", JULY.as_of]).succeed().stdout;
    let before = status(&place);
    let archive = linked(&place);
    assert_eq!(status(&place), before);
    assert!(run(&place.job(&plain_job(), "http://127.0.0.1:9"), &["--as-of", JULY.as_of]).succeed().stdout.contains("published already"));
    for table in TABLES {
        assert!(place.job_folder().join(table).join(MONTH).is_symlink(), "nothing of {table} was to be built");
    }
    check_same(&tree(&place.folder().join("archive")), &archive, "what is behind the links");
}

#[test]
fn a_linked_month_that_is_replaced_is_a_folder_and_what_was_behind_it_stays() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let person = Table::parquet_parts(&[place_of_members()]).texts("contact_id").remove(0);
    // What each of them says.
    let replace = |place: &Place| {
        let replaced = run(&place.job(&plain_job(), &simulator.base_url), &["--as-of", JULY.as_of, "--replace"]).succeed();
        replaced.stderr + &offline(place, "report", &["--all"]).succeed().stderr
    };
    let forget = |place: &Place| offline(place, "forget", &["--contact", &person]).succeed().stderr;
    for (what, command) in [("replaced", &replace as &dyn Fn(&Place) -> String), ("forgotten", &forget)] {
        let (place, plain) = (Place::with(one_month()), Place::with(one_month()));
        let archive = linked(&place);
        let said = command(&place);
        command(&plain);
        for table in TABLES {
            let shown = place.job_folder().join(table).join(MONTH);
            assert!(shown.symlink_metadata().unwrap().is_dir(), "{what}: {table}");
            let warned = format!("`{}` was a link to `{}`", shown.display(), place.folder().join("archive").join(table).display());
            assert!(said.contains(&warned), "{what}: {said}");
        }
        check_same(&published(&place.job_folder()), &published(&plain.job_folder()), what);
        check_same(&tree(&place.folder().join("archive")), &archive, what);
    }
}

fn place_of_members() -> std::path::PathBuf {
    with_hash(&one_month().join("snapshots").join(MONTH).join("members/part-0000.parquet"))
}

#[test]
fn a_link_that_leads_nowhere_is_no_month_that_was_never_observed() {
    let place = Place::with(one_month());
    fs::remove_dir_all(place.snapshot("2026-07")).unwrap();
    symlink(place.folder().join("unmounted"), place.snapshot("2026-07")).unwrap();
    let finished = run(&place.job(&plain_job(), "http://127.0.0.1:9"), &["--as-of", JULY.as_of]).finish();
    assert!(finished.code == Some(6) && finished.stderr.contains("run_month=2026-07"), "{finished:?}");
    let status = offline(&place, "status", &["--check", "--as-of", JULY.as_of]).finish();
    assert!(status.code == Some(8) && status.stdout.contains("2026-07 cannot be read"), "{status:?}");
    assert!(place.snapshot("2026-07").is_symlink());
}

#[test]
fn what_somebody_else_put_beside_the_months_stays() {
    let place = Place::with(one_month());
    for hidden in [".git", ".hidden", ".run_month=2026-06", ".run_month=2026-13"] {
        let folder = place.job_folder().join("snapshots").join(hidden);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("mine"), "mine").unwrap();
    }
    fs::write(place.job_folder().join("snapshots/.keep"), "").unwrap();
    let before = published(&place.job_folder());
    offline(&place, "report", &["--all"]).succeed();
    offline(&place, "forget", &["--contact", "nobody"]).succeed();
    check_same(&published(&place.job_folder()), &before, "nothing was to be done");
}

#[test]
fn a_folder_on_another_file_system_is_2_before_the_first_request() {
    let place = Place::new();
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
    let here = device(place.folder()).unwrap();
    let folders = ["/dev/shm", env!("CARGO_TARGET_TMPDIR")].map(Path::new);
    // A machine where all of these are on one file system cannot show it.
    let Some(other) = folders.into_iter().find(|folder| device(folder).is_ok_and(|found| found != here)) else { return };
    let elsewhere = tempfile::tempdir_in(other).unwrap();
    let simulator = Simulator::at(JULY.as_of, &[]);
    for table in TABLES {
        let place = Place::new();
        let recorder = Scripted::before(simulator.address(), |_| None);
        let file = place.job(&plain_job(), &recorder.base_url);
        fs::create_dir_all(place.job_folder()).unwrap();
        symlink(elsewhere.path(), place.job_folder().join(table)).unwrap();
        run(&file, &["--as-of", JULY.as_of]).finish().check_failure(2, &[table, "another file system", "output.dir"]);
        assert_eq!(recorder.requests().len(), 0);
        let checked = on(&file, "check", &[]).finish();
        checked.check_code(2);
        let line = checked.stdout.lines().find(|line| line.contains(" file system ")).unwrap_or_default();
        assert!(line.trim_start().starts_with("error") && line.contains(table), "{}", checked.stdout);
        assert_eq!(tree(elsewhere.path()), Tree::new(), "nothing is left of the trial");
    }
}
