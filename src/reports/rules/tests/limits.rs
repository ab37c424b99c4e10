use super::*;

/// Runs with 1 MiB of stack, half of what a thread usually has.
fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap()
}

#[test]
fn a_long_text_is_refused() {
    let text = format!("role = '{}'", "x".repeat(MAX_CHARACTERS));
    assert_eq!(parse(&text).unwrap_err(), ConditionError::TooLong { length: MAX_CHARACTERS + 9, most: MAX_CHARACTERS });
    let text = format!("role = '{}'", "ü".repeat(MAX_CHARACTERS - 9));
    accepted(&text);
}

#[test]
fn deep_conditions_do_not_overflow_the_stack() {
    on_a_small_stack(|| {
        for text in [
            "(".repeat(9_000),
            "NOT ".repeat(2_400) + "newly_unsubscribed",
            "- ".repeat(4_900) + "1 = 1",
            "+".repeat(9_900) + "1 = 1",
            "CASE WHEN ".repeat(900),
            "CASE ".repeat(1_900),
            "COALESCE(".repeat(1_000),
            "LOWER(".repeat(1_600),
            "INTERVAL ".repeat(1_100),
            "INTERVAL '1' ".repeat(700),
            "role IN (".repeat(1_000),
            "1+".repeat(4_990) + "1 = 1",
            "1=".repeat(4_990) + "1",
            "role IS NULL ".to_string() + &"IS NULL ".repeat(1_200),
            "role ".to_string() + &"BETWEEN role AND ".repeat(500),
            "TRUE AND ".repeat(1_100) + "TRUE",
            "tag.".repeat(2_400),
            ",".repeat(9_900),
            "(1,".repeat(3_300),
            "1,".repeat(4_990),
        ] {
            let start: String = text.chars().take(20).collect();
            assert!(parse(&text).is_err(), "{start}");
        }
    });
}

#[test]
fn the_depth_of_nesting_is_limited() {
    let nested = |depth: usize| {
        let open = "(newly_unsubscribed AND (has_hard_bounced OR ".repeat(depth);
        format!("{open} marked_email_as_spam{}", "))".repeat(depth))
    };
    accepted(&nested(3));
    assert_eq!(parse(&nested(30)).unwrap_err(), ConditionError::TooDeep);
    accepted(&format!("{}newly_unsubscribed{}", "(".repeat(40), ")".repeat(40)));
    assert_eq!(parse(&format!("{}newly_unsubscribed{}", "(".repeat(60), ")".repeat(60))).unwrap_err(), ConditionError::TooDeep);
}

#[test]
fn a_long_chain_becomes_a_shallow_tree() {
    let chain = |terms: usize| (0..terms).map(|number| format!("city = '{number}'")).collect::<Vec<_>>().join(" OR ");
    let flat = accepted(&chain(8)).sql().to_string();
    assert_eq!(flat.matches('(').count(), 1);
    let tree = accepted(&chain(200)).sql().to_string();
    assert_eq!(tree.matches(" OR ").count(), 199);
    assert!(tree.starts_with("((((city = '0' OR city = '1' OR "), "{tree}");
    for number in 0..200 {
        assert!(tree.contains(&format!("city = '{number}'")));
    }
    let long = chain(600);
    assert!(long.chars().count() > MAX_CHARACTERS || parse(&long).is_err());
    let long = vec!["TRUE"; 600].join(" OR ");
    assert_eq!(parse(&long).unwrap_err(), ConditionError::TooLarge);
}

#[test]
fn a_list_may_be_long() {
    let list = (0..1_500).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let condition = accepted(&format!("conversations_opened IN ({list})"));
    assert_eq!(condition.sql(), format!("conversations_opened IN ({list})"));
}

#[test]
fn parts_that_polars_doubles_do_not_multiply() {
    let mut text = "conversations_opened".to_string();
    for _ in 0..12 {
        text = format!("CASE {text} {} END", "WHEN 1 THEN 1 ".repeat(8));
    }
    assert!(matches!(parse(&format!("{text} = 1")).unwrap_err(), ConditionError::TooLarge | ConditionError::TooDeep));
    let mut text = "conversations_opened".to_string();
    for _ in 0..14 {
        text = format!("1 / ({text})");
    }
    assert_eq!(parse(&format!("{text} = 1")).unwrap_err(), ConditionError::TooLarge);
}

#[test]
fn a_condition_fits_into_a_query() {
    let text = format!("{}conversations_opened{} > 1", "ABS(1 - ".repeat(6), ")".repeat(6));
    let condition = accepted(&text);
    let around = format!("SELECT 1 FROM (SELECT 1 FROM (SELECT 1 FROM facts WHERE (a AND NOT {})))", condition.sql());
    Parser::parse_sql(&GenericDialect, &around).unwrap();
}

#[test]
fn conditions_are_equal_if_their_sql_is_equal() {
    assert_eq!(accepted("conversations_opened>=5"), accepted("(\"conversations_opened\" >= 5.0)"));
    assert_ne!(accepted("tag.value_lead"), accepted("tag.twin"));
}
