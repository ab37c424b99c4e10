//! Everyone, or the members of a group. They are read from lists by page number if page numbers reach the end, otherwise from the scroll.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::scroll::{Scroll, ScrollEvent, Subscription};
use super::wire;
use crate::error::{RequestError, StreamError};
use crate::numbered::{ListError, Numbered};
use crate::stream::{Bounds, Cursor, Page, Pages, Stream};
use crate::transport::{Request, Transport};
use crate::types::id_field;
use domain::{Contact, Group, GroupKind, Oddities};

/// How many pages of one list are requested at the same time.
const AHEAD: usize = 8;

#[derive(Clone, Debug)]
pub(super) enum Selection {
    Everyone,
    Members(Group),
}

pub(super) struct ContactStream {
    transport: Arc<Transport>,
    scroll: Arc<Scroll>,
    selection: Selection,
    from: From,
    /// Whether the next page is the first after reading began again: the scroll restarted, or replaced the lists.
    is_restart: bool,
}

enum From {
    /// The lists that are not read yet. `before` is the sum of the totals of the lists that are read. Users come before leads.
    Lists {
        lists: VecDeque<Numbered<wire::Person>>,
        before: Option<u64>,
    },
    Scroll {
        subscription: Subscription,
        announced: Option<u64>,
        bounds: Bounds,
    },
    Ended,
}

impl Selection {
    /// The lists to read. Users are sorted by creation, the oldest first, so that new users are at the end. Leads cannot be sorted.
    fn lists(&self) -> Vec<Request> {
        let sorted = || Request::get("/users").with("order", "asc").with("sort", "created_at");
        match self {
            Selection::Everyone => vec![sorted(), Request::get("/contacts")],
            Selection::Members(group) => vec![sorted().with(id_field(group.kind), group.id.as_str())],
        }
    }

    /// The sum of the totals that the lists announce. `None` if one of the lists announces no total.
    pub(super) async fn total(&self, transport: &Transport) -> Result<Option<u64>, RequestError> {
        let mut sum = Some(0);
        for list in self.lists() {
            let total = transport.send(&list.with("per_page", "1"), wire::contacts).await?.total;
            sum = sum.zip(total).map(|(sum, total)| sum + total);
        }
        Ok(sum)
    }

    fn contains(&self, person: &wire::Person) -> bool {
        match self {
            Selection::Everyone => true,
            Selection::Members(group) => person.is_in(group.kind, &group.id) == Some(true),
        }
    }

    /// The contact of a row. The row counts as odd if it is in the list of a tag, but its own tags do not have that tag.
    fn contact(&self, person: wire::Person, oddities: &mut Oddities) -> Contact {
        if let Selection::Members(group) = self
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
    pub(super) async fn open(
        transport: Arc<Transport>,
        scroll: Arc<Scroll>,
        page_size: u32,
        selection: Selection,
        from: Option<&Cursor>,
    ) -> Result<Stream<Contact>, RequestError> {
        let mut lists = VecDeque::new();
        let mut is_reachable = true;
        let mut announced = Some(0);
        for request in selection.lists() {
            let mut list = Numbered::new(transport.clone(), request, page_size, AHEAD, wire::contacts);
            is_reachable &= list.open().await?;
            announced = announced.zip(list.total).map(|(sum, total)| sum + total);
            lists.push_back(list);
        }
        let subscribed = scroll.clone();
        let stream = |from| ContactStream { transport, scroll, selection, from, is_restart: false };
        Ok(if is_reachable {
            let before = from.map_or(Some(0), |cursor| skip_to(&mut lists, cursor));
            Stream::new(stream(From::Lists { lists, before }))
        } else {
            Stream::shared(stream(From::Scroll { subscription: subscribed.subscribe(), announced, bounds: Bounds::default() }))
        })
    }

    async fn next_page(&mut self) -> Result<Option<Page<Contact>>, StreamError> {
        loop {
            match &mut self.from {
                From::Ended => return Ok(None),
                From::Lists { lists, before } => {
                    let Some(list) = lists.front_mut() else {
                        self.from = From::Ended;
                        continue;
                    };
                    match list.next().await {
                        Ok(Some(page)) => {
                            let total = lists.iter().fold(*before, |sum, list| Some(sum? + list.total?));
                            // Lists that were read are no longer in the queue, so this is the index of the current list.
                            let number = self.selection.lists().len() - lists.len();
                            let next_list = (lists.len() > 1).then(|| Bounds::default().cursor(number + 1, "1".to_string()));
                            let cursor = lists.front().and_then(|list| list.cursor(number)).or(next_list);
                            return Ok(Some(self.page(page.rows, total, cursor)));
                        }
                        Ok(None) => {
                            *before = before.zip(list.total).map(|(sum, total)| sum + total);
                            lists.pop_front();
                        }
                        Err(ListError::PageLimit) => {
                            tracing::info!("the list is longer than page numbers reach; reading it from the scroll");
                            let announced = self.selection.total(&self.transport).await?;
                            self.from = From::Scroll { subscription: self.scroll.subscribe(), announced, bounds: Bounds::default() };
                            self.is_restart = true;
                        }
                        Err(ListError::Failed(error)) => {
                            self.from = From::Ended;
                            return Err(error);
                        }
                    }
                }
                From::Scroll { subscription, announced, bounds } => match subscription.next().await {
                    ScrollEvent::Page(persons) => {
                        let wanted: Vec<wire::Person> = persons.iter().filter(|person| self.selection.contains(person)).cloned().collect();
                        let announced = *announced;
                        // Many pages have none of the wanted rows. These pages do not count as empty.
                        if !wanted.is_empty() {
                            bounds.page("/users/scroll", wanted.len(), announced)?;
                        }
                        return Ok(Some(self.page(wanted, announced, None)));
                    }
                    ScrollEvent::Restarted => {
                        *bounds = Bounds::default();
                        self.is_restart = true;
                    }
                    ScrollEvent::End => {
                        // A scroll announces no total. The lists give the number of rows that should have come.
                        self.from = From::Ended;
                        let announced = self.selection.total(&self.transport).await?;
                        return Ok(Some(self.page(Vec::new(), announced, None)));
                    }
                    ScrollEvent::Failed(error) => {
                        self.from = From::Ended;
                        return Err(error);
                    }
                },
            }
        }
    }

    fn page(&mut self, persons: Vec<wire::Person>, total: Option<u64>, cursor: Option<Cursor>) -> Page<Contact> {
        let mut oddities = Oddities::default();
        let workspace_id = persons.iter().find_map(|person| person.workspace_id.as_ref()).map(ToString::to_string);
        let rows = persons.into_iter().map(|person| self.selection.contact(person, &mut oddities)).collect();
        Page { rows, total, oddities, workspace_id, is_restart: std::mem::take(&mut self.is_restart), cursor }
    }
}

/// Skips the lists and pages before the cursor. Returns the sum of the totals of the skipped lists.
fn skip_to(lists: &mut VecDeque<Numbered<wire::Person>>, cursor: &Cursor) -> Option<u64> {
    let mut before = Some(0);
    for _ in 0..cursor.list {
        let Some(list) = lists.pop_front() else { break };
        before = before.zip(list.total).map(|(sum, total)| sum + total);
    }
    // `open` has already fetched page 1 of each list, so a cursor at page 1 skips nothing.
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
            From::Ended => None,
        }
    }
}
