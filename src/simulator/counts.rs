//! `/counts`: served from 1.0 to 2.6. Tags and segments are told by name, archived ones among them, so equal names cannot be told apart.

use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{Call, Desk, write};
use super::companies;
use super::moment::Moment;
use super::numbered;
use super::world::ADMINS;
use super::world::companies::SEGMENTS;
use super::world::groups::{ARCHIVED_SEGMENTS, ARCHIVED_TAGS, Archived};
use super::world::people::Role;

pub(crate) fn counts(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let moment = desk.moment;
    write(&match (call.parameter("type"), call.parameter("count")) {
        (None, None) => totals(moment),
        (Some("user"), None) => json!({"type": "count", "user": {"user": {"count": people(moment, Role::User)}}}),
        (Some("user"), Some("tag")) => json!({"type": "count", "user": {"tag": user_tags(moment)}}),
        (Some("user"), Some("segment")) => json!({"type": "count", "user": {"segment": user_segments(moment)}}),
        (Some("company"), None) => json!({"type": "count", "company": {"count": moment.companies().count()}}),
        (Some("company"), Some("tag")) => return company_tags(desk, call),
        (Some("company"), Some("segment")) => json!({"type": "count", "company": {"segment": company_segments(moment)}}),
        (Some("company"), Some("user")) => json!({"type": "count", "company": {"user": company_users(moment)}}),
        (Some("conversation"), None) => json!({"type": "count", "conversation": conversations(moment)}),
        (Some("conversation"), Some("admin")) => json!({"type": "count", "conversation": {"admin": by_admin(moment)}}),
        _ => return Err(ApiError::parameter_invalid("there is no such count")),
    })
}

/// The segments counted here are those of people (an assumption).
fn totals(moment: &Moment) -> Value {
    let count = |count: usize| json!({"count": count});
    json!({
        "type": "count.hash",
        "company": count(moment.companies().count()),
        "user": count(people(moment, Role::User)),
        "lead": count(people(moment, Role::Lead)),
        "tag": count(moment.tags().count() + ARCHIVED_TAGS.len()),
        "segment": count(moment.world.segments.len() + ARCHIVED_SEGMENTS.len()),
    })
}

fn people(moment: &Moment, role: Role) -> usize {
    moment.contacts.iter().filter(|index| moment.contact(**index).role_at(moment.now) == role).count()
}

/// Users and leads together, as documented.
fn user_tags(moment: &Moment) -> Vec<Value> {
    let living = moment.tags().map(|tag| named(tag.name, moment.tag_members[usize::from(tag.number)].len()));
    living.chain(archived(moment, &ARCHIVED_TAGS)).collect()
}

fn user_segments(moment: &Moment) -> Vec<Value> {
    let living = moment.world.segments.iter().zip(&moment.segment_members).map(|(segment, members)| named(segment.name, members.len()));
    living.chain(archived(moment, &ARCHIVED_SEGMENTS)).collect()
}

fn archived(moment: &Moment, groups: &'static [Archived]) -> impl Iterator<Item = Value> {
    groups.iter().map(|group| {
        let held = |index: &&u32| group.holds(moment.world.options.seed, **index);
        named(group.name, moment.contacts.iter().filter(held).count())
    })
}

/// Paged, and `pages` lies in `pages`. That other counts are not paged follows the documentation's samples.
fn company_tags(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let moment = desk.moment;
    let all: Vec<Value> = moment
        .tags()
        .map(|tag| {
            let tagged = |index: u32| moment.tags_of_company(index).any(|(carried, _)| carried.number == tag.number);
            named(tag.name, moment.companies().filter(|(index, _)| tagged(*index)).count())
        })
        .chain(ARCHIVED_TAGS.iter().map(|tag| named(tag.name, 0)))
        .collect();
    let places: Vec<u32> = (0..all.len() as u32).collect();
    let page = numbered::page(desk, call, &places, false, 50, false)?;
    let shown: Vec<&Value> = page.shown.iter().map(|place| &all[*place as usize]).collect();
    write(&json!({"type": "count", "company": {"tag": shown}, "pages": {"pages": page.pages}}))
}

fn company_segments(moment: &Moment) -> Vec<Value> {
    let held = |id: &str, index: u32| moment.segments_of_company(index).any(|segment| segment.id == id);
    SEGMENTS.iter().map(|segment| named(segment.name, moment.companies().filter(|(index, _)| held(segment.id, *index)).count())).collect()
}

fn company_users(moment: &Moment) -> Vec<Value> {
    let entry = |(index, company): (u32, &super::world::companies::Company)| {
        let mut entry = named(&company.name, companies::users(moment, index));
        entry["remote_company_id"] = json!(company.company_id);
        entry
    };
    moment.companies().map(entry).collect()
}

/// Snoozed ones count as open.
fn conversations(moment: &Moment) -> Value {
    let all = moment.conversations();
    let open = all.iter().filter(|conversation| conversation.open_at(moment.now)).count();
    let assigned = all.iter().filter(|conversation| conversation.assignee.is_some()).count();
    json!({"open": open, "closed": all.len() - open, "assigned": assigned, "unassigned": all.len() - assigned})
}

fn by_admin(moment: &Moment) -> Vec<Value> {
    let admins = ADMINS.iter().zip(0u8..).map(|((id, name, _), number)| {
        let assigned = || moment.conversations().iter().filter(|conversation| conversation.assignee == Some(number));
        let open = assigned().filter(|conversation| conversation.open_at(moment.now)).count();
        json!({"id": id.to_string(), "name": name, "open": open, "closed": assigned().count() - open})
    });
    admins.collect()
}

/// `{"the name": 3}`: the name is the key.
fn named(name: &str, count: usize) -> Value {
    Value::Object([(name.to_owned(), json!(count))].into_iter().collect())
}
