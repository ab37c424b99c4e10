//! The facts of each contact that the steps need (its role, when it was created, its flags), by the contact's number. Also the step
//! `cells`, which counts the contacts with the same signature, role, flags and number of conversations.

use polars::prelude::*;

use super::super::tables::{OPENED, SIGNATURES, THIS_MONTH};
use archive::engine::Polars;
use archive::snapshot::CONTACTS;

/// The bits of a contact's facts. The columns of `cells` have this order.
const FACTS: [&str; 6] = ["is_in_population", "is_new", "is_active", "is_unsubscribed", "is_bounced", "is_spam"];
const IN_POPULATION: u8 = 1;
const UNSUBSCRIBED: u8 = 1 << 3;

#[derive(Default)]
pub(super) struct Facts {
    /// The texts of roles.
    pub(super) roles: Vec<Option<String>>,
    /// The contacts of the population that were created before the month's end, in the order of the snapshot.
    pub(super) population: Vec<u32>,
    /// All observed contacts.
    here: Vec<u32>,
    /// Of each contact: the index of its role, or [`NO_ROLE`] if it was not observed.
    role_of: Vec<u8>,
    /// Of each contact: a bit for each of [`FACTS`].
    bits: Vec<u8>,
    /// Of each contact: microseconds since 1970, or [`UNKNOWN`].
    created_at: Vec<i64>,
}

const NO_ROLE: u8 = u8::MAX;
const UNKNOWN: i64 = i64::MIN;

impl Facts {
    pub(super) fn read(tables: &Polars) -> PolarsResult<Facts> {
        let this_month = tables.table(THIS_MONTH.name)?;
        let instant = |name: &str| Ok::<_, PolarsError>(this_month.column(name)?.datetime()?.physical().get(0));
        let (month_start, month_end) = (instant("month_start")?, instant("month_end")?);
        let frame = tables.table(CONTACTS.name)?;
        let instants = |name: &str| Ok::<_, PolarsError>(frame.column(name)?.datetime()?.physical().clone());
        let (created_at, last_seen_at) = (instants("created_at")?, instants("last_seen_at")?);
        let flags = |name: &str| frame.column(name)?.bool();
        let in_population = flags("in_population")?;
        let (unsubscribed, bounced, spam) =
            (flags("unsubscribed_from_emails")?, flags("has_hard_bounced")?, flags("marked_email_as_spam")?);
        let count = tables.numbers().count();
        let mut facts = Facts {
            roles: Vec::new(),
            population: Vec::new(),
            here: Vec::with_capacity(frame.height()),
            role_of: vec![NO_ROLE; count],
            bits: vec![0; count],
            created_at: vec![UNKNOWN; count],
        };
        let contacts = frame.column("contact_id")?.u32()?.iter().zip(frame.column("role")?.str()?.iter());
        let instants = created_at.iter().zip(last_seen_at.iter());
        let flags = in_population.iter().zip(unsubscribed.iter()).zip(bounced.iter().zip(spam.iter()));
        for (((contact, role), (created, seen)), ((in_population, unsubscribed), (bounced, spam))) in contacts.zip(instants).zip(flags) {
            let Some(contact) = contact else { continue };
            let is = [
                in_population == Some(true) && (created.is_none() || created < month_end),
                created >= month_start,
                seen >= month_start,
                unsubscribed == Some(true),
                bounced == Some(true),
                spam == Some(true),
            ];
            let bits = is.iter().enumerate().map(|(bit, is)| u8::from(*is) << bit).sum();
            facts.here.push(contact);
            if is[0] {
                facts.population.push(contact);
            }
            facts.bits[contact as usize] = bits;
            facts.created_at[contact as usize] = created.unwrap_or(UNKNOWN);
            facts.role_of[contact as usize] = facts.index_of(role)?;
        }
        Ok(facts)
    }

    fn index_of(&mut self, role: Option<&str>) -> PolarsResult<u8> {
        let index = self.roles.iter().position(|known| known.as_deref() == role).unwrap_or_else(|| {
            self.roles.push(role.map(str::to_string));
            self.roles.len() - 1
        });
        match u8::try_from(index) {
            Ok(NO_ROLE) | Err(_) => Err(polars_err!(ComputeError: "contacts have more than {NO_ROLE} roles")),
            Ok(index) => Ok(index),
        }
    }

