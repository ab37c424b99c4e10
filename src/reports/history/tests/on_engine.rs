//! Months that an engine outside of this process counts. Here it is Polars, which reads and writes the files of the job's folder.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use polars::prelude::*;
use polars::sql::SQLContext;

use super::{COUNTS, DataFrame};
use super::{Definitions, History, Month, Observation, Place, REPORTS, Report, Snapshot, TABLES, Table, read, user};
use crate::analysis::{Facts, PopulationKind, ReportRows, queries};
use archive::engine::{EngineError, EngineFolder, Kept, RemoteEngine, Work};
use archive::table::{TableRows, in_order, scan, write_parquet};

/// An engine that reads and writes the files of the job's folder at `root`. It writes no rows for the query `loses`.
#[derive(Debug)]
struct Files {
    root: PathBuf,
    loses: Option<&'static str>,
    ran: Mutex<Vec<String>>,
}

impl Files {
    fn of(place: &Place) -> Files {
        Files { root: place.root.path().to_path_buf(), loses: None, ran: Mutex::default() }
    }

    fn rows(&self, files: &[String], table: &Table) -> LazyFrame {
        let paths: Vec<PathBuf> = files.iter().map(|file| self.root.join(file)).collect();
        scan(&paths, table).unwrap()
    }
}

impl RemoteEngine for Files {
    fn run(&self, work: &Work, folder: &EngineFolder, watch: &(dyn Fn(&str, Duration) + Sync)) -> Result<(), EngineError> {
        let mut context = SQLContext::new();
        work.views.iter().for_each(|view| context.register(&view.name, self.rows(&view.files, view.table)));
        for query in &work.queries {
            let rows = context.execute(&query.step.sql).unwrap().collect().unwrap();
            let rows = in_order(query.step.table.conform(&rows).unwrap(), query.step.table).unwrap();
            if query.kept != Kept::View {
                let target = self.root.join(folder.path(&query.name, "first"));
                // Writes the rows to two files. Each file is in order; a file without rows is not written.
                for even in [true, false] {
                    let mask: BooleanChunked = (0..rows.height()).map(|row| Some(row.is_multiple_of(2) == even)).collect();
                    let part = rows.filter(&mask).unwrap();
                    if part.height() > 0 && self.loses != Some(query.name.as_str()) {
                        std::fs::create_dir_all(&target).unwrap();
                        write_parquet(&part, query.step.table, &target.join(format!("{even}.parquet"))).unwrap();
                    }
                }
                folder.finished(&query.name, query.step.table, "first")?;
            }
            context.register(&query.name, rows.lazy());
            self.ran.lock().unwrap().push(query.name.clone());
            watch(&query.name, Duration::ZERO);
        }
        Ok(())
    }

    fn check(&self, _: &EngineFolder) -> Result<String, EngineError> {
        Ok(String::new())
    }

    fn interrupt(&self) {}
}

/// Four months of one tag. March, after the second one, is missing.
fn months() -> Vec<Observation<'static>> {
    let month = |month, members: &[&'static str]| Observation {
        opened_by: vec!["stays", "leaver"],
        ..Observation::of(month, ["new", "leaver", "stays"].map(user).into(), vec![("tag:1", members.to_vec())])
    };
    vec![
        month("2026-01", &["leaver", "stays"]),
        month("2026-02", &["stays"]),
        month("2026-04", &["leaver", "new", "stays"]),
        month("2026-05", &[]),
    ]
}

fn rows_of(rows: ReportRows, report: &'static Report) -> DataFrame {
    match rows {
        ReportRows::Here(TableRows::InMemory(rows)) => rows,
        ReportRows::Here(TableRows::Gathered(rows)) => rows.lazy().unwrap().collect().unwrap(),
        ReportRows::OnEngine { folder, query, rows } => {
            let found = folder.rows(&query, &report.table).unwrap();
            assert_eq!(found.height() as u64, rows);
            found
        }
    }
}

