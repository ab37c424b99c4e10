use super::*;

#[test]
fn names() {
    refused(&[
        (
            "conversation_opened >= 5",
            "line 1, column 1: `conversation_opened` is no column of the facts; did you mean `conversations_opened`? Columns: \
             conversations_opened, newly_unsubscribed, ",
        ),
        (
            "role = 'user'\n  AND\n  vlue_lead",
            "line 3, column 3: `vlue_lead` is no column of the facts; did you mean `value_lead`? Columns: ",
        ),
        ("role = \"user\"", "line 1, column 8: `user` is no column of the facts; a text is written in single quotes. Columns: "),
        ("\"Role\" = 'user'", "line 1, column 1: `Role` is no column of the facts; did you mean `role`? Columns: "),
        ("zzz > 5", "line 1, column 1: `zzz` is no column of the facts. Columns: "),
        ("facts.role = 'user'", "line 1, column 1: `facts.role` is no column of the facts"),
        ("\"custom_attributes.\" = 1", "line 1, column 1: `custom_attributes.` is no column"),
        (
            "tag.unheard_of",
            "line 1, column 1: the job names no tag `unheard_of`, and membership is known only for its own groups: tag `value_lead`, ",
        ),
        ("segment.value_lead", "line 1, column 1: the job names no segment `value_lead`, and"),
        ("\"tag:nobody\"", "line 1, column 1: the job names no tag `nobody`, and"),
        (
            "subscription.News = 'optedout'",
            "line 1, column 21: `'optedout'` cannot be used: what a contact chose for a subscription is 'opted_out', 'opted_in' or null",
        ),
        ("role = 'user' AND subscription.News IN ('opted_in', 'out')", "line 1, column 53: `'out'` cannot be used: what a contact chose"),
        ("Both", "line 1, column 1: `Both` may be any of segment `Both`, tag `Both`; write"),
        ("TWIN", "line 1, column 1: `TWIN` may be any of tag `Twin`, segment `twin`; write"),
    ]);
    // The first letter is Cyrillic.
    let looks = "its characters differ: U+0076 in place of U+0475";
    let message = Condition::parse("tag.\"\u{475}alue_lead\"", COLUMNS, &groups()).unwrap_err().to_string();
    assert!(message.ends_with(&format!("; `value_lead` looks the same, but {looks}")), "{message}");
    let message = Condition::parse("\"\u{475}alue_lead\"", COLUMNS, &groups()).unwrap_err().to_string();
    assert!(message.contains(&format!("did you mean `value_lead`? It looks the same, but {looks}. Columns")), "{message}");
    let nothing = Condition::parse("tag.x", &[], &[]).unwrap_err();
    assert!(nothing.to_string().ends_with("groups: it has none"), "{nothing}");
}

