//! One number as programs of several languages send it: one value in every table.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::job::{Job, Place, texts};
use crate::support::program::{ask, run};
use crate::support::simulator::Simulator;
use crate::support::truth::JULY;
use crate::support::{TOKEN, http};

const TAG: &str = "tag:1400074";

/// A number's texts in JSON, and its text in tables.
const FORMS: [(&[&str], &str); 7] = [
    (&["49", "49.0", "4.9e1", "4.9E+1"], "49"),
    (&["0", "0.0", "-0.0", "-0"], "0"),
    (&["-7.5", "-75e-1"], "-7.5"),
    (&["1e21", "1000000000000000000000", "1E+21"], "1e21"),
    (&["10000000000000000", "1e16"], "10000000000000000"),
    (&["12345678901234567890"], "12345678901234567890"),
    (&["9007199254740993"], "9007199254740993"),
];

#[test]
fn a_number_is_one_value_however_it_was_written() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let is_user = |contact: &Value| contact["role"] == "user";
    let users: Vec<Value> = simulator.contacts().into_iter().filter(is_user).collect();
    let tagged = simulator.members(TAG);
    let (members, others): (Vec<String>, Vec<String>) =
        users.iter().map(|user| user["id"].as_str().unwrap().to_string()).partition(|id| tagged.contains(id));
    let forms: Vec<(&str, &str)> = FORMS.iter().flat_map(|(forms, text)| forms.iter().map(|form| (*form, *text))).collect();
    let headers = [("Authorization", format!("Bearer {TOKEN}")), ("Intercom-Version", "1.4".to_string())];
    let headers = headers.map(|(name, value)| (name.to_string(), value));
    let written: Vec<(String, (&str, &str))> = others.iter().take(20).chain(&members).cloned().zip(forms.iter().copied().cycle()).collect();
    for (id, (form, _)) in &written {
        let body = format!(r#"{{"id": "{id}", "custom_attributes": {{"fees": {form}}}}}"#);
        let answer = http::send(simulator.address(), "POST", "/users", &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
    // The simulator keeps the forms.
    let kept: BTreeSet<String> = simulator.contacts().iter().map(|contact| contact["custom_attributes"]["fees"].to_string()).collect();
    assert!(kept.contains("49") && kept.contains("49.0") && kept.contains("-0.0"), "{kept:?}");

    let expected: BTreeSet<&str> = FORMS.iter().map(|(_, text)| *text).collect();
    for version in ["1.4", "2.14"] {
        let place = Place::new();
        let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["VIP"]), ..Job::empty() };
        let job = job.with_top("conversations = false").with_top("profile = [\"custom_attributes.fees\"]");
        let rule = "[[rules]]\nname = \"fees\"\nwhere = \"custom_attributes.fees = '49'\"";
        let file = place.job(&job.with_intercom(format!("api_version = \"{version}\"")).with_section(rule), &simulator.base_url);
        run(&file, &["--as-of", JULY.as_of]).succeed();

        let mut stored = place.snapshot_table(JULY.name, "attributes").rows_by_name();
        stored.retain(|row| row["attribute"].shown() == "fees");
        let texts: BTreeSet<String> = stored.iter().map(|row| row["value"].shown()).collect();
        assert_eq!(texts, expected.iter().map(|text| text.to_string()).collect(), "{version}");
        assert!(stored.iter().all(|row| row["value_number"].shown() != "-0"));

        let profile = place.report(JULY.name, "attribute_profile").rows_by_name();
        let of_tag = profile.iter().filter(|row| row["cohort_key"].shown() == TAG && row["value"].shown() != "(unknown)");
        let reported: BTreeSet<String> = of_tag.map(|row| row["value"].shown()).collect();
        assert_eq!(reported, texts, "{version}");
        let counted = |text: &str| written.iter().filter(|(id, (_, of))| *of == text && members.contains(id)).count();
        for (_, text) in FORMS {
            let row = profile.iter().find(|row| row["value"].shown() == text && row["cohort_key"].shown() == TAG).unwrap();
            assert_eq!(row["members"].shown(), counted(text).to_string(), "{text} on {version}");
        }
        let values: BTreeSet<String> = place.report(JULY.name, "member_attributes").texts("value").into_iter().collect();
        assert!(values.iter().all(|value| value.is_empty() || texts.contains(value)), "{values:?}");
        // A condition that compares with a text finds every form.
        let rows = place.report(JULY.name, "cohort_summary").rows_by_name();
        let rule = rows.iter().find(|row| row["cohort_key"].shown() == "rule:fees").unwrap();
        assert_eq!(rule["members"].shown(), written.iter().filter(|(_, (_, of))| *of == "49").count().to_string());

        let listed = ask(&simulator.base_url, version, ["members", "tag:VIP", "--format", "jsonl"]).succeed().stdout;
        let fees = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["custom_attributes"]["fees"].clone());
        let fees: BTreeSet<String> = fees.filter(|fees| !fees.is_null()).map(|fees| fees.to_string()).collect();
        assert!(fees.contains("49") && fees.contains("0") && !fees.iter().any(|text| text.ends_with(".0")), "{fees:?}");
    }
}
