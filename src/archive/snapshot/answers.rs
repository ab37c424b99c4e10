//! Stores the answers to one question about contacts, for example: which tags does the contact have? The API is asked once for each
//! contact. Answers are stored in chunks, like the rows of streams, so that a later run asks only for missing answers. Chunks do not depend
//! on one another: if one chunk cannot be read, only the contacts of that chunk are asked for again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use compact_str::CompactString;
use polars::prelude::*;

use super::chunks::{CHUNK, tables_of};
use super::tables::{FATE_ANSWERS, OWN_SUBSCRIPTIONS, SUBSCRIPTION_ANSWERS, TAG_DATE_ANSWERS, VANISHED};
use super::{SnapshotError, publish};
use crate::table::{Bundle, TableError, read_bundled, write_bundle};
use domain::{Choice, Fate, IdSet, Subscription};

/// A chunk is written when this many answers are in memory. So an interruption loses no more answers than this.
const CHUNK_CONTACTS: usize = 500;

/// One item of the answer about a contact, for example one of the contact's tags. If an answer has no items, the contact has one row of
/// nulls.
pub trait Answer: Sized + Send + 'static {
    /// The one table of a chunk. Its first column is `contact_id`.
    const TABLES: &'static Bundle;

    /// The columns after `contact_id`.
    fn columns(rows: &[Option<&Self>]) -> Vec<Column>;
}

/// The answers of one run. All but the last few are on disk.
#[derive(Debug)]
pub struct Answers<A> {
    folder: PathBuf,
    known: IdSet,
    chunks: usize,
    pending: Vec<(String, Option<A>)>,
    pending_contacts: usize,
}

impl<A: Answer> Answers<A> {
    /// Opens a folder and continues with its answers.
    pub fn open(folder: PathBuf) -> Result<Answers<A>, SnapshotError> {
        publish::create_folder(&folder)?;
        let mut answers = Answers { chunks: 0, known: IdSet::default(), pending: Vec::new(), pending_contacts: 0, folder };
        for name in publish::file_names(&answers.folder)? {
            let path = answers.folder.join(&name);
            let Some(index) = index_of::<A>(&name) else {
                // The file was written by an earlier version of the program.
                publish::remove_file(&path)?;
                continue;
            };
            answers.chunks = index + 1;
            match read_bundled(&path, A::TABLES, A::TABLES[0], Some(&["contact_id"])) {
                Ok(rows) => {
                    let contacts = rows.column("contact_id").and_then(|column| column.str()).map_err(reading)?;
                    contacts.iter().flatten().for_each(|contact| _ = answers.known.insert(contact));
                }
                Err(error) => {
                    tracing::warn!("`{}` cannot be read, so its contacts are asked again: {error}", path.display());
                    publish::remove_file(&path)?;
                }
            }
        }
        Ok(answers)
    }

    /// Whether the contact has an answer, or is being asked for.
    pub fn knows(&self, contact_id: &str) -> bool {
        self.known.contains(contact_id)
    }

    /// Claims a contact for asking. Returns true only once for each contact, and false if it has an answer.
    pub fn claim(&mut self, contact_id: &str) -> bool {
        self.known.insert(contact_id)
    }

    /// Adds an answer. Sometimes writes a chunk, so it may block.
    pub fn push(&mut self, contact_id: String, answer: Vec<A>) -> Result<(), SnapshotError> {
        if answer.is_empty() {
            self.pending.push((contact_id, None));
        } else {
            self.pending.extend(answer.into_iter().map(|one| (contact_id.clone(), Some(one))));
        }
        self.pending_contacts += 1;
        if self.pending_contacts >= CHUNK_CONTACTS { self.flush() } else { Ok(()) }
    }

    pub fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.pending);
        self.pending_contacts = 0;
        let mut columns = vec![Column::new("contact_id".into(), rows.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())];
        columns.extend(A::columns(&rows.iter().map(|(_, one)| one.as_ref()).collect::<Vec<_>>()));
        let frame = DataFrame::new(rows.len(), columns).map_err(|error| TableError::new("make", "the columns of answers", error))?;
        write_bundle(&[frame], A::TABLES, &self.folder.join(chunk_name::<A>(self.chunks)))?;
        self.chunks += 1;
        Ok(())
    }
}

