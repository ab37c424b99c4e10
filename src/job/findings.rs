//! Findings of a fetch, for the manifest and the report `data_quality`.

use super::basis_at;
use super::fetch::{Fetched, FetchedStream};
use super::plan::Plan;
use super::scheduler::Witness;
use super::stream::StreamKind;
use crate::settings::Settings;
use archive::snapshot::{Assembly, CohortEntry, Finding, Severity, StreamRecord, Written};
use domain::{Allowed, Basis, MonthSpan, agrees};
use intercom::ConversationTotals;

/// The findings for the manifest of one month.
pub(super) fn of_month(plan: &Plan, fetched: &Fetched, span: &MonthSpan, settings: &Settings) -> Vec<Finding> {
    let of_bounds = plan.scope.findings.iter().filter(|(month, _)| *month == span.month).map(|(_, finding)| finding.clone());
    let late = of_late_facts(fetched, span, settings.job.grace);
    of(plan, fetched, span, settings).into_iter().chain(of_bounds).chain(late).collect()
}

fn of(plan: &Plan, fetched: &Fetched, span: &MonthSpan, settings: &Settings) -> Vec<Finding> {
    let mut findings = plan.findings.clone();
    let tolerance = settings.completeness.tolerance;
    // The stream of everyone has each contact: oddities in the streams of groups would only repeat them.
    let has_everyone = fetched.streams().iter().any(|stream| stream.kind == StreamKind::Everyone);
    for stream in fetched.streams() {
        findings.extend(totals(stream, tolerance));
        let is_fewer = plan.sizes_before.is_fewer_than_before(&stream.key, span.month, stream.part.record.received(), tolerance);
        findings.extend(witnessed(stream, is_fewer, tolerance));
        findings.extend(fall(plan, stream, span, settings));
        let is_repetition = has_everyone && matches!(stream.kind, StreamKind::Members(_));
        findings.extend(oddities(stream).into_iter().filter(|finding| !is_repetition || finding.check_name == "tag_unconfirmed"));
    }
    if let Some(vanished) = fetched.vanished().filter(|vanished| vanished.not_asked > 0) {
        let detail = "members of the last month that are in no list any more and were not asked for, because they are more than \
                      `vanished_max` or the API refused the request: whether they were deleted or merged into another contact is unknown";
        // If the job sets `vanished_max` to 0, it wants no such requests, so this is no warning.
        let finding = if settings.job.vanished_max == 0 { Finding::info } else { Finding::warning };
        findings.push(finding("vanished_not_asked", "contacts", detail).value(vanished.not_asked).expected(0));
    }
    findings.extend(fetched.conversation_totals.and_then(|totals| conversations_behind(totals, tolerance)));
    if fetched.forgotten() > 0 {
        findings.push(Finding::forgotten(fetched.forgotten()));
    }
    findings
}

/// The finding that another source knows more conversations than the one that was read.
fn conversations_behind(totals: ConversationTotals, tolerance: f64) -> Option<Finding> {
    let ConversationTotals { found, known } = totals;
    let detail = "all conversations that the API finds where the month's were read; another of its counts knows more. Some of the month's may be \
                  missing: compare their number in Intercom, and run it again later with --replace if it shows more";
    (found + Allowed::Tolerance(tolerance).of(known) < known)
        .then(|| Finding::warning("conversations_behind", "conversations", detail).value(found).expected(known))
}

/// The finding that cohorts were observed at the month's end, but facts about contacts later.
fn of_late_facts(fetched: &Fetched, span: &MonthSpan, grace: std::time::Duration) -> Option<Finding> {
    let basis = |stream: &&FetchedStream| basis_at(stream.part.record.observed_at, span, grace);
    let contacts: Vec<&FetchedStream> = fetched.streams().iter().filter(|stream| stream.kind != StreamKind::Conversations).collect();
    let (at_end, late): (Vec<&FetchedStream>, Vec<&FetchedStream>) =
        contacts.into_iter().partition(|stream| basis(stream) == Basis::MonthEnd);
    let latest = late.iter().filter(|stream| basis(stream) == Basis::Late).map(|stream| stream.part.record.observed_at).max()?;
    let detail = "cohort members were observed at the month's end, but the contacts' attributes (last seen, unsubscribed, …) at this later \
                  time";
    let finding = Finding::warning("facts_observed_late", "contacts", detail);
    (!at_end.is_empty())
        .then(|| finding.value(latest.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).expected(Basis::MonthEnd.as_str()))
}

