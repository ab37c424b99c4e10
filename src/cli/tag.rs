//! `tag` and `untag`: change contacts, companies and conversations in bulk, from flags or a file, and show the result for each.

use std::fs::File;
use std::io;
use std::path::Path;

use comfy_table::Cell;
use serde::Serialize;
use serde_json::Value;

use super::arguments::Tagging;
use super::failure::Failure;
use super::progress::Progress;
use super::signals::interrupted;
use super::summary::{drawn, trimmed};
use super::{run, stdout};
use domain::{Group, GroupKind, GroupName, MakeReference, Reference, unseen_difference};
use intercom::{Change, Client, TagCall};
use job::tagging::{self, Done, InputError, Item, ItemResult, Outcome, Stopped, Target};
use job::{self, Why};
use reports::digest::{grouped, one_line};

/// The number of lines of a table that are drawn together.
const PAGE_ROWS: usize = 1_000;
/// The number of characters of an input that a table shows. JSON has all of them.
const GIVEN_SHOWN: usize = 80;

pub(super) async fn run(arguments: &Tagging, change: Change, progress: &Progress) -> Result<u8, Failure> {
    let settings = run::load(&arguments.workspace.sources())?;
    let items = items(arguments)?;
    if items.is_empty() && change == Change::Untag {
        return Err(Failure::usage(
            "no contact, company or conversation is named",
            "name them with --id, --user-id, --email, --company-id, --conversation-id or --from FILE.csv",
        ));
    }
    let has_conversations = items.iter().any(|item| matches!(item.given, Ok(Reference::ConversationId(_))));
    if has_conversations && !settings.intercom.capabilities().tags_conversations {
        return Err(Failure::usage(
            format!("API version {} cannot tag conversations; 2.0 and later can", settings.intercom.api_version),
            "set `intercom.api_version` to 2.0 or later, or leave the conversations out",
        ));
    }
    if !has_conversations && arguments.admin_id.is_some() {
        return Err(Failure::usage(
            "--admin-id is given, and no conversation",
            "only conversations are tagged in the name of an admin: leave --admin-id out",
        ));
    }
    let client = run::client(&settings)?;
    let on_progress = |what: &str, done: usize, all: usize| progress.count(what, done as u64, all as u64);
    let prepared = async {
        let admin_id = if has_conversations { Some(admin_id(&client, arguments).await?) } else { None };
        let target = target(&client, &arguments.name, change).await?;
        Ok::<_, Failure>(tagging::prepare(&client, target, change, items, admin_id, &on_progress).await?)
    };
    let work = tokio::select! {
        work = prepared => work?,
        () = interrupted() => return Err(Failure::interrupted_change("nothing was changed yet")),
    };
    if arguments.dry_run {
        progress.finish();
        let (new_tag, calls) = (work.new_tag().map(str::to_string), work.calls(&client));
        let done = work.planned();
        stdout::print(&if arguments.json { plan_as_json(new_tag, &calls, &done) } else { plan_as_text(new_tag, &calls, &done, change) })?;
        let is_fine = |outcome: &Outcome| is_open(outcome) || outcome.result.is_done();
        return verdict(
            &done,
            is_fine,
            "cannot be done",
            "correct these rows, or keep them as they are: the other rows are changed in both cases",
        );
    }
    let done = work.carry_out(&client, &on_progress, interrupted()).await.map_err(Failure::not_made)?;
    progress.finish();
    if let (true, Some(tag)) = (done.is_new, &done.tag) {
        tracing::warn!("the tag `{}` did not exist; it was created with the ID {}", one_line(&tag.name), tag.id);
    }
    let printed = stdout::print(&if arguments.json { as_json(&done) } else { as_text(&done) });
    printed.map_err(|failure| failure.but("the changes were made; only the list of results could not be printed"))?;
    match &done.stopped {
        Some(Stopped::Failed(error)) => return Err(Failure::stopped(error.clone())),
        Some(Stopped::OtherTag(id)) => return Err(Failure::other_tag(id)),
        Some(Stopped::Interrupted) => {
            return Err(Failure::interrupted_change("completed rows are listed above; run it again to continue: they are skipped"));
        }
        None => {}
    }
    let is_fine = |outcome: &Outcome| outcome.result.is_done();
    verdict(&done, is_fine, "could not be done", "correct these rows, then run it again: completed rows are skipped")
}

/// Whether an item is undecided. In a plan, undecided items are those that would be sent.
fn is_open(outcome: &Outcome) -> bool {
    outcome.result == ItemResult::NotTried
}

