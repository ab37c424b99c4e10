//! Whatever bytes come as a body: every decoder of pages ends with rows or an error, never with a panic, and never with
//! more rows than the body has bytes.
#![no_main]

use intercom::DECODERS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for (name, decode) in DECODERS {
        if let Ok(rows) = decode(body) {
            assert!(rows <= body.len(), "{name}: {rows} rows of {} bytes", body.len());
        }
    }
});
