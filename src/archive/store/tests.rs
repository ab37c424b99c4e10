//! One test suite for all stores: a folder, a bucket in memory, and the buckets of real servers that the environment variable in
//! [`BUCKETS`] lists, separated by blanks. `.ci/stores` starts the servers.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use serde_json::json;
use tempfile::TempDir;

use super::bucket::{self, Bucket, Versions};
use super::folder::Folder;
use super::*;
use crate::publish::{Checksum, MANIFEST};

const BUCKETS: &str = "COHORTS_TEST_BUCKETS";
const MONTH: &str = "snapshots/run_month=2026-10";

/// Opens a store as a machine with this folder for unfinished work does.
type Open = Box<dyn Fn(&Path) -> Arc<dyn Store>>;

/// A store for one job that several machines can open.
struct Place {
    name: String,
    open: Open,
    _folder: TempDir,
}

/// An empty store of each kind.
fn places(test: &str) -> Vec<Place> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("job");
    let open = move |work: &Path| -> Arc<dyn Store> { Arc::new(Folder::new(root.clone(), Some(work.to_path_buf()))) };
    let mut places = vec![Place { name: "a folder".to_string(), open: Box::new(open), _folder: folder }];
    let objects: Arc<dyn object_store::ObjectStore> = Arc::new(InMemory::new());
    let mut buckets = vec![("memory".to_string(), (objects, Versions::None), "s3://memory/prefix".to_string())];
    for address in std::env::var(BUCKETS).unwrap_or_default().split_whitespace() {
        // Each run of the tests has its own prefix in the bucket.
        let address = format!("{address}/{test}-{}-{:?}", std::process::id(), std::time::Instant::now())
            .replace([' ', '{', '}', ':'], "")
            .replacen("//", "://", 1);
        let Ok(Location::Bucket(uri)) = Location::parse(&address) else { panic!("{address}") };
        buckets.push((address.clone(), bucket::client(&uri, Duration::from_secs(20)).unwrap(), address));
    }
    for (name, (objects, versions), address) in buckets {
        let Ok(Location::Bucket(uri)) = Location::parse(&address) else { panic!("{address}") };
        let open = move |work: &Path| -> Arc<dyn Store> {
            Arc::new(Bucket::new(objects.clone(), versions.clone(), &uri, work.to_path_buf(), 1 << 30))
        };
        places.push(Place { name, open: Box::new(open), _folder: tempfile::tempdir().unwrap() });
    }
    places
}

/// Publishes files with these names and texts.
fn publish(store: &dyn Store, folder: &str, files: &[(&str, &str)]) -> Vec<ListedFile> {
    let staging = Staging::new(&store.staging(), "test").unwrap().with_hashed_names();
    for (name, text) in files {
        fs::write(staging.place(name).unwrap(), text).unwrap();
        staging.list(name, 1).unwrap();
    }
    let files = staging.files();
    staging.seal(&json!({ "files": files })).unwrap();
    store.publish(staging, folder).unwrap();
    files
}

fn texts(store: &dyn Store, folder: &str, files: &[ListedFile]) -> Vec<String> {
    files
        .iter()
        .map(|file| {
            store.fetch(folder, file).unwrap();
            fs::read_to_string(store.local_path(folder, file)).unwrap()
        })
        .collect()
}

