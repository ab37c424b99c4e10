//! Collects contacts, their attributes and their subscriptions until they fill a part of a snapshot, then sorts and writes the part.

use polars::prelude::*;

use super::SnapshotError;
use super::tables::{ATTRIBUTES, CONTACTS, SUBSCRIPTIONS};
use crate::publish::Staging;
use crate::table::{ROW_GROUP_ROWS, Table, TableError, write_parquet};
use domain::ContactId;

/// Contacts, and the rows about them in the tables of [`FOLLOWERS`].
pub(super) struct Batch {
    contacts: DataFrame,
    /// The rows of each of [`FOLLOWERS`].
    followers: [Follower; FOLLOWERS.len()],
    /// The size in bytes of each contact with its attributes.
    sizes: Vec<usize>,
}

/// The tables with rows about contacts, and the column by which the rows of one contact are sorted.
const FOLLOWERS: [(&Table, &str); 2] = [(&ATTRIBUTES, "attribute"), (&SUBSCRIPTIONS, "subscription_id")];

/// Rows about contacts, in the order of the contacts.
struct Follower {
    rows: DataFrame,
    /// For each contact, the row after its last row.
    ends: Vec<IdxSize>,
}

impl Follower {
    /// # Errors
    /// When the rows are not in the order of their contacts.
    fn of(contacts: &DataFrame, rows: DataFrame) -> Result<Follower, SnapshotError> {
        let ends = ends(contacts, &rows)?;
        Ok(Follower { rows, ends })
    }

    fn rows_of(&self, contact: IdxSize) -> std::ops::Range<IdxSize> {
        let start = (contact as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[contact as usize]
    }

    /// Splits off the rows of the first `contacts` contacts.
    fn split_at(&self, contacts: usize) -> (Follower, Follower) {
        let (before, after) = self.ends.split_at(contacts);
        let end = before.last().copied().unwrap_or_default();
        let (first, others) = self.rows.split_at(i64::from(end));
        let ends = after.iter().map(|row_end| row_end - end).collect();
        (Follower { rows: first, ends: before.to_vec() }, Follower { rows: others, ends })
    }

    fn append(&mut self, other: Follower) -> Result<(), SnapshotError> {
        let before = self.rows.height() as IdxSize;
        self.ends.extend(other.ends.iter().map(|end| before + end));
        self.rows.vstack_mut_owned(other.rows).map_err(gathering)?;
        Ok(())
    }

    /// The rows, sorted by this order of contacts; the rows of one contact are sorted by the column `by`.
    fn sorted(&self, contacts: &[IdxSize], by: &str) -> Result<DataFrame, SnapshotError> {
        let names: Vec<&str> = text(&self.rows, by)?.iter().map(Option::unwrap_or_default).collect();
        let mut rows = Vec::with_capacity(names.len());
        for contact in contacts {
            let from = rows.len();
            rows.extend(self.rows_of(*contact));
            rows[from..].sort_by_key(|row| names[*row as usize]);
        }
        take(&self.rows, rows)
    }
}

impl Batch {
    /// # Errors
    /// When the rows about contacts are not in the order of the contacts.
    pub(super) fn new(contacts: DataFrame, attributes: DataFrame, subscriptions: DataFrame) -> Result<Batch, SnapshotError> {
        let attributes = Follower::of(&contacts, attributes)?;
        let sizes = sizes(&contacts, &attributes)?;
        let followers = [attributes, Follower::of(&contacts, subscriptions)?];
        Ok(Batch { contacts, followers, sizes })
    }

    fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Keeps only these contacts and the rows about them. `is_kept` has one entry for each contact.
    pub(super) fn only(self, is_kept: &[bool]) -> Result<Batch, SnapshotError> {
        if is_kept.iter().all(|is_kept| *is_kept) {
            return Ok(self);
        }
        let rows: Vec<IdxSize> = (0..).zip(is_kept).filter(|(_, is_kept)| **is_kept).map(|(row, _)| row).collect();
        let [attributes, subscriptions] =
            self.followers.map(|follower| take(&follower.rows, rows.iter().flat_map(|row| follower.rows_of(*row)).collect()));
        Batch::new(take(&self.contacts, rows)?, attributes?, subscriptions?)
    }

