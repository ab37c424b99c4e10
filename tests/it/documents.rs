//! The documents: their links lead to files and headings that exist, the README stays short, and the reference of columns is that of the
//! program (`COHORTS_BLESS=1 cargo test --test it documents` renews it).

use std::path::{Path, PathBuf};

use crate::support::program::cohorts;

const README_BYTES: usize = 10_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].iter().map(|name| root().join(name)).collect();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The lines of a document; those in fenced blocks are empty.
fn prose(path: &Path) -> Vec<String> {
    let mut is_fenced = false;
    let lines = std::fs::read_to_string(path).unwrap();
    let outside = lines.lines().map(|line| {
        is_fenced ^= line.starts_with("```");
        if is_fenced || line.starts_with("```") { "" } else { line }
    });
    outside.map(str::to_string).collect()
}

/// The anchors of a document's headings, as code hosts derive them.
fn anchors(path: &Path) -> Vec<String> {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor =
        |line: &String| line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
    prose(path).iter().filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// The targets of the links in a line: `[text](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

#[test]
fn links_between_documents_lead_somewhere() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        for (number, line) in prose(&document).iter().enumerate() {
            for target in targets(line).filter(|target| !target.contains("://")) {
                seen += 1;
                let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
                let path = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
                if !path.exists() || anchor.is_some_and(|anchor| !anchors(&path).iter().any(|known| known == anchor)) {
                    wrong.push(format!("{}:{}: {target}", document.strip_prefix(root()).unwrap().display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
    assert!(seen > 50, "{seen} links: is this test reading the documents?");
}

#[test]
fn the_readme_is_short() {
    let bytes = std::fs::read(root().join("README.md")).unwrap().len();
    assert!(bytes <= README_BYTES, "README.md has {bytes} bytes, more than {README_BYTES}");
}

#[test]
fn the_reference_of_columns_is_that_of_the_program() {
    let path = root().join("docs/reports.md");
    let printed = cohorts(["schema", "--markdown"]).succeed().stdout;
    if std::env::var_os("COHORTS_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &printed).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap() == printed, "docs/reports.md is not what `cohorts schema --markdown` prints");
}
