//! Tags and segments, and their members over time.
//!
//! The spells of a tag are part of the world. A segment is a rule that is evaluated at the time of the request, as on the real service. So
//! a segment has no history. Its rule can be edited, and a segment can be deleted and created again under the same name.

use rand::RngExt;

use super::people::{Contact, Plan, Role, TagSpell};
use super::{ADMINS, Rng, WORLD_END, exponential, new_prices};
use crate::calendar::{DAY, MONTH, Zone, start_of_month};
use crate::faults::scatter;

/// One tag, and how its members come and go.
#[derive(Clone)]
pub(crate) struct Tag {
    /// Decimal digits.
    pub id: String,
    pub name: String,
    flow: Flow,
}

/// How members come and go. `share` is the part of all contacts that ever gets the tag.
#[derive(Clone)]
enum Flow {
    /// Members join at some time after `opens` and their creation, leave and come back. `stay` and `away` are average lengths in months of
    /// a membership and of a break.
    Steady {
        share: f64,
        stay: i64,
        away: i64,
        opens: i64,
    },
    /// Entries become more frequent from `opens` to the world's end. Few members leave.
    Growing {
        share: f64,
        opens: i64,
    },
    /// Only early contacts join. Nobody joins for the first time after `closes`.
    Shrinking {
        share: f64,
        closes: i64,
    },
    /// Members have the tag in a winter, from November or December to January or February. Many of them have it year after year.
    Winter {
        share: f64,
    },
    /// An admin adds the tag 20 to 40 days after the contact stopped visiting. It is removed when the contact visits again, or after seven
    /// months. All contacts that slip away ([`Contact::slips_away`]) get the tag. Of the other users who began on the free plan, the share
    /// `free` gets it; of all other contacts, the share `rest`.
    Dormant {
        free: f64,
        rest: f64,
    },
    /// Exactly one contact has the tag: the first user.
    One,
    /// This share of all contacts has the tag at any instant. The tag is assigned by [`hand_out_evenly`].
    Even {
        share: f64,
    },
    /// This many of the oldest existing contacts have the tag. The tag is assigned by [`hand_out_big_tag`].
    Oldest(usize),
    Nobody,
}

/// Tags in addition to the named ones.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extra {
    pub tags: usize,
    /// The average number of extra tags of a contact. If it is `None`, 1 % to 6 % of the contacts ever get each tag.
    pub memberships: Option<f64>,
}

/// The average length in months of a membership in an extra tag.
const EXTRA_STAY: i64 = 11;

/// The id of `value_lead`.
pub(crate) const VALUE_LEAD_ID: &str = "1373897";
/// Index of `value_lead` in the world's tags.
pub(crate) const VALUE_LEAD: u16 = 0;

/// The id of the tag of [`super::WorldOptions::big_tag`].
pub(crate) const BIG_TAG_ID: &str = "1399001";

/// A tag without members, as a request creates it.
pub(crate) fn empty_tag(id: String, name: String) -> Tag {
    Tag { id, name, flow: Flow::Nobody }
}

/// An archived group: lists and searches do not contain it, but `/counts` does.
pub(crate) struct Archived {
    pub id: &'static str,
    pub name: &'static str,
    /// One in this many contacts is a member.
    one_in: u64,
}

impl Archived {
    /// Whether a contact is a member. This depends on seed and index only, so archived groups do not use the world's generator.
    pub(crate) fn holds(&self, seed: u64, index: u32) -> bool {
        scatter(seed, self.one_in, u64::from(index)).is_multiple_of(self.one_in)
    }
}

/// Archived tags. One has the name of an existing tag. Counts by name cannot distinguish the two.
pub(crate) const ARCHIVED_TAGS: [Archived; 2] =
    [Archived { id: "1390001", name: "old campaign", one_in: 17 }, Archived { id: "1390002", name: "VIP", one_in: 23 }];

/// Archived segments.
pub(crate) const ARCHIVED_SEGMENTS: [Archived; 2] = [
    Archived { id: "63bbdd50aa01c0ffee0000a1", name: "Signed up in 2023", one_in: 13 },
    Archived { id: "63bbdd50aa01c0ffee0000a2", name: "New", one_in: 29 },
];