/// The findings from assembling the streams.
pub(super) fn of_assembly(assembly: &Assembly, cohorts: &[CohortEntry], written: &Written, tolerance: f64) -> Vec<Finding> {
    let mut findings = reconstructed(assembly, cohorts, written);
    findings.extend(strays(assembly, &written.firsts, Allowed::Tolerance(tolerance)));
    if written.merged_authors > 0 {
        let detail = "conversations whose author is no longer a contact (probably merged into another); they count for the only contact that \
                      takes part in them";
        findings.push(Finding::info("authors_merged", "conversations", detail).value(written.merged_authors).expected(0));
    }
    match written.cut_subscriptions {
        Some(0) => {}
        Some(cut) => {
            let detail = "contacts that were gone when they were asked for all of their subscriptions: only ten of each kind are known";
            findings.push(Finding::info("subscriptions_cut", "subscriptions", detail).value(cut).expected(0));
        }
        None if assembly.subscriptions.is_some() => {
            let detail = "an earlier version of the program fetched some of the contacts, without their subscriptions; the month has none";
            findings.push(Finding::warning("subscriptions_unknown", "subscriptions", detail));
        }
        None => {}
    }
    if written.drifted > 0 {
        let detail = "contacts that changed before a later stream returned them again; the newest record of each is used";
        findings.push(Finding::info("changed_between_lists", "contacts", detail).value(written.drifted).expected(0));
    }
    findings
}

/// Cohorts whose members were reconstructed from the dates of their tags.
fn reconstructed(assembly: &Assembly, cohorts: &[CohortEntry], written: &Written) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, cohort) in assembly.cohorts.iter().enumerate().filter(|(_, cohort)| cohort.tagged_before.is_some()) {
        let observed = cohorts.get(index).map_or(0, |entry| entry.members);
        let detail = "a lower bound: contacts with the tag now to whom it was applied before the month's end; contacts that were \
                      untagged since then are unknown";
        findings.push(Finding::warning("reconstructed", &cohort.key, detail).value(written.members[index]).expected(observed));
        if written.undated[index] > 0 {
            let detail = "contacts with the tag but without a date for it; they are left out";
            findings.push(Finding::warning("tag_date_missing", &cohort.key, detail).value(written.undated[index]).expected(0));
        }
    }
    findings
}

fn strays(assembly: &Assembly, firsts: &[u64], allowed: Allowed) -> Vec<Finding> {
    // If everyone is the population and its stream is complete, a contact that only a group has was created or deleted while the
    // job ran. If the stream of everyone is incomplete, such contacts are its missing rows.
    let is_whole = assembly.streams.first().is_some_and(|everyone| everyone.record.is_complete);
    let has_everyone = assembly.population.is_none() && is_whole && firsts.len() > assembly.cohorts.len();
    let strays: u64 = firsts.iter().skip(1).sum();
    if !has_everyone || strays == 0 {
        return Vec::new();
    }
    // A few such contacts are normal. If there are many, either everyone or a group's stream is out of date, and it is unknown which.
    let (severity, detail) = if strays > allowed.of(firsts[0]) {
        let detail = "contacts that a group has and everyone has not, too many to be created or deleted while the job ran: one of the two \
                      is out of date; compare their sizes in Intercom, and run it again with --replace if they differ from these";
        (Severity::Warning, detail)
    } else {
        (Severity::Info, "contacts that a group has and everyone has not: they were created or deleted while the job ran")
    };
    vec![Finding::new(severity, "contacts_only_in_groups", "contacts", detail).value(strays).expected(0)]
}

