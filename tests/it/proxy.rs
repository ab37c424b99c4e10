//! The proxy of a company, named by the environment: what is on this machine is never asked through it, whatever else is,
//! and it sees no token. A failure names the proxy, and nothing shows its password.

use std::net::TcpListener;

use crate::support::TOKEN;
use crate::support::http::ClosedPort;
use crate::support::job::{Place, small_job};
use crate::support::program::{Finished, Program, ask, cohorts, on, run};
use crate::support::scripted::{MakeReply, Reply, Scripted};
use crate::support::simulator::Simulator;
use crate::support::truth::JULY;

const VARIABLES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const REMOTE: &str = "https://something.invalid";
const PASSWORD: &str = "pr0xy-s3cret";
/// `me:pr0xy-s3cret` as the header has it.
const BASIC: &str = "Basic bWU6cHIweHktczNjcmV0";
const REFUSED: MakeReply = || Reply::text(403, "text/plain", "no");
const NEEDS_PASSWORD: MakeReply = || Reply::text(407, "text/plain", "who are you");

/// The program with these variables at the proxy.
fn behind(program: Program, names: &[&str], proxy: &str) -> Program {
    names.iter().fold(program, |program, name| program.variable(name, proxy))
}

/// `cohorts tags` of a host that is not on this machine. It does not try again.
fn tags_of_remote() -> Program {
    ask(REMOTE, "2.14", ["tags", "-vv"]).variable("COHORTS__INTERCOM__GIVE_UP_AFTER", "10ms")
}

/// The address of the proxy with user name and password.
fn with_password(proxy: &Scripted) -> String {
    proxy.base_url.replace("http://", &format!("http://me:{PASSWORD}@"))
}

