//! Groups whose names are typed with other characters than Intercom's: found where it is certain which is meant, and
//! otherwise distinguished for people who cannot see the difference.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::job::{Job, Place, texts};
use crate::support::program::{ask, on, run};
use crate::support::simulator::Simulator;
use crate::support::truth::JULY;
use crate::support::{TOKEN, http};

const VERSIONS: [&str; 2] = ["1.4", "2.14"];
const NOW: &str = "2026-11-01T02:00:00Z";

/// A tag of the world, the name that it gets, and the name by which a job asks for it.
const TAGS: [(&str, &str, &str); 8] = [
    ("1373897", "Café Bélair", "Cafe\u{301} Be\u{301}lair"),
    ("1400074", "Cre\u{301}perie", "CRÉPERIE"),
    ("1400111", "churn\u{a0}risk", "churn  risk"),
    ("1400148", "\u{2764}\u{fe0f} fans", "\u{2764} fans"),
    ("1400185", "VIP\u{200b}", "vip"),
    ("1400222", "ＧＯＬＤ", "Gold"),
    ("1400518", "İSTANBUL", "istanbul"),
    ("1400555", "STRASSE", "straße"),
];

fn rename(simulator: &Simulator, id: &str, name: &str) {
    let headers = [("Authorization", format!("Bearer {TOKEN}")), ("Intercom-Version", "2.14".to_string())];
    let headers = headers.map(|(name, value)| (name.to_string(), value));
    let body = json!({"id": id, "name": name}).to_string();
    let answer = http::send(simulator.address(), "POST", "/tags", &headers, body.as_bytes());
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

fn renamed(now: &str) -> Simulator {
    let simulator = Simulator::at(now, &[]);
    TAGS.iter().for_each(|(id, name, _)| rename(&simulator, id, name));
    simulator
}

#[test]
fn a_job_finds_tags_whose_names_look_alike() {
    let simulator = renamed(JULY.as_of);
    let tags: Vec<String> = TAGS.iter().map(|(_, _, typed)| typed.to_string()).collect();
    for version in VERSIONS {
        let place = Place::new();
        let job = Job { timezone: Some("Europe/Dublin".into()), tags: tags.clone(), ..Job::empty() };
        let job = job.with_top("conversations = false\npopulation = \"cohorts\"\nprofile = []");
        let rule = "[[rules]]\nname = \"leads\"\nwhere = \"tag.\\\"CAFÉ\u{a0}BÉLAIR\\\" AND role = 'lead'\"";
        let file = place.job(&job.with_intercom(format!("api_version = \"{version}\"")).with_section(rule), &simulator.base_url);
        run(&file, &["--as-of", JULY.as_of]).succeed();
        let manifest = place.manifest(JULY.name);
        let cohorts = manifest["cohorts"].as_array().unwrap();
        let found: BTreeSet<(String, String)> = cohorts
            .iter()
            .map(|cohort| ["cohort_key", "cohort_name"].map(|name| cohort[name].as_str().unwrap().to_string()).into())
            .collect();
        assert_eq!(found, TAGS.iter().map(|(id, name, _)| (format!("tag:{id}"), name.to_string())).collect(), "{version}");
        // The rule's group is the job's, however either is typed.
        let rows = place.report(JULY.name, "cohort_summary").rows_by_name();
        let row = rows.iter().find(|row| row["cohort_key"].shown() == "rule:leads").unwrap();
        assert!(row["leads"] == row["members"] && row["members"].shown() != "0", "{row:?}");
        // A second run finds the month published, with all groups that the job names.
        let again = run(&file, &["--as-of", JULY.as_of]).succeed();
        assert!(!again.stderr.contains(" lacks; "), "{}", again.stderr);
        let checked = on(&file, "check", &[]).finish();
        assert!(TAGS.iter().all(|(id, ..)| checked.stdout.contains(&format!("id:{id}"))), "{}", checked.stdout);
    }
}

#[test]
fn a_name_that_is_there_exactly_goes_before_those_that_look_alike() {
    let simulator = Simulator::at(NOW, &[]);
    rename(&simulator, "1373897", "Café");
    rename(&simulator, "1400111", "Cafe\u{301}");
    // The second letter is Cyrillic.
    rename(&simulator, "1400074", "V\u{406}P");
    for version in VERSIONS {
        let members = |name: &str| ask(&simulator.base_url, version, ["members", name, "--format", "jsonl"]);
        for (name, key) in [("Café", "tag:1373897"), ("Cafe\u{301}", "tag:1400111"), ("id:1400111\u{200b}", "tag:1400111")] {
            let listed = members(&format!("tag:{name}")).succeed().stdout;
            let ids: BTreeSet<String> = listed
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["contact_id"].as_str().unwrap().to_string())
                .collect();
            assert_eq!(ids, simulator.members(key).into_iter().collect(), "{name} on {version}");
        }
        let both = ["`Café` (id:1373897)", "`Cafe\u{301}` (id:1400111)", "look the same, but their characters differ"];
        members("tag:CAFÉ").finish().check_failure(4, &both);
        let looks = ["`VIP` is not in the workspace", "`V\u{406}P` (id:1400074)", "its characters differ: U+0406 in place of U+0049"];
        members("tag:VIP").finish().check_failure(4, &looks);
    }
}

#[test]
fn a_tag_is_written_under_its_own_name_and_never_doubled() {
    let simulator = renamed(NOW);
    let tagged = simulator.members("tag:1400185");
    let ids = simulator.contacts().into_iter().map(|contact| contact["id"].as_str().unwrap().to_string());
    let contact = ids.into_iter().find(|id| !tagged.contains(id)).unwrap();
    for version in VERSIONS {
        let plan = ask(&simulator.base_url, version, ["tag", "vip", "--id", &contact, "--dry-run", "--json"]).succeed().stdout;
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let names: Vec<&str> = plan["calls"].as_array().unwrap().iter().map(|call| call["body"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["VIP\u{200b}"], "{version}: {plan}");
    }
    // A rule's tag has to be named so that Intercom knows it: nobody gets one that only looks like it.
    let place = Place::new();
    let rule = "[[rules]]\nname = \"leads\"\nwhere = \"role = 'lead'\"\napply_tag = \"VIP\"";
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["VIP"]), ..Job::empty() };
    let file = place.job(&job.with_top("conversations = false").with_top("max_tag_change = 1.0").with_section(rule), &simulator.base_url);
    let writes = simulator.writes().len();
    let finished = run(&file, &["--as-of", NOW, "--apply-tags"]).finish();
    finished.check_failure(4, &["`VIP\u{200b}` (id:1400185)", "U+200B in place of nothing"]);
    assert_eq!(simulator.writes().len(), writes);
}
