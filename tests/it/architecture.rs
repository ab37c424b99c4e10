//! Which module may name which: ARCHITECTURE.md as a table, held against the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A module and what it may name with `crate::`.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("disk", &[]),
    ("tls", &[]),
    ("proxy", &["tls"]),
    ("publish", &["disk"]),
    ("table", &["disk", "domain"]),
    ("simulator", &[]),
    ("notify", &["proxy", "tls"]),
    ("rules", &["domain"]),
    ("stats", &[]),
    ("settings", &["domain", "proxy", "rules"]),
    ("privacy", &["domain"]),
    ("intercom", &["domain", "proxy", "tls"]),
    ("census", &["domain", "intercom"]),
    ("tagging", &["domain", "intercom"]),
    ("snapshot", &["domain", "publish", "table"]),
    ("listing", &["disk", "domain", "intercom", "privacy", "publish", "snapshot", "table"]),
    ("history", &["domain", "publish", "rules", "snapshot", "table"]),
    ("analysis", &["domain", "stats", "table"]),
    ("digest", &["analysis", "domain", "table"]),
    ("page", &["analysis", "digest", "domain", "table"]),
    ("report", &["domain", "publish", "snapshot", "table"]),
    (
        "job",
        &[
            "analysis", "digest", "domain", "history", "intercom", "page", "privacy", "publish", "report", "settings", "snapshot", "table",
            "tagging",
        ],
    ),
    ("check", &["domain", "intercom", "job", "privacy", "proxy", "publish", "settings", "snapshot"]),
    (
        "cli",
        &[
            "analysis",
            "census",
            "check",
            "digest",
            "disk",
            "domain",
            "history",
            "intercom",
            "job",
            "listing",
            "notify",
            "privacy",
            "proxy",
            "publish",
            "settings",
            "simulator",
            "snapshot",
            "table",
            "tagging",
        ],
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules of this crate that a line of code names.
fn named(line: &str) -> BTreeSet<&str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()).collect()
}

#[test]
fn no_arrow_points_the_wrong_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in files {
        let relative = path.strip_prefix(&root).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_string();
        if module == "lib" || module == "main" {
            continue;
        }
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: `{module}` is not in the table", relative.display()));
            continue;
        };
        let text = std::fs::read_to_string(&path).unwrap();
        // Tests stand last in a file and may look anywhere.
        for (number, line) in text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate() {
            for name in named(line) {
                seen.insert((module.clone(), name.to_string()));
                if name != module && !allowed.contains(&name) {
                    wrong.push(format!("{}:{}: `{module}` names `{name}`", relative.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that ARCHITECTURE.md does not have:\n{}", wrong.join("\n"));
    // The reading itself works: these arrows are the spine of the program.
    for (from, to) in [("cli", "job"), ("job", "intercom"), ("history", "snapshot"), ("analysis", "table")] {
        assert!(seen.contains(&(from.to_string(), to.to_string())), "`{from}` does not name `{to}`: is this test reading the sources?");
    }
}

#[test]
fn the_table_is_the_one_in_the_document() {
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for (module, _) in MAY_NAME {
        assert!(document.contains(&format!("| `{module}` |")), "ARCHITECTURE.md has no line for `{module}`");
    }
}

#[test]
fn the_simulator_shares_no_name_with_the_client() {
    // The strongest form of the rule: not even the domain's types, so that a misread fact cannot agree with itself.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join("simulator.rs")];
    sources(&root.join("simulator"), &mut files);
    assert!(files.len() > 10);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["crate::domain", "crate::intercom", "cohorts::"] {
            assert!(!text.contains(word), "{} names `{word}`", path.display());
        }
    }
}
