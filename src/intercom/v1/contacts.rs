//! Everyone, or the members of a group: from lists by page number as far as those reach, else from the scroll.

use std::collections::VecDeque;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::numbered::{Broken, Numbered};
use super::scroll::{Leg, Rider};
use super::{V1, wire};
use crate::error::{RequestError, StreamError};
use crate::id_field;
use crate::stream::{Bounds, Cursor, Page, Pages, Stream};
use crate::transport::Ask;
use domain::{Contact, Group, GroupKind, Oddities};

/// Pages of one list asked for at the same time.
const AHEAD: usize = 8;

#[derive(Clone, Debug)]
pub(super) enum Who {
    Everyone,
    Members(Group),
}

pub(super) struct ContactStream {
    api: V1,
    who: Who,
    from: From,
    /// The next page stands for everything before it.
    begins_anew: bool,
}

enum From {
    /// The lists, and what those before the first of them announced. Users come before leads.
    Lists {
        lists: VecDeque<Numbered<wire::Person>>,
        before: Option<u64>,
    },
    Scroll {
        rider: Rider,
        announced: Option<u64>,
        bounds: Bounds,
    },
    Nowhere,
}

impl Who {
    /// Oldest first, so that arrivals come at the end. Leads cannot be sorted.
    pub(super) fn lists(&self) -> Vec<Ask> {
        let sorted = || Ask::get("/users").with("order", "asc").with("sort", "created_at");
        match self {
            Who::Everyone => vec![sorted(), Ask::get("/contacts")],
            Who::Members(group) => vec![sorted().with(id_field(group.kind), group.id.as_str())],
        }
    }

    fn holds(&self, person: &wire::Person) -> bool {
        match self {
            Who::Everyone => true,
            Who::Members(group) => person.is_in(group.kind, &group.id) == Some(true),
        }
    }

    /// Counts a row of the group's own list whose tags lack the tag.
    fn contact(&self, person: wire::Person, oddities: &mut Oddities) -> Contact {
        if let Who::Members(group) = self
            && group.kind == GroupKind::Tag
            && person.is_in(group.kind, &group.id) == Some(false)
        {
            oddities.tag_unconfirmed += 1;
        }
        *oddities += person.oddities;
        person.contact
    }
}

impl ContactStream {
    pub(super) async fn open(api: &V1, who: Who, from: Option<&Cursor>) -> Result<Stream<Contact>, RequestError> {
        let mut lists = VecDeque::new();
        let mut is_reachable = true;
        let mut announced = Some(0);
        for ask in who.lists() {
            let mut list = Numbered::new(api.transport.clone(), ask, api.page_size, AHEAD, wire::contacts);
            is_reachable &= list.open().await?;
            announced = announced.zip(list.total).map(|(sum, total)| sum + total);
            lists.push_back(list);
        }
        let stream = |from| ContactStream { api: api.clone(), who, from, begins_anew: false };
        Ok(if is_reachable {
            let before = from.map_or(Some(0), |cursor| skip_to(&mut lists, cursor));
            Stream::new(stream(From::Lists { lists, before }))
        } else {
            Stream::shared(stream(From::Scroll { rider: api.scroll.board(), announced, bounds: Bounds::default() }))
        })
    }

    async fn next_page(&mut self) -> Result<Option<Page<Contact>>, StreamError> {
        loop {
            match &mut self.from {
                From::Nowhere => return Ok(None),
                From::Lists { lists, before } => {
                    let Some(list) = lists.front_mut() else {
                        self.from = From::Nowhere;
                        continue;
                    };
                    match list.next().await {
                        Ok(Some(page)) => {
                            let total = lists.iter().fold(*before, |sum, list| Some(sum? + list.total?));
                            // The lists before this one are gone from the queue.
                            let number = self.who.lists().len() - lists.len();
                            let next_list = (lists.len() > 1).then(|| Bounds::default().cursor(number + 1, "1".to_string()));
                            let cursor = lists.front().and_then(|list| list.cursor(number)).or(next_list);
                            return Ok(Some(self.page(page.rows, total, cursor)));
                        }
                        Ok(None) => {
                            *before = before.zip(list.total).map(|(sum, total)| sum + total);
                            lists.pop_front();
                        }
                        Err(Broken::Capped) => {
                            tracing::info!("the list is longer than page numbers reach; it is read from the scroll");
                            let announced = self.api.total(&self.who).await?;
                            self.from = From::Scroll { rider: self.api.scroll.board(), announced, bounds: Bounds::default() };
                            self.begins_anew = true;
                        }
                        Err(Broken::Failed(error)) => {
                            self.from = From::Nowhere;
                            return Err(error);
                        }
                    }
                }
                From::Scroll { rider, announced, bounds } => match rider.next().await {
                    Leg::Page(persons) => {
                        let wanted: Vec<wire::Person> = persons.iter().filter(|person| self.who.holds(person)).cloned().collect();
                        let announced = *announced;
                        // Pages without any of the wanted are as usual here as full ones.
                        if !wanted.is_empty() {
                            bounds.page("/users/scroll", wanted.len(), announced)?;
                        }
                        return Ok(Some(self.page(wanted, announced, None)));
                    }
                    Leg::Anew => {
                        *bounds = Bounds::default();
                        self.begins_anew = true;
                    }
                    Leg::End => {
                        // A scroll announces nothing: the lists tell what should have come by now.
                        self.from = From::Nowhere;
                        let announced = self.api.total(&self.who).await?;
                        return Ok(Some(self.page(Vec::new(), announced, None)));
                    }
                    Leg::Failed(error) => {
                        self.from = From::Nowhere;
                        return Err(error);
                    }
                },
            }
        }
    }

    fn page(&mut self, persons: Vec<wire::Person>, total: Option<u64>, cursor: Option<Cursor>) -> Page<Contact> {
        let mut oddities = Oddities::default();
        let workspace_id = persons.iter().find_map(|person| person.workspace_id.as_ref()).map(ToString::to_string);
        let rows = persons.into_iter().map(|person| self.who.contact(person, &mut oddities)).collect();
        Page { rows, total, oddities, workspace_id, begins_anew: std::mem::take(&mut self.begins_anew), cursor }
    }
}

/// Leaves out the lists before the place, and the pages before it. What the lists left out announce.
fn skip_to(lists: &mut VecDeque<Numbered<wire::Person>>, cursor: &Cursor) -> Option<u64> {
    let mut before = Some(0);
    for _ in 0..cursor.list {
        let Some(list) = lists.pop_front() else { break };
        before = before.zip(list.total).map(|(sum, total)| sum + total);
    }
    // The first page of each is here already.
    if let Some(list) = lists.front_mut().filter(|_| cursor.at != "1") {
        list.skip_to(cursor);
    }
    before
}

impl Pages<Contact> for ContactStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page<Contact>>, StreamError>> {
        self.next_page().boxed()
    }

    fn announced(&self) -> Option<u64> {
        match &self.from {
            From::Lists { lists, before } => lists.iter().fold(*before, |sum, list| Some(sum? + list.total?)),
            From::Scroll { announced, .. } => *announced,
            From::Nowhere => None,
        }
    }
}
