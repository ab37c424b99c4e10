//! All writes of this client. They create a tag, add it to people, companies and conversations, or remove it from them. The API changes all
//! members of a bulk call or none; from 2.16 on, it may change only some of them. Then only the members in the response show which members
//! were left out.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::client::{Api, Client};
use super::error::{Failure, RequestError, StreamError};
use super::transport::Request;
use super::wire;
use domain::{FoundContact, Group, OwnTags, Reference};

/// Whether a tag is added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add the tag.
    Tag,
    /// Remove the tag.
    Untag,
}

/// One request that adds or removes a tag. [`Client::tag_calls`] makes them, [`Client::send_tags`] sends them.
#[derive(Clone, Debug)]
pub struct TagCall {
    tag: Group,
    change: Change,
    members: Vec<Reference>,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// `POST /tags` with users or companies.
    Bulk,
    /// `DELETE` of one contact's tag.
    Detach,
    /// `POST` or `DELETE` of one conversation's tag, in the name of an admin.
    Conversation { admin_id: String },
}

/// What the response to an accepted call says.
#[derive(Debug)]
pub enum TagAnswer {
    /// The change was made for all members.
    Done,
    /// The change was made for all members but these.
    InPart {
        /// Members that do not exist.
        absent: Vec<Reference>,
        /// Members whose tag was not changed.
        unchanged: Vec<Reference>,
    },
    /// Some of the members were not changed. It is unknown which ones.
    InUnknownPart,
    /// The call changed another tag. This is the ID of that tag.
    OtherTag(String),
}

impl TagCall {
    /// The most members of a bulk call. The documentation of 1.x advises 50. The documentation of 2.x gives no number.
    pub const MEMBERS_MAX: usize = 50;

    /// The contacts, companies or conversations that the call changes.
    pub fn members(&self) -> &[Reference] {
        &self.members
    }

    /// Whether the tag is added or removed.
    pub fn change(&self) -> Change {
        self.change
    }

    pub fn tag(&self) -> &Group {
        &self.tag
    }

    /// Whether the call removes one contact's tag. The API refuses such a call if the contact does not have the tag.
    pub fn is_detach(&self) -> bool {
        self.form == Form::Detach
    }

    /// Splits the call in two. A single member is in the first half.
    pub fn halves(self) -> (TagCall, TagCall) {
        let mut first = self;
        let members = first.members.split_off(first.members.len().div_ceil(2));
        let second = TagCall { members, ..first.clone() };
        (first, second)
    }

    /// The request, without sending it: method and path, and the body. The body is `None` for the `DELETE` of a contact's tag. In a body,
    /// the ID of a tag that does not exist yet is null.
    pub fn preview(&self) -> (String, Option<Value>) {
        let (member, tag) = (self.first(), &self.tag.id);
        match (&self.form, self.change) {
            (Form::Bulk, _) => ("POST /tags".to_string(), Some(self.body())),
            (Form::Detach, _) => (format!("DELETE /contacts/{member}/tags/{tag}"), None),
            (Form::Conversation { .. }, Change::Tag) => (format!("POST /conversations/{member}/tags"), Some(self.body())),
            (Form::Conversation { .. }, Change::Untag) => (format!("DELETE /conversations/{member}/tags/{tag}"), Some(self.body())),
        }
    }

    fn request(&self) -> Request {
        let (member, tag) = (self.first(), &self.tag.id);
        match (&self.form, self.change) {
            (Form::Bulk, _) => Request::post("/tags", self.body()),
            (Form::Detach, _) => Request::delete("/contacts/{id}/tags/{id}", format!("/contacts/{member}/tags/{tag}")),
            (Form::Conversation { .. }, Change::Tag) => {
                Request::post("/conversations/{id}/tags", self.body()).at(format!("/conversations/{member}/tags"))
            }
            (Form::Conversation { .. }, Change::Untag) => {
                let address = format!("/conversations/{member}/tags/{tag}");
                Request::delete("/conversations/{id}/tags/{id}", address).with_body(self.body())
            }
        }
    }

    fn first(&self) -> &str {
        self.members.first().map(Reference::text).unwrap_or_default()
    }

