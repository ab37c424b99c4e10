//! Replaces a published folder by a staged one.
//!
//! If the file system can exchange two folders, the replacement takes one step: a reader always finds exactly one of the two.
//! Otherwise (NFS, some FUSE file systems) the old folder is first moved aside into the work folder. For a moment a reader finds no
//! folder. [`recover`] repairs the state after a crash in that moment.
//!
//! ```text
//! .work/staged-…                             the new folder; after the exchange, the old one
//! .work/aside-snapshots@run_month=2026-10    the old `snapshots/run_month=2026-10`, if folders cannot be exchanged
//! ```

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{MANIFEST, PublishError, STAGED, create_folder, entry_names, folder_names, parent, remove_folder, rename, sync_folder};

/// The prefix of the names of folders that were moved aside. The original path follows, relative to the parent of the work
/// folder, with [`SEPARATOR`] instead of `/`. Within a name, `@` (of a partition's folder) is `%40`, and `%` is `%25`.
const ASIDE: &str = "aside-";
const SEPARATOR: &str = "@";

/// Exchanges two paths in one step.
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

/// Moves a staged folder to `target` and removes what was there. If `target` is a link, only the link is removed, never the
/// folder behind it.
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
        // If the exchange failed for another reason than missing support, the two moves fail as well and return the error.
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
            "`{}` was a link to `{}` and is a folder now. The link's target was not changed and may contain contacts' data: remove it if nothing else needs it",
            target.display(),
            link.display()
        );
    }
    Ok(())
}

/// Moves the folder at `target` aside and the staged folder to `target`. Returns the new path of the old folder.
fn in_two_steps(staged: &Path, target: &Path) -> Result<PathBuf, PublishError> {
    let aside = move_aside(parent(staged), target)?;
    if let Err(error) = rename(staged, target) {
        // If this move fails too, `recover` moves the old folder back when the next command writes.
        let _ = fs::rename(&aside, target);
        return Err(error);
    }
    Ok(aside)
}

fn move_aside(work: &Path, target: &Path) -> Result<PathBuf, PublishError> {
    let unsupported = || PublishError::new("move aside", target, io::ErrorKind::InvalidFilename.into());
    let relative = target.strip_prefix(parent(work)).map_err(|_| unsupported())?;
    let names: Option<Vec<String>> =
        relative.iter().map(|name| Some(name.to_str()?.replace('%', "%25").replace(SEPARATOR, "%40"))).collect();
    let aside = work.join(format!("{ASIDE}{}", names.ok_or_else(unsupported)?.join(SEPARATOR)));
    remove_folder(&aside)?;
    rename(target, &aside)?;
    Ok(aside)
}

/// The original path of a folder that was moved aside, from its name in the work folder.
fn original_path(work: &Path, name: &str) -> Option<PathBuf> {
    let names = name.strip_prefix(ASIDE)?.split(SEPARATOR).map(|name| name.replace("%40", SEPARATOR).replace("%25", "%"));
    let relative = PathBuf::from(names.collect::<Vec<_>>().join("/"));
    let is_inside = relative.components().all(|component| matches!(component, Component::Normal(_)));
    (is_inside && relative.iter().next().is_some()).then(|| parent(work).join(relative))
}

/// Repairs a work folder after a crash. A folder that was moved aside is moved back if nothing replaced it, and removed if
/// something did. Folders that were being written are removed.
pub(crate) fn recover(work: &Path) -> Result<(), PublishError> {
    for name in entry_names(work)? {
        let left = work.join(&name);
        match original_path(work, &name) {
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

/// Repairs a folder after a crash of an older version of this program, which moved a folder NAME aside to `.NAME`. `is_ours`
/// decides from NAME and that folder whether this program made it; everything else in `folder` stays.
pub(crate) fn recover_beside(folder: &Path, is_ours: impl Fn(&str, &Path) -> bool) -> Result<(), PublishError> {
    for name in folder_names(folder)? {
        let aside = folder.join(&name);
        let Some(original) = name.strip_prefix('.').filter(|name| is_ours(name, &aside)) else { continue };
        let target = folder.join(original);
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