#[test]
fn kinds() {
    refused(&[
        ("conversations_opened", "line 1, column 1: `conversations_opened` is a number, where a flag is needed"),
        ("'TRUE'", "line 1, column 1: `'TRUE'` is text, where a flag is needed"),
        ("NOT role", "line 1, column 5: `role` is text, where a flag is needed"),
        ("newly_unsubscribed OR 1", "line 1, column 23: `1` is a number, where a flag is needed"),
        ("conversations_opened + 1", "line 1, column 1: `conversations_opened + 1` is a number, where a flag is needed"),
        ("conversations_opened = '5'", "line 1, column 1: `conversations_opened` is a number and `'5'` is text: both must be"),
        ("role = 5", "line 1, column 1: `role` is text and `5` is a number: both must be"),
        ("role IN ('a', 5)", "line 1, column 1: `role` is text and `5` is a number: both must be"),
        ("role < month_end", "line 1, column 1: `role` is text and `month_end` is an instant: both must be"),
        ("newly_unsubscribed < has_hard_bounced", "line 1, column 1: `newly_unsubscribed` cannot be used: a flag is neither"),
        ("newly_unsubscribed BETWEEN FALSE AND TRUE", "line 1, column 1: `newly_unsubscribed` cannot be used: a flag is neither"),
        ("has_hard_bounced = 1", "line 1, column 1: `has_hard_bounced` is a flag and `1` is a number: both must be"),
        ("conversations_opened LIKE '5%'", "line 1, column 1: `conversations_opened` is a number, where text is needed"),
        ("LENGTH(conversations_opened) > 1", "line 1, column 8: `conversations_opened` is a number, where text is needed"),
        ("LOWER(role)", "line 1, column 1: `LOWER(role)` is text, where a flag is needed"),
        ("role + 1 > 2", "line 1, column 1: `role` is text and `1` is a number: numbers go with numbers"),
        ("month_end + 1 > month_start", "line 1, column 1: `month_end` is an instant and `1` is a number: numbers go with"),
        ("month_end + month_end > month_start", "line 1, column 1: `month_end` is an instant and `month_end` is an instant: numbers"),
        ("INTERVAL '1 day' * 2 < month_end - month_start", "line 1, column 10: `INTERVAL '1 day'` is an interval and `2` is a number"),
        ("month_end - month_start > 30", "line 1, column 1: `month_end - month_start` is an interval and `30` is a number: both"),
        ("-role = 'x'", "line 1, column 2: `-role` is a number and `'x'` is text"),
        ("COALESCE(role, 5) = 'x'", "line 1, column 10: `role` is text and `5` is a number"),
        ("CASE WHEN role THEN TRUE END", "line 1, column 11: `role` is text, where a flag is needed"),
        ("custom_attributes.x = INTERVAL '1 day'", "line 1, column 1: `custom_attributes.x` is a custom attribute, where an interval"),
    ]);
}

#[test]
fn values() {
    refused(&[
        ("role = NULL", "line 1, column 8: `NULL` cannot be used: no comparison with NULL is true"),
        ("role IN ('a', NULL)", "line 1, column 15: `NULL` cannot be used: a list of IN holds literals"),
        ("role IN (country)", "line 1, column 10: `country` cannot be used: a list of IN holds literals"),
        ("5 IN (4, 5)", "line 1, column 1: `5` cannot be used: the left side of IN must use a column"),
        ("NULL", "line 1, column 1: `NULL` cannot be used"),
        ("CASE WHEN newly_unsubscribed THEN NULL END", "line 1, column 35: `CASE` cannot be used: each of its results is NULL"),
        ("last_seen_at < 'yesterday'", "line 1, column 16: `'yesterday'` cannot be used: an instant is written like '2026-10-01'"),
        ("last_seen_at < '2026-02-30'", "line 1, column 16: `'2026-02-30'` cannot be used"),
        ("last_seen_at < '1.10.2026'", "line 1, column 16: `'1.10.2026'` cannot be used"),
        ("last_seen_at < '２０２６-10-01'", "line 1, column 16: "),
        ("last_seen_at < DATE '2026-10-01T00:00:00Z'", "line 1, column 21: `DATE '2026-10-01T00:00:00Z'` cannot be used"),
        ("last_seen_at < month_end - INTERVAL '3 months'", "line 1, column 37: `INTERVAL '3 months'` cannot be used: months and years"),
        ("last_seen_at < month_end - INTERVAL '90'", "line 1, column 37: `INTERVAL '90'` cannot be used: an interval is written"),
        ("last_seen_at < month_end - INTERVAL '-1 day'", "line 1, column 37: `INTERVAL '-1 day'` cannot be used: an interval is"),
        ("last_seen_at < month_end - INTERVAL '9999999999 days'", "line 1, column 37: `INTERVAL '9999999999 days'` cannot be used: it is"),
        ("last_seen_at < month_end - INTERVAL '99999999999999999999 days'", "line 1, column 37: "),
        ("last_seen_at < month_end - INTERVAL '1' DAY TO HOUR", "line 1, column 45: `TO` is no column"),
        ("conversations_opened > 1e999", "line 1, column 24: `1e999` cannot be used: the number is out of range"),
        ("conversations_opened > 1e300 * 1e300", "line 1, column 24: `1e300 * 1e300` cannot be used: the result is out of range"),
        ("conversations_opened / 0 > 1", "line 1, column 1: `conversations_opened / 0` cannot be used: it divides by zero"),
        ("conversations_opened / (1 - 1) > 1", "line 1, column 1: `conversations_opened / (1 - 1)` cannot be used: it divides"),
        ("email LIKE name", "line 1, column 12: `name` cannot be used: a pattern is a text"),
        ("email LIKE '100\\%'", "line 1, column 12: `'100\\%'` cannot be used: a pattern has no escapes"),
        ("LOWER(email, name) = 'x'", "line 1, column 1: `LOWER(email, name)` cannot be used: this function takes one argument"),
        ("LOWER() = 'x'", "line 1, column 1: `LOWER()` cannot be used: a function takes"),
        ("COALESCE(*) = 'x'", "line 1, column 1: `COALESCE(*)` cannot be used: a function takes"),
    ]);
}

