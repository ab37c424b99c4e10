//! Results go to standard output, everything else to standard error. A pipe that its reader closed early is not a failure.

use std::io::{self, Write};

use super::failure::Failure;

/// Prints a result. Adds a line break at the end if the result has none.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush());
    result(printed)
}

/// Converts the result of printing.
pub(super) fn result(printed: io::Result<()>) -> Result<(), Failure> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::unprinted(error)),
        _ => Ok(()),
    }
}

/// A JSON array with one value a line, for people and for tools that compare lines.
pub(super) fn json_lines(values: &[String]) -> String {
    if values.is_empty() { "[]".to_string() } else { format!("[\n  {}\n]", values.join(",\n  ")) }
}

/// Prints a message. If that fails, there is nowhere to report it.
pub(super) fn print_error(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
