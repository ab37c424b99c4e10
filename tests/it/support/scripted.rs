//! A server whose responses a test defines, for behaviour that the simulator does not have. It can also be a proxy in front of the simulator that
//! records all requests, forwards them, and answers some of them itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::http;
use super::simulator::RATE_LIMIT;

/// Each reply has this header: without it, the program spreads its requests over the window of a small limit. For replies without it, a test
/// lets the simulator leave out its headers.
const RATE_LIMIT_HEADER: &str = "X-RateLimit-Limit";

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub at: Instant,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| http::decoded(value)).next_back()
    }

    /// The requested page size of a list or search; `None` for other requests.
    pub(crate) fn per_page(&self) -> Option<u64> {
        let listed = self.parameter("per_page").map(|number| number.parse().unwrap());
        listed.or_else(|| self.json()["pagination"]["per_page"].as_u64())
    }

    /// Whether this asks for the number of all conversations, which a run compares with another source.
    pub(crate) fn is_conversation_total(&self) -> bool {
        match self.path() {
            "/conversations/search" => self.json()["query"]["value"] == 0,
            "/conversations" => self.parameter("per_page").as_deref() == Some("1") && self.parameter("page").is_none(),
            _ => false,
        }
    }

    pub(crate) fn cursor(&self) -> Option<String> {
        let searched = || Some(self.json()["pagination"]["starting_after"].as_str()?.to_string());
        self.parameter("starting_after").or_else(searched)
    }

    /// Which stream a request for members, contacts or conversations belongs to: the group's key, `population` or
    /// `conversations`.
    pub(crate) fn stream(&self) -> Option<String> {
        match (self.method.as_str(), self.path()) {
            ("GET", "/contacts") => Some("population".to_string()),
            ("POST", "/conversations/search") if !self.is_conversation_total() => Some("conversations".to_string()),
            ("POST", "/contacts/search") => {
                let query = &self.json()["query"];
                let kind = query["field"].as_str()?.strip_suffix("_id")?;
                Some(format!("{kind}:{}", query["value"].as_str()?))
            }
            _ => None,
        }
    }
}

pub(crate) enum Reply {
    Http {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Raw bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// No response.
    Hang,
}

impl Reply {
    pub(crate) fn json(value: &Value) -> Reply {
        Reply::text(200, "application/json; charset=utf-8", &value.to_string())
    }

    pub(crate) fn text(status: u16, content_type: &str, body: &str) -> Reply {
        Reply::Http { status, headers: vec![("Content-Type".into(), content_type.into())], body: body.into() }
    }

    pub(crate) fn redirect(to: &str) -> Reply {
        Reply::Http { status: 302, headers: vec![("Location".into(), to.into())], body: Vec::new() }
    }
}

/// Creates a reply, for use more than once.
pub(crate) type MakeReply = fn() -> Reply;

/// A listening server; it stops when dropped.
pub(crate) struct Scripted {
    pub base_url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    runtime: Option<Runtime>,
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

impl Scripted {
    /// Answers each request with the reply that the closure returns.
    pub(crate) fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, answer): (_, Arc<Answer>) = (requests.clone(), Arc::new(answer));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, seen.clone(), answer.clone()));
            }
        });
        Scripted { base_url, requests, runtime: Some(runtime) }
    }

    /// Answers in order; the last reply is repeated.
    pub(crate) fn replies(replies: Vec<MakeReply>) -> Scripted {
        let next = Mutex::new(0);
        Scripted::new(move |_| {
            let mut next = next.lock().unwrap();
            let reply = replies[(*next).min(replies.len() - 1)];
            *next += 1;
            reply()
        })
    }

    /// Forwards all requests to the server at `address`, except those that the closure answers.
    pub(crate) fn before(address: &str, answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Scripted {
        let address = address.to_string();
        Scripted::new(move |request| answer(request).unwrap_or_else(|| forward(&address, request)))
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // Without waiting: connections that hang on purpose would never end.
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// Forwards a request to the server at `address`.
pub(crate) fn forward(address: &str, request: &Request) -> Reply {
    let forwarded = ["authorization", "accept", "content-type", "intercom-version"];
    let headers: Vec<_> = request.headers.iter().filter(|(name, _)| forwarded.contains(&name.as_str())).cloned().collect();
    let answer = http::send(address, &request.method, &request.target, &headers, &request.body);
    let dropped = ["content-length", "transfer-encoding", "connection"];
    let headers = answer.headers.into_iter().filter(|(name, _)| !dropped.contains(&name.as_str())).collect();
    Reply::Http { status: answer.status, headers, body: answer.body }
}

/// Serves one connection until it ends.
async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>, answer: Arc<Answer>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        seen.lock().unwrap().push(request.clone());
        let answer = answer.clone();
        let is_last = request.header("connection") == Some("close");
        // The closure may block: a proxy requests from the server behind it.
        let reply = tokio::task::spawn_blocking(move || answer(&request)).await;
        let sent = match reply {
            Ok(Reply::Http { status, mut headers, body }) => {
                if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(RATE_LIMIT_HEADER)) {
                    headers.push((RATE_LIMIT_HEADER.into(), RATE_LIMIT.into()));
                }
                let mut head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                stream.write_all(&[format!("{head}\r\n").into_bytes(), body].concat()).await
            }
            Ok(Reply::Raw(bytes)) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Ok(Reply::Hang) => std::future::pending().await,
            Err(_) => return,
        };
        if sent.is_err() || is_last {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        match buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None if stream.read_buf(buffer).await.ok()? == 0 => return None,
            None => {}
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_string(), first.next()?.to_string());
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_lowercase(), value.trim().to_string())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[head_end..head_end + length].to_vec();
    buffer.drain(..head_end + length);
    Some(Request { at: Instant::now(), method, target, headers, body })
}
