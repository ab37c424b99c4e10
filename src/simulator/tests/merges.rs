//! Contacts that were merged into others.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::served::Served;
use super::{NOW, get, world};
use crate::calendar::start_of_month;
use crate::world::groups::{LEADS_TO_CALL_ID, VALUE_LEAD};
use crate::world::people::{Contact, End, Role};
use crate::world::{World, WorldOptions};
use crate::world_view::WorldView;
use crate::*;

/// The number of leads that are merged into a user who stays, in a month of 2026, and that were members at the start of the month: first of
/// `Leads to call`, then of `value_lead`.
fn merged_leads(world: &World, month: i32) -> [usize; 2] {
    let (start, end) = (start_of_month(&world.options.timezone, 2026, month), start_of_month(&world.options.timezone, 2026, month + 1));
    let to_call = world.segments.iter().find(|segment| segment.id == LEADS_TO_CALL_ID).unwrap();
    let merged = |contact: &&Contact| match contact.end {
        Some((at, End::Merged(target))) if (start..end).contains(&at) && contact.role_at(at) == Role::Lead && contact.exists_at(start) => {
            let target = world.contact(target);
            target.role_at(at) == Role::User && target.exists_at(at) && target.end.is_none()
        }
        _ => false,
    };
    let all: Vec<&Contact> = world.contacts.iter().filter(merged).collect();
    [
        all.iter().filter(|contact| to_call.holds(contact, start)).count(),
        all.iter().filter(|contact| contact.has_tag_at(VALUE_LEAD, start)).count(),
    ]
}

/// The number of users that are merged after a lead was merged into them.
fn chains(world: &World) -> usize {
    let merged_later = |contact: &&Contact| match contact.end {
        Some((at, End::Merged(target))) => {
            matches!(world.contact(target).end, Some((next, End::Merged(_))) if next > at && next <= NOW)
                && contact.role_at(at) == Role::Lead
        }
        _ => false,
    };
    world.contacts.iter().filter(merged_later).count()
}

#[test]
fn leads_are_merged_in_every_month_of_2026() {
    for (seed, contacts) in [(1, 2_000), (2, 2_000), (3, 2_000), (1, 5_000), (2, 5_000)] {
        let world = World::new(WorldOptions { seed, contacts, ..WorldOptions::default() });
        let merged: Vec<[usize; 2]> = (1..=12).map(|month| merged_leads(&world, month)).collect();
        assert!(merged.iter().all(|[to_call, tagged]| to_call + tagged >= 2), "seed {seed}, {contacts} contacts: {merged:?}");
        assert!(chains(&world) >= 1, "seed {seed}, {contacts} contacts");
    }
}

#[test]
fn whoever_is_merged_does_nothing_later() {
    let world = world(20_000);
    for conversation in &world.conversations {
        for index in conversation.participants() {
            assert!(world.contact(index).exists_at(conversation.created_at), "conversation {}", conversation.id);
        }
    }
    for contact in &world.contacts {
        if let Some((at, End::Merged(target))) = contact.end {
            assert!(
                world.contact(target).exists_at(at) && !std::ptr::eq(world.contact(target), contact),
                "{} is merged into somebody who is there",
                contact.id
            );
        }
    }
}

#[tokio::test]
async fn a_chain_of_merges_leads_to_the_last_user() {
    let served = Served::with(Options { world: WorldOptions { contacts: 2_000, ..WorldOptions::default() }, ..Options::default() }).await;
    let merges = served.probe("merged").await;
    let merges: BTreeMap<&str, &str> =
        merges.as_array().unwrap().iter().map(|one| (one["from"].as_str().unwrap(), one["into"].as_str().unwrap())).collect();
    let (first, middle, last) = merges.iter().find_map(|(from, into)| Some((*from, *into, *merges.get(into)?))).unwrap();
    for id in [first, middle] {
        assert_eq!(served.get("2.15", &format!("/contacts/{id}")).await.status, 404);
        assert_eq!(served.get("2.16", &format!("/contacts/{id}")).await.refusal(), (410, "contact_merged".to_owned()));
    }
    assert_eq!(served.get("2.16", &format!("/contacts/{last}")).await.status, 200);
    let view = served.simulator.view();
    for id in [first, middle] {
        let error = get(&view, &format!("/contacts/{id}"), &[], "2.16").unwrap_err();
        assert_eq!(error.canonical, Some(format!("/contacts/{last}")));
    }
    let history = [("include_merge_history", "true")];
    let shown = get(&view, &format!("/contacts/{last}"), &history, "2.16").unwrap()["merge_history"].clone();
    assert!(shown.as_array().unwrap().iter().any(|merge| merge["source_contact_id"] == middle && merge["source_contact_role"] == "user"));
}

#[test]
fn merge_history_is_shown_on_request_from_2_16_on() {
    let world = world(2_000);
    let view = &WorldView::new(Arc::clone(&world), NOW);
    let history = [("include_merge_history", "true"), ("per_page", "150")];
    let shown = |index: u32, version: &str| get(view, &format!("/contacts/{}", view.contact(index).id), &history, version).unwrap();
    let of_role = |role: Role| view.contacts.iter().copied().filter(move |index| view.contact(*index).role_at(NOW) == role);
    let into = of_role(Role::User).find(|index| world.merged_into(*index).iter().any(|from| !world.contact(*from).exists_at(NOW))).unwrap();
    let from = world.merged_into(into).iter().map(|from| world.contact(*from)).filter(|from| from.gone_at().unwrap() <= NOW);
    let mut expected: Vec<(i64, Value)> = from
        .map(|from| {
            let (at, role) = (from.gone_at().unwrap(), from.role_at(from.gone_at().unwrap() - 1).word());
            let merge = json!({"type": "merge_history", "source_contact_id": from.id, "source_contact_role": role, "merged_at": at});
            (at, merge)
        })
        .collect();
    expected.sort_by_key(|(at, _)| -at);
    let expected: Vec<Value> = expected.into_iter().map(|(_, merge)| merge).collect();
    assert_eq!(shown(into, "2.16")["merge_history"], json!(expected));
    assert!(shown(into, "2.15").get("merge_history").is_none());
    assert!(get(view, &format!("/contacts/{}", view.contact(into).id), &[], "2.16").unwrap().get("merge_history").is_none());
    assert!(shown(of_role(Role::Lead).next().unwrap(), "2.16").get("merge_history").is_none(), "users only");
    let page = get(view, "/contacts", &history, "2.17").unwrap();
    let contacts = page["data"].as_array().unwrap();
    assert!(contacts.iter().all(|contact| contact.get("merge_history").is_some() == (contact["role"] == "user")));
}
