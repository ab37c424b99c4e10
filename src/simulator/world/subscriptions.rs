//! Subscription types, and what contacts chose over time.
//!
//! Only explicit choices are recorded. A contact leaves a type that is sent to everyone (`opt_out`), or joins one that is sent on request
//! (`opt_in`). It may take the choice back later.
//!
//! What an analyst should be able to find: in 2026-08 a frequent mailing makes many leave `Product news`, most of all users on the plan
//! `team`.

use rand::{RngExt, SeedableRng};

use super::people::{Contact, Plan, Role};
use super::{Rng, exponential};
use crate::calendar::{DAY, MONTH, Zone, start_of_month};

/// Whether contacts without an explicit choice get the messages of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Contacts get it until they leave.
    OptOut,
    /// Contacts get it once they join.
    OptIn,
}

impl Consent {
    /// The word of the API.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Consent::OptOut => "opt_out",
            Consent::OptIn => "opt_in",
        }
    }
}

/// A kind of messages that contacts can leave or join.
pub(crate) struct SubscriptionType {
    /// Decimal digits.
    pub id: &'static str,
    pub name: &'static str,
    pub description: &'static str,
    /// `live`, `draft` or `archived`.
    pub state: &'static str,
    pub consent: Consent,
    /// `email` or `sms_message`.
    pub content: &'static str,
}

/// Explicit choices of archived types are still shown (an assumption). Nobody chose a draft.
pub(crate) const TYPES: [SubscriptionType; 15] = [
    by_email("71", "Product news", "What is new in the product", "live", Consent::OptOut),
    by_email("72", "Weekly digest", "What happened in your workspace this week", "live", Consent::OptIn),
    by_email("73", "Maintenance notices", "When parts of the product are not available", "live", Consent::OptOut),
    by_email("74", "Tips and tutorials", "How to get more out of the product", "live", Consent::OptOut),
    by_email("75", "Events", "Where to meet us", "live", Consent::OptOut),
    by_email("76", "Webinars", "Lessons to join from home", "live", Consent::OptOut),
    by_email("77", "Surveys", "Questions about your work", "live", Consent::OptOut),
    by_email("78", "Customer stories", "How others use the product", "live", Consent::OptOut),
    by_email("79", "Security notices", "What to update, and when", "live", Consent::OptOut),
    by_email("80", "Release notes, \"in full\"", "Every change", "live", Consent::OptOut),
    by_email("81", "Partner news", "What our partners offer", "archived", Consent::OptOut),
    by_email("82", "Winter sale", "Prices of the season", "archived", Consent::OptOut),
    SubscriptionType { content: "sms_message", ..by_email("83", "Text alerts", "Urgent notices by text", "live", Consent::OptIn) },
    by_email("84", "Community", "What other customers ask", "live", Consent::OptOut),
    by_email("85", "Onboarding course", "Ten lessons in ten days", "draft", Consent::OptIn),
];

/// Index of `Product news` in [`TYPES`].
pub(crate) const PRODUCT_NEWS: u8 = 0;
/// Index of `Weekly digest`.
pub(crate) const WEEKLY_DIGEST: u8 = 1;
/// Index of `Text alerts`.
const TEXT_ALERTS: u8 = 12;

const fn by_email(
    id: &'static str,
    name: &'static str,
    description: &'static str,
    state: &'static str,
    consent: Consent,
) -> SubscriptionType {
    SubscriptionType { id, name, description, state, consent, content: "email" }
}

/// A period in which a contact's explicit choice was in force: `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    /// Index into [`TYPES`].
    pub kind: u8,
    pub from: i64,
    /// [`i64::MAX`] if the choice is never taken back.
    pub until: i64,
}

impl Choice {
    pub(crate) fn holds_at(&self, now: i64) -> bool {
        self.from <= now && now < self.until
    }
}

impl Contact {
    /// The types that the contact left or joined, if this choice is in force, in the order of [`TYPES`].
    pub(crate) fn subscriptions_at(&self, now: i64) -> impl Iterator<Item = &'static SubscriptionType> {
        self.choices.iter().filter(move |choice| choice.holds_at(now)).filter_map(|choice| TYPES.get(usize::from(choice.kind)))
    }
}

/// Invents all choices. This step has its own generator and changes nothing else. Each contact has a generator, too, so the choices of one
/// contact do not depend on other contacts.
pub(crate) fn choose(rng: &mut Rng, zone: &Zone, people: &mut [Contact]) {
    let mailing = (start_of_month(zone, 2026, 8), start_of_month(zone, 2026, 9));
    for contact in people {
        contact.choices = choices(&mut Rng::seed_from_u64(rng.random()), mailing, contact);
    }
}

