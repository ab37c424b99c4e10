//! What Intercom answers: token, permissions, groups, workspace.

use super::*;
use crate::support::http::ClosedPort;

#[test]
fn a_token_that_is_missing_or_wrong_is_one_error() {
    check_cases(|version| {
        vec![
            Case { token: None, ..case("no token", version, 3, &[("error token", "INTERCOM_ACCESS_TOKEN is not set")]) },
            Case { token: Some("tok en"), ..case("no token at all", version, 3, &[("error token", "not usable")]) },
            Case { token: Some("invalid-token"), ..case("a wrong token", version, 3, &[("error token", "401")]) },
            case("a token file that is not there", version, 3, &[("error token", "/nowhere/token")])
                .intercom("token_file = \"/nowhere/token\""),
        ]
    });
}

#[test]
fn a_token_file_that_others_can_read_is_a_warning() {
    let simulator = Simulator::at(AUGUST.as_of, &["--token", TOKEN]);
    let place = Place::new();
    let path = place.folder().join("token");
    fs::write(&path, TOKEN).unwrap();
    let job = plain_job().with_intercom(format!("token_file = {path:?}"));
    let file = place.job(&job, &simulator.base_url);
    for (mode, amiss) in [(0o600, &[][..]), (0o400, &[]), (0o644, &[("warning token", "0644")]), (0o620, &[("warning token", "0620")])] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let found = found(check(&file).without_token());
        check_amiss(&found, 0, amiss);
        assert!(found.detail("token").contains(path.to_str().unwrap()));
    }
}

#[test]
fn each_permission_that_is_missing_is_named_and_the_others_are_tried() {
    const CONTACTS: &[(&str, &str)] = &[("error reading contacts", "403")];
    check_cases(|version| {
        let is_old = version == "1.4";
        vec![
            case("tags", version, 3, &[("error reading tags", "403")]).simulator(&["--faults", "403@/tags:1"]),
            case("segments", version, 3, &[("error reading segments", "403")]).simulator(&["--faults", "403@/segments:1"]),
            case("contacts", version, 3, CONTACTS).simulator(if is_old {
                &["--faults", "403@/users:1"]
            } else {
                &["--faults", "403@/contacts:1"]
            }),
            // On 1.x nothing asks for their number before they are fetched.
            case("conversations", version, 3, &[("error reading conversations", "403")])
                .simulator(&["--faults", "403@/conversations:1"])
                .beyond_the_plan(is_old),
            case("conversations that nobody wants", version, 0, &[])
                .top("conversations = false")
                .simulator(&["--faults", "403@/conversations:1"]),
            case("two of them", version, 3, &[("error reading tags", "403"), ("error reading segments", "403")])
                .simulator(&["--faults", "403@/tags:1,403@/segments:1"]),
        ]
    });
}

#[test]
fn a_failing_request_does_not_stop_the_others() {
    let simulator = Simulator::at(AUGUST.as_of, &["--faults", "500@/tags:1,403@/segments:1"]);
    for version in GENERATIONS {
        let place = Place::new();
        let job = good_job(version).with_intercom("give_up_after = \"2s\"");
        let found = found(check(&place.job(&job, &simulator.base_url)));
        check_amiss(&found, 3, &[("error reading tags", "500"), ("error reading segments", "403")]);
        assert_eq!(found.detail("reading contacts"), "permitted");
        assert!(found.detail("tag `VIP`").contains("could not be listed"));
    }
}

