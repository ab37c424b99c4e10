//! Random months: the engine of this process gives the rows of the SQL.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::tables::{CONTACTS_BEFORE, LEDGER_BEFORE, MEMBERSHIPS, PAST};
use super::super::{COHORTS, STEPS, THIS_MONTH};
use super::*;
use archive::engine::Input;
use archive::snapshot::{CONTACTS, VANISHED};
use polars::prelude::*;

const CONTACTS_IN_ALL: u32 = 9;
const FIRST_DAY: i32 = 20_000;
/// This month and the months before it, the newest first, as days since 1970.
const MONTHS: [i32; 5] = [FIRST_DAY, FIRST_DAY - 30, FIRST_DAY - 60, FIRST_DAY - 90, FIRST_DAY - 120];
const DAY: i64 = 86_400_000_000;

/// One of the values, by chance.
fn one_of<T: Copy>(random: &mut ChaCha8Rng, values: &[T]) -> T {
    values[random.random_range(0..values.len())]
}

fn days(name: &str, days: Vec<Option<i32>>) -> Column {
    Column::new(name.into(), days).cast(&DataType::Date).unwrap()
}

fn instants(name: &str, micros: Vec<Option<i64>>) -> Column {
    Column::new(name.into(), micros).cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))).unwrap()
}

fn ids(contacts: &[u32]) -> Column {
    Column::new("contact_id".into(), contacts.iter().map(|contact| format!("contact-{contact}")).collect::<Vec<_>>())
}

/// Some of the contacts, in order.
fn some(random: &mut ChaCha8Rng) -> Vec<u32> {
    let share = one_of(random, &[0.0, 0.3, 0.7, 1.0]);
    (0..CONTACTS_IN_ALL).filter(|_| random.random_bool(share)).collect()
}

/// The contacts of a month: role, creation, subscription.
fn contacts(random: &mut ChaCha8Rng, contacts: &[u32]) -> Vec<Column> {
    let n = contacts.len();
    let created = [
        None,
        Some(i64::from(FIRST_DAY) * DAY),
        Some(i64::from(MONTHS[1]) * DAY),
        Some(i64::from(MONTHS[3]) * DAY),
        Some(i64::from(FIRST_DAY + 31) * DAY),
    ];
    vec![
        ids(contacts),
        Column::new("role".into(), (0..n).map(|_| one_of(random, &["user", "lead"])).collect::<Vec<_>>()),
        instants("created_at", (0..n).map(|_| one_of(random, &created)).collect()),
        Column::new(
            "unsubscribed_from_emails".into(),
            (0..n).map(|_| one_of(random, &[None, Some(true), Some(false)])).collect::<Vec<_>>(),
        ),
    ]
}

/// Three cohorts with different compared months: gaps, first months, months outside the history. `tag:d` is only in the ledger.
fn cohorts(random: &mut ChaCha8Rng) -> DataFrame {
    let keys = ["tag:a", "tag:b", "tag:c"];
    let compared: Vec<Option<usize>> = keys.iter().map(|_| one_of(random, &[None, Some(1), Some(1), Some(2), Some(3)])).collect();
    let of = |months: Option<usize>| months.map(|months| MONTHS[months]);
    DataFrame::new(
        keys.len(),
        vec![
            Column::new("cohort_key".into(), keys),
            Column::new("in_history".into(), compared.iter().map(|months| months.is_some() || random.random_bool(0.5)).collect::<Vec<_>>()),
            days("month", vec![Some(FIRST_DAY); keys.len()]),
            instants("month_end", vec![Some(i64::from(FIRST_DAY + 30) * DAY); keys.len()]),
            days("compared_month", compared.iter().map(|months| of(*months)).collect()),
            instants("compared_end", compared.iter().map(|months| of(*months).map(|day| i64::from(day + 30) * DAY)).collect()),
            Column::new(
                "months_since_compared".into(),
                compared.iter().map(|months| months.map(|months| months as i64)).collect::<Vec<_>>(),
            ),
        ],
    )
    .unwrap()
}

fn ledger(random: &mut ChaCha8Rng) -> DataFrame {
    let mut all = LEDGER_BEFORE.empty();
    for key in ["tag:a", "tag:c", "tag:d"] {
        let contacts = some(random);
        let n = contacts.len();
        let mut months = |name: &str| days(name, (0..n).map(|_| Some(one_of(random, &MONTHS[1..]))).collect());
        let (entered, spell, last) = (months("entered_month"), months("spell_start"), months("last_month"));
        let columns = vec![
            Column::new("cohort_key".into(), vec![key; n]),
            ids(&contacts),
            entered,
            Column::new("entry_is_censored".into(), (0..n).map(|_| random.random_bool(0.5)).collect::<Vec<_>>()),
            spell,
            Column::new("spell_months".into(), (0..n).map(|_| random.random_range(1..5_i64)).collect::<Vec<_>>()),
            last,
        ];
        all.vstack_mut(&DataFrame::new(n, columns).unwrap()).unwrap();
    }
    all
}

