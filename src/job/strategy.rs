//! The membership strategy: search for the members of groups, or derive them from the contacts' own lists while everyone is read
//! anyway. To derive takes one request for each contact with a truncated list. How many these are is unknown until everyone
//! was read, so it is estimated.

use super::partitioning::pages;
use super::plan::Plan;
use crate::settings::Settings;
use domain::Contact;

/// Requests to check the derived members of a tag: its total, before and after.
pub(super) const TOTALS: u64 = 2;
/// The expected share of contacts with truncated lists before any contact was read, and the number of contacts that this
/// expectation counts for: a page is a small sample.
const EXPECTED_TRUNCATED: f64 = 0.005;
const EXPECTED_WEIGHT: f64 = 100.0;

/// The expected share of contacts whose own list of tags is truncated, estimated from a page.
pub(super) fn expected_truncated_tags(page: &[Contact]) -> f64 {
    let is_truncated = |contact: &&Contact| contact.tags.as_ref().is_none_or(|tags| !tags.is_complete);
    let found = page.iter().filter(is_truncated).count() as f64;
    (found + EXPECTED_TRUNCATED * EXPECTED_WEIGHT) / (page.len() as f64 + EXPECTED_WEIGHT)
}

impl Plan {
    /// Chooses the groups whose members are derived from the contacts' own lists, if that takes fewer requests than to search
    /// for them. `truncated_tags` is the expected share of contacts with truncated lists. Returns the chosen streams.
    pub(super) fn choose_derived(
        &mut self,
        groups: Vec<(usize, u64)>,
        everyone: u64,
        truncated_tags: f64,
        settings: &Settings,
    ) -> Vec<usize> {
        let pages = |total: u64| pages(Some(total), settings).unwrap_or(1);
        let worth_it: Vec<(usize, u64)> = groups.into_iter().filter(|(_, total)| pages(*total) > TOTALS).collect();
        if worth_it.is_empty() {
            return Vec::new();
        }
        let searching: u64 = worth_it.iter().map(|(_, total)| pages(*total)).sum();
        let contact_requests = (everyone as f64 * truncated_tags).ceil() as u64;
        let deriving = worth_it.len() as u64 * TOTALS + contact_requests;
        let count = worth_it.len();
        if deriving >= searching {
            tracing::info!("searching for the members of {count} groups: {searching} requests, instead of about {deriving} to derive them");
            return Vec::new();
        }
        tracing::info!(
            "the members of {count} groups are derived from the contacts' own lists: about {deriving} requests, instead of {searching}"
        );
        self.expected_contact_requests = contact_requests;
        for (stream, total) in &worth_it {
            self.streams[*stream].derived = Some(*total);
        }
        worth_it.into_iter().map(|(stream, _)| stream).collect()
    }
}
