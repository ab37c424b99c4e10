//! Whether the members of groups are searched for, or taken from the contacts' own lists while everyone is read anyway: that
//! takes a request for each contact whose list was cut short, and nobody knows how many those are before all are there.

use super::plan::{Plan, pages};
use crate::settings::Settings;
use domain::Contact;

/// Requests that it takes to check the members of a tag that were not searched for: its total, before and after.
pub(super) const TOTALS: u64 = 2;
/// The part of the contacts whose lists are cut short that is expected before anyone was seen, and how many contacts
/// have to be seen before they weigh as much: a page is a small sample.
const EXPECTED_UNTOLD: f64 = 0.005;
const EXPECTED_WEIGHT: f64 = 100.0;

/// The part of everyone whose own list of tags does not tell all of them, as a page lets expect.
pub(super) fn expected_untold(page: &[Contact]) -> f64 {
    let is_untold = |contact: &&Contact| contact.tags.as_ref().is_none_or(|tags| !tags.is_complete);
    let found = page.iter().filter(is_untold).count() as f64;
    (found + EXPECTED_UNTOLD * EXPECTED_WEIGHT) / (page.len() as f64 + EXPECTED_WEIGHT)
}

impl Plan {
    /// Takes the members of groups from the contacts' own lists while everyone is read, where that takes fewer requests than
    /// searching for them. `untold` is the part of the contacts who are expected to be asked for all of their tags. Gives
    /// the lists that it chose.
    pub(super) fn tally(&mut self, groups: Vec<(usize, u64)>, everyone: u64, untold: f64, settings: &Settings) -> Vec<usize> {
        let pages = |total: u64| pages(Some(total), settings).unwrap_or(1);
        let worth_it: Vec<(usize, u64)> = groups.into_iter().filter(|(_, total)| pages(*total) > TOTALS).collect();
        if worth_it.is_empty() {
            return Vec::new();
        }
        let searching: u64 = worth_it.iter().map(|(_, total)| pages(*total)).sum();
        let asks = (everyone as f64 * untold).ceil() as u64;
        let tallying = worth_it.len() as u64 * TOTALS + asks;
        let count = worth_it.len();
        if tallying >= searching {
            tracing::info!(
                "the members of {count} groups are searched for: {searching} requests instead of about {tallying} by the contacts' own lists"
            );
            return Vec::new();
        }
        tracing::info!(
            "the members of {count} groups are taken from the contacts' own lists: about {tallying} requests instead of {searching}"
        );
        self.expected_asks = asks;
        for (list, total) in &worth_it {
            self.streams[*list].tallied = Some(*total);
        }
        worth_it.into_iter().map(|(list, _)| list).collect()
    }
}
