use super::*;
use domain::{GroupKind, Opener, OwnTags, Role};

fn person(json: &str) -> Person {
    contacts(format!(r#"{{"users":[{json}]}}"#).as_bytes()).unwrap().rows.remove(0)
}

#[test]
fn the_number_of_pages_comes_in_several_forms() {
    let page = |rest: &str| contacts(format!(r#"{{"type":"user.list","users":[]{rest}}}"#).as_bytes()).unwrap();
    let read = |rest: &str| (page(rest).last, page(rest).has_next, page(rest).total);
    assert_eq!(read(""), (None, false, None));
    assert_eq!(read(r#","pages":null,"total_count":"7""#), (None, false, Some(7)));
    assert_eq!(read(r#","pages":{"next":null,"total_pages":3}"#), (Some(3), false, None));
    assert_eq!(read(r#","pages":{"next":"https://elsewhere.example/users?page=2"}"#), (None, true, None));
    assert_eq!(contacts(br#"{"type":"contact.list","contacts":[{"type":"contact","id":"a"}]}"#).unwrap().rows.len(), 1);
}

#[test]
fn a_contact_of_1x_is_a_lead_and_its_generated_id_is_none() {
    let lead = person(r#"{"type":"contact","id":"a","user_id":"8f6e","anonymous":true}"#);
    assert_eq!((lead.contact.role, lead.contact.external_id, lead.oddities), (Role::Lead, None, Oddities::default()));
    let user = person(r#"{"type":"user","id":"a","user_id":7}"#);
    assert_eq!((user.contact.role, user.contact.external_id.as_deref()), (Role::User, Some("7")));
    let without_type = person(r#"{"id":"a","anonymous":true}"#);
    assert_eq!((without_type.contact.role, without_type.oddities.roles_unknown), (Role::Lead, 1));
}

#[test]
fn fields_are_read_under_their_old_names() {
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
fn group_ids_may_be_numbers_or_texts() {
    let person =
        person(r#"{"type":"user","id":"a","tags":{"tags":[{"id":17},{"id":"18","name":"x"}]},"segments":{"segments":[{"id":"s"}]}}"#);
    let groups = [(GroupKind::Tag, "17"), (GroupKind::Tag, "18"), (GroupKind::Segment, "s"), (GroupKind::Segment, "17")];
    assert_eq!(groups.map(|(kind, id)| person.is_in(kind, id)), [Some(true), Some(true), Some(true), Some(false)]);
    let own = |person: &Person| (person.contact.tags.clone(), person.contact.segments.clone());
    let all = |ids: &[&str]| Some(OwnTags { ids: ids.iter().map(|id| (*id).into()).collect(), is_complete: true });
    assert_eq!(own(&person), (all(&["17", "18"]), all(&["s"])));
}

#[test]
fn a_scroll_page_with_rows_needs_a_cursor() {
    let decode = |json: &str| scroll_page(json.as_bytes()).map(|page| (page.persons.len(), page.param)).map_err(|error| error.to_string());
    assert_eq!(decode(r#"{"users":[],"scroll_param":null}"#), Ok((0, None)));
    assert_eq!(decode(r#"{"contacts":[{"type":"contact","id":"a"}],"scroll_param":"p"}"#), Ok((1, Some("p".into()))));
    let missing = "JSON that is not as documented at `scroll_param`";
    assert_eq!(decode(r#"{"users":[{"type":"user","id":"a"}]}"#), Err(missing.to_string()));
}

#[test]
fn the_opener_is_the_author_of_the_first_message() {
    let conversation = |json: &str| {
        let body = format!(r#"{{"conversations":[{{"id":1,"created_at":1,{json}}}]}}"#);
        conversations(body.as_bytes()).unwrap().rows.remove(0)
    };
    let opener = |json: &str| conversation(json).opener;
    assert_eq!(opener(r#""conversation_message":{"author":{"type":"user","id":"u"}}"#), Opener::Contact("u".into()));
    assert_eq!(opener(r#""conversation_message":{"author":{"type":"contact"}},"user":{"id":"l"}"#), Opener::Contact("l".into()));
    assert_eq!(opener(r#""conversation_message":{"author":{"type":"admin","id":"5"}},"user":{"id":"u"}"#), Opener::Workspace);
    assert_eq!(opener(r#""conversation_message":{"author":{"type":"lead"}},"customers":[{"id":"a"},{"id":"b"}]"#), Opener::UnknownContact);
    assert_eq!(conversation(r#""open":true"#).state.as_deref(), Some("open"));
    assert_eq!(conversation(r#""open":true,"state":"snoozed""#).state.as_deref(), Some("snoozed"));
}

#[test]
fn counts_are_keyed_by_any_name_and_have_nested_pages() {
    let read = |body: &str, of: &str, by: &str| sizes(body.as_bytes(), of, by).map(|page| (page.sizes, page.last));
    let named = |name: &str, size: u64| (name.to_string(), size);
    let body = r#"{"type":"count","user":{"tag":[{"count":3},{"a \"b\"\n":0},{"count":4}]}}"#;
    assert_eq!(read(body, "user", "tag").unwrap(), (vec![named("count", 3), named("a \"b\"\n", 0), named("count", 4)], 1));
    let body = r#"{"type":"count","company":{"tag":[{"VIP":"7"}]},"pages":{"pages":{"type":"pages","next":"https://elsewhere.example","page":1,"total_pages":203}}}"#;
    assert_eq!(read(body, "company", "tag").unwrap(), (vec![named("VIP", 7)], 203));
    let body = r#"{"type":"count","user":{"tag":[{"x":{}},{"y":null},{"z":1}]}}"#;
    assert_eq!(read(body, "user", "tag").unwrap().0, [named("z", 1)], "groups without a number are left out");
    assert!(read(r#"{"type":"count","user":{"tag":[7]}}"#, "user", "tag").is_err());
    assert!(read(r#"{"type":"count.hash","user":{"count":1}}"#, "user", "tag").is_err());

    let all = totals(br#"{"type":"count.hash","company":{"count":8},"user":{"user":{"count":80}},"lead":3,"tag":{"count":2}}"#).unwrap();
    assert_eq!((all.users, all.leads, all.companies), (Some(80), Some(3), Some(8)));
    assert!(totals(br#"{"type":"list","data":[]}"#).is_err(), "another response is not a count of zero");
    let states = conversation_states(br#"{"type":"count","conversation":{"open":1,"closed":15,"unassigned":0}}"#).unwrap();
    assert_eq!(states, [("open", Some(1)), ("closed", Some(15)), ("assigned", None), ("unassigned", Some(0))]);
}

#[test]
fn contacts_with_an_address_come_as_a_list_or_alone() {
    let found = |body: &str| {
        found_contacts(body.as_bytes(), Some("7")).map(|holders| holders.into_iter().map(|one| (one.id, one.is_tagged)).collect::<Vec<_>>())
    };
    let list = r#"{"type":"user.list","users":[{"type":"user","id":"a","tags":{"tags":[{"id":7}]}},{"type":"user","id":"b","tags":{"tags":[]}},{"type":"user","id":"c"}]}"#;
    assert_eq!(found(list).unwrap(), [("a".to_string(), Some(true)), ("b".to_string(), Some(false)), ("c".to_string(), None)]);
    assert_eq!(found(r#"{"type":"user","id":"a"}"#).unwrap(), [("a".to_string(), None)]);
    assert!(found(r#"{"type":"user"}"#).is_err());
}
