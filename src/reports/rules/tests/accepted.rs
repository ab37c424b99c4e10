use super::*;

#[test]
fn the_rule_of_the_contract() {
    let condition = accepted("conversations_opened >= 5 AND NOT unsubscribed_from_emails");
    assert_eq!(condition.sql(), "(conversations_opened >= 5 AND NOT unsubscribed_from_emails)");
    assert_eq!(condition.references(), []);
}

#[test]
fn logic() {
    becomes(&[
        ("newly_unsubscribed", "newly_unsubscribed"),
        ("(((newly_unsubscribed)))", "newly_unsubscribed"),
        ("TRUE", "TRUE"),
        ("Newly_Unsubscribed and not HAS_HARD_BOUNCED", "(newly_unsubscribed AND NOT has_hard_bounced)"),
        (
            "newly_unsubscribed OR has_hard_bounced AND marked_email_as_spam",
            "(newly_unsubscribed OR (has_hard_bounced AND marked_email_as_spam))",
        ),
        (
            "(newly_unsubscribed OR has_hard_bounced) AND marked_email_as_spam",
            "((newly_unsubscribed OR has_hard_bounced) AND marked_email_as_spam)",
        ),
        (
            "newly_unsubscribed AND (has_hard_bounced AND marked_email_as_spam)",
            "(newly_unsubscribed AND has_hard_bounced AND marked_email_as_spam)",
        ),
        ("NOT (newly_unsubscribed OR has_hard_bounced)", "NOT (newly_unsubscribed OR has_hard_bounced)"),
        ("NOT NOT newly_unsubscribed", "NOT (NOT newly_unsubscribed)"),
        ("NOT role = 'user'", "NOT (role = 'user')"),
        ("newly_unsubscribed = FALSE", "newly_unsubscribed = FALSE"),
        ("newly_unsubscribed <> has_hard_bounced", "newly_unsubscribed <> has_hard_bounced"),
        ("(conversations_opened > 1) = (country = 'IE')", "(conversations_opened > 1) = (country = 'IE')"),
        ("newly_unsubscribed IN (TRUE, FALSE)", "newly_unsubscribed IN (TRUE, FALSE)"),
    ]);
}

#[test]
fn flags_that_are_never_null() {
    becomes(&[
        ("has_hard_bounced IS TRUE", "COALESCE(has_hard_bounced, FALSE)"),
        ("has_hard_bounced IS NOT TRUE", "NOT COALESCE(has_hard_bounced, FALSE)"),
        ("has_hard_bounced IS FALSE", "NOT COALESCE(has_hard_bounced, TRUE)"),
        ("has_hard_bounced IS NOT FALSE", "COALESCE(has_hard_bounced, TRUE)"),
        ("(conversations_opened > 1) IS TRUE", "COALESCE(conversations_opened > 1, FALSE)"),
        ("has_hard_bounced IS NULL", "has_hard_bounced IS NULL"),
        ("conversations_opened + 1 IS NOT NULL", "(conversations_opened + 1) IS NOT NULL"),
    ]);
}

