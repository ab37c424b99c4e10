//! What a fetch noticed, as the manifest keeps it and `data_quality` reports it.

use super::basis_at;
use super::fetch::{Fetched, FetchedWalk};
use super::plan::{Plan, WalkKind};
use crate::domain::{Allowed, Basis, MonthSpan, agrees};
use crate::snapshot::{Assembly, CohortEntry, Finding, Severity, WalkRecord, Written};

/// What the manifest of one month keeps.
pub(super) fn of_month(plan: &Plan, fetched: &Fetched, span: &MonthSpan, grace: std::time::Duration) -> Vec<Finding> {
    let of_bounds = plan.scope.findings.iter().filter(|(month, _)| *month == span.month).map(|(_, finding)| finding.clone());
    of(plan, fetched).into_iter().chain(of_bounds).chain(of_late_facts(fetched, span, grace)).collect()
}

fn of(plan: &Plan, fetched: &Fetched) -> Vec<Finding> {
    let mut findings = plan.findings.clone();
    // The walk of everyone has each contact: counting what is odd about it in its groups' walks too would only repeat it.
    let has_everyone = fetched.walks().iter().any(|walk| walk.kind == WalkKind::Everyone);
    for walk in fetched.walks() {
        findings.extend(totals(walk));
        let is_repetition = has_everyone && matches!(walk.kind, WalkKind::Members(_));
        findings.extend(oddities(walk).into_iter().filter(|finding| !is_repetition || finding.check_name == "tag_unconfirmed"));
    }
    if fetched.forgotten() > 0 {
        findings.push(Finding::forgotten(fetched.forgotten()));
    }
    findings
}

/// Cohorts that were observed at the month's end, and contacts whose facts are of later.
fn of_late_facts(fetched: &Fetched, span: &MonthSpan, grace: std::time::Duration) -> Option<Finding> {
    let basis = |walk: &&FetchedWalk| basis_at(walk.part.record.observed_at, span, grace);
    let contacts: Vec<&FetchedWalk> = fetched.walks().iter().filter(|walk| walk.kind != WalkKind::Conversations).collect();
    let (at_end, late): (Vec<&FetchedWalk>, Vec<&FetchedWalk>) = contacts.into_iter().partition(|walk| basis(walk) == Basis::MonthEnd);
    let latest = late.iter().filter(|walk| basis(walk) == Basis::Late).map(|walk| walk.part.record.observed_at).max()?;
    (!at_end.is_empty()).then(|| Finding {
        severity: Severity::Warning,
        check_name: "facts_observed_late".to_string(),
        subject: "contacts".to_string(),
        value: Some(latest.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        expected: Some(Basis::MonthEnd.as_str().to_string()),
        detail: "who was in the cohorts was observed at the month's end; what is known of the contacts (last seen, unsubscribed, …) is of \
                 this later instant"
            .to_string(),
    })
}

/// What became clear when the walks were put together.
pub(super) fn of_assembly(assembly: &Assembly, cohorts: &[CohortEntry], written: &Written) -> Vec<Finding> {
    let mut findings = reconstructed(assembly, cohorts, written);
    findings.extend(strays(assembly, &written.firsts));
    if written.drifted > 0 {
        findings.push(Finding {
            severity: Severity::Info,
            check_name: "changed_between_lists".to_string(),
            subject: "contacts".to_string(),
            value: Some(written.drifted.to_string()),
            expected: Some("0".to_string()),
            detail: "contacts that had been changed when a later list gave them; the newest record of each counts".to_string(),
        });
    }
    findings
}

/// Cohorts whose members were worked out from the dates of their tags.
fn reconstructed(assembly: &Assembly, cohorts: &[CohortEntry], written: &Written) -> Vec<Finding> {
    let finding = |severity, check_name: &str, subject: &str, value: u64, expected: u64, detail: &str| Finding {
        severity,
        check_name: check_name.to_string(),
        subject: subject.to_string(),
        value: Some(value.to_string()),
        expected: Some(expected.to_string()),
        detail: detail.to_string(),
    };
    let mut findings = Vec::new();
    for (index, cohort) in assembly.cohorts.iter().enumerate().filter(|(_, cohort)| cohort.tagged_before.is_some()) {
        let observed = cohorts.get(index).map_or(0, |entry| entry.members);
        let detail = "a lower bound: of those who hold the tag now, the ones to whom it was applied before the month's end; who was \
                      untagged since cannot be known";
        findings.push(finding(Severity::Warning, "reconstructed", &cohort.key, written.members[index], observed, detail));
        if written.undated[index] > 0 {
            let detail = "holders of the tag without a date; they are left out";
            findings.push(finding(Severity::Warning, "tag_date_missing", &cohort.key, written.undated[index], 0, detail));
        }
    }
    findings
}

fn strays(assembly: &Assembly, firsts: &[u64]) -> Vec<Finding> {
    // With everyone as the population, a contact that only a group's walk saw came or went while the job worked.
    // If all of it came: else this is what is missing of it.
    let is_whole = assembly.walks.first().is_some_and(|everyone| everyone.record.is_complete);
    let has_everyone = assembly.population.is_none() && is_whole && firsts.len() > assembly.cohorts.len();
    let strays: u64 = firsts.iter().skip(1).sum();
    if !has_everyone || strays == 0 {
        return Vec::new();
    }
    vec![Finding {
        severity: Severity::Info,
        check_name: "contacts_only_in_groups".to_string(),
        subject: "contacts".to_string(),
        value: Some(strays.to_string()),
        expected: Some("0".to_string()),
        detail: "contacts that a group held but the list of everyone did not: they came or went while the job worked".to_string(),
    }]
}

fn totals(walk: &FetchedWalk) -> Vec<Finding> {
    let record = &walk.part.record;
    let came = record.came();
    let finding = |severity, check_name: &str, value: u64, expected: String, detail: &str| Finding {
        severity,
        check_name: check_name.to_string(),
        subject: walk.key.clone(),
        value: Some(value.to_string()),
        expected: Some(expected),
        detail: detail.to_string(),
    };
    let mut findings = Vec::new();
    match record.last_total {
        // Nothing came: that is told below.
        None if walk.failure.is_some() => {}
        None => {
            let detail = "the API announced no total: that every row came cannot be proved";
            findings.push(finding(Severity::Warning, "no_announced_total", came, "a total".to_string(), detail));
        }
        Some(total) if total != came && record.is_complete => {
            let is_between = agrees(came, record.first_total, record.last_total, Allowed::Nothing);
            let detail = if is_between {
                "what came lies between the totals announced before and after: the list changed while it was read"
            } else {
                "what came differs from the announced total, within the tolerance"
            };
            findings.push(finding(Severity::Info, "announced_total", came, total.to_string(), detail));
        }
        Some(_) => {}
    }
    if let Some(failure) = &walk.failure {
        let detail = format!("{}; published because of --accept-incomplete: {failure}", unfinished(record));
        let expected = record.last_total.map_or("a total".to_string(), |total| total.to_string());
        findings.push(finding(Severity::Error, "walk_not_finished", came, expected, &detail));
    } else if !record.is_complete {
        let detail = "what came differs from the announced totals after two walks; published because of --accept-incomplete";
        let expected = record.last_total.max(record.first_total).max(walk.listed).unwrap_or_default();
        findings.push(finding(Severity::Error, "announced_total", came, expected.to_string(), detail));
    }
    if let Some(listed) = walk.listed.filter(|listed| *listed != came) {
        let detail = "members that came; the listing of segments gives another count";
        findings.push(finding(Severity::Info, "listed_count", came, listed.to_string(), detail));
    }
    if record.repeated > 0 {
        let detail = "rows that came more than once, because the list shifted while it was walked; each is counted once";
        findings.push(finding(Severity::Info, "repeated_rows", record.repeated, "0".to_string(), detail));
    }
    if record.renewed > 0 {
        let detail = "rows that had been changed when they came again; the newest record of each counts";
        findings.push(finding(Severity::Info, "changed_while_read", record.renewed, "0".to_string(), detail));
    }
    findings
}

fn unfinished(record: &WalkRecord) -> &'static str {
    if record.pages == 0 { "nothing of it came" } else { "the list was not read to its end" }
}

