//! A host whose certificate nobody should trust: the failure says so and what is wrong with it, of the API and of the
//! webhook.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, SignatureScheme, Stream};

use crate::support::job::{Place, small_job};
use crate::support::program::{Program, ask, run};
use crate::support::side_by_side;
use crate::support::simulator::Simulator;
use crate::support::truth::JULY;

/// The generator of the curve P-256, uncompressed: the public key of the private key 1, which is no secret.
const GENERATOR: &str =
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
const EC_P256: &str = "301306072a8648ce3d020106082a8648ce3d030107";
const ECDSA_SHA256: &str = "300a06082a8648ce3d040302";
const THIS_MACHINE: &[u8] = &[127, 0, 0, 1];

struct Certificate {
    issuer: &'static str,
    subject: &'static str,
    /// As `YYMMDD`.
    until: &'static str,
    from: &'static str,
    /// The address that it is for; none of an authority.
    address: Option<&'static [u8]>,
}

const AUTHORITY: Certificate = Certificate { issuer: "authority", subject: "authority", from: "200101", until: "491231", address: None };
const GOOD: Certificate = Certificate { subject: "host", address: Some(THIS_MACHINE), ..AUTHORITY };

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A value of DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match content.len() {
        0..128 => vec![length[1]],
        128..256 => vec![0x81, length[1]],
        _ => vec![0x82, length[0], length[1]],
    };
    [&[tag][..], &length, &content].concat()
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    der(0x30, parts)
}

/// The private key 1.
fn key() -> PrivateKeyDer<'static> {
    let one = [vec![0; 31], vec![1]].concat();
    let public = der(0xa1, &[&der(0x03, &[&[0], &hex(GENERATOR)])]);
    let private = sequence(&[&der(0x02, &[&[1]]), &der(0x04, &[&one]), &public]);
    PrivatePkcs8KeyDer::from(sequence(&[&der(0x02, &[&[0]]), &hex(EC_P256), &der(0x04, &[&private])])).into()
}

impl Certificate {
    fn der(&self) -> Vec<u8> {
        let name = |name: &str| sequence(&[&der(0x31, &[&sequence(&[&hex("0603550403"), &der(0x0c, &[name.as_bytes()])])])]);
        let day = |day: &str| der(0x17, &[format!("{day}000000Z").as_bytes()]);
        let extension = match self.address {
            Some(address) => sequence(&[&hex("0603551d11"), &der(0x04, &[&sequence(&[&der(0x87, &[address])])])]),
            None => sequence(&[&hex("0603551d130101ff"), &der(0x04, &[&sequence(&[&hex("0101ff")])])]),
        };
        let reported = sequence(&[
            &hex("a003020102020101"),
            &hex(ECDSA_SHA256),
            &name(self.issuer),
            &sequence(&[&day(self.from), &day(self.until)]),
            &name(self.subject),
            &sequence(&[&hex(EC_P256), &der(0x03, &[&[0], &hex(GENERATOR)])]),
            &der(0xa3, &[&sequence(&[&extension])]),
        ]);
        let signer = any_ecdsa_type(&key()).unwrap().choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).unwrap();
        let signature = signer.sign(&reported).unwrap();
        sequence(&[&reported, &hex(ECDSA_SHA256), &der(0x03, &[&[0], &signature])])
    }
}

/// Answers every request with an empty list, for as long as the tests run. Its address.
fn host(certificate: &Certificate) -> String {
    // The first provider of a process stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = vec![CertificateDer::from(certificate.der())];
    let config = Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key()).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, mut session) = (connection.unwrap(), ServerConnection::new(config.clone()).unwrap());
            let mut stream = Stream::new(&mut session, &mut connection);
            let body = r#"{"type":"list","data":[]}"#;
            // Who trusts nobody hangs up.
            if stream.read(&mut [0; 4096]).is_ok() {
                let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            }
        }
    });
    address
}

/// The file that names the authority, for SSL_CERT_FILE.
fn trusted(place: &Place) -> PathBuf {
    use base64::Engine;
    let path = place.folder().join("authority.pem");
    let text = base64::engine::general_purpose::STANDARD.encode(AUTHORITY.der());
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))).unwrap();
    path
}

/// Certificates that are not accepted, what is said of each, and a word of what to do.
const BAD: &[(Certificate, &str, &str)] = &[
    (Certificate { until: "200102", ..GOOD }, "its certificate has expired", "clock"),
    (Certificate { from: "491230", ..GOOD }, "its certificate is not valid yet", "clock"),
    (Certificate { issuer: "stranger", ..GOOD }, "its certificate is from an issuer that this machine does not trust", "SSL_CERT_FILE"),
    (Certificate { address: Some(&[10, 0, 0, 1]), ..GOOD }, "its certificate is for another name", "address"),
];

#[test]
fn what_is_wrong_with_the_certificate_of_the_api_is_said_and_what_to_do() {
    let place = Place::new();
    let authority = trusted(&place);
    let tags = |certificate: &Certificate| -> Program {
        let program = ask(&host(certificate), "2.14", ["tags"]).variable("SSL_CERT_FILE", &authority);
        program.variable("COHORTS__INTERCOM__GIVE_UP_AFTER", "10ms")
    };
    tags(&GOOD).succeed();
    for (certificate, words, hint) in BAD {
        tags(certificate).finish().check_failure(5, &["no TLS connection to the host", words, hint]);
    }
}

#[test]
fn what_is_wrong_with_the_certificate_of_the_webhook_is_a_warning() {
    let simulator = Simulator::at(JULY.as_of, &[]);
    side_by_side(
        BAD,
        |(_, words, _)| words.to_string(),
        |(certificate, words, hint)| {
            let place = Place::new();
            let file =
                place.job(&small_job().with_section(format!("[notify]\nurl = \"{}/s3cret\"", host(certificate))), &simulator.base_url);
            let finished = run(&file, &["--as-of", JULY.as_of]).variable("SSL_CERT_FILE", trusted(&place)).succeed();
            let warning = finished.stderr.lines().find(|line| line.contains("the webhook was not notified")).unwrap_or_default();
            assert!(warning.contains(words) && warning.contains(hint) && !warning.contains("s3cret"), "{}", finished.stderr);
        },
    );
}
