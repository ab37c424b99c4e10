//! The work of an engine as one SQL script, for a cluster that has no Spark Connect server.

use std::fmt::Write;

use super::{EngineFolder, Kept, View, Work, declared};

/// If a person runs a query, it has only one attempt, with this name.
pub(super) const ATTEMPT: &str = "script";

impl Work {
    /// A script for `spark-sql`. `place` is the path of the job's location as the cluster spells it.
    pub fn script(&self, folder: &EngineFolder, place: &str) -> String {
        let place = place.trim_end_matches('/');
        let mut script = "SET spark.sql.variable.substitute=false;\nSET spark.sql.session.timeZone=UTC;\nSET spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS;\n".to_string();
        let view = |script: &mut String, view: &View, place: &str| {
            let _ = write!(
                script,
                "\nCREATE OR REPLACE TEMPORARY VIEW {} ({}) USING parquet OPTIONS (path '{}');\n",
                view.name,
                declared(view.table),
                quoted(&in_one_path(&view.files, place))
            );
        };
        self.views.iter().for_each(|input| view(&mut script, input, place));
        for query in &self.queries {
            let sql = query.sql();
            if query.kept == Kept::View {
                let _ = write!(script, "\nCREATE OR REPLACE TEMPORARY VIEW {} AS\n{sql};\n", query.name);
                continue;
            }
            let target = folder.path(&query.name, ATTEMPT);
            let order = match query.kept {
                Kept::SortedFiles => format!("\nORDER BY {}", query.step.table.key.join(", ")),
                Kept::Files | Kept::View => String::new(),
            };
            let _ = write!(
                script,
                "\nINSERT OVERWRITE DIRECTORY '{}' USING parquet OPTIONS (compression 'zstd')\n{sql}{order};\n",
                quoted(&format!("{place}/{target}"))
            );
            view(&mut script, &View { name: query.name.clone(), table: query.step.table, files: vec![target] }, place);
        }
        script
    }
}

/// Joins files to one path, as Hadoop reads it, with alternatives in braces: `folder/{a,b}`, or `{folder/a,other/b}` if the folders differ.
fn in_one_path(files: &[String], place: &str) -> String {
    let paths: Vec<(&str, &str)> = files.iter().filter_map(|file| file.rsplit_once('/')).collect();
    match (files, paths.first()) {
        ([_, _, ..], Some((folder, _))) if paths.iter().all(|(other, _)| other == folder) => {
            let names: Vec<&str> = paths.iter().map(|(_, name)| *name).collect();
            format!("{place}/{folder}/{{{}}}", names.join(","))
        }
        ([file], _) => format!("{place}/{file}"),
        _ => {
            let all: Vec<String> = files.iter().map(|file| format!("{place}/{file}")).collect();
            format!("{{{}}}", all.join(","))
        }
    }
}

/// Escapes a text for single quotes, in which Spark reads a backslash as an escape.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_folder_are_one_path() {
        let of = |files: &[&str]| in_one_path(&files.iter().map(ToString::to_string).collect::<Vec<_>>(), "s3a://b/x");
        assert_eq!(of(&["a/b/c.parquet"]), "s3a://b/x/a/b/c.parquet");
        assert_eq!(of(&["a/b/c.parquet", "a/b/d.parquet"]), "s3a://b/x/a/b/{c.parquet,d.parquet}");
        assert_eq!(of(&["a/c.parquet", "b/d.parquet"]), "{s3a://b/x/a/c.parquet,s3a://b/x/b/d.parquet}");
        assert_eq!(quoted("it's a\\b"), "it\\'s a\\\\b");
    }
}