/// All tags of the workspace: the named tags, the extra tags, then, if requested, the tag of the oldest contacts.
pub(crate) fn tags(extra: Extra, big: Option<usize>, zone: &Zone) -> Vec<Tag> {
    let steady = |share, stay, away| Flow::Steady { share, stay, away, opens: 0 };
    let mut flows = vec![
        ("value_lead", steady(0.125, 16, 9)),
        ("beta tester", Flow::Growing { share: 0.25, opens: start_of_month(zone, 2024, 3) }),
        ("VIP", Flow::Shrinking { share: 0.35, closes: new_prices(zone) }),
        ("churn risk", Flow::Dormant { free: 0.45, rest: 0.05 }),
        ("newsletter, \"weekly\"", steady(0.33, 20, 6)),
        ("webinar-2026", Flow::Steady { share: 0.12, stay: 14, away: 10, opens: start_of_month(zone, 2026, 8) }),
        ("empty tag", Flow::Nobody),
        ("winter sale", Flow::Winter { share: 0.09 }),
        ("pilot customer", Flow::One),
    ];
    let small = [
        "asked for invoice",
        "conference",
        "feature: export",
        "feature: import",
        "german docs",
        "multi\nline",
        "+1 referral",
        "partner 🤝",
        "press",
        "security review",
        "self-hosted",
        "student",
    ];
    flows.extend(small.into_iter().zip(1..).map(|(name, rank)| (name, steady(0.004 * f64::from(rank), 15, 9))));
    let extra = (1..=extra.tags).map(|number| {
        let flow = match extra.memberships {
            None => steady(0.01 + 0.01 * (number % 6) as f64, EXTRA_STAY, 8),
            Some(memberships) => Flow::Even { share: (memberships / extra.tags as f64).clamp(0.0, 1.0) },
        };
        (format!("cohort {number:03}"), flow)
    });
    flows
        .into_iter()
        .map(|(name, flow)| (name.to_owned(), flow))
        .chain(extra)
        .zip(0u64..)
        .map(|((name, flow), rank)| {
            let id = if rank == 0 { VALUE_LEAD_ID.to_owned() } else { (1_400_000 + rank * 37).to_string() };
            Tag { id, name, flow }
        })
        .chain(big.map(|size| Tag { id: BIG_TAG_ID.to_owned(), name: "bulk import".to_owned(), flow: Flow::Oldest(size) }))
        .collect()
}

/// Assigns all tags except those that [`hand_out_evenly`] and [`hand_out_big_tag`] assign.
pub(crate) fn hand_out(rng: &mut Rng, tags: &[Tag], people: &mut [Contact]) {
    let first_user = people.iter().position(|contact| contact.user_since == Some(contact.created_at) && contact.end.is_none());
    for (number, contact) in people.iter_mut().enumerate() {
        contact.tags = spells(rng, tags, contact, Some(number) == first_user);
    }
}

/// Assigns the tags with [`Flow::Even`], which the same share of all contacts has at any instant. Chance decides whether a contact has the
/// tag at its creation; after that, the contact loses the tag and gets it back in turn. This step has its own random generator and changes
/// no other tag, so nothing else depends on it.
pub(crate) fn hand_out_evenly(rng: &mut Rng, tags: &[Tag], people: &mut [Contact]) {
    let even = |(tag, number): (&Tag, u16)| match tag.flow {
        Flow::Even { share } if share > 0.0 => Some((number, share)),
        _ => None,
    };
    let even: Vec<(u16, f64)> = tags.iter().zip(0u16..).filter_map(even).collect();
    for contact in people {
        let end = contact.gone_at().unwrap_or(WORLD_END);
        for (tag, share) in even.iter().copied() {
            let (stay, mut at) = (EXTRA_STAY * MONTH, contact.created_at);
            let away = (stay as f64 * (1.0 - share) / share) as i64;
            let mut carries = rng.random_bool(share);
            while at < end {
                let until = at + exponential(rng, if carries { stay } else { away });
                if carries {
                    let admin = rng.random_range(0..ADMINS.len() as u8);
                    contact.tags.push(TagSpell { tag, from: at, until: until.min(WORLD_END), admin });
                }
                (at, carries) = (until, !carries);
            }
        }
    }
}

/// Gives the tag with [`Flow::Oldest`] to the oldest contacts. When one of them is deleted or merged away, the oldest contact without the
/// tag gets it. This draws no random numbers, and changes no other tag.
pub(crate) fn hand_out_big_tag(tags: &[Tag], people: &mut [Contact]) {
    let Some((tag, size)) = tags.iter().zip(0u16..).find_map(|(tag, number)| match tag.flow {
        Flow::Oldest(size) => Some((number, size)),
        _ => None,
    }) else {
        return;
    };
    // Sorted by time. Within one second, deletions come first.
    let mut events: Vec<(i64, bool, usize)> = Vec::with_capacity(people.len() * 2);
    for (number, contact) in people.iter().enumerate() {
        events.push((contact.created_at, true, number));
        events.extend(contact.gone_at().map(|gone| (gone, false, number)));
    }
    events.sort_unstable();
    // Contacts are ordered by creation, so the members are those before `next` that still exist.
    let (mut born, mut next, mut members) = (0, 0, 0);
    for (at, is_birth, number) in events {
        if is_birth {
            born = number + 1;
        } else if people[number].tags.last().is_some_and(|spell| spell.tag == tag) {
            members -= 1;
        }
        while members < size && next < born {
            if people[next].exists_at(at) {
                people[next].tags.push(TagSpell { tag, from: at, until: WORLD_END, admin: 0 });
                members += 1;
            }
            next += 1;
        }
    }
}

