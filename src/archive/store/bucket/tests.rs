//! Tests with lost leases, paused runs, and stores that fail.

mod faulty;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object_store::memory::InMemory;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::*;
use crate::store::{BucketError, Location};
use faulty::{Counts, Faulty, Plan};

const MONTHS: [&str; 3] = ["snapshots/run_month=2026-08", "snapshots/run_month=2026-09", "history/run_month=2026-09"];
/// A lease that expires soon, so that no test waits long.
const SHORT: Term = Term { lasts: std::time::Duration::from_millis(20), renewed_every: std::time::Duration::from_secs(600) };

fn uri() -> BucketUri {
    let Ok(Location::Bucket(uri)) = Location::parse("s3://bucket/job") else { panic!() };
    uri
}

/// The bucket as a machine with this work folder opens it.
fn opened(objects: &Arc<dyn ObjectStore>, work: &Path) -> Bucket {
    Bucket { term: SHORT, ..Bucket::new(objects.clone(), Versions::None, &uri(), work.to_path_buf(), 1 << 30) }
}

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

/// Publishes a month with these files.
fn publish(bucket: &Bucket, folder: &str, files: &[(&str, String)]) -> Result<(), PublishError> {
    let staging = Staging::new(&bucket.staging(), "test")?.with_hashed_names();
    for (name, text) in files {
        fs::write(staging.place(name)?, text).unwrap();
        staging.list(name, 1)?;
    }
    staging.seal(&json!({ "files": staging.files() }))?;
    bucket.publish(staging, folder)
}

/// The months with the texts of their files, as a reader follows the manifests. Each listed file must be there.
fn visible(objects: &Arc<dyn ObjectStore>) -> BTreeMap<String, Vec<String>> {
    let work = tempfile::tempdir().unwrap();
    let bucket = opened(objects, work.path());
    let mut found = BTreeMap::new();
    for section in ["snapshots", "history"] {
        for name in bucket.folders(section).unwrap() {
            let folder = format!("{section}/{name}");
            let manifest: Value = serde_json::from_slice(&bucket.read(&manifest_in(&folder)).unwrap().unwrap()).unwrap();
            let files: Vec<ListedFile> = serde_json::from_value(manifest["files"].clone()).unwrap();
            let text = |file: &ListedFile| {
                assert!(bucket.misses(&folder, file).is_none(), "{folder}: {}", file.path);
                bucket.fetch(&folder, file).unwrap();
                fs::read_to_string(bucket.local_path(&folder, file)).unwrap()
            };
            found.insert(folder.clone(), files.iter().map(text).collect());
        }
    }
    found
}

fn is_lost(error: &PublishError) -> bool {
    matches!(BucketError::find_in(error), Some(BucketError::LostLock(_)))
}

