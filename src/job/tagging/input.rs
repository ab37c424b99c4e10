//! Reads a CSV file with contacts, companies or conversations.

use std::io::Read;

use domain::{MakeReference, Reference};

/// The columns that name a contact, a company or a conversation, the most reliable first. Each column has several names. They are
/// compared in lower case, without spaces, `-` and `_`.
const COLUMNS: [(&[&str], MakeReference); 5] = [
    (&["id", "contactid"], Reference::ContactId),
    (&["userid", "externalid"], Reference::ExternalId),
    (&["email", "emailaddress"], Reference::Email),
    (&["companyid"], Reference::CompanyId),
    (&["conversationid"], Reference::ConversationId),
];
/// Column separators of spreadsheets, depending on their locale.
const DELIMITERS: [u8; 4] = *b",;\t|";
/// This text is appended to the file as a last row. If a quotation mark is never closed, that row is not found at the end.
const END: &str = "the end of the file";

/// One contact, company or conversation to change, as given.
#[derive(Clone, Debug)]
pub struct Item {
    /// The number of the row in a spreadsheet, in which the header is row 1; `None` if the item is from the command line.
    pub row: Option<u64>,
    /// The contact, company or conversation, or why the row cannot be used.
    pub given: Result<Reference, String>,
}

#[derive(Debug)]
pub struct Input {
    pub items: Vec<Item>,
    /// Columns that are not used.
    pub ignored: Vec<String>,
    /// The number of rows that name a company or a conversation and no contact, in a file that has columns for contacts. The company or
    /// conversation of such a row is used.
    pub others_among_people: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    #[error("it is empty; the first row names the columns")]
    Empty,
    #[error("it has a header and no row")]
    NoRow,
    #[error("it is UTF-16 text; save it as CSV UTF-8")]
    Utf16,
    #[error("its first row names none of the columns id, user_id, email, company_id, conversation_id; it names {}", .0.join(", "))]
    Header(Vec<String>),
    #[error("it names {0} twice")]
    Twice(String),
    #[error("the quotation mark that opens in row {0} is never closed: the rows after it cannot be read")]
    Unclosed(u64),
}

/// Reads a CSV file. A row uses the first column of `COLUMNS` that is not empty in it.
pub fn read(mut file: impl Read) -> Result<Input, InputError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(InputError::Utf16);
    }
    let bytes = with_plain_line_breaks(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    let bytes = bytes.as_slice();
    let header = |delimiter: u8| -> Vec<String> {
        let first = rows(bytes, delimiter).next().map(|(_, record)| record).unwrap_or_default();
        first.iter().map(|name| printable(&String::from_utf8_lossy(name))).collect()
    };
    let first = header(DELIMITERS[0]);
    if first.iter().all(String::is_empty) || first == [END] {
        return Err(InputError::Empty);
    }
    let delimiter = DELIMITERS.into_iter().find(|delimiter| header(*delimiter).iter().any(|name| known(name).is_some()));
    let delimiter = delimiter.ok_or(InputError::Header(first))?;
    let names = header(delimiter);
    let mut columns: Vec<(usize, MakeReference)> = Vec::new();
    for (kind, (_, reference)) in COLUMNS.iter().enumerate() {
        let mut places = names.iter().enumerate().filter(|(_, name)| known(name) == Some(kind));
        if let Some((place, _)) = places.next() {
            columns.push((place, *reference));
        }
        if let Some((_, name)) = places.next() {
            return Err(InputError::Twice(name.clone()));
        }
    }
    let mut records: Vec<(u64, csv::ByteRecord)> = rows(bytes, delimiter).skip(1).collect();
    match records.pop() {
        Some((_, last)) if last.len() == 1 && last.get(0) == Some(END.as_bytes()) => {}
        Some((row, _)) => return Err(InputError::Unclosed(row)),
        // The open quotation mark is in the header.
        None => return Err(InputError::Unclosed(1)),
    }
    if records.is_empty() {
        return Err(InputError::NoRow);
    }
    let items: Vec<Item> = records.iter().map(|(row, record)| Item { row: Some(*row), given: named(record, &columns) }).collect();
    let is_other = |reference: &Reference| matches!(reference, Reference::CompanyId(_) | Reference::ConversationId(_));
    let has_people = columns.iter().any(|(_, reference)| !is_other(&reference(String::new())));
    let others = items.iter().filter(|item| item.given.as_ref().is_ok_and(is_other)).count();
    let others_among_people = if has_people { others } else { 0 };
    let ignored = names.into_iter().filter(|name| known(name).is_none() && !name.is_empty()).collect();
    Ok(Input { items, ignored, others_among_people })
}

/// Replaces `\r\n` by `\n`. The CSV reader counts lines by `\n`. It would read the `\n` of `\r\n` only with the next record, which makes
/// the row numbers wrong.
fn with_plain_line_breaks(bytes: &[u8]) -> Vec<u8> {
    let next = bytes.iter().skip(1).map(Some).chain([None]);
    bytes.iter().zip(next).filter(|(byte, next)| !(**byte == b'\r' && *next == Some(&b'\n'))).map(|(byte, _)| *byte).collect()
}

/// Which of the columns has this name.
fn known(name: &str) -> Option<usize> {
    let plain: String = name.to_lowercase().chars().filter(|c| !matches!(c, ' ' | '-' | '_')).collect();
    COLUMNS.iter().position(|(names, _)| names.contains(&plain.as_str()))
}

