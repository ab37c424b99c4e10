use super::*;

#[test]
fn errors_of_all_ages_give_their_code() {
    let code = |body: &str| error_body(body.as_bytes()).code;
    assert_eq!(
        code(r#"{"type":"error.list","request_id":null,"errors":[{"code":"unauthorized","message":"x"}]}"#).as_deref(),
        Some("unauthorized")
    );
    assert_eq!(code(r#"{"errors":[{"type":"not_found"}]}"#).as_deref(), Some("not_found"));
    assert_eq!(code(r#"{"errors":["ann@example.com is unknown"]}"#), None);
    assert_eq!(code(r#"{"errors":[{"code":"ann@example.com"}]}"#), None);
    assert_eq!(code("<html>"), None);
    let said = |message: &str| code(&format!(r#"{{"errors":[{{"code":"parameter_invalid","message":"{message}"}}]}}"#)).unwrap();
    assert_eq!(said("scroll already exists for this app"), "scroll_exists");
    assert_eq!(said("Request failed due to an internal network error. Please restart the scroll operation."), "scroll_restart");
    assert_eq!(said("page limit reached, please use scroll API"), "page_limit");
    assert_eq!(said("'page' not found on model"), "page_limit");
    assert_eq!(said("email is invalid"), "parameter_invalid");
}
