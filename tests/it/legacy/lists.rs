//! Lists by page number that do not say what they should, or lose a page.

use serde_json::Value;

use super::*;

/// A server in front of the simulator that changes the answers to one path.
fn amending(simulator: &Simulator, path: &'static str, amend: impl Fn(&Request, &mut Value) + Send + Sync + 'static) -> Scripted {
    let address = simulator.address().to_string();
    Scripted::before(simulator.address(), move |request| {
        let Reply::Http { status: 200, body, .. } = (request.path() == path).then(|| forward(&address, request))? else { return None };
        let mut page: Value = serde_json::from_slice(&body).unwrap();
        amend(request, &mut page);
        Some(Reply::json(&page))
    })
}

#[test]
fn lists_that_do_not_say_whether_they_end_are_read_until_they_do() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let job = || asked_in("1.4", Job { intercom: vec!["page_size = 20".to_string()], ..plain_job() });
    for path in ["/users", "/conversations"] {
        let recorder = amending(&simulator, path, |_, page| {
            let page = page.as_object_mut().unwrap();
            page.remove("pages");
            page.remove("total_count");
        });
        // But for the totals that were not announced, and the page, which shows what was noticed.
        let of_totals = ["cohort_summary", "cohort_trends", "data_quality", "/counts.", "/report.html"];
        let reported = |path: &String| of_totals.iter().any(|name| path.contains(name));
        let but_totals =
            |tree: &Tree| tree.iter().filter(|(path, _)| !reported(path)).map(|(path, file)| (path.clone(), file.clone())).collect();
        let (found, expected): (Tree, Tree) = (but_totals(&observed(&recorder.base_url, job())), but_totals(undisturbed()));
        check_same(&found, &expected, path);
    }
    let recorder = amending(&simulator, "/users", |_, page| page["pages"]["total_pages"] = 0.into());
    check_same(&observed(&recorder.base_url, job()), undisturbed(), "a number of pages that cannot be");
}

#[test]
fn conversations_with_a_hole_or_without_an_end_are_6_and_not_a_quiet_month() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let job = || asked_in("1.4", Job { intercom: vec!["page_size = 20".to_string()], ..plain_job() });
    let emptied = |page: &mut Value| page["conversations"] = Value::Array(Vec::new());
    let hole = amending(&simulator, "/conversations", move |request, page| {
        if request.parameter("page").as_deref() == Some("2") {
            emptied(page);
        }
    });
    let short = amending(&simulator, "/conversations", |_, page| page["pages"]["total_pages"] = 1.into());
    for (server, named) in [(&hole, "page 2 of `/conversations` is empty"), (&short, "although it announced")] {
        let place = Place::new();
        run(&place.job(&job(), &server.base_url), &["--as-of", JULY.as_of]).finish().check_failure(6, &["conversations", named]);
        assert_eq!(published(&place.job_folder()), Tree::new());
    }
    // Once is an accident: the second stream is whole.
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let passing = amending(&simulator, "/conversations", move |request, page| {
        if request.parameter("page").as_deref() == Some("2") && is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            emptied(page);
        }
    });
    check_same(&observed(&passing.base_url, job()), undisturbed(), "a hole that was there once");
}
