//! Counts of a workspace: its groups with their sizes, its contacts, companies and conversations. Only counts are fetched.

use std::collections::HashMap;

use futures_util::future::try_join_all;

use domain::{Group, GroupKind};
use intercom::{Client, Counted, ListedGroup, RequestError};

/// One count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The ID of the group; `None` if this is not the count of a group.
    pub id: Option<String>,
    pub name: String,
    /// `None` if the API did not give the count.
    pub count: Option<u64>,
}

/// What to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Users, leads, companies, tags and segments.
    Everything,
    Total(Counted),
    By(Counted, GroupKind),
}

/// Reports progress: groups done, groups in total.
pub type OnProgress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Takes the counts. `None` if this API version does not have them.
pub async fn take(client: &Client, question: Question, on_progress: OnProgress<'_>) -> Result<Option<Vec<Count>>, RequestError> {
    match question {
        Question::Everything => everything(client).await.map(Some),
        Question::Total(Counted::Conversations) => Ok(Some(named(client.conversation_states().await?))),
        Question::Total(of) => {
            let totals = client.totals().await?;
            Ok(Some(named(match of {
                Counted::Companies => vec![("companies", totals.companies)],
                Counted::People | Counted::Conversations => vec![("users", totals.users), ("leads", totals.leads)],
            })))
        }
        Question::By(of, kind) => {
            let Some(groups) = client.groups(of, kind).await? else { return Ok(None) };
            Ok(Some(sizes(client, of, kind, groups, on_progress).await?))
        }
    }
}

async fn everything(client: &Client) -> Result<Vec<Count>, RequestError> {
    let (totals, tags, segments) = futures_util::try_join!(client.totals(), client.tags(), client.segments())?;
    Ok(named(vec![
        ("users", totals.users),
        ("leads", totals.leads),
        ("companies", totals.companies),
        ("tags", Some(tags.len() as u64)),
        ("segments", Some(segments.len() as u64)),
    ]))
}

fn named(counts: Vec<(&str, Option<u64>)>) -> Vec<Count> {
    counts.into_iter().map(|(name, count)| Count { id: None, name: name.to_string(), count }).collect()
}

/// The sizes of groups, from the source that needs the fewest requests: from the listing itself, else from the sizes by name if a
/// name means one group, else by one request for each group, side by side.
async fn sizes(
    client: &Client,
    of: Counted,
    kind: GroupKind,
    groups: Vec<ListedGroup>,
    on_progress: OnProgress<'_>,
) -> Result<Vec<Count>, RequestError> {
    // The counts in the listing of tags are numbers of contacts. They do not answer how many companies have a tag.
    let listed = |listed: &ListedGroup| listed.count.filter(|_| of == Counted::People || kind == GroupKind::Segment);
    let is_sized = groups.iter().all(|group| listed(group).is_some());
    let by_name = if is_sized { None } else { client.sizes_by_name(of, kind).await? };
    let by_name = unambiguous(&groups, by_name.unwrap_or_default());
    let known = |group: &ListedGroup| listed(group).or_else(|| by_name.get(group.group.name.as_str()).copied());
    let unknown = groups.iter().filter(|group| known(group).is_none()).count();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let counts = groups.iter().map(|group| {
        let (known, done) = (known(group), &done);
        async move {
            let count = match known {
                Some(count) => Some(count),
                None => {
                    let count = client.size(of, &group.group).await?;
                    on_progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, unknown);
                    count
                }
            };
            let Group { id, name, .. } = group.group.clone();
            Ok(Count { id: Some(id), name, count })
        }
    });
    try_join_all(counts).await
}

/// The sizes whose name came only once and belongs to only one listed group. The API also gives the sizes of archived groups, and
/// an archived group may have the same name.
fn unambiguous(groups: &[ListedGroup], sizes: Vec<(String, u64)>) -> HashMap<String, u64> {
    let mut by_name: HashMap<String, (u64, u32)> = HashMap::new();
    for (name, size) in sizes {
        by_name.entry(name).or_insert((size, 0)).1 += 1;
    }
    let mut listed: HashMap<&str, u32> = HashMap::new();
    for group in groups {
        *listed.entry(&group.group.name).or_default() += 1;
    }
    by_name.retain(|name, (_, times)| *times == 1 && listed.get(name.as_str()) == Some(&1));
    by_name.into_iter().map(|(name, (size, _))| (name, size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_two_groups_gives_the_size_of_neither() {
        let group = |id: &str, name: &str| ListedGroup {
            group: Group { kind: GroupKind::Tag, id: id.to_string(), name: name.to_string() },
            count: None,
            created_at: None,
            updated_at: None,
        };
        let groups = [group("1", "once"), group("2", "twice listed"), group("3", "twice listed"), group("4", "sent twice")];
        let sizes = [("once", 5), ("twice listed", 6), ("sent twice", 7), ("sent twice", 8), ("archived", 9)];
        let sizes = sizes.map(|(name, size)| (name.to_string(), size)).into();
        assert_eq!(unambiguous(&groups, sizes), HashMap::from([("once".to_string(), 5)]));
    }
}
