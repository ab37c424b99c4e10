//! Contacts and their lives: sign-up, visits, plans, opt-outs, and the end.
//!
//! What an analyst should be able to find: users on the free plan who live in Brazil stop visiting far sooner than others, and there are no
//! new trials since [`new_prices`].

use std::mem;

use rand::RngExt;
use serde_json::{Map, Value};

use super::names::{self, COUNTRIES, pick};
use super::subscriptions::Choice;
use super::{ADMINS, Rng, WORKSPACE_CREATED_AT, WORLD_END, WorldOptions, between, exponential, new_prices};
use crate::calendar::{DAY, MONTH, start_of_month};

/// A user has signed up. A lead was seen, but has not signed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Lead,
}

impl Role {
    /// The word of the 2.x API.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Lead => "lead",
        }
    }
}

/// The customer's plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Plan {
    #[default]
    Free,
    Pro,
    Team,
    Enterprise,
}

impl Plan {
    /// The value of the custom attribute `plan`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Plan::Free => "free",
            Plan::Pro => "pro",
            Plan::Team => "team",
            Plan::Enterprise => "enterprise",
        }
    }
}

/// A period in which a contact had a tag: `[from, until)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TagSpell {
    /// Index into the world's tags.
    pub tag: u16,
    pub from: i64,
    pub until: i64,
    /// Index into [`ADMINS`].
    pub admin: u8,
}

/// How a contact leaves the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Deleted,
    /// The contact was merged into the contact with this index.
    Merged(u32),
}

/// A period in which the contact visits every few days: `[from, until)`.
#[derive(Clone, Debug)]
pub(crate) struct Visits {
    pub from: i64,
    pub until: i64,
}

/// What requests wrote to a contact, besides its tags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// Whether a request created the contact, so that none of its data are invented.
    pub created: bool,
    /// The time of the latest write.
    pub at: i64,
    pub attributes: Map<String, Value>,
}

/// The whole life of a contact. The `_at` methods return its state at an instant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contact {
    /// 24 hexadecimal digits that begin with the creation time.
    pub id: String,
    pub created_at: i64,
    /// When the contact became a user. For most this is at creation; some never become one.
    pub user_since: Option<i64>,
    pub end: Option<(i64, End)>,
    pub external_id: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub phone: Option<String>,
    pub signed_up_at: Option<i64>,
    pub visits: Vec<Visits>,
    /// Seconds between two visits.
    pub visit_gap: i64,
    pub tags: Vec<TagSpell>,
    /// What the contact chose to get or not to get, by type and time.
    pub choices: Vec<Choice>,
    plan: Plan,
    upgrade: Option<(i64, Plan)>,
    pub unsubscribed_at: Option<i64>,
    pub bounced_at: Option<i64>,
    pub spam_at: Option<i64>,
    /// Index into [`COUNTRIES`] and its cities.
    pub place: Option<(usize, usize)>,
    pub browser: Option<(&'static str, &'static str)>,
    pub os: Option<&'static str>,
    pub language: Option<&'static str>,
    pub seats: u32,
    newsletter: Option<bool>,
    pub trial_ends_at: Option<i64>,
    pub industry: Option<&'static str>,
    pub utm_source: Option<&'static str>,
    /// Index into [`ADMINS`].
    pub owner: Option<usize>,
    /// Indices into the world's companies.
    pub companies: Vec<u32>,
    pub notes: u32,
    /// What requests wrote to the contact. `None` for contacts of an invented world.
    pub written: Option<Box<Written>>,
}

impl Contact {
    /// A contact as a request creates it: a lead without data.
    pub(crate) fn made_by_request(id: String, now: i64) -> Self {
        let written = Written { created: true, at: now, ..Written::default() };
        Self { id, created_at: now, visit_gap: DAY, written: Some(Box::new(written)), ..Self::default() }
    }

    /// Whether the contact was created, and neither deleted nor merged away.
    pub(crate) fn exists_at(&self, now: i64) -> bool {
        self.created_at <= now && self.gone_at().is_none_or(|gone| now < gone)
    }

    /// When the contact is deleted or merged away. `None` if this never happens.
    pub(crate) fn gone_at(&self) -> Option<i64> {
        self.end.map(|(at, _)| at)
    }

