//! The client's decoders over recorded bodies: the fuzzer's seeds, and what it found. (`cargo fuzz run page` in `fuzz/`
//! goes on from the seeds; what it finds goes to `fuzz/regressions/`.)

use std::path::Path;

use intercom::DECODERS;

use crate::support::tree::{Tree, tree};

fn bodies(folder: &str) -> Tree {
    tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder))
}

/// Files are named after the decoder that they are for: `v2-contacts.some-words.json`.
#[test]
fn every_seed_is_read_by_its_decoder() {
    let seeds = bodies("corpus/page");
    for (decoder, decode) in DECODERS {
        let mut own = seeds.iter().filter(|(name, _)| name.split('.').next() == Some(decoder)).peekable();
        assert!(own.peek().is_some(), "no seed for `{decoder}`");
        for (name, body) in own {
            let rows = decode(body);
            assert!(rows.as_ref().is_ok_and(|rows| *rows > 0), "{name}: {rows:?}");
        }
    }
}

/// What once was wrong, and bodies like it: each ends with rows or an error, in no time and without a panic.
#[test]
fn what_the_fuzzer_found_does_no_harm() {
    let found = bodies("regressions");
    assert!(found.len() >= 10);
    for (name, body) in found {
        for (decoder, decode) in DECODERS {
            let rows = decode(&body);
            assert!(rows.as_ref().map_or(true, |rows| *rows <= body.len()), "{decoder} of {name}: {rows:?}");
            if name.starts_with("refused.") {
                assert!(rows.is_err(), "{decoder} of {name}: {rows:?}");
            }
        }
    }
}
