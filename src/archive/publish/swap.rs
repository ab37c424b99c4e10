//! How a staged folder takes the place of the one that readers see.
//!
//! Both are exchanged in one step where the file system can: a reader finds one of them, always, and never both. Where it
//! cannot (NFS, some of FUSE), the old folder is set aside in the work folder first: for that moment there is none, and
//! never two. [`recover`] puts a crash in that moment right.
//!
//! ```text
//! .work/staged-…                             the new folder; once it is exchanged, the old one
//! .work/aside-snapshots@run_month=2026-10    the old `snapshots/run_month=2026-10`, where nothing can be exchanged
//! ```

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{MANIFEST, PublishError, STAGED, create_folder, entry_names, folder_names, parent, remove_folder, rename, sync_folder};

/// How the names of folders begin that are set aside. Where one belongs follows, relative to the folder that holds the
/// work folder, with [`SEPARATOR`] for `/`.
const ASIDE: &str = "aside-";
/// In no name of a folder that is published, nor of a stream's.
const SEPARATOR: &str = "@";

/// Exchanges what two paths lead to, in one step.
type Exchange = fn(&Path, &Path) -> io::Result<()>;

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Puts a staged folder at `target`, and removes what was there. Of a link the link alone is removed, never what it leads
/// to.
pub(super) fn put_in_place(staged: &Path, target: &Path) -> Result<(), PublishError> {
    put(staged, target, exchange)
}

fn put(staged: &Path, target: &Path, exchange: Exchange) -> Result<(), PublishError> {
    let old = target.symlink_metadata().ok();
    if old.as_ref().is_some_and(fs::Metadata::is_file) {
        return Err(PublishError::new("put in place", target, io::ErrorKind::NotADirectory.into()));
    }
    let link = fs::read_link(target).ok();
    let replaced = match old {
        Some(_) if exchange(staged, target).is_ok() => Some(staged.to_path_buf()),
        // Whatever forbids to exchange them, should it forbid more than that, forbids to move them, too.
        Some(_) => Some(in_two_steps(staged, target)?),
        None => {
            rename(staged, target)?;
            None
        }
    };
    sync_folder(parent(target))?;
    sync_folder(parent(staged))?;
    if let Some(replaced) = replaced {
        remove_folder(&replaced)?;
    }
    if let Some(link) = link {
        tracing::warn!(
            "`{}` was a link to `{}`; it is a folder now. What it led to was left as it was, contacts' data included: remove it if nothing else needs it",
            target.display(),
            link.display()
        );
    }
    Ok(())
}

/// Sets aside what is at `target`, and puts the staged folder there. Where the old one is now.
fn in_two_steps(staged: &Path, target: &Path) -> Result<PathBuf, PublishError> {
    let aside = set_aside(parent(staged), target)?;
    if let Err(error) = rename(staged, target) {
        // Should this fail as well, the next command that writes puts it back.
        let _ = fs::rename(&aside, target);
        return Err(error);
    }
    Ok(aside)
}

fn set_aside(work: &Path, target: &Path) -> Result<PathBuf, PublishError> {
    let misplaced = || PublishError::new("set aside", target, io::ErrorKind::InvalidFilename.into());
    let place = target.strip_prefix(parent(work)).map_err(|_| misplaced())?;
    let names: Option<Vec<&str>> = place.iter().map(|name| name.to_str().filter(|name| !name.contains(SEPARATOR))).collect();
    let aside = work.join(format!("{ASIDE}{}", names.ok_or_else(misplaced)?.join(SEPARATOR)));
    remove_folder(&aside)?;
    rename(target, &aside)?;
    Ok(aside)
}

/// Where the folder of this name in a work folder was before it was set aside.
fn place_of(work: &Path, name: &str) -> Option<PathBuf> {
    let place = PathBuf::from(name.strip_prefix(ASIDE)?.replace(SEPARATOR, "/"));
    let is_inside = place.components().all(|component| matches!(component, Component::Normal(_)));
    (is_inside && place.iter().next().is_some()).then(|| parent(work).join(place))
}

/// Puts right what a crash left in a work folder: what was set aside comes back where nothing took its place. It goes
/// where something did, and so does what was being written.
pub fn recover(work: &Path) -> Result<(), PublishError> {
    for name in entry_names(work)? {
        let left = work.join(&name);
        match place_of(work, &name) {
            Some(target) if target.symlink_metadata().is_err() => {
                create_folder(parent(&target))?;
                rename(&left, &target)?;
                sync_folder(parent(&target))?;
            }
            Some(_) => remove_folder(&left)?,
            None if name.starts_with(STAGED) => remove_folder(&left)?,
            None => {}
        }
    }
    Ok(())
}

/// The same for a crash of an older version of this program, which set a folder aside beside its place, as `.NAME`.
/// `is_ours` is asked about NAME and that folder; whatever else is in `folder` stays.
pub fn recover_beside(folder: &Path, is_ours: impl Fn(&str, &Path) -> bool) -> Result<(), PublishError> {
    for name in folder_names(folder)? {
        let aside = folder.join(&name);
        let Some(shown) = name.strip_prefix('.').filter(|shown| is_ours(shown, &aside)) else { continue };
        let target = folder.join(shown);
        let is_whole = |folder: &Path| folder.join(MANIFEST).exists();
        if target.symlink_metadata().is_err() {
            rename(&aside, &target)?;
        } else if is_whole(&target) || !is_whole(&aside) {
            remove_folder(&aside)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
