use super::*;

#[test]
fn error_codes_of_all_versions_are_read() {
    let code = |body: &str| error_body(body.as_bytes()).code;
    assert_eq!(
        code(r#"{"type":"error.list","request_id":null,"errors":[{"code":"unauthorized","message":"x"}]}"#).as_deref(),
        Some("unauthorized")
    );
    assert_eq!(code(r#"{"errors":[{"type":"not_found"}]}"#).as_deref(), Some("not_found"));
    assert_eq!(code(r#"{"errors":["ann@example.com is unknown"]}"#), None);
    assert_eq!(code(r#"{"errors":[{"code":"ann@example.com"}]}"#), None);
    assert_eq!(code("<html>"), None);
    let of_message = |message: &str| code(&format!(r#"{{"errors":[{{"code":"parameter_invalid","message":"{message}"}}]}}"#)).unwrap();
    assert_eq!(of_message("scroll already exists for this app"), "scroll_exists");
    assert_eq!(of_message("Request failed due to an internal network error. Please restart the scroll operation."), "scroll_restart");
    assert_eq!(of_message("page limit reached, please use scroll API"), "page_limit");
    assert_eq!(of_message("'page' not found on model"), "page_limit");
    assert_eq!(of_message("Invalid starting_after param. Please try again"), "cursor_invalid");
    assert_eq!(of_message("email is invalid"), "parameter_invalid");
}

#[test]
fn an_error_with_status_200_is_no_empty_list() {
    let decoded = |body: &str| tags(body.as_bytes()).map(|page| page.rows.len());
    for body in [
        r#"{"type":"error.list","request_id":"abc","errors":[{"code":"server_error","message":"of ann@example.com"}],"data":[]}"#,
        r#"{"errors":[{"code":"server_error"}],"data":[]}"#,
        r#"{"data":[],"type":"error","request_id":"abc","message":"x"}"#,
    ] {
        assert!(matches!(decoded(body), Err(DecodeError::ErrorList { .. })), "{body}");
    }
    // A tag may have any name, and an empty list of errors is no error.
    assert_eq!(decoded(r#"{"type":"list","errors":[],"data":[{"id":"1","name":"error.list"},{"id":2,"name":"error"}]}"#).unwrap(), 2);
}

#[test]
fn ids_of_another_form_are_refused() {
    let of_tag = |id: &str| tags(format!(r#"{{"data":[{{"id":{id},"name":"x"}}]}}"#).as_bytes()).map(|page| page.rows[0].group.id.clone());
    for (id, expected) in
        [(r#""17""#, "17"), ("17", "17"), (r#""667d60a98a68186f43bafdb9""#, "667d60a98a68186f43bafdb9"), (r#""a_b-C""#, "a_b-C")]
    {
        assert_eq!(of_tag(id).unwrap(), expected);
    }
    let long = format!("{:?}", "1".repeat(65));
    for id in [r#""x/../../victim""#, r#"".""#, r#""a b""#, r#""a:b""#, r#""é""#, r#""""#, "null", r#"["1"]"#, "1.5", &long] {
        assert!(matches!(of_tag(id), Err(DecodeError::Shape { .. })), "{id}");
    }
    let of_workspace =
        |id: &str| workspace(format!(r#"{{"type":"admin","app":{{"id_code":{id}}}}}"#).as_bytes()).map(|workspace| workspace.id);
    assert_eq!(of_workspace(r#""w0rk5pac""#).unwrap().as_deref(), Some("w0rk5pac"));
    assert_eq!((of_workspace("null").unwrap(), of_workspace(r#"" ""#).unwrap()), (None, None), "no ID");
    assert!(of_workspace(r#""../other""#).is_err());
}

#[test]
fn a_total_is_read_with_any_rows() {
    let read = |body: &str| total(body.as_bytes());
    assert_eq!(read(r#"{"type":"conversation.list","conversations":[{"odd":1}],"total_count":12}"#).unwrap(), Some(12));
    assert_eq!(read(r#"{"type":"list","data":[],"total_count":null}"#).unwrap(), None);
    assert!(read("{}").is_err());
}

#[test]
fn a_tag_change_names_the_tag_and_from_2_16_on_the_members() {
    let read = |body: &str| tag_change(body.as_bytes(), true).map(|change| (change.tag, change.members));
    assert_eq!(read(r#"{"type":"tag","id":17513,"name":"Independent"}"#).unwrap(), ("17513".to_string(), None));
    let body = r#"{"type":"tag","id":"1","name":"x","users":[{"id":"a","tagged":true},{"id":7},{"id":"b","tagged":false}],"companies":[]}"#;
    let members = [("a", true), ("7", true), ("b", false)].map(|(id, carries)| (id.to_string(), carries));
    assert_eq!(read(body).unwrap().1, Some(HashMap::from(members)));
    assert!(read(r#"{"type":"list","data":[]}"#).is_err(), "another response is no success");
    assert_eq!(tag(br#"{"type":"tag","id":7}"#, "asked").unwrap().name, "asked");
    assert_eq!(tag(br#"{"type":"tag","id":7,"name":"Given"}"#, "given").unwrap().key(), "tag:7");
}