/// The rows of all chunks in a folder, in the order in which they were written.
pub(super) fn frames<A: Answer>(folder: &Path) -> Result<Vec<DataFrame>, SnapshotError> {
    let names = publish::file_names(folder)?.into_iter().filter(|name| index_of::<A>(name).is_some());
    names.map(|name| Ok(read_bundled(&folder.join(name), A::TABLES, A::TABLES[0], None)?)).collect()
}

pub(super) fn chunk_name<A: Answer>(index: usize) -> String {
    format!("{}-{index:05}.{CHUNK}", A::TABLES[0].name)
}

/// The number of a chunk, from its file name; `None` if the file is no chunk of these answers.
fn index_of<A: Answer>(name: &str) -> Option<usize> {
    tables_of(name).filter(|(bundle, _)| bundle[0].name == A::TABLES[0].name).map(|(_, index)| index)
}

/// Whether these are the tables of a chunk of answers.
pub(super) fn is_of_answers(bundle: &Bundle) -> bool {
    [TAG_DATE_ANSWERS, SUBSCRIPTION_ANSWERS, FATE_ANSWERS].iter().any(|answers| answers[0].name == bundle[0].name)
}

fn reading(error: PolarsError) -> TableError {
    TableError::new("read", "answers about contacts", error)
}

impl Answer for Subscription {
    const TABLES: &'static Bundle = SUBSCRIPTION_ANSWERS;

    fn columns(rows: &[Option<&Subscription>]) -> Vec<Column> {
        let text =
            |name: &str, of: fn(&Subscription) -> &str| Column::new(name.into(), rows.iter().map(|one| one.map(of)).collect::<Vec<_>>());
        vec![text("subscription_id", |one| &one.id), text("state", |one| one.choice.as_str())]
    }
}

/// For the ID of each contact that was asked for: the contact's own choices, each as the subscription's ID and the text of the choice.
pub(super) type ChoicesByContact = HashMap<String, Vec<(CompactString, &'static str)>>;

/// The own choices in all chunks of a folder.
pub(super) fn subscriptions(folder: &Path) -> Result<ChoicesByContact, SnapshotError> {
    let mut all = ChoicesByContact::new();
    for rows in frames::<Subscription>(folder)? {
        let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(reading);
        let (ids, states) = (text(OWN_SUBSCRIPTIONS.columns[1].name)?, text(OWN_SUBSCRIPTIONS.columns[2].name)?);
        for ((contact, id), state) in text("contact_id")?.iter().zip(ids.iter()).zip(states.iter()) {
            let choices = all.entry(contact.unwrap_or_default().to_string()).or_default();
            let state = [Choice::OptedOut, Choice::OptedIn].map(Choice::as_str).into_iter().find(|known| Some(*known) == state);
            choices.extend(id.zip(state).map(|(id, state)| (CompactString::from(id), state)));
        }
    }
    Ok(all)
}

/// The text of a fate in the table `vanished`.
fn fate_text(fate: &Fate) -> &'static str {
    match fate {
        Fate::Present => "present",
        Fate::Deleted => "deleted",
        Fate::Merged(_) => "merged",
    }
}

impl Answer for Fate {
    const TABLES: &'static Bundle = FATE_ANSWERS;

    fn columns(rows: &[Option<&Fate>]) -> Vec<Column> {
        let into = |fate: &Fate| match fate {
            Fate::Merged(id) => Some(id.clone()),
            Fate::Present | Fate::Deleted => None,
        };
        vec![
            Column::new("fate".into(), rows.iter().map(|one| one.map(fate_text)).collect::<Vec<_>>()),
            Column::new("merged_into".into(), rows.iter().map(|one| one.and_then(into)).collect::<Vec<Option<String>>>()),
        ]
    }
}

/// The rows of the table `vanished`.
pub(super) fn vanished(folder: &Path) -> Result<DataFrame, SnapshotError> {
    let mut all = VANISHED.empty();
    for rows in frames::<Fate>(folder)? {
        all.vstack_mut_owned(rows).map_err(reading)?;
    }
    Ok(all.sort(["contact_id"], SortMultipleOptions::default()).map_err(reading)?)
}
