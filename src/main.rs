use std::process::ExitCode;

fn main() -> ExitCode {
    cohorts::cli::main()
}
