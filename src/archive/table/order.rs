use polars::prelude::*;

use super::Table;

/// The texts of a key column are replaced by their ranks if the column has at most this many different texts.
const RANKED_TEXTS: usize = 1 << 16;

/// Sorts the rows by the table's key. Comparing two rows by several columns with texts takes ten times as long as comparing two
/// numbers. So if the key fits into one number, the rows are sorted by that number.
pub fn in_order(mut frame: DataFrame, table: &Table) -> PolarsResult<DataFrame> {
    // A join on few keys may return one chunk for each row, and a sort by several columns looks up the chunk at each comparison.
    frame.rechunk_mut();
    let Some(keys) = one_number(&frame, table.key)? else {
        return frame.sort(table.key.iter().copied(), SortMultipleOptions::default());
    };
    if keys.is_sorted() {
        return Ok(frame);
    }
    frame.take(&Int64Chunked::from_vec("key".into(), keys).arg_sort(SortOptions::default()))
}

/// Each row's key as one number, in the order of the keys; `None` if the keys do not fit.
fn one_number(frame: &DataFrame, key: &[&str]) -> PolarsResult<Option<Vec<i64>>> {
    let mut keys = vec![0_i64; frame.height()];
    let mut range = 1_i64;
    for name in key {
        let Some(ranks) = ranks(frame.column(name)?)? else { return Ok(None) };
        let Some(wider) = range.checked_mul(ranks.range) else { return Ok(None) };
        range = wider;
        for (key, rank) in keys.iter_mut().zip(ranks.of_rows) {
            *key = *key * ranks.range + rank;
        }
    }
    Ok(Some(keys))
}

/// The values of a column as numbers from 0 up to `range` (exclusive), in the same order.
struct Ranks {
    of_rows: Vec<i64>,
    range: i64,
}

fn ranks(column: &Column) -> PolarsResult<Option<Ranks>> {
    if column.null_count() > 0 {
        return Ok(None);
    }
    match column.dtype() {
        DataType::String => Ok(ranks_of_texts(column.str()?)),
        DataType::UInt32 | DataType::Int64 | DataType::Date => {
            Ok(ranks_of_numbers(column.to_physical_repr().cast(&DataType::Int64)?.i64()?))
        }
        _ => Ok(None),
    }
}

fn ranks_of_numbers(numbers: &Int64Chunked) -> Option<Ranks> {
    let (least, greatest) = numbers.min().zip(numbers.max()).unwrap_or_default();
    let range = greatest.checked_sub(least)?.checked_add(1)?;
    Some(Ranks { of_rows: numbers.iter().flatten().map(|number| number - least).collect(), range })
}

fn ranks_of_texts(texts: &StringChunked) -> Option<Ranks> {
    let mut ranks = PlHashMap::<&str, i64>::default();
    for text in texts.iter().flatten() {
        if ranks.len() > RANKED_TEXTS {
            return None;
        }
        ranks.entry(text).or_default();
    }
    let mut sorted: Vec<&str> = ranks.keys().copied().collect();
    sorted.sort_unstable();
    ranks.extend(sorted.into_iter().zip(0..));
    Some(Ranks { of_rows: texts.iter().flatten().map(|text| ranks[text]).collect(), range: ranks.len().max(1) as i64 })
}

#[cfg(test)]
mod tests {
    use super::super::{Column as Entry, Kind};
    use super::*;

    const MEMBERS: Table = Table {
        name: "members",
        row: "a sample",
        key: &["month", "cohort", "contact"],
        columns: &[
            Entry::new("month", Kind::Day, "a day"),
            Entry::new("cohort", Kind::Text, "a text"),
            Entry::new("contact", Kind::Contact, "a number"),
        ],
    };

    /// Unsorted rows with a few months and cohorts, and numbers from `least` on.
    fn members(rows: usize, cohorts: usize, least: i64) -> DataFrame {
        let scattered = |row: usize, of: usize| row.wrapping_mul(7_919) % of;
        let months: Vec<i32> = (0..rows).map(|row| scattered(row, 3) as i32 - 1).collect();
        let names: Vec<String> = (0..rows).map(|row| format!("tag:{}", scattered(row, cohorts))).collect();
        let contacts: Vec<i64> = (0..rows).map(|row| least + scattered(row, rows) as i64).collect();
        let mut frame = df!("month" => months, "cohort" => names, "contact" => contacts).unwrap();
        let month = frame.column("month").unwrap().cast(&DataType::Date).unwrap();
        frame.with_column(month).unwrap();
        frame
    }

    /// Checks that the order is the same as after a sort by the columns, whether the key fits into a number or not.
    fn assert_in_order(frame: &DataFrame, fits: bool) {
        assert_eq!(one_number(frame, MEMBERS.key).unwrap().is_some(), fits);
        let expected = frame.sort(MEMBERS.key.iter().copied(), SortMultipleOptions::default()).unwrap();
        assert!(in_order(frame.clone(), &MEMBERS).unwrap().equals_missing(&expected));
        assert!(in_order(expected.clone(), &MEMBERS).unwrap().equals_missing(&expected));
    }

    #[test]
    fn a_key_that_fits_into_a_number_sorts_as_its_columns_do() {
        assert_in_order(&members(1_000, 11, -3), true);
        assert_in_order(&members(0, 1, 0), true);
        assert_in_order(&members(1, 1, i64::MAX), true);
    }

    #[test]
    fn a_key_that_does_not_fit_is_sorted_by_its_columns() {
        assert_in_order(&members(RANKED_TEXTS + 10, RANKED_TEXTS + 10, 0), false);
        let mut far = members(3, 2, 0);
        far.with_column(Column::new("contact".into(), [i64::MAX, i64::MIN, 0])).unwrap();
        assert_in_order(&far, false);
        let mut unknown = members(3, 2, 0);
        unknown.with_column(Column::new("contact".into(), [Some(2), None, Some(1)])).unwrap();
        assert_in_order(&unknown, false);
    }
}
