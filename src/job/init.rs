//! The text of a new job file, from what a workspace has.

use domain::{Group, GroupKind};

use super::census::Count;
use reports::digest::one_line;

/// A group of the workspace that a job could observe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub group: Group,
    /// `None` if the API did not give the count.
    pub members: Option<u64>,
}

impl Choice {
    /// The groups of a kind, as they were counted.
    pub fn all(kind: GroupKind, counts: Vec<Count>) -> Vec<Choice> {
        let choice = |count: Count| Some(Choice { group: Group { kind, id: count.id?, name: count.name }, members: count.count });
        counts.into_iter().filter_map(choice).collect()
    }
}

/// The text of a job file that observes the chosen groups. A group is listed by its ID if its name does not mean this group alone among
/// all groups of the workspace (`all`). Without a time zone, the job uses the workspace's own.
pub fn job_file(name: &str, timezone: Option<&str>, chosen: &[&Choice], all: &[Choice]) -> String {
    let timezone = timezone.map_or_else(
        || "# timezone = \"Europe/Dublin\"     # default: the workspace's own".to_string(),
        |timezone| format!("timezone = {}        # the workspace's own", quoted(timezone)),
    );
    format!(
        "# A month-end job: which groups to observe, and how to look at them. config/default.toml documents every key.\n\
         #   cohorts check --job FILE     what would stop a run\n\
         #   cohorts run --job FILE       the last month that has ended\n\
         \n\
         name = {}\n\
         {timezone}\n\
         \n\
         {}\n\
         {}\n\
         \n\
         population = \"everyone\"          # what the cohorts are compared with: everyone, a group, or cohorts (their union)\n\
         opened_at_least = [1, 5]         # \"opened X conversations in the month\"\n\
         profile = [\"role\", \"country\", \"browser\", \"os\"]   # also custom attributes, as \"custom_attributes.plan\"\n\
         \n\
         # A cohort by behaviour, in every report like the others.\n\
         # [[rules]]\n\
         # name = \"heavy-openers\"\n\
         # where = \"conversations_opened >= 5 AND NOT unsubscribed_from_emails\"\n",
        quoted(name),
        list("tags", GroupKind::Tag, chosen, all),
        list("segments", GroupKind::Segment, chosen, all),
    )
}

/// The list of the chosen groups of a kind: a line each, with the ID and the size.
fn list(key: &str, kind: GroupKind, chosen: &[&Choice], all: &[Choice]) -> String {
    let of_kind: Vec<&&Choice> = chosen.iter().filter(|choice| choice.group.kind == kind).collect();
    if of_kind.is_empty() {
        return format!("{key} = []");
    }
    let lines = of_kind.iter().map(|choice| {
        let Group { id, name, .. } = &choice.group;
        let size = choice.members.map_or(String::new(), |members| format!(", {members} members when this was written"));
        if is_named_by(&choice.group, all) {
            format!("    {}, # id {}{size}\n", quoted(name), one_line(id))
        } else {
            format!("    {}, # {}{size}\n", quoted(&format!("id:{id}")), one_line(name))
        }
    });
    format!("{key} = [\n{}]", lines.collect::<String>())
}

/// Whether the name means this group and no other.
fn is_named_by(group: &Group, all: &[Choice]) -> bool {
    let groups: Vec<Group> = all.iter().map(|choice| choice.group.clone()).collect();
    let name = domain::GroupName::new(group.kind, group.name.as_str());
    super::resolve(&name, &groups, &[]).is_ok_and(|(found, _)| found == *group)
}

/// A text as a TOML string. The escapes of JSON are valid in TOML. TOML also requires an escape for DEL.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(kind: GroupKind, id: &str, name: &str) -> Choice {
        Choice { group: Group { kind, id: id.to_string(), name: name.to_string() }, members: Some(3) }
    }

    #[test]
    fn the_file_names_the_groups_as_a_job_finds_them() {
        let all = [
            choice(GroupKind::Tag, "1", "VIP"),
            choice(GroupKind::Tag, "2", "twice"),
            choice(GroupKind::Tag, "3", "twice"),
            choice(GroupKind::Tag, "4", "a \"b\"\\ \u{7f}\n# c"),
            choice(GroupKind::Segment, "5", "VIP"),
        ];
        let text = job_file("my job", Some("Europe/Dublin"), &all.iter().collect::<Vec<_>>(), &all);
        let tags = "tags = [\n    \"VIP\", # id 1, 3 members when this was written\n    \"id:2\", # twice, 3 members when this was written\n    \
                    \"id:3\", # twice, 3 members when this was written\n    \"a \\\"b\\\"\\\\ \\u007F\\n# c\", # id 4, 3 members when this was \
                    written\n]\n";
        assert!(text.contains(tags), "{text}");
        assert!(text.contains("segments = [\n    \"VIP\", # id 5, 3 members when this was written\n]\n"), "{text}");
        assert!(job_file("j", None, &[], &all).contains("\ntags = []\nsegments = []\n"));
    }
}