#[test]
fn a_run_that_was_paused_undoes_nothing_when_it_wakes_up() {
    let (objects, here, there) = (memory(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (paused, other) = (opened(&objects, here.path()), opened(&objects, there.path()));
    let lock = paused.lock("run").unwrap();
    publish(&paused, MONTHS[0], &[("a", "before".to_string())]).unwrap();
    // The lease is not renewed while the run is paused. Its process is the process of this test, which has not ended. So only the time
    // shows that the lease has expired.
    std::thread::sleep(SHORT.lasts);
    let others_lock = other.lock("run").unwrap();
    for (index, month) in MONTHS.iter().enumerate() {
        publish(&other, month, &[("a", format!("other {index}"))]).unwrap();
    }
    let expected = visible(&objects);
    assert!(is_lost(&publish(&paused, MONTHS[0], &[("a", "late".to_string())]).unwrap_err()));
    assert!(is_lost(&paused.retire(MONTHS[0]).unwrap_err()));
    assert!(is_lost(&paused.write("index.html", b"late").unwrap_err()));
    assert_eq!(visible(&objects), expected);
    // Even with the valid lease of the other process, the paused run cannot write: the manifests are no longer those that it listed.
    *paused.shared.lease.lock().unwrap() = other.shared.lease.lock().unwrap().clone();
    for month in MONTHS {
        assert!(is_lost(&publish(&paused, month, &[("a", "late".to_string())]).unwrap_err()), "{month}");
    }
    assert!(is_lost(&paused.retire(MONTHS[0]).unwrap_err()));
    assert_eq!(visible(&objects), expected);
    drop(lock);
    assert!(publish(&other, MONTHS[0], &[("a", "next".to_string())]).is_ok(), "the lease of the other is not given back");
    drop(others_lock);
}

#[test]
fn nothing_is_written_without_the_lock() {
    let (objects, here) = (memory(), tempfile::tempdir().unwrap());
    let bucket = opened(&objects, here.path());
    assert!(is_lost(&publish(&bucket, MONTHS[0], &[("a", "x".to_string())]).unwrap_err()));
    drop(bucket.lock("run").unwrap());
    assert!(is_lost(&publish(&bucket, MONTHS[0], &[("a", "x".to_string())]).unwrap_err()));
    assert!(visible(&objects).is_empty());
}

#[test]
fn a_live_lease_is_not_taken_over_and_an_expired_one_is() {
    let (objects, here, there) = (memory(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let live = Term { lasts: std::time::Duration::from_millis(400), renewed_every: std::time::Duration::from_millis(40) };
    let bucket = Bucket { term: live, ..opened(&objects, here.path()) };
    let other = Bucket { term: live, ..opened(&objects, there.path()) };
    let lock = bucket.lock("run").unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed() < 3 * live.lasts {
        assert!(matches!(other.lock("run"), Err(StoreError::Locked { .. })), "it is renewed");
    }
    publish(&bucket, MONTHS[0], &[("a", "x".to_string())]).unwrap();
    // A lock that this program cannot read may belong to a running process, so it is taken over only if it does not change.
    drop(lock);
    bucket.shared.objects.put(lease::PATH, b"{\"of\": \"a later version\"}".to_vec()).unwrap();
    let begun = std::time::Instant::now();
    drop(other.lock("run").unwrap());
    assert!(begun.elapsed() >= live.lasts);
}

#[test]
fn what_no_manifest_lists_goes_when_it_is_old_and_nothing_else() {
    let (objects, here) = (memory(), tempfile::tempdir().unwrap());
    let bucket = opened(&objects, here.path());
    let lock = bucket.lock("run").unwrap();
    for text in ["first", "second"] {
        publish(&bucket, MONTHS[0], &[("part", text.to_string()), ("same", "same".to_string())]).unwrap();
    }
    let raw = &bucket.shared.objects;
    // These are files of an interrupted run, files of people, a month whose manifest is damaged, and a month that is marked as removed.
    for path in ["snapshots/run_month=2026-07/part", "notes.txt", "snapshots/README", "applied/run_month=2026-07/part"] {
        raw.put(path, b"left".to_vec()).unwrap();
    }
    raw.put("applied/run_month=2026-07/manifest.json", b"{\"files\": [".to_vec()).unwrap();
    raw.put("reports/run_month=2026-07/members.csv", b"left".to_vec()).unwrap();
    raw.put("reports/run_month=2026-07/manifest.json", REMOVED.to_vec()).unwrap();
    let all = |raw: &Objects| raw.list().unwrap().into_keys().filter(|path| !path.starts_with('.')).collect::<Vec<_>>();
    drop(lock);
    drop(bucket.lock("run").unwrap());
    let young = all(raw);
    assert!(young.iter().filter(|path| path.starts_with(MONTHS[0])).count() == 4, "{young:?}");
    assert!(!young.iter().any(|path| path.starts_with("reports/")), "what was marked as removed does not wait: {young:?}");
    let sweeping = Bucket { kept_unlisted: TimeDelta::zero(), ..opened(&objects, here.path()) };
    std::thread::sleep(std::time::Duration::from_millis(5));
    drop(sweeping.lock("run").unwrap());
    let left = all(raw);
    assert_eq!(visible(&objects)[MONTHS[0]], ["second", "same"]);
    assert_eq!(left.iter().filter(|path| path.starts_with(MONTHS[0])).count(), 3, "{left:?}");
    let others: Vec<&str> = left.iter().map(String::as_str).filter(|path| !path.starts_with(MONTHS[0])).collect();
    assert_eq!(others, ["applied/run_month=2026-07/manifest.json", "applied/run_month=2026-07/part", "notes.txt", "snapshots/README"]);
}

#[test]
fn a_manifest_that_somebody_removed_is_missed_and_its_files_are_kept() {
    let (objects, here) = (memory(), tempfile::tempdir().unwrap());
    let bucket = opened(&objects, here.path());
    let lock = bucket.lock("run").unwrap();
    publish(&bucket, MONTHS[0], &[("a", "x".to_string())]).unwrap();
    publish(&bucket, MONTHS[1], &[("a", "y".to_string())]).unwrap();
    bucket.retire(MONTHS[1]).unwrap();
    drop(lock);
    bucket.shared.objects.delete(&manifest_in(MONTHS[0])).unwrap();
    for _ in 0..2 {
        let sweeping = Bucket { kept_unlisted: TimeDelta::seconds(-60), ..opened(&objects, here.path()) };
        let lock = sweeping.lock("run").unwrap();
        assert_eq!(sweeping.folders("snapshots").unwrap(), ["run_month=2026-08"], "it was published; the other was removed");
        assert!(sweeping.is_there(MONTHS[0]).unwrap() && !sweeping.is_there(MONTHS[1]).unwrap());
        assert_eq!(sweeping.read(&manifest_in(MONTHS[0])).unwrap(), None);
        assert_eq!(sweeping.shared.below(MONTHS[0]).unwrap().len(), 1, "its files are there");
        // Another month changes, so that the catalog is written again.
        publish(&sweeping, MONTHS[2], &[("a", "z".to_string())]).unwrap();
        drop(lock);
    }
    // `retire` removes the month although its manifest is missing.
    let lock = bucket.lock("report").unwrap();
    bucket.retire(MONTHS[0]).unwrap();
    assert!(bucket.folders("snapshots").unwrap().is_empty() && bucket.shared.below(MONTHS[0]).unwrap().is_empty());
    drop(lock);
}

/// The first file of a published folder, as the manifest lists it.
fn listed(bucket: &Bucket, folder: &str) -> ListedFile {
    bucket.shared.files_of(folder).unwrap().unwrap().remove(0)
}

#[test]
fn a_name_proves_no_bytes() {
    let (objects, here) = (memory(), tempfile::tempdir().unwrap());
    let bucket = opened(&objects, here.path());
    let lock = bucket.lock("run").unwrap();
    publish(&bucket, MONTHS[0], &[("a", "right".to_string())]).unwrap();
    let file = listed(&bucket, MONTHS[0]);
    let path = format!("{}/{}", MONTHS[0], file.path);
    bucket.shared.objects.put(&path, b"wrong".to_vec()).unwrap();
    // The copy on this machine is right; the object is not.
    assert!(bucket.fetch(MONTHS[0], &file).is_ok());
    assert!(matches!(bucket.verify(MONTHS[0], &file), Err(Problem::Damage(text)) if text.contains("differs")));
    publish(&bucket, MONTHS[0], &[("a", "right".to_string())]).unwrap();
    bucket.verify(MONTHS[0], &file).unwrap();
    drop(lock);
    // A file that the bucket lacks is missing, even if the cache has a copy.
    bucket.shared.objects.delete(&path).unwrap();
    let again = opened(&objects, here.path());
    assert!(again.shared.cache.has(&file.checksum.digits()).unwrap());
    assert!(matches!(again.fetch(MONTHS[0], &file), Err(Problem::Damage(text)) if text.contains("missing")));
}

#[test]
fn a_month_that_could_not_be_cached_is_published() {
    let (objects, here) = (memory(), tempfile::tempdir().unwrap());
    fs::write(here.path().join("cache"), "a file where the folder should be").unwrap();
    let bucket = opened(&objects, here.path());
    let _lock = bucket.lock("run").unwrap();
    publish(&bucket, MONTHS[0], &[("a", "text".to_string())]).unwrap();
    assert_eq!(visible(&objects), BTreeMap::from([(MONTHS[0].to_string(), vec!["text".to_string()])]));
}

#[test]
fn a_store_that_does_not_answer_is_no_damage() {
    let faulty = Arc::new(Faulty::new(Plan::default()));
    let objects: Arc<dyn ObjectStore> = faulty.clone();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bucket = opened(&objects, here.path());
    let lock = bucket.lock("run").unwrap();
    publish(&bucket, MONTHS[0], &[("a", "x".to_string())]).unwrap();
    let file = listed(&bucket, MONTHS[0]);
    drop(lock);
    let store: Arc<dyn Store> = Arc::new(opened(&objects, there.path()));
    let files = crate::store::ReadManifest::open(&store, MONTHS[0]).unwrap().unwrap().files(&[file]).unwrap();
    faulty.set(Plan { fails_before: 1.0, ..Plan::default() });
    for damage in [files.verify().unwrap_err(), files.verify_in_place().unwrap_err(), files.problems(true).unwrap_err()] {
        assert!(damage.is_unreachable() && damage.to_string().contains("cannot be read"), "{damage}");
        assert!(BucketError::find_in(&damage).is_some_and(|error| matches!(error, BucketError::Unreachable(_))), "{damage:?}");
    }
    assert!(files.problems(false).unwrap().is_empty(), "sizes are known from the list");
    faulty.set(Plan::default());
    files.verify_in_place().unwrap();
}

#[test]
fn a_catalog_that_was_changed_is_not_believed() {
    let (objects, here) = (memory(), tempfile::tempdir().unwrap());
    let bucket = opened(&objects, here.path());
    let lock = bucket.lock("run").unwrap();
    publish(&bucket, MONTHS[0], &[("a", "x".to_string())]).unwrap();
    let manifest = bucket.read(&manifest_in(MONTHS[0])).unwrap();
    drop(lock);
    let catalog = String::from_utf8(bucket.shared.objects.get(".manifests.json").unwrap().unwrap().0).unwrap();
    for changed in [catalog.replace("rows", "r0ws"), "{\"half".to_string(), "[]".to_string()] {
        bucket.shared.objects.put(".manifests.json", changed.into_bytes()).unwrap();
        assert_eq!(opened(&objects, here.path()).read(&manifest_in(MONTHS[0])).unwrap(), manifest);
    }
}

#[test]
fn reports_of_formats_that_are_no_longer_wanted_go_at_once() {
    let (objects, here) = (memory(), tempfile::tempdir().unwrap());
    let bucket = opened(&objects, here.path());
    let _lock = bucket.lock("run").unwrap();
    let folder = "reports/run_month=2026-08";
    for names in [&["members.csv", "members.parquet"][..], &["members.parquet"]] {
        let staging = Staging::new(&bucket.staging(), "test").unwrap();
        for name in names {
            fs::write(staging.place(name).unwrap(), "x").unwrap();
            staging.list(name, 1).unwrap();
        }
        staging.seal(&json!({ "files": staging.files() })).unwrap();
        bucket.publish(staging, folder).unwrap();
    }
    assert_eq!(bucket.shared.below(folder).unwrap(), ["manifest.json", "members.parquet"].map(|name| format!("{folder}/{name}")));
}

#[test]
fn a_store_that_ignores_conditions_is_refused() {
    for ignores in [Plan { ignores_create: true, ..Plan::default() }, Plan { ignores_update: true, ..Plan::default() }] {
        let objects: Arc<dyn ObjectStore> = Arc::new(Faulty::new(ignores));
        let here = tempfile::tempdir().unwrap();
        assert!(matches!(opened(&objects, here.path()).try_out(), Err(StoreError::Unconditional { .. })));
        assert!(matches!(opened(&objects, here.path()).lock("run"), Err(StoreError::Unconditional { .. })));
    }
}

#[test]
fn months_that_did_not_change_cost_one_list_and_one_read() {
    let faulty = Arc::new(Faulty::new(Plan::default()));
    let objects: Arc<dyn ObjectStore> = faulty.clone();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bucket = opened(&objects, here.path());
    let lock = bucket.lock("run").unwrap();
    for year in 2024..2027 {
        for month in 1..=12 {
            for section in ["snapshots", "history", "reports"] {
                publish(&bucket, &format!("{section}/run_month={year}-{month:02}"), &[("a", format!("{section} {month} {year}"))]).unwrap();
            }
        }
    }
    drop(lock);
    faulty.counts();
    let other = opened(&objects, there.path());
    let lock = other.lock("run").unwrap();
    for section in ["snapshots", "history", "reports"] {
        for name in other.folders(section).unwrap() {
            assert!(other.read(&format!("{section}/{name}/manifest.json")).unwrap().is_some());
        }
    }
    drop(lock);
    let Counts { lists, reads, writes } = faulty.counts();
    assert_eq!((lists, reads), (1, 2), "the lease, and all manifests at once");
    assert!(writes <= 6, "{writes}: the lease is taken, renewed, tried out twice and given back");
    // A manifest that somebody else wrote is read again.
    let changed = bucket.shared.objects.get("history/run_month=2026-03/manifest.json").unwrap().unwrap().0;
    bucket.shared.objects.put("history/run_month=2026-03/manifest.json", [&changed[..], b"\n"].concat()).unwrap();
    let third = opened(&objects, there.path());
    assert_eq!(third.read("history/run_month=2026-03/manifest.json").unwrap().unwrap().len(), changed.len() + 1);
}

/// One command that publishes, replaces and removes months. Fails when the store fails.
fn command(bucket: &Bucket, version: u64) -> Result<(), StoreError> {
    let _lock = bucket.lock("run")?;
    for (index, month) in MONTHS.iter().enumerate() {
        publish(bucket, month, &[("a", format!("a of {index} in {version}")), ("b", format!("b of {index}")), ("c", "c".repeat(100))])?;
    }
    bucket.write("index.html", format!("{version}").as_bytes())?;
    bucket.retire("reports/run_month=2026-08")?;
    publish(bucket, "reports/run_month=2026-08", &[("d", format!("d in {version}"))])?;
    Ok(())
}

#[test]
fn a_store_that_fails_shows_whole_months_and_the_command_that_is_repeated_ends_it() {
    let seeds: u64 = std::env::var("COHORTS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    for seed in 0..seeds {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let faulty = Arc::new(Faulty::new(Plan::default()));
        let objects: Arc<dyn ObjectStore> = faulty.clone();
        let machines = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut is_done = false;
        for attempt in 0..40 {
            // In the last attempts, the store does not fail.
            faulty.set(if attempt < 30 { Plan::random(&mut random) } else { Plan::default() });
            let bucket = opened(&objects, machines[random.random_range(0..2)].path());
            let result = command(&bucket, seed * 100);
            faulty.set(Plan::default());
            let shown = visible(&objects);
            for (month, texts) in &shown {
                assert_eq!(texts.len(), 3, "seed {seed}, attempt {attempt}: {month}");
            }
            match result {
                Ok(()) => {
                    assert_eq!(shown.len(), MONTHS.len(), "seed {seed}");
                    is_done = true;
                    break;
                }
                Err(StoreError::Locked { .. }) => std::thread::sleep(SHORT.lasts),
                Err(StoreError::Publish(error)) => {
                    assert!(BucketError::find_in(&error).is_some(), "seed {seed}: {error}: {}", error.cause());
                }
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        assert!(is_done, "seed {seed}");
    }
}

impl Plan {
    fn random(random: &mut impl Rng) -> Plan {
        let chance = |random: &mut dyn FnMut() -> f64, rate: f64| if random() < 0.5 { 0.0 } else { random() * rate };
        let mut draw = || random.random::<f64>();
        Plan {
            fails_before: chance(&mut draw, 0.2),
            fails_after: chance(&mut draw, 0.2),
            cuts_lists: chance(&mut draw, 0.3),
            reads_stale: chance(&mut draw, 0.2),
            dies_after: if draw() < 0.3 { Some((draw() * 40.0) as usize) } else { None },
            seed: (draw() * 1e9) as u64,
            ..Plan::default()
        }
    }
}
