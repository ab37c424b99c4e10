//! `/tags` and `/segments` of 1.x.

use serde_json::{Value, json};

use crate::simulator::api_error::ApiError;
use crate::simulator::call::{Call, write};
use crate::simulator::moment::Moment;
use crate::simulator::tagging::tag_body;
use crate::simulator::v2::groups::{self as shared, SegmentBody};
use crate::simulator::world::companies::{CompanySegment, SEGMENTS};

pub fn tags(moment: &Moment) -> Result<String, ApiError> {
    let tags: Vec<Value> = moment.tags().map(|tag| tag_body(tag.id, tag.name)).collect();
    write(&json!({"type": "tag.list", "tags": tags}))
}

/// `GET /segments`: those of people, or with `type=company` those of companies.
pub fn segments(moment: &Moment, call: &Call) -> Result<String, ApiError> {
    if call.parameter("type") == Some("company") {
        let segments: Vec<Value> = SEGMENTS.iter().map(|segment| company_segment(moment, call, segment)).collect();
        return write(&json!({"type": "segment.list", "segments": segments}));
    }
    shared::segments(moment, call)
}

pub fn segment(moment: &Moment, call: &Call, id: &str) -> Result<String, ApiError> {
    match SEGMENTS.iter().find(|segment| segment.id == id) {
        Some(segment) => write(&company_segment(moment, call, segment)),
        None => shared::segment(moment, call, id),
    }
}

fn company_segment(moment: &Moment, call: &Call, segment: &CompanySegment) -> Value {
    let held = |index: u32| moment.segments_of_company(index).any(|held| held.id == segment.id);
    let count = || moment.companies().filter(|(index, _)| held(*index)).count();
    let person = "company"; // An assumption: the samples show people only.
    let mut body = json!(SegmentBody::of(segment.id, segment.name, segment.created_at, person));
    if shared::counts(call) {
        body["count"] = json!(count());
    }
    body
}
