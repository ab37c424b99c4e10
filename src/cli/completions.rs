use clap::CommandFactory;

use super::arguments::{Cli, Completions};
use super::failure::Failure;
use super::stdout;

pub(super) fn run(arguments: &Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "cohorts", &mut script);
    stdout::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
