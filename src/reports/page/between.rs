//! Movement between cohorts, and their overlap.

use std::collections::{HashMap, HashSet};

use maud::{Markup, html};
use polars::prelude::PolarsResult;
use serde_json::{Value, json};

use super::figure::{Figure, Figures, Grid, drawn, head, hundredths};
use super::{count, shown};
use crate::digest::{CohortDigest, Digest, decimal, grouped};
use archive::table::Rows;

/// The maximum number of ways (from one cohort to another) in the table: those with the most contacts.
const WAYS: usize = 40;
/// The number of cohorts that are drawn by themselves: the largest ones. The others are drawn as one.
const DRAWN: usize = 10;
/// The key of the cohorts that are drawn as one.
const OTHERS: &str = "(others)";
/// The maximum number of cohorts in the overlap matrix: the largest ones.
const COHORTS: usize = 20;

/// What is shown for contacts that did not come from a cohort, by the key in `from_cohort`.
const BEFORE: [(&str, &str); 3] =
    [("(none)", "in no cohort before"), ("(stayed)", "in others, and still there"), ("(new)", "new contacts")];
/// What is shown for contacts that did not go to a cohort, by the key in `to_cohort`.
const AFTER: [(&str, &str); 3] = [("(none)", "in no cohort now"), ("(stayed)", "still in others"), ("(gone)", "left the workspace")];

struct Way<'a> {
    from: &'a str,
    to: &'a str,
    from_name: String,
    to_name: String,
    contacts: i64,
    previous_members: Option<i64>,
    share: Option<f64>,
}

pub(super) fn movement(digest: &Digest, rows: Rows<'_>, figures: &mut Figures) -> PolarsResult<Markup> {
    let mut ways = Vec::new();
    for row in 0..rows.count_all() {
        let (from, to) = (rows.text("from_cohort", row)?, rows.text("to_cohort", row)?);
        ways.push(Way {
            from,
            to,
            from_name: end_name(from, rows.text("from_name", row)?, BEFORE),
            to_name: end_name(to, rows.text("to_name", row)?, AFTER),
            contacts: rows.count("contacts", row)?.unwrap_or_default(),
            previous_members: rows.count("previous_members", row)?,
            share: rows.ratio("share_of_from", row)?,
        });
    }
    if ways.is_empty() {
        let is_compared = digest.cohorts.iter().any(|cohort| cohort.compared_month.is_some());
        return Ok(
            html! { p { @if is_compared { "Nobody moved." } @else { "Movement is shown when there is a month to compare with." } } },
        );
    }
    ways.sort_by_key(|way| std::cmp::Reverse(way.contacts));
    let (chart, gathered) = flow(digest, &ways);
    let left_out = ways.len().saturating_sub(WAYS);
    ways.truncate(WAYS);
    let cells = ways.iter().map(|way| {
        vec![way.from_name.clone(), way.to_name.clone(), grouped(way.contacts), count(way.previous_members), hundredths(way.share)]
    });
    let table = Grid {
        caption: "Contacts that left one cohort and joined another".to_string(),
        head: head(&["from", "to", "contacts", "of those who were in it", "share, %"]),
        texts: 2,
        rows: cells.collect(),
    };
    let about = format!(
        "The cohorts that contacts departed from are on the left side, those that they joined on the right. Everyone who departed from a cohort or joined one is here. Who did so with several cohorts counts once for each pair.{}{}",
        if gathered > 0 {
            format!(" The {DRAWN} largest cohorts are drawn by themselves, {gathered} others as one.")
        } else {
            String::new()
        },
        if left_out > 0 {
            format!(" The table has the {WAYS} ways that most went; {left_out} more are in the report movement.")
        } else {
            String::new()
        }
    );
    Ok(figures.add(Figure { id: "movement".to_string(), title: "Who moved", about, chart, table }))
}

