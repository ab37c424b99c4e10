//! Makes the client of a bucket from the environment variables that each cloud's own tools read.

use std::ffi::OsString;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, RetryConfig};

use super::failure::io_error;
use super::versions::Versions;
use crate::publish::PublishError;
use crate::store::BucketError;
use crate::store::location::{BucketKind, BucketUri};

const GOOGLE_VERSIONS: &str = "Google's store is not asked for old versions: with object versioning or soft delete, remove them, for example with `gcloud storage rm --all-versions`";
const AZURE_VERSIONS: &str = "Azure's store is not asked for old versions: with blob versioning, snapshots or soft delete, remove them, for example with `az storage blob delete`";

/// The client for a bucket, and how old versions of its objects are found. A failing request is repeated for at most `give_up_after`, and
/// never longer than three minutes.
///
/// # Errors
/// If a variable of the environment (`AWS_…`, `AZURE_…`, `GOOGLE_…`) is missing or invalid, or names a URL that is not allowed.
pub(crate) fn client(uri: &BucketUri, give_up_after: Duration) -> Result<(Arc<dyn ObjectStore>, Versions), PublishError> {
    let failed = |error: std::io::Error| PublishError::new("use", std::path::Path::new(&uri.to_string()), error);
    // A request is not signed again when it is repeated, and a signature is valid for some minutes. So a request is repeated for at most
    // three minutes.
    check_environment(std::env::vars_os()).map_err(failed)?;
    let retry = RetryConfig { retry_timeout: give_up_after.min(Duration::from_secs(180)), ..RetryConfig::default() };
    let built = match uri.kind {
        BucketKind::S3 => {
            let mut builder = AmazonS3Builder::from_env().with_bucket_name(&uri.bucket).with_retry(retry);
            let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
            if is_plain_to_this_machine(endpoint.as_deref(), "AWS_ALLOW_HTTP").map_err(failed)? {
                builder = builder.with_allow_http(true);
            }
            let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_string());
            builder.build().map(|store| {
                let store = Arc::new(store);
                (store.clone() as Arc<dyn ObjectStore>, Versions::S3 { store, region })
            })
        }
        BucketKind::Google => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&uri.bucket).with_retry(retry);
            builder.build().map(|store| (Arc::new(store) as Arc<dyn ObjectStore>, Versions::Unknown(GOOGLE_VERSIONS)))
        }
        BucketKind::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(&uri.bucket).with_retry(retry);
            let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
            if is_plain_to_this_machine(endpoint.as_deref(), "AZURE_ALLOW_HTTP").map_err(failed)? {
                builder = builder.with_allow_http(true);
            }
            builder.build().map(|store| (Arc::new(store) as Arc<dyn ObjectStore>, Versions::Unknown(AZURE_VERSIONS)))
        }
    };
    built.map_err(|error| failed(io_error(error)))
}

/// Checks the variables that become headers and URLs. A line break at the end of a mounted secret is easily overlooked.
fn check_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> std::io::Result<()> {
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix))) else {
            continue;
        };
        let problem = match value.to_str() {
            None => "is no text",
            Some(value) if value.chars().any(char::is_control) => "has a line break or another control character in it",
            Some(value) if name.contains("_ENDPOINT") && url::Url::parse(value).is_err() => {
                "is no address: write http:// or https:// and the host"
            }
            Some(_) => continue,
        };
        return Err(std::io::Error::other(BucketError::Refused(format!("the environment variable {name} {problem}"))));
    }
    Ok(())
}

/// Whether an endpoint is plain HTTP on this machine.
///
/// # Errors
/// If the endpoint is plain HTTP on another machine and the variable does not allow this: everybody on the network path could read and
/// change all data.
fn is_plain_to_this_machine(endpoint: Option<&str>, variable: &str) -> std::io::Result<bool> {
    let Some(rest) = endpoint.and_then(|endpoint| endpoint.strip_prefix("http://")) else { return Ok(false) };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_allowed = std::env::var(variable).is_ok_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    if is_here || is_allowed {
        return Ok(is_here);
    }
    let text = format!("its endpoint is plain HTTP on another machine; use https://, or set {variable}=true");
    Err(std::io::Error::other(BucketError::Refused(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_cannot_be_right_is_named_and_not_shown() {
        let check = |name: &str, value: &str| check_environment([(OsString::from(name), OsString::from(value))].into_iter());
        for (name, value, words) in [
            ("AWS_SECRET_ACCESS_KEY", "inv3nted\n", "AWS_SECRET_ACCESS_KEY has a line break"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "inv3nted\r", "AZURE_STORAGE_ACCOUNT_KEY has a line break"),
            ("AWS_ENDPOINT", "inv3nted.example.com", "AWS_ENDPOINT is no address"),
        ] {
            let error = check(name, value).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("inv3nted"), "{error}");
        }
        for (name, value) in [("AWS_ENDPOINT", "https://store.example.com"), ("AWS_REGION", "eu-west-1"), ("PS1", "\n")] {
            check(name, value).unwrap();
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        let is_plain = |endpoint: &str| is_plain_to_this_machine(Some(endpoint), "COHORTS_TEST_UNSET");
        for here in ["http://127.0.0.1:8333", "http://localhost:9000/x", "http://[::1]:9000"] {
            assert!(is_plain(here).unwrap(), "{here}");
        }
        assert!(!is_plain("https://s3.example.com").unwrap());
        for elsewhere in ["http://10.0.0.5:9000", "http://127.0.0.1.example.com", "http://s3.example.com"] {
            assert!(is_plain(elsewhere).is_err(), "{elsewhere}");
        }
    }
}
