//! Removes old versions of objects: a bucket with versioning keeps objects that were replaced or deleted. People whom `cohorts forget`
//! removes must not stay in these versions.
//!
//! `ListObjectVersions` and `DeleteObject` with a version are requests of S3 that the client does not have, so they are signed here:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::signer::Signer;
use serde::Deserialize;

use super::failure::{answered, io_error};
use super::objects::wait;
use crate::store::OldVersions;

/// How old versions of a bucket's objects are found.
#[derive(Clone, Debug)]
pub(crate) enum Versions {
    S3 {
        store: Arc<AmazonS3>,
        region: String,
    },
    /// This program cannot find old versions. The text says what to do instead.
    Unknown(&'static str),
    /// There are no old versions.
    #[cfg(test)]
    None,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
    #[serde(default, rename = "Version")]
    versions: Vec<ListedVersion>,
    #[serde(default, rename = "DeleteMarker")]
    delete_markers: Vec<ListedVersion>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedVersion {
    key: String,
    version_id: String,
    is_latest: bool,
}

impl Versions {
    /// Removes all versions below the prefix that are not the latest, and all delete markers.
    pub(super) fn purge(&self, prefix: &Path) -> io::Result<OldVersions> {
        match self {
            Versions::S3 { store, region } => {
                let (store, region, prefix) = (store.clone(), region.clone(), format!("{prefix}/"));
                wait(async move { S3 { store, region, client: client()? }.purge(&prefix).await })
            }
            Versions::Unknown(advice) => Ok(OldVersions::Unknown((*advice).to_string())),
            #[cfg(test)]
            Versions::None => Ok(OldVersions::Removed(0)),
        }
    }
}

/// A client for the two requests. It allows plain HTTP, because the setup of the bucket's client has already refused endpoints for which
/// plain HTTP is not allowed.
fn client() -> io::Result<HttpClient> {
    ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true)).map_err(io_error)
}

struct S3 {
    store: Arc<AmazonS3>,
    region: String,
    client: HttpClient,
}

impl S3 {
    async fn purge(&self, prefix: &str) -> io::Result<OldVersions> {
        let (mut old, mut markers, mut next) = (Vec::new(), Vec::new(), None);
        loop {
            let page = self.list(prefix, next.as_ref()).await?;
            old.extend(page.versions.into_iter().filter(|version| !version.is_latest));
            markers.extend(page.delete_markers);
            next = page.next_key_marker.zip(Some(page.next_version_id_marker.unwrap_or_default()));
            if !page.is_truncated || next.is_none() {
                break;
            }
        }
        // The delete markers come last: without a marker, the version before it would be the latest again.
        for version in old.iter().chain(&markers) {
            let mut url = self.url(&version.key, http::Method::DELETE).await?;
            url.query_pairs_mut().clear().append_pair("versionId", &version.version_id);
            self.send(http::Method::DELETE, &url).await?;
        }
        Ok(OldVersions::Removed(old.len() as u64))
    }

    async fn list(&self, prefix: &str, next: Option<&(String, String)>) -> io::Result<Listed> {
        // The URL of the bucket is the URL of an object without the key.
        let mut url = self.url("x", http::Method::GET).await?;
        let path = url.path().trim_end_matches('x').to_string();
        url.set_path(&path);
        url.query_pairs_mut().clear().append_pair("versions", "").append_pair("prefix", prefix);
        if let Some((key, version)) = next {
            url.query_pairs_mut().append_pair("key-marker", key).append_pair("version-id-marker", version);
        }
        let body = self.send(http::Method::GET, &url).await?;
        quick_xml::de::from_reader(body.as_slice()).map_err(|_| io::Error::other("the list of old versions cannot be read"))
    }

    /// The URL of an object, without the signature.
    async fn url(&self, key: &str, method: http::Method) -> io::Result<url::Url> {
        let mut url = self.store.signed_url(method, &Path::from(key), Duration::from_secs(60)).await.map_err(io_error)?;
        url.set_query(None);
        Ok(url)
    }

    async fn send(&self, method: http::Method, url: &url::Url) -> io::Result<Vec<u8>> {
        let credential = self.store.credentials().get_credential().await.map_err(io_error)?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(io::Error::other)?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let response = self
            .client
            .execute(request)
            .await
            .map_err(|error| io_error(object_store::Error::Generic { store: "S3", source: Box::new(error) }))?;
        let status = response.status();
        let body = response
            .into_body()
            .bytes()
            .await
            .map_err(|error| io_error(object_store::Error::Generic { store: "S3", source: Box::new(error) }))?;
        if status.is_success() { Ok(body.to_vec()) } else { Err(answered(status.as_u16(), &String::from_utf8_lossy(&body))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_versions_is_read_with_versions_and_marks_between_each_other() {
        let version = |kind: &str, id: &str, is_latest: bool| {
            format!("<{kind}><Key>job/a</Key><VersionId>{id}</VersionId><IsLatest>{is_latest}</IsLatest><Size>1</Size></{kind}>")
        };
        let body = format!(
            "<?xml version=\"1.0\"?><ListVersionsResult><Name>b</Name><IsTruncated>true</IsTruncated><NextKeyMarker>job/a</NextKeyMarker>\
             <NextVersionIdMarker>2</NextVersionIdMarker>{}{}{}</ListVersionsResult>",
            version("DeleteMarker", "3", true),
            version("Version", "2", false),
            version("DeleteMarker", "1", false)
        );
        let listed: Listed = quick_xml::de::from_reader(body.as_bytes()).unwrap();
        assert!(
            listed.is_truncated
                && listed.next_key_marker.as_deref() == Some("job/a")
                && listed.next_version_id_marker.as_deref() == Some("2")
        );
        assert_eq!((listed.versions.len(), listed.delete_markers.len(), listed.versions[0].is_latest), (1, 2, false));
        let empty: Listed = quick_xml::de::from_str("<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>").unwrap();
        assert!(empty.versions.is_empty() && !empty.is_truncated);
    }
}