    /// Splits off the first `rows` contacts.
    fn split_at(&self, rows: usize) -> (Batch, Batch) {
        let contacts = self.contacts.split_at(rows as i64);
        let [attributes, subscriptions] = self.followers.each_ref().map(|follower| follower.split_at(rows));
        let sizes = self.sizes.split_at(rows);
        let first = Batch { contacts: contacts.0, followers: [attributes.0, subscriptions.0], sizes: sizes.0.to_vec() };
        (first, Batch { contacts: contacts.1, followers: [attributes.1, subscriptions.1], sizes: sizes.1.to_vec() })
    }

    fn of_all(batches: Vec<Batch>) -> Result<Batch, SnapshotError> {
        let followers = FOLLOWERS.map(|(table, _)| Follower { rows: table.empty(), ends: Vec::new() });
        let mut all = Batch { contacts: CONTACTS.empty(), followers, sizes: Vec::new() };
        for batch in batches {
            all.sizes.extend(batch.sizes);
            all.contacts.vstack_mut_owned(batch.contacts).map_err(gathering)?;
            for (all, follower) in all.followers.iter_mut().zip(batch.followers) {
                all.append(follower)?;
            }
        }
        Ok(all)
    }

    /// The contacts and each of [`FOLLOWERS`], in the order of their keys.
    fn sorted(&self) -> Result<(DataFrame, Vec<DataFrame>), SnapshotError> {
        let ids = text(&self.contacts, "contact_id")?;
        let mut order: Vec<(ContactId, IdxSize)> =
            ids.iter().zip(0..).map(|(id, row)| (ContactId::of(id.unwrap_or_default()), row)).collect();
        order.sort_unstable();
        let contacts: Vec<IdxSize> = order.into_iter().map(|(_, row)| row).collect();
        let followers = self.followers.iter().zip(FOLLOWERS).map(|(follower, (_, by))| follower.sorted(&contacts, by));
        let followers = followers.collect::<Result<_, SnapshotError>>()?;
        Ok((take(&self.contacts, contacts)?, followers))
    }
}

/// For each contact, the row after its last row.
fn ends(contacts: &DataFrame, rows: &DataFrame) -> Result<Vec<IdxSize>, SnapshotError> {
    let mut of = text(rows, "contact_id")?.iter().peekable();
    let mut end = 0;
    let ends = text(contacts, "contact_id")?.iter().map(|contact| {
        while of.next_if_eq(&contact).is_some() {
            end += 1;
        }
        end
    });
    let ends = ends.collect();
    match of.next() {
        None => Ok(ends),
        Some(_) => Err(gathering(polars_err!(ComputeError: "rows about contacts are not in the order of the contacts")).into()),
    }
}

/// The bytes of each contact's texts and of its attributes' values, plus [`ATTRIBUTE_BYTES`] for each attribute.
fn sizes(contacts: &DataFrame, attributes: &Follower) -> Result<Vec<usize>, SnapshotError> {
    let mut sizes = vec![0; contacts.height()];
    for texts in contacts.columns().iter().filter_map(|column| column.str().ok()) {
        sizes.iter_mut().zip(texts.iter()).for_each(|(size, text)| *size += text.map_or(0, str::len));
    }
    let mut values = text(&attributes.rows, "value")?.iter();
    let mut before = 0;
    for (size, end) in sizes.iter_mut().zip(&attributes.ends) {
        let own = values.by_ref().take((end - before) as usize);
        *size += own.map(|value| ATTRIBUTE_BYTES + value.map_or(0, str::len)).sum::<usize>();
        before = *end;
    }
    Ok(sizes)
}

/// The approximate size in bytes of an attribute without its value.
const ATTRIBUTE_BYTES: usize = 32;
/// The size in bytes at which a part is full, even with few contacts. A part with usual contacts (less than a kilobyte each) is full
/// earlier: when it has [`ROW_GROUP_ROWS`] contacts.
const PART_BYTES: usize = 48 << 20;

/// Collects contacts, and the rows about them, until they fill a part.
pub(super) struct PartWriter {
    batches: Vec<Batch>,
    rows: usize,
    bytes: usize,
    parts: usize,
    /// The size in bytes at which a part is full.
    most_bytes: usize,
    has_subscriptions: bool,
}

impl PartWriter {
    pub(super) fn new(has_subscriptions: bool) -> PartWriter {
        PartWriter { batches: Vec::new(), rows: 0, bytes: 0, parts: 0, most_bytes: PART_BYTES, has_subscriptions }
    }