#[test]
fn groups_that_a_run_would_not_find_are_4_and_empty_ones_a_warning() {
    check_cases(|version| {
        vec![
            case("a typo", version, 4, &[("error tag `value_leed`", "did you mean `value_lead`?")]).tags(&["value_leed", "VIP"]),
            case("two of one name", version, 4, &[("error segment `Duplicate name`", "id:65f0a1b2aa01c0ffee000006")])
                .segments(&["Duplicate name", "Active"]),
            case("an ID of nobody", version, 4, &[("error tag `id:999`", "is not in the workspace")]).tags(&["id:999", "VIP"]),
            case("an empty tag", version, 0, &[("warning tag `empty tag`", "0 members")]).tags(&["empty tag"]),
            case("one group twice", version, 0, &[("warning tag `id:1400074`", "names it twice")]).tags(&["VIP", "id:1400074"]),
            case(
                "an archived tag by its ID",
                version,
                0,
                &[(
                    "warning tag `id:1390001`",
                    "archived (it is `old campaign`, id:1390001): the API does not list it, and a run leaves it out; the run ends with exit code 4",
                )],
            )
            .tags(&["id:1390001", "VIP"]),
            case(
                "an archived tag by its bare ID",
                version,
                0,
                &[("warning tag `1390001`", "the API does not list it, and a run leaves it out; the run ends with exit code 4")],
            )
            .tags(&["1390001", "VIP"]),
            case(
                "an archived tag by its key",
                version,
                0,
                &[("warning tag `tag:1390001`", "the API does not list it, and a run leaves it out; the run ends with exit code 4")],
            )
            .tags(&["tag:1390001", "VIP"]),
            // Only 1.x lists archived groups by name.
            match version {
                "1.4" => case(
                    "an archived tag by its name",
                    version,
                    0,
                    &[("warning tag `old campaign`", "the API does not list it, and a run leaves it out; the run ends with exit code 4")],
                ),
                _ => case("an archived tag by its name", version, 4, &[("error tag `old campaign`", "is not in the workspace")]),
            }
            .tags(&["old campaign", "VIP"]),
            // A run that would publish nothing, or may not go without it, fails: that is no mere warning.
            case("an archived tag that the job may not miss", version, 4, &[("error tag `id:1390001`", "archived")])
                .tags(&["id:1390001", "VIP"])
                .top("missing = \"fail\""),
            case("an archived tag alone", version, 4, &[("error tag `id:1390001`", "archived")]).tags(&["id:1390001"]).segments(&[]),
            case("the name of a living and an archived tag", version, 0, &[]).tags(&["VIP"]),
            case("a population", version, 4, &[("error population: segment `Nobody`", "is not in the workspace")])
                .top("population = \"segment:Nobody\""),
            case("a population that is a cohort, too", version, 0, &[]).top("population = \"segment:Active\""),
            case("three at once", version, 4, &[("error tag `a`", ""), ("error tag `b`", ""), ("error segment `c`", "")])
                .tags(&["a", "b"])
                .segments(&["c"]),
        ]
    });
}

#[test]
fn a_group_that_an_earlier_month_held_and_no_list_shows_is_archived() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let recorder = before(&simulator, |request| match request.path() {
        "/tags" => Some(json!({"type": "list", "data": [{"type": "tag", "id": "1400074", "name": "VIP"}]})),
        "/segments" => Some(json!({"type": "segment.list", "segments": []})),
        _ => None,
    });
    let place = Place::with(one_month());
    let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
    let archived = [("warning tag `value_lead`", "archived (it is `value_lead`"), ("warning segment `Active`", "archived (it is `Active`")];
    check_amiss(&found, 0, &archived);
}

#[test]
fn a_renamed_group_is_found_by_the_id_it_had() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let recorder = before(&simulator, |request| {
        let tag = |id: &str, name: &str| json!({"type": "tag", "id": id, "name": name});
        (request.path() == "/tags").then(|| json!({"type": "list", "data": [tag("1400074", "VIP"), tag("1373897", "best leads")]}))
    });
    let place = Place::with(one_month());
    let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
    check_amiss(&found, 0, &[("warning tag `value_lead`", "`best leads`, id:1373897")]);
}

#[test]
fn time_zone_region_version_and_profile_are_held_against_the_workspace() {
    check_cases(|version| {
        let mut cases = vec![
            case(
                "another zone",
                version,
                0,
                &[
                    ("warning time zone", "Asia/Tokyo, named by the job; the workspace's own is Europe/Dublin"),
                    (
                        "warning time zone",
                        "was observed with the time zone Europe/Dublin and ended at 2026-07-31T23:00:00Z; with Asia/Tokyo it would have ended 8 hours earlier",
                    ),
                ],
            )
            .zone(Some("Asia/Tokyo")),
            case("no zone named", version, 0, &[]).zone(None),
            case("the wrong region", version, 0, &[("warning region", "hosted in EU, the settings say au")]).intercom("region = \"au\""),
            case("the right region", version, 0, &[]).intercom("region = \"eu\""),
        ];
        if version == "1.4" {
            cases
                .push(case("a version that is off", version, 2, &[("error api", "intercom_version_invalid")]).simulator(&["--without-1x"]));
        } else {
            cases.push(
                case("an unknown attribute", version, 0, &[("warning profile: custom_attributes.plam", "does not have")]).profile("plam"),
            );
            let refused = &[("warning settings", "2.99 is newer"), ("error api", "intercom_version_invalid")];
            cases.push(case("a version to come", "2.99", 2, refused));
        }
        cases
    });
}