fn oddities(walk: &FetchedWalk) -> Vec<Finding> {
    let counts = &walk.part.record.oddities;
    let what = if walk.kind == WalkKind::Conversations { "conversations" } else { "contacts" };
    let told = ODDITIES.iter().filter_map(|(severity, check_name, detail)| Some((severity, check_name, counts.get(*check_name)?, detail)));
    told.map(|(severity, check_name, count, detail)| Finding {
        severity: *severity,
        check_name: check_name.to_string(),
        subject: walk.key.clone(),
        value: Some(count.to_string()),
        expected: Some("0".to_string()),
        detail: format!("{detail} ({what})"),
    })
    .collect()
}

/// What each of `Oddities::counts` means to a reader of the reports.
const ODDITIES: &[(Severity, &str, &str)] = &[
    (Severity::Warning, "dates_unreadable", "dates that no instant can be made from; they are null"),
    (Severity::Info, "dates_of_other_form", "dates in milliseconds or as text, read as what they mean"),
    (Severity::Info, "dates_before_1970", "dates before 1970, kept as they are"),
    (Severity::Warning, "roles_unknown", "contacts that are neither user nor lead; a user when it has an external id, else a lead"),
    (Severity::Warning, "tag_unconfirmed", "contacts that the search gave for the tag although their own list of tags lacks it"),
    (Severity::Warning, "fields_mistyped", "fields of another type than documented, taken as null"),
    (Severity::Warning, "openers_unknown", "conversations that a user or lead began, but the API does not say who"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Oddities;

    #[test]
    fn every_oddity_is_told() {
        for (name, _) in Oddities::default().counts() {
            assert!(ODDITIES.iter().any(|(_, told, _)| *told == name), "{name}");
        }
    }
}
