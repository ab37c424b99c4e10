//! `/_simulator/…`: the true state of the world for tests. It is computed from the contacts' lives, not by the search code.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Simulator;
use super::traffic::{Stats, WindowStats};
use super::world::groups::{ARCHIVED_SEGMENTS, ARCHIVED_TAGS, Archived};
use super::world::people::{Contact, End, Role};
use super::world::subscriptions::TYPES;
use super::world_view::WorldView;
use super::writes::LoggedWrite;

/// The help text.
pub(crate) const HELP: &str = "there are stats, state, members?group=&at= with tag:ID, segment:ID, subscription:ID (who left or joined it), role:user or role:lead, applied?tag=ID, merged?from=&to=, conversations?from=&to=, writes, shared_emails and, of a server with --prepared-pages, requests?reset=true";

/// Answers a probe. `None` when there is no such probe.
pub(crate) fn answer(simulator: &Simulator, path: &str, query: &[(String, String)]) -> Option<Value> {
    let view = &*simulator.view();
    let parameter = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match path {
        "/_simulator/stats" => Some(stats(simulator.stats())),
        "/_simulator/state" => Some(state(view)),
        "/_simulator/members" => members(view, parameter("group")?, seconds(parameter("at"))),
        "/_simulator/applied" => applied(view, parameter("tag")?),
        "/_simulator/merged" => Some(merged(view, seconds(parameter("from")), seconds(parameter("to")))),
        "/_simulator/conversations" => Some(conversations(view, seconds(parameter("from")), seconds(parameter("to")))),
        "/_simulator/writes" => Some(simulator.0.writes.all().iter().map(LoggedWrite::body).collect()),
        "/_simulator/requests" => simulator.0.log.to_json(parameter("reset") == Some("true")),
        "/_simulator/shared_emails" => Some(shared_emails(view)),
        _ => None,
    }
}

fn stats(stats: Stats) -> Value {
    let Stats { requests, max_in_flight, rate_limited, pages_repeated, windows } = stats;
    let window = |WindowStats { start, requests, rate_limited }: WindowStats| json!({"start": start, "requests": requests, "rate_limited": rate_limited});
    json!({
        "requests": requests,
        "max_in_flight": max_in_flight,
        "rate_limited": rate_limited,
        "pages_repeated": pages_repeated,
        "windows": windows.into_iter().map(window).collect::<Vec<_>>(),
    })
}

fn state(view: &WorldView) -> Value {
    let contacts: Vec<&Contact> = existing(view).collect();
    let users = contacts.iter().filter(|contact| contact.role_at(view.now) == Role::User).count();
    let tags = view.tags().map(|tag| {
        let count = contacts.iter().filter(|contact| contact.has_tag_at(tag.number, view.now)).count();
        json!({"group": format!("tag:{}", tag.id), "name": tag.name, "count": count})
    });
    let segments = view.world.segments.iter().filter(|segment| segment.exists_at(view.now)).map(|segment| {
        let count = contacts.iter().filter(|contact| segment.holds(contact, view.now)).count();
        json!({"group": format!("segment:{}", segment.id), "name": segment.name, "count": count})
    });
    let archived = archived(view, "tag", &ARCHIVED_TAGS).chain(archived(view, "segment", &ARCHIVED_SEGMENTS));
    json!({
        "now": view.now,
        "timezone": view.world.options.timezone.name(),
        "contacts": contacts.len(),
        "users": users,
        "leads": contacts.len() - users,
        "conversations": view.conversations().len(),
        "groups": tags.chain(segments).collect::<Vec<_>>(),
        "archived": archived.collect::<Vec<_>>(),
    })
}

/// The archived groups. Lists and searches do not contain them, but `/counts` does.
fn archived(view: &WorldView, kind: &str, groups: &'static [Archived]) -> impl Iterator<Item = Value> {
    groups.iter().map(move |group| {
        let held = |index: &u32| group.holds(view.world.options.seed, *index);
        let count = indices(view).filter(|index| view.contact(*index).exists_at(view.now)).filter(held).count();
        json!({"group": format!("{kind}:{}", group.id), "name": group.name, "count": count})
    })
}

/// The sorted ids of a group's members at the instant `at`, or now if `at` is `None` or later. Tags are those of that instant, also if
/// requests added or removed them. All other data that requests wrote are those of now, because earlier values are not stored.
fn members(view: &WorldView, group: &str, at: Option<i64>) -> Option<Value> {
    let now = at.unwrap_or(view.now).min(view.now);
    let existing = |view| existing_at(view, now);
    let ids: Vec<&str> = match group.split_once(':')? {
        ("tag", id) => {
            let tag = view.find_tag(id)?.number;
            existing(view).filter(|contact| contact.has_tag_at(tag, now)).map(|contact| contact.id.as_str()).collect()
        }
        ("segment", id) => {
            let segment = view.world.segments.iter().find(|segment| segment.id == id)?;
            existing(view).filter(|contact| segment.holds(contact, now)).map(|contact| contact.id.as_str()).collect()
        }
        ("subscription", id) => {
            let kind = TYPES.iter().position(|kind| kind.id == id)?;
            let chosen = |contact: &&Contact| contact.choices.iter().any(|one| usize::from(one.kind) == kind && one.holds_at(now));
            existing(view).filter(chosen).map(|contact| contact.id.as_str()).collect()
        }
        ("role", name) => {
            let role = [Role::User, Role::Lead].into_iter().find(|role| role.word() == name)?;
            existing(view).filter(|contact| contact.role_at(now) == role).map(|contact| contact.id.as_str()).collect()
        }
        _ => return None,
    };
    Some(json!(ids))
}

