//! `/counts`, from 1.0 to 2.6. It lists tags and segments by name, including archived ones, so equal names cannot be distinguished.

use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{Call, write};
use super::companies;
use super::context::ReadContext;
use super::numbered;
use super::world::ADMINS;
use super::world::companies::SEGMENTS;
use super::world::groups::{ARCHIVED_SEGMENTS, ARCHIVED_TAGS, Archived};
use super::world::people::Role;
use super::world_view::WorldView;

pub(crate) fn counts(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let view = context.view;
    write(&match (call.parameter("type"), call.parameter("count")) {
        (None, None) => totals(view),
        (Some("user"), None) => json!({"type": "count", "user": {"user": {"count": people(view, Role::User)}}}),
        (Some("user"), Some("tag")) => json!({"type": "count", "user": {"tag": user_tags(view)}}),
        (Some("user"), Some("segment")) => json!({"type": "count", "user": {"segment": user_segments(view)}}),
        (Some("company"), None) => json!({"type": "count", "company": {"count": view.companies().count()}}),
        (Some("company"), Some("tag")) => return company_tags(context, call),
        (Some("company"), Some("segment")) => json!({"type": "count", "company": {"segment": company_segments(view)}}),
        (Some("company"), Some("user")) => json!({"type": "count", "company": {"user": company_users(view)}}),
        (Some("conversation"), None) => json!({"type": "count", "conversation": conversations(view)}),
        (Some("conversation"), Some("admin")) => json!({"type": "count", "conversation": {"admin": by_admin(view)}}),
        _ => return Err(ApiError::parameter_invalid("there is no such count")),
    })
}

/// The total of each kind of object. The segments that are counted here are those of people (an assumption).
fn totals(view: &WorldView) -> Value {
    let count = |count: usize| json!({"count": count});
    json!({
        "type": "count.hash",
        "company": count(view.companies().count()),
        "user": count(people(view, Role::User)),
        "lead": count(people(view, Role::Lead)),
        "tag": count(view.tags().count() + ARCHIVED_TAGS.len()),
        "segment": count(view.segments().count() + ARCHIVED_SEGMENTS.len()),
    })
}

fn people(view: &WorldView, role: Role) -> usize {
    view.contacts.iter().filter(|index| view.contact(**index).role_at(view.now) == role).count()
}

/// The sizes of the tags of people. Users and leads are counted together, as documented.
fn user_tags(view: &WorldView) -> Vec<Value> {
    let living = view.tags().map(|tag| named(tag.name, view.tag_members[usize::from(tag.number)].len()));
    living.chain(archived(view, &ARCHIVED_TAGS)).collect()
}

fn user_segments(view: &WorldView) -> Vec<Value> {
    let living = view.segments().map(|(segment, members)| named(segment.name, members.len()));
    living.chain(archived(view, &ARCHIVED_SEGMENTS)).collect()
}

fn archived(view: &WorldView, groups: &'static [Archived]) -> impl Iterator<Item = Value> {
    groups.iter().map(|group| {
        let held = |index: &&u32| group.holds(view.world.options.seed, **index);
        named(group.name, view.contacts.iter().filter(held).count())
    })
}

/// The sizes of the tags of companies. This count comes in pages, with `pages` nested in `pages`. In the documentation's samples, other
/// counts do not come in pages.
fn company_tags(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let view = context.view;
    let all: Vec<Value> = view
        .tags()
        .map(|tag| {
            let tagged = |index: u32| view.tags_of_company(index).any(|(carried, _)| carried.number == tag.number);
            named(tag.name, view.companies().filter(|(index, _)| tagged(*index)).count())
        })
        .chain(ARCHIVED_TAGS.iter().map(|tag| named(tag.name, 0)))
        .collect();
    let indices: Vec<u32> = (0..all.len() as u32).collect();
    let page = numbered::page(context.moves, call, &indices, false, 50, false)?;
    let shown: Vec<&Value> = page.shown.iter().map(|index| &all[*index as usize]).collect();
    write(&json!({"type": "count", "company": {"tag": shown}, "pages": {"pages": page.pages}}))
}

fn company_segments(view: &WorldView) -> Vec<Value> {
    let held = |id: &str, index: u32| view.segments_of_company(index).any(|segment| segment.id == id);
    SEGMENTS.iter().map(|segment| named(segment.name, view.companies().filter(|(index, _)| held(segment.id, *index)).count())).collect()
}

fn company_users(view: &WorldView) -> Vec<Value> {
    let entry = |(index, company): (u32, &super::world::companies::Company)| {
        let mut entry = named(&company.name, companies::users(view, index));
        entry["remote_company_id"] = json!(company.company_id);
        entry
    };
    view.companies().map(entry).collect()
}

/// The number of conversations in each state. Snoozed conversations count as open.
fn conversations(view: &WorldView) -> Value {
    let all = view.conversations();
    let open = all.iter().filter(|conversation| conversation.open_at(view.now)).count();
    let assigned = all.iter().filter(|conversation| conversation.assignee.is_some()).count();
    json!({"open": open, "closed": all.len() - open, "assigned": assigned, "unassigned": all.len() - assigned})
}

fn by_admin(view: &WorldView) -> Vec<Value> {
    let admins = ADMINS.iter().zip(0u8..).map(|((id, name, _), number)| {
        let assigned = || view.conversations().iter().filter(|conversation| conversation.assignee == Some(number));
        let open = assigned().filter(|conversation| conversation.open_at(view.now)).count();
        json!({"id": id.to_string(), "name": name, "open": open, "closed": assigned().count() - open})
    });
    admins.collect()
}

/// A count by name, for example `{"the name": 3}`. The name is the key.
fn named(name: &str, count: usize) -> Value {
    Value::Object([(name.to_owned(), json!(count))].into_iter().collect())
}