    /// The role at an instant. Some leads become users later.
    pub(crate) fn role_at(&self, now: i64) -> Role {
        if self.user_since.is_some_and(|since| since <= now) { Role::User } else { Role::Lead }
    }

    /// The external id at an instant. Leads have none.
    pub(crate) fn external_id_at(&self, now: i64) -> Option<&str> {
        self.external_id.as_deref().filter(|_| self.role_at(now) == Role::User)
    }

    /// The plan at an instant. It may have been upgraded. Contacts who never become users are on the free plan.
    pub(crate) fn plan_at(&self, now: i64) -> Plan {
        match self.upgrade {
            Some((at, plan)) if at <= now => plan,
            _ => self.plan,
        }
    }

    /// Whether this contact is or becomes a user, and its first plan is the free one.
    pub(crate) fn began_free(&self) -> bool {
        self.user_since.is_some() && self.plan == Plan::Free
    }

    /// Whether this contact stops visiting soon: a user whose first plan is the free one and who lives in Brazil.
    pub(crate) fn slips_away(&self) -> bool {
        self.began_free() && slips_away(self.plan, self.place)
    }

    /// The latest visit. `None` for contacts that were imported and never visited.
    pub(crate) fn last_seen_at(&self, now: i64) -> Option<i64> {
        let visits = self.visits.iter().rev().find(|visits| visits.from <= now)?;
        let latest = now.min(visits.until - 1).max(visits.from);
        Some(visits.from + (latest - visits.from) / self.visit_gap * self.visit_gap)
    }

    /// The time of the latest e-mail. The workspace sends one every 18 days to contacts that can be reached. `None` before the first.
    pub(crate) fn last_contacted_at(&self, now: i64) -> Option<i64> {
        let reachable = now.min(self.unsubscribed_at.unwrap_or(i64::MAX)).min(self.bounced_at.unwrap_or(i64::MAX));
        let (first, gap) = (self.created_at + 2 * DAY, 18 * DAY);
        self.email.as_deref().filter(|email| !email.is_empty())?;
        (reachable >= first).then(|| first + (reachable - first) / gap * gap)
    }

    /// When the contact last opened an e-mail: at the time of the latest e-mail or at the latest visit, whichever is earlier.
    pub(crate) fn last_email_opened_at(&self, now: i64) -> Option<i64> {
        let (contacted, seen) = (self.last_contacted_at(now)?, self.last_seen_at(now)?);
        Some(contacted.min(seen))
    }

    /// One in four contacts replies to the e-mails that it opens.
    pub(crate) fn last_replied_at(&self, now: i64) -> Option<i64> {
        self.last_email_opened_at(now).filter(|_| self.visit_gap % 4 == 0)
    }

    /// One in three contacts clicks a link in the e-mails that it opens.
    pub(crate) fn last_email_clicked_at(&self, now: i64) -> Option<i64> {
        self.last_email_opened_at(now).filter(|_| self.visit_gap % 3 == 0)
    }

    /// The part of the email address after the `@`.
    pub(crate) fn email_domain(&self) -> Option<&str> {
        self.email.as_deref()?.split_once('@').map(|(_, domain)| domain)
    }

    /// The custom attribute `plan`. Leads and contacts that requests created have none.
    pub(crate) fn plan_attribute_at(&self, now: i64) -> Option<Plan> {
        let invented = !self.written.as_ref().is_some_and(|written| written.created);
        (invented && self.role_at(now) == Role::User).then(|| self.plan_at(now))
    }

    /// The custom attribute `monthly_spend`: seats times the plan's price.
    pub(crate) fn monthly_spend_at(&self, now: i64) -> Option<f64> {
        let price = match self.plan_attribute_at(now)? {
            Plan::Free => 0.0,
            Plan::Pro => 19.5,
            Plan::Team => 29.25,
            Plan::Enterprise => 41.75,
        };
        Some(price * f64::from(self.seats))
    }

    /// The custom attribute `newsletter`: false for contacts that have unsubscribed.
    pub(crate) fn newsletter_at(&self, now: i64) -> Option<bool> {
        let unsubscribed = self.unsubscribed_at.is_some_and(|at| at <= now);
        self.newsletter.map(|wanted| wanted && !unsubscribed)
    }

