//! A minimal HTTP/1.1 client over a blocking socket, for the tests' own requests and for those that a recording proxy forwards; and an
//! address where nobody answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpSocket;

use super::TOKEN;

pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A port of this machine that refuses every connection for as long as the value lives. It is bound and nobody listens: a port that was only
/// free a moment ago may belong to the server of another test by the time it is asked.
pub(crate) struct ClosedPort {
    _bound: TcpSocket,
    pub address: SocketAddr,
    pub base_url: String,
}

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { _bound: socket, address, base_url: format!("http://{address}") }
    }
}

/// Sends one request to `host:port` and reads the whole response.
pub(crate) fn send(address: &str, method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_lowercase(), value.trim().to_string()));
    Answer { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
}

/// The JSON at a path of the server at `http://host:port`.
pub(crate) fn json(base_url: &str, target: &str) -> Value {
    let address = base_url.trim_start_matches("http://");
    let headers = [("Authorization", format!("Bearer {TOKEN}")), ("Intercom-Version", "2.14".to_string())];
    let answer = send(address, "GET", target, &headers.map(|(name, value)| (name.to_string(), value)), b"");
    assert_eq!(answer.status, 200, "{target}: {}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

/// Percent-encodes text for a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Decodes percent-encoded text.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                rest = &rest[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
