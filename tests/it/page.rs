//! `report.html` and `index.html` as files: what they hold, what they must not hold, and that they are the reports' own
//! figures. How they look and behave in a browser is tested in `tests/page`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::fixture::{COHORTS, four_months, plain_job};
use crate::support::job::{Job, Place, manifest, texts};
use crate::support::program::{on, run};
use crate::support::simulator::Simulator;
use crate::support::tables::{Cell, Table, count, day};
use crate::support::truth::{AUGUST, JULY};
use crate::support::workspace::{Workspace, contact, contact_id, plainly};

const MONTH: &str = "2026-10";

fn page(job_folder: &Path, month: &str) -> String {
    fs::read_to_string(job_folder.join(format!("reports/run_month={month}/report.html"))).unwrap()
}

fn last_page() -> String {
    page(&four_months().job_folder(), MONTH)
}

/// The texts of all elements of this name, with their opening tags.
fn elements<'a>(html: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    html.split(&open)
        .skip(1)
        .map(|part| part.split_once('>').unwrap())
        .map(|(tag, rest)| (tag, rest.split(&close).next().unwrap()))
        .collect()
}

/// What the charts are drawn from.
fn figures(html: &str) -> Value {
    let scripts = elements(html, "script");
    let (_, text) = scripts.iter().find(|(tag, _)| tag.contains("application/json")).unwrap();
    serde_json::from_str(text).unwrap()
}

/// The figure whose table says that it is of this cohort, by the anchor of the cohort's section.
fn anchor(html: &str, cohort: &str) -> String {
    let (tag, _) = elements(html, "h2").into_iter().find(|(_, text)| text.starts_with(&format!("{cohort} <small>"))).unwrap();
    tag.split('"').nth(1).unwrap().to_string()
}

#[test]
fn every_month_has_a_page_and_the_index_links_them_newest_first() {
    let months = four_months();
    let folder = months.job_folder();
    let index = fs::read_to_string(folder.join("index.html")).unwrap();
    let links: Vec<&str> = elements(&index, "a").iter().map(|(tag, _)| tag.split('"').nth(1).unwrap()).collect();
    let expected = ["10", "09", "08", "07"].map(|month| format!("reports/run_month=2026-{month}/report.html"));
    // Once in the list, and once above the numbers of each month.
    assert_eq!(links, [&expected[..], &expected].concat());
    for link in expected {
        let path = folder.join(&link);
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() < 3_000_000, "{link} has {} bytes", bytes.len());
        let manifest = manifest(path.parent().unwrap());
        let listed = manifest["files"].as_array().unwrap().iter().find(|file| file["path"] == "report.html").unwrap();
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&listed["bytes"], &listed["sha256"]), (&json!(bytes.len()), &json!(hash)));
    }
    // The main figures: the members of the newest month are in the index as they are in its report.
    let summary = Table::parquet(&folder.join(format!("reports/run_month={MONTH}/cohort_summary.parquet")));
    for row in summary.rows_by_name() {
        let name = row["cohort_name"].shown().replace(['\n', '\r'], " ").replace('"', "&quot;");
        let Cell::Count(members) = row["members"] else { panic!("{row:?}") };
        let line =
            index.split("<tr>").find(|line| line.contains(&format!("<th scope=\"row\">{name}</th>"))).unwrap_or_else(|| panic!("{name}"));
        assert!(line.contains(&format!("<td class=\"number\">{members}</td>")), "{name}: {members}\n{line}");
    }
}

#[test]
fn a_page_asks_nothing_of_any_network_and_runs_only_its_own_scripts() {
    let index = fs::read_to_string(four_months().job_folder().join("index.html")).unwrap();
    for html in [last_page(), index] {
        let (tag, _) = elements(&html, "meta").into_iter().find(|(tag, _)| tag.contains("Content-Security-Policy")).unwrap();
        let policy = tag.split("content=\"").nth(1).unwrap().trim_end_matches('"').to_string();
        let directives: Vec<&str> = policy.split("; ").collect();
        assert!(directives.contains(&"default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let sources = |name: &str| -> BTreeSet<String> {
            let directive = directives.iter().find_map(|directive| directive.strip_prefix(&format!("{name} "))).unwrap();
            directive.split(' ').filter(|source| *source != "'none'").map(str::to_string).collect()
        };
        let hashes = |name: &str| -> BTreeSet<String> {
            let own = elements(&html, name).into_iter().filter(|(tag, _)| !tag.contains("application/json"));
            own.map(|(_, text)| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))).collect()
        };
        assert_eq!(sources("script-src"), hashes("script"));
        assert_eq!(sources("style-src"), hashes("style"));
        // What the page itself says, without its scripts: no address is loaded, no style or handler stands in a tag.
        let plain = html.split("<script").map(|part| part.split("</script>").last().unwrap()).collect::<String>();
        let plain = plain.split("<style>").map(|part| part.split("</style>").last().unwrap()).collect::<String>();
        let tags: Vec<&str> = plain.split('<').skip(1).map(|part| part.split('>').next().unwrap()).collect();
        for tag in &tags {
            let is_handler = |part: &str| part.starts_with("on") && part.contains('=');
            assert!(!tag.contains(" src=") && !tag.contains(" style=") && !tag.split(' ').any(is_handler), "<{tag}>");
        }
        assert!(!plain.contains("://"));
        let links = plain.split(" href=\"").skip(1).map(|part| part.split('"').next().unwrap());
        for link in links {
            assert!(link.starts_with('#') || link == "data:," || link.starts_with("reports/"), "{link}");
        }
    }
}

