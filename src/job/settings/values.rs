//! The current values, as text. None of them is secret: the token is not a setting, an address with a user name or a password is
//! refused, and for a webhook only the host is shown.

use std::time::Duration;

use super::token::shown_path;
use super::{Format, Identifiers, Missing, Population, Settings, TagHistory};
use domain::GroupKind;

/// A key, its value, and the layer that the value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    pub key: &'static str,
    pub value: String,
    pub origin: String,
}

/// The origin of a value that is in no layer.
pub(super) fn origin_of_default<'a>(key: &str, defaults: &'a str) -> &'a str {
    match key {
        "intercom.base_url" => "intercom.region",
        "name" => "the job file's name",
        _ => defaults,
    }
}

pub(super) fn in_force(settings: &Settings, key: &str) -> String {
    let Settings { intercom, output, completeness, privacy, notify, job, .. } = settings;
    let groups = |kind: GroupKind| list(job.groups.iter().filter(|group| group.kind == kind).map(|group| format!("{:?}", group.text)));
    match key {
        "intercom.region" => intercom.region.clone(),
        "intercom.base_url" => intercom.base_url.clone(),
        "intercom.api_version" => intercom.api_version.clone(),
        "intercom.page_size" => intercom.page_size.to_string(),
        "intercom.max_concurrency" => intercom.max_concurrency.to_string(),
        "intercom.rate_share" => intercom.rate_share.to_string(),
        "intercom.request_timeout" => duration(intercom.request_timeout),
        "intercom.give_up_after" => duration(intercom.give_up_after),
        "intercom.token_file" => intercom.token_file.as_ref().map_or("not set".to_string(), |path| shown_path(path)),
        "output.dir" => output.dir.display().to_string(),
        "output.formats" => list(output.formats.iter().map(|format| match format {
            Format::Parquet => "parquet".to_string(),
            Format::Csv => "csv".to_string(),
            Format::Html => "html".to_string(),
        })),
        "completeness.tolerance" => completeness.tolerance.to_string(),
        "privacy.identifiers" => match privacy.identifiers {
            Identifiers::Keep => "keep".to_string(),
            Identifiers::Hash => "hash".to_string(),
            Identifiers::Drop => "drop".to_string(),
        },
        "privacy.drop" => list(privacy.drop.iter().map(|name| format!("{name:?}"))),
        "privacy.hash_key_file" => privacy.hash_key_file.as_ref().map_or("not set".to_string(), |path| shown_path(path)),
        "notify.url" => notify.url.as_ref().map_or("not set".to_string(), |url| format!("{}/…", url.host)),
        "name" => job.name.clone(),
        "timezone" => job.timezone.as_ref().map_or("the workspace's own".to_string(), |timezone| timezone.name().to_string()),
        "tags" => groups(GroupKind::Tag),
        "segments" => groups(GroupKind::Segment),
        "population" => match &job.population {
            Population::Everyone => "everyone".to_string(),
            Population::Cohorts => "cohorts".to_string(),
            Population::Group(name) => format!("{}:{}", name.kind, name.text),
        },
        "conversations" => job.conversations.to_string(),
        "opened_at_least" => list(job.opened_at_least.iter().map(u32::to_string)),
        "profile" => list(job.profile.iter().map(|attribute| attribute.label())),
        "missing" => match job.missing {
            Missing::Report => "report".to_string(),
            Missing::Fail => "fail".to_string(),
        },
        "grace" => duration(job.grace),
        "tag_history" => match job.tag_history {
            TagHistory::Current => "current".to_string(),
            TagHistory::AppliedAt => "applied_at".to_string(),
        },
        "rules" => list(job.rules.iter().map(|rule| match &rule.apply_tag {
            Some(tag) => format!("{} → tag {tag:?}", rule.rule.name),
            None => rule.rule.name.clone(),
        })),
        "max_tag_change" => job.max_tag_change.to_string(),
        "html_members" => job.html_members.to_string(),
        // A test goes through all keys.
        _ => String::new(),
    }
}

fn list(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    if values.is_empty() { "none".to_string() } else { values.join(", ") }
}

fn duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use crate::settings::keys::KEYS;
    use crate::settings::{JobSource, Sources, survey};

    fn survey_of(text: &str) -> crate::settings::Survey {
        let job = Some(JobSource::Text { label: "the job".to_string(), text: text.to_string() });
        survey(&Sources { job, ..Sources::default() }).unwrap()
    }

    #[test]
    fn every_key_has_a_value_and_an_origin() {
        let survey = survey_of("timezone = \"Europe/Dublin\"\ntags = [\"VIP\"]\n[intercom]\napi_version = \"1.4\"\nregion = \"eu\"");
        assert_eq!(survey.findings, []);
        assert_eq!(survey.values.iter().map(|value| value.key).collect::<Vec<_>>(), KEYS);
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
    fn all_findings_are_told_at_once() {
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
    fn a_section_that_is_no_section_is_told_once() {
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
    fn an_address_with_a_password_is_refused_without_telling_it() {
        for address in
            ["https://me:s3cret@api.intercom.io", "https://s3cret@x", "me:s3cret@x", "https://x?token=s3cret", "https://x#s3cret"]
        {
            let survey = survey_of(&format!("[intercom]\nbase_url = \"{address}\""));
            let shown = format!("{:?}", (&survey.findings, &survey.values));
            assert!(survey.findings.iter().any(|finding| finding.key == "intercom.base_url"), "{shown}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn of_a_webhook_only_the_host_is_told() {
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
}