/// All spells of one contact, by tag and time. `first_user` says whether this contact is the member of the tag with [`Flow::One`].
fn spells(rng: &mut Rng, tags: &[Tag], contact: &Contact, first_user: bool) -> Vec<TagSpell> {
    let mut spells = Vec::new();
    let end = contact.gone_at().unwrap_or(WORLD_END);
    // A few contacts have many tags, more than the ten that a contact body shows.
    let collector = rng.random_bool(0.004);
    for (tag, number) in tags.iter().zip(0u16..) {
        let mut add = |rng: &mut Rng, from: i64, until: i64| {
            let from = from.max(contact.created_at);
            if from < until.min(end) {
                spells.push(TagSpell { tag: number, from, until, admin: rng.random_range(0..ADMINS.len() as u8) });
            }
        };
        match &tag.flow {
            Flow::Steady { share, stay, away, opens } => {
                if !collector && !rng.random_bool(*share) {
                    continue;
                }
                let mut at = contact.created_at.max(*opens) + exponential(rng, MONTH);
                while at < end {
                    let out = at + exponential(rng, stay * MONTH).max(DAY);
                    add(rng, at, out);
                    at = out + exponential(rng, away * MONTH).max(DAY);
                }
            }
            Flow::Growing { share, opens } if rng.random_bool(*share) => {
                let place: f64 = rng.random();
                let from = (opens + ((WORLD_END - opens) as f64 * place.sqrt()) as i64).max(contact.created_at);
                let out = from + exponential(rng, 30 * MONTH);
                add(rng, from, out);
                let back = out + exponential(rng, 3 * MONTH);
                let out_again = back + exponential(rng, 30 * MONTH);
                add(rng, back, out_again);
            }
            Flow::Shrinking { share, closes } if rng.random_bool(*share) => {
                let from = contact.created_at + exponential(rng, 2 * MONTH);
                if from < *closes {
                    let out = from + exponential(rng, 20 * MONTH);
                    add(rng, from, out);
                    if rng.random_bool(0.2) {
                        let back = out + exponential(rng, 3 * MONTH);
                        let out_again = back + exponential(rng, 10 * MONTH);
                        add(rng, back, out_again);
                    }
                }
            }
            Flow::Winter { share } if rng.random_bool(*share) => {
                for year in 0..5 {
                    if rng.random_bool(0.6) {
                        // 10 November of 2023 and of the following years. An error of a day or two does not matter here.
                        let november = 1_699_574_400 + year * 31_557_600;
                        let (from, until) = (november + rng.random_range(0..35 * DAY), november + rng.random_range(56 * DAY..92 * DAY));
                        add(rng, from, until);
                    }
                }
            }
            Flow::Dormant { free, rest } => {
                let noticed = match contact.began_free() {
                    true if contact.slips_away() => 1.0,
                    true => *free,
                    false => *rest,
                };
                if !rng.random_bool(noticed) {
                    continue;
                }
                for (visit, next) in contact.visits.iter().zip(contact.visits.iter().skip(1).map(|next| next.from).chain([WORLD_END])) {
                    let noticed = visit.until + rng.random_range(20 * DAY..40 * DAY);
                    add(rng, noticed, next.min(noticed + 7 * MONTH));
                }
            }
            Flow::One if first_user => add(rng, contact.created_at + DAY, WORLD_END),
            _ => {}
        }
    }
    spells
}

/// One segment, which is a rule over contacts.
pub(crate) struct Segment {
    /// 24 hexadecimal digits.
    pub id: &'static str,
    pub name: &'static str,
    pub created_at: i64,
    pub deleted_at: Option<i64>,
    /// Whether the members are users or leads.
    pub person: Role,
    rule: Rule,
    /// When the rule was edited, and the rule since then.
    edit: Option<(i64, Rule)>,
}

impl Segment {
    /// Whether the segment was created and not deleted.
    pub(crate) fn exists_at(&self, now: i64) -> bool {
        self.created_at <= now && self.deleted_at.is_none_or(|deleted| now < deleted)
    }

    /// When the segment was last edited. It is assumed that a change of its members does not count.
    pub(crate) fn updated_at(&self, now: i64) -> i64 {
        let first = self.created_at + DAY;
        let edits = [Some(first), self.edit.map(|(at, _)| at)];
        edits.into_iter().flatten().filter(|at| *at <= now).max().unwrap_or(self.created_at)
    }

    fn rule_at(&self, now: i64) -> Rule {
        match self.edit {
            Some((at, rule)) if at <= now => rule,
            _ => self.rule,
        }
    }

