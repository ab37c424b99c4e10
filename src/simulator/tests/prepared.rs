//! Cached responses: they equal new ones as long as nothing changes.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::over_http::serving;
use super::{NOW, served};
use crate::*;

/// The headers of a request. All requests have the same host, so that links do not depend on the port.
const PLAIN: &str = "Host: localhost\r\nAuthorization: Bearer t0ken\r\n";
const GZIP: &str = "Host: localhost\r\nAuthorization: Bearer t0ken\r\nAccept-Encoding: gzip\r\n";

struct TestRequest<'a> {
    port: u16,
    method: &'a str,
    version: &'a str,
    path: &'a str,
    body: &'a str,
}

struct TestResponse {
    head: String,
    body: Vec<u8>,
}

impl TestResponse {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }

    fn gunzipped(&self) -> Vec<u8> {
        assert_eq!(self.header("content-encoding"), Some("gzip"), "{}", self.head);
        assert_eq!(self.header("content-length"), Some(self.body.len().to_string().as_str()), "{}", self.head);
        let mut plain = Vec::new();
        GzDecoder::new(self.body.as_slice()).read_to_end(&mut plain).unwrap();
        plain
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.gunzipped()).unwrap()
    }
}

impl TestRequest<'_> {
    /// Sends the request on its own connection.
    async fn send(&self, headers: &str) -> TestResponse {
        let TestRequest { port, method, version, path, body } = *self;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nIntercom-Version: {version}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            answer
        });
        let answer = exchange.await.unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        TestResponse { head: String::from_utf8(answer[..end].to_vec()).unwrap(), body: answer[end + 4..].to_vec() }
    }

    async fn gzipped(&self) -> TestResponse {
        self.send(GZIP).await
    }
}

fn search(tag: &str, per_page: u64, cursor: &Value) -> String {
    let pagination = json!({"per_page": per_page, "starting_after": cursor});
    json!({"query": {"field": "tag_id", "operator": "=", "value": tag}, "pagination": pagination}).to_string()
}

async fn preparing() -> (Simulator, u16) {
    serving(Options { prepared_pages: true, ..Options::default() }).await
}

async fn stats(port: u16) -> Value {
    probe(port, "stats").await
}

async fn probe(port: u16, path: &str) -> Value {
    let path = format!("/_simulator/{path}");
    serde_json::from_slice(&TestRequest { port, method: "GET", version: "2.14", path: &path, body: "" }.send(PLAIN).await.body).unwrap()
}

#[tokio::test]
async fn a_cached_response_equals_a_new_one() {
    let ((simulator, kept), (_, made)) = (preparing().await, serving(Options::default()).await);
    let all = json!({"query": {"field": "created_at", "operator": ">", "value": 0}, "pagination": {"per_page": 150}}).to_string();
    for (method, version, path, body) in [
        ("POST", "2.14", "/contacts/search", all.as_str()),
        ("POST", "2.16", "/contacts/search", all.as_str()),
        ("GET", "2.11", "/contacts?per_page=60", ""),
        ("GET", "2.11", "/tags", ""),
        ("GET", "2.11", "/companies?per_page=5", ""),
        ("GET", "1.4", "/users?per_page=60&page=2", ""),
        ("GET", "1.4", "/counts", ""),
    ] {
        let plain = TestRequest { port: made, method, version, path, body }.send(PLAIN).await.body;
        let request = TestRequest { port: kept, method, version, path, body };
        for time in ["first", "second"] {
            assert!(request.gzipped().await.gunzipped() == plain, "{method} {path}, gzip, the {time} time");
            let bare = request.send(PLAIN).await;
            assert!(bare.body == plain && bare.header("content-encoding").is_none(), "{method} {path}, plain, the {time} time");
        }
        let found = simulator.view().prepared.len();
        assert!(
            request.gzipped().await.body == request.gzipped().await.body && simulator.view().prepared.len() == found,
            "it is cached once"
        );
    }
    assert_eq!(simulator.view().prepared.len(), 7);
    let listed = TestRequest { port: kept, method: "GET", version: "1.4", path: "/users", body: "" };
    for host in ["one", "two"] {
        let page = listed.send(&PLAIN.replace("localhost", host)).await;
        assert!(
            String::from_utf8(page.body).unwrap().contains(&format!("http://{host}/users?per_page=50&page=2")),
            "links to the host request"
        );
    }
}

#[tokio::test]
async fn writes_are_visible_at_once() {
    let (simulator, port) = preparing().await;
    let vip = probe(port, "state").await["groups"].as_array().unwrap().iter().find(|group| group["name"] == "VIP").unwrap().clone();
    let tag = vip["group"].as_str().unwrap().trim_start_matches("tag:").to_owned();
    let body = search(&tag, 50, &Value::Null);
    let request = TestRequest { port, method: "POST", version: "2.14", path: "/contacts/search", body: &body };
    let total = || async { request.gzipped().await.json()["total_count"].as_u64().unwrap() };
    let before = total().await;
    assert_eq!((before, simulator.view().prepared.len()), (vip["count"].as_u64().unwrap(), 1));

    let members = probe(port, &format!("members?group=tag:{tag}")).await;
    let somebody = members[0].as_str().unwrap();
    let path = format!("/contacts/{somebody}/tags/{tag}");
    let untagged = TestRequest { port, method: "DELETE", version: "2.14", path: &path, body: "" }.gzipped().await;
    assert!(untagged.head.starts_with("HTTP/1.1 200"), "{}", untagged.head);
    assert_eq!(simulator.view().prepared.len(), 0, "a write empties it");
    assert_eq!((total().await, total().await), (before - 1, before - 1));

    simulator.set_now(DateTime::from_timestamp(NOW - 200 * 86_400, 0).unwrap());
    assert_eq!(simulator.view().prepared.len(), 0, "another instant has other answers");
}

