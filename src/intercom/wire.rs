//! JSON that both generations of the API send, decoded into domain values. Only the id of a row is required. Unknown keys are ignored, ids
//! may be numbers, and dates may be milliseconds or text. Oddities are counted but never quoted. An error contains the path in the
//! document, not the contact's data.

pub(super) mod attributes;
mod company;
pub(super) mod lenient;
pub(super) mod next;
mod repair;
pub(super) mod subscriptions;
pub(super) mod tag_list;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::types::{ListedGroup, Workspace};
use domain::{Group, GroupKind, Oddities, Opener, TagDate};
use lenient::{Stamp, Text, Whole};
use next::ListPages;

pub(super) use company::companies;
pub(super) use lenient::plain_token;

/// Why a body could not be decoded. The error has none of the body's text.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("an empty body")]
    Empty,
    #[error("an HTML page in place of JSON")]
    Html,
    #[error("half a JSON body")]
    Half,
    #[error("something that is no JSON object")]
    Syntax,
    #[error("JSON that is not as documented at `{path}`")]
    Shape { path: String },
    #[error("the body of an error")]
    ErrorList { code: Option<String>, request_id: Option<Box<str>> },
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let trimmed = body.trim_ascii_start();
    match trimmed.first() {
        None => return Err(DecodeError::Empty),
        Some(b'<') => return Err(DecodeError::Html),
        Some(b'{') => {}
        Some(_) => return Err(DecodeError::Syntax),
    }
    if let Some(ApiError { code, request_id }) = error_list(body) {
        return Err(DecodeError::ErrorList { code, request_id });
    }
    match decode_object(body) {
        Err(DecodeError::Syntax) => {
            let repaired = repair::repaired(body).ok_or(DecodeError::Syntax)?;
            decode_object(&repaired.body).inspect(|_| repaired.count())
        }
        decoded => decoded,
    }
}

/// Decodes from a `&str` if the body is UTF-8, which is faster, because texts are not validated one by one. Any other body is decoded from
/// bytes. Then only the fields that are used must be valid UTF-8.
fn decode_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    match std::str::from_utf8(body) {
        Ok(text) => decode_from(serde_json::Deserializer::from_str(text), body),
        Err(_) => decode_from(serde_json::Deserializer::from_slice(body), body),
    }
}

fn decode_from<'a, T, R>(mut json: serde_json::Deserializer<R>, body: &[u8]) -> Result<T, DecodeError>
where
    T: DeserializeOwned,
    R: serde_json::de::Read<'a>,
{
    let value = lenient::counting_when_good(|| T::deserialize(&mut json)).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => DecodeError::Half,
        serde_json::error::Category::Data => DecodeError::Shape { path: path_of_error::<T>(body) },
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => DecodeError::Syntax,
    })?;
    json.end().map_err(|_| DecodeError::Syntax)?;
    Ok(value)
}

/// The path at which a body is not as documented. To track the path takes longer than to decode, so only a body that failed is decoded
/// again with its path.
fn path_of_error<T: DeserializeOwned>(body: &[u8]) -> String {
    let mut json = serde_json::Deserializer::from_slice(body);
    let again = lenient::counting_when_good(|| serde_path_to_error::deserialize::<_, T>(&mut json));
    again.err().map_or_else(|| ".".to_string(), |error| shape_path(error.path()))
}

/// The path without the names of custom attributes, because these names are the workspace's data.
fn shape_path(path: &serde_path_to_error::Path) -> String {
    let text = path.to_string();
    match text.split_once("custom_attributes") {
        Some((before, _)) => format!("{before}custom_attributes"),
        None => text,
    }
}

/// An id of Intercom's form: a short text of digits, letters, `_` and `-`. `None` for any other text, because ids become parts of URLs and
/// file names.
pub(super) fn checked_id(text: Option<Text>) -> Option<CompactString> {
    lenient::some(text).filter(|id| is_id(id))
}

/// The longest id that is accepted, in bytes. The API has no id as long as this.
const ID_MAX: usize = 64;

pub(super) fn is_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(is_part)
}

pub(super) fn shape(path: impl Into<String>) -> DecodeError {
    DecodeError::Shape { path: path.into() }
}

// ---- errors ----

/// The code and the request id in an error body.
#[derive(Default)]
pub(super) struct ApiError {
    pub code: Option<String>,
    pub request_id: Option<Box<str>>,
}

