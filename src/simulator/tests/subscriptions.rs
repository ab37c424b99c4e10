//! Subscription types and the choices of contacts.

use serde_json::{Value, json};

use super::{NOW, ids, world};
use crate::api_error::ApiError;
use crate::world::people::{Contact, End};
use crate::world::subscriptions::{Consent, PRODUCT_NEWS, TYPES, WEEKLY_DIGEST};
use crate::world_view::WorldView;

fn get(view: &WorldView, path: &str, version: &str) -> Result<Value, ApiError> {
    super::get(view, path, &[], version)
}

/// The choices of a contact that hold at [`NOW`], by consent.
fn chosen(contact: &Contact, consent: Consent) -> Vec<&'static str> {
    contact.subscriptions_at(NOW).filter(|kind| kind.consent == consent).map(|kind| kind.id).collect()
}

#[test]
fn types_are_listed_from_2_5_on() {
    let view = WorldView::new(world(60), NOW);
    let all = get(&view, "/subscription_types", "2.5").unwrap();
    assert_eq!((&all["type"], all["data"].as_array().unwrap().len()), (&json!("list"), TYPES.len()));
    let translation = json!({"name": "Product news", "description": "What is new in the product", "locale": "en"});
    assert_eq!(
        all["data"][0],
        json!({
            "type": "subscription", "id": "71", "state": "live", "consent_type": "opt_out",
            "default_translation": translation, "translations": [translation], "content_types": ["email"],
        })
    );
    assert_eq!((&all["data"][1]["id"], &all["data"][1]["consent_type"]), (&json!("72"), &json!("opt_in")));
    assert_eq!(get(&view, "/subscription_types", "2.4"), Err(ApiError::resource_not_found()));
}

#[test]
fn a_contact_shows_its_choices_from_2_5_on() {
    let view = WorldView::new(world(2_000), NOW);
    for index in view.contacts.iter() {
        let contact = view.contact(*index);
        let (out, joined) = (chosen(contact, Consent::OptOut), chosen(contact, Consent::OptIn));
        let body = get(&view, &format!("/contacts/{}", contact.id), "2.5").unwrap();
        for (key, expected) in [("opted_out_subscription_types", &out), ("opted_in_subscription_types", &joined)] {
            let shown = &body[key];
            assert_eq!(ids(shown["data"].as_array().unwrap()), expected[..expected.len().min(10)], "{key}");
            assert_eq!((&shown["total_count"], &shown["has_more"]), (&json!(expected.len()), &json!(expected.len() > 10)), "{key}");
        }
        let all = get(&view, &format!("/contacts/{}/subscriptions", contact.id), "2.16").unwrap();
        let mut expected = [out, joined].concat();
        expected.sort_unstable();
        assert_eq!((&all["type"], ids(all["data"].as_array().unwrap())), (&json!("list"), expected));
    }
    let path = format!("/contacts/{}", view.contact(view.contacts[0]).id);
    let old = get(&view, &path, "2.4").unwrap();
    assert!(old.get("opted_out_subscription_types").is_none() && old.get("opted_in_subscription_types").is_none());
    assert_eq!(get(&view, &format!("{path}/subscriptions"), "2.4"), Err(ApiError::resource_not_found()));
}

#[test]
fn subscriptions_of_nobody_are_not_found() {
    let view = WorldView::new(world(2_000), NOW);
    let of = |wanted: &dyn Fn(&Contact) -> bool, version| {
        let contact = view.world.contacts.iter().find(|contact| wanted(contact)).unwrap();
        let error = get(&view, &format!("/contacts/{}/subscriptions", contact.id), version).unwrap_err();
        (error.status.as_u16(), error.code)
    };
    let merged = |contact: &Contact| matches!(contact.end, Some((at, End::Merged(_))) if at <= NOW);
    assert_eq!(of(&|contact| contact.created_at > NOW, "2.16"), (404, "not_found"));
    assert_eq!(of(&merged, "2.15"), (404, "not_found"));
    assert_eq!(of(&merged, "2.16"), (410, "contact_merged"));
}

#[test]
fn choices_agree_with_the_rest_of_the_contact() {
    let world = world(5_000);
    let view = WorldView::new(world.clone(), NOW);
    let holds = |contact: &Contact, kind: u8| contact.choices.iter().any(|choice| choice.kind == kind && choice.holds_at(NOW));
    let people: Vec<&Contact> = view.contacts.iter().map(|index| world.contact(*index)).collect();
    for contact in &people {
        assert_eq!(holds(contact, WEEKLY_DIGEST), contact.newsletter_at(NOW) == Some(true));
        assert!(contact.choices.iter().all(|choice| TYPES[usize::from(choice.kind)].state != "draft" && choice.from < choice.until));
        let changed = contact.choices.iter().flat_map(|choice| [choice.from, choice.until]).filter(|at| *at <= NOW).max();
        assert!(changed.is_none_or(|at| contact.updated_at(NOW) >= at), "a choice is an update");
        assert!(contact.updated_at(NOW) <= NOW);
    }
    let unsubscribed = || people.iter().filter(|contact| contact.unsubscribed_at.is_some_and(|at| at <= NOW));
    let both = unsubscribed().filter(|contact| holds(contact, PRODUCT_NEWS)).count() as f64 / unsubscribed().count() as f64;
    assert!((0.6..0.8).contains(&both), "{both}");
    let moved = |contact: &&&Contact| contact.choices.iter().any(|choice| choice.from == contact.updated_at(NOW));
    assert!(people.iter().filter(moved).any(|contact| contact.updated_at(NOW) > contact.created_at));
    let many = people.iter().filter(|contact| chosen(contact, Consent::OptOut).len() > 10).count();
    assert!((people.len() / 500..people.len() / 125).contains(&many), "{many} of {}", people.len());
    let back = people.iter().filter(|contact| contact.choices.iter().any(|choice| choice.until <= NOW)).count();
    assert!(back > 20, "some take a choice back");
    for (kind, number) in TYPES.iter().zip(0u8..).filter(|(kind, _)| kind.state != "draft") {
        assert!(people.iter().filter(|contact| holds(contact, number)).count() > 20, "{}", kind.name);
    }
}
