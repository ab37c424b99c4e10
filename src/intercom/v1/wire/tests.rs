use super::*;
use crate::domain::{GroupKind, Opener, Role};

fn person(json: &str) -> Person {
    contacts(format!(r#"{{"users":[{json}]}}"#).as_bytes()).unwrap().rows.remove(0)
}

#[test]
fn pages_tell_their_number_in_more_than_one_way() {
    let page = |rest: &str| contacts(format!(r#"{{"type":"user.list","users":[]{rest}}}"#).as_bytes()).unwrap();
    let told = |rest: &str| (page(rest).last, page(rest).has_next, page(rest).total);
    assert_eq!(told(""), (None, false, None));
    assert_eq!(told(r#","pages":null,"total_count":"7""#), (None, false, Some(7)));
    assert_eq!(told(r#","pages":{"next":null,"total_pages":3}"#), (Some(3), false, None));
    assert_eq!(told(r#","pages":{"next":"https://elsewhere.example/users?page=2"}"#), (None, true, None));
    assert_eq!(contacts(br#"{"type":"contact.list","contacts":[{"type":"contact","id":"a"}]}"#).unwrap().rows.len(), 1);
}

#[test]
fn a_contact_of_1x_is_a_lead_and_its_generated_id_is_none() {
    let lead = person(r#"{"type":"contact","id":"a","user_id":"8f6e","anonymous":true}"#);
    assert_eq!((lead.contact.role, lead.contact.external_id, lead.oddities), (Role::Lead, None, Oddities::default()));
    let user = person(r#"{"type":"user","id":"a","user_id":7}"#);
    assert_eq!((user.contact.role, user.contact.external_id.as_deref()), (Role::User, Some("7")));
    let untold = person(r#"{"id":"a","anonymous":true}"#);
    assert_eq!((untold.contact.role, untold.oddities.roles_unknown), (Role::Lead, 1));
}

#[test]
fn fields_come_under_their_old_names() {
    let contact = person(
        r#"{"type":"user","id":"a","last_request_at":2,"signed_up_at":null,"remote_created_at":1,
            "location_data":{"country_name":"Ireland","country_code":"IRL","city_name":"Dublin","region_name":"Leinster","continent_code":"EU"}}"#,
    )
    .contact;
    assert_eq!(contact.last_seen_at.map(|at| at.timestamp()), Some(2));
    assert_eq!(contact.signed_up_at.map(|at| at.timestamp()), Some(1));
    assert_eq!((contact.country.as_deref(), contact.country_code.as_deref()), (Some("Ireland"), Some("IRL")));
    assert_eq!((contact.city.as_deref(), contact.region.as_deref()), (Some("Dublin"), Some("Leinster")));
    assert_eq!(person(r#"{"type":"user","id":"a","location_data":{}}"#).contact.country, None);
}

#[test]
fn groups_are_told_by_ids_of_either_type() {
    let person =
        person(r#"{"type":"user","id":"a","tags":{"tags":[{"id":17},{"id":"18","name":"x"}]},"segments":{"segments":[{"id":"s"}]}}"#);
    assert_eq!(person.groups_of(GroupKind::Tag), ["17", "18"]);
    assert_eq!(person.groups_of(GroupKind::Segment), ["s"]);
}

#[test]
fn a_scroll_with_rows_says_where_it_goes_on() {
    let decode = |json: &str| scroll_page(json.as_bytes()).map(|page| (page.persons.len(), page.param)).map_err(|error| error.to_string());
    assert_eq!(decode(r#"{"users":[],"scroll_param":null}"#), Ok((0, None)));
    assert_eq!(decode(r#"{"contacts":[{"type":"contact","id":"a"}],"scroll_param":"p"}"#), Ok((1, Some("p".into()))));
    let missing = "JSON that is not as documented at `scroll_param`";
    assert_eq!(decode(r#"{"users":[{"type":"user","id":"a"}]}"#), Err(missing.to_string()));
}

#[test]
fn the_first_message_tells_who_opened() {
    let conversation = |json: &str| {
        let body = format!(r#"{{"conversations":[{{"id":1,"created_at":1,{json}}}]}}"#);
        conversations(body.as_bytes()).unwrap().rows.remove(0).conversation
    };
    let opener = |json: &str| conversation(json).opener;
    assert_eq!(opener(r#""conversation_message":{"author":{"type":"user","id":"u"}}"#), Opener::Contact("u".into()));
    assert_eq!(opener(r#""conversation_message":{"author":{"type":"contact"}},"user":{"id":"l"}"#), Opener::Contact("l".into()));
    assert_eq!(opener(r#""conversation_message":{"author":{"type":"admin","id":"5"}},"user":{"id":"u"}"#), Opener::Workspace);
    assert_eq!(opener(r#""conversation_message":{"author":{"type":"lead"}},"customers":[{"id":"a"},{"id":"b"}]"#), Opener::UnknownContact);
    assert_eq!(conversation(r#""open":true"#).state.as_deref(), Some("open"));
    assert_eq!(conversation(r#""open":true,"state":"snoozed""#).state.as_deref(), Some("snoozed"));
}