#[test]
fn the_charts_are_drawn_from_the_reports_figures() {
    let months = four_months();
    let html = last_page();
    let figures = figures(&html);
    let anchor = anchor(&html, "Active");
    let report = |month: &str, name: &str| Table::parquet(&months.job_folder().join(format!("reports/run_month={month}/{name}.parquet")));
    let active = COHORTS[0].0;
    let of_active =
        |table: &Table| -> Vec<_> { table.rows_by_name().into_iter().filter(|row| row["cohort_key"].shown() == active).collect() };

    let growth = &figures[format!("{anchor}-members")];
    assert_eq!(growth["months"], json!(["2026-07", "2026-08", "2026-09", "2026-10"]));
    for (place, month) in ["2026-07", "2026-08", "2026-09", "2026-10"].into_iter().enumerate() {
        let [row] = &of_active(&report(month, "cohort_summary"))[..] else { panic!("{month}") };
        for (series, name) in [("level", "members"), ("up", "joined"), ("down", "departed")] {
            assert_eq!(count(growth[series]["values"][place].as_i64()), row[name], "{name} of {month}");
        }
    }
    let retention = of_active(&report(MONTH, "retention"));
    let cells = figures[format!("{anchor}-retention")]["cells"].as_array().unwrap();
    assert_eq!(cells.len(), retention.len());
    for (cell, row) in cells.iter().zip(&retention) {
        let drawn = [&cell[0], &cell[3], &cell[4]].map(|value| count(value.as_i64()));
        assert_eq!(drawn, [&row["age_months"], &row["entrants"], &row["retained"]].map(Clone::clone));
    }
    let curves = [
        ("curve", "retention_curve", ["retention_rate", "rate_low", "rate_high"], "entrants"),
        ("survival", "membership_survival", ["survival", "survival_low", "survival_high"], "at_risk"),
    ];
    for (figure, name, shares, counted) in curves {
        let rows = of_active(&report(MONTH, name));
        let points = figures[format!("{anchor}-{figure}")]["points"].as_array().unwrap();
        assert!(!points.is_empty());
        assert_eq!(points.len(), rows.len(), "{name}");
        for (point, row) in points.iter().zip(&rows) {
            for (place, name) in (1..).zip(shares) {
                let Cell::Ratio(share) = row[name] else { panic!("{row:?}") };
                // A chart has four digits.
                assert!((point[place].as_f64().unwrap() - share).abs() <= 0.000_05, "{name}");
            }
            assert_eq!(count(point[4].as_i64()), row[counted], "{name}");
        }
    }
    let buckets = of_active(&report(MONTH, "conversation_activity")).into_iter().filter(|row| row["measure"].shown() == "bucket");
    let drawn = figures[format!("{anchor}-conversations")]["members"].as_array().unwrap();
    assert_eq!(
        drawn.iter().map(|value| count(value.as_i64())).collect::<Vec<_>>(),
        buckets.map(|row| row["contacts"].clone()).collect::<Vec<_>>()
    );

    let (movement, flow) = (report(MONTH, "movement"), &figures["movement"]);
    let mut contacts: Vec<Cell> = movement.rows_by_name().iter().map(|row| row["contacts"].clone()).collect();
    contacts.sort_by_key(|cell| if let Cell::Count(count) = cell { -count } else { 0 });
    let drawn: Vec<Cell> = flow["links"].as_array().unwrap().iter().map(|link| count(link[2].as_i64())).collect();
    assert!(!drawn.is_empty());
    assert_eq!(drawn[..], contacts[..drawn.len()]);
    assert_eq!(figures["overlap"]["pairs"].as_array().unwrap().len(), report(MONTH, "overlap").rows.len());
}