    fn body(&self) -> Value {
        if let Form::Conversation { admin_id } = &self.form {
            let tag = Some(self.tag.id.as_str()).filter(|id| !id.is_empty());
            return match self.change {
                Change::Tag => json!({ "id": tag, "admin_id": admin_id }),
                Change::Untag => json!({ "admin_id": admin_id }),
            };
        }
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
    /// Whether people can be tagged only by Intercom's id. Then other references have to be looked up first, see [`Client::find`].
    pub fn tags_by_id_only(&self) -> bool {
        matches!(self.api, Api::V2(_))
    }

    /// Creates a tag, or returns the existing one with this name.
    pub async fn create_tag(&self, name: &str) -> Result<Group, RequestError> {
        let request = Request::post("/tags", json!({ "name": name }));
        let name = name.to_string();
        self.transport.send(&request, move |body| wire::tag(body, &name)).await
    }

    /// The calls that change these members. People, companies and conversations are in separate calls, each with up to `most` members. A
    /// call for a conversation is made in the name of an admin.
    pub fn tag_calls(&self, tag: &Group, change: Change, members: Vec<Reference>, most: usize, admin_id: &str) -> Vec<TagCall> {
        let (mut people, mut companies, mut conversations) = (Vec::new(), Vec::new(), Vec::new());
        for member in members {
            match member {
                Reference::ContactId(_) | Reference::ExternalId(_) | Reference::Email(_) => people.push(member),
                Reference::CompanyId(_) => companies.push(member),
                Reference::ConversationId(_) => conversations.push(member),
            }
        }
        // 2.x has no bulk call that removes a tag from people.
        let of_people = if self.tags_by_id_only() && change == Change::Untag { Form::Detach } else { Form::Bulk };
        let of_conversations = Form::Conversation { admin_id: admin_id.to_string() };
        let mut calls = Vec::new();
        for (members, form) in [(people, of_people), (companies, Form::Bulk), (conversations, of_conversations)] {
            let size = if form == Form::Bulk { most.clamp(1, TagCall::MEMBERS_MAX) } else { 1 };
            let call = |members: &[Reference]| TagCall { tag: tag.clone(), change, members: members.to_vec(), form: form.clone() };
            calls.extend(members.chunks(size).map(call));
        }
        calls
    }

    /// Sends a call and returns what the response says.
    pub async fn send_tags(&self, call: &TagCall) -> Result<TagAnswer, RequestError> {
        let tagged = call.change == Change::Tag;
        let change = self.transport.send(&call.request(), move |body| wire::tag_change(body, tagged)).await?;
        if change.tag != call.tag.id {
            return Ok(TagAnswer::OtherTag(change.tag));
        }
        let Some(members) = change.members.filter(|_| call.form == Form::Bulk) else { return Ok(TagAnswer::Done) };
        let distinct: HashSet<&Reference> = call.members.iter().collect();
        let is_right = members.values().all(|now| *now == tagged);
        if is_right && members.len() >= distinct.len() {
            return Ok(TagAnswer::Done);
        }
        // The response identifies members by Intercom's ids, so only members that were given by this id can be found in it.
        let is_by_id = |member: &Reference| matches!(member, Reference::ContactId(_));
        let with = |wanted: Option<bool>| {
            let now = |member: &&Reference| members.get(member.text()).copied() == wanted;
            call.members.iter().filter(now).cloned().collect()
        };
        Ok(match &call.members[..] {
            all if all.iter().all(is_by_id) => TagAnswer::InPart { absent: with(None), unchanged: with(Some(!tagged)) },
            [one] if members.is_empty() => TagAnswer::InPart { absent: vec![one.clone()], unchanged: Vec::new() },
            [one] => TagAnswer::InPart { absent: Vec::new(), unchanged: vec![one.clone()] },
            _ => TagAnswer::InUnknownPart,
        })
    }

    /// The tags of a conversation. `None` if there is no such conversation, and on 1.x, where conversations cannot be tagged.
    pub async fn conversation_tags(&self, id: &str) -> Result<Option<OwnTags>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(api) => api.conversation_tags(id).await,
        }
    }

    /// Looks up the users and leads that have these references, and whether they have the tag.
    pub async fn find(&self, references: &[Reference], tag: Option<&Group>) -> Result<Vec<FoundContact>, StreamError> {
        let tag = tag.map(|tag| tag.id.as_str());
        match &self.api {
            Api::V1(api) => api.find(references, tag).await,
            Api::V2(api) => api.find(references, tag).await,
        }
    }
}

impl RequestError {
    /// The API understood a tag call but refused it. A member or the tag does not exist, or a reference is ambiguous.
    pub fn is_refused(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 400 | 404 | 409 | 410 | 422, .. })
    }

    /// Status 409: several users have the same e-mail address.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 409, .. })
    }

    /// The member does not exist, or was merged into another one.
    pub fn is_missing(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 404 | 410, .. })
    }
}