#[test]
fn numbers() {
    becomes(&[
        ("conversations_opened <> 5", "conversations_opened <> 5"),
        ("conversations_opened != 5", "conversations_opened <> 5"),
        ("5 < conversations_opened", "5 < conversations_opened"),
        ("conversations_opened > 1e3", "conversations_opened > 1000"),
        ("conversations_opened > 1e300", &format!("conversations_opened > 1{}.0", "0".repeat(300))),
        ("conversations_opened > .5", "conversations_opened > 0.5"),
        ("conversations_opened > -5", "conversations_opened > -5"),
        ("conversations_opened > - -5", "conversations_opened > 5"),
        ("conversations_opened - -5 > 0", "conversations_opened - (-5) > 0"),
        ("conversations_opened - (-conversations_opened) > 0", "conversations_opened - (-conversations_opened) > 0"),
        ("- - conversations_opened < +1", "-(-conversations_opened) < 1"),
        ("-0 = conversations_opened", "0 = conversations_opened"),
        ("conversations_opened * 2 + 1 > 3 - 1 * 2", "conversations_opened * 2 + 1 > 1"),
        ("(conversations_opened + 1) * 2 > 3", "(conversations_opened + 1) * 2 > 3"),
        ("10 - (conversations_opened - 1) > 3", "10 - (conversations_opened - 1) > 3"),
        ("10 - conversations_opened - 1 > 3", "10 - conversations_opened - 1 > 3"),
        ("conversations_opened / 30 > 0.5", "conversations_opened / 30 > 0.5"),
        ("1 / conversations_opened > 0.5", "1 / NULLIF(conversations_opened, 0) > 0.5"),
        ("1 / 4 < conversations_opened", "0.25 < conversations_opened"),
        ("conversations_opened BETWEEN 1 AND 2 + 3", "conversations_opened BETWEEN 1 AND 5"),
        (
            "conversations_opened NOT BETWEEN 1 AND 5 AND newly_unsubscribed",
            "(conversations_opened NOT BETWEEN 1 AND 5 AND newly_unsubscribed)",
        ),
        ("conversations_opened IN (1, -2, 3)", "conversations_opened IN (1, -2, 3)"),
        ("conversations_opened NOT IN (1, -2, 3.5)", "conversations_opened NOT IN (1.0, -2.0, 3.5)"),
        ("ABS(conversations_opened - 3) = abs(-2)", "ABS(conversations_opened - 3) = 2"),
        ("LENGTH(name) - 10 < 0", "CAST(LENGTH(name) AS DOUBLE) - 10 < 0"),
        ("COALESCE(conversations_opened, 0) = 0", "COALESCE(conversations_opened, 0) = 0"),
        ("COALESCE(5, conversations_opened) = conversations_opened", "5 = conversations_opened"),
    ]);
}