#[track_caller]
fn check_secrets(finished: &Finished) {
    let all = format!("{}{}", finished.stdout, finished.stderr);
    for secret in [PASSWORD, BASIC, TOKEN, "panicked"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

/// What the proxy was asked: nothing but tunnels, and without the token.
#[track_caller]
fn tunnels(proxy: &Scripted) -> Vec<String> {
    let requests = proxy.requests();
    for request in &requests {
        let all = format!("{request:?}");
        assert!(request.method == "CONNECT" && request.header("authorization").is_none() && !all.contains(TOKEN), "{all}");
    }
    requests.into_iter().map(|request| request.target).collect()
}

#[test]
fn this_machine_is_asked_directly() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let proxy = Scripted::replies(vec![REFUSED]);
    let mut hosts = vec![simulator.base_url.clone(), simulator.base_url.replace("127.0.0.1", "localhost")];
    // Not every machine has IPv6.
    let over_ipv6 = TcpListener::bind("[::1]:0").is_ok().then(|| {
        let program = cohorts(["simulate", "--address", "::1", "--port", "0", "--contacts", "10"]);
        program.start_with_line()
    });
    hosts.extend(over_ipv6.iter().map(|(_, base_url)| base_url.clone()));
    for host in &hosts {
        let ask_for_tags = |names: &[&str]| behind(ask(host, "2.14", ["tags", "--json"]), names, &proxy.base_url);
        for name in VARIABLES {
            ask_for_tags(&[name]).succeed();
            assert_eq!(tunnels(&proxy), [""; 0], "{host}, {name}");
        }
        for exceptions in ["", "example.com", "127.0.0.1,localhost"] {
            ask_for_tags(&VARIABLES).variable("NO_PROXY", exceptions).succeed();
            assert_eq!(tunnels(&proxy), [""; 0], "{host}, NO_PROXY {exceptions}");
        }
        // Nor does it matter here that nobody can use what is named.
        behind(ask(host, "2.14", ["tags", "--json"]), &VARIABLES, "::::").succeed();
    }
    if let Some((mut child, _)) = over_ipv6 {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn check_run_webhook_and_demo_work_behind_a_proxy() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let proxy = Scripted::replies(vec![REFUSED]);
    let receiver = Scripted::replies(vec![|| Reply::text(204, "text/plain", "")]);
    let place = Place::new();
    let webhook = format!("[notify]\nurl = \"{}/hook\"", receiver.base_url.replace("127.0.0.1", "localhost"));
    let file = place.job(&small_job().with_section(webhook), &simulator.base_url);
    let checked = behind(on(&file, "check", &[]), &VARIABLES, &proxy.base_url).succeed();
    assert_eq!(checked.stdout.matches("is on this machine").count(), 2, "{}", checked.stdout);
    behind(run(&file, &["--as-of", JULY.as_of]), &VARIABLES, &proxy.base_url).succeed();
    assert_eq!(receiver.requests().len(), 1);
    let out = place.folder().join("demo");
    let demo = cohorts(["demo", "--contacts", "50", "--months", "1", "--out", out.to_str().unwrap()]).without_token();
    behind(demo, &VARIABLES, &proxy.base_url).succeed();
    assert_eq!(tunnels(&proxy), [""; 0]);
}

#[test]
fn https_goes_through_the_proxy_which_sees_host_and_port_alone() {
    for name in &VARIABLES[2..] {
        let proxy = Scripted::replies(vec![REFUSED]);
        let finished = behind(tags_of_remote(), &[name], &with_password(&proxy)).finish();
        check_secrets(&finished);
        assert_eq!(tunnels(&proxy), ["something.invalid:443"], "{name}");
        assert_eq!(proxy.requests()[0].header("proxy-authorization"), Some(BASIC));
        let host = proxy.base_url.trim_start_matches("http://");
        assert_eq!(finished.code, Some(5));
        let named = format!("the proxy `{host}` ({name}) refused to connect to the host");
        assert!(finished.stderr.contains(&named) && finished.stderr.contains("hint: "), "{}", finished.stderr);
    }
    // Plain http has no business outside; and a host may be excepted.
    for (names, exceptions) in [(&VARIABLES[..2], ""), (&VARIABLES[..], "invalid"), (&VARIABLES[..], "*")] {
        let proxy = Scripted::replies(vec![REFUSED]);
        let finished = behind(tags_of_remote(), names, &proxy.base_url).variable("no_proxy", exceptions).finish();
        assert!(!finished.stderr.contains("proxy") && finished.stderr.contains("no connection to the host"), "{}", finished.stderr);
        assert_eq!(tunnels(&proxy), [""; 0], "{names:?}, no_proxy {exceptions}");
    }
}

#[test]
fn a_failure_of_the_proxy_is_reported_as_such() {
    let broken: MakeReply = || Reply::Raw(b"HTTP/1.1 200 Connected\r\n\r\n".to_vec());
    let garbled: MakeReply = || Reply::Raw(b"220 smtp.example ready\r\n".to_vec());
    let gone: MakeReply = || Reply::Raw(Vec::new());
    let closed = ClosedPort::new();
    for (reply, words) in [
        (Some(NEEDS_PASSWORD), "refused: it asks for a user name and password (407)"),
        (Some(REFUSED), "refused to connect to the host"),
        (Some(garbled), "refused to connect to the host"),
        (Some(gone), "refused to connect to the host"),
        (Some(broken), "no TLS connection to the host through the proxy"),
        (Some(|| Reply::Hang), "no connection in time through the proxy"),
        (None, "no connection to the proxy"),
    ] {
        let proxy = reply.map(|reply| Scripted::replies(vec![reply]));
        let address = proxy.as_ref().map_or(format!("http://me:{PASSWORD}@{}", closed.address), with_password);
        let program = tags_of_remote().variable("COHORTS__INTERCOM__REQUEST_TIMEOUT", "500ms");
        let finished = behind(program, &["https_proxy"], &address).finish();
        check_secrets(&finished);
        finished.check_failure(5, &["/tags", words, "(https_proxy)", "hint: "]);
    }
    // A password that is wrong is not tried again: that may lock an account.
    let proxy = Scripted::replies(vec![NEEDS_PASSWORD]);
    let program = tags_of_remote().variable("COHORTS__INTERCOM__GIVE_UP_AFTER", "1m");
    behind(program, &["HTTPS_PROXY"], &proxy.base_url).finish().check_failure(5, &["(407)", "1 attempt", "http://user:password@"]);
    assert_eq!(tunnels(&proxy).len(), 1);
}

#[test]
fn a_proxy_that_is_none_is_2_and_nobody_is_asked_without_it() {
    let place = Place::new();
    let file = place.job(&small_job(), REMOTE);
    let password = format!("http://me:{PASSWORD}@proxy.invalid:port");
    let socks = format!("socks5://me:{PASSWORD}@proxy.invalid:1080");
    for (value, words) in
        [("::::", "not the address of a proxy"), (&password, "not the address of a proxy"), (&socks, "neither http nor https")]
    {
        for program in [tags_of_remote(), run(&file, &[])] {
            let finished = program.variable("HTTPS_PROXY", value).finish();
            check_secrets(&finished);
            finished.check_failure(2, &["HTTPS_PROXY", words, "http://proxy.example:3128"]);
        }
        let checked = on(&file, "check", &[]).variable("HTTPS_PROXY", value).finish();
        check_secrets(&checked);
        checked.check_code(2);
        let line = checked.stdout.lines().find(|line| line.contains("HTTPS_PROXY")).unwrap_or_else(|| panic!("{}", checked.stdout));
        assert!(line.trim_start().starts_with("error") && line.contains(" proxy "), "{line}");
    }
}

#[test]
fn check_shows_which_proxy_is_used() {
    let place = Place::new();
    let file = place.job(&small_job().with_section("[notify]\nurl = \"https://hooks.invalid/s3cret\""), REMOTE);
    let through = format!("http://me:{PASSWORD}@proxy.invalid:3128");
    for (variables, of_api, of_webhook) in [
        (
            &[("HTTPS_PROXY", through.as_str()), ("NO_PROXY", "hooks.invalid")][..],
            "requests to `https://something.invalid` go through `proxy.invalid:3128`, as HTTPS_PROXY says",
            "no proxy is used for `https://hooks.invalid/…`: NO_PROXY lists it",
        ),
        (
            &[("all_proxy", &through)],
            "requests to `https://something.invalid` go through `proxy.invalid:3128`, as all_proxy says",
            "requests to `https://hooks.invalid/…` go through `proxy.invalid:3128`, as all_proxy says",
        ),
        (
            &[("HTTP_PROXY", &through)],
            "no proxy is used for `https://something.invalid`: neither HTTPS_PROXY nor ALL_PROXY is set",
            "no proxy is used for `https://hooks.invalid/…`: neither HTTPS_PROXY nor ALL_PROXY is set",
        ),
    ] {
        // Without a token nobody is asked.
        let program = variables.iter().fold(on(&file, "check", &["--json"]), |program, (name, value)| program.variable(name, value));
        let checked = program.without_token().finish();
        check_secrets(&checked);
        assert!(!checked.stdout.contains("s3cret"), "{}", checked.stdout);
        let lines: Vec<serde_json::Value> = serde_json::from_str(&checked.stdout).unwrap();
        let detail = |subject: &str| lines.iter().find(|line| line["subject"] == subject).unwrap()["detail"].clone();
        assert_eq!((detail("proxy"), detail("webhook proxy")), (of_api.into(), of_webhook.into()));
    }
}

#[test]
fn a_webhook_behind_a_proxy_that_refuses_is_a_warning() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    let place = Place::new();
    let file = place.job(&small_job().with_section("[notify]\nurl = \"https://hooks.invalid/s3cret\""), &simulator.base_url);
    let proxy = Scripted::replies(vec![NEEDS_PASSWORD]);
    for (value, words) in [(with_password(&proxy).as_str(), "(407)"), ("::::", "not the address of a proxy")] {
        let finished = run(&file, &["--as-of", JULY.as_of, "-vv"]).variable("HTTPS_PROXY", value).succeed();
        check_secrets(&finished);
        assert!(!finished.stderr.contains("s3cret"), "{}", finished.stderr);
        let warnings: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("HTTPS_PROXY") && warnings[0].contains(words), "{warnings:?}");
    }
    assert_eq!(tunnels(&proxy), ["hooks.invalid:443"]);
}
