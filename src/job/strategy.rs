//! The membership strategy: search for the members of groups, or derive them from the contacts' own lists while everyone is read.
//! Deriving takes one request for each contact with a truncated list. The number of these contacts is unknown until everyone was read. It
//! is therefore estimated: before the first page, from the first page, and from the contacts that came.

use domain::Contact;

/// The number of requests that check the derived members of a tag: they give its total, before and after.
pub(super) const TOTALS: u64 = 2;
/// The expected share of contacts with truncated lists of tags, or with cut subscriptions, before any contact was read.
const EXPECTED_TRUNCATED: f64 = 0.005;
/// `EXPECTED_TRUNCATED` counts as much as this many contacts of a page. It is needed because a page is a small sample.
const EXPECTED_WEIGHT: f64 = 100.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MembershipStrategy {
    SearchMembers,
    DeriveMembers,
}

/// The strategy that takes fewer requests. `pages` is the number of pages of the searches. `totals` and `contacts` are the numbers
/// of requests that deriving the members would still take.
pub(super) fn membership_strategy(pages: u64, totals: u64, contacts: u64) -> MembershipStrategy {
    if totals + contacts < pages { MembershipStrategy::DeriveMembers } else { MembershipStrategy::SearchMembers }
}

/// The expected share of contacts whose subscriptions the API cut, estimated from a page.
pub(super) fn expected_cut_subscriptions(page: &[Contact]) -> f64 {
    let is_cut = |contact: &&Contact| contact.subscriptions.as_ref().is_some_and(|own| !own.is_complete);
    (page.iter().filter(is_cut).count() as f64 + EXPECTED_TRUNCATED * EXPECTED_WEIGHT) / (page.len() as f64 + EXPECTED_WEIGHT)
}

/// The expected share of contacts whose own list of tags is truncated, estimated from a page.
pub(super) fn expected_truncated_tags(page: &[Contact]) -> f64 {
    let is_truncated = |contact: &&Contact| contact.tags.as_ref().is_none_or(|tags| !tags.is_complete);
    let found = page.iter().filter(is_truncated).count() as f64;
    (found + EXPECTED_TRUNCATED * EXPECTED_WEIGHT) / (page.len() as f64 + EXPECTED_WEIGHT)
}
