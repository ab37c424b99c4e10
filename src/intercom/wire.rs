//! JSON as Intercom sends it, and its turning into domain values. Everything is optional here but what makes a row a
//! row; unknown keys are passed over; ids may be numbers, dates may be milliseconds or text. What was odd is counted,
//! never quoted: a message names the place in the document, not the contact's data.

mod contact;
mod conversation;
mod lenient;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ListedGroup, Workspace};
use crate::domain::{Contact, Conversation, Group, GroupKind, Oddities};
use lenient::{Text, Whole};

pub(super) use lenient::plain_token;

/// Why a body could not be decoded, without a word of it.
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
}

#[derive(Debug)]
pub(super) struct WirePage<T> {
    pub rows: Vec<T>,
    pub total: Option<u64>,
    pub next: Next,
    pub oddities: Oddities,
}

/// Where a list goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    End,
    After(String),
    /// Somewhere that this client does not follow.
    Elsewhere,
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let trimmed = body.trim_ascii_start();
    match trimmed.first() {
        None => return Err(DecodeError::Empty),
        Some(b'<') => return Err(DecodeError::Html),
        Some(b'{') => {}
        Some(_) => return Err(DecodeError::Syntax),
    }
    match decode_object(body) {
        // JSON may escape half a surrogate pair, which no Rust text can hold: one such name must not block a workspace.
        Err(DecodeError::Syntax) => match lenient::without_lone_surrogates(body) {
            Some(mended) => decode_object(&mended),
            None => Err(DecodeError::Syntax),
        },
        decoded => decoded,
    }
}

fn decode_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| match error.inner().classify() {
        serde_json::error::Category::Eof => DecodeError::Half,
        serde_json::error::Category::Data => DecodeError::Shape { path: shape_path(error.path()) },
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => DecodeError::Syntax,
    })?;
    json.end().map_err(|_| DecodeError::Syntax)?;
    Ok(value)
}

/// The path with the names of free-form objects left out: a custom attribute's name is the workspace's own.
fn shape_path(path: &serde_path_to_error::Path) -> String {
    let text = path.to_string();
    match text.split_once("custom_attributes") {
        Some((before, _)) => format!("{before}custom_attributes"),
        None => text,
    }
}

fn shape(path: impl Into<String>) -> DecodeError {
    DecodeError::Shape { path: path.into() }
}

// ---- errors ----

#[derive(Default)]
pub(super) struct ToldError {
    pub code: Option<String>,
    pub request_id: Option<String>,
}

/// Code and request id of an error body, of whatever kind it is. Messages are left out: they may quote data.
pub(super) fn error_body(body: &[u8]) -> ToldError {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return ToldError::default() };
    let first = value.get("errors").and_then(|errors| errors.get(0));
    let text = |value: Option<&serde_json::Value>| plain_token(value?.as_str()?);
    // Old versions say `type` where later ones say `code`.
    let code = first.and_then(|error| text(error.get("code")).or_else(|| text(error.get("type"))));
    ToldError { code, request_id: text(value.get("request_id")) }
}

// ---- workspace, groups, attributes ----

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
    }
    let me: Me = decode(body)?;
    if me.kind.is_none() && me.id.is_none() && me.app.is_none() {
        return Err(shape("type"));
    }
    Ok(me.app.map_or(Workspace::default(), |app| Workspace { id: lenient::some(app.id_code), timezone: lenient::some(app.timezone) }))
}

#[derive(Deserialize)]
struct WireGroup {
    id: Text,
    name: Option<Text>,
    count: Option<Whole>,
}

impl WireGroup {
    fn listed(self, kind: GroupKind, path: &str) -> Result<ListedGroup, DecodeError> {
        let id = self.id.0.filter(|id| !id.is_empty()).ok_or_else(|| shape(format!("{path}[].id")))?;
        let name = lenient::some(self.name).unwrap_or_default();
        Ok(ListedGroup { group: Group { kind, id, name }, count: self.count.and_then(|count| count.0) })
    }
}

pub(super) fn tags(body: &[u8]) -> Result<Vec<ListedGroup>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        // `tags` is the former name of the key.
        #[serde(alias = "tags")]
        data: Vec<WireGroup>,
    }
    decode::<List>(body)?.data.into_iter().map(|tag| tag.listed(GroupKind::Tag, "data")).collect()
}

pub(super) fn segments(body: &[u8]) -> Result<Vec<ListedGroup>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "data")]
        segments: Vec<WireGroup>,
    }
    decode::<List>(body)?.segments.into_iter().map(|segment| segment.listed(GroupKind::Segment, "segments")).collect()
}

pub(super) fn custom_attributes(body: &[u8]) -> Result<Vec<String>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Attribute>,
    }
    #[derive(Deserialize)]
    struct Attribute {
        name: Option<Text>,
        #[serde(default)]
        custom: lenient::Flag,
    }
    let list: List = decode(body)?;
    Ok(list
        .data
        .into_iter()
        .filter(|attribute| attribute.custom.0 == Some(true))
        .filter_map(|attribute| lenient::some(attribute.name))
        .collect())
}

// ---- lists ----

#[derive(Deserialize)]
struct Pages {
    #[serde(default)]
    next: lenient::NextPage,
}

fn next(pages: Option<Pages>) -> Next {
    pages.map_or(Next::End, |pages| pages.next.0)
}

pub(super) fn contacts(body: &[u8], expected_tag: Option<&str>) -> Result<WirePage<Contact>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "contacts")]
        data: Vec<contact::WireContact>,
        total_count: Option<Whole>,
        pages: Option<Pages>,
    }
    let list: List = decode(body)?;
    let mut oddities = Oddities::default();
    let mut rows = Vec::with_capacity(list.data.len());
    for (index, wire) in list.data.into_iter().enumerate() {
        let contact = wire.into_contact(expected_tag, &mut oddities).ok_or_else(|| shape(format!("data[{index}].id")))?;
        rows.push(contact);
    }
    Ok(WirePage { rows, total: list.total_count.and_then(|total| total.0), next: next(list.pages), oddities })
}

pub(super) fn conversations(body: &[u8], _expected_tag: Option<&str>) -> Result<WirePage<Conversation>, DecodeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "data")]
        conversations: Vec<conversation::WireConversation>,
        total_count: Option<Whole>,
        pages: Option<Pages>,
    }
    let list: List = decode(body)?;
    let mut oddities = Oddities::default();
    let mut rows = Vec::with_capacity(list.conversations.len());
    for (index, wire) in list.conversations.into_iter().enumerate() {
        let at = |field: &str| shape(format!("conversations[{index}].{field}"));
        rows.push(wire.into_conversation(&mut oddities).map_err(at)?);
    }
    Ok(WirePage { rows, total: list.total_count.and_then(|total| total.0), next: next(list.pages), oddities })
}

#[cfg(test)]
mod tests;