#[test]
fn what_is_published_is_what_another_machine_reads() {
    for place in places("publish") {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = (place.open)(here.path());
        let name = &place.name;
        assert!(!store.is_there("").unwrap() && store.folders("snapshots").unwrap().is_empty(), "{name}");
        let lock = store.lock("run").unwrap();
        let first = publish(&*store, MONTH, &[("contacts/part-0", "one"), ("members/part-0", "two")]);
        assert!(store.is_there("").unwrap() && store.is_there(MONTH).unwrap(), "{name}");
        let manifest = store.read(&format!("{MONTH}/{MANIFEST}")).unwrap().unwrap();
        assert_eq!(store.bytes_below(MONTH), 6 + manifest.len() as u64, "{name}");

        let other = (place.open)(there.path());
        assert_eq!(other.folders("snapshots").unwrap(), ["run_month=2026-10"], "{name}");
        assert_eq!(other.read(&format!("{MONTH}/{MANIFEST}")).unwrap().unwrap(), manifest, "{name}");
        assert_eq!(texts(&*other, MONTH, &first), ["one", "two"], "{name}");
        assert!(first.iter().all(|file| other.misses(MONTH, file).is_none()), "{name}");
        let larger = ListedFile { bytes: 4, ..first[0].clone() };
        assert!(matches!(other.misses(MONTH, &larger), Some(Problem::Damage(text)) if text.contains("has 3 bytes instead of 4")), "{name}");
        let gone = ListedFile { path: "contacts/part-1".to_string(), checksum: Checksum::Sha256("0".repeat(64)), ..first[0].clone() };
        assert!(matches!(other.fetch(MONTH, &gone), Err(Problem::Damage(text)) if text.contains("is missing")), "{name}");

        // The month is replaced, and then removed.
        let second = publish(&*store, MONTH, &[("contacts/part-0", "three")]);
        store.purge(MONTH).unwrap();
        let third = (place.open)(there.path());
        assert_eq!(texts(&*third, MONTH, &second), ["three"], "{name}");
        assert!(first.iter().all(|file| third.misses(MONTH, file).is_some()), "{name}: what no manifest lists was purged");
        store.retire(MONTH).unwrap();
        assert!(!store.is_there(MONTH).unwrap() && store.folders("snapshots").unwrap().is_empty(), "{name}");
        assert!((place.open)(there.path()).folders("snapshots").unwrap().is_empty(), "{name}");
        assert_eq!(store.bytes_below(MONTH), 0, "{name}");
        store.retire(MONTH).unwrap();
        drop(lock);
    }
}

#[test]
fn a_large_file_comes_whole() {
    for place in places("large") {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = (place.open)(here.path());
        let _lock = store.lock("run").unwrap();
        // A bucket gets this text in three parts.
        let text = "0123456789abcdef".repeat((17 << 20) / 16);
        let files = publish(&*store, MONTH, &[("contacts/part-0", &text)]);
        assert!(texts(&*(place.open)(there.path()), MONTH, &files) == [text], "{}", place.name);
    }
}

#[test]
fn small_files_are_replaced_and_removed() {
    for place in places("files") {
        let here = tempfile::tempdir().unwrap();
        let store = (place.open)(here.path());
        let name = &place.name;
        let _lock = store.lock("run").unwrap();
        assert_eq!((store.read("index.html").unwrap(), store.copy("applied/pending").unwrap()), (None, None), "{name}");
        for text in ["first", "", "third"] {
            store.write("applied/pending", text.as_bytes()).unwrap();
            assert_eq!(store.read("applied/pending").unwrap().unwrap(), text.as_bytes(), "{name}");
            assert_eq!(fs::read_to_string(store.copy("applied/pending").unwrap().unwrap()).unwrap(), text, "{name}");
        }
        assert!(store.is_there("applied/pending").unwrap() && store.folders("applied").unwrap().is_empty(), "{name}");
        store.remove_file("applied/pending").unwrap();
        store.remove_file("applied/pending").unwrap();
        assert!(!store.is_there("applied/pending").unwrap(), "{name}");
    }
}

