//! Responses that are late, partial or missing, and errors with all kinds of bodies.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::NOW;
use super::over_http::{BEARER, ask, exchange, serving};
use crate::*;

async fn faulty(at: &str) -> (Simulator, u16) {
    let faults = Faults::parse(None, Some(at)).unwrap();
    serving(Options { faults, ..Options::default() }).await
}

/// Sends a request and keeps the connection open. Reads time out after half a second without a byte.
fn send(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.write_all(ask(path, BEARER).as_bytes()).unwrap();
    stream
}

/// Reads until the connection ends or a read times out. Returns the text and how it ended.
async fn read(mut stream: TcpStream) -> (String, Option<ErrorKind>, TcpStream) {
    let reading = tokio::task::spawn_blocking(move || {
        let (mut came, mut buffer) = (Vec::new(), [0; 65_536]);
        let end = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break None,
                Ok(length) => came.extend_from_slice(&buffer[..length]),
                Err(error) => break Some(error.kind()),
            }
        };
        (String::from_utf8_lossy(&came).into_owned(), end, stream)
    });
    reading.await.unwrap()
}

fn waits(end: Option<ErrorKind>) -> bool {
    matches!(end, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn in_flight(simulator: &Simulator) -> u64 {
    simulator.0.traffic.in_flight.load(Ordering::Relaxed)
}

async fn nothing_in_flight(simulator: &Simulator) {
    let begun = Instant::now();
    while in_flight(simulator) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "an answer outlives its client");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn errors_of_the_server_have_three_bodies() {
    let (_, port) = faulty("1=500-html,2=502-html,3=503-html,4=504-html,5=500-bare,6=502-bare,7=503-bare,8=504-bare,9=html").await;
    for (status, words) in [("500", "something went wrong"), ("502", "Bad Gateway"), ("503", "Unavailable"), ("504", "Timeout")] {
        let answer = exchange(port, &ask("/tags", BEARER)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains("content-type: text/html"), "{answer}");
        assert!(answer.contains("<html>") && answer.contains(words) && !answer.contains("ratelimit"), "{answer}");
    }
    for status in ["500", "502", "503", "504"] {
        let answer = exchange(port, &ask("/tags", BEARER)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(!answer.contains("content-type") && !answer.contains("ratelimit"), "{answer}");
    }
    assert!(exchange(port, &ask("/tags", BEARER)).await.starts_with("HTTP/1.1 500"));
}

#[tokio::test]
async fn content_types_are_wrong_for_the_right_body() {
    let (_, port) = faulty("1-2=content-type").await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let answer = exchange(port, &ask("/tags", BEARER)).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
        answers.push((kind.to_owned(), body.to_owned()));
    }
    assert!(answers.iter().all(|(_, body)| *body == answers[2].1));
    let kinds: Vec<&str> = answers.iter().map(|(kind, _)| kind.split(';').next().unwrap()).collect();
    assert_eq!(kinds, ["text/plain", "text/html", "application/json"]);
}

#[tokio::test]
async fn a_connection_is_reset_before_the_first_byte() {
    let (simulator, port) = faulty("1=reset").await;
    let (came, end, _) = read(send(port, "/contacts")).await;
    assert_eq!((came.as_str(), end), ("", Some(ErrorKind::ConnectionReset)));
    nothing_in_flight(&simulator).await;
    assert!(exchange(port, &ask("/contacts", BEARER)).await.starts_with("HTTP/1.1 200"), "the server goes on");
}

#[tokio::test]
async fn a_response_trickles_as_long_as_the_client_waits() {
    let (simulator, port) = faulty("1-2=trickle").await;
    let begun = Instant::now();
    let small = exchange(port, &ask("/tags/1373897", BEARER)).await;
    assert!(small.contains("value_lead") && begun.elapsed() < Duration::from_millis(900), "{small}");
    let (came, end, stream) = read(send(port, "/contacts")).await;
    let (head, body) = came.split_once("\r\n\r\n").unwrap();
    assert!(waits(end) && (1..1_024).contains(&body.len()), "{came} {end:?}");
    assert_eq!(in_flight(&simulator), 1);
    let whole = exchange(port, &ask("/contacts", BEARER)).await;
    let whole = whole.split_once("\r\n\r\n").unwrap().1;
    assert!(whole.starts_with(body) && head.contains(&format!("content-length: {}\r\n", whole.len())) && whole.len() > 10_000);
    drop(stream);
    nothing_in_flight(&simulator).await;
}

#[tokio::test]
async fn a_hanging_response_delays_no_other() {
    let (simulator, port) = faulty("1=hang,2=hang").await;
    let (first, second) = (send(port, "/contacts"), send(port, "/tags"));
    let (came, end, first) = read(first).await;
    assert!(came.is_empty() && waits(end), "{came} {end:?}");
    let others = exchange(port, &ask("/tags", BEARER)).await;
    assert!(others.starts_with("HTTP/1.1 200"));
    assert_eq!((in_flight(&simulator), simulator.stats().max_in_flight), (2, 3));
    drop((first, second));
    nothing_in_flight(&simulator).await;
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_hanging_responses() {
    let faults = Faults::parse(Some("hang@/contacts:1,trickle@/conversations:1"), None).unwrap();
    let world = WorldOptions { contacts: 100, ..WorldOptions::default() };
    let simulator = Simulator::new(Options { world, now: DateTime::from_timestamp(NOW, 0), faults, ..Options::default() });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = simulator.clone();
    let serving = tokio::spawn(async move { server.serve(listener, async { stopped.await.unwrap_or_default() }).await });
    let (hanging, trickling) = (send(port, "/contacts"), send(port, "/conversations"));
    let (came, end, hanging) = read(hanging).await;
    assert!(came.is_empty() && waits(end));
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), serving).await.expect("the server stops").unwrap().unwrap();
    let (came, end, _) = read(hanging).await;
    assert!(came.is_empty() && !waits(end), "{came} {end:?}");
    assert!(read(trickling).await.0.starts_with("HTTP/1.1 200"));
    assert_eq!(in_flight(&simulator), 0);
}
