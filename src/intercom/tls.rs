//! Finds out whether the host's certificate is the reason why a TLS connection failed.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::CertificateError;

/// Why a certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// This machine does not trust the issuer of the certificate.
    UnknownIssuer,
    /// The certificate is for another host.
    WrongName,
    /// The certificate is not accepted for another reason.
    Other,
}

impl CertificateProblem {
    /// The problem of the certificate that made a request fail. `None` when the certificate is not the reason.
    pub fn of(error: &reqwest::Error) -> Option<CertificateProblem> {
        find(error)
    }

    /// What to do.
    pub fn hint(self) -> &'static str {
        match self {
            CertificateProblem::Expired | CertificateProblem::NotYetValid => {
                "check the clock of this machine; if it is right, whoever runs the host has to renew the certificate"
            }
            CertificateProblem::UnknownIssuer => {
                "when a proxy or firewall inspects TLS, its certificate authority has to be among those that the system trusts, or in the file that SSL_CERT_FILE names"
            }
            CertificateProblem::WrongName => "check the address: another host, or a device in between, answers there",
            CertificateProblem::Other => {
                "inspect it with `openssl s_client -connect HOST:443`: another host, or a device in between, may answer there"
            }
        }
    }
}

/// Each text begins with `its`, so a message must mention the host before it.
impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertificateProblem::Expired => "its certificate has expired",
            CertificateProblem::NotYetValid => "its certificate is not valid yet",
            CertificateProblem::UnknownIssuer => "its certificate is from an issuer that this machine does not trust",
            CertificateProblem::WrongName => "its certificate is for another name",
            CertificateProblem::Other => "its certificate is not accepted",
        })
    }
}

impl From<&CertificateError> for CertificateProblem {
    fn from(error: &CertificateError) -> CertificateProblem {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateProblem::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateProblem::NotYetValid,
            CertificateError::UnknownIssuer => CertificateProblem::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => CertificateProblem::WrongName,
            _ => CertificateProblem::Other,
        }
    }
}

fn find(error: &(dyn Error + 'static)) -> Option<CertificateProblem> {
    if let Some(rustls::Error::InvalidCertificate(problem)) = error.downcast_ref() {
        return Some(problem.into());
    }
    // `source()` of an I/O error skips the wrapped error and returns the source of the wrapped error. So the wrapped error is used first.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let next = wrapped.map(|wrapped| -> &(dyn Error + 'static) { wrapped }).or_else(|| error.source());
    next.and_then(find)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_problem_is_found_in_nested_errors() {
        let error = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(find(&wrapped), Some(CertificateProblem::UnknownIssuer));
        assert_eq!(find(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
        assert_eq!(find(&io::Error::other(rustls::Error::DecryptError)), None);
    }
}