    /// The tags at an instant.
    pub(crate) fn tags_at(&self, now: i64) -> impl Iterator<Item = &TagSpell> {
        self.tags.iter().filter(move |spell| spell.from <= now && now < spell.until)
    }

    /// Whether the contact has a tag at an instant.
    pub(crate) fn has_tag_at(&self, tag: u16, now: i64) -> bool {
        self.tags_at(now).any(|spell| spell.tag == tag)
    }

    /// The time of the latest change. Nearly every event counts as a change, as on the real service.
    pub(crate) fn updated_at(&self, now: i64) -> i64 {
        let tagging = self.tags.iter().flat_map(|spell| [spell.from, spell.until]);
        let written = self.written.as_ref().map(|written| written.at);
        let single = [written, self.user_since, self.unsubscribed_at, self.bounced_at, self.spam_at, self.upgrade.map(|(at, _)| at)];
        let choosing = self.choices.iter().flat_map(|choice| [choice.from, choice.until]);
        let changes = tagging.chain(choosing).chain(single.into_iter().flatten()).filter(|at| *at <= now).max();
        self.created_at.max(changes.unwrap_or(0)).max(self.last_seen_at(now).unwrap_or(0))
    }
}

/// All contacts who ever sign up, sorted by id. Tags and subscriptions come later: see `groups` and `subscriptions`.
pub(crate) fn invent(rng: &mut Rng, options: &WorldOptions, companies: usize) -> Vec<Contact> {
    let births = births(rng, options);
    let mut people: Vec<Contact> = Vec::with_capacity(births.len());
    for (number, (created_at, suffix)) in births.into_iter().enumerate() {
        let mut contact = person(rng, number, created_at, suffix, companies);
        if let Some((at, End::Merged(_))) = contact.end {
            contact.end = Some((at, merge_target(rng, &people, at)));
        }
        // Some contacts share an email address with an earlier contact.
        if number > 20 && rng.random_bool(0.012) {
            contact.email = people[number - rng.random_range(1..20)].email.clone();
        }
        people.push(contact);
    }
    end_trials(options, &mut people);
    people
}

/// The creation time and the random id suffix of each contact, sorted by time. Sign-ups grow steadily from the workspace's first day to the
/// world's end.
fn births(rng: &mut Rng, options: &WorldOptions) -> Vec<(i64, u64)> {
    // The rate grows linearly to seven times its start, so a share of (t + 3 t²) / 4 has signed up by time t (0 to 1).
    let span = (WORLD_END - WORKSPACE_CREATED_AT) as f64;
    let counted = (1_793_491_200 - WORKSPACE_CREATED_AT) as f64 / span; // 2026-11-01
    let still_here = 0.93;
    // Imports create many contacts in one second. The big import in the spring of 2024 is longer than the longest page, so it spans two
    // pages. Its contacts come in addition to `total`. The other imports are so small that they make no month odd.
    let mut big_import = 170.min(options.contacts / 12);
    let largest_import = (options.contacts / 150).clamp(3, 40);
    let others = (options.contacts as f64 / still_here - big_import as f64).max(0.0);
    let total = (others * 4.0 / (counted + 3.0 * counted * counted)).ceil() as usize;
    let mut created: Vec<i64> = Vec::with_capacity(total + big_import);
    let mut import_left = 0usize;
    for number in 0..total {
        match created.last() {
            Some(previous) if import_left > 0 => {
                created.push(*previous);
                import_left -= 1;
                continue;
            }
            _ if rng.random_bool(0.003) => import_left = rng.random_range(2..=largest_import),
            _ => {}
        }
        let share = (number as f64 + rng.random::<f64>()) / total as f64;
        let time = ((1.0 + 48.0 * share).sqrt() - 1.0) / 6.0;
        let mut at = WORKSPACE_CREATED_AT + (time * span) as i64;
        // Some sign up in the first or the last second of a month.
        if rng.random_bool(0.002) {
            let month = start_of_month(&options.timezone, 2023, 2 + (time * 59.0) as i32);
            at = month - i64::from(rng.random_bool(0.5));
        }
        created.push(at.min(WORLD_END - 1));
        if number >= total / 8 {
            created.extend(std::iter::repeat_n(at, mem::take(&mut big_import)));
        }
    }
    let mut births: Vec<(i64, u64)> = created.into_iter().map(|at| (at, rng.random())).collect();
    births.sort_unstable();
    births
}

