//! `forget`: removes one person from everything that a job keeps.

use super::arguments::Forget;
use super::failure::Failure;
use super::progress::Progress;
use super::{run, stdout};
use job::{self, Forgotten, JobError, Person};

pub(super) async fn run(arguments: Forget, progress: &Progress) -> Result<u8, Failure> {
    let settings = run::load(&arguments.job.sources())?;
    let privacy = job::privacy(&settings)?;
    let archive = job::archive(&settings)?;
    if !archive.exists().map_err(JobError::from)? {
        return Err(Failure::usage(format!("`{}` does not exist", archive.place()), "check the job's name and `output.dir`"));
    }
    let person = match (arguments.contact, arguments.email) {
        (Some(id), _) => Person::Contact(id),
        (None, Some(address)) => Person::Email(address),
        // The parser requires --contact or --email.
        (None, None) => return Err(Failure::usage("no person is named", "give --contact ID or --email ADDRESS")),
    };
    let _lock = archive.lock("forget").map_err(JobError::from)?;
    let observer = progress.observer();
    let forgetting = tokio::task::spawn_blocking(move || job::forget(&archive, &settings, &privacy, &person, &observer));
    let forgotten = forgetting.await.map_err(|error| Failure::unexpected("forgetting stopped", error))??;
    progress.finish();
    stdout::print(&text(&forgotten))?;
    if forgotten.is_unfinished() || forgotten.old_versions.is_some() { Err(Failure::not_all_forgotten(&forgotten)) } else { Ok(0) }
}

/// The result, without naming the person.
fn text(forgotten: &Forgotten) -> String {
    let mut text = String::new();
    let list = |months: &[String]| months.join(", ");
    let names = |months: &[domain::Month]| list(&months.iter().map(ToString::to_string).collect::<Vec<_>>());
    if forgotten.is_unfinished() {
        text.push_str("not yet forgotten everywhere\n");
    } else if forgotten.is_nothing() {
        let changed = if forgotten.rebuilt.is_empty() && forgotten.versions_removed == 0 { "; nothing was changed" } else { "" };
        text.push_str(&format!("this job keeps nothing about this person{changed}\n"));
    } else {
        text.push_str("forgotten\n");
    }
    if forgotten.people > 1 {
        text.push_str(&format!(
            "contacts                    {} (all that ever had the address, that were merged with one of them, or that are of an interrupted call)\n",
            forgotten.people
        ));
    }
    if !forgotten.snapshots.is_empty() {
        text.push_str(&format!("removed from the snapshots  {}\n", names(&forgotten.snapshots)));
    }
    if !forgotten.work.is_empty() {
        let months: Vec<String> = forgotten.work.iter().map(ToString::to_string).collect();
        text.push_str(&format!("and unfinished work of      {}\n", list(&months)));
    }
    if forgotten.tags {
        text.push_str("removed from the list of contacts that this job tagged\n");
    }
    if !forgotten.rebuilt.is_empty() {
        let months: Vec<String> = forgotten.rebuilt.iter().map(|rebuilt| rebuilt.month.to_string()).collect();
        text.push_str(&format!("history and reports rebuilt {}\n", list(&months)));
    }
    if !forgotten.orphans.is_empty() {
        text.push_str(&format!("history and reports removed {} (there is no snapshot to build them from)\n", names(&forgotten.orphans)));
    }
    if forgotten.versions_removed > 0 {
        text.push_str(&format!("old versions removed        {}\n", forgotten.versions_removed));
    }
    if !forgotten.unsearchable.is_empty() {
        text.push_str(&format!(
            "the snapshots of {} cannot be searched by address (they have none, or hashed with another key): if a contact is only in those \
             months, use --contact\n",
            names(&forgotten.unsearchable)
        ));
    }
    if !forgotten.as_spelled.is_empty() {
        text.push_str(&format!(
            "{} hashed addresses without normalizing them: only this address as given and in lower case was searched there; use \
             --contact for other spellings\n",
            list(&forgotten.as_spelled.iter().map(ToString::to_string).collect::<Vec<_>>())
        ));
    }
    text.push_str("a person who is still in Intercom comes back with the next run\n");
    text
}
