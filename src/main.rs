use std::process::ExitCode;

/// For contacts with large records, jemalloc needs less memory than glibc's allocator. See `docs/performance.md`, "What was chosen by
/// measurement".
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
