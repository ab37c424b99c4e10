//! Demo worlds have the patterns that an analyst should find (see `world`), even in the smallest world for which they are promised.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::calendar::start_of_month;
use crate::world::conversations::Starter;
use crate::world::names::COUNTRIES;
use crate::world::people::{Contact, Plan, Role};
use crate::world::subscriptions::PRODUCT_NEWS;
use crate::world::{World, WorldOptions};
use crate::world_view::WorldView;

/// A world with helpers to view it.
struct TestWorld {
    world: Arc<World>,
    /// The name of the world in messages.
    name: String,
}

impl TestWorld {
    /// The first instant of a month, which is the end of the month before. Months roll over into other years.
    fn start(&self, year: i32, month: i32) -> i64 {
        start_of_month(&self.world.options.timezone, year, month)
    }

    fn at_the_end_of(&self, year: i32, month: i32) -> WorldView {
        WorldView::new(Arc::clone(&self.world), self.start(year, month + 1))
    }

    /// The members of a tag or segment at the end of each month. `year` and `month` are the first month, `months` is the number of months.
    fn members(&self, group: &str, year: i32, month: i32, months: i32) -> Vec<HashSet<u32>> {
        let tag = self.world.tags.iter().position(|tag| tag.name == group);
        let segment = self.world.segments.iter().position(|segment| segment.name == group);
        let members = |view: WorldView| match tag {
            Some(tag) => view.tag_members[tag].iter().copied().collect(),
            None => view.segment_members[segment.unwrap()].iter().copied().collect(),
        };
        (0..months).map(|number| members(self.at_the_end_of(year, month + number))).collect()
    }

    fn sizes(&self, group: &str, year: i32, month: i32, months: i32) -> Vec<i64> {
        self.members(group, year, month, months).iter().map(|members| members.len() as i64).collect()
    }

    /// The number of conversations that each contact opened in a month.
    fn opened(&self, year: i32, month: i32) -> BTreeMap<u32, u32> {
        let mut opened = BTreeMap::new();
        let span = self.start(year, month)..self.start(year, month + 1);
        let begun = self.world.conversations.iter().filter(|one| span.contains(&one.created_at) && one.starter == Starter::Contact);
        begun.for_each(|one| *opened.entry(one.contact).or_default() += 1);
        opened
    }
}

fn worlds(seeds: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = TestWorld> {
    seeds.flat_map(|seed| [2_000, 5_000].map(|contacts| (seed, contacts))).map(|(seed, contacts)| TestWorld {
        world: Arc::new(World::new(WorldOptions { seed, contacts, ..WorldOptions::default() })),
        name: format!("seed {seed}, {contacts} contacts"),
    })
}

fn changes(values: &[i64]) -> Vec<i64> {
    values.iter().zip(values.iter().skip(1)).map(|(before, after)| after - before).collect()
}

/// How odd the last change is among those before it: its distance from their median, in robust deviations.
fn robust_z(changes: &[i64]) -> f64 {
    let median = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
    };
    let (last, before) = changes.split_last().unwrap();
    let before: Vec<f64> = before.iter().map(|change| *change as f64).collect();
    let middle = median(&before);
    let deviations: Vec<f64> = before.iter().map(|change| (change - middle).abs()).collect();
    0.6745 * (*last as f64 - middle) / median(&deviations)
}

#[test]
fn churn_risk_is_free_and_brazilian() {
    for seen in worlds(1..=3) {
        let view = seen.at_the_end_of(2026, 10);
        let users = |indices: &[u32]| -> Vec<&Contact> {
            indices.iter().map(|index| seen.world.contact(*index)).filter(|contact| contact.role_at(view.now) == Role::User).collect()
        };
        let tag = seen.world.tags.iter().position(|tag| tag.name == "churn risk").unwrap();
        let (members, all) = (users(&view.tag_members[tag]), users(&view.contacts));
        let free = |contact: &Contact| contact.plan_attribute_at(view.now) == Some(Plan::Free);
        let brazilian = |contact: &Contact| contact.place.is_some_and(|(country, _)| COUNTRIES[country].name == "Brazil");
        let share = |group: &[&Contact], quality: &dyn Fn(&Contact) -> bool| {
            group.iter().filter(|contact| quality(contact)).count() as f64 / group.len() as f64
        };
        let (free, brazilian) = ((share(&members, &free), share(&all, &free)), (share(&members, &brazilian), share(&all, &brazilian)));
        assert!(free.0 > 0.7 && free.0 > 1.75 * free.1, "{}: {free:?}", seen.name);
        assert!(brazilian.0 > 0.25 && brazilian.0 > 2.0 * brazilian.1, "{}: {brazilian:?}", seen.name);
        assert!((0.05..0.1).contains(&(members.len() as f64 / all.len() as f64)), "{}: {} of {}", seen.name, members.len(), all.len());
    }
}