    /// Adds contacts, and writes each part that is full. Where a part ends depends only on the number of contacts and bytes, not on
    /// chunks. So an interruption of a stream does not change the files.
    pub(super) fn push(&mut self, mut batch: Batch, staging: &Staging) -> Result<(), SnapshotError> {
        while let Some(rows) = self.filling(&batch) {
            let (first, others) = batch.split_at(rows);
            self.batches.push(first);
            self.write(staging)?;
            batch = others;
        }
        self.rows += batch.len();
        self.bytes += batch.sizes.iter().sum::<usize>();
        self.batches.push(batch);
        Ok(())
    }

    /// The number of contacts of the batch that fill the part; `None` if the part is not full after all of them.
    fn filling(&self, batch: &Batch) -> Option<usize> {
        let mut bytes = self.bytes;
        let is_full = |(row, size): (usize, &usize)| {
            bytes += size;
            self.rows + row + 1 >= ROW_GROUP_ROWS || bytes >= self.most_bytes
        };
        batch.sizes.iter().enumerate().position(is_full).map(|row| row + 1)
    }

    /// Writes the last part. If there are no contacts at all, writes one empty part.
    pub(super) fn finish(mut self, staging: &Staging) -> Result<(), SnapshotError> {
        if self.rows > 0 || self.parts == 0 { self.write(staging) } else { Ok(()) }
    }

    fn write(&mut self, staging: &Staging) -> Result<(), SnapshotError> {
        let (contacts, followers) = Batch::of_all(std::mem::take(&mut self.batches))?.sorted()?;
        (self.rows, self.bytes) = (0, 0);
        write_part(staging, &CONTACTS, self.parts, contacts)?;
        for ((table, _), rows) in FOLLOWERS.into_iter().zip(followers) {
            if table.name != SUBSCRIPTIONS.name || self.has_subscriptions {
                write_part(staging, table, self.parts, rows)?;
            }
        }
        self.parts += 1;
        Ok(())
    }
}

/// Writes one part of a table and adds it to the list of files.
pub(super) fn write_part(staging: &Staging, table: &Table, index: usize, rows: DataFrame) -> Result<(), SnapshotError> {
    let relative = format!("{}/part-{index:04}.parquet", table.name);
    let rows = write_parquet(&rows, table, &staging.place(&relative)?)?;
    Ok(staging.list(&relative, rows)?)
}

fn take(frame: &DataFrame, rows: Vec<IdxSize>) -> Result<DataFrame, SnapshotError> {
    Ok(frame.take(&IdxCa::from_vec("row".into(), rows)).map_err(gathering)?)
}

fn text<'a>(frame: &'a DataFrame, name: &str) -> Result<&'a StringChunked, SnapshotError> {
    Ok(frame.column(name).and_then(|column| column.str()).map_err(gathering)?)
}

