//! The writes: the only ones that this program knows. A tag is made; it is put on people and companies, or taken from
//! them, in calls that the API takes whole or, from 2.16 on, in part without a word.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::error::{Failure, RequestError, StreamError};
use super::transport::Ask;
use super::{Api, Client, wire};
use domain::{Group, Holder, Reference};

/// Whether a tag is put on or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Tag,
    Untag,
}

/// One request that would change something.
#[derive(Clone, Debug)]
pub struct TagCall {
    tag: Group,
    change: Change,
    members: Vec<Reference>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `POST /tags` with users or companies.
    Bulk,
    /// `DELETE` of one contact's tag.
    Detach,
}

/// What the API says of a call that it took.
#[derive(Debug)]
pub enum TagAnswer {
    Done,
    /// For others than these: who are not there, and who are as they were.
    InPart {
        absent: Vec<Reference>,
        unchanged: Vec<Reference>,
    },
    /// Not for everybody, and it does not say for whom.
    InUntoldPart,
    /// With another tag, of this ID.
    OtherTag(String),
}

impl TagCall {
    /// What the documentation of 1.x advises; 2.x has no other advice.
    pub const MEMBERS_MAX: usize = 50;

    pub fn members(&self) -> &[Reference] {
        &self.members
    }

    pub fn change(&self) -> Change {
        self.change
    }

    pub fn tag(&self) -> &Group {
        &self.tag
    }

    /// Whether it takes one contact's tag away, which the API refuses for one that the contact does not carry.
    pub fn is_detach(&self) -> bool {
        self.form == Form::Detach
    }

    /// The same in two halves; a call for one member is its own first half.
    pub fn halves(self) -> (TagCall, TagCall) {
        let TagCall { tag, change, mut members, form } = self;
        let second = members.split_off(members.len().div_ceil(2));
        (TagCall { tag: tag.clone(), change, members, form }, TagCall { tag, change, members: second, form })
    }

    /// As it would be sent: method and path, body.
    pub fn shown(&self) -> (String, Option<Value>) {
        match self.form {
            Form::Bulk => ("POST /tags".to_string(), Some(self.body())),
            Form::Detach => (format!("DELETE /contacts/{}/tags/{}", self.first(), self.tag.id), None),
        }
    }

    fn first(&self) -> &str {
        self.members.first().map(Reference::text).unwrap_or_default()
    }

    fn body(&self) -> Value {
        let is_company = |member: &Reference| matches!(member, Reference::CompanyId(_));
        let key = if self.members.iter().any(is_company) { "companies" } else { "users" };
        let entry = |member: &Reference| match self.change {
            Change::Tag => json!({ member.by(): member.text() }),
            Change::Untag => json!({ member.by(): member.text(), "untag": true }),
        };
        json!({ "name": self.tag.name, key: self.members.iter().map(entry).collect::<Vec<_>>() })
    }
}

impl Client {
    /// Whether people can be tagged by Intercom's id alone: others have to be found first.
    pub fn tags_by_id_only(&self) -> bool {
        matches!(self.api, Api::V2(_))
    }

    /// Makes a tag, or gives the one of this name.
    pub async fn create_tag(&self, name: &str) -> Result<Group, RequestError> {
        let ask = Ask::post("/tags", json!({ "name": name }));
        let name = name.to_string();
        self.transport.send(&ask, move |body| wire::tag(body, &name)).await
    }

    /// The calls that change these members, people and companies apart, so many in each.
    pub fn tag_calls(&self, tag: &Group, change: Change, members: Vec<Reference>, most: usize) -> Vec<TagCall> {
        let (companies, people): (Vec<Reference>, Vec<Reference>) =
            members.into_iter().partition(|member| matches!(member, Reference::CompanyId(_)));
        // 2.x has no bulk call that takes a tag from people.
        let form = if self.tags_by_id_only() && change == Change::Untag { Form::Detach } else { Form::Bulk };
        let mut calls = Vec::new();
        for (members, form) in [(people, form), (companies, Form::Bulk)] {
            let size = if form == Form::Bulk { most.clamp(1, TagCall::MEMBERS_MAX) } else { 1 };
            let call = |members: &[Reference]| TagCall { tag: tag.clone(), change, members: members.to_vec(), form };
            calls.extend(members.chunks(size).map(call));
        }
        calls
    }

    /// Sends a call, and tells what the answer says of it.
    pub async fn send_tags(&self, call: &TagCall) -> Result<TagAnswer, RequestError> {
        let ask = match call.form {
            Form::Bulk => Ask::post("/tags", call.body()),
            Form::Detach => Ask::delete("/contacts/{id}/tags/{id}", format!("/contacts/{}/tags/{}", call.first(), call.tag.id)),
        };
        let carries = call.change == Change::Tag;
        let handled = self.transport.send(&ask, move |body| wire::handled(body, carries)).await?;
        if handled.tag != call.tag.id {
            return Ok(TagAnswer::OtherTag(handled.tag));
        }
        let Some(members) = handled.members.filter(|_| call.form == Form::Bulk) else { return Ok(TagAnswer::Done) };
        let distinct: HashSet<&Reference> = call.members.iter().collect();
        let is_right = members.values().all(|now| *now == carries);
        if is_right && members.len() >= distinct.len() {
            return Ok(TagAnswer::Done);
        }
        // What came back are Intercom's ids.
        let is_by_id = |member: &Reference| matches!(member, Reference::ContactId(_));
        let with = |wanted: Option<bool>| {
            let now = |member: &&Reference| members.get(member.text()).copied() == wanted;
            call.members.iter().filter(now).cloned().collect()
        };
        Ok(match &call.members[..] {
            all if all.iter().all(is_by_id) => TagAnswer::InPart { absent: with(None), unchanged: with(Some(!carries)) },
            [one] if members.is_empty() => TagAnswer::InPart { absent: vec![one.clone()], unchanged: Vec::new() },
            [one] => TagAnswer::InPart { absent: Vec::new(), unchanged: vec![one.clone()] },
            _ => TagAnswer::InUntoldPart,
        })
    }

    /// The contacts that answer to these references: users and leads, with whether they carry the tag.
    pub async fn find(&self, references: &[Reference], tag: Option<&Group>) -> Result<Vec<Holder>, StreamError> {
        let tag = tag.map(|tag| tag.id.as_str());
        match &self.api {
            Api::V1(api) => api.find(references, tag).await,
            Api::V2(api) => api.find(references, tag).await,
        }
    }
}

impl RequestError {
    /// The API understood the call and will not do it for what it names: no such member, no such tag, several of them.
    pub fn is_refused(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 400 | 404 | 409 | 410 | 422, .. })
    }

    /// Several users share the address.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 409, .. })
    }

    /// There is no such member; or there was, and it became part of another.
    pub fn is_missing(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 404 | 410, .. })
    }
}