#[test]
fn what_an_engine_wrote_is_published_with_a_checksum() {
    for place in places("engine") {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = (place.open)(here.path());
        let name = &place.name;
        let lock = store.lock("run").unwrap();
        let attempt = ".engine/run_month=2026-10/ledger/try-1";
        for (file, text) in [("b.parquet", "second"), ("a.parquet", "first"), ("_SUCCESS", "no rows"), (".a.parquet.crc", "no rows")] {
            store.write(&format!("{attempt}/{file}"), text.as_bytes()).unwrap();
        }
        let written = store.written_below(attempt).unwrap();
        assert_eq!(
            written.iter().map(|file| (&file.path[attempt.len()..], file.bytes)).collect::<Vec<_>>(),
            [("/a.parquet", 5), ("/b.parquet", 6)]
        );
        assert_eq!(
            (store.tail(&written[0], 3).unwrap(), store.tail(&written[0], 99).unwrap()),
            (b"rst".to_vec(), b"first".to_vec()),
            "{name}"
        );
        assert_eq!(fs::read_to_string(store.fetch_written(&written[1]).unwrap().path()).unwrap(), "second", "{name}");

        // An engine may make its files readable for other users. Published files must be readable for their owner only.
        #[cfg(unix)]
        for file in written.iter().map(|file| store.shown(&file.path)).filter(|path| path.exists()) {
            fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        }
        store.write(&format!("{attempt}/_temporary/0/c.parquet"), b"not finished").unwrap();
        assert_eq!(store.written_below(attempt).unwrap(), written, "{name}");

        let staging = Staging::new(&store.staging(), "test").unwrap().with_hashed_names().published_at(MONTH);
        for (index, file) in written.iter().enumerate() {
            store.place(file, &staging, &format!("ledger/part-{index:05}.parquet"), 1).unwrap();
        }
        let files = staging.files();
        staging.seal(&json!({ "files": files })).unwrap();
        store.publish(staging, MONTH).unwrap();
        assert_eq!(
            files.iter().map(ListedFile::name).collect::<Vec<_>>(),
            ["ledger/part-00000.parquet", "ledger/part-00001.parquet"],
            "{name}"
        );
        let manifest: serde_json::Value = serde_json::from_slice(&store.read(&format!("{MONTH}/{MANIFEST}")).unwrap().unwrap()).unwrap();
        assert_eq!(serde_json::from_value::<Vec<ListedFile>>(manifest["files"].clone()).unwrap(), files, "{name}");
        let other = (place.open)(there.path());
        assert_eq!(texts(&*other, MONTH, &files), ["first", "second"], "{name}");
        #[cfg(unix)]
        for file in &files {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(other.local_path(MONTH, file)).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(files.iter().all(|file| other.verify(MONTH, file).is_ok()), "{name}");

        store.write(&format!("{MONTH}/{}", files[0].path), b"fIrst").unwrap();
        let other = (place.open)(there.path());
        for problem in [other.verify(MONTH, &files[0]), other.fetch(MONTH, &files[0])] {
            assert!(matches!(problem, Err(Problem::Damage(text)) if text.contains("differs")), "{name}");
        }
        // The next command removes what an engine left, but not a folder with a script, which a person runs.
        store.write(".engine/run_month=2026-09/script.json", b"{}").unwrap();
        drop(lock);
        let lock = store.lock("run").unwrap();
        assert!(store.written_below(attempt).unwrap().is_empty(), "{name}");
        assert!(store.is_there(".engine/run_month=2026-09/script.json").unwrap(), "{name}");
        store.remove_below(".engine").unwrap();
        assert!(!store.is_there(".engine/run_month=2026-09/script.json").unwrap(), "{name}");
        drop(lock);
    }
}

#[test]
fn one_process_at_a_time_works_on_a_job() {
    for place in places("lock") {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (store, other) = ((place.open)(here.path()), (place.open)(there.path()));
        let name = &place.name;
        assert_eq!(store.holder().unwrap(), None, "{name}");
        let lock = store.lock("run").unwrap();
        for _ in 0..2 {
            let Err(StoreError::Locked { holder, .. }) = other.lock("report") else { panic!("{name}: two have the lock") };
            assert!(holder.process.contains("`cohorts run`") && holder.since.is_some(), "{name}: {holder}");
            assert_eq!(other.holder().unwrap(), Some(holder), "{name}");
        }
        drop(lock);
        assert_eq!(other.holder().unwrap(), None, "{name}");
        drop(other.lock("report").unwrap());
        drop(store.lock("run").unwrap());
    }
}

#[test]
fn trying_out_changes_nothing() {
    for place in places("try") {
        let here = tempfile::tempdir().unwrap();
        let store = (place.open)(here.path());
        let name = &place.name;
        store.try_out().unwrap();
        assert!(!(place.open)(here.path()).is_there("").unwrap(), "{name}");
        let lock = store.lock("run").unwrap();
        publish(&*store, MONTH, &[("a", "x")]);
        drop(lock);
        let bytes = || (place.open)(here.path()).bytes_below("");
        let before = bytes();
        let tried = store.try_out().unwrap();
        assert!(matches!(tried, Tried::Writable | Tried::Bucket), "{name}: {tried:?}");
        assert_eq!(bytes(), before, "{name}");
    }
}