/// The records of a file and [`END`], with row numbers as in a spreadsheet. Empty lines count, although the reader skips them. A
/// cell with several lines is one row.
fn rows(bytes: &[u8], delimiter: u8) -> impl Iterator<Item = (u64, csv::ByteRecord)> {
    let end = format!("\n{END}\n");
    let whole = bytes.chain(std::io::Cursor::new(end));
    // Rows may be shorter or longer than the header.
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(whole);
    let (mut row, mut line) = (0, 1);
    std::iter::from_fn(move || {
        let mut record = csv::ByteRecord::new();
        // The text is in memory and rows may have any length, so reading never fails.
        if !reader.read_byte_record(&mut record).unwrap_or(false) {
            return None;
        }
        let lines = 1 + record.iter().flatten().filter(|byte| **byte == b'\n').count() as u64;
        let next = reader.position().line();
        row += 1 + next.saturating_sub(line).saturating_sub(lines);
        line = next;
        Some((row, record))
    })
}

fn named(record: &csv::ByteRecord, columns: &[(usize, MakeReference)]) -> Result<Reference, String> {
    for (place, reference) in columns {
        let text = std::str::from_utf8(record.get(*place).unwrap_or_default());
        let text = plain(trimmed(text.map_err(|_| "it is not UTF-8 text; save the file as CSV UTF-8".to_string())?));
        if text.chars().any(char::is_control) {
            return Err("it contains a line break or another control character".to_string());
        }
        if !text.is_empty() {
            return Ok(reference(text.to_string()));
        }
    }
    Err("it is empty".to_string())
}

/// The text without invisible characters around it.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200d}' | '\u{feff}' | '\0'))
}

fn printable(text: &str) -> String {
    trimmed(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text without the `'` that prevents a spreadsheet from running it as a formula. This program's own CSV has such a `'`.
fn plain(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row with its column and value, or why it cannot be used.
    type Row = (u64, Result<(&'static str, String), String>);

    fn given(text: &str) -> Vec<Row> {
        let items = read(text.as_bytes()).unwrap().items.into_iter();
        items.map(|item| (item.row.unwrap(), item.given.map(|given| (given.by(), given.text().to_string())))).collect()
    }

    fn ok(row: u64, by: &'static str, text: &str) -> Row {
        (row, Ok((by, text.to_string())))
    }

    #[test]
    fn a_row_uses_its_most_reliable_column() {
        let text =
            "\u{feff}Name,E-MAIL,contact_id,External ID\r\n\"A, b\",a@b.example,667d,7\r\n,a@b.example,,7\r\n,\"'+a@b.example\",,\r\n";
        assert_eq!(given(text), [ok(2, "id", "667d"), ok(3, "user_id", "7"), ok(4, "email", "+a@b.example")]);
        assert_eq!(read(text.as_bytes()).unwrap().ignored, ["Name"]);
        assert_eq!(given("company_id;plan\nacme-1;pro\n"), [ok(2, "company_id", "acme-1")]);
        assert_eq!(given("User ID\tplan\n\u{200b} 7\u{a0}\tpro"), [ok(2, "user_id", "7")]);
        assert_eq!(given("Conversation ID,email\n5,\n6,a@b.example\n"), [ok(2, "conversation_id", "5"), ok(3, "email", "a@b.example")]);
        assert_eq!(read(&b"email,company_id,conversation_id\na@b.example,1\n,2\n,,3\n"[..]).unwrap().others_among_people, 2);
        assert_eq!(read(&b"company_id,conversation_id\n1,\n,2\n"[..]).unwrap().others_among_people, 0);
    }

    #[test]
    fn rows_are_counted_as_a_spreadsheet_counts_them() {
        for end in ["\n", "\r\n"] {
            let text = ["note,id", "\"of two", "lines\",a", "", "", "x,b", ",c", ""].join(end);
            assert_eq!(given(&text), [ok(2, "id", "a"), ok(5, "id", "b"), ok(6, "id", "c")], "{end:?}");
            let text = ["", "", "id", "a", "", "b"].join(end);
            assert_eq!(given(&text), [ok(4, "id", "a"), ok(6, "id", "b")], "{end:?}");
        }
    }

    #[test]
    fn an_unusable_row_is_reported_and_the_others_are_used() {
        let empty = |row: u64| (row, Err("it is empty".to_string()));
        assert_eq!(given("id,email\n,\n667d\n,x"), [empty(2), ok(3, "id", "667d"), ok(4, "email", "x")]);
        let two_lines = &given("email\n\"a@b.example\nc@d.example\"\ne@f.example\n");
        assert!(
            two_lines[0].1.as_ref().unwrap_err().contains("line break") && two_lines[1] == ok(3, "email", "e@f.example"),
            "{two_lines:?}"
        );
        let latin = read(&b"email\nm\xfcller@example.com\n"[..]).unwrap();
        assert!(latin.items[0].given.as_ref().unwrap_err().contains("save the file as CSV UTF-8"));
    }

    #[test]
    fn a_file_that_cannot_be_read_whole_is_refused() {
        for (text, expected) in [
            ("", "it is empty; the first row names the columns"),
            ("\n\n", "it is empty; the first row names the columns"),
            ("email\n", "it has a header and no row"),
            (
                "mail,who\na,b\n",
                "its first row names none of the columns id, user_id, email, company_id, conversation_id; it names mail, who",
            ),
            ("id,ID\na,b\n", "it names ID twice"),
            ("id,note\na,ok\nb,\"oops\nc,ok\n", "the quotation mark that opens in row 3 is never closed: the rows after it cannot be read"),
            ("id,\"note\na,ok\n", "the quotation mark that opens in row 1 is never closed: the rows after it cannot be read"),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), expected, "{text:?}");
        }
        assert!(matches!(read(&b"\xff\xfei\0d\0"[..]), Err(InputError::Utf16)));
    }
}
