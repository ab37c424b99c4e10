//! `init`: writes a job file from what the workspace has.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use comfy_table::Cell;

use super::arguments::Init;
use super::failure::Failure;
use super::progress::Progress;
use super::summary::{drawn, right, trimmed};
use super::{run, stdout};
use domain::{GroupKind, GroupName};
use intercom::{Client, Counted};
use job::census::{self, Question};
use job::init::{Choice, job_file};
use job::{JobError, resolve};
use reports::digest::{grouped, one_line};

pub(super) async fn run(arguments: &Init, progress: &Progress) -> Result<u8, Failure> {
    let file = &arguments.output;
    // Check before anything is requested from the workspace. `write` checks again.
    if file.exists() {
        return Err(exists(file));
    }
    let named = names(arguments);
    if named.is_empty() && !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "no group is named, and there is no terminal to pick some at",
            "`--tags NAME… --segments NAME…` names them; `cohorts tags` and `cohorts segments` list them",
        ));
    }
    let settings = run::load(&arguments.workspace.sources())?;
    let client = run::client(&settings)?;
    let timezone = client.workspace().await?.timezone;
    let all = groups(&client, progress).await?;
    progress.finish();
    if all.is_empty() {
        return Err(Failure::usage("the workspace has no tag and no segment", "make one in Intercom, then run this again"));
    }
    let chosen = if named.is_empty() { picked(all.clone()).await? } else { found(&named, &all)? };
    let text = job_file(&job_name(file), timezone.as_deref(), &chosen.iter().collect::<Vec<_>>(), &all);
    write(file, &text)?;
    let (shown, name) = (pasted(file), job_name(file));
    stdout::print(&format!(
        "{shown}: the job {name}, {}, months in {}\n\nnext  cohorts check --job {shown}\n      cohorts run --job {shown} --dry-run\n      \
         cohorts run --job {shown}\n",
        how_many(&chosen),
        timezone.as_deref().unwrap_or("the workspace's time zone"),
    ))?;
    Ok(0)
}

fn names(arguments: &Init) -> Vec<GroupName> {
    let of = |kind: GroupKind, names: &[String]| names.iter().map(|name| GroupName::new(kind, name.as_str())).collect::<Vec<_>>();
    [of(GroupKind::Tag, &arguments.tags), of(GroupKind::Segment, &arguments.segments)].concat()
}

/// All groups with their sizes, the largest of each kind first.
async fn groups(client: &Client, progress: &Progress) -> Result<Vec<Choice>, Failure> {
    let on_progress = |done: usize, all: usize| progress.count("sizes requested", done as u64, all as u64);
    let mut all = Vec::new();
    for kind in [GroupKind::Tag, GroupKind::Segment] {
        let counts = census::take(client, Question::By(Counted::People, kind), &on_progress).await?;
        let mut choices = Choice::all(kind, counts.unwrap_or_default());
        choices.sort_by_key(|choice| std::cmp::Reverse(choice.members));
        all.extend(choices);
    }
    Ok(all)
}

/// The groups of these names.
fn found(named: &[GroupName], all: &[Choice]) -> Result<Vec<Choice>, Failure> {
    let groups: Vec<_> = all.iter().map(|choice| choice.group.clone()).collect();
    let (mut chosen, mut unresolved) = (Vec::<Choice>::new(), Vec::new());
    for name in named {
        match resolve(name, &groups, &[]) {
            Ok((group, _)) => {
                let choice = all.iter().find(|choice| choice.group == group).filter(|choice| !chosen.contains(choice));
                chosen.extend(choice.cloned());
            }
            Err(missing) => unresolved.push(missing),
        }
    }
    if unresolved.is_empty() {
        return Ok(chosen);
    }
    let hint = "correct --tags and --segments; `cohorts tags` and `cohorts segments` list what there is";
    Err(Failure::from(JobError::Unresolved(unresolved)).but(hint))
}

/// Shows the groups, and lets a person pick some by their numbers.
async fn picked(all: Vec<Choice>) -> Result<Vec<Choice>, Failure> {
    let asking = tokio::task::spawn_blocking(move || ask(&all, &mut io::stdin().lock(), &mut io::stderr().lock()));
    let picked = asking.await.map_err(|error| Failure::unexpected("asking stopped", error))?;
    match picked {
        Ok(picked) if !picked.is_empty() => Ok(picked),
        _ => Err(Failure::usage(
            "nothing was picked, so no file was written",
            "pick groups by their numbers, or name them with --tags and --segments",
        )),
    }
}