/// Code and request id of an error body of any kind. Messages are left out, because they may quote data.
pub(super) fn error_body(body: &[u8]) -> ApiError {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return ApiError::default() };
    let first = value.get("errors").and_then(|errors| errors.get(0));
    let text = |value: Option<&serde_json::Value>| plain_token(value?.as_str()?);
    // Old versions have `type` where later ones have `code`.
    let code = || first.and_then(|error| text(error.get("code")).or_else(|| text(error.get("type"))));
    let message = first.and_then(|error| error.get("message")).and_then(serde_json::Value::as_str);
    ApiError {
        code: message.and_then(code_of_message).or_else(code),
        request_id: text(value.get("request_id")).map(String::into_boxed_str),
    }
}

/// The error in the body of a response with status 200. An `error.list` with an empty `data` is an error, not an empty list. `None` if the
/// body is no error.
fn error_list(body: &[u8]) -> Option<ApiError> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type", default)]
        kind: Text,
        #[serde(default)]
        errors: serde_json::Value,
    }
    // Few bodies contain this word, and only these bodies are parsed here.
    memchr::memmem::find(body, b"\"error")?;
    let kind: Kind = serde_json::from_slice(body).ok()?;
    let has_errors = kind.errors.as_array().is_some_and(|errors| !errors.is_empty());
    (has_errors || matches!(kind.kind.0.as_deref(), Some("error.list" | "error"))).then(|| error_body(body))
}

/// Another scroll is open in the workspace.
pub(super) const SCROLL_EXISTS: &str = "scroll_exists";
/// The scroll cannot continue, but a new one may be started.
pub(super) const SCROLL_RESTART: &str = "scroll_restart";
/// The API does not know the cursor, or no longer knows it.
pub(super) const CURSOR_INVALID: &str = "cursor_invalid";
/// The list is longer than page numbers reach.
pub(super) const PAGE_LIMIT: &str = "page_limit";

/// The code of an error that only its message identifies. `None` for other errors.
fn code_of_message(message: &str) -> Option<String> {
    let message = message.to_ascii_lowercase();
    let says = |words: &str| message.contains(words);
    let code = if says("scroll already exists") {
        SCROLL_EXISTS
    } else if says("restart the scroll") {
        SCROLL_RESTART
    } else if says("page limit reached") || says("'page' not found on model") {
        PAGE_LIMIT
    } else if says("starting_after") || says("cursor") {
        CURSOR_INVALID
    } else {
        return None;
    };
    Some(code.to_string())
}

// ---- totals, workspace, groups, attributes ----

/// The total of a list or search, whatever its rows are.
pub(super) fn total(body: &[u8]) -> Result<Option<u64>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(rename = "type")]
        kind: Option<Text>,
        total_count: Option<Whole>,
    }
    let list: List = decode(body)?;
    if list.kind.is_none() && list.total_count.is_none() {
        return Err(shape("total_count"));
    }
    Ok(list.total_count.and_then(|total| total.0))
}

pub(super) fn workspace(body: &[u8]) -> Result<Workspace, DecodeError> {
    #[derive(Deserialize)]
    struct Me {
        app: Option<App>,
        #[serde(rename = "type")]
        kind: Option<Text>,
        id: Option<Text>,
    }
    #[derive(Deserialize)]
    struct App {
        id_code: Option<Text>,
        timezone: Option<Text>,
        region: Option<Text>,
    }
    let me: Me = decode(body)?;
    if me.kind.is_none() && me.id.is_none() && me.app.is_none() {
        return Err(shape("type"));
    }
    let is_admin = lenient::owned(me.kind).is_some_and(|kind| kind == "admin");
    let admin_id = checked_id(me.id).filter(|_| is_admin).map(Into::into);
    let Some(app) = me.app else { return Ok(Workspace { admin_id, ..Workspace::default() }) };
    let (timezone, region) = (lenient::owned(app.timezone), lenient::owned(app.region));
    Ok(Workspace { id: workspace_id(app.id_code)?, timezone, region, admin_id })
}

#[derive(Deserialize)]
struct WireGroup {
    id: Text,
    name: Option<Text>,
    count: Option<Whole>,
    #[serde(default)]
    created_at: Stamp,
    #[serde(default)]
    updated_at: Stamp,
}

