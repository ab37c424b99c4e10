//! Responses over a real connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::NOW;
use crate::*;

/// Sends one request on its own connection and returns the whole response.
pub(super) async fn exchange(port: u16, request: &str) -> String {
    let request = request.to_owned();
    let exchange = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A cut connection may also end in an error. The bytes that came before the error are returned.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    exchange.await.unwrap()
}

pub(super) fn ask(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
}

pub(super) async fn serving(options: Options) -> (Simulator, u16) {
    let world = WorldOptions { contacts: 300, ..WorldOptions::default() };
    let simulator = Simulator::new(Options { world, now: DateTime::from_timestamp(NOW, 0), ..options });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = simulator.clone();
    tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
    (simulator, port)
}

pub(super) const BEARER: &str = "Authorization: Bearer t0ken\r\n";

#[tokio::test]
async fn answers_carry_the_documented_headers() {
    let (simulator, port) = serving(Options::default()).await;
    let answer = exchange(port, &ask("/tags", BEARER)).await;
    for part in
        ["HTTP/1.1 200 OK", "x-ratelimit-limit: 1667", "x-ratelimit-remaining: ", "x-ratelimit-reset: ", "x-request-id: ", "x-runtime: "]
    {
        assert!(answer.contains(part), "{part} is missing in {answer}");
    }
    let basic = exchange(port, &ask("/tags", "Authorization: Basic dDBrZW46\r\n")).await;
    assert!(basic.starts_with("HTTP/1.1 200"), "{basic}");
    for headers in ["", "Authorization: Bearer invalid-1\r\n", "Authorization: Bearer \r\n", "Authorization: Digest x\r\n"] {
        let answer = exchange(port, &ask("/tags", headers)).await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("Access Token Invalid") && !answer.contains("ratelimit"), "{answer}");
    }
    let not_found = exchange(port, &ask("/nothing", BEARER)).await;
    assert!(not_found.starts_with("HTTP/1.1 404") && not_found.contains("x-ratelimit-limit"), "{not_found}");
    for headers in ["Intercom-Version: 1.5\r\n", "Intercom-Version: 2.18\r\n", "Intercom-Version: Preview\r\n"] {
        let answer = exchange(port, &ask("/tags", &format!("{BEARER}{headers}"))).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("intercom_version_invalid"), "{answer}");
    }
    let answer = exchange(port, &ask("/tags", &format!("{BEARER}Accept: text/csv\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 406"), "{answer}");
    let gzip = exchange(port, &ask("/tags", &format!("{BEARER}Accept-Encoding: gzip\r\n"))).await;
    assert!(gzip.contains("content-encoding: gzip"), "{gzip}");
    let odd = exchange(port, &ask("/contacts?per_page=%ff&starting_after=%FF%FE", BEARER)).await;
    assert!(odd.starts_with("HTTP/1.1 400"), "{odd}");
    let stats = exchange(port, &ask("/_simulator/stats", "")).await;
    assert!(stats.contains("\"requests\":13"), "{stats}");
    assert_eq!(simulator.stats().requests, 13);
}

#[tokio::test]
async fn a_window_that_is_used_up_answers_429() {
    let (simulator, port) = serving(Options { rate_limit: 2, ..Options::default() }).await;
    let mut refused = 0;
    // Nine requests touch at most two windows or, on a very slow machine, three.
    for _ in 0..9 {
        let answer = exchange(port, &ask("/tags", BEARER)).await;
        if answer.starts_with("HTTP/1.1 429") {
            assert!(answer.contains("Exceeded rate limit of 2 in 10_seconds") && answer.contains("x-ratelimit-remaining: 0"), "{answer}");
            refused += 1;
        }
    }
    assert!(refused >= 3);
    let stats = simulator.stats();
    assert_eq!((stats.rate_limited, stats.requests), (refused, 9));
    assert_eq!(stats.windows.iter().map(|window| window.requests).sum::<u64>(), 9);
    assert!(stats.windows.iter().all(|window| window.start.is_multiple_of(10) && window.requests - window.rate_limited <= 2));
    assert!(stats.windows.is_sorted_by_key(|window| window.start));
}

#[tokio::test]
async fn faults_change_responses_as_named() {
    let at = "1=500,2=html,3=empty,4=garbage,5=half,6=cut,7=429,8=429-bare,9=noheaders,10=401,11=drop";
    let faults = Faults::parse(None, Some(at)).unwrap();
    let (simulator, port) = serving(Options { faults, ..Options::default() }).await;
    let mut answers = Vec::new();
    for _ in 0..11 {
        answers.push(exchange(port, &ask("/contacts", BEARER)).await);
    }
    let whole = exchange(port, &ask("/contacts", BEARER)).await;
    let body = |answer: &str| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap();
    let statuses: Vec<&str> = answers.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["500", "500", "200", "200", "200", "200", "429", "429", "200", "401", "200"]);
    assert!(body(&answers[0]).contains("server_error") && body(&answers[1]).contains("<html>") && body(&answers[2]).is_empty());
    assert!(body(&answers[3]).contains("<html>"));
    let half = body(&whole).len() / 2;
    assert_eq!((body(&answers[4]).as_str(), body(&answers[5]).as_str()), (&body(&whole)[..half], &body(&whole)[..half]));
    assert!(
        answers[4].contains(&format!("content-length: {half}")) && answers[5].contains(&format!("content-length: {}", body(&whole).len()))
    );
    assert!(answers[6].contains("x-ratelimit-remaining: 0") && answers[6].contains("x-ratelimit-reset"));
    assert!([7, 8, 9].into_iter().all(|number: usize| !answers[number].contains("ratelimit-")));
    let entries = |answer: &str| serde_json::from_str::<Value>(&body(answer)).unwrap()["data"].as_array().unwrap().len();
    assert_eq!((entries(&answers[10]), entries(&whole)), (9, 10));
    assert_eq!(simulator.stats().rate_limited, 2);
}
