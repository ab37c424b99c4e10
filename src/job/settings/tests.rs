//! What is read from the layers, and what is reported.

use super::setting::nearest;
use super::{JobSource, Sources, all, survey};

fn survey_of(text: &str) -> super::Survey {
    let job = Some(JobSource::Text { label: "the job".to_string(), text: text.to_string() });
    survey(&Sources { job, ..Sources::default() }).unwrap()
}

#[test]
fn every_key_has_a_value_and_an_origin() {
    let survey = survey_of("timezone = \"Europe/Dublin\"\ntags = [\"VIP\"]\n[intercom]\napi_version = \"1.4\"\nregion = \"eu\"");
    assert_eq!(survey.findings, []);
    assert_eq!(survey.values.iter().map(|value| value.key).collect::<Vec<_>>(), all().map(|setting| setting.key).collect::<Vec<_>>());
    assert!(survey.values.iter().all(|value| !value.value.is_empty()), "{:?}", survey.values);
    let shown = |key: &str| {
        let value = survey.values.iter().find(|value| value.key == key).unwrap();
        (value.value.as_str(), value.origin.as_str())
    };
    assert_eq!(shown("timezone"), ("Europe/Dublin", "the job"));
    assert_eq!(shown("tags"), ("\"VIP\"", "the job"));
    assert_eq!(shown("intercom.base_url"), ("https://api.eu.intercom.io", "intercom.region"));
    assert_eq!(shown("intercom.page_size"), ("60", "the built-in defaults"), "in force, since 1.x has no larger pages");
    assert_eq!(shown("grace"), ("3days", "the built-in defaults"));
}

#[test]
fn all_findings_are_reported_at_once() {
    let survey = survey_of(
        "tgas = []\ntimezone = \"Europe/Dubln\"\nconversations = \"perhaps\"\nopened_at_least = \"five\"\n[intercom]\npage_size = [1]\nregion = \"mars\"",
    );
    let keys: Vec<&str> = survey.findings.iter().map(|finding| finding.key.as_str()).collect();
    for key in ["tgas", "timezone", "conversations", "opened_at_least", "intercom.page_size", "intercom.region"] {
        assert_eq!(keys.iter().filter(|found| **found == key).count(), 1, "{key}: {:?}", survey.findings);
        assert!(!survey.values.iter().any(|value| value.key == key), "{key}");
    }
    assert_eq!(keys.len(), 6, "{:?}", survey.findings);
    assert!(!survey.is_certain_of("intercom") && survey.is_certain_of("output.dir"));
}

#[test]
fn a_number_is_taken_as_it_is_written_or_not_at_all() {
    for wrong in [
        "max_concurrency = 1.5",
        "max_concurrency = true",
        "page_size = 149.9",
        "page_size = \"1e2\"",
        "rate_share = true",
        "rate_share = \"half\"",
    ] {
        let key = format!("intercom.{}", wrong.split(' ').next().unwrap());
        let survey = survey_of(&format!("[intercom]\n{wrong}"));
        assert_eq!(survey.findings.iter().map(|finding| &finding.key).collect::<Vec<_>>(), [&key], "{wrong}");
    }
    for wrong in ["opened_at_least = [2.5]", "max_tag_change = true", "[completeness]\ntolerance = false"] {
        assert_eq!(survey_of(wrong).findings.len(), 1, "{wrong}");
    }
    let survey = survey_of("opened_at_least = [\"2\", 3]\nmax_tag_change = 1\n[intercom]\npage_size = \"40\"\nrate_share = \"0.25\"");
    assert_eq!(survey.findings, [], "a number in quotes is one");
    let shown = |key: &str| survey.values.iter().find(|value| value.key == key).unwrap().value.clone();
    assert_eq!(["intercom.page_size", "intercom.rate_share", "max_tag_change"].map(shown), ["40", "0.25", "1"]);
}

#[test]
fn a_section_that_is_no_section_is_reported_once() {
    let survey = survey_of("intercom = 5\n[completeness]\ntolerance = 7");
    let keys: Vec<&str> = survey.findings.iter().map(|finding| finding.key.as_str()).collect();
    assert_eq!(keys, ["intercom", "completeness.tolerance"]);
}

#[test]
fn what_a_finding_is_not_about_is_certain() {
    let survey = survey_of("grace = \"long\"\n[intercom]\npage_size = 1000");
    assert!(survey.is_certain_of("output.dir") && survey.is_certain_of("intercom.region"));
    assert!(!survey.is_certain_of("intercom") && !survey.is_certain_of("grace"));
    let survey = survey_of("tgas = []\nbase_url = \"https://proxy.example\"");
    assert!(!survey.is_certain_of("tags") && !survey.is_certain_of("intercom"), "that is what they were meant for");
    assert!(survey.is_certain_of("output.dir"));
    assert!(!survey_of("zzzz = 1").is_certain_of("output.dir"), "who knows what it was meant for");
}