#[test]
fn a_month_counted_elsewhere_is_the_same_month() {
    let (mut here, there) = (Place::new(), Place::new());
    let engine = Files::of(&there);
    let archive = there.archive();
    let (mut snapshots, mut last): (Vec<Snapshot>, Option<History>) = (Vec::new(), None);
    let of_members: Vec<&Report> = REPORTS.iter().copied().filter(|report| report.step().is_some()).collect();
    for observation in months() {
        let snapshot = there.snapshot(&observation);
        let earlier: Vec<&Snapshot> = snapshots.iter().collect();
        let month = Month {
            snapshot: &snapshot,
            definitions: &there.definitions,
            previous: last.as_ref(),
            counted_before: None,
            earlier: &earlier,
        };
        let seen = Mutex::new(Vec::new());
        let watch = |query: &str, _: Duration, all: usize| seen.lock().unwrap().push((query.to_string(), all));
        let folder = archive.engine_folder(snapshot.manifest.month().unwrap());
        let counted = month.count_on(&engine, folder.clone(), &queries(), &watch).unwrap();
        let history = counted.publish_history(&archive, &month).unwrap();
        let expected = here.observe(&observation);
        for table in TABLES {
            let found = history.scan(table).unwrap().collect().unwrap();
            assert!(found.equals_missing(&read(expected, table)), "{} of {}", table.name, observation.month);
        }
        // A table with a row for each contact is published as the files that the engine wrote.
        let names: Vec<String> = history.manifest.files.iter().map(|file| file.name().into_owned()).collect();
        assert!(
            names.iter().any(|name| name == "counts.parquet") && names.iter().any(|name| name == "ledger/part-00000.parquet"),
            "{names:?}"
        );
        let facts = Facts {
            month: observation.month.parse().unwrap(),
            cohorts: Vec::new(),
            population: PopulationKind::Everyone,
            has_conversations: true,
            opened_at_least: Vec::new(),
            profile: Vec::new(),
            found: Vec::new(),
        };
        for report in &of_members {
            let [found, expected] = [&counted, &expected.counted].map(|counted| rows_of(report.build(counted, &facts).unwrap(), report));
            assert!(found.equals_missing(&expected), "{} of {}: {found} {expected}", report.table.name, observation.month);
        }
        let seen = seen.into_inner().unwrap();
        assert!(seen.iter().all(|(_, all)| *all == seen.len()), "{seen:?}");
        folder.clear().unwrap();
        snapshots.push(snapshot);
        last = Some(history);
    }
    assert!(!there.root.path().join(".engine").exists());
}

#[test]
fn rows_that_an_engine_lost_are_missed() {
    for (loses, problem) in [("counts", "0 rows for 1 cohorts"), ("report_members", "0 rows, where the counts have 2 members and departed")]
    {
        let place = Place::new();
        let engine = Files { loses: Some(loses), ..Files::of(&place) };
        let snapshot = place.snapshot(&months()[0]);
        let month = Month { snapshot: &snapshot, definitions: &place.definitions, previous: None, counted_before: None, earlier: &[] };
        let folder = place.archive().engine_folder("2026-01".parse().unwrap());
        let Err(error) = month.count_on(&engine, folder, &queries(), &|_, _, _| {}) else { panic!("{loses} was not missed") };
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn a_script_is_taken_if_it_ran_to_its_end_on_the_same_data() {
    let place = Place::new();
    let snapshot = place.snapshot(&months()[0]);
    let month = Month { snapshot: &snapshot, definitions: &place.definitions, previous: None, counted_before: None, earlier: &[] };
    let folder = || place.archive().engine_folder("2026-01".parse().unwrap());
    assert!(month.counted_by_script(folder(), &queries()).unwrap().is_none());
    let script = month.script(&folder(), &queries(), "s3a://bucket/job/").unwrap();
    assert!(month.counted_by_script(folder(), &queries()).unwrap().is_none(), "nobody has it yet");
    month.keep_for_script(&folder()).unwrap();
    assert!(script.contains("INSERT OVERWRITE DIRECTORY 's3a://bucket/job/.engine/run_month=2026-01/ledger/script'"), "{script}");
    let error = month.counted_by_script(folder(), &queries()).map(drop).unwrap_err();
    assert!(error.to_string().contains("has not run to its end: it has no rows of `opened`"), "{error}");

    // Runs the queries and renames the folders of their rows, as if a cluster had run the script.
    let engine = Files::of(&place);
    month.count_on(&engine, folder(), &queries(), &|_, _, _| {}).unwrap();
    for query in engine.ran.lock().unwrap().iter() {
        let at = |attempt: &str| place.root.path().join(folder().path(query, attempt));
        if at("first").exists() {
            std::fs::rename(at("first"), at("script")).unwrap();
        }
    }
    let counted = month.counted_by_script(folder(), &queries()).unwrap().unwrap();
    assert_eq!(counted.table(&COUNTS).unwrap().height(), 1);
    let others = Definitions { opened_at_least: vec![7], ..place.definitions.clone() };
    assert!(
        Month { definitions: &others, ..month }.counted_by_script(folder(), &queries()).unwrap().is_none(),
        "it was made from other definitions"
    );
    assert!(folder().script().unwrap().is_none());
}