/// Of everybody in a month's members: who they are, where it is long enough not to be part of something else.
fn people(members: &Table) -> BTreeSet<String> {
    let rows = members.rows_by_name();
    let cells = rows.iter().flat_map(|row| ["contact_id", "external_id", "email", "name"].map(|name| row[name].shown()));
    cells.filter(|text| text.len() >= 6).collect()
}

#[test]
fn nobody_is_named_unless_the_job_asks_for_it() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let file = place.job(&plain_job().with_all_formats(), &simulator.base_url);
    run(&file, &["--as-of", JULY.as_of]).succeed();
    let simulator = Simulator::at(AUGUST.as_of, &[]);
    place.job(&plain_job().with_all_formats(), &simulator.base_url);
    run(&file, &["--as-of", AUGUST.as_of]).succeed();
    let members = place.report("2026-08", "members");
    let people = people(&members);
    assert!(people.len() > 300, "{}", people.len());
    let silent = page(&place.job_folder(), "2026-08");
    assert!(people.iter().all(|text| !silent.contains(text)));

    let file = place.job(&plain_job().with_all_formats().with_top("html_members = true"), &simulator.base_url);
    on(&file, "report", &["--month", "2026-08"]).succeed();
    let naming = page(&place.job_folder(), "2026-08");
    let shown =
        members.rows_by_name().into_iter().filter(|row| naming.contains(&format!("<th scope=\"row\">{}</th>", row["contact_id"].shown())));
    let tables = elements(&naming, "table");
    for (key, name) in [("tag:1373897", "value_lead"), ("segment:63bbdd50aa01c0ffee000001", "Active")] {
        let of_cohort: Vec<_> = shown.clone().filter(|row| row["cohort_key"].shown() == key).collect();
        let (_, table) = tables.iter().find(|(_, text)| text.starts_with(&format!("<caption>Members of {name}: "))).unwrap();
        let rows = table.matches("<tr><th scope=\"row\">").count();
        let all = members.rows_by_name().iter().filter(|row| row["cohort_key"].shown() == key).count();
        assert_eq!(rows, all.min(25), "{name}");
        // Whoever came or left stands before those who stayed.
        let changes: Vec<&str> =
            table.split("<tr>").skip(2).map(|row| row.split("<td>").nth(4).unwrap().split('<').next().unwrap()).collect();
        let stayed = changes.iter().position(|change| ["retained", "first_seen"].contains(change)).unwrap_or(changes.len());
        assert!(stayed > 0 && changes[stayed..].iter().all(|change| ["retained", "first_seen"].contains(change)), "{changes:?}");
        assert!(of_cohort.len() >= rows, "{name}");
    }
}

#[test]
fn names_and_values_with_markup_are_text() {
    const NAME: &str = "</script><script>document.title='run'</script>&\"'<b>";
    let mut workspace = Workspace { id: "made-up".to_string(), attributes: vec!["note".to_string()], ..Workspace::default() };
    for number in 0..400 {
        let id = contact_id(number);
        let mut contact = contact(&id, 1_700_000_000);
        contact["custom_attributes"] = json!({ "note": if number < 120 { NAME.to_string() } else { format!("other {number}") } });
        workspace.contacts.insert(id, contact);
    }
    let some: BTreeSet<String> = (0..100).map(contact_id).collect();
    workspace.tags.insert("1".to_string(), (NAME.to_string(), some));
    workspace.tags.insert("2".to_string(), ("all".to_string(), (0..400).map(contact_id).collect()));
    let server = workspace.serve(plainly);
    let place = Place::new();
    let job = Job { timezone: Some("Europe/Dublin".into()), tags: texts(&["id:1", "id:2"]), ..Job::empty() };
    let job = job.with_top("conversations = false").with_top("profile = [\"custom_attributes.note\"]").with_all_formats();
    run(&place.job(&job, &server.base_url), &["--as-of", JULY.as_of]).succeed();
    let html = page(&place.job_folder(), "2026-07");
    assert_eq!(elements(&html, "script").len(), 3, "the figures, the charts, the page's own");
    assert!(!html.contains("<b>") && html.contains("&lt;/script&gt;"));
    let figures = figures(&html);
    assert!(figures["overlap"]["names"].as_array().unwrap().contains(&json!(NAME)), "{}", figures["overlap"]["names"]);
    let common = figures.as_object().unwrap().values().find(|figure| figure["kind"] == "lift").unwrap();
    assert_eq!(common["values"][0]["label"], json!(format!("note: {NAME}")));
}