    /// Whether a contact that exists at `now` is in the segment then. A segment that does not exist has no members.
    pub(crate) fn holds(&self, contact: &Contact, now: i64) -> bool {
        if contact.role_at(now) != self.person || !self.exists_at(now) {
            return false;
        }
        let away = || contact.last_seen_at(now).map(|seen| now - seen);
        match self.rule_at(now) {
            Rule::SeenWithin(days) => away().is_some_and(|away| away <= days * DAY),
            Rule::AwayFor(least, most) => away().is_some_and(|away| away > least * DAY && away <= most * DAY),
            Rule::CreatedWithin(days) => now - contact.created_at <= days * DAY,
            Rule::OnTrial => contact.trial_ends_at.is_some_and(|ends| ends > now),
            Rule::ToCall => contact.phone.is_some() && now - contact.created_at <= 120 * DAY,
            Rule::OnPlan(plan) => contact.plan_at(now) == plan,
            Rule::Newsletter => contact.newsletter_at(now) == Some(true),
            Rule::SeatsFrom(least) => contact.plan_attribute_at(now).is_some() && contact.seats >= least,
            Rule::PaysAndSeenWithin(days) => {
                contact.monthly_spend_at(now).is_some_and(|spend| spend > 0.0) && away().is_some_and(|away| away <= days * DAY)
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Rule {
    SeenWithin(i64),
    AwayFor(i64, i64),
    CreatedWithin(i64),
    OnTrial,
    ToCall,
    OnPlan(Plan),
    Newsletter,
    SeatsFrom(u32),
    PaysAndSeenWithin(i64),
}

/// The id of `Leads to call`.
pub(crate) const LEADS_TO_CALL_ID: &str = "64a1c2f0aa01c0ffee000005";
/// 2026-09-12 10:00 UTC. The filter of `Big teams` is edited, from 40 seats to 25, so about twice as many users are in it.
pub(crate) const BIG_TEAMS_EDIT: i64 = 1_789_207_200;
/// 2026-07-20 09:00 UTC. `Power users` is deleted, and created again with the same name, another id and another rule.
pub(crate) const POWER_USERS_ANEW: i64 = 1_784_538_000;

/// All segments of the workspace. Their ids are the same in every world.
pub(crate) fn segments() -> Vec<Segment> {
    let segment = |id, name, created_at, person, rule| Segment { id, name, created_at, deleted_at: None, person, rule, edit: None };
    let big_teams = segment("682469a0aa01c0ffee000008", "Big teams", 1_747_216_800, Role::User, Rule::SeatsFrom(40));
    let power_users = segment("67a0d2e8aa01c0ffee000009", "Power users", 1_738_593_000, Role::User, Rule::PaysAndSeenWithin(30));
    let anew = Rule::PaysAndSeenWithin(10);
    vec![
        segment("63bbdd50aa01c0ffee000001", "Active", 1_673_256_272, Role::User, Rule::SeenWithin(30)),
        segment("63bbdd50aa01c0ffee000002", "New", 1_673_256_272, Role::User, Rule::CreatedWithin(30)),
        segment("63bbdd50aa01c0ffee000003", "Slipping Away", 1_673_256_272, Role::User, Rule::AwayFor(30, 120)),
        segment("64a1c2f0aa01c0ffee000004", "Trial users", 1_688_322_800, Role::User, Rule::OnTrial),
        segment(LEADS_TO_CALL_ID, "Leads to call", 1_688_322_801, Role::Lead, Rule::ToCall),
        segment("65f0a1b2aa01c0ffee000006", "Duplicate name", 1_710_268_850, Role::User, Rule::OnPlan(Plan::Enterprise)),
        segment("66f0a1b2aa01c0ffee000007", "Duplicate name", 1_727_045_042, Role::User, Rule::Newsletter),
        Segment { edit: Some((BIG_TEAMS_EDIT, Rule::SeatsFrom(25))), ..big_teams },
        Segment { deleted_at: Some(POWER_USERS_ANEW), ..power_users },
        segment("6a5de390aa01c0ffee00000a", "Power users", POWER_USERS_ANEW, Role::User, anew),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_the_api_writes_them() {
        let tags = tags(Extra { tags: 3, memberships: None }, Some(5), &Zone::dublin());
        assert_eq!(tags[usize::from(VALUE_LEAD)].id, "1373897");
        assert!(tags.iter().all(|tag| tag.id.bytes().all(|byte| byte.is_ascii_digit())));
        let mut names: Vec<String> = tags.iter().map(|tag| tag.name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), tags.len(), "names differ by more than case");
        assert!(segments().iter().all(|segment| segment.id.len() == 24 && u128::from_str_radix(segment.id, 16).is_ok()));
    }
}
