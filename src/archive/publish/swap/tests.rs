use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{Staging, file_names};
use super::*;

const MONTHS: [&str; 2] = ["run_month=2026-09", "run_month=2026-10"];

/// A job's folder with two months of one table.
struct Place(tempfile::TempDir);

/// The answer of a file system that cannot exchange folders.
fn unsupported(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::InvalidInput.into())
}

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for month in MONTHS {
            place.publish(month, "old", exchange);
        }
        place
    }

    fn work(&self) -> PathBuf {
        self.0.path().join(".work")
    }

    fn table(&self) -> PathBuf {
        self.0.path().join("snapshots")
    }

    fn month(&self) -> PathBuf {
        self.table().join(MONTHS[1])
    }

    /// Writes a folder without publishing it.
    fn stage(&self, text: &str) -> PathBuf {
        let staged = self.work().join("staged-snapshot");
        create_folder(&staged.join("contacts")).unwrap();
        fs::write(staged.join("contacts/part"), text).unwrap();
        fs::write(staged.join(MANIFEST), text).unwrap();
        staged
    }

    fn publish(&self, month: &str, text: &str, exchange: Exchange) {
        create_folder(&self.table()).unwrap();
        put(&self.stage(text), &self.table().join(month), exchange).unwrap();
    }

    /// Checks that only the two months exist, and that one of them has this text.
    #[track_caller]
    fn check(&self, text: &str) {
        assert_eq!(entry_names(&self.table()).unwrap(), MONTHS);
        assert_eq!(entry_names(&self.work()).unwrap(), [""; 0]);
        for file in [MANIFEST, "contacts/part"] {
            assert_eq!(fs::read_to_string(self.month().join(file)).unwrap(), text);
        }
    }
}

/// Reads the table again and again while months are replaced. Each read lists the entries (also the hidden ones) and checks that
/// each month has its manifest. Returns the number of reads, and each list of entries that was not exactly the two months.
fn read_during_swaps(place: &Place, exchange: Exchange) -> (u64, BTreeSet<Vec<String>>) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut reads, mut others) = (0, BTreeSet::new());
            while !is_over.load(Ordering::Relaxed) {
                let listed = fs::read_dir(place.table()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
                let mut seen: Vec<String> = listed.filter(|name| place.table().join(name).join(MANIFEST).exists()).collect();
                seen.sort();
                reads += 1;
                if seen != MONTHS {
                    others.insert(seen);
                }
            }
            (reads, others)
        });
        for round in 0..200 {
            place.publish(MONTHS[round % 2], &round.to_string(), exchange);
        }
        is_over.store(true, Ordering::Relaxed);
        reading.join().unwrap()
    })
}

#[test]
fn a_reader_always_sees_each_month_once() {
    let place = Place::new();
    let (reads, others) = read_during_swaps(&place, exchange);
    assert!(reads > 200, "{reads}");
    assert_eq!(others, BTreeSet::new(), "in {reads} reads");
    place.check("199");
}

#[test]
fn without_exchange_no_month_exists_twice() {
    let place = Place::new();
    let (reads, others) = read_during_swaps(&place, unsupported);
    assert!(reads > 200, "{reads}");
    let is_short = |seen: &Vec<String>| seen.len() < 2 && seen.iter().all(|name| MONTHS.contains(&name.as_str()));
    assert!(others.iter().all(is_short), "{others:?}");
    place.check("199");
}

#[test]
fn a_crash_after_an_exchange_leaves_the_new_folder() {
    let place = Place::new();
    exchange(&place.stage("new"), &place.month()).unwrap();
    recover(&place.work()).unwrap();
    place.check("new");
}

#[test]
fn a_crash_between_two_steps_leaves_the_old_folder_or_the_new_one() {
    for has_new in [false, true] {
        let place = Place::new();
        let staged = place.stage("new");
        move_aside(&place.work(), &place.month()).unwrap();
        assert_eq!(entry_names(&place.table()).unwrap(), MONTHS[..1], "nothing beside the months");
        if has_new {
            rename(&staged, &place.month()).unwrap();
        }
        recover(&place.work()).unwrap();
        place.check(if has_new { "new" } else { "old" });
    }
}

#[test]
fn an_old_folder_is_moved_back_when_the_new_one_cannot_be_moved() {
    let place = Place::new();
    let error = put(&place.work().join("staged-nothing"), &place.month(), unsupported).unwrap_err();
    assert!(error.to_string().contains("run_month=2026-10"), "{error}");
    place.check("old");
}