#[test]
fn parts_that_a_condition_cannot_have() {
    refused(&[
        (
            "conversations_opened IN (SELECT 1)",
            "line 1, column 26: `SELECT` is not available in a condition: a condition is one expression",
        ),
        ("conversations_opened > (SELECT 1)", "line 1, column 25: `SELECT` is not available"),
        ("EXISTS (SELECT 1)", "line 1, column 1: `EXISTS` is not available"),
        ("(WITH x AS (SELECT 1) SELECT 1) = 1", "line 1, column 2: `WITH` is not available"),
        ("(FROM facts) = 1", "line 1, column 2: `FROM` is not available"),
        ("(TABLE facts) = 1", "line 1, column 2: `TABLE` is not available"),
        ("(VALUES (1)) = 1", "line 1, column 2: `VALUES` is not available"),
        ("conversations_opened = ANY (ARRAY[1])", "line 1, column 24: `ANY` is not available"),
        ("role IN UNNEST(role)", "line 1, column 9: `UNNEST` is not available"),
        ("CAST(role AS INT) = 1", "line 1, column 1: `CAST` is not available in a condition: a condition has no casts"),
        ("role::INT = 1", "line 1, column 5: `::` is not available in a condition: a condition has no casts"),
        ("TRY_CAST(role AS INT) = 1", "line 1, column 1: `TRY_CAST` is not available"),
        ("read_csv('/etc/passwd') = 1", "line 1, column 1: `read_csv` is not available in a condition: a condition may use AND, OR"),
        ("\"lower\"(role) = 'x'", "line 1, column 1: `lower` is not available"),
        ("pg.lower(role) = 'x'", "line 1, column 1: `pg.lower` is not available"),
        ("custom_attributes.x(role) = 'x'", "line 1, column 1: `custom_attributes.x` is not available"),
        ("COUNT(*) > 1", "line 1, column 1: `COUNT` is not available in a condition: it sees one contact, so there is nothing"),
        ("sum(conversations_opened) > 1", "line 1, column 1: `sum` is not available"),
        ("LENGTH(name) OVER (PARTITION BY role) > 1", "line 1, column 14: `OVER` is not available in a condition: it sees one contact"),
        ("LENGTH(DISTINCT name) > 1", "line 1, column 8: `DISTINCT` is not available"),
        ("RANDOM() > 0.5", "line 1, column 1: `RANDOM` is not available"),
        ("CURRENT_DATE > month_start", "line 1, column 1: `CURRENT_DATE` is no column"),
        ("role = ?", "line 1, column 8: `?` is not available in a condition: nothing would fill"),
        ("role = $1", "line 1, column 8: `$1` is not available in a condition: nothing would fill"),
        ("role = :x", "line 1, column 8: `:` is not available"),
        ("role == 'user'", "line 1, column 6: `==` is not available in a condition: equal is written"),
        ("role || 'x' = 'y'", "line 1, column 6: `||` is not available"),
        ("role ~ 'x'", "line 1, column 6: `~` is not available"),
        ("conversations_opened % 2 = 0", "line 1, column 22: `%` is not available"),
        ("role = $$user$$", "line 1, column 8: `$$user$$` is not available in a condition: a text is written"),
        ("role = E'user'", "line 1, column 8: `E` is no column"),
        ("role = N'user'", "line 1, column 8: `N'user'` is not available"),
        ("role = X'00'", "line 1, column 8: `X'00'` is not available"),
        ("role[1] = 'x'", "line 1, column 5: `[` is not available"),
        ("{'a': 1} = 1", "line 1, column 1: `{` is not available"),
        ("email LIKE 'a' ESCAPE 'b'", "line 1, column 16: `ESCAPE` is not available"),
        ("email RLIKE 'a'", "line 1, column 7: `RLIKE` is not available"),
        ("role IS DISTINCT FROM 'x'", "line 1, column 9: `DISTINCT` is not available"),
        ("(role, country) = ('a', 'b')", "line 1, column 2: `(role, country)` is not available in a condition: it is made of"),
        ("*", "line 1, column 1: "),
    ]);
}