/// The chart of the ways, and how many cohorts it draws as one. A cohort is on the left side with the contacts that departed from it, and
/// on the right side with the contacts that joined it.
fn flow(digest: &Digest, ways: &[Way<'_>]) -> (Value, usize) {
    let mut by_size: Vec<&CohortDigest> = digest.cohorts.iter().collect();
    by_size.sort_by_key(|cohort| std::cmp::Reverse(cohort.members));
    // If there is only one other cohort, it is drawn by itself, too.
    let gathered: HashSet<&str> =
        if by_size.len() > DRAWN + 1 { by_size[DRAWN..].iter().map(|cohort| cohort.cohort_key.as_str()).collect() } else { HashSet::new() };
    let others = format!("{} other cohorts", gathered.len());
    let end = |key, name| if gathered.contains(key) { (OTHERS, others.as_str()) } else { (key, name) };
    let (mut left, mut right) = (Side::default(), Side::default());
    let mut links: Vec<(usize, usize, i64, Option<f64>)> = Vec::new();
    for way in ways {
        let ((from, from_name), (to, to_name)) = (end(way.from, way.from_name.as_str()), end(way.to, way.to_name.as_str()));
        let (from, to) = (left.place(from, from_name), right.place(to, to_name));
        match links.iter_mut().find(|(of, to_of, ..)| (*of, *to_of) == (from, to)) {
            // Several ways become one link. The shares of several ways cannot be added, so the link has no share.
            Some((_, _, contacts, share)) => {
                *contacts += way.contacts;
                *share = None;
            }
            None => links.push((from, to, way.contacts, way.share.map(drawn))),
        }
    }
    let names = |ends: [(&'static str, &'static str); 3]| ends.map(|(_, name)| name);
    let chart = json!({
        "kind": "flow", "from": left.names, "to": right.names, "before": names(BEFORE), "after": names(AFTER), "links": links,
    });
    (chart, gathered.len())
}

fn end_name(key: &str, name: &str, no_cohorts: [(&str, &str); 3]) -> String {
    no_cohorts.iter().find(|(of, _)| *of == key).map_or_else(|| shown(name), |(_, label)| (*label).to_string())
}

/// The names on one side of the flow, in order of appearance.
#[derive(Default)]
struct Side<'a> {
    places: HashMap<&'a str, usize>,
    names: Vec<String>,
}

impl<'a> Side<'a> {
    fn place(&mut self, key: &'a str, name: &str) -> usize {
        *self.places.entry(key).or_insert_with(|| {
            self.names.push(name.to_string());
            self.names.len() - 1
        })
    }
}

pub(super) fn overlap(digest: &Digest, rows: Rows<'_>, figures: &mut Figures) -> PolarsResult<Markup> {
    let mut cohorts: Vec<&CohortDigest> = digest.cohorts.iter().collect();
    cohorts.sort_by_key(|cohort| std::cmp::Reverse(cohort.members));
    cohorts.truncate(COHORTS);
    if cohorts.len() < 2 {
        return Ok(html! {});
    }
    let places: HashMap<&str, usize> = cohorts.iter().enumerate().map(|(place, cohort)| (cohort.cohort_key.as_str(), place)).collect();
    let (mut pairs, mut cells) = (Vec::new(), Vec::new());
    for row in 0..rows.count_all() {
        let (Some(a), Some(b)) = (places.get(rows.text("cohort_a", row)?), places.get(rows.text("cohort_b", row)?)) else { continue };
        let both = rows.count("in_both", row)?;
        let (share_a, share_b, lift) = (rows.ratio("share_of_a", row)?, rows.ratio("share_of_b", row)?, rows.ratio("lift", row)?);
        pairs.push(json!([a, b, both, share_a.map(drawn), share_b.map(drawn), lift.map(drawn)]));
        cells.push(vec![
            shown(rows.text("cohort_a_name", row)?),
            shown(rows.text("cohort_b_name", row)?),
            count(both),
            hundredths(share_a),
            hundredths(share_b),
            lift.map_or("–".to_string(), |lift| decimal(lift, 2)),
        ]);
    }
    let left_out = digest.cohorts.len() - cohorts.len();
    let table = Grid {
        caption: "Contacts that are in two cohorts".to_string(),
        head: head(&["one", "other", "in both", "share of the one, %", "share of the other, %", "times as many as by chance"]),
        texts: 2,
        rows: cells,
    };
    let about = format!(
        "Each cell is the share of the row's cohort that is also in the column's: the darker, the more.{}",
        if left_out > 0 { format!(" The {COHORTS} largest; all are in the report overlap.") } else { String::new() }
    );
    let names: Vec<String> = cohorts.iter().map(|cohort| shown(&cohort.name)).collect();
    let chart = json!({ "kind": "overlap", "names": names, "pairs": pairs });
    Ok(figures.add(Figure { id: "overlap".to_string(), title: "Who is in both", about, chart, table }))
}