fn totals(stream: &FetchedStream, tolerance: f64) -> Vec<Finding> {
    let record = &stream.part.record;
    let came = record.received();
    let finding = |severity, check_name: &str, detail: &str| Finding::new(severity, check_name, &stream.key, detail);
    let mut findings = Vec::new();
    match record.last_total {
        // The failure is reported below.
        None if stream.failure.is_some() => {}
        None => {
            let detail = "the API announced no total, so nothing proves that every row came";
            findings.push(finding(Severity::Warning, "no_announced_total", detail).value(came).expected("a total"));
        }
        // If own lists contradicted the search and the members were derived, `witnessed` reports this.
        Some(_) if record.searched.is_some() => {}
        Some(total) if total != came && record.is_complete => {
            let is_between = agrees(came, record.first_total, record.last_total, Allowed::Nothing);
            let detail = if is_between {
                "the number of rows is between the totals announced before and after: the stream changed while it was read"
            } else {
                "the number of rows differs from the announced total, within the tolerance"
            };
            findings.push(finding(Severity::Info, "announced_total", detail).value(came).expected(total));
        }
        Some(_) => {}
    }
    if let Some(failure) = &stream.failure {
        let detail = format!("{}; published because of --accept-incomplete: {failure}", unfinished(record));
        let expected = record.last_total.map_or("a total".to_string(), |total| total.to_string());
        findings.push(finding(Severity::Error, "walk_not_finished", &detail).value(came).expected(expected));
    } else if !record.is_complete {
        let shortfall = stream.shortfall(tolerance);
        let detail = format!("after two readings {} {}; published because of --accept-incomplete", shortfall.expected, shortfall.source);
        findings.push(finding(Severity::Error, "announced_total", &detail).value(came).expected(shortfall.expected));
    }
    if let Some(listed) = stream.listed.filter(|listed| *listed != came && record.is_complete) {
        let (severity, detail) = match stream.witness {
            Some(witness @ Witness::Listing(_)) if witness.contradicts(came, tolerance) => {
                let detail = "members in two readings; the listing of segments has another count. Either may be out of date: compare the \
                              segment in Intercom, and run it again with --replace if it differs from this";
                (Severity::Warning, detail)
            }
            _ => (Severity::Info, "the number of members that were fetched; the API's list of segments gives another number (`expected`)"),
        };
        findings.push(finding(severity, "listed_count", detail).value(came).expected(listed));
    }
    if record.repeated > 0 {
        let detail = "rows that came more than once, because the stream shifted while it was read; each is counted once";
        findings.push(finding(Severity::Info, "repeated_rows", detail).value(record.repeated).expected(0));
    }
    if record.renewed > 0 {
        let detail = "rows that changed before they came again; the newest record of each is used";
        findings.push(finding(Severity::Info, "changed_while_read", detail).value(record.renewed).expected(0));
    }
    findings
}

/// Compares a group that was searched for with the contacts' own lists.
fn witnessed(stream: &FetchedStream, is_fewer: bool, tolerance: f64) -> Option<Finding> {
    let record = &stream.part.record;
    let Some(Witness::OwnLists(comparison)) = stream.witness else { return None };
    let differing = format!(
        "{} contacts have the group in their own list, but the search did not return them; the search returned {} contacts that do not have the \
         group in their own list",
        comparison.missing, comparison.unconfirmed
    );
    if let Some(searched) = record.searched {
        let detail = format!(
            "in two readings the search for the group differed from the contacts' own lists, although its total agreed with it; the \
             members are the contacts whose own list has the group ({differing})"
        );
        return Some(Finding::warning("search_behind", &stream.key, detail).value(record.received()).expected(searched));
    }
    if is_fewer && record.is_complete && stream.witness.is_some_and(|witness| !witness.can_confirm(record.received(), tolerance)) {
        let detail = "contacts with truncated lists of tags that the search did not return and whose tags were not, or could not be, \
                      requested: only the search says that they are not members";
        return Some(Finding::warning("own_lists_cut_short", &stream.key, detail).value(comparison.unknown_missing).expected(0));
    }
    let is_within = comparison.differing() > 0 && !stream.witness.is_some_and(|witness| witness.contradicts(record.received(), tolerance));
    is_within.then(|| {
        let detail = format!("contacts whose own list of groups differs from the search, within the tolerance: {differing}");
        Finding::info("own_lists", &stream.key, detail).value(comparison.differing()).expected(0)
    })
}

