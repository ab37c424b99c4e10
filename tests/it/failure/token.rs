//! The token, when everything goes wrong: nothing that is left behind holds it.

use super::*;
use crate::support::scripted::Request;
use crate::support::tree::tree;

/// What a server that is up to no good sends back of a request.
fn echo(request: &Request, way: &str) -> Reply {
    let token = request.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_string();
    let headers = |extra: (&str, String)| vec![("Content-Type".into(), "application/json".into()), (extra.0.into(), extra.1)];
    let status = |status: u16, header: (&str, String), body: String| Reply::Http { status, headers: headers(header), body: body.into() };
    match way {
        "error" => {
            let body = serde_json::json!({"type": "error.list", "request_id": token, "errors": [{"code": token, "message": token}]});
            status(422, ("X-Request-Id", token), body.to_string())
        }
        "page" => status(500, ("Server", token.clone()), format!("<html>{token}</html>")),
        "redirect" => Reply::redirect(&format!("http://127.0.0.1:9/?token={token}")),
        "json" => status(200, ("X-Intercom-Version", token.clone()), format!("{{\"{token}\": [\"{token}\"")),
        _ => unreachable!("a way of the test below"),
    }
}

#[test]
fn nothing_that_a_failing_run_leaves_behind_holds_the_token() {
    let ways = ["error", "page", "redirect", "json"];
    side_by_side(
        &ways,
        |way| way.to_string(),
        |way| {
            let way = *way;
            let server = Scripted::new(move |request| echo(request, way));
            let place = Place::new();
            let job = Job { timezone: None, ..plain_job() };
            let job = job.with_intercom("give_up_after = \"2s\"");
            let running = run(&place.job(&job, &server.base_url), &["-vv", "--log-format", "json"]).start();
            let command_line = std::fs::read(format!("/proc/{}/cmdline", running.id())).unwrap_or_default();
            let finished = running.finish();
            assert!(!matches!(finished.code, None | Some(0)), "{way}: {finished:?}");
            assert!(!server.requests().is_empty(), "{way}");
            let mut left = tree(&place.output());
            left.insert("standard output".into(), finished.stdout.into_bytes());
            left.insert("standard error".into(), finished.stderr.into_bytes());
            left.insert("command line".into(), command_line);
            for (name, bytes) in left {
                assert!(!bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()), "{way}: the token is in {name}");
            }
        },
    );
}