#[test]
fn texts() {
    becomes(&[
        ("role = 'user'", "role = 'user'"),
        ("\"role\" = 'user'", "role = 'user'"),
        ("`role` = 'user'", "role = 'user'"),
        ("name = 'O''Brien'", "name = 'O''Brien'"),
        ("name = ''", "name = ''"),
        ("name = '\"; -- /* '", r#"name = '"; -- /* '"#),
        ("name = 'C:\\temp'", r#"name = 'C:\temp'"#),
        ("name = 'a\nb ü 東京'", "name = 'a\nb ü 東京'"),
        ("country < 'M'", "country < 'M'"),
        ("country = '2026-10-01'", "country = '2026-10-01'"),
        ("country IN ('IE', 'GB')", "country IN ('IE', 'GB')"),
        ("country BETWEEN 'A' AND 'M'", "country BETWEEN 'A' AND 'M'"),
        ("email LIKE '%@example.com'", "email LIKE '%@example.com'"),
        ("email NOT LIKE '%@example.com'", "email NOT LIKE '%@example.com'"),
        ("email ILIKE 'a_%'", "email ILIKE 'a_%'"),
        ("NOT email ILIKE 'a_%'", "NOT (email ILIKE 'a_%')"),
        ("LOWER(email) LIKE '%x'", "LOWER(email) LIKE '%x'"),
        ("upper(lower(email)) = UPPER('x')", "UPPER(LOWER(email)) = UPPER('x')"),
        ("COALESCE(name, email, '') = ''", "COALESCE(name, email, '') = ''"),
        (
            "CASE WHEN country = 'IE' OR country = 'GB' THEN 'isles' ELSE region END = 'isles'",
            "CASE WHEN country = 'IE' OR country = 'GB' THEN 'isles' ELSE region END = 'isles'",
        ),
        ("CASE role WHEN 'user' THEN newly_unsubscribed END", "CASE role WHEN 'user' THEN newly_unsubscribed END"),
        ("CASE WHEN newly_unsubscribed THEN 1 ELSE NULL END > 0", "CAST(CASE WHEN newly_unsubscribed THEN 1 ELSE NULL END AS DOUBLE) > 0"),
    ]);
}

#[test]
fn instants() {
    becomes(&[
        ("last_seen_at < month_start", "last_seen_at_us < month_start_us"),
        ("last_seen_at < '2026-10-01'", "last_seen_at_us < 1790812800000000"),
        ("'2026-10-01' > last_seen_at", "1790812800000000 > last_seen_at_us"),
        ("last_seen_at < '2026-10-01T00:00:00Z'", "last_seen_at_us < 1790812800000000"),
        ("last_seen_at < '2026-10-01T01:00:00.000001+01:00'", "last_seen_at_us < 1790812800000001"),
        ("last_seen_at < DATE '2026-10-01'", "last_seen_at_us < 1790812800000000"),
        ("last_seen_at < timestamp '2026-10-01 00:00:00'", "last_seen_at_us < 1790812800000000"),
        ("last_seen_at < TIMESTAMP '2026-10-01T00:00'", "last_seen_at_us < 1790812800000000"),
        ("created_at < '1969-12-31'", "created_at_us < -86400000000"),
        ("last_seen_at < month_end - INTERVAL '90 days'", "last_seen_at_us < month_end_us - 7776000000000"),
        ("last_seen_at < month_end - INTERVAL '90' DAY", "last_seen_at_us < month_end_us - 7776000000000"),
        ("last_seen_at < month_end - interval 90 days", "last_seen_at_us < month_end_us - 7776000000000"),
        ("last_seen_at + INTERVAL '1 week 2 Hours' < month_end", "last_seen_at_us + 612000000000 < month_end_us"),
        ("INTERVAL '1 hour' + last_seen_at < month_end", "3600000000 + last_seen_at_us < month_end_us"),
        ("last_seen_at < '2026-10-02' - INTERVAL '1 day'", "last_seen_at_us < 1790812800000000"),
        ("last_seen_at - created_at > INTERVAL '30 minutes'", "last_seen_at_us - created_at_us > 1800000000"),
        ("last_seen_at - '2026-10-01' > -INTERVAL '1 second'", "last_seen_at_us - 1790812800000000 > -1000000"),
        ("created_at BETWEEN month_start AND '2026-10-01'", "created_at_us BETWEEN month_start_us AND 1790812800000000"),
        ("created_at IN ('2026-10-01', DATE '1970-01-02')", "created_at_us IN (1790812800000000, 86400000000)"),
        ("last_replied_at IS NULL", "last_replied_at_us IS NULL"),
        ("COALESCE(last_seen_at, created_at) < month_start", "COALESCE(last_seen_at_us, created_at_us) < month_start_us"),
        ("COALESCE(last_seen_at, '1970-01-01') < month_start", "COALESCE(last_seen_at_us, 0) < month_start_us"),
        (
            "CASE WHEN newly_unsubscribed THEN last_seen_at ELSE '1970-01-01' END < month_start",
            "CAST(CASE WHEN newly_unsubscribed THEN last_seen_at_us ELSE 0 END AS BIGINT) < month_start_us",
        ),
    ]);
}

fn attribute(name: &str, kind: FactKind, number: usize) -> Reference {
    Reference::Attribute { name: name.to_string(), kind, alias: format!("attribute_{number}") }
}

#[test]
fn the_use_of_an_attribute_decides_its_kind() {
    use FactKind::{Flag, Instant, Number, Text};
    for (text, kind) in [
        ("custom_attributes.x > 5", Number),
        ("5 <= custom_attributes.x", Number),
        ("custom_attributes.x = conversations_opened", Number),
        ("custom_attributes.x BETWEEN 1 AND 5", Number),
        ("conversations_opened BETWEEN 1 AND custom_attributes.x", Number),
        ("custom_attributes.x IN (1, 2)", Number),
        ("custom_attributes.x + 1 > conversations_opened", Number),
        ("-custom_attributes.x < 5", Number),
        ("ABS(custom_attributes.x) < 5", Number),
        ("COALESCE(custom_attributes.x, 0) < 5", Number),
        ("CASE WHEN newly_unsubscribed THEN custom_attributes.x ELSE 0 END < 5", Number),
        ("CASE custom_attributes.x WHEN 1 THEN TRUE END", Number),
        ("custom_attributes.x = 'pro'", Text),
        ("custom_attributes.x < '2026-10-01'", Text),
        ("custom_attributes.x = custom_attributes.x", Text),
        ("custom_attributes.x LIKE 'p%'", Text),
        ("custom_attributes.x IN ('pro', 'free')", Text),
        ("LOWER(custom_attributes.x) = country", Text),
        ("LENGTH(custom_attributes.x) > 5", Text),
        ("custom_attributes.x IS NULL", Text),
        ("custom_attributes.x IS NOT NULL", Text),
        ("custom_attributes.x", Flag),
        ("NOT custom_attributes.x", Flag),
        ("(custom_attributes.x)", Flag),
        ("custom_attributes.x = TRUE", Flag),
        ("custom_attributes.x IS TRUE", Flag),
        ("custom_attributes.x OR newly_unsubscribed", Flag),
        ("COALESCE(custom_attributes.x, FALSE)", Flag),
        ("COALESCE(custom_attributes.x, custom_attributes.x)", Flag),
        ("custom_attributes.x < month_end", Instant),
        ("custom_attributes.x < DATE '2026-10-01'", Instant),
        ("custom_attributes.x + INTERVAL '1 day' < month_end", Instant),
        ("month_end - custom_attributes.x < INTERVAL '1 day'", Instant),
    ] {
        assert_eq!(accepted(text).references(), [attribute("x", kind, 1)], "{text}");
    }
}

#[test]
fn an_attribute_of_two_kinds_is_two_references() {
    let condition = accepted(
        "custom_attributes.seats > 5 AND custom_attributes.plan = 'pro' AND tag.value_lead AND custom_attributes.seats IS NULL \
         AND \"custom_attributes.seats\" < 50 AND NOT value_lead",
    );
    assert_eq!(
        condition.sql(),
        "(attribute_1 > 5 AND attribute_2 = 'pro' AND group_1 AND attribute_3 IS NULL AND attribute_1 < 50 AND NOT group_1)"
    );
    assert_eq!(
        condition.references(),
        [
            attribute("seats", FactKind::Number, 1),
            attribute("plan", FactKind::Text, 2),
            Reference::Group { group: GroupName::new(GroupKind::Tag, "value_lead"), alias: "group_1".to_string() },
            attribute("seats", FactKind::Text, 3),
        ]
    );
}

#[test]
fn names_of_attributes() {
    for (text, name) in [
        ("Custom_Attributes.Plan = 'x'", "Plan"),
        ("custom_attributes.\"my attr\" = 'x'", "my attr"),
        ("custom_attributes.\"it's \"\"so\"\"\n; -- é\" = 'x'", "it's \"so\"\n; -- é"),
        ("\"custom_attributes.my.attr\" = 'x'", "my.attr"),
        ("custom_attributes.my.attr = 'x'", "my.attr"),
        ("custom_attributes.straße = 'x'", "straße"),
        ("custom_attributes.select = 'x'", "select"),
        ("custom_attributes.case = 'x'", "case"),
        ("custom_attributes.end = 'x'", "end"),
        ("custom_attributes.date = 'x'", "date"),
        ("custom_attributes.interval = 'x'", "interval"),
        ("custom_attributes.group = 'x'", "group"),
        ("custom_attributes.cast = 'x'", "cast"),
        ("custom_attributes.\"attribute_1\" = 'x'", "attribute_1"),
    ] {
        let condition = accepted(text);
        assert_eq!(condition.references(), [attribute(name, FactKind::Text, 1)], "{text}");
        assert_eq!(condition.sql(), "attribute_1 = 'x'", "{text}");
    }
}

#[test]
fn names_of_groups() {
    use GroupKind::{Segment, Tag};
    for (text, kind, name) in [
        ("tag.value_lead", Tag, "value_lead"),
        ("TAG.VALUE_LEAD", Tag, "value_lead"),
        ("tag.\"Big one\"", Tag, "Big one"),
        ("\"tag:value_lead\"", Tag, "value_lead"),
        ("\"tag:id:1373897\"", Tag, "id:1373897"),
        ("\"id:1373897\"", Tag, "id:1373897"),
        ("segment.\"Slipping Away\"", Segment, "Slipping Away"),
        ("\"segment:slipping away\"", Segment, "Slipping Away"),
        ("\"Slipping Away\"", Segment, "Slipping Away"),
        ("\"slipping away\"", Segment, "Slipping Away"),
        ("value_lead", Tag, "value_lead"),
        ("Value_Lead = TRUE", Tag, "value_lead"),
        ("tag.twin", Tag, "Twin"),
        ("segment.Twin", Segment, "twin"),
        ("Twin", Tag, "Twin"),
        ("twin", Segment, "twin"),
        ("tag.Both", Tag, "Both"),
        ("tag.\"it's \"\"so\"\"\n; -- Über\"", Tag, "it's \"so\"\n; -- Über"),
    ] {
        let condition = accepted(text);
        let group = GroupName::new(kind, name);
        assert_eq!(condition.references(), [Reference::Group { group, alias: "group_1".to_string() }], "{text}");
        assert!(condition.sql().starts_with("group_1"), "{text}");
    }
}

#[test]
fn every_fixed_column_can_be_named_without_quotes() {
    for column in COLUMNS {
        let condition = accepted(&format!("{} IS NULL", column.name));
        assert_eq!(condition.sql(), format!("{} IS NULL", column.sql_name()));
    }
}
