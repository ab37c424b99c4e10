//! The client's decoders, for the fuzzer: the program's own sources, without Polars.
#![allow(dead_code, unused_imports, clippy::all)]

pub mod domain;
pub mod intercom;
pub mod proxy;
pub mod tls;