#[test]
fn an_address_with_a_password_is_refused_without_showing_it() {
    for address in ["https://me:s3cret@api.intercom.io", "https://s3cret@x", "me:s3cret@x", "https://x?token=s3cret", "https://x#s3cret"] {
        let survey = survey_of(&format!("[intercom]\nbase_url = \"{address}\""));
        let shown = format!("{:?}", (&survey.findings, &survey.values));
        assert!(survey.findings.iter().any(|finding| finding.key == "intercom.base_url"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn of_a_webhook_only_the_host_is_shown() {
    let shown = |text: &str| {
        let survey = survey_of(text);
        let shown = format!("{survey:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        let values = survey.values.iter().filter(|value| value.key == "notify.url").map(|value| value.value.clone());
        (values.collect::<Vec<_>>().concat(), survey.findings)
    };
    assert_eq!(shown("").0, "not set");
    for (url, expected) in [
        ("https://hooks.example/s3cret?key=s3cret#s3cret", "https://hooks.example/…"),
        ("https://hooks.example:8443/s3cret", "https://hooks.example:8443/…"),
        ("http://127.0.0.1:9/s3cret", "http://127.0.0.1:9/…"),
        ("http://[::1]:9/s3cret", "http://[::1]:9/…"),
    ] {
        let (value, findings) = shown(&format!("[notify]\nurl = \"{url}\""));
        assert_eq!((value.as_str(), findings), (expected, Vec::new()), "{url}");
    }
    for text in [
        "[notify]\nurl = \"http://hooks.example/s3cret\"",
        "[notify]\nurl = \"https://me:s3cret@hooks.example/\"",
        "[notify]\nurl = \"https://s3cret@hooks.example/\"",
        "[notify]\nurl = \"ftp://hooks.example/s3cret\"",
        "[notify]\nurl = \"data:s3cret\"",
        "[notify]\nurl = \"hooks.example/s3cret\"",
        "[notify]\nurl = [\"https://hooks.example/s3cret\"]",
        "[notify]\nuri = \"https://hooks.example/s3cret\"",
        "notify = \"https://hooks.example/s3cret\"",
        "url = \"https://hooks.example/s3cret\"",
    ] {
        assert_eq!(shown(text).1.len(), 1, "{text}: {:?}", shown(text).1);
    }
}

#[test]
fn a_line_with_an_address_that_is_no_toml_is_not_quoted() {
    for text in ["[notify]\nurl = https://hooks.example/s3cret", "[notify]\nurl = \"https://hooks.example/s3cret\ngrace = \"3d\""] {
        let job = Some(JobSource::Text { label: "the job".to_string(), text: text.to_string() });
        let survey = survey(&Sources { job, ..Sources::default() }).unwrap();
        let shown = format!("{} {:?}", survey.unread[0], survey.unread);
        assert!(!shown.contains("s3cret") && shown.contains("line 2"), "{shown}");
    }
}

#[test]
fn the_region_is_that_of_the_address_or_the_one_that_is_named() {
    let region = |text: &str| survey_of(&format!("[intercom]\n{text}")).settings.intercom.expected_region;
    assert_eq!(region(""), Some("us"));
    assert_eq!(region("region = \"eu\""), Some("eu"));
    assert_eq!(region("base_url = \"https://api.au.intercom.io/\""), Some("au"));
    assert_eq!(region("base_url = \"https://proxy.example\""), None);
    assert_eq!(region("base_url = \"https://proxy.example\"\nregion = \"eu\""), Some("eu"));
}

#[test]
fn a_typo_is_near_its_key() {
    for (typo, key) in
        [("page_sise", "intercom.page_size"), ("intercom.page_sise", "intercom.page_size"), ("tag", "tags"), ("timezon", "timezone")]
    {
        // A key in the wrong section is compared by its last part too, see `layers`.
        let known = all().map(|setting| setting.key).map(|key| if typo.contains('.') { key } else { key.rsplit('.').next().unwrap() });
        assert_eq!(nearest(typo, known), Some(if typo.contains('.') { key } else { key.rsplit('.').next().unwrap() }));
    }
    assert_eq!(nearest("zzzz", all().map(|setting| setting.key)), None);
}

#[test]
fn the_default_file_documents_every_key() {
    let file = include_str!("../../../config/default.toml");
    for setting in all() {
        let key = setting.key;
        let last = key.rsplit('.').next().unwrap();
        assert!(file.contains(&format!("{last} = ")), "config/default.toml does not mention `{key}`");
    }
}
