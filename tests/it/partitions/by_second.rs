//! Partitions of exact seconds, from 2.17 on.

use super::*;
use crate::support::http;

/// `/me` without the time zone of the workspace.
fn without_zone(simulator: &Simulator) -> Value {
    let mut me = http::json(&simulator.base_url, "/me");
    me["app"].as_object_mut().unwrap().remove("timezone").unwrap();
    me
}

/// The role of a partition, and its bounds: from a second on, and before a second.
type Bounds = (Option<String>, Option<i64>, Option<i64>);

/// The bounds of a search for a page. `None` for a request that is not restricted by time.
fn bounds(request: &Request) -> Option<Bounds> {
    let query = request.json()["query"].clone();
    let filters = query["value"].as_array().cloned().unwrap_or_else(|| vec![query.clone()]);
    let of = |field: &str, operator: &str| {
        let filter = filters.iter().find(|filter| filter["field"] == field && filter["operator"] == operator)?;
        Some(filter["value"].clone())
    };
    let mut operators = filters.iter().filter(|filter| filter["field"] == "created_at").map(|filter| filter["operator"].as_str().unwrap());
    assert!(operators.clone().all(|operator| [">", "<"].contains(&operator)), "{query}");
    operators.next()?;
    let second = |operator: &str| of("created_at", operator).map(|value| value.as_i64().unwrap());
    Some((of("role", "=").map(|role| role.as_str().unwrap().to_string()), second(">").map(|after| after + 1), second("<")))
}

#[test]
fn partitions_of_seconds_bring_what_those_of_days_bring_and_need_no_time_zone() {
    let simulator = large();
    let me = without_zone(&simulator);
    for job in [job(), of_groups()] {
        let of_days = Place::new();
        observe(&of_days.job(&job.clone().with_intercom("api_version = \"2.16\""), &simulator.base_url), &AS_OF).succeed();

        let place = Place::new();
        let me = me.clone();
        let recorder = Scripted::before(simulator.address(), move |request| (request.path() == "/me").then(|| Reply::json(&me)));
        let file = place.job(&job.with_intercom("api_version = \"2.17\""), &recorder.base_url);
        let planned = observe(&file, &AS_OF).arguments(&["--dry-run"]).succeed().stdout;
        let before = recorder.requests().len();
        observe(&file, &AS_OF).succeed();
        let requests = &recorder.requests()[before..];
        check_same(&tables(published(&place.job_folder())), &tables(published(&of_days.job_folder())), "by seconds");
        let reported = planned.lines().find(|line| line.contains(" partitions, ")).unwrap();
        let sent = requests.iter().filter(|request| !asks_a_contact(request) && !asks_for_subscriptions(request)).count();
        assert!(reported.contains(&format!(" partitions, {sent} ")), "{sent} sent\n{planned}");

        // The partitions of a stream adjoin: each begins where another ends, but the first, and none overlap.
        let mut streams: BTreeMap<&str, BTreeSet<Bounds>> = BTreeMap::new();
        for page in requests.iter().filter(|request| request.per_page() == Some(PAGE) && request.path() == "/contacts/search") {
            let stream = GROUPS.iter().find(|key| is_of(page, key)).unwrap_or(&"everyone");
            streams.entry(stream).or_default().extend(bounds(page));
        }
        assert!(streams.values().any(|partitions| partitions.len() > 2), "{streams:?}");
        for (stream, partitions) in streams.into_iter().filter(|(_, partitions)| !partitions.is_empty()) {
            let mut partitions = Vec::from_iter(partitions);
            assert!(partitions.iter().all(|(role, ..)| role.is_none()), "{stream}: {partitions:?}");
            partitions.sort_by_key(|(_, from, _)| *from);
            assert_eq!((partitions[0].1, partitions.last().unwrap().2), (None, None));
            assert!(partitions.windows(2).all(|pair| pair[0].2.is_some() && pair[0].2 == pair[1].1), "{stream}: {partitions:?}");
        }
    }
}

#[test]
fn a_second_in_which_many_were_imported_is_split_by_role_and_no_further() {
    let simulator = Simulator::at(MONTH.as_of, &["--contacts", "1000"]);
    let mut created: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for contact in simulator.contacts() {
        created.entry(contact["created_at"].as_i64().unwrap()).or_default().push(contact["id"].as_str().unwrap().to_string());
    }
    let (second, mut imported) = created.into_iter().max_by_key(|(_, ids)| ids.len()).unwrap();
    assert!(imported.len() > 60, "{}", imported.len());

    let place = Place::new();
    let recorder = Scripted::before(simulator.address(), |_| None);
    let job = Job { tags: texts(&["empty tag"]), ..Job::empty() }.with_top("conversations = false");
    let job = ["api_version = \"2.17\"", "page_size = 2", "max_concurrency = 32"].into_iter().fold(job, Job::with_intercom);
    observe(&place.job(&job, &recorder.base_url), &AS_OF).succeed();

    let pages = recorder.requests().into_iter().filter(|request| request.per_page() == Some(2) && request.path() == "/contacts/search");
    let partitions: BTreeSet<Bounds> = pages.filter_map(|page| bounds(&page)).collect();
    let of_import = partitions
        .into_iter()
        .filter(|(_, from, before)| from.is_none_or(|from| from <= second) && before.is_none_or(|before| second < before));
    let of_role = |role: &str| (Some(role.to_string()), Some(second), Some(second + 1));
    assert_eq!(of_import.collect::<Vec<_>>(), [of_role("lead"), of_role("user")]);
    let contacts = place.snapshot_table(MONTH.name, "contacts").rows_by_name();
    let mut found: Vec<String> = contacts.iter().map(|row| row["contact_id"].shown()).filter(|id| imported.contains(id)).collect();
    found.sort();
    imported.sort();
    assert_eq!(found, imported);
}
