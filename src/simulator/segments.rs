//! `/segments`, in both generations.

use serde::Serialize;
use serde_json::json;

use super::api_error::ApiError;
use super::call::{Call, write};
use super::world::companies::{CompanySegment, SEGMENTS};
use super::world::groups::Segment;
use super::world::people::Role;
use super::world_view::WorldView;

#[derive(Serialize)]
pub(crate) struct SegmentBody<'a> {
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
    /// `count` is the number of members. `None` leaves it out, because it is sent only on request.
    pub(crate) fn new(segment: &'a Segment, now: i64, count: Option<usize>) -> Self {
        let person_type = match segment.person {
            Role::User => "user",
            Role::Lead => "contact",
        };
        let Segment { id, name, created_at, .. } = segment;
        Self { r#type: "segment", id, name, created_at: *created_at, updated_at: segment.updated_at(now), person_type, count }
    }
}

/// `GET /segments`. It has no deleted segments. It lists the segments of contacts or, in 1.x with `type=company`, those of companies.
pub(crate) fn list(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    if call.version.is_legacy() && call.parameter("type") == Some("company") {
        let segments: Vec<_> = SEGMENTS.iter().map(|segment| of_companies(view, call, segment)).collect();
        return write(&json!({"type": "segment.list", "segments": segments}));
    }
    let include_count = counts(call);
    let segments: Vec<_> =
        view.segments().map(|(segment, members)| SegmentBody::new(segment, view.now, include_count.then_some(members.len()))).collect();
    write(&json!({"type": "segment.list", "segments": segments}))
}

/// `GET /segments/{id}`. A deleted segment is 404 (an assumption).
pub(crate) fn show(view: &WorldView, call: &Call, id: &str) -> Result<String, ApiError> {
    let companies = SEGMENTS.iter().find(|segment| segment.id == id).filter(|_| call.version.is_legacy());
    if let Some(segment) = companies {
        return write(&of_companies(view, call, segment));
    }
    let (segment, members) = view.segments().find(|(segment, _)| segment.id == id).ok_or_else(ApiError::resource_not_found)?;
    write(&SegmentBody::new(segment, view.now, counts(call).then_some(members.len())))
}

/// The `person_type` `company` is an assumption, because Intercom's samples show only segments of people.
fn of_companies(view: &WorldView, call: &Call, segment: &'static CompanySegment) -> SegmentBody<'static> {
    let held = |index: u32| view.segments_of_company(index).any(|held| held.id == segment.id);
    let count = counts(call).then(|| view.companies().filter(|(index, _)| held(*index)).count());
    let CompanySegment { id, name, created_at, .. } = segment;
    SegmentBody { r#type: "segment", id, name, created_at: *created_at, updated_at: *created_at, person_type: "company", count }
}

/// Whether the sizes of segments are requested.
fn counts(call: &Call) -> bool {
    call.parameter("include_count") == Some("true")
}
