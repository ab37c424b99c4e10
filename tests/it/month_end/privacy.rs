//! Who may read what was written, and what is in none of it.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn only_the_owner_reads_what_was_written() {
    fn check(path: &Path) {
        let metadata = fs::symlink_metadata(path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode, if metadata.is_dir() { 0o700 } else { 0o600 }, "{}: {mode:o}", path.display());
        if metadata.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| check(&entry.unwrap().path()));
        }
    }
    check(&four_months().place.output());
}

#[test]
fn neither_the_token_nor_an_address_is_in_a_log_or_manifest() {
    let months = four_months();
    // Once more with everything logged, and with faults, so that there is something to log.
    let month = MONTHS[3];
    let simulator = Simulator::at(month.as_of, &["--faults-at", "4=500,6=half,8=html,9=empty"]);
    let place = Place::new();
    let file = place.job(&crate::support::fixture::job(), &simulator.base_url);
    let loud = run(&file, &["--as-of", month.as_of, "-vv", "--log-format", "json"]).succeed();
    assert!(loud.stderr.len() > 5_000, "{}", loud.stderr);

    let mut texts = vec![loud.stderr, loud.stdout];
    texts.extend(months.runs.iter().flat_map(|run| [run.stderr.clone(), run.stdout.clone()]));
    for folder in [months.job_folder(), place.job_folder()] {
        for (name, bytes) in tree::tree(&folder) {
            assert!(!contains(&bytes, TOKEN.as_bytes()), "the token is in {name}");
            if name.ends_with(".json") {
                texts.push(String::from_utf8(bytes).unwrap());
            }
        }
    }
    let addresses: BTreeSet<&str> =
        months.truths.iter().flat_map(|truth| truth.contacts.values().filter_map(|contact| contact["email"].as_str())).collect();
    assert!(addresses.len() > 100);
    for text in texts {
        assert!(!text.contains(TOKEN), "{text}");
        let found = addresses.iter().find(|address| !address.is_empty() && text.contains(**address));
        assert_eq!(found, None, "{text}");
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
