//! The invented workspace: all contacts who ever sign up, and everything they do from 2023 to the end of 2027.
//!
//! The world itself never changes. The API shows a view of it at an instant (see [`super::world_view`]). So two views at the same instant are
//! equal, and a view at an earlier instant shows the state of that time.
//!
//! # What an analyst should be able to find
//!
//! The population grows every month, and all that is not described here varies at random. Months are those of the workspace's time zone.
//! Figures are those of the end of 2026-10.
//!
//! - Who is at risk: about 80 % of the users with the tag `churn risk` are on the plan `free`, and a third live in Brazil. Of all users, it
//!   is 40 % on `free` and 13 % in Brazil. Users who begin on `free` stop visiting sooner, and in Brazil far sooner ([`people`]). Admins
//!   add the tag to users who stopped visiting ([`groups`]). In the segment `Slipping Away`, the plan `free` and Brazil are frequent, too.
//! - A segment that dies out: `Trial users` is largest at the end of 2025-02, and loses members in every month from 2025-03 to 2027-08.
//!   With the [`new_prices`] there are no new trials, and the long trials that still run end one after another ([`people`]). Only worlds of
//!   2,000 contacts or more have this pattern for certain.
//! - A tag that dies out: from 2025-03 on, no contact gets `VIP` for the first time. Some contacts get it back, so the number of members
//!   may rise in a month.
//! - A tag that spreads: `beta tester` grows faster than the population.
//! - An odd month: on 2026-09-15 there is an outage. In 2026-09, members of `Active` open more than three times as many conversations as in
//!   any month before, and more than three times as many members open at least one. In 2026-10, both numbers are as before the outage
//!   ([`conversations`]).
//! - Contacts open far more conversations while they have the tag `value_lead` ([`conversations`]).
//! - Leads that are merged: in each month of 2026, a few members of the segment `Leads to call` and of the tag `value_lead` are merged into
//!   users who stay. At least one lead is merged into a user who is merged into another user later. Only worlds of 2,000 contacts or more
//!   have this pattern ([`merges`]).
//! - A segment whose filter is edited: `Big teams` has about twice as many members at the end of 2026-09 as at the end of 2026-08, because
//!   its filter is edited on 2026-09-12 ([`groups`]). Its `updated_at` is the time of the edit.
//! - A segment that is created again: `Power users` is deleted on 2026-07-20, and created again with the same name, another id and another
//!   filter.
//! - A mailing that is too frequent: in 2026-08, a third of the users on the plan `team` leave the subscription type `Product news`, and so
//!   do about 3 % of all other contacts. In any other month, about 0.5 % of the contacts leave it ([`subscriptions`]).

pub(crate) mod companies;
pub(crate) mod conversations;
pub(crate) mod groups;
mod merges;
pub(crate) mod names;
pub(crate) mod people;
pub(crate) mod subscriptions;

use std::collections::HashMap;
use std::sync::OnceLock;

use rand::SeedableRng;

use self::companies::Company;
use self::conversations::Conversation;
use self::groups::{Extra, Segment, Tag};
use self::people::{Contact, End};
use super::calendar::{Zone, start_of_month};

/// The random generator of the world. Its algorithm is fixed, so a seed gives the same world in every release.
pub(crate) type Rng = rand_chacha::ChaCha8Rng;

/// What kind of workspace to invent.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// The same seed gives the same world.
    pub seed: u64,
    /// About how many contacts exist on 2026-11-01. There are fewer before and more after.
    pub contacts: usize,
    /// The workspace's time zone. Contact searches compare dates by its days.
    pub timezone: Zone,
    /// The number of tags `cohort 001`, `cohort 002`, … in addition to the named ones.
    pub extra_groups: usize,
    /// The average number of `cohort …` tags of a contact, the same for all contacts. If it is `None`, 1 % to 6 % of the contacts ever get
    /// each tag. A change from one number to another changes only these tags.
    pub memberships: Option<f64>,
    /// The number of members of the additional tag `bulk import` at any instant. Its members are always the oldest contacts. `None` means
    /// that this tag does not exist.
    pub big_tag: Option<usize>,
    /// How many bytes of additional text each contact has in its custom attributes.
    pub attribute_bytes: usize,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self { seed: 1, contacts: 5_000, timezone: Zone::dublin(), extra_groups: 0, memberships: None, big_tag: None, attribute_bytes: 0 }
    }
}

/// All that ever happens in the workspace.
pub(crate) struct World {
    pub options: WorldOptions,
    /// The contacts by creation, then by id. The id begins with the creation time, so this is also the order of ids.
    pub contacts: Vec<Contact>,
    pub tags: Vec<Tag>,
    pub segments: Vec<Segment>,
    pub companies: Vec<Company>,
    /// The conversations by creation, which is also the order of ids.
    pub conversations: Vec<Conversation>,
    directory: OnceLock<Directory>,
}