#[tokio::test]
async fn cached_responses_pass_the_same_checks() {
    let faults = Faults::parse(None, Some("3=500,4=half,5=drop,6=429")).unwrap();
    let (simulator, port) = serving(Options { faults, prepared_pages: true, ..Options::default() }).await;
    let request = TestRequest { port, method: "GET", version: "2.14", path: "/contacts?per_page=20", body: "" };
    let mut came = Vec::new();
    for _ in 0..7 {
        came.push(request.gzipped().await);
    }
    let statuses: Vec<&str> = came.iter().map(|came| &came.head[9..12]).collect();
    assert_eq!(statuses, ["200", "200", "500", "200", "200", "429", "200"]);
    assert!(came[1].body == came[0].body && came[6].body == came[0].body && came[3].body != came[0].body && came[4].body != came[0].body);
    let remaining = |came: &TestResponse| came.header("x-ratelimit-remaining").unwrap().parse::<u32>().unwrap();
    let reset = |came: &TestResponse| came.header("x-ratelimit-reset").unwrap().to_owned();
    // Another rate window may begin between the two responses.
    assert!(reset(&came[1]) != reset(&came[0]) || remaining(&came[1]) == remaining(&came[0]) - 1);
    assert_ne!(came[0].header("x-request-id"), came[1].header("x-request-id"));
    let of_stranger = request.send(&GZIP.replace("t0ken", "invalid")).await;
    assert!(of_stranger.head.starts_with("HTTP/1.1 401"), "{}", of_stranger.head);
    let refused = TestRequest { version: "2.18", ..request }.gzipped().await;
    assert!(refused.head.starts_with("HTTP/1.1 400"), "{}", refused.head);

    let stats = stats(port).await;
    assert_eq!((&stats["requests"], &stats["rate_limited"], &stats["max_in_flight"]), (&json!(9), &json!(1), &json!(1)));
    assert_eq!(stats["pages_repeated"], 4, "five answers with 200, the half and the short one among them");
    let windows = stats["windows"].as_array().unwrap();
    let sum = |name: &str| windows.iter().map(|window| window[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("requests"), sum("rate_limited")), (9, 1));
    assert!(windows.iter().all(|window| window["start"].as_u64().unwrap().is_multiple_of(10)));
    assert!(windows.is_sorted_by_key(|window| window["start"].as_u64()));
    assert_eq!(simulator.view().prepared.len(), 1);
}

#[tokio::test]
async fn rate_limits_apply_to_cached_responses() {
    let (_, port) = serving(Options { rate_limit: 2, prepared_pages: true, ..Options::default() }).await;
    let request = TestRequest { port, method: "GET", version: "2.14", path: "/contacts?per_page=20", body: "" };
    let mut refused = 0;
    // Nine requests touch at most three windows, so at least three requests are refused.
    for _ in 0..9 {
        refused += u64::from(request.gzipped().await.head.starts_with("HTTP/1.1 429"));
    }
    assert!(refused >= 3);
    assert_eq!(stats(port).await["rate_limited"], refused);
}

#[tokio::test]
async fn scrolls_are_not_cached_and_moved_entries_stay_moved() {
    let faults = Faults::parse(None, Some("3=move@/users")).unwrap();
    let world = WorldOptions { contacts: 300, ..WorldOptions::default() };
    let served = served::Served::with(Options { world, faults, prepared_pages: true, ..Options::default() }).await;
    let page = || async { served.get("1.4", "/users?per_page=20").await.json() };
    let (first, kept, moved, after) = (page().await, page().await, page().await, page().await);
    assert_eq!(first, kept);
    assert_eq!((moved["users"].as_array().unwrap().len(), &after), (19, &moved), "the kept page is out of date");
    let scrolled: usize = served.scroll("/users/scroll", "users").await.iter().map(Vec::len).sum();
    assert_eq!(scrolled, served.members("role:user").await.len());
    assert_eq!(served.simulator.view().prepared.len(), 1, "no scroll is kept");
}

#[tokio::test]
async fn reads_are_listed_until_the_log_is_reset() {
    let (_, port) = preparing().await;
    let body = search("1373897", 5, &Value::Null);
    let page = TestRequest { port, method: "POST", version: "2.14", path: "/contacts/search", body: &body };
    let (tags, unknown) =
        (TestRequest { method: "GET", version: "1.4", path: "/tags?x=%C3%A9", body: "", ..page }, TestRequest { path: "/nothing", ..page });
    let write = TestRequest { path: "/tags", body: r#"{"name":"new"}"#, ..page };
    for request in [&page, &tags, &page, &unknown, &write] {
        request.gzipped().await;
    }
    let of_page = json!({"method": "POST", "path": "/contacts/search", "version": "2.14", "body": body});
    let of_tags = json!({"method": "GET", "path": "/tags?x=%C3%A9", "version": "1.4", "body": null});
    let all = json!([of_page, of_tags, of_page]);
    assert_eq!(probe(port, "requests").await, all);
    assert_eq!(probe(port, "requests?reset=true").await, all, "the log before the reset");
    assert_eq!(probe(port, "requests").await, json!([]));
    assert_eq!(stats(port).await["pages_repeated"], 1, "tags have no pages");

    let (_, port) = serving(Options::default()).await;
    assert!(probe(port, "requests").await["error"].as_str().unwrap().contains("--prepared-pages"), "there is no record without the flag");
}
