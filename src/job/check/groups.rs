//! Checks of the job's groups and the attributes of its profile: whether a run would find them, and their sizes.

use futures_util::future::join_all;

use super::api::Answers;
use super::{ARCHIVED_HINT, Finding, Trouble};
use crate::settings::{Job, Missing, Population};
use crate::subscriptions::unknown_subscriptions;
use crate::{PriorMonth, Unresolved, Why, resolve, similar_attribute, unknown_attributes};
use archive::snapshot::CohortEntry;
use domain::{Group, GroupKind, GroupName, are_alike};
use intercom::{Client, Counted, RequestError};

/// A group as a run would find it.
struct Found {
    group: Group,
    size: Option<u64>,
}

/// Looks up every group as a run does. Returns the number of rows that a run would fetch, without the groups that are not found;
/// `None` if unknown.
pub(super) async fn check(
    client: &Client,
    job: &Job,
    answers: &Answers,
    prior_month: &PriorMonth,
    findings: &mut Vec<Finding>,
) -> Option<u64> {
    let population = match &job.population {
        Population::Group(name) => Some(name),
        Population::Everyone | Population::Cohorts => None,
    };
    let mut found: Vec<Found> = Vec::new();
    let mut cohorts: Vec<usize> = Vec::new();
    let mut are_listed = true;
    // The groups are reported in the order of the job file. Their sizes are requested later, side by side.
    let mut lines: Vec<Line> = Vec::new();
    for (name, is_population) in population.into_iter().map(|name| (name, true)).chain(job.groups.iter().map(|name| (name, false))) {
        let subject = if is_population { format!("population: {name}") } else { name.to_string() };
        let Some(listed) = answers.listed(name.kind) else {
            are_listed = false;
            lines.push(Line::Finding(Finding::noted(subject, format!("not checked: the {}s could not be listed", name.kind))));
            continue;
        };
        let existing: Vec<Group> = listed.iter().map(|listed| listed.group.clone()).collect();
        match resolve(name, &existing, &prior_month.cohorts) {
            Ok((group, was_renamed)) => {
                let number = match found.iter().position(|found| found.group == group) {
                    Some(number) => number,
                    None => {
                        let size = listed.iter().find(|listed| listed.group == group).and_then(|listed| listed.count);
                        found.push(Found { group, size });
                        found.len() - 1
                    }
                };
                // A group that is also the population is not a repetition: only a second cohort of the same group is.
                let is_again = !is_population && cohorts.contains(&number);
                if !is_population {
                    cohorts.push(number);
                }
                lines.push(Line::Sized { subject, number, was_renamed, is_again });
            }
            Err(unresolved) => lines.push(Line::Unresolved { subject, unresolved, is_population }),
        }
    }
    // A run publishes the groups that exist, unless the job says otherwise or there are none.
    let goes_on = job.missing == Missing::Report && !cohorts.is_empty();
    let sizes = join_all(found.iter().map(|found| size(client, found, answers.contacts.is_ok()))).await;
    for line in lines {
        findings.push(match line {
            Line::Finding(finding) => finding,
            Line::Sized { subject, number, was_renamed, is_again } => {
                sized(subject, &found[number].group, &sizes[number], was_renamed, is_again)
            }
            Line::Unresolved { subject, unresolved, is_population } => match why(client, unresolved, prior_month).await {
                trouble @ Trouble::Archived { .. } if !is_population && goes_on => {
                    Finding::warning(subject, format!("{trouble}; the run ends with exit code 4"), Some(ARCHIVED_HINT))
                }
                trouble => Finding::error(subject, trouble),
            },
        });
    }
    let sizes: Vec<Option<u64>> = sizes.into_iter().map(|size| size.unwrap_or(None)).collect();
    let contacts = if job.population == Population::Everyone { answers.contacts.clone().unwrap_or(None) } else { Some(0) };
    // 1.x does not count the conversations of a month. They are few compared with the contacts.
    let conversations = answers.conversations.clone().and_then(Result::ok).flatten().unwrap_or(0);
    // Totals come from a server: their sum must not overflow.
    let rows = sizes.into_iter().chain([contacts]).try_fold(conversations, |rows: u64, more| Some(rows.saturating_add(more?)));
    rows.filter(|_| are_listed)
}

/// A line about a group of the job.
enum Line {
    Finding(Finding),
    Sized { subject: String, number: usize, was_renamed: bool, is_again: bool },
    Unresolved { subject: String, unresolved: Unresolved, is_population: bool },
}

/// The size of a group. If contacts cannot be read, it is not requested, so that the missing permission is reported only once.
async fn size(client: &Client, found: &Found, may_read_contacts: bool) -> Result<Option<u64>, RequestError> {
    match found.size {
        None if may_read_contacts => client.member_count(&found.group, None).await,
        size => Ok(size),
    }
}

