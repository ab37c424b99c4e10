//! `/tags` and `/segments`.

use serde::Serialize;
use serde_json::json;

use super::{Call, write};
use crate::simulator::api_error::ApiError;
use crate::simulator::moment::Moment;
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
}

pub fn tags(moment: &Moment) -> Result<String, ApiError> {
    let tags: Vec<_> = moment.world.tags.iter().map(|tag| json!({"type": "tag", "id": tag.id, "name": tag.name})).collect();
    write(&json!({"type": "list", "data": tags}))
}

pub fn tag(moment: &Moment, id: &str) -> Result<String, ApiError> {
    let tag = moment.world.tags.iter().find(|tag| tag.id == id).ok_or_else(ApiError::resource_not_found)?;
    write(&json!({"type": "tag", "id": tag.id, "name": tag.name}))
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

fn counts(call: &Call) -> bool {
    call.parameter("include_count") == Some("true")
}
