//! The keys of settings.

/// The name of the lowest layer.
pub(super) const DEFAULTS_ORIGIN: &str = "the built-in defaults";

/// Every key of a layer, as `section.key`. The keys of a job have no section.
pub(super) const KEYS: &[&str] = &[
    "intercom.region",
    "intercom.base_url",
    "intercom.api_version",
    "intercom.page_size",
    "intercom.max_concurrency",
    "intercom.rate_share",
    "intercom.request_timeout",
    "intercom.give_up_after",
    "intercom.token_file",
    "output.dir",
    "output.formats",
    "completeness.tolerance",
    "privacy.identifiers",
    "privacy.drop",
    "privacy.hash_key_file",
    "notify.url",
    "name",
    "timezone",
    "tags",
    "segments",
    "population",
    "conversations",
    "opened_at_least",
    "profile",
    "missing",
    "grace",
    "tag_history",
    "rules",
    "max_tag_change",
    "html_members",
];

/// The most similar known name, if one is similar enough.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.6)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_near_its_key() {
        for (typo, key) in
            [("page_sise", "intercom.page_size"), ("intercom.page_sise", "intercom.page_size"), ("tag", "tags"), ("timezon", "timezone")]
        {
            // A key in the wrong section is compared by its last part too, see `layers`.
            let known = KEYS.iter().copied().map(|key| if typo.contains('.') { key } else { key.rsplit('.').next().unwrap() });
            assert_eq!(nearest(typo, known), Some(if typo.contains('.') { key } else { key.rsplit('.').next().unwrap() }));
        }
        assert_eq!(nearest("zzzz", KEYS.iter().copied()), None);
    }

    #[test]
    fn the_default_file_documents_every_key() {
        let file = include_str!("../../../config/default.toml");
        for key in KEYS {
            let last = key.rsplit('.').next().unwrap();
            assert!(file.contains(&format!("{last} = ")), "config/default.toml does not mention `{key}`");
        }
    }
}
