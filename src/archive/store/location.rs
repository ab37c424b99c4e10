//! The location that `output.dir` names: a folder of this machine, or a prefix in a bucket.

use std::fmt;
use std::path::PathBuf;

/// Where jobs are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    Bucket(BucketUri),
}

/// A prefix in a bucket: `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUri {
    pub(crate) kind: BucketKind,
    /// The name of the bucket; in Azure, of the container.
    pub(crate) bucket: String,
    /// The names with which all paths in the bucket begin, with `/` between them. May be empty.
    pub(crate) prefix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BucketKind {
    S3,
    Google,
    Azure,
}

impl BucketKind {
    const ALL: [BucketKind; 3] = [BucketKind::S3, BucketKind::Google, BucketKind::Azure];

    fn scheme(self) -> &'static str {
        match self {
            BucketKind::S3 => "s3",
            BucketKind::Google => "gs",
            BucketKind::Azure => "az",
        }
    }
}

impl Location {
    /// # Errors
    /// If the text is neither a folder nor a valid URI of a bucket.
    pub fn parse(text: &str) -> Result<Location, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            if let Some(kind) = BucketKind::ALL.into_iter().find(|kind| text.starts_with(&format!("{}:", kind.scheme()))) {
                return Err(format!("`{text}` has no `//` after `{}:`", kind.scheme()));
            }
            if text.trim().is_empty() {
                return Err("it names no folder".to_string());
            }
            if text == "~" || text.starts_with("~/") {
                return Err("`~` is not replaced here: write the whole path".to_string());
            }
            return Ok(Location::Folder(PathBuf::from(text)));
        };
        let Some(kind) = BucketKind::ALL.into_iter().find(|kind| kind.scheme() == scheme) else {
            return Err(format!(
                "`{scheme}://` is no store that is known: use s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or a folder"
            ));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
        // Credentials in a URI are refused, because they would end in logs and shell histories.
        if !is_name(bucket) {
            return Err(format!(
                "`{scheme}://` must be followed by the name of a bucket: letters, digits, `-`, `_`, `.`; credentials come from the environment"
            ));
        }
        let is_plain = |name: &str| {
            !matches!(name, "" | "." | "..") && !name.contains(|letter: char| letter.is_control() || "?#%*\\".contains(letter))
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return Err("the prefix in the bucket must be plain names with `/` between them".to_string());
        }
        Ok(Location::Bucket(BucketUri { kind, bucket: bucket.to_string(), prefix: prefix.to_string() }))
    }

    /// The location with this name below this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Location {
        match self {
            Location::Folder(folder) => Location::Folder(folder.join(name)),
            Location::Bucket(uri) => {
                let prefix = if uri.prefix.is_empty() { name.to_string() } else { format!("{}/{name}", uri.prefix) };
                Location::Bucket(BucketUri { prefix, ..uri.clone() })
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(folder) => write!(f, "{}", folder.display()),
            Location::Bucket(uri) => write!(f, "{uri}"),
        }
    }
}

impl fmt::Display for BucketUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "{}://{}{slash}{}", self.kind.scheme(), self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_bucket_is_told_from_a_folder() {
        for (text, shown, joined) in [
            ("s3://results", "s3://results", "s3://results/month-end"),
            ("s3://results/teams/growth/", "s3://results/teams/growth", "s3://results/teams/growth/month-end"),
            ("gs://results/a", "gs://results/a", "gs://results/a/month-end"),
            ("az://results/a", "az://results/a", "az://results/a/month-end"),
            ("output", "output", "output/month-end"),
            ("/srv/s3/output", "/srv/s3/output", "/srv/s3/output/month-end"),
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!((location.to_string().as_str(), location.join("month-end").to_string().as_str()), (shown, joined));
        }
        for wrong in [
            "s3://",
            "s3:///prefix",
            "ftp://host/x",
            "s3://key:secret@bucket/x",
            "s3://bucket/a/../b",
            "s3://bucket/a//b",
            "gs://bucket/a?b",
            "s3:/bucket/x",
            "",
            " ",
            "~/x",
        ] {
            assert!(Location::parse(wrong).is_err(), "{wrong}");
        }
    }
}