    /// Whether the contact was observed.
    pub(super) fn is_here(&self, contact: u32) -> bool {
        self.role_of[contact as usize] != NO_ROLE
    }

    pub(super) fn created_at(&self, contact: u32) -> Option<i64> {
        Some(self.created_at[contact as usize]).filter(|at| *at != UNKNOWN)
    }

    pub(super) fn is_unsubscribed(&self, contact: u32) -> bool {
        self.bits[contact as usize] & UNSUBSCRIBED > 0
    }

    pub(super) fn is_user(&self, contact: u32) -> bool {
        self.roles.get(self.role(contact)).is_some_and(|role| role.as_deref() == Some("user"))
    }

    pub(super) fn is_in_population(&self, contact: u32) -> bool {
        self.bits[contact as usize] & IN_POPULATION > 0
    }

    /// The index of the role of an observed contact.
    pub(super) fn role(&self, contact: u32) -> usize {
        usize::from(self.role_of[contact as usize])
    }
}

/// Gives the rows of cells.sql.
pub(super) fn cells(tables: &Polars, facts: &Facts) -> PolarsResult<DataFrame> {
    let opened = conversations_by_contact(tables)?;
    let mut signature_of: Vec<Option<u32>> = vec![None; tables.numbers().count()];
    let signatures = tables.table(SIGNATURES.name)?;
    for (contact, signature) in signatures.column("contact_id")?.u32()?.iter().zip(signatures.column("signature")?.u32()?.iter()) {
        if let Some(contact) = contact {
            signature_of[contact as usize] = signature;
        }
    }
    let mut counted: PlHashMap<Cell, i64> = PlHashMap::default();
    let mut count = |contact: u32, conversations: i64| {
        let at = contact as usize;
        let cell = Cell { signature: signature_of[at], role: facts.role_of[at], bits: facts.bits[at], conversations };
        *counted.entry(cell).or_default() += 1;
    };
    facts.here.iter().for_each(|contact| count(*contact, opened[*contact as usize]));
    // Contacts that are no longer observed have no facts.
    let gone = signatures.column("contact_id")?.u32()?.iter().flatten().filter(|contact| !facts.is_here(*contact));
    gone.for_each(|contact| count(contact, 0));

    let (cells, contacts): (Vec<Cell>, Vec<i64>) = counted.into_iter().unzip();
    let role = |cell: &Cell| facts.roles.get(usize::from(cell.role))?.as_deref();
    let mut columns = vec![
        Column::new("signature".into(), cells.iter().map(|cell| cell.signature).collect::<Vec<_>>()),
        Column::new("role".into(), cells.iter().map(role).collect::<Vec<_>>()),
    ];
    for (bit, name) in FACTS.iter().enumerate() {
        columns.push(Column::new((*name).into(), cells.iter().map(|cell| cell.bits >> bit & 1 > 0).collect::<Vec<_>>()));
    }
    columns.push(Column::new("conversations".into(), cells.iter().map(|cell| cell.conversations).collect::<Vec<_>>()));
    columns.push(Column::new("contacts".into(), contacts));
    DataFrame::new(cells.len(), columns)
}

/// What the contacts of a row of `cells` have in common.
#[derive(PartialEq, Eq, Hash)]
struct Cell {
    signature: Option<u32>,
    role: u8,
    bits: u8,
    conversations: i64,
}

/// The number of conversations of the month that each contact opened.
pub(super) fn conversations_by_contact(tables: &Polars) -> PolarsResult<Vec<i64>> {
    let mut of_contacts = vec![0; tables.numbers().count()];
    let opened = tables.table(OPENED.name)?;
    for (contact, conversations) in opened.column("contact_id")?.u32()?.iter().zip(opened.column("conversations")?.i64()?.iter()) {
        if let Some((contact, conversations)) = contact.zip(conversations) {
            of_contacts[contact as usize] = conversations;
        }
    }
    Ok(of_contacts)
}