impl WireGroup {
    fn listed(self, kind: GroupKind, path: &str) -> Result<ListedGroup, DecodeError> {
        let id = checked_id(Some(self.id)).ok_or_else(|| shape(format!("{path}[].id")))?;
        let name = lenient::owned(self.name).unwrap_or_default();
        let instant = |stamp: Stamp| -> Option<DateTime<Utc>> { stamp.instant(&mut Oddities::default()) };
        Ok(ListedGroup {
            group: Group { kind, id: id.into(), name },
            count: self.count.and_then(|count| count.0),
            created_at: instant(self.created_at),
            updated_at: instant(self.updated_at),
        })
    }
}

/// A page of a list that is documented as unpaged. Usually it is the only one.
#[derive(Debug)]
pub(super) struct ListPage<T> {
    pub rows: Vec<T>,
    pub pages: ListPages,
    /// What the response says about the length of the list.
    pub length: ListLength,
}

/// What the response says about the length of a list: the total, and whether there are more rows.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ListLength {
    #[serde(default)]
    total_count: Whole,
    #[serde(default)]
    has_more: lenient::Flag,
}

impl ListLength {
    /// Whether the list has more than this many rows.
    pub(super) fn exceeds(&self, rows: usize) -> bool {
        self.has_more.0 == Some(true) || self.total_count.0.is_some_and(|total| total > rows as u64)
    }
}

/// Decodes a page of a list that is documented as unpaged.
pub(super) type Decode<T> = fn(&[u8]) -> Result<ListPage<T>, DecodeError>;

impl<T> ListPage<T> {
    fn of<W>(
        rows: Vec<W>,
        pages: Option<ListPages>,
        length: ListLength,
        row: impl FnMut(W) -> Result<T, DecodeError>,
    ) -> Result<ListPage<T>, DecodeError> {
        Ok(ListPage { rows: rows.into_iter().map(row).collect::<Result<_, _>>()?, pages: pages.unwrap_or_default(), length })
    }
}

pub(super) fn tags(body: &[u8]) -> Result<ListPage<ListedGroup>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        // `tags` is the former name of the key.
        #[serde(alias = "tags")]
        data: Vec<WireGroup>,
        pages: Option<ListPages>,
        #[serde(flatten)]
        length: ListLength,
    }
    let List { data, pages, length } = decode(body)?;
    ListPage::of(data, pages, length, |tag| tag.listed(GroupKind::Tag, "data"))
}

pub(super) fn segments(body: &[u8]) -> Result<ListPage<ListedGroup>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "data")]
        segments: Vec<WireGroup>,
        pages: Option<ListPages>,
        #[serde(flatten)]
        length: ListLength,
    }
    let List { segments, pages, length } = decode(body)?;
    ListPage::of(segments, pages, length, |segment| segment.listed(GroupKind::Segment, "segments"))
}

/// One tag. If the response has no name, the tag gets the requested name.
pub(super) fn tag(body: &[u8], name: &str) -> Result<Group, DecodeError> {
    let listed = decode::<WireGroup>(body)?.listed(GroupKind::Tag, "")?.group;
    Ok(if listed.name.is_empty() { Group { name: name.to_string(), ..listed } } else { listed })
}

/// The tags of one contact, with the time when each was added.
pub(super) fn tag_dates(body: &[u8]) -> Result<ListPage<TagDate>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "tags")]
        data: Vec<Tag>,
        pages: Option<ListPages>,
        #[serde(flatten)]
        length: ListLength,
    }
    #[derive(Deserialize)]
    struct Tag {
        id: Text,
        #[serde(default)]
        applied_at: Stamp,
    }
    let mut oddities = Oddities::default();
    let List { data, pages, length } = decode(body)?;
    ListPage::of(data, pages, length, |tag| {
        let tag_id = checked_id(Some(tag.id)).ok_or_else(|| shape("data[].id"))?.into();
        Ok(TagDate { tag_id, applied_at: tag.applied_at.instant(&mut oddities) })
    })
}

/// The id of the contact in a response.
pub(super) fn contact_id(body: &[u8]) -> Result<String, DecodeError> {
    #[derive(Deserialize)]
    struct Contact {
        id: Text,
    }
    let contact: Contact = decode(body)?;
    checked_id(Some(contact.id)).map(Into::into).ok_or_else(|| shape("id"))
}

/// The response to a tag call.
pub(super) struct TagChange {
    /// The ID of the tag that was added or removed.
    pub tag: String,
    /// Intercom's ids of the changed members, and whether they have the tag now. `None` before 2.16.
    pub members: Option<HashMap<String, bool>>,
}

