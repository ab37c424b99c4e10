//! Whom a file names: a CSV with any of the columns that name somebody.

use std::io::Read;

use crate::domain::{Reference, Referring};

/// The columns that name somebody, the surest first, with their other names.
const COLUMNS: [(&[&str], Referring); 4] = [
    (&["id", "contact_id"], Reference::ContactId),
    (&["user_id", "external_id"], Reference::ExternalId),
    (&["email"], Reference::Email),
    (&["company_id"], Reference::CompanyId),
];
/// What spreadsheets separate columns by, depending on where they stand.
const DELIMITERS: [u8; 3] = *b",;\t";

/// One contact or company to be changed, as it was given.
#[derive(Clone, Debug)]
pub struct Item {
    /// The row of the file, the header being row 1; `None` for one of the command line.
    pub row: Option<u64>,
    /// Or why the row names nobody.
    pub given: Result<Reference, String>,
}

#[derive(Debug)]
pub struct Input {
    pub items: Vec<Item>,
    /// Columns that name nobody.
    pub ignored: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    #[error("it is empty; the first row names the columns")]
    Empty,
    #[error("its first row names none of the columns id, user_id, email, company_id; it names {}", .0.join(", "))]
    Header(Vec<String>),
    #[error("it names {} twice", .0)]
    Twice(&'static str),
}

/// Reads a CSV. A row is named by the first of its columns that holds something.
pub fn read(mut file: impl Read) -> Result<Input, InputError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let header = |delimiter: u8| -> Vec<String> {
        let mut rows = reader(bytes, delimiter).into_byte_records();
        let first = rows.next().and_then(Result::ok).unwrap_or_default();
        first.iter().map(|name| String::from_utf8_lossy(name).trim().to_string()).collect()
    };
    let known = |name: &String| COLUMNS.iter().any(|(names, _)| names.contains(&name.to_lowercase().as_str()));
    let first = header(DELIMITERS[0]);
    if first.iter().all(String::is_empty) {
        return Err(InputError::Empty);
    }
    let delimiter = DELIMITERS.into_iter().find(|delimiter| header(*delimiter).iter().any(known)).ok_or(InputError::Header(first))?;
    let names = header(delimiter);
    let mut columns: Vec<(usize, Referring)> = Vec::new();
    for (aliases, reference) in COLUMNS {
        let mut places = names.iter().enumerate().filter(|(_, name)| aliases.contains(&name.to_lowercase().as_str()));
        if let Some((place, _)) = places.next() {
            columns.push((place, reference));
        }
        if places.next().is_some() {
            return Err(InputError::Twice(aliases[0]));
        }
    }
    let ignored = names.into_iter().filter(|name| !known(name) && !name.is_empty()).collect();
    let rows = reader(bytes, delimiter).into_byte_records().skip(1);
    let items = rows.enumerate().map(|(index, record)| Item {
        row: Some(index as u64 + 2),
        given: record.map_err(|_| "the row cannot be read".to_string()).and_then(|record| named(&record, &columns)),
    });
    Ok(Input { items: items.collect(), ignored })
}

/// Rows as they come, the header among them; short and long ones, too.
fn reader(bytes: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(bytes)
}

fn named(record: &csv::ByteRecord, columns: &[(usize, Referring)]) -> Result<Reference, String> {
    for (place, reference) in columns {
        let text = std::str::from_utf8(record.get(*place).unwrap_or_default()).map_err(|_| "it is not UTF-8 text".to_string())?;
        let text = plain(text.trim());
        if !text.is_empty() {
            return Ok(reference(text.to_string()));
        }
    }
    Err("it names nobody".to_string())
}

/// Without the `'` that keeps a spreadsheet from running a text as a formula, as this program's own CSV has it.
fn plain(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row, and by what it names whom, or why it names nobody.
    type Row = (u64, Result<(&'static str, String), String>);

    fn given(text: &str) -> Vec<Row> {
        let items = read(text.as_bytes()).unwrap().items.into_iter();
        items.map(|item| (item.row.unwrap(), item.given.map(|given| (given.by(), given.text().to_string())))).collect()
    }

    fn ok(row: u64, by: &'static str, text: &str) -> Row {
        (row, Ok((by, text.to_string())))
    }

    #[test]
    fn a_row_is_named_by_the_surest_of_its_columns() {
        let text =
            "\u{feff}Name,EMAIL,contact_id,external_id\r\n\"A, b\",a@b.example,667d,7\r\n,a@b.example,,7\r\n,\"'+a@b.example\",,\r\n";
        assert_eq!(given(text), [ok(2, "id", "667d"), ok(3, "user_id", "7"), ok(4, "email", "+a@b.example")]);
        assert_eq!(read(text.as_bytes()).unwrap().ignored, ["Name"]);
        assert_eq!(given("company_id;plan\nacme-1;pro\n"), [ok(2, "company_id", "acme-1")]);
    }

    #[test]
    fn a_row_that_names_nobody_is_told_and_the_others_stay() {
        let rows = given("id,email\n,\n667d\n,\"x");
        assert_eq!(rows, [(2, Err("it names nobody".to_string())), ok(3, "id", "667d"), ok(4, "email", "x")]);
    }

    #[test]
    fn a_header_without_a_known_column_is_refused() {
        for (text, expected) in [
            ("", "it is empty; the first row names the columns"),
            ("mail,who\na,b\n", "its first row names none of the columns id, user_id, email, company_id; it names mail, who"),
            ("id,ID\na,b\n", "it names id twice"),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), expected);
        }
    }
}