#[test]
fn trial_users_get_fewer_in_every_month_from_2025_03_on() {
    for seen in worlds(1..=5) {
        let rising = seen.sizes("Trial users", 2024, 8, 7);
        assert!(rising[..6].iter().all(|size| *size < rising[6]), "{}: {rising:?}", seen.name);
        // The last month is 2027-08, when the segment is empty.
        let falling = seen.sizes("Trial users", 2025, 2, 31);
        assert!(changes(&falling).iter().all(|change| *change < 0), "{}: {falling:?}", seen.name);
        assert!(
            falling[20] * 40 > seen.world.options.contacts as i64 * 3 / 4,
            "{}: still a group at the end of 2026-10: {falling:?}",
            seen.name
        );
        let members = seen.members("Trial users", 2025, 2, 21);
        assert!(members.is_sorted_by(|before, after| after.is_subset(before)), "{}: nobody joins", seen.name);
    }
}

#[test]
fn vip_shrinks_from_2025_03_on() {
    for seen in worlds(1..=3) {
        let sizes = seen.sizes("VIP", 2024, 11, 24);
        assert_eq!(sizes[3], *sizes.iter().max().unwrap(), "{}: {sizes:?}", seen.name);
        let ups = changes(&sizes[3..]).iter().filter(|change| **change > 0).count();
        assert!(ups <= 2 && sizes[23] * 2 < sizes[3], "{}: {sizes:?}", seen.name);
    }
}

#[test]
fn in_2026_09_there_was_an_outage() {
    for seen in worlds(1..=3) {
        let members = seen.members("Active", 2025, 5, 18);
        // For each month, the number of conversations that members opened, and the number of members who opened any.
        let (mut opened, mut openers) = (Vec::new(), Vec::new());
        for (members, month) in members.iter().zip(5..) {
            let by_members: Vec<u32> =
                seen.opened(2025, month).into_iter().filter_map(|(index, count)| members.contains(&index).then_some(count)).collect();
            opened.push(i64::from(by_members.iter().sum::<u32>()));
            openers.push(by_members.len() as i64);
        }
        for figures in [opened, openers] {
            let others = figures[..16].iter().chain(&figures[17..]).max().unwrap();
            assert!(figures[16] > 3 * others, "{}: {figures:?}", seen.name);
            let changes = changes(&figures);
            assert!(robust_z(&changes[..16]) > 10.0, "{}: the rise: {changes:?}", seen.name);
            assert!(robust_z(&changes) < -10.0, "{}: the fall: {changes:?}", seen.name);
        }
    }
}

/// The share of contacts that leave `Product news` in a month, of those who exist at its end and had not left before.
fn leavers(seen: &TestWorld, year: i32, month: i32, wanted: impl Fn(&Contact, i64) -> bool) -> f64 {
    let (start, end) = (seen.start(year, month), seen.start(year, month + 1));
    let left = |contact: &Contact, at: i64| contact.choices.iter().any(|choice| choice.kind == PRODUCT_NEWS && choice.holds_at(at));
    let view = seen.at_the_end_of(year, month);
    let people = || view.contacts.iter().map(|index| seen.world.contact(*index)).filter(|contact| wanted(contact, end));
    let stayed = people().filter(|contact| !left(contact, start));
    people().filter(|contact| !left(contact, start) && left(contact, end)).count() as f64 / stayed.count() as f64
}

#[test]
fn in_2026_08_a_mailing_makes_many_leave_product_news() {
    for seen in worlds(1..=3) {
        let on_team = |contact: &Contact, at: i64| contact.role_at(at) == Role::User && contact.plan_at(at) == Plan::Team;
        let team = leavers(&seen, 2026, 8, on_team);
        let others = leavers(&seen, 2026, 8, |contact, at| !on_team(contact, at));
        assert!((0.26..0.42).contains(&team) && (0.02..0.05).contains(&others), "{}: {team} {others}", seen.name);
        let ordinary: Vec<f64> = (1..=24).filter(|month| *month != 20).map(|month| leavers(&seen, 2025, month, |_, _| true)).collect();
        let mean = ordinary.iter().sum::<f64>() / ordinary.len() as f64;
        assert!((0.003..0.007).contains(&mean) && ordinary.iter().all(|share| *share < 0.014), "{}: {mean} {ordinary:?}", seen.name);
        // The plan makes no difference in other months.
        let team: f64 = (1..=24).filter(|month| *month != 20).map(|month| leavers(&seen, 2025, month, on_team)).sum();
        assert!(team / 23.0 < 0.012, "{}: {team}", seen.name);
    }
}

#[test]
fn sign_ups_grow_without_odd_months() {
    for seen in worlds(1..=3) {
        let edges: Vec<i64> = (1..=36).map(|month| seen.start(2024, 7 + month)).collect();
        let born = |at: i64| seen.world.contacts.partition_point(|contact| contact.created_at < at) as i64;
        let sign_ups = changes(&edges.iter().map(|edge| born(*edge)).collect::<Vec<_>>());
        for three in sign_ups.windows(3) {
            let neighbours = (three[0] + three[2]) as f64 / 2.0;
            assert!((0.6..1.6).contains(&(three[1] as f64 / neighbours)), "{}: {sign_ups:?}", seen.name);
        }
        let population: Vec<i64> = (0..24).map(|month| seen.at_the_end_of(2024, 11 + month).contacts.len() as i64).collect();
        assert!(changes(&population).iter().all(|change| *change > 0), "{}: {population:?}", seen.name);
    }
}
