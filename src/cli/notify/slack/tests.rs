use chrono::{DateTime, Utc};

use super::*;
use reports::digest::CohortDigest;

fn cohort(name: &str) -> CohortDigest {
    CohortDigest {
        cohort_key: "tag:1".to_string(),
        name: name.to_string(),
        kind: "tag".to_string(),
        basis: "month_end".to_string(),
        observed_at: None,
        members: 1_234,
        joined: Some(34),
        departed: None,
        openers: None,
        unsubscribed: None,
        growth_rate: Some(-0.1),
        churn_rate: None,
        compared_month: None,
        changed_at: None,
        sentence: String::new(),
        series: Vec::new(),
    }
}

fn digest(cohorts: Vec<CohortDigest>, notices: usize) -> Digest {
    let notice = |of: usize| Notice { severity: "warning", text: format!("<!channel> @all [here](http://example.com) {of}") };
    Digest {
        month: "2026-10".parse().unwrap(),
        cohorts,
        notable: Vec::new(),
        notices: (0..notices).map(notice).collect(),
        followed: Default::default(),
    }
}

fn notification(exit_code: u8, message: Option<&str>) -> Notification {
    let at: DateTime<Utc> = "2026-11-01T02:00:00Z".parse().unwrap();
    Notification {
        event: "cohorts.run".to_string(),
        outcome: if exit_code == 0 { "published" } else { "failed" },
        exit_code,
        job: "month-end".to_string(),
        month: Some("2026-10".to_string()),
        months: vec!["2026-10".to_string()],
        basis: None,
        cohorts: Vec::new(),
        stands_out: Vec::new(),
        incomplete: Vec::new(),
        missed: Vec::new(),
        requests: 0,
        retries: 0,
        started_at: at,
        ended_at: at,
        duration_seconds: 0.0,
        message: message.map(str::to_string),
        hint: Some("run it again".to_string()),
        run_id: "1".to_string(),
        program_version: "0",
    }
}

fn texts(message: &Value) -> Vec<&str> {
    message["blocks"].as_array().unwrap().iter().map(|block| block["text"]["text"].as_str().unwrap()).collect()
}

#[test]
fn a_month_is_a_heading_what_stands_out_a_table_and_a_link() {
    let message =
        message(&notification(0, None), Some(&digest(vec![cohort("VIP"), cohort("a ``` b <c>")], 0)), Some("https://x/?a|b&c".to_string()));
    assert_eq!(
        texts(&message),
        [
            "month-end: 2026-10 published",
            "Nothing stands out.",
            "```\n cohort       members  joined  left  change\n VIP            1,234      34     –  -10.0 %\n a ''' b &lt;c&gt;    1,234      34     –  -10.0 %\n```",
            "<https://x/?a%7Cb&amp;c|Open the report>",
        ]
    );
}

#[test]
fn a_failure_says_what_and_what_to_do() {
    let message = message(&notification(5, Some("no answer")), None, None);
    assert_eq!(texts(&message), ["month-end: 2026-10 failed, exit code 5", "no answer\nWhat to do: run it again"]);
    assert_eq!(message["text"], "month-end: 2026-10 failed, exit code 5\n\nno answer\nWhat to do: run it again");
}

#[test]
fn no_text_is_markup_and_none_is_too_long() {
    let many = digest((0..500).map(|_| cohort("&<>&<>&<>&<>&<>&<>&<>&<>")).collect(), 7);
    let long = "x".repeat(10_000);
    let message = message(&notification(6, Some(&long)), Some(&many), None);
    assert!(texts(&message).iter().all(|text| text.chars().count() < 3_000));
    assert!(texts(&message)[2].ends_with("• 2 more are in the report data_quality."), "{message:#}");
    assert!(texts(&message)[4].contains("\nand "), "{message:#}");
    let text = message["text"].as_str().unwrap();
    assert!(!text.contains("<!channel>") && !text.contains("@all") && !text.contains("](http"), "{text}");
    let markup: Vec<&Value> = message["blocks"].as_array().unwrap().iter().filter(|block| block["text"]["type"] == "mrkdwn").collect();
    assert_eq!(markup.len(), 1, "only the table: {message:#}");
}