/// Asks until the answer can be understood. An empty answer picks nothing.
fn ask(all: &[Choice], answers: &mut impl BufRead, out: &mut impl Write) -> io::Result<Vec<Choice>> {
    let mut table = drawn(&["", "kind", "name", "members"]);
    for (number, choice) in (1..).zip(all) {
        let members = choice.members.map_or("unknown".to_string(), |members| grouped(i64::try_from(members).unwrap_or(i64::MAX)));
        table.add_row(vec![right(number), Cell::new(choice.group.kind), Cell::new(one_line(&choice.group.name)), right(members)]);
    }
    write!(out, "{}", trimmed(&table))?;
    loop {
        write!(out, "\nWhich groups? Numbers like 1 3 5-7: ")?;
        out.flush()?;
        let mut answer = String::new();
        if answers.read_line(&mut answer)? == 0 {
            return Ok(Vec::new());
        }
        match numbers(&answer, all.len()) {
            Ok(numbers) => return Ok(numbers.into_iter().map(|number| all[number - 1].clone()).collect()),
            Err(part) => writeln!(out, "`{part}` is no number from 1 to {}", all.len())?,
        }
    }
}

/// The numbers of an answer and of its ranges, each once. The error is the first part that is neither a number nor a range.
fn numbers(answer: &str, most: usize) -> Result<Vec<usize>, &str> {
    let mut numbers = Vec::new();
    for part in answer.split([',', ' ', '\t', '\r', '\n']).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse().ok().filter(|number| (1..=most).contains(number));
        let (Some(first), Some(last)) = (number(first), number(last)) else { return Err(part) };
        if first > last {
            return Err(part);
        }
        for number in first..=last {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
    }
    Ok(numbers)
}

/// The job's name: the file's name without its extension, with `-` for each character that a job's name may not have.
fn job_name(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let allowed = |character: char| if character.is_ascii_alphanumeric() || "-_".contains(character) { character } else { '-' };
    stem.chars().map(allowed).collect()
}

/// A path as it can be pasted into a shell.
fn pasted(file: &Path) -> String {
    let text = file.display().to_string();
    let is_plain = |character: char| character.is_alphanumeric() || "-_./".contains(character);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Writes the file. Fails if the file exists.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(file),
        _ => Failure::usage(format!("`{}` cannot be written: {error}", file.display()), "name a file that can be written, with -o"),
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut written = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    written.write_all(text.as_bytes()).map_err(failed)
}

fn exists(file: &Path) -> Failure {
    Failure::usage(format!("`{}` is there already, and is not overwritten", file.display()), "name another file with -o")
}

fn how_many(chosen: &[Choice]) -> String {
    let of = |kind: GroupKind, one: &str, many: &str| {
        let count = chosen.iter().filter(|choice| choice.group.kind == kind).count();
        format!("{count} {}", if count == 1 { one } else { many })
    };
    format!("{}, {}", of(GroupKind::Tag, "tag", "tags"), of(GroupKind::Segment, "segment", "segments"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Group;

    #[test]
    fn an_answer_is_numbers_and_ranges() {
        assert_eq!(numbers(" 1, 3 5-7 3\n", 9), Ok(vec![1, 3, 5, 6, 7]));
        assert_eq!(numbers("\n", 9), Ok(vec![]));
        for wrong in ["0", "10", "x", "3-", "-3", "5-3", "1-99999999999999999999"] {
            assert_eq!(numbers(wrong, 9), Err(wrong));
        }
    }

    #[test]
    fn a_wrong_answer_is_asked_again() {
        let choice =
            |id: &str| Choice { group: Group { kind: GroupKind::Tag, id: id.into(), name: format!("n{id}\n") }, members: Some(1_234) };
        let all = [choice("1"), choice("2")];
        let mut out = Vec::new();
        assert_eq!(ask(&all, &mut &b"3\n2\n"[..], &mut out).unwrap(), [choice("2")]);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("2  tag   n2 ") && out.contains("1,234") && out.contains("`3` is no number from 1 to 2"), "{out}");
        assert_eq!(ask(&all, &mut &b""[..], &mut Vec::new()).unwrap(), []);
    }

    #[test]
    fn a_job_has_the_name_of_its_file() {
        assert_eq!(job_name(Path::new("jobs/my job.v2.toml")), "my-job-v2");
        assert_eq!(pasted(Path::new("jobs/kunden's.toml")), r"'jobs/kunden'\''s.toml'");
    }
}