impl Case {
    fn zone(self, zone: Option<&str>) -> Case {
        Case { job: Job { timezone: zone.map(str::to_string), ..self.job }, ..self }
    }

    fn profile(self, custom: &str) -> Case {
        let top = vec![format!("profile = [\"custom_attributes.{custom}\"]")];
        Case { job: Job { top, ..self.job }, ..self }
    }
}

#[test]
fn a_workspace_without_a_zone_needs_one_in_the_job() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    for (zone, detail) in [(None, "not given by the API"), (Some("Dublin time"), "`Dublin time`, which is no IANA name")] {
        let recorder = before(&simulator, move |request| {
            let me = json!({"type": "admin", "id": "1", "app": {"id_code": "w0rk5pac", "timezone": zone}});
            (request.path() == "/me").then_some(me)
        });
        let place = Place::new();
        let job = Job { timezone: None, ..good_job("2.14") };
        let file = place.job(&job, &recorder.base_url);
        check_amiss(&found(check(&file)), 2, &[("error time zone", detail)]);
        run(&file, &["--as-of", AUGUST.as_of, "--dry-run"]).finish().check_failure(2, &["time zone"]);
    }
}

#[test]
fn a_rate_limit_that_is_not_announced_is_no_error() {
    let simulator = Simulator::at(AUGUST.as_of, &["--faults", "noheaders:1"]);
    for version in GENERATIONS {
        let place = Place::new();
        let found = found(check(&place.job(&good_job(version), &simulator.base_url)));
        check_amiss(&found, 0, &[]);
        assert_eq!(found.line("rate limit")["level"], "info");
        assert!(found.detail("rate limit").starts_with("unknown"), "{}", found.detail("rate limit"));
    }
}

#[test]
fn the_months_of_another_workspace_are_2() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let me = json!({"type": "admin", "id": "1", "app": {"id_code": "another1", "timezone": "Europe/Dublin"}});
    let recorder = before(&simulator, move |request| (request.path() == "/me").then(|| me.clone()));
    let place = Place::with(one_month());
    let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
    check_amiss(&found, 2, &[("error workspace", "w0rk5pac")]);
}

#[test]
fn a_legacy_api_without_me_is_no_obstacle() {
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    let without_me = |request: &Request| {
        let body = json!({"type": "error.list", "errors": [{"code": "not_found", "message": "Resource Not Found"}]});
        (request.path() == "/me").then(|| Reply::text(404, "application/json", &body.to_string()))
    };
    let recorder = Scripted::before(simulator.address(), without_me);
    let place = Place::new();
    let file = place.job(&good_job("1.4"), &recorder.base_url);
    let checked = found(check(&file));
    check_amiss(&checked, 0, &[]);
    assert!(checked.detail("workspace").contains("unknown"));
    run(&file, &["--as-of", AUGUST.as_of]).succeed();
    // Without a zone in the job nobody knows one; and from 2.0 on an API has `/me`.
    let file = place.job(&Job { timezone: None, ..good_job("1.4") }, &recorder.base_url);
    check_amiss(&found(check(&file)), 2, &[("error time zone", "not given by the API")]);
    let found = found(check(&place.job(&good_job("2.14"), &recorder.base_url)));
    check_amiss(&found, 2, &[("error workspace", "`GET /me` answered 404")]);
}

#[test]
fn an_api_that_is_not_there_is_one_error() {
    let closed = ClosedPort::new();
    let elsewhere = Scripted::new(|_| Reply::text(404, "text/html", "<h1>no such page</h1>"));
    let down = Simulator::at(AUGUST.as_of, &["--faults", "503:1"]);
    let mut cases: Vec<(&str, &str, i32, &str)> = Vec::new();
    for version in GENERATIONS {
        cases.push((version, &closed.base_url, 5, "no connection"));
        cases.push((version, &elsewhere.base_url, 2, "404"));
        cases.push((version, &down.base_url, 5, "503"));
    }
    side_by_side(
        &cases,
        |(version, _, _, words)| format!("{words} on {version}"),
        |(version, address, code, words)| {
            let place = Place::new();
            let job = good_job(version).with_intercom("give_up_after = \"2s\"");
            let found = found(check(&place.job(&job, address)));
            check_amiss(&found, *code, &[("error api", words)]);
            assert!(found.detail("groups").contains("not checked"));
            assert!(found.detail("output").contains("can be made"), "what needs no network is checked");
        },
    );
}