#[test]
fn texts_that_are_not_sql() {
    refused(&[
        ("", "the condition is empty"),
        (" \n\t", "the condition is empty"),
        ("conversations_opened >", "the condition cannot be read: expected an expression, found the end"),
        ("conversations_opened > 5)", "line 1, column 25: the condition cannot be read: a condition is one expression, and `)` follows"),
        ("(conversations_opened > 5", "the condition cannot be read: expected ), found the end"),
        ("newly_unsubscribed has_hard_bounced", "line 1, column 20: the condition cannot be read: a condition is one expression, and"),
        ("newly_unsubscribed, has_hard_bounced", "line 1, column 19: the condition cannot be read: a condition is one expression, and"),
        ("name = 'O'Brien'", "line 1, column 16: the condition cannot be read: Unterminated string literal"),
        ("name = 'open", "line 1, column 8: the condition cannot be read: Unterminated string literal"),
        ("\"name = 'open'", "line 1, column 1: the condition cannot be read: Expected close delimiter"),
        ("role IN ()", "line 1, column 10: the condition cannot be read: expected an expression, found )"),
        ("CASE END", "line 1, column 6: the condition cannot be read: "),
        ("NOT", "line 1, column 1: the condition cannot be read: `NOT` stands where a value should"),
        ("role = AND", "line 1, column 8: the condition cannot be read: `AND` stands where a value should"),
        ("role = 'a' = 'b'", "line 1, column 1: `role = 'a'` is a flag and `'b'` is text"),
        ("role 'x'", "line 1, column "),
        ("DATE", "line 1, column 1: `DATE` is no column"),
        ("INTERVAL INTERVAL '1 day' > 1", "line 1, column 1: `INTERVAL` is no column"),
    ]);
}

#[test]
fn texts_that_would_end_the_condition_early() {
    refused(&[
        ("1=1; DROP TABLE facts", "line 1, column 4: `;` is not available in a condition: a condition is one expression, so it has no `;`"),
        ("1=1;", "line 1, column 4: `;` is not available"),
        ("newly_unsubscribed) OR (SELECT 1", "line 1, column 25: `SELECT` is not available"),
        ("newly_unsubscribed) OR (has_hard_bounced", "line 1, column 19: the condition cannot be read: a condition is one expression"),
        ("newly_unsubscribed -- AND NOT has_hard_bounced", "line 1, column 20: `--` is not available in a condition: a comment"),
        ("newly_unsubscribed --", "line 1, column 20: `--` is not available"),
        ("conversations_opened - --5\n5 > 1", "line 1, column 24: `--` is not available"),
        ("newly_unsubscribed /* AND */", "line 1, column 20: `/*` is not available in a condition: a comment"),
        ("newly_unsubscribed /*! AND */", "line 1, column "),
        ("newly_unsubscribed /* AND", "line 1, column "),
        ("newly_unsubscribed UNION SELECT 1", "line 1, column 20: `UNION` is not available"),
        ("newly_unsubscribed LIMIT 1", "line 1, column 20: `LIMIT` is not available"),
        ("newly_unsubscribed AS x", "line 1, column 20: `AS` is not available"),
        ("newly_unsubscribed |> WHERE TRUE", "line 1, column 20: `|` is not available"),
        ("newly_unsubscribed\0", "line 1, column 19: `\\0` is not available"),
        ("newly_unsubscribed\u{200b}", "line 1, column 19: `\\u{200b}` is not available"),
    ]);
}
