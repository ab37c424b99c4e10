//! Snapshots of older versions of this program, in which one number has several texts.

use super::*;
use crate::rules::{Condition, FACTS, Rule};
use archive::table::write_parquet;
use domain::Number;

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

impl Place {
    /// Publishes the month's snapshot with these texts of the contacts' `fees`, and builds its history.
    fn observe_with_texts(&mut self, month: &str, members: &[&str], texts: &[&str]) -> &Observed {
        let fees = |name: &&str| with(user(name), "fees", AttributeValue::Number(Number::from(49_u64)));
        let contacts = NAMES.iter().map(fees).collect();
        let snapshot = self.snapshot(&Observation::of(month, contacts, vec![("tag:1", members.to_vec())]));
        let [path] = &snapshot.files_of(&ATTRIBUTES).unwrap()[..] else { panic!("one part") };
        let rows = archive::table::read_file(path, &ATTRIBUTES, None).unwrap();
        let numbers: Vec<Option<f64>> = texts.iter().map(|text| text.trim_matches('\'').parse().ok()).collect();
        let kinds: Vec<&str> = texts.iter().map(|text| if text.starts_with('\'') { "text" } else { "number" }).collect();
        let numbers: Vec<Option<f64>> =
            numbers.into_iter().zip(&kinds).map(|(number, kind)| number.filter(|_| *kind == "number")).collect();
        let texts: Vec<&str> = texts.iter().map(|text| text.trim_matches('\'')).collect();
        let columns =
            vec![Column::new("value".into(), texts), Column::new("value_number".into(), numbers), Column::new("value_type".into(), kinds)];
        let rows = rows.drop_many(["value", "value_number", "value_type"]).hstack(&columns).unwrap();
        let (archive, month) = (self.archive(), snapshot.manifest.month().unwrap());
        let folder = std::path::PathBuf::from(archive.location_of(Section::Snapshots, month));
        let staging = archive.stage(Section::Snapshots, month).unwrap();
        for file in &snapshot.manifest.files {
            let place = staging.place(&file.path).unwrap();
            if file.path.starts_with("attributes/") {
                write_parquet(&rows, &ATTRIBUTES, &place).unwrap();
            } else {
                std::fs::copy(folder.join(&file.path), &place).unwrap();
            }
            staging.list(&file.path, file.rows).unwrap();
        }
        let manifest = Manifest { files: staging.files(), ..snapshot.manifest };
        archive.publish_snapshot(month, staging, manifest).unwrap();
        let snapshot = archive.snapshot(month).unwrap().unwrap();
        self.follow(snapshot)
    }
}

#[test]
fn every_reader_of_a_snapshot_reads_one_value_for_each_number() {
    let mut place = Place::new();
    let fees = ProfileEntry { attribute: "custom_attributes.fees".to_string(), custom_name: Some("fees".to_string()) };
    place.definitions.profile = vec![fees];
    let condition = |name: &str, text: &str| Rule { name: name.into(), condition: Condition::parse(text, FACTS, &[]).unwrap() };
    place.definitions.rules =
        vec![condition("by-text", "custom_attributes.fees = '49'"), condition("by-number", "custom_attributes.fees = 0")];
    // The last value is a text that looks like a number.
    place.observe_with_texts("2026-01", &["a", "c"], &["49.0", "49", "-0.0", "1e16", "1e+21", "9007199254740993", "'99.0'"]);
    let rows = ["49", "49.0", "0.0", "10000000000000000", "1e21", "9007199254740993", "'99.0'"];
    let february = place.observe_with_texts("2026-02", &["a", "b", "c"], &rows);
    check(
        february,
        &PROFILES,
        "
        month    cohort_key      attribute               value              value_number           contacts  numbers
        2026-01  rule:by-number  ''                      -                  -                      1  0
        2026-01  rule:by-number  custom_attributes.fees  0                  0                      1  1
        2026-01  rule:by-text    ''                      -                  -                      2  0
        2026-01  rule:by-text    custom_attributes.fees  49                 49                     2  2
        2026-01  tag:1           ''                      -                  -                      2  0
        2026-01  tag:1           custom_attributes.fees  0                  0                      1  1
        2026-01  tag:1           custom_attributes.fees  49                 49                     1  1
        2026-02  ''              ''                      -                  -                      7  0
        2026-02  ''              custom_attributes.fees  0                  0                      1  1
        2026-02  ''              custom_attributes.fees  10000000000000000  10000000000000000      1  1
        2026-02  ''              custom_attributes.fees  1e21               1000000000000000000000 1  1
        2026-02  ''              custom_attributes.fees  49                 49                     2  2
        2026-02  ''              custom_attributes.fees  9007199254740993   9007199254740992       1  1
        2026-02  ''              custom_attributes.fees  99.0               -                      1  0
        2026-02  rule:by-number  ''                      -                  -                      1  0
        2026-02  rule:by-number  custom_attributes.fees  0                  0                      1  1
        2026-02  rule:by-text    ''                      -                  -                      2  0
        2026-02  rule:by-text    custom_attributes.fees  49                 49                     2  2
        2026-02  tag:1           ''                      -                  -                      3  0
        2026-02  tag:1           custom_attributes.fees  0                  0                      1  1
        2026-02  tag:1           custom_attributes.fees  49                 49                     2  2",
    );
    // The attributes of both months are read as the same texts and numbers.
    let snapshot = |month: &str| place.archive().snapshot(month.parse().unwrap()).unwrap().unwrap();
    let read = |month: &str| snapshot(month).scan(&ATTRIBUTES).unwrap().collect().unwrap();
    assert!(read("2026-01").equals_missing(&read("2026-02")));
}