/// The contacts that have a tag now, and since when, sorted by id: `{"contact_id", "applied_at"}`. Earlier spells of the tag do not count.
fn applied(view: &WorldView, id: &str) -> Option<Value> {
    let tag = view.find_tag(id)?.number;
    let carried = existing(view).filter_map(|contact| {
        let spell = contact.tags_at(view.now).find(|spell| spell.tag == tag)?;
        Some(json!({"contact_id": contact.id, "applied_at": spell.from}))
    });
    Some(carried.collect())
}

/// The contacts that were merged at `from` or later, before `to`, and not after now, by time: `{"from", "from_role", "into", "at"}`.
fn merged(view: &WorldView, from: Option<i64>, to: Option<i64>) -> Value {
    let range = from.unwrap_or(i64::MIN)..to.unwrap_or(i64::MAX);
    let mut merges: Vec<(i64, Value)> = Vec::new();
    for contact in &view.world.contacts {
        if let Some((at, End::Merged(target))) = contact.end.filter(|(at, _)| *at <= view.now && range.contains(at)) {
            let (role, into) = (contact.role_at(at - 1).word(), &view.world.contact(target).id);
            merges.push((at, json!({"from": contact.id, "from_role": role, "into": into, "at": at})));
        }
    }
    merges.sort_by_key(|(at, _)| *at);
    merges.into_iter().map(|(_, merge)| merge).collect()
}

/// The conversations that were created at `from` or later, before `to`, and not after now.
fn conversations(view: &WorldView, from: Option<i64>, to: Option<i64>) -> Value {
    let range = from.unwrap_or(i64::MIN)..to.unwrap_or(i64::MAX);
    let begun = view.world.conversations.iter().filter(|conversation| conversation.created_at <= view.now);
    let wanted = begun.filter(|conversation| range.contains(&conversation.created_at)).map(|conversation| {
        let author = conversation.author(&view.world);
        let contacts: Vec<&str> = conversation.participants().map(|index| view.contact(index).id.as_str()).collect();
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

/// The email addresses that several contacts have, most contacts first: `{"email", "users": [{"id", "user_id"}], "leads": [{"id"}]}`.
fn shared_emails(view: &WorldView) -> Value {
    let mut holders: BTreeMap<&str, Vec<&Contact>> = BTreeMap::new();
    for contact in existing(view) {
        if let Some(email) = contact.email.as_deref().filter(|email| !email.is_empty()) {
            holders.entry(email).or_default().push(contact);
        }
    }
    let mut shared: Vec<_> = holders.into_iter().filter(|(_, contacts)| contacts.len() > 1).collect();
    shared.sort_by_key(|(_, contacts)| std::cmp::Reverse(contacts.len()));
    let of_role = |contacts: &[&Contact], role: Role| -> Value {
        let of_role = contacts.iter().filter(|contact| contact.role_at(view.now) == role);
        of_role.map(|contact| json!({"id": contact.id, "user_id": contact.external_id_at(view.now)})).collect()
    };
    let entry = |(email, contacts): (&str, Vec<&Contact>)| json!({"email": email, "users": of_role(&contacts, Role::User), "leads": of_role(&contacts, Role::Lead)});
    shared.into_iter().map(entry).collect()
}

/// All contacts that exist, including those that requests created, sorted by id. They are found by the creation and the end of each
/// contact, not by the view's lists.
fn existing(view: &WorldView) -> impl Iterator<Item = &Contact> {
    existing_at(view, view.now)
}

fn existing_at(view: &WorldView, at: i64) -> impl Iterator<Item = &Contact> {
    let mut all: Vec<&Contact> = indices(view).map(|index| view.contact(index)).filter(|contact| contact.exists_at(at)).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all.into_iter()
}

/// The indices of all contacts of all times.
fn indices(view: &WorldView) -> impl Iterator<Item = u32> {
    let created = view.overlay.created(&view.world).map(|(index, _)| index);
    (0..view.world.contacts.len() as u32).chain(created)
}

/// Parses Unix seconds or RFC 3339. `None` for other text.
fn seconds(text: Option<&str>) -> Option<i64> {
    let text = text?;
    text.parse().ok().or_else(|| {
        humantime::parse_rfc3339_weak(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs() as i64)
    })
}
