//! The companies of a group: by tag on both generations, by segment on 1.x.

use super::*;

/// All companies, as 2.x shows them.
fn companies(simulator: &Simulator) -> Vec<Value> {
    let page = |number: u32| http::json(&simulator.base_url, &format!("/companies?per_page=60&page={number}"));
    let last = page(1)["pages"]["total_pages"].as_u64().unwrap() as u32;
    (1..=last).flat_map(|number| page(number)["data"].as_array().unwrap().clone()).collect()
}

fn list(base_url: &str, version: &str, group: &str, arguments: &[&str]) -> crate::support::program::Program {
    ask(base_url, version, ["members", group]).arguments(arguments).variable("COHORTS__INTERCOM__PAGE_SIZE", "20")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// Gives the tag to the companies of these own IDs.
fn tag(simulator: &Simulator, name: &str, own_ids: &[String]) {
    let folder = temporary_folder();
    let path = folder.path().join("companies.csv");
    std::fs::write(&path, format!("company_id\n{}\n", own_ids.join("\n"))).unwrap();
    ask(&simulator.base_url, "2.14", ["tag", name, "--from", path.to_str().unwrap()]).succeed();
}

#[test]
fn every_form_holds_every_company_of_a_group_once() {
    let simulator = Simulator::at(NOW, &[]);
    let all = companies(&simulator);
    let tagged: Vec<String> = all.iter().map(|company| text(&company["company_id"])).take(45).collect();
    tag(&simulator, "customers", &tagged);
    let spenders = all.iter().filter(|company| company["monthly_spend"].as_u64().unwrap() >= 600);
    let spenders: Vec<String> = spenders.map(|company| text(&company["company_id"])).collect();
    let folder = temporary_folder();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    for (version, group, expected) in [
        ("1.4", "company-tag:customers", &tagged),
        ("2.14", "company-tag:customers", &tagged),
        ("1.4", "company-segment:Big spenders", &spenders),
        ("1.4", "company-segment:63bbdd50aa01c0ffee0000c2", &spenders),
        ("1.4", "company-segment:big\u{a0}SPENDERS", &spenders),
    ] {
        let expected: BTreeSet<String> = expected.iter().cloned().collect();
        let jsonl = list(&simulator.base_url, version, group, &["--format", "jsonl"]).succeed().stdout;
        let rows: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), expected.len(), "{group} on {version}");
        assert_eq!(rows.iter().map(|row| text(&row["company_id"])).collect::<BTreeSet<_>>(), expected);
        for row in &rows {
            let shown = all.iter().find(|company| company["id"] == row["id"]).unwrap();
            for name in ["company_id", "name", "session_count", "user_count"] {
                assert_eq!(row[name], shown[name], "{name} of {row}");
            }
            assert_eq!(row["monthly_spend"].as_f64(), shown["monthly_spend"].as_f64());
            let created = chrono::DateTime::parse_from_rfc3339(row["created_at"].as_str().unwrap()).unwrap();
            assert_eq!(created.timestamp(), shown["created_at"].as_i64().unwrap());
            assert!(row["last_request_at"].is_null() && row["custom_attributes"].is_object());
        }

        list(&simulator.base_url, version, group, &["-o", &file("written.csv")]).succeed();
        let (head, written) = tables::csv(std::path::Path::new(&file("written.csv")));
        let columns = "company_id id name plan monthly_spend session_count user_count created_at remote_created_at updated_at \
                       last_request_at industry size website custom_attributes";
        assert_eq!(head.join(" "), columns);
        assert_eq!(ids(written.iter().map(|row| row[0].text.as_str())), expected);
        list(&simulator.base_url, version, group, &["-o", &file("written.parquet")]).succeed();
        let parquet = Table::parquet(std::path::Path::new(&file("written.parquet")));
        assert_eq!((parquet.names().join(" "), parquet.rows.len()), (columns.to_string(), expected.len()));
        let table = list(&simulator.base_url, version, group, &[]).succeed().stdout;
        assert!(table.ends_with(&format!("\n{} companies\n", expected.len())), "{table}");
        assert!(rows.iter().all(|row| table.contains(row["id"].as_str().unwrap())));
    }
    assert_eq!(list(&simulator.base_url, "2.14", "company-tag:empty tag", &[]).succeed().stdout, "it has no companies\n");
    let unknown = list(&simulator.base_url, "1.4", "company-segment:Big spender", &[]).finish();
    unknown.check_failure(4, &["did you mean `Big spenders`", "counts --of companies --by segment"]);
}

#[test]
fn segments_of_companies_are_refused_on_2x_before_any_request() {
    let simulator = Simulator::at(NOW, &[]);
    let recorder = Scripted::before(simulator.address(), |_| None);
    let refused = list(&recorder.base_url, "2.14", "company-segment:Big spenders", &[]).finish();
    refused.check_failure(2, &["2.14 has no segments of companies; 1.0 to 1.4 have", "company-tag:"]);
    assert!(recorder.requests().is_empty());
    list(&recorder.base_url, "2.14", "company:VIP", &[]).finish().check_failure(2, &["company-tag:VIP"]);
}

#[test]
fn a_list_of_companies_that_ends_early_is_reported_and_leaves_no_file() {
    let simulator = Simulator::at(NOW, &[]);
    let tagged: Vec<String> = companies(&simulator).iter().map(|company| text(&company["company_id"])).take(45).collect();
    tag(&simulator, "customers", &tagged);
    let folder = temporary_folder();
    let file = folder.path().join("companies.csv");
    for (version, key) in [("1.4", "companies"), ("2.14", "data")] {
        // Beyond the limit of page numbers, or the page is empty though others are not.
        for (total, pages, message) in [(0, 0, "at most 10,000 companies"), (45, 2, "40 members came, 45 were announced")] {
            let server = Scripted::before(simulator.address(), move |request| {
                (request.path() == "/companies" && request.parameter("page").as_deref() == Some("3")).then(|| {
                    let pages = serde_json::json!({"type": "pages", "next": null, "page": 3, "per_page": 20, "total_pages": pages});
                    Reply::json(&serde_json::json!({"type": "list", key: [], "total_count": total, "pages": pages}))
                })
            });
            let failed = list(&server.base_url, version, "company-tag:customers", &["-o", file.to_str().unwrap()]).finish();
            failed.check_failure(6, &[message]);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing half-written stays");
        }
    }
}