fn verdict(done: &Done, is_fine: impl Fn(&Outcome) -> bool, what: &str, hint: &str) -> Result<u8, Failure> {
    match done.outcomes.iter().filter(|outcome| !is_fine(outcome)).count() {
        0 => Ok(0),
        bad => Err(Failure::not_all(format!("{bad} of {} {what}, see above", done.outcomes.len()), hint)),
    }
}

/// The admin in whose name conversations are tagged: the named one, or else the token's own.
async fn admin_id(client: &Client, arguments: &Tagging) -> Result<String, Failure> {
    if let Some(admin_id) = &arguments.admin_id {
        return Ok(admin_id.clone());
    }
    let own = client.workspace().await?.admin_id;
    own.ok_or_else(|| Failure::usage("`GET /me` names no admin to whom the token belongs", "name an admin with --admin-id"))
}

fn items(arguments: &Tagging) -> Result<Vec<Item>, Failure> {
    let flags: [(&[String], MakeReference); 5] = [
        (&arguments.id, Reference::ContactId),
        (&arguments.user_id, Reference::ExternalId),
        (&arguments.email, Reference::Email),
        (&arguments.company_id, Reference::CompanyId),
        (&arguments.conversation_id, Reference::ConversationId),
    ];
    let mut items = Vec::new();
    for (texts, reference) in flags {
        for text in texts {
            let text = text.trim();
            let given = if text.is_empty() { Err("it is empty".to_string()) } else { Ok(reference(text.to_string())) };
            items.push(Item { row: None, given });
        }
    }
    if let Some(path) = &arguments.from {
        let shown = path.display();
        let failed = |error: InputError| match error {
            InputError::Read(source) => {
                Failure::usage(format!("`{shown}` cannot be read: {source}"), "check the path of --from and its permissions")
            }
            error => Failure::usage(
                format!("`{shown}` cannot be used: {error}"),
                "a CSV in UTF-8 with any of the columns id (or contact_id), user_id (or external_id), email, company_id, conversation_id, and a row for each",
            ),
        };
        let input = if path == Path::new("-") {
            tagging::read(io::stdin()).map_err(failed)?
        } else {
            tagging::read(File::open(path).map_err(|error| failed(error.into()))?).map_err(failed)?
        };
        if !input.ignored.is_empty() {
            tracing::warn!("`{shown}` has columns that are not used: {}", input.ignored.join(", "));
        }
        if input.others_among_people > 0 {
            tracing::warn!(
                "`{shown}` has columns for contacts and for others; {} rows name no contact and are used for their company_id or conversation_id",
                input.others_among_people
            );
        }
        items.extend(input.items);
    }
    Ok(items)
}

/// The tag of this name. For `tag`, a missing tag is created later. For `untag`, the tag must exist.
async fn target(client: &Client, text: &str, change: Change) -> Result<Target, Failure> {
    let name = text.trim();
    if name.is_empty() {
        return Err(Failure::usage("the tag has no name", "`cohorts tags` lists the existing tags"));
    }
    let groups: Vec<Group> = client.tags().await?.into_iter().map(|listed| listed.group).collect();
    let asked = GroupName::new(GroupKind::Tag, name);
    match job::resolve(&asked, &groups, &[]) {
        Ok((group, _)) => {
            if let Some(difference) = unseen_difference(name, &group.name) {
                tracing::warn!("the tag `{}`, id:{}, looks like the given name and is used: {difference}", group.name, group.id);
            }
            Ok(Target::Existing(group))
        }
        // A name with one of these prefixes never creates a tag. `tag:VIP` means the existing tag VIP. With any other of these prefixes, a
        // name that matches no tag is an error.
        Err(unresolved) if ["tag:", "id:", "segment:", "rule:"].iter().any(|prefix| name.starts_with(prefix)) => {
            match name.strip_prefix("tag:") {
                Some(rest) => Ok(Target::Existing(job::resolve(&GroupName::new(GroupKind::Tag, rest), &groups, &[])?.0)),
                None => Err(unresolved.into()),
            }
        }
        Err(unresolved) if change == Change::Untag || matches!(unresolved.why, Why::Ambiguous { .. }) => Err(unresolved.into()),
        Err(unresolved) => {
            if let Why::NotFound { nearest: Some(other) } = &unresolved.why
                && let Some(difference) = unseen_difference(name, &other.name)
            {
                tracing::warn!(
                    "the tag `{}`, id:{}, looks the same as the new one, but its characters differ: {difference}",
                    other.name,
                    other.id
                );
            }
            Ok(Target::New(name.to_string()))
        }
    }
}

// ---- for programs ----

#[derive(Serialize)]
struct Entry<'a> {
    row: Option<u64>,
    by: Option<&'static str>,
    given: Option<&'a str>,
    id: Option<&'a str>,
    result: &'static str,
    reason: Option<&'a str>,
}