fn person(rng: &mut Rng, number: usize, created_at: i64, suffix: u64, companies: usize) -> Contact {
    let user_since = match rng.random_range(0..100) {
        0..72 => Some(created_at),
        72..82 => Some(created_at + exponential(rng, 3 * MONTH)),
        _ => None,
    };
    let is_user = user_since.is_some();
    let place = (!rng.random_bool(0.07)).then(|| (country(rng), rng.random_range(0..3)));
    let plan = match rng.random_range(0..100) {
        _ if !is_user => Plan::Free,
        0..46 => Plan::Free,
        46..76 => Plan::Pro,
        76..93 => Plan::Team,
        _ => Plan::Enterprise,
    };
    let visits = visits(rng, created_at, is_user, plan, slips_away(plan, place));
    let end = rng.random_bool(0.11).then(|| {
        // Merges happen early, when the duplicate is noticed. Index 0 is a placeholder for the target, which `invent` fills in.
        let (end, mean) = if number > 50 && rng.random_bool(0.3) { (End::Merged(0), MONTH) } else { (End::Deleted, 14 * MONTH) };
        (created_at + DAY + exponential(rng, mean), end)
    });
    let reached = |rng: &mut Rng, share: f64, mean: i64| rng.random_bool(share).then(|| created_at + 2 * DAY + exponential(rng, mean));
    let email = match rng.random_range(0..100) {
        0..25 if !is_user => None,
        25..38 if !is_user => Some(String::new()),
        _ => Some(names::email(rng, number)),
    };
    let pays = plan != Plan::Free;
    Contact {
        id: format!("{created_at:08x}{suffix:016x}"),
        created_at,
        user_since,
        end,
        external_id: (is_user && !rng.random_bool(0.04)).then(|| format!("u-{}", 70_000 + number)),
        email,
        name: (is_user || rng.random_bool(0.6)).then(|| names::person(rng)),
        phone: rng.random_bool(0.3).then(|| {
            let dial = place.map_or("+353", |(country, _)| COUNTRIES[country].dial);
            format!("{dial}5550{:05}", rng.random_range(0..100_000))
        }),
        signed_up_at: signed_up_at(rng, user_since),
        visits,
        visit_gap: rng.random_range(20 * 3_600..9 * DAY),
        tags: Vec::new(),
        choices: Vec::new(),
        plan,
        upgrade: (is_user && !pays && rng.random_bool(0.18)).then(|| (created_at + exponential(rng, 8 * MONTH), Plan::Pro)),
        unsubscribed_at: reached(rng, 0.16, 16 * MONTH),
        bounced_at: reached(rng, 0.05, 12 * MONTH),
        spam_at: reached(rng, 0.015, 12 * MONTH),
        place,
        browser: (!rng.random_bool(0.1))
            .then(|| *pick(rng, &[("chrome", "131.0.0"), ("firefox", "133.0"), ("safari", "18.1"), ("edge", "131.0"), ("opera", "115.0")])),
        os: (!rng.random_bool(0.1)).then(|| *pick(rng, &["OS X 10.15.7", "Windows 10", "Linux", "Android 14", "iOS 18.1"])),
        language: rng.random_bool(0.2).then(|| *pick(rng, &["en", "pt-BR", "de", "ja"])),
        seats: match plan {
            Plan::Free => 1,
            Plan::Pro => rng.random_range(1..6),
            Plan::Team => rng.random_range(5..40),
            Plan::Enterprise => rng.random_range(40..900),
        },
        newsletter: (!rng.random_bool(0.15)).then(|| rng.random_bool(0.45)),
        trial_ends_at: is_user.then(|| user_since.unwrap_or(created_at) + rng.random_range(14..45) * DAY).filter(|_| rng.random_bool(0.7)),
        industry: (!rng.random_bool(0.25))
            .then(|| *pick(rng, &["software", "retail", "health care", "education", "food & drink", "Kunst, Musik"])),
        utm_source: rng.random_bool(0.3).then(|| *pick(rng, &["search", "partner", "conference", "newsletter"])),
        owner: rng.random_bool(0.35).then(|| rng.random_range(0..ADMINS.len())),
        companies: belongs_to(rng, is_user, companies),
        notes: match rng.random_range(0..1000) {
            0..850 => 0,
            850..995 => rng.random_range(1..5),
            _ => rng.random_range(11..20),
        },
        written: None,
    }
}

