//! Which conversations a search finds.

use super::{Dates, FieldValue, Kind, Query, Test};
use crate::api_error::ApiError;
use crate::paging::Key;
use crate::world::ADMINS;
use crate::world_view::WorldView;

/// A searchable field of a conversation. `statistics.*`, ratings and the AI agent are not simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    CreatedAt,
    UpdatedAt,
    SourceType,
    DeliveredAs,
    AuthorId,
    AuthorType,
    AuthorName,
    AuthorEmail,
    ContactIds,
    AdminAssigneeId,
    TeamAssigneeId,
    TagIds,
    State,
    Priority,
    Open,
    Read,
}

/// A field by its name in the documentation's table.
pub(crate) fn find(name: &str) -> Option<(Field, Kind)> {
    Some(match name {
        "id" => (Field::Id, Kind::Text),
        "created_at" => (Field::CreatedAt, Kind::Date),
        "updated_at" => (Field::UpdatedAt, Kind::Date),
        "source.type" => (Field::SourceType, Kind::Text),
        "source.delivered_as" => (Field::DeliveredAs, Kind::Text),
        "source.author.id" => (Field::AuthorId, Kind::Text),
        "source.author.type" => (Field::AuthorType, Kind::Text),
        "source.author.name" => (Field::AuthorName, Kind::Text),
        "source.author.email" => (Field::AuthorEmail, Kind::Text),
        "contact_ids" => (Field::ContactIds, Kind::Text),
        "admin_assignee_id" => (Field::AdminAssigneeId, Kind::Number),
        "team_assignee_id" => (Field::TeamAssigneeId, Kind::Number),
        "tag_ids" => (Field::TagIds, Kind::Text),
        "state" => (Field::State, Kind::Text),
        "priority" => (Field::Priority, Kind::Text),
        "open" => (Field::Open, Kind::Boolean),
        "read" => (Field::Read, Kind::Boolean),
        _ => return None,
    })
}

/// Parses the `query` of a conversation search.
pub(crate) fn parse(query: Option<&serde_json::Value>) -> Result<Query<Field>, ApiError> {
    super::parse(query, Dates::Seconds, &find)
}

/// The conversations that match, ascending by the sort field, then by id. `priority` returns the priority's name in the requested version.
pub(crate) fn found(view: &WorldView, query: &Query<Field>, sort: Field, priority: fn(u8) -> &'static str) -> Vec<u32> {
    let (mut from, mut until) = (i64::MIN, i64::MAX);
    for (field, test) in query.required() {
        if let (Field::CreatedAt, Some((start, end))) = (field, test.date_range()) {
            (from, until) = (from.max(start), until.min(end));
        }
    }
    let all = view.conversations();
    let created_before = |limit: i64| all.partition_point(|conversation| conversation.created_at < limit);
    let (start, end) = (created_before(from), created_before(until));
    let slice = all.get(start..end).unwrap_or(&[]);
    let passing = slice.iter().zip(start as u32..);
    let passing = passing.filter(|(_, index)| query.matches(&|field, test| passes(view, *index, field, test, priority)));
    let mut found: Vec<u32> = passing.map(|(_, index)| index).collect();
    if sort == Field::UpdatedAt {
        found.sort_by_cached_key(|index| (all[*index as usize].updated_at(view.now), *index));
    }
    found
}

/// The field with this name, if conversations can be sorted by it (an assumption).
pub(crate) fn sortable(name: &str) -> Option<Field> {
    find(name).map(|(field, _)| field).filter(|field| matches!(field, Field::Id | Field::CreatedAt | Field::UpdatedAt))
}

/// The sort key of a conversation.
pub(crate) fn key(view: &WorldView, index: u32, sort: Field) -> Key {
    let conversation = &view.conversations()[index as usize];
    match sort {
        Field::UpdatedAt => Key::date(Some(conversation.updated_at(view.now))),
        Field::CreatedAt => Key::date(Some(conversation.created_at)),
        _ => Key::Text(conversation.id.to_string()),
    }
}

fn passes(view: &WorldView, index: u32, field: Field, test: &Test, priority: fn(u8) -> &'static str) -> bool {
    let (world, now) = (&view.world, view.now);
    let conversation = &view.conversations()[index as usize];
    let text = |text: &str| test.accepts([FieldValue::Text(text)]);
    let open = conversation.open_at(now);
    match field {
        Field::Id => text(&conversation.id.to_string()),
        Field::CreatedAt => test.accepts([FieldValue::Date(conversation.created_at)]),
        Field::UpdatedAt => test.accepts([FieldValue::Date(conversation.updated_at(now))]),
        Field::SourceType => text(conversation.source_type()),
        Field::DeliveredAs => text(conversation.delivered_as()),
        Field::AuthorId => text(&conversation.author(world).id),
        Field::AuthorType => text(conversation.author(world).kind),
        Field::AuthorName => test.accepts(conversation.author(world).name.as_deref().map(FieldValue::Text)),
        Field::AuthorEmail => text(&conversation.author(world).email),
        Field::ContactIds => test.accepts(conversation.participants().map(|index| FieldValue::Text(&world.contact(index).id))),
        Field::AdminAssigneeId => test.accepts(conversation.assignee.map(|admin| FieldValue::Number(ADMINS[usize::from(admin)].0 as f64))),
        Field::TeamAssigneeId => test.accepts([]),
        Field::TagIds => test.accepts(view.tags_of_conversation(index).iter().map(|(tag, _)| FieldValue::Text(tag.id))),
        Field::State => text(conversation.state_at(now)),
        Field::Priority => text(priority(conversation.priority)),
        Field::Open => test.accepts([FieldValue::Boolean(open)]),
        Field::Read => test.accepts([FieldValue::Boolean(!open)]),
    }
}