/// All choices of one contact, by type and time.
fn choices(rng: &mut Rng, mailing: (i64, i64), contact: &Contact) -> Vec<Choice> {
    let mut choices = Vec::new();
    let end = contact.gone_at().unwrap_or(i64::MAX);
    let mut add = |kind: u8, from: i64, until: i64| {
        if from < end {
            choices.push(Choice { kind, from, until });
        }
    };
    // Two of three contacts that unsubscribe from all e-mails leave `Product news` at that time. A few contacts leave it at another time,
    // too.
    let leaves_news = rng.random_bool(0.67);
    if let Some(at) = contact.unsubscribed_at.filter(|_| leaves_news) {
        add(PRODUCT_NEWS, at, i64::MAX);
    }
    let left = contact.created_at + DAY + exponential(rng, 900 * MONTH);
    add(PRODUCT_NEWS, left, back(rng, left, 0.3, 9 * MONTH));
    if let Some(at) = left_by_mailing(rng, mailing, contact) {
        add(PRODUCT_NEWS, at, back(rng, at, 0.1, 6 * MONTH));
    }
    // The custom attribute `newsletter` stands for the type `Weekly digest`.
    if contact.newsletter_at(contact.created_at) == Some(true) {
        add(WEEKLY_DIGEST, contact.created_at, contact.unsubscribed_at.unwrap_or(i64::MAX));
    }
    if rng.random_bool(0.04) {
        let joined = contact.created_at + exponential(rng, 5 * MONTH);
        add(TEXT_ALERTS, joined, back(rng, joined, 0.5, 10 * MONTH));
    }
    let opt_out = || TYPES.iter().zip(0u8..).filter(|(kind, number)| kind.consent == Consent::OptOut && *number != PRODUCT_NEWS);
    if rng.random_bool(0.0045) {
        // A few contacts leave all opt-out types at once: more than the ten types that a contact body shows.
        let left = contact.created_at + exponential(rng, 5 * MONTH);
        add(PRODUCT_NEWS, left, i64::MAX);
        opt_out().for_each(|(_, number)| add(number, left, i64::MAX));
    } else if rng.random_bool(0.15) {
        for (_, number) in opt_out() {
            if rng.random_bool(0.15) {
                let left = contact.created_at + exponential(rng, 8 * MONTH);
                add(number, left, back(rng, left, 0.3, 8 * MONTH));
            }
        }
    }
    merged(choices)
}

/// When a contact leaves `Product news` because of the mailing of 2026-08: a third of the users on the plan `team`, and 3 % of all others.
fn left_by_mailing(rng: &mut Rng, (start, end): (i64, i64), contact: &Contact) -> Option<i64> {
    let at = rng.random_range(start + 3 * DAY..end);
    let on_team = contact.role_at(at) == Role::User && contact.plan_at(at) == Plan::Team;
    let leaves = rng.random_bool(if on_team { 0.34 } else { 0.03 });
    (leaves && contact.exists_at(at)).then_some(at)
}

/// When a choice is taken back. Most choices never are.
fn back(rng: &mut Rng, from: i64, share: f64, mean: i64) -> i64 {
    if rng.random_bool(share) { from + DAY + exponential(rng, mean) } else { i64::MAX }
}

/// Choices of one type that overlap become one.
fn merged(mut choices: Vec<Choice>) -> Vec<Choice> {
    choices.sort_unstable_by_key(|choice| (choice.kind, choice.from, choice.until));
    choices.dedup_by(|next, kept| {
        let overlaps = next.kind == kept.kind && next.from <= kept.until;
        if overlaps {
            kept.until = kept.until.max(next.until);
        }
        overlaps
    });
    choices.shrink_to_fit();
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_as_the_api_writes_them() {
        assert!(TYPES.iter().all(|kind| kind.id.bytes().all(|byte| byte.is_ascii_digit())));
        let name = |number: u8| TYPES[usize::from(number)].name;
        assert_eq!([PRODUCT_NEWS, WEEKLY_DIGEST, TEXT_ALERTS].map(name), ["Product news", "Weekly digest", "Text alerts"]);
        let number = |state: &str| TYPES.iter().filter(|kind| kind.state == state).count();
        assert_eq!(["live", "archived", "draft"].map(number), [12, 2, 1]);
        assert!(TYPES.iter().filter(|kind| kind.consent == Consent::OptOut).count() > 10);
    }

    #[test]
    fn overlapping_choices_are_one() {
        let choice = |kind, from, until| Choice { kind, from, until };
        let all = vec![choice(1, 5, 9), choice(0, 7, 20), choice(0, 1, 8), choice(0, 2, 3), choice(0, 30, 40)];
        assert_eq!(merged(all), [choice(0, 1, 20), choice(0, 30, 40), choice(1, 5, 9)]);
    }
}