fn gathering(error: PolarsError) -> TableError {
    TableError::new("collect", "the contacts of the spooled streams", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(contacts: &[(&str, &[&str])]) -> Batch {
        let ids: Vec<&str> = contacts.iter().map(|(id, _)| *id).collect();
        let rows: Vec<(&str, &str)> = contacts.iter().flat_map(|(id, names)| names.iter().map(|name| (*id, *name))).collect();
        let of = |columns: &[Column], table: &Table| {
            let height = columns[0].len();
            let nulls = table.columns.iter().map(|column| Column::full_null(column.name.into(), height, &column.kind.dtype()));
            let mut all = DataFrame::new(height, nulls.collect()).unwrap();
            for column in columns {
                all.with_column(column.clone()).unwrap();
            }
            all
        };
        let contacts = of(&[Column::new("contact_id".into(), ids)], &CONTACTS);
        let (of_ids, names): (Vec<&str>, Vec<&str>) = rows.into_iter().unzip();
        let attributes = of(&[Column::new("contact_id".into(), of_ids), Column::new("attribute".into(), names)], &ATTRIBUTES);
        Batch::new(contacts, attributes, SUBSCRIPTIONS.empty()).unwrap()
    }

    fn rows(frame: &DataFrame, columns: &[&str]) -> Vec<String> {
        let row = |row: usize| columns.iter().map(|name| text(frame, name).unwrap().get(row).unwrap()).collect::<Vec<_>>().join(" ");
        (0..frame.height()).map(row).collect()
    }

    #[test]
    fn attributes_keep_the_order_of_their_contacts() {
        let all = Batch::of_all(vec![
            batch(&[("c", &["plan", "age"]), ("a", &[]), ("d", &["age"])]),
            batch(&[]),
            batch(&[("b", &["z", "y"])]).only(&[true]).unwrap(),
            batch(&[("f", &["x"]), ("e", &["x"])]).only(&[false, true]).unwrap(),
        ])
        .unwrap();
        let shown = |batch: &Batch| {
            let (contacts, followers) = batch.sorted().unwrap();
            (rows(&contacts, &["contact_id"]).join(","), rows(&followers[0], &["contact_id", "attribute"]).join(","))
        };
        assert_eq!(shown(&all), ("a,b,c,d,e".into(), "b y,b z,c age,c plan,d age,e x".into()));
        let (first, others) = all.split_at(2);
        assert_eq!(shown(&first), ("a,c".into(), "c age,c plan".into()));
        assert_eq!(shown(&others), ("b,d,e".into(), "b y,b z,d age,e x".into()));
    }

    #[test]
    fn where_a_part_ends_does_not_depend_on_batches() {
        let place = tempfile::tempdir().unwrap();
        let contacts: Vec<(&str, &[&str])> =
            vec![("a", &[]), ("b", &["x", "y", "z"]), ("c", &["x"]), ("d", &["x"]), ("e", &[]), ("f", &["x"])];
        let parts = |cuts: &[usize]| {
            let staging = Staging::new(place.path(), "parts").unwrap();
            let mut writer = PartWriter { most_bytes: 2 * ATTRIBUTE_BYTES, ..PartWriter::new(false) };
            let mut from = 0;
            for cut in cuts.iter().copied().chain([contacts.len()]) {
                writer.push(batch(&contacts[from..cut]), &staging).unwrap();
                from = cut;
            }
            writer.finish(&staging).unwrap();
            staging.files().into_iter().map(|file| (file.path, file.rows, file.checksum)).collect::<Vec<_>>()
        };
        let whole = parts(&[]);
        let rows: Vec<u64> = whole.iter().filter(|(path, ..)| path.starts_with("contacts/")).map(|(_, rows, _)| *rows).collect();
        assert_eq!(rows, [2, 2, 2], "each part ends with the contact that fills it");
        for cuts in [&[1][..], &[2], &[3, 4], &[1, 2, 3, 4, 5]] {
            assert_eq!(parts(cuts), whole, "{cuts:?}");
        }
    }

    #[test]
    fn attributes_out_of_order_or_without_a_contact_are_an_error() {
        let Batch { contacts, followers: [attributes, _], .. } = batch(&[("a", &["x"]), ("b", &["x"])]);
        let new = |contacts: DataFrame| Batch::new(contacts, attributes.rows.clone(), SUBSCRIPTIONS.empty());
        assert!(new(contacts.clone()).is_ok() && new(contacts.slice(0, 1)).is_err() && new(contacts.reverse()).is_err());
    }
}