fn sized(subject: String, group: &Group, size: &Result<Option<u64>, RequestError>, was_renamed: bool, is_again: bool) -> Finding {
    let size = match size {
        Ok(size) => *size,
        Err(error) => return Finding::error(subject, error.clone()),
    };
    let members = size.map_or("unknown number of members".to_string(), |size| format!("{size} members"));
    let what = format!("`{}`, id:{}, {members}", group.name, group.id);
    if is_again {
        let hint = "remove one of the names from the job file";
        Finding::warning(subject, format!("{what}; the job names it twice, and it is fetched once"), Some(hint))
    } else if was_renamed {
        let hint = "correct the name in the job file, or use its ID";
        Finding::warning(subject, format!("{what}; it was renamed; it was found by the ID that an earlier month has for it"), Some(hint))
    } else if size == Some(0) {
        Finding::warning(subject, format!("{what}: it is empty"), Some("is this the right group?"))
    } else {
        Finding::fine(subject, what)
    }
}

/// Why a group is not found. The API does not list archived groups, although they exist.
///
/// A run leaves out an archived group, as if it had never existed. But a person archived it, and a person can restore it.
async fn why(client: &Client, unresolved: Unresolved, prior_month: &PriorMonth) -> Trouble {
    let name = &unresolved.name;
    if !matches!(unresolved.why, Why::NotFound { .. }) {
        return Trouble::Unresolved(unresolved);
    }
    for id in possible_ids(name, prior_month) {
        // If this request fails too, the result stays that the group is not listed.
        if let Ok(Some(group)) = client.group(name.kind, &id).await {
            return Trouble::Archived { name: name.clone(), group: Some(group) };
        }
    }
    // 1.x counts archived groups too, by name.
    if let Ok(Some(counted)) = client.sizes_by_name(Counted::People, name.kind).await
        && counted.iter().any(|(counted, _)| *counted == name.text || are_alike(counted, &name.text))
    {
        return Trouble::Archived { name: name.clone(), group: None };
    }
    Trouble::Unresolved(unresolved)
}

/// The possible IDs of a name that is not listed.
fn possible_ids(name: &GroupName, prior_month: &PriorMonth) -> Vec<String> {
    let text = name.text.trim();
    let prefix = format!("{}:", name.kind);
    let written = text.strip_prefix("id:").or_else(|| text.strip_prefix(prefix.as_str())).map(str::trim);
    let looks_like_an_id = match name.kind {
        GroupKind::Tag => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
        GroupKind::Segment => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
    };
    let of_a_month = CohortEntry::named(&prior_month.cohorts, name).map(|cohort| cohort.kind_and_id().1);
    let ids = [written, looks_like_an_id.then_some(text), of_a_month];
    ids.into_iter().flatten().map(str::to_string).collect()
}

pub(super) fn check_profile(job: &Job, answers: &Answers, findings: &mut Vec<Finding>) {
    let existing = match &answers.attributes {
        None => return,
        Some(Ok(Some(existing))) => existing,
        Some(Ok(None)) => {
            findings.push(Finding::noted("profile", "custom attributes not checked: this version of the API does not list them"));
            return;
        }
        Some(Err(error)) => {
            let what = format!("custom attributes not checked, since they could not be listed: {error}");
            findings.push(Finding::warning(
                "profile",
                what,
                Some("a run continues, and does not check the names of the profile's custom attributes"),
            ));
            return;
        }
    };
    let unknown = unknown_attributes(job, existing);
    if unknown.is_empty() {
        findings.push(Finding::fine("profile", "the workspace has all its custom attributes"));
    }
    for name in unknown {
        let meant = similar_attribute(name, existing);
        let what = format!("the workspace does not have this attribute; a run reports no value of it{meant}");
        findings.push(Finding::warning(format!("profile: custom_attributes.{name}"), what, Some("correct its name under `profile`")));
    }
}

/// Checks the types of subscriptions that rules name.
pub(super) fn check_subscriptions(job: &Job, answers: &Answers, findings: &mut Vec<Finding>) {
    match &answers.subscription_types {
        // If the API has no types of subscriptions, the settings refuse rules that name one.
        None | Some(Ok(None)) => {}
        Some(Ok(Some(types))) => {
            let unknown = unknown_subscriptions(job, types);
            if unknown.is_empty() {
                findings.push(Finding::fine("rules", "the workspace has all their subscriptions"));
            }
            for (rule, problem) in unknown {
                findings.push(Finding::warning(format!("rule `{rule}`"), problem, Some("correct the name in the rule's `where`")));
            }
        }
        Some(Err(error)) => {
            let what = format!("the subscriptions that they name are not checked, since the types could not be listed: {error}");
            findings.push(Finding::warning("rules", what, Some("a run continues, and reports IDs in place of names")));
        }
    }
}