fn slips_away(plan: Plan, place: Option<(usize, usize)>) -> bool {
    plan == Plan::Free && place.is_some_and(|(country, _)| COUNTRIES[country].name == "Brazil")
}

/// Makes every third trial that began before [`new_prices`] a long one, and removes trials that began since. Long trials end evenly over
/// the thirty months after the change, so some end in every month.
fn end_trials(options: &WorldOptions, people: &mut [Contact]) {
    let change = new_prices(&options.timezone);
    let mut begun = 0u32;
    for contact in people {
        match (contact.user_since, &mut contact.trial_ends_at) {
            (Some(since), Some(ends)) if since < change => {
                begun += 1;
                if begun.is_multiple_of(3) {
                    // Steps of the golden ratio fill a range without gaps.
                    let place = (f64::from(begun / 3) * 0.618_033_988_749_895).fract();
                    *ends = change + (place * (30 * MONTH) as f64) as i64;
                }
            }
            (_, ends) => *ends = None,
        }
    }
}

fn country(rng: &mut Rng) -> usize {
    match rng.random_range(0..100) {
        0..14 => 0,
        14..38 => 1,
        38..50 => 2,
        50..64 => 3,
        64..78 => 4,
        78..86 => 5,
        86..92 => 6,
        92..95 => 7,
        95..98 => 8,
        _ => 9,
    }
}

/// Periods of visits. Those of leads are the shortest. Among users, they are shorter on the free plan and shortest for users who slip away.
fn visits(rng: &mut Rng, created_at: i64, is_user: bool, plan: Plan, slips_away: bool) -> Vec<Visits> {
    if rng.random_bool(0.06) {
        return Vec::new(); // imported, never seen
    }
    let (stay, away) = match (is_user, plan) {
        (false, _) => (MONTH, 14 * MONTH),
        _ if slips_away => (2 * MONTH, 5 * MONTH),
        (true, Plan::Free) => (7 * MONTH, 14 * MONTH),
        (true, _) => (13 * MONTH, 15 * MONTH),
    };
    let mut spells = Vec::new();
    let mut from = created_at;
    while from < WORLD_END {
        let until = from + exponential(rng, stay);
        spells.push(Visits { from, until });
        from = until + 10 * DAY + exponential(rng, away);
    }
    spells
}

/// The sign-up time as the workspace's own system reported it, which is sometimes wrong.
fn signed_up_at(rng: &mut Rng, user_since: Option<i64>) -> Option<i64> {
    let since = user_since?;
    match rng.random_range(0..1000) {
        0..3 => Some(2_713_651_200), // 2055-12-28
        3..6 => Some(-1_234_567),    // 1969-12-17
        6..9 => Some(since * 1000),  // somebody sent milliseconds
        9..60 => None,
        _ => Some(since - between(rng, 0, 5)),
    }
}

fn belongs_to(rng: &mut Rng, is_user: bool, companies: usize) -> Vec<u32> {
    let count = match rng.random_range(0..1000) {
        _ if !is_user => 0,
        0..400 => 0,
        400..920 => 1,
        920..996 => 2,
        _ => rng.random_range(11..15),
    };
    let mut list: Vec<u32> = (0..count).map(|_| rng.random_range(0..companies as u32)).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// Draws an earlier contact to merge into. It must exist at the time of the merge. After 20 draws without one, the contact that was to
/// be merged is deleted instead.
fn merge_target(rng: &mut Rng, people: &[Contact], at: i64) -> End {
    for _ in 0..20 {
        let target = rng.random_range(0..people.len());
        if people[target].exists_at(at) {
            return End::Merged(target as u32);
        }
    }
    End::Deleted
}
