//! Links the development build at a fixed address.
//!
//! Its data has 700,000 addresses. In a program that can be loaded anywhere, each start writes them all anew: 8 of the 12 milliseconds of a
//! start, and the tests start the program thousands of times. The release build stays one that can be loaded anywhere.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let is_linux_gnu = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    if is_linux_gnu && variable("PROFILE") == "debug" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