#[test]
fn a_page_is_made_where_the_formats_say_so() {
    let place = Place::new();
    let simulator = Simulator::at(JULY.as_of, &[]);
    let file = place.job(&plain_job().with_section("[output]\nformats = [\"parquet\"]"), &simulator.base_url);
    let finished = run(&file, &["--as-of", JULY.as_of]).succeed();
    assert!(!place.reports("2026-07").join("report.html").exists() && !place.job_folder().join("index.html").exists());
    assert!(!finished.stdout.contains("report.html"));

    let place = Place::new();
    let file = place.job(&plain_job().with_section("[output]\nformats = [\"html\"]"), &simulator.base_url);
    let finished = run(&file, &["--as-of", JULY.as_of]).succeed();
    let files: Vec<String> =
        fs::read_dir(place.reports("2026-07")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&"manifest.json".to_string(), &"report.html".to_string()]));
    // Without pages the index goes on without links.
    let file = place.job(&plain_job().with_section("[output]\nformats = [\"csv\"]"), &simulator.base_url);
    on(&file, "report", &["--all"]).succeed();
    let index = fs::read_to_string(place.job_folder().join("index.html")).unwrap();
    assert!(index.contains("July 2026") && !index.contains("report.html"));
    // What a run prints needs no file.
    let active =
        finished.stdout.lines().find(|line| line.trim_start().starts_with("Active")).unwrap_or_else(|| panic!("{}", finished.stdout));
    assert!(active.contains("segment"), "{active}");
    assert!(finished.stdout.contains(place.reports("2026-07").join("report.html").to_str().unwrap()), "{}", finished.stdout);
}

#[test]
fn problems_are_explained_at_the_top() {
    let place = Place::new();
    let simulator = Simulator::at("2026-08-20T02:00:00Z", &[]);
    let job = plain_job().with_all_formats();
    let job = Job { tags: texts(&["value_lead", "no such tag"]), ..job };
    run(&place.job(&job, &simulator.base_url), &["--month", "2026-07", "--as-of", "2026-08-20T02:00:00Z"]).finish().check_code(4);
    let html = page(&place.job_folder(), "2026-07");
    let top = html.split("id=\"notable\"").next().unwrap();
    let notices = top.split("id=\"notices\"").nth(1).expect("notices");
    assert!(notices.contains("observed on 2026-08-20, not at the end of July 2026"), "{notices}");
    assert!(notices.contains("Error. ") && notices.contains("no such tag"), "{notices}");
    assert!(html.contains("It was not observed at its end, and is compared with no other month."));
    // What is true of several cohorts is said once.
    assert_eq!(notices.matches("not at the end of").count(), 1, "{notices}");
    // A month that was seen at its end and came whole has none.
    let whole = page(&four_months().job_folder(), MONTH);
    let quality = Table::parquet(&four_months().job_folder().join(format!("reports/run_month={MONTH}/data_quality.parquet")));
    let off = quality.rows_by_name().iter().filter(|row| row["severity"].shown() != "info").count();
    assert_eq!(whole.contains("id=\"notices\""), off > 0);
}

#[test]
fn a_missed_month_is_a_gap_in_the_line() {
    let months = four_months();
    let place = Place::with(&months.job_folder());
    for folder in ["snapshots", "history", "reports"] {
        fs::remove_dir_all(place.job_folder().join(folder).join("run_month=2026-09")).unwrap();
    }
    let file = place.job(&crate::support::fixture::job(), "http://127.0.0.1:9");
    on(&file, "report", &["--all"]).succeed();
    let html = page(&place.job_folder(), MONTH);
    let growth = &figures(&html)[format!("{}-members", anchor(&html, "Active"))];
    assert_eq!(growth["months"].as_array().unwrap().len(), 4);
    assert_eq!(growth["level"]["values"][2], Value::Null);
    let summary = Table::parquet(&place.reports(MONTH).join("cohort_summary.parquet")).rows_by_name();
    assert!(summary.iter().any(|row| row["compared_month"] == Cell::Day(day("2026-08"))));
    assert!(html.contains(" since 2026-08"));
    assert!(html.contains("After a month that was missed, they are all since the last one observed."));
    let index = fs::read_to_string(place.job_folder().join("index.html")).unwrap();
    assert!(index.contains("<th scope=\"row\">September 2026</th><td colspan=\"6\">not observed</td>"));
}