/// `tagged` is used for a member if the response does not say whether it has the tag.
pub(super) fn tag_change(body: &[u8], tagged: bool) -> Result<TagChange, DecodeError> {
    #[derive(Deserialize)]
    struct Answer {
        id: Text,
        users: Option<Vec<Member>>,
        companies: Option<Vec<Member>>,
    }
    #[derive(Deserialize)]
    struct Member {
        id: Option<Text>,
        #[serde(default)]
        tagged: lenient::Flag,
    }
    let answer: Answer = decode(body)?;
    let tag = checked_id(Some(answer.id)).ok_or_else(|| shape("id"))?.into();
    if answer.users.is_none() && answer.companies.is_none() {
        return Ok(TagChange { tag, members: None });
    }
    let members = answer.users.into_iter().chain(answer.companies).flatten();
    let members = members.filter_map(|member| Some((lenient::owned(member.id)?, member.tagged.0.unwrap_or(tagged))));
    Ok(TagChange { tag, members: Some(members.collect()) })
}

/// One group by its ID.
pub(super) fn group(body: &[u8], kind: GroupKind) -> Result<Group, DecodeError> {
    Ok(decode::<WireGroup>(body)?.listed(kind, kind.as_str())?.group)
}

/// The names of the workspace's custom attributes.
pub(super) fn attribute_names(body: &[u8]) -> Result<ListPage<Option<String>>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Attribute>,
        pages: Option<ListPages>,
        #[serde(flatten)]
        length: ListLength,
    }
    #[derive(Deserialize)]
    struct Attribute {
        name: Option<Text>,
        #[serde(default)]
        custom: lenient::Flag,
    }
    let List { data, pages, length } = decode(body)?;
    let custom = |attribute: Attribute| lenient::owned(attribute.name).filter(|_| attribute.custom.0 == Some(true));
    ListPage::of(data, pages, length, |attribute| Ok(custom(attribute)))
}

// ---- conversations, in both generations of the API (1.x and 2.x) ----

/// Who opened a conversation. If the author is a contact without an id and the conversation has exactly one contact, this contact is the
/// opener. If the conversation has no contact or several, the opener is unknown.
pub(super) fn opener(author_type: Option<&str>, author_id: Option<String>, contacts: &[String], oddities: &mut Oddities) -> Opener {
    match author_type {
        Some(_) if is_contact(author_type) => {}
        Some(_) => return Opener::Workspace,
        None => {
            oddities.without_author += 1;
            return Opener::NoAuthor;
        }
    }
    match (author_id, contacts) {
        (Some(id), _) => Opener::Contact(id),
        (None, [only]) => Opener::Contact(only.clone()),
        (None, _) => {
            oddities.openers_unknown += 1;
            Opener::UnknownContact
        }
    }
}

/// The distinct ids of a conversation's contacts. Contacts without an id are left out.
///
/// # Errors
/// When an id is not of Intercom's form.
pub(super) fn participants(listed: impl Iterator<Item = Option<Text>>) -> Result<Vec<String>, &'static str> {
    let mut ids: Vec<String> = Vec::new();
    for listed in listed {
        if let Some(id) = checked(listed).map_err(|()| "contacts")?
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The author's id, if the author is a contact and has one. Ids of admins and bots are not used.
///
/// # Errors
/// When the id is not of Intercom's form.
pub(super) fn author_id(author_type: Option<&str>, given: Option<Text>) -> Result<Option<String>, &'static str> {
    if is_contact(author_type) { checked(given).map_err(|()| "author.id") } else { Ok(None) }
}

fn is_contact(author_type: Option<&str>) -> bool {
    matches!(author_type, Some("user" | "lead" | "contact"))
}

/// The id, or `None` when there is none. Fails if the id is not of Intercom's form.
fn checked(given: Option<Text>) -> Result<Option<String>, ()> {
    let given = lenient::owned(given).filter(|id| !id.is_empty());
    match given {
        Some(id) if !is_id(&id) => Err(()),
        given => Ok(given),
    }
}

/// The workspace's ID, if the response has one.
///
/// # Errors
/// When the ID is not of Intercom's form.
pub(super) fn workspace_id(given: Option<Text>) -> Result<Option<String>, DecodeError> {
    let given = given.map(|Text(text)| Text(text.filter(|id| !id.trim().is_empty())));
    checked(given).map_err(|()| shape("app.id_code"))
}

#[cfg(test)]
mod tests;
