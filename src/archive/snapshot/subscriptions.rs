//! The contacts' choices about subscriptions, from the streams to the snapshot.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::answers::ChoicesByContact;
use super::assemble::SpooledStream;
use super::chunks::Spooled;
use super::parts::write_part;
use super::tables::{OWN_SUBSCRIPTIONS, SUBSCRIPTION_TYPES};
use super::{SnapshotError, answers};
use crate::publish::Staging;
use crate::table::{TableError, bundle_has, read_bundled};
use domain::{Contact, SubscriptionType};

/// What was observed of subscriptions besides the contacts' records.
#[derive(Clone, Debug)]
pub struct ObservedSubscriptions {
    pub types: Vec<SubscriptionType>,
    /// The folder with the answers about contacts whose record lacks some of their choices.
    pub answers: PathBuf,
}

/// Completes the choices that the API cut.
pub(super) struct Completion {
    answers: ChoicesByContact,
    /// The contacts whose choices stay incomplete, because there is no answer about them.
    pub left: BTreeSet<String>,
}

impl Completion {
    pub(super) fn open(answers: &Path) -> Result<Completion, SnapshotError> {
        Ok(Completion { answers: answers::subscriptions(answers)?, left: BTreeSet::new() })
    }

    /// The choices of the contacts in a chunk.
    pub(super) fn rows(&mut self, chunk: &Path) -> Result<DataFrame, SnapshotError> {
        let own = read_bundled(chunk, Contact::TABLES, &OWN_SUBSCRIPTIONS, None)?;
        let text = |name: &str| own.column(name).and_then(|column| column.str()).map_err(completing);
        let (contacts, ids, states) = (text("contact_id")?, text("subscription_id")?, text("state")?);
        if ids.null_count() == 0 {
            return Ok(own);
        }
        let cut: BTreeSet<&str> =
            contacts.iter().zip(ids.iter()).filter(|(_, id)| id.is_none()).filter_map(|(contact, _)| contact).collect();
        let mut rows: [StringChunkedBuilder; 3] =
            ["contact_id", "subscription_id", "state"].map(|name| StringChunkedBuilder::new(name.into(), own.height()));
        for ((contact, id), state) in contacts.iter().zip(ids.iter()).zip(states.iter()) {
            let contact = contact.unwrap_or_default();
            let answer = if cut.contains(contact) { self.answers.get(contact) } else { None };
            let is_marker = id.is_none();
            // An answer has all choices of a contact. They replace the marker (the row without a choice), and the choices of the record are
            // left out.
            let choices: Vec<(&str, &str)> = match (answer, id, state) {
                (Some(answer), None, _) => answer.iter().map(|(id, state)| (id.as_str(), *state)).collect(),
                (None, Some(id), Some(state)) => vec![(id, state)],
                _ => Vec::new(),
            };
            if is_marker && answer.is_none() {
                self.left.insert(contact.to_string());
            }
            for (id, state) in choices {
                rows.iter_mut().zip([contact, id, state]).for_each(|(column, text)| column.append_value(text));
            }
        }
        Ok(DataFrame::new_infer_height(rows.map(|column| column.finish().into_column()).to_vec()).map_err(completing)?)
    }
}

/// Whether all chunks have the table with the contacts' choices. Chunks of an earlier version of the program lack it.
pub(super) fn are_in(streams: &[SpooledStream]) -> Result<bool, SnapshotError> {
    for chunk in streams.iter().flat_map(SpooledStream::chunks::<Contact>) {
        if !bundle_has(&chunk, Contact::TABLES, &OWN_SUBSCRIPTIONS)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The contacts whose record lacks some of their choices.
pub fn cut_subscriptions(streams: &[SpooledStream]) -> Result<BTreeSet<String>, SnapshotError> {
    let mut cut = BTreeSet::new();
    for chunk in streams.iter().flat_map(SpooledStream::chunks::<Contact>) {
        let own = read_bundled(&chunk, Contact::TABLES, &OWN_SUBSCRIPTIONS, None)?;
        let text = |name: &str| own.column(name).and_then(|column| column.str()).map_err(completing);
        let rows = text("contact_id")?.iter().zip(text("subscription_id")?.iter());
        cut.extend(rows.filter(|(_, id)| id.is_none()).filter_map(|(contact, _)| contact.map(str::to_string)));
    }
    Ok(cut)
}

/// Writes the types. A type without a name gets its ID as name.
pub(super) fn write_types(types: &[SubscriptionType], staging: &Staging) -> Result<(), SnapshotError> {
    let mut types: Vec<&SubscriptionType> = types.iter().collect();
    types.sort_by(|one, other| one.id.cmp(&other.id));
    types.dedup_by(|one, other| one.id == other.id);
    let name = |of: &SubscriptionType| of.name.clone().filter(|name| !name.trim().is_empty()).unwrap_or_else(|| of.id.clone());
    let columns = vec![
        Column::new("subscription_id".into(), types.iter().map(|of| of.id.as_str()).collect::<Vec<_>>()),
        Column::new("name".into(), types.iter().map(|of| name(of)).collect::<Vec<_>>()),
        Column::new("consent_type".into(), types.iter().map(|of| of.consent_type.as_deref()).collect::<Vec<_>>()),
        Column::new("state".into(), types.iter().map(|of| of.state.as_deref()).collect::<Vec<_>>()),
    ];
    let rows = DataFrame::new(types.len(), columns).map_err(completing)?;
    write_part(staging, &SUBSCRIPTION_TYPES, 0, rows)
}

fn completing(error: PolarsError) -> TableError {
    TableError::new("read", "the contacts' subscriptions", error)
}