#[test]
fn unfinished_work_is_replaced_like_a_month() {
    // A partition's folder has a name with `@`, which is also the separator of the names aside.
    for stream in ["tag-1", "population@3", "rate 40%40 of 50%"] {
        let place = Place::new();
        let stream = place.work().join("run_month=2026-11").join(stream);
        create_folder(&stream).unwrap();
        fs::write(stream.join("contacts-00000.arrows"), "old").unwrap();
        move_aside(&place.work(), &stream).unwrap();
        recover(&place.work()).unwrap();
        assert_eq!(file_names(&stream).unwrap(), ["contacts-00000.arrows"]);
        for exchange in [exchange, unsupported] {
            let staging = Staging::new(&place.work(), "forget-walk").unwrap();
            put(staging.folder(), &stream, exchange).unwrap();
            assert_eq!(entry_names(&stream).unwrap(), [""; 0]);
            assert_eq!(entry_names(&place.work()).unwrap(), ["run_month=2026-11"]);
        }
    }
}

#[test]
fn names_in_a_work_folder_cannot_lead_out_of_the_job_folder() {
    let work = Path::new("/job/.work");
    for (name, expected) in [
        ("aside-snapshots@run_month=2026-10", Some("/job/snapshots/run_month=2026-10")),
        ("aside-.work@run_month=2026-10@tag-1", Some("/job/.work/run_month=2026-10/tag-1")),
        ("aside-.work@run_month=2026-10@population%402", Some("/job/.work/run_month=2026-10/population@2")),
        ("aside-", None),
        ("aside-@etc", None),
        ("aside-..@other", None),
        ("aside-snapshots@..@..@other", None),
        ("staged-snapshots@run_month=2026-10", None),
    ] {
        assert_eq!(original_path(work, name).as_deref(), expected.map(Path::new), "{name}");
    }
    assert!(move_aside(work, Path::new("/elsewhere/run_month=2026-10")).is_err());
}

#[cfg(unix)]
#[test]
fn of_a_linked_month_only_the_link_is_replaced() {
    use std::os::unix::fs::symlink;
    for exchange in [exchange, unsupported] {
        let place = Place::new();
        let archive = place.0.path().join("archive");
        fs::rename(place.month(), &archive).unwrap();
        symlink(&archive, place.month()).unwrap();
        assert_eq!(folder_names(&place.table()).unwrap(), MONTHS, "a linked month is a month");
        place.publish(MONTHS[1], "new", exchange);
        place.check("new");
        assert!(place.month().symlink_metadata().unwrap().is_dir());
        assert_eq!(fs::read_to_string(archive.join("contacts/part")).unwrap(), "old");
        // The state after a crash before the link was removed.
        symlink(&archive, place.work().join("staged-snapshot")).unwrap();
        symlink("/nowhere", place.work().join("staged-report")).unwrap();
        recover(&place.work()).unwrap();
        place.check("new");
        assert_eq!(fs::read_to_string(archive.join("contacts/part")).unwrap(), "old");
        // A broken link counts as a month.
        fs::remove_dir_all(place.month()).unwrap();
        symlink("/nowhere", place.month()).unwrap();
        assert_eq!(folder_names(&place.table()).unwrap(), MONTHS);
        place.publish(MONTHS[1], "newer", exchange);
        place.check("newer");
    }
}

#[test]
fn a_file_with_the_name_of_a_month_stays() {
    for exchange in [exchange, unsupported] {
        let place = Place::new();
        fs::write(place.table().join("run_month=2026-11"), "mine").unwrap();
        assert!(put(&place.stage("new"), &place.table().join("run_month=2026-11"), exchange).is_err());
        assert_eq!(fs::read_to_string(place.table().join("run_month=2026-11")).unwrap(), "mine");
    }
}

#[test]
fn only_folders_that_an_older_version_moved_aside_are_recovered() {
    let is_ours = |name: &str, aside: &Path| name.starts_with("run_month=") && aside.join(MANIFEST).exists();
    let place = Place::new();
    for hidden in [".git", ".hidden", ".run_month=2026-07"] {
        create_folder(&place.table().join(hidden)).unwrap();
        fs::write(place.table().join(hidden).join("mine"), "mine").unwrap();
    }
    fs::write(place.table().join(".keep"), "").unwrap();
    let before = entry_names(&place.table()).unwrap();
    let aside = place.table().join(".run_month=2026-10");
    // The older version crashed after its first step, then after its second step.
    fs::rename(place.month(), &aside).unwrap();
    recover_beside(&place.table(), is_ours).unwrap();
    assert_eq!(entry_names(&place.table()).unwrap(), before);
    create_folder(&aside).unwrap();
    fs::write(aside.join(MANIFEST), "older").unwrap();
    recover_beside(&place.table(), is_ours).unwrap();
    assert_eq!(entry_names(&place.table()).unwrap(), before);
    assert_eq!(fs::read_to_string(place.month().join(MANIFEST)).unwrap(), "old");
    // A month without a manifest was not put there by a swap, so the folder that was moved aside stays.
    fs::rename(place.month(), &aside).unwrap();
    create_folder(&place.month()).unwrap();
    recover_beside(&place.table(), is_ours).unwrap();
    assert_eq!(fs::read_to_string(aside.join(MANIFEST)).unwrap(), "old");
}
