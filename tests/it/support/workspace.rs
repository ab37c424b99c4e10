//! A workspace that a test defines, for cases that the simulator's world does not have. It answers the job's requests: `/me`, tags, segments, all
//! contacts, members of a group, and no conversations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::scripted::{Reply, Request, Scripted};

#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace {
    pub id: String,
    /// By id, as the API shows them.
    pub contacts: BTreeMap<String, Value>,
    /// Name and members by tag id.
    pub tags: BTreeMap<String, (String, BTreeSet<String>)>,
    /// The same of segments.
    pub segments: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Names of the workspace's custom attributes.
    pub attributes: Vec<String>,
}

/// Splits the contacts of a stream into pages, by their ids, and gives the announced total.
pub(crate) type Paginate = dyn Fn(&str, Vec<String>, usize) -> (Vec<Vec<String>>, Option<usize>) + Send + Sync;

/// Twenty-four hexadecimal digits, as Intercom's ids have.
pub(crate) fn contact_id(number: usize) -> String {
    format!("{:024x}", 0x6000_0000_0000_0000_u64 + number as u64)
}

pub(crate) fn contact(id: &str, created_at: i64) -> Value {
    json!({"type": "contact", "id": id, "role": "user", "created_at": created_at, "updated_at": created_at,
        "unsubscribed_from_emails": false, "has_hard_bounced": false, "marked_email_as_spam": false, "custom_attributes": {}})
}

/// Full pages and the correct total.
pub(crate) fn plainly(_stream: &str, ids: Vec<String>, per_page: usize) -> (Vec<Vec<String>>, Option<usize>) {
    let total = ids.len();
    (ids.chunks(per_page).map(<[String]>::to_vec).collect(), Some(total))
}

impl Workspace {
    pub(crate) fn serve(
        self,
        paginate: impl Fn(&str, Vec<String>, usize) -> (Vec<Vec<String>>, Option<usize>) + Send + Sync + 'static,
    ) -> Scripted {
        let paginate: Arc<Paginate> = Arc::new(paginate);
        Scripted::new(move |request| self.answer(request, &paginate))
    }

    fn answer(&self, request: &Request, paginate: &Arc<Paginate>) -> Reply {
        if let Some(stream) = request.stream() {
            return Reply::json(&self.page(request, &stream, paginate));
        }
        let tag = |(id, (name, _)): (&String, &(String, _))| json!({"type": "tag", "id": id, "name": name});
        let segment = |(id, (name, members)): (&String, &(String, BTreeSet<String>))| json!({"type": "segment", "id": id, "name": name, "person_type": "contact", "count": members.len()});
        match request.path() {
            "/me" => Reply::json(&json!({"type": "admin", "id": "1", "app": {"id_code": self.id, "timezone": "Europe/Dublin"}})),
            "/tags" => Reply::json(&json!({"type": "list", "data": self.tags.iter().map(tag).collect::<Vec<_>>()})),
            "/segments" => Reply::json(&json!({"type": "segment.list", "segments": self.segments.iter().map(segment).collect::<Vec<_>>()})),
            "/data_attributes" => {
                let attribute = |name: &String| {
                    json!({"type": "data_attribute", "model": "contact", "name": name, "custom": true,
                    "full_name": format!("custom_attributes.{name}"), "data_type": "string", "archived": false})
                };
                Reply::json(&json!({"type": "list", "data": self.attributes.iter().map(attribute).collect::<Vec<_>>()}))
            }
            other => Reply::text(404, "text/plain", &format!("this test did not expect `{other}`")),
        }
    }

    fn page(&self, request: &Request, stream: &str, paginate: &Arc<Paginate>) -> Value {
        let members = |group: Option<&(String, BTreeSet<String>)>| -> Vec<String> {
            group.map(|(_, members)| members.iter().cloned().collect()).unwrap_or_default()
        };
        let mut ids: Vec<String> = match stream.split_once(':') {
            Some(("tag", id)) => members(self.tags.get(id)),
            Some((_, id)) => members(self.segments.get(id)),
            None if stream == "population" => self.contacts.keys().cloned().collect(),
            None => Vec::new(),
        };
        ids.retain(|id| self.contacts.contains_key(id));
        let (pages, total) = paginate(stream, ids, request.per_page().unwrap() as usize);
        let number: usize = request.cursor().map_or(0, |cursor| cursor.trim_start_matches("after-").parse().unwrap());
        let mut links = json!({"type": "pages", "page": number + 1, "per_page": request.per_page(), "total_pages": pages.len()});
        if number + 1 < pages.len() {
            links["next"] = json!({"page": number + 2, "starting_after": format!("after-{}", number + 1)});
        }
        let key = if stream == "conversations" { "conversations" } else { "data" };
        let mut page = json!({"type": "list", "pages": links});
        page[key] = pages.get(number).into_iter().flatten().map(|id| self.contacts[id].clone()).collect();
        if let Some(total) = total {
            page["total_count"] = total.into();
        }
        page
    }
}
