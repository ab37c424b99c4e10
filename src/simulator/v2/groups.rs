//! `/tags` and `/segments`.

use serde::Serialize;
use serde_json::json;

use crate::simulator::api_error::ApiError;
use crate::simulator::call::{Call, write};
use crate::simulator::moment::Moment;
use crate::simulator::tagging::tag_body;
use crate::simulator::world::groups::Segment;
use crate::simulator::world::people::Role;

#[derive(Serialize)]
pub struct SegmentBody<'a> {
    r#type: &'static str,
    id: &'a str,
    name: &'a str,
    created_at: i64,
    updated_at: i64,
    person_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

impl<'a> SegmentBody<'a> {
    /// `count` is sent only when it was asked for.
    pub fn new(segment: &'a Segment, count: Option<usize>) -> Self {
        let person_type = match segment.person {
            Role::User => "user",
            Role::Lead => "contact",
        };
        let Segment { id, name, created_at, updated_at, .. } = segment;
        Self { r#type: "segment", id, name, created_at: *created_at, updated_at: *updated_at, person_type, count }
    }

    /// A segment of something else than people.
    pub fn of(id: &'a str, name: &'a str, created_at: i64, person_type: &'static str) -> Self {
        Self { r#type: "segment", id, name, created_at, updated_at: created_at, person_type, count: None }
    }
}

pub fn tags(moment: &Moment) -> Result<String, ApiError> {
    let tags: Vec<_> = moment.tags().map(|tag| tag_body(tag.id, tag.name)).collect();
    write(&json!({"type": "list", "data": tags}))
}

pub fn segments(moment: &Moment, call: &Call) -> Result<String, ApiError> {
    let segments = moment.world.segments.iter().zip(&moment.segment_members);
    let segments: Vec<_> = segments.map(|(segment, members)| SegmentBody::new(segment, counts(call).then_some(members.len()))).collect();
    write(&json!({"type": "segment.list", "segments": segments}))
}

pub fn segment(moment: &Moment, call: &Call, id: &str) -> Result<String, ApiError> {
    let segment = moment.world.segments.iter().find(|segment| segment.id == id).ok_or_else(ApiError::resource_not_found)?;
    write(&SegmentBody::new(segment, counts(call).then(|| moment.members_of_segment(id).len())))
}

/// Whether the sizes of segments are asked for.
pub fn counts(call: &Call) -> bool {
    call.parameter("include_count") == Some("true")
}