fn entries(done: &Done) -> Vec<String> {
    let entry = |(item, outcome): (&Item, &Outcome)| {
        let given = item.given.as_ref().ok();
        serde_json::to_string(&Entry {
            row: item.row,
            by: given.map(Reference::by),
            given: given.map(Reference::text),
            id: outcome.id.as_deref(),
            result: outcome.result.as_str(),
            reason: outcome.reason.as_deref(),
        })
    };
    // Texts and numbers can always be written as JSON, so no item is dropped.
    done.items.iter().zip(&done.outcomes).filter_map(|pair| entry(pair).ok()).collect()
}

fn as_json(done: &Done) -> String {
    stdout::json_lines(&entries(done))
}

fn plan_as_json(new_tag: Option<String>, calls: &[TagCall], done: &Done) -> String {
    let call = |(request, body): (String, Option<Value>)| serde_json::json!({ "request": request, "body": body }).to_string();
    let create = new_tag.map(|name| call(("POST /tags".to_string(), Some(serde_json::json!({ "name": name })))));
    let calls: Vec<String> = create.into_iter().chain(calls.iter().map(|one| call(one.preview()))).collect();
    format!("{{\"calls\": {}, \"contacts\": {}}}", stdout::json_lines(&calls), stdout::json_lines(&entries(done)))
}

// ---- for people ----

fn plan_as_text(new_tag: Option<String>, calls: &[TagCall], done: &Done, change: Change) -> String {
    let mut text = String::new();
    if let Some(name) = &new_tag {
        text.push_str(&format!("POST /tags {}\n", serde_json::json!({ "name": name })));
    }
    for call in calls {
        let (request, body) = call.preview();
        text.push_str(format!("{request} {}", body.map(|body| body.to_string()).unwrap_or_default()).trim_end());
        text.push('\n');
    }
    if !text.is_empty() && !done.items.is_empty() {
        text.push('\n');
    }
    let open = if change == Change::Tag { "would be tagged" } else { "would be untagged" };
    text.push_str(&table(done, Some(open)));
    let calls = calls.len() + usize::from(new_tag.is_some());
    text.push_str(&format!("\n{calls} {} would be sent; nothing was\n", if calls == 1 { "call" } else { "calls" }));
    text
}

fn as_text(done: &Done) -> String {
    let mut text = table(done, None);
    if let Some(tag) = &done.tag
        && done.items.is_empty()
    {
        text.push_str(&format!("the tag `{}` has the ID {}\n", one_line(&tag.name), tag.id));
    }
    text
}

/// Cuts a long text, because one long cell would widen every line of the table.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(GIVEN_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// One line for each item, and a line with counts. In a plan, `open` is the result of those undecided items whose ID was found.
fn table(done: &Done, open: Option<&'static str>) -> String {
    // An item without an ID was not found or not looked up. It may be sent anyway: the API decides.
    let result = |outcome: &Outcome| match open {
        Some(open) if is_open(outcome) => outcome.id.as_ref().map_or("would be sent", |_| open),
        _ => outcome.result.as_str(),
    };
    let mut text = String::new();
    let pairs: Vec<(&Item, &Outcome)> = done.items.iter().zip(&done.outcomes).collect();
    let has_rows = done.items.iter().any(|item| item.row.is_some());
    for page in pairs.chunks(PAGE_ROWS) {
        let mut table = drawn(if has_rows { &["row", "by", "given", "id", "result", ""] } else { &["by", "given", "id", "result", ""] });
        for (item, outcome) in page {
            let given = item.given.as_ref().ok();
            let mut cells = vec![
                Cell::new(given.map(Reference::by).unwrap_or_default()),
                Cell::new(shortened(&one_line(given.map(Reference::text).unwrap_or_default()))),
                Cell::new(outcome.id.as_deref().unwrap_or_default()),
                Cell::new(result(outcome)),
                Cell::new(one_line(outcome.reason.as_deref().unwrap_or_default())),
            ];
            if has_rows {
                cells.insert(0, Cell::new(item.row.map(|row| row.to_string()).unwrap_or_default()));
            }
            table.add_row(cells);
        }
        text.push_str(&trimmed(&table));
    }
    let mut counts: Vec<(&str, i64)> = Vec::new();
    for (_, outcome) in &pairs {
        match counts.iter_mut().find(|(name, _)| *name == result(outcome)) {
            Some((_, count)) => *count += 1,
            None => counts.push((result(outcome), 1)),
        }
    }
    let counts: Vec<String> = counts.into_iter().map(|(name, count)| format!("{} {name}", grouped(count))).collect();
    if !counts.is_empty() {
        text.push_str(&format!("\n{}\n", counts.join(", ")));
    }
    text
}
