//! `copy`: copies the archive of a job to another folder or bucket.

use std::path::Path;

use super::arguments::Copy;
use super::failure::Failure;
use super::progress::Progress;
use super::{run, stdout};
use archive::store::Location;
use archive::{Copied, Section};
use job::{self, CopiedMonths, JobError};
use reports::digest::grouped;

pub(super) async fn run(arguments: Copy, progress: &Progress) -> Result<u8, Failure> {
    let settings = run::load(&arguments.job.sources())?;
    let to = Location::parse(&arguments.to).map_err(|problem| Failure::usage(problem, "`--to` is like `output.dir`"))?;
    if is_at(&to, &settings.output.dir, &settings.job.name) {
        return Err(Failure::usage(
            "`--to` is the place where the job already is: it cannot be copied onto itself",
            "name another folder or bucket",
        ));
    }
    let mut there = settings.clone();
    // If `work_dir` is set, the copy has its unfinished work in a folder of its own inside it.
    there.output.work_dir = settings.output.work_dir.as_ref().map(|folder| folder.join("copy"));
    there.output.dir = to;
    let (source, target) = (job::archive(&settings)?, job::archive(&there)?);
    if !source.exists().map_err(JobError::from)? {
        return Err(Failure::usage(format!("`{}` does not exist", source.place()), "check the job's name and `output.dir`"));
    }
    let (from, place) = (source.clone(), target.place());
    let copying = tokio::task::spawn_blocking(move || {
        let _locks = (source.lock("copy")?, target.lock("copy")?);
        job::copy(&source, &target)
    });
    let copied = copying.await.map_err(|error| Failure::unexpected("copying stopped", error))??;
    progress.finish();
    stdout::print(&text(&copied, &from.place(), &place))?;
    if copied.has_open() { Err(Failure::not_all_copied(&place)) } else { Ok(0) }
}

/// Whether `to` is the folder or bucket with the jobs, or inside the folder of this job. Folders are compared by their resolved paths,
/// because one folder can have several paths.
fn is_at(to: &Location, jobs: &Location, name: &str) -> bool {
    let (Location::Folder(to), Location::Folder(jobs)) = (to, jobs) else { return to == jobs };
    let real = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    real(to) == real(jobs) || to.ancestors().any(|folder| real(folder) == real(&jobs.join(name)))
}

fn name(section: Section) -> &'static str {
    match section {
        Section::Snapshots => "snapshot",
        Section::History => "history",
        Section::Reports => "reports",
        Section::Applied => "applied tags",
    }
}

fn text(copied: &CopiedMonths, from: &str, to: &str) -> String {
    let mut text = String::new();
    let mut total = 0;
    for (month, sections) in &copied.months {
        if sections.iter().all(|(_, copied)| *copied == Copied::Same) {
            text.push_str(&format!("{month}  was there already\n"));
            continue;
        }
        for (section, copied) in sections {
            let what = match copied {
                Copied::Same => "was there already".to_string(),
                Copied::New { bytes } => {
                    total += bytes;
                    format!("copied, {} bytes", grouped(bytes.cast_signed()))
                }
                Copied::Replaced { bytes, why, .. } => {
                    total += bytes;
                    format!("replaced, {} bytes: {why}", grouped(bytes.cast_signed()))
                }
                Copied::Kept(why) => format!("not copied: {why}"),
                Copied::Damaged(problem) => format!("not copied, it is damaged: {problem}"),
            };
            text.push_str(&format!("{month}  {:12}  {what}\n", name(*section)));
        }
    }
    let written = match total {
        0 => "nothing was written; all that is there was read and compared".to_string(),
        bytes => format!("{} bytes were written, and read again there", grouped(bytes.cast_signed())),
    };
    text.push_str(&format!("\nfrom  {from}\nto    {to}\n{written}\n"));
    text
}