/// The contacts by external id, by email address in lower case, and by the contact that they are merged into. Deleted contacts are
/// included.
#[derive(Default)]
struct Directory {
    external_ids: HashMap<String, Vec<u32>>,
    emails: HashMap<String, Vec<u32>>,
    /// The contacts that are merged into another contact at any time, by the index of that other contact.
    merged: HashMap<u32, Vec<u32>>,
}

impl World {
    /// Invents the world of a seed.
    pub(crate) fn new(options: WorldOptions) -> Self {
        let extra = Extra { tags: options.extra_groups, memberships: options.memberships };
        let tags = groups::tags(extra, options.big_tag, &options.timezone);
        let segments = groups::segments();
        let companies = companies::invent(&mut rng(options.seed, 1), options.contacts);
        let mut lives = rng(options.seed, 2);
        let mut contacts = people::invent(&mut lives, &options, companies.len());
        groups::hand_out(&mut lives, &tags, &mut contacts);
        let conversations = conversations::invent(&mut rng(options.seed, 3), &options.timezone, &contacts);
        // The steps below come last, so that no other step depends on them.
        groups::hand_out_evenly(&mut rng(options.seed, 4), &tags, &mut contacts);
        merges::plant(&mut rng(options.seed, 6), &options, &segments, &conversations, &mut contacts);
        groups::hand_out_big_tag(&tags, &mut contacts);
        subscriptions::choose(&mut rng(options.seed, 5), &options.timezone, &mut contacts);
        Self { options, contacts, tags, segments, companies, conversations, directory: OnceLock::new() }
    }

    /// The index of a contact, also of a deleted one.
    pub(crate) fn find_contact(&self, id: &str) -> Option<u32> {
        let found = self.contacts.binary_search_by(|contact| contact.id.as_str().cmp(id)).ok()?;
        Some(found as u32)
    }

    /// The contacts that were invented with an external id, ascending.
    pub(crate) fn with_external_id(&self, external_id: &str) -> &[u32] {
        self.directory().external_ids.get(external_id).map_or(&[], Vec::as_slice)
    }

    /// The contacts that were invented with an email address, ascending. Case does not matter.
    pub(crate) fn with_email(&self, email: &str) -> &[u32] {
        self.directory().emails.get(&email.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The contacts that are merged into a contact at any time, ascending.
    pub(crate) fn merged_into(&self, index: u32) -> &[u32] {
        self.directory().merged.get(&index).map_or(&[], Vec::as_slice)
    }

    fn directory(&self) -> &Directory {
        self.directory.get_or_init(|| {
            let mut directory = Directory::default();
            for (contact, index) in self.contacts.iter().zip(0u32..) {
                if let Some(external_id) = &contact.external_id {
                    directory.external_ids.entry(external_id.clone()).or_default().push(index);
                }
                if let Some((_, End::Merged(target))) = contact.end {
                    directory.merged.entry(target).or_default().push(index);
                }
                if let Some(email) = contact.email.as_ref().filter(|email| !email.is_empty()) {
                    directory.emails.entry(email.to_lowercase()).or_default().push(index);
                }
            }
            directory
        })
    }

    /// A contact by its index in this world.
    pub(crate) fn contact(&self, index: u32) -> &Contact {
        &self.contacts[index as usize]
    }
}

/// The id of the workspace, which `GET /me` shows.
pub(crate) const WORKSPACE_ID: &str = "w0rk5pac";
/// 2023-01-09 09:00 UTC.
pub(crate) const WORKSPACE_CREATED_AT: i64 = 1_673_254_800;
/// 2028-01-01 00:00 UTC. Nothing happens after this instant.
pub(crate) const WORLD_END: i64 = 1_830_297_600;

/// When the price list changed. Since then there are no new trials, and no contact gets the tag `VIP` for the first time.
pub(crate) fn new_prices(zone: &Zone) -> i64 {
    start_of_month(zone, 2025, 3)
}

/// The admins of the workspace as `(id, name, email)`.
pub(crate) const ADMINS: [(u64, &str, &str); 4] = [
    (5_000_101, "Ovel Tarn", "ovel@workspace.example"),
    (5_000_102, "Mirada Kesh", "mirada@workspace.example"),
    (5_000_103, "Jun Valdor", "jun@workspace.example"),
    (5_000_104, "Essa Brint", "essa@workspace.example"),
];
/// The bot that opens some of the conversations.
pub(crate) const BOT_ID: u64 = 5_000_200;

/// A generator for one part of the world, so that more draws in one part do not change the others.
fn rng(seed: u64, part: u64) -> Rng {
    let mut rng = Rng::seed_from_u64(seed);
    rng.set_stream(part);
    rng
}

/// An exponentially distributed time with the given mean, at least one second.
fn exponential(rng: &mut Rng, mean: i64) -> i64 {
    use rand::RngExt;
    let share: f64 = rng.random_range(f64::EPSILON..1.0);
    1 + (-share.ln() * mean as f64) as i64
}

/// A random time from `start` on and before `end`. If there is no such time, it is `start`.
fn between(rng: &mut Rng, start: i64, end: i64) -> i64 {
    use rand::RngExt;
    if end > start { rng.random_range(start..end) } else { start }
}
