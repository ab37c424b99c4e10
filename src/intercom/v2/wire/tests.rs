use super::*;
use domain::{AttributeValue, OwnTags};

fn page(json: &str) -> WirePage<Contact> {
    contacts(json.as_bytes(), None).unwrap()
}

fn contact(json: &str) -> (Contact, Oddities) {
    let mut page = page(&format!(r#"{{"data":[{json}]}}"#));
    (page.rows.remove(0), page.oddities)
}

#[test]
fn only_a_cursor_means_a_next_page() {
    let next = |pages: &str| page(&format!(r#"{{"data":[],"pages":{pages}}}"#)).next;
    assert_eq!(page(r#"{"data":[]}"#).next, Next::End);
    assert_eq!(next("null"), Next::End);
    assert_eq!(next("{}"), Next::End);
    assert_eq!(next(r#"{"next":null,"page":3}"#), Next::End);
    assert_eq!(next(r#"{"next":{"page":2}}"#), Next::End);
    assert_eq!(next(r#"{"next":{"page":2,"starting_after":null}}"#), Next::End);
    assert_eq!(next(r#"{"next":{"per_page":5,"starting_after":"a+/="}}"#), Next::After("a+/=".into()));
    assert_eq!(
        next(r#"{"next":"https://elsewhere.example/contacts?page=2"}"#),
        Next::Address("https://elsewhere.example/contacts?page=2".to_string())
    );
}

#[test]
fn dates_come_in_many_forms_and_are_counted() {
    let check = |json: &str, expected: Option<&str>, oddities: Oddities| {
        let (contact, found) = contact(&format!(r#"{{"id":"a","role":"user","signed_up_at":{json}}}"#));
        assert_eq!(contact.signed_up_at.map(|at| at.to_rfc3339()), expected.map(str::to_string), "{json}");
        assert_eq!(found, oddities, "{json}");
    };
    let other = Oddities { dates_of_other_form: 1, ..Oddities::default() };
    let unreadable = Oddities { dates_unreadable: 1, ..Oddities::default() };
    check("null", None, Oddities::default());
    check("1577869200", Some("2020-01-01T09:00:00+00:00"), Oddities::default());
    check("1577869200000", Some("2020-01-01T09:00:00+00:00"), other);
    check("1577869200.0", Some("2020-01-01T09:00:00+00:00"), Oddities::default());
    check(r#""1577869200""#, Some("2020-01-01T09:00:00+00:00"), other);
    check(r#""2020-01-01T10:00:00+01:00""#, Some("2020-01-01T09:00:00+00:00"), other);
    check(r#""2020-01-01 09:00:00 UTC""#, Some("2020-01-01T09:00:00+00:00"), other);
    check(r#""2020-01-01""#, Some("2020-01-01T00:00:00+00:00"), other);
    check("2713910400", Some("2056-01-01T00:00:00+00:00"), Oddities::default());
    check("-86400", Some("1969-12-31T00:00:00+00:00"), Oddities { dates_before_1970: 1, ..Oddities::default() });
    check("true", None, unreadable);
    check("{}", None, unreadable);
    check("[1577869200]", None, unreadable);
    check(r#""soon""#, None, Oddities { dates_unreadable: 1, ..other });
    check("9223372036854775807", None, Oddities { dates_unreadable: 1, ..other });
}

#[test]
fn ids_may_be_numbers_and_unknown_keys_are_ignored() {
    let (contact, oddities) =
        contact(r#"{"id":17,"role":"lead","external_id":null,"email":"","owner_id":5,"new":{"deep":[1]},"location":{}}"#);
    assert_eq!((contact.id.as_str(), contact.email.as_deref(), contact.owner_id.as_deref()), ("17", Some(""), Some("5")));
    assert_eq!((contact.external_id, contact.country, oddities), (None, None, Oddities::default()));
}

#[test]
fn a_role_that_is_neither_is_guessed_and_counted() {
    let (user, oddities) = contact(r#"{"id":"a","role":"visitor","external_id":"7"}"#);
    assert_eq!((user.role.as_str(), oddities.roles_unknown), ("user", 1));
    let (lead, oddities) = contact(r#"{"id":"a"}"#);
    assert_eq!((lead.role.as_str(), oddities.roles_unknown), ("lead", 1));
}

#[test]
fn a_tag_is_unconfirmed_only_by_a_complete_list() {
    let check = |tags: &str, expected: u64| {
        let body = format!(r#"{{"data":[{{"id":"a","role":"user","tags":{tags}}}]}}"#);
        assert_eq!(contacts(body.as_bytes(), Some("7")).unwrap().oddities.tag_unconfirmed, expected, "{tags}");
    };
    check(r#"{"data":[{"id":"7"}],"has_more":false,"total_count":1}"#, 0);
    check(r#"{"data":[{"id":7}],"has_more":false}"#, 0);
    check(r#"{"data":[{"id":"8"}],"has_more":false,"total_count":1}"#, 1);
    check(r#"{"data":[{"id":"8"}],"has_more":true,"total_count":11}"#, 0);
    check("null", 0);
    check("{}", 0);
}

#[test]
fn custom_attributes_keep_their_type() {
    let (contact, _) = contact(
        r#"{"id":"a","role":"user","custom_attributes":{"plan":"pro","seats":3,"spend":1.5,"ok":true,"gone":null,"orders":{"type":"order.list"}}}"#,
    );
    let names: Vec<&str> = contact.custom_attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    assert_eq!(names.len(), 5);
    assert!(!names.contains(&"gone"));
    let orders = contact.custom_attributes.iter().find(|attribute| attribute.name == "orders").unwrap();
    assert_eq!(orders.value, AttributeValue::Json(r#"{"type":"order.list"}"#.into()));
}

#[test]
fn decode_errors_quote_no_data() {
    let check = |body: &str, expected: &str| assert_eq!(contacts(body.as_bytes(), None).unwrap_err().to_string(), expected, "{body}");
    check("", "an empty body");
    check("  <html>ann@example.com</html>", "an HTML page in place of JSON");
    check(r#"{"data":[{"id":"a","email":"ann@exa"#, "half a JSON body");
    check("ann@example.com", "something that is no JSON object");
    check(r#"[[],0,null]"#, "something that is no JSON object");
    check(r#"{"data":[]} trailing"#, "something that is no JSON object");
    check(r#"{"data":[{"id":null,"email":"ann@example.com"}]}"#, "JSON that is not as documented at `data[0].id`");
    check(r#"{"data":["ann@example.com"]}"#, "JSON that is not as documented at `data[0]`");
    check(r#"{"type":"list"}"#, "JSON that is not as documented at `.`");
}

#[test]
fn the_opener_is_the_author_of_the_source() {
    let opener = |json: &str| {
        let body = format!(r#"{{"conversations":[{{"id":1,"created_at":1,{json}}}]}}"#);
        conversations(body.as_bytes(), None).unwrap().rows.remove(0).opener
    };
    use domain::Opener::*;
    assert_eq!(opener(r#""source":{"author":{"type":"user","id":"u"}}"#), Contact("u".into()));
    assert_eq!(opener(r#""source":{"author":{"type":"lead","id":"l"}}"#), Contact("l".into()));
    assert_eq!(opener(r#""source":{"author":{"type":"admin","id":"u"}},"contacts":{"contacts":[{"id":"u"}]}"#), Workspace);
    assert_eq!(opener(r#""source":{"author":{"type":"bot"}}"#), Workspace);
    assert_eq!(opener(r#""source":{"author":{"type":"user"}},"contacts":{"contacts":[{"id":"u"}]}"#), Contact("u".into()));
    assert_eq!(opener(r#""source":{"author":{"type":"user"}},"contacts":{"contacts":[{"id":"u"},{"id":"v"}]}"#), UnknownContact);
    // Bots, workflows and imports create conversations without an author. Such a conversation has no opener, whichever contacts take part
    // in it.
    for source in [r#""source":null"#, r#""source":{"author":null}"#, r#""state":"open""#] {
        assert_eq!(opener(&format!(r#"{source},"contacts":{{"contacts":[{{"id":"u"}}]}}"#)), NoAuthor, "{source}");
    }
    assert_eq!(opener(r#""source":{"author":{"type":"user"}},"contacts":{"contacts":[{"id":"u"},{"id":"u"}]}"#), Contact("u".into()));
    // Only the ids of contacts are checked. Ids of admins and bots are not used.
    assert_eq!(opener(r#""source":{"author":{"type":"bot","id":"../x"}}"#), Workspace);
    for odd in [r#""source":{"author":{"type":"user","id":"../x"}}"#, r#""contacts":{"contacts":[{"id":"a/b"}]}"#] {
        assert!(conversations(format!(r#"{{"conversations":[{{"id":1,"created_at":1,{odd}}}]}}"#).as_bytes(), None).is_err(), "{odd}");
    }
    // The author counts as the opener even if the list of contacts does not have the author. Whether the author still exists is known only
    // after all contacts are read.
    assert_eq!(opener(r#""source":{"author":{"type":"lead","id":"l"}},"contacts":{"contacts":[{"id":"u"}]}"#), Contact("l".into()));
}

#[test]
fn half_a_surrogate_pair_is_replaced() {
    let name = |escaped: &str| contact(&format!(r#"{{"id":"a","role":"user","name":"{escaped}"}}"#)).0.name.unwrap();
    assert_eq!(name(r"x\ud800y"), "x\u{fffd}y");
    assert_eq!(name(r"\udc00\ud83d\ude00\ud83d"), "\u{fffd}😀\u{fffd}");
    assert_eq!(name(r"\\ud800 \u00e9 \ud800\n"), "\\ud800 é \u{fffd}\n");
}

#[test]
fn the_own_list_of_tags_is_complete_only_if_the_api_says_so() {
    let own = |tags: &str| contact(&format!(r#"{{"id":"a","role":"user","tags":{tags}}}"#)).0.tags;
    let ids = |ids: &[&str], is_complete| Some(OwnTags { ids: ids.iter().map(|id| (*id).into()).collect(), is_complete });
    assert_eq!(own("null"), None);
    assert_eq!(own("{}"), None);
    assert_eq!(own(r#"{"data":[],"has_more":false,"total_count":0}"#), ids(&[], true));
    assert_eq!(own(r#"{"data":[{"id":"7"},{"id":8}],"has_more":false,"total_count":2}"#), ids(&["7", "8"], true));
    assert_eq!(own(r#"{"data":[{"id":"7"}],"has_more":false}"#), ids(&["7"], true));
    assert_eq!(own(r#"{"data":[{"id":"7"}]}"#), ids(&["7"], false));
    assert_eq!(own(r#"{"data":[{"id":"7"}],"has_more":true,"total_count":11}"#), ids(&["7"], false));
    assert_eq!(own(r#"{"data":[{"id":"7"}],"has_more":false,"total_count":2}"#), ids(&["7"], false));
    assert_eq!(own(r#"{"data":[{"id":"7"},{"id":null}],"has_more":false,"total_count":2}"#), ids(&["7"], false), "it may be any");
}

#[test]
fn the_last_value_of_a_repeated_attribute_counts() {
    let json = r#"{"id":"a","custom_attributes":{"b":1,"a":"x","c":true,"b":2,"c":null,"a":"y"}}"#;
    let attributes = contact(json).0.custom_attributes;
    let values: Vec<(&str, &AttributeValue)> = attributes.iter().map(|attribute| (attribute.name.as_str(), &attribute.value)).collect();
    assert_eq!(values, [("a", &AttributeValue::Text("y".into())), ("b", &AttributeValue::Number(2_u64.into()))]);
}

#[test]
fn a_mistyped_field_is_counted_once_even_if_the_body_is_decoded_twice() {
    let (_, oddities) = contact(r#"{"id":"a","role":"user","email":["x"],"name":"\ud800"}"#);
    assert_eq!(oddities.fields_mistyped, 1);
}

#[test]
fn invalid_utf8_costs_one_character_and_only_in_known_fields() {
    let body =
        |field: &str| [format!(r#"{{"data":[{{"id":"a","{field}":"x"#).as_bytes(), b"\xff", br#"y"},{"id":"b","name":"z"}]}"#].concat();
    let page = |field: &str| contacts(&body(field), None).unwrap();
    let repaired = |field: &str| (page(field).rows.len(), page(field).oddities.texts_repaired);
    assert_eq!((repaired("unknown"), repaired("name")), ((2, 0), (2, 1)));
    assert_eq!(page("name").rows[0].name.as_deref(), Some("x\u{fffd}y"));
    // An invalid character makes an id invalid.
    let bad_id = [&b"{\"data\":[{\"id\":\"a\xff\"}]}"[..]].concat();
    assert!(matches!(contacts(&bad_id, None), Err(DecodeError::Shape { path }) if path == "data[0].id"));
}

#[test]
fn an_attribute_nested_too_deep_is_dropped_alone() {
    let nested = |levels: usize| format!("{}1{}", r#"[{"a":"#.repeat(levels / 2), "}]".repeat(levels / 2));
    let read = |levels: usize| {
        let deep = nested(levels);
        // A value that is too deep is skipped if it is not used.
        let json = format!(
            r#"{{"id":"a","role":"user","custom_attributes":{{"deep":{deep},"after":[1]}},"name":{deep},"unknown":{deep},"tags":{deep}}}"#
        );
        let (contact, oddities) = contact(&json);
        (contact.custom_attributes.iter().map(|attribute| attribute.name.to_string()).collect::<Vec<_>>(), oddities.nested_too_deep)
    };
    let text = |text: &str| text.to_string();
    assert_eq!(read(100), (vec![text("after"), text("deep")], 0));
    for levels in [102, 128, 20_000] {
        assert_eq!(read(levels), (vec![text("after")], 1), "{levels} levels");
    }
    let conversation = format!(r#"{{"conversations":[{{"id":1,"created_at":1,"state":{0},"custom_attributes":{0}}}]}}"#, nested(20_000));
    assert_eq!(conversations(conversation.as_bytes(), None).unwrap().rows.len(), 1);
}