/// A fall by more than half is reported only if more than this number of members were lost.
const FALL_MIN: u64 = 5;

/// The finding that a group, or everyone, has less than half of its earlier size, and no second source confirms this.
fn fall(plan: &Plan, stream: &FetchedStream, span: &MonthSpan, settings: &Settings) -> Option<Finding> {
    let (grace, tolerance) = (settings.job.grace, settings.completeness.tolerance);
    let record = &stream.part.record;
    let is_month_end = basis_at(record.observed_at, span, grace) == Basis::MonthEnd;
    let is_confirmed = stream.witness.is_some_and(|witness| witness.can_confirm(record.received(), tolerance));
    if !record.is_complete || is_confirmed || !is_month_end {
        return None;
    }
    let (month, before) = plan.sizes_before.before(&stream.key, span.month)?;
    let came = record.rows;
    let again = "if Intercom shows more, run the month again with --replace";
    let compare = match stream.kind {
        StreamKind::Members(_) => "open the group in Intercom and compare its size with this count",
        StreamKind::Everyone | StreamKind::Conversations => "compare the number in Intercom with this count",
    };
    let detail = format!("less than half of the size in {month}, and no second source confirms it: {compare}; {again}");
    (came.saturating_mul(2) < before && before - came > FALL_MIN)
        .then(|| Finding::warning("fell_by_half", &stream.key, detail).value(came).expected(before))
}

fn unfinished(record: &StreamRecord) -> &'static str {
    if record.pages == 0 { "no page came" } else { "the stream was not read to its end" }
}

fn oddities(stream: &FetchedStream) -> Vec<Finding> {
    let counts = &stream.part.record.oddities;
    let what = if stream.kind == StreamKind::Conversations { "conversations" } else { "contacts" };
    let reported =
        ODDITIES.iter().filter_map(|(severity, check_name, detail)| Some((severity, check_name, counts.get(*check_name)?, detail)));
    reported
        .map(|(severity, check_name, count, detail)| {
            Finding::new(*severity, check_name, &stream.key, format!("{detail} ({what})")).value(count).expected(0)
        })
        .collect()
}

/// The severity and the meaning of each of `Oddities::counts`.
const ODDITIES: &[(Severity, &str, &str)] = &[
    (Severity::Warning, "dates_unreadable", "dates that cannot be read; they are null"),
    (Severity::Info, "dates_of_other_form", "dates in milliseconds or as text, read as what they mean"),
    (Severity::Info, "dates_before_1970", "dates before 1970, kept as they are"),
    (
        Severity::Warning,
        "roles_unknown",
        "contacts that are neither user nor lead; they count as users if they have an external id, otherwise as leads",
    ),
    (Severity::Warning, "tag_unconfirmed", "contacts that the search returned for the tag although it is not in their own list of tags"),
    (Severity::Warning, "fields_mistyped", "fields of another type than documented; they are null"),
    (
        Severity::Warning,
        "texts_repaired",
        "texts with invalid UTF-8, half a surrogate pair, control characters or unknown escapes; each is replaced by U+FFFD",
    ),
    (Severity::Warning, "nested_too_deep", "custom attributes with more than 100 levels of lists and objects; they are null"),
    (
        Severity::Info,
        "without_author",
        "conversations without an author, made by a bot, a workflow or an import; they are not counted for any contact",
    ),
    (Severity::Warning, "openers_unknown", "conversations that a user or lead began, but the API does not say which"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Oddities;

    #[test]
    fn every_oddity_is_reported() {
        for (name, _) in Oddities::default().counts() {
            assert!(ODDITIES.iter().any(|(_, check_name, _)| *check_name == name), "{name}");
        }
    }
}