fn month(random: &mut ChaCha8Rng) -> Polars {
    let here = some(random);
    let mut before = CONTACTS_BEFORE.empty().select(["month", "contact_id", "role", "created_at", "unsubscribed_from_emails"]).unwrap();
    for of in &MONTHS[1..4] {
        let there = some(random);
        let mut columns = contacts(random, &there);
        columns.insert(0, days("month", vec![Some(*of); there.len()]));
        before.vstack_mut(&DataFrame::new(there.len(), columns).unwrap()).unwrap();
    }
    let mut members = MEMBERSHIPS.empty();
    // A snapshot may have members that it does not have as contacts, and a group that the job does not name.
    for key in ["tag:c", "tag:a", "tag:x"] {
        let of = some(random);
        let columns = vec![Column::new("cohort_key".into(), vec![key; of.len()]), ids(&of)];
        members.vstack_mut(&DataFrame::new(of.len(), columns).unwrap()).unwrap();
    }
    // The API was asked about some of the contacts that are not observed. About half of these were merged into other contacts.
    let asked: Vec<u32> = some(random).into_iter().filter(|contact| !here.contains(contact)).collect();
    let merged: Vec<Option<String>> =
        asked.iter().map(|_| random.random_bool(0.5).then(|| format!("contact-{}", random.random_range(0..CONTACTS_IN_ALL)))).collect();
    let fates: Vec<&str> = merged.iter().map(|into| if into.is_some() { "merged" } else { "deleted" }).collect();
    let vanished =
        DataFrame::new(asked.len(), vec![ids(&asked), Column::new("fate".into(), fates), Column::new("merged_into".into(), merged)]);
    let contacts = DataFrame::new(here.len(), contacts(random, &here)).unwrap();
    let tables = [
        (&CONTACTS, contacts),
        (&MEMBERSHIPS, members),
        (&CONTACTS_BEFORE, before),
        (&VANISHED, vanished.unwrap()),
        (&LEDGER_BEFORE, ledger(random)),
        (&COHORTS, cohorts(random)),
        (&THIS_MONTH, DataFrame::new(1, vec![days("month", vec![Some(MONTHS[0])])]).unwrap()),
    ];
    Polars::over(tables.into_iter().map(|(table, rows)| Input::new(table, rows.lazy())).collect()).unwrap()
}

#[test]
fn standing_and_ledger_are_merged_to_the_rows_of_their_sql() {
    let seeds: u64 = std::env::var("COHORTS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(100);
    let (mut changes, mut merges) = (PlHashMap::new(), 0);
    for seed in 0..seeds {
        let tables = month(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut engine = Embedded { facts: Arc::new(Facts::read(&tables).unwrap()), attributes: Arc::default(), tables };
        for name in [PAST.name, STANDING.name, LEDGER.name] {
            let step = STEPS.iter().find(|step| step.table.name == name).unwrap();
            archive::engine::Engine::run(&mut engine, step).unwrap();
            let (merged, sql) = (engine.tables.table(name).unwrap(), engine.tables.result(step).unwrap());
            assert!(merged.equals_missing(&sql), "{name} of seed {seed}: {merged} {sql}");
        }
        merges += usize::from(!engine.tables.table(PAST.name).unwrap().equals_missing(engine.tables.table(LEDGER_BEFORE.name).unwrap()));
        for change in engine.tables.table(STANDING.name).unwrap().column("change").unwrap().str().unwrap().iter().flatten() {
            *changes.entry(change.to_string()).or_insert(0) += 1;
        }
    }
    assert!(changes.len() == 5 && changes.values().all(|rows| *rows > 20), "every change occurs: {changes:?}");
    assert!(merges as u64 > seeds / 20, "members are merged: {merges}");
}

#[test]
fn a_ledger_that_is_not_in_order_is_an_error() {
    let mut tables = month(&mut ChaCha8Rng::seed_from_u64(4));
    let ledger = tables.table(LEDGER_BEFORE.name).unwrap().clone();
    assert!(ledger.height() > 2);
    tables.put(&LEDGER_BEFORE, &ledger.reverse()).unwrap();
    tables.put(&PAST, &tables.table(LEDGER_BEFORE.name).unwrap().clone()).unwrap();
    let error = merge::standing(&tables, &Facts::read(&tables).unwrap()).unwrap_err();
    assert!(error.to_string().contains("not in the order of their key"), "{error}");
}
