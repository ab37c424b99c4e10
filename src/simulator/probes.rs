//! `/_simulator/…`: the truth of the world for tests, read straight from the lives in it and not through the search code.

use serde_json::{Value, json};

use super::Stats;
use super::moment::Moment;
use super::world::people::{Contact, Role};

/// Answers a probe; nothing when there is no such probe.
pub fn answer(moment: &Moment, stats: Stats, path: &str, query: &[(String, String)]) -> Option<Value> {
    let parameter = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match path {
        "/_simulator/stats" => {
            Some(json!({"requests": stats.requests, "max_in_flight": stats.max_in_flight, "rate_limited": stats.rate_limited}))
        }
        "/_simulator/state" => Some(state(moment)),
        "/_simulator/members" => members(moment, parameter("group")?),
        "/_simulator/conversations" => Some(conversations(moment, seconds(parameter("from")), seconds(parameter("to")))),
        _ => None,
    }
}

fn state(moment: &Moment) -> Value {
    let contacts: Vec<&Contact> = existing(moment).collect();
    let users = contacts.iter().filter(|contact| contact.role_at(moment.now) == Role::User).count();
    let tags = moment.world.tags.iter().zip(0u16..).map(|(tag, number)| {
        let count = contacts.iter().filter(|contact| contact.has_tag_at(number, moment.now)).count();
        json!({"group": format!("tag:{}", tag.id), "name": tag.name, "count": count})
    });
    let segments = moment.world.segments.iter().map(|segment| {
        let count = contacts.iter().filter(|contact| segment.holds(contact, moment.now)).count();
        json!({"group": format!("segment:{}", segment.id), "name": segment.name, "count": count})
    });
    json!({
        "now": moment.now,
        "timezone": moment.world.options.timezone.name(),
        "contacts": contacts.len(),
        "users": users,
        "leads": contacts.len() - users,
        "conversations": moment.conversations().len(),
        "groups": tags.chain(segments).collect::<Vec<_>>(),
    })
}

fn members(moment: &Moment, group: &str) -> Option<Value> {
    let now = moment.now;
    let ids: Vec<&str> = match group.split_once(':')? {
        ("tag", id) => {
            let tag = moment.world.tags.iter().zip(0u16..).find(|(tag, _)| tag.id == id)?.1;
            existing(moment).filter(|contact| contact.has_tag_at(tag, now)).map(|contact| contact.id.as_str()).collect()
        }
        ("segment", id) => {
            let segment = moment.world.segments.iter().find(|segment| segment.id == id)?;
            existing(moment).filter(|contact| segment.holds(contact, now)).map(|contact| contact.id.as_str()).collect()
        }
        _ => return None,
    };
    Some(json!(ids))
}

/// Conversations begun in `[from, to)`, as far as they have begun now.
fn conversations(moment: &Moment, from: Option<i64>, to: Option<i64>) -> Value {
    let range = from.unwrap_or(i64::MIN)..to.unwrap_or(i64::MAX);
    let begun = moment.world.conversations.iter().filter(|conversation| conversation.created_at <= moment.now);
    let wanted = begun.filter(|conversation| range.contains(&conversation.created_at)).map(|conversation| {
        let author = conversation.author(&moment.world);
        let contacts: Vec<&str> = conversation.participants().map(|index| moment.world.contact(index).id.as_str()).collect();
        json!({
            "id": conversation.id.to_string(),
            "created_at": conversation.created_at,
            "author_type": author.kind,
            "author_id": author.id,
            "contact_ids": contacts,
        })
    });
    wanted.collect()
}

fn existing(moment: &Moment) -> impl Iterator<Item = &Contact> {
    moment.world.contacts.iter().filter(|contact| contact.exists_at(moment.now))
}

/// Unix seconds or RFC 3339.
fn seconds(text: Option<&str>) -> Option<i64> {
    let text = text?;
    text.parse().ok().or_else(|| {
        humantime::parse_rfc3339_weak(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs() as i64)
    })
}
