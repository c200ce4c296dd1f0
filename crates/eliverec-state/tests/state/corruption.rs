//! Random damage to the directory: refused by the name of a file, or passed over without a difference.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use eliverec_core::seed::Random;
use eliverec_state::{State, Table};
use fs_err as fs;

use crate::log::{batch, config, dimensions, moment, row, schema};
use crate::oracle::{expected, found, records};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Damages a file in one of several ways; what was done.
fn damage(path: &Path, random: &mut Random) -> String {
    let mut bytes = fs::read(path).unwrap();
    let mut below = |bound: usize| (random.uniform() * bound as f64) as usize;
    let way = below(4);
    let place = below(bytes.len().max(1));
    match way {
        0 if !bytes.is_empty() => bytes[place] ^= 1 << below(8),
        1 => bytes.truncate(place),
        2 => {
            let end = (place + 1 + below(5_000)).min(bytes.len());
            bytes[place.min(end)..end].fill(below(256) as u8);
        }
        _ => bytes.extend((0..=place % 100).map(|i| i as u8)),
    }
    fs::write(path, bytes).unwrap();
    format!("way {way} at {place}")
}

#[test]
fn a_log_that_lacks_any_of_its_files_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let open = |path: &Path| State::open(path, config(), &schema(), &dimensions());
    let state = open(&whole).unwrap();
    for of in 0..70 {
        state.ingest(batch(of), moment(of)).unwrap();
    }
    // Nothing of the log is needed to begin.
    state.snapshot().unwrap();
    drop(state);
    let mut all = Vec::new();
    files(&whole.join("log"), &mut all);
    assert!(all.len() > 4, "{all:?}");
    for (place, lost) in all.iter().map(|path| path.strip_prefix(&whole).unwrap()).enumerate() {
        let hurt = folder.path().join(format!("hurt-{place}"));
        copy(&whole, &hurt);
        fs::remove_file(hurt.join(lost)).unwrap();
        let message = open(&hurt).unwrap_err().to_string();
        let named = format!("{}: is missing", hurt.join(lost).display());
        assert!(message.starts_with(&named), "{message}");
    }
    // Nor is one that is there taken for whole when it plainly is not.
    let first = all.iter().filter(|path| path.extension().is_some()).min().unwrap();
    let bytes = fs::read(first).unwrap();
    for (way, bytes) in
        [b"".as_slice(), &bytes[..bytes.len() - 7], &vec![0; bytes.len()]].iter().enumerate()
    {
        let hurt = folder.path().join(format!("way-{way}"));
        copy(&whole, &hurt);
        let file = hurt.join(first.strip_prefix(&whole).unwrap());
        fs::write(&file, bytes).unwrap();
        let message = open(&hurt).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: is cut off", file.display())), "{message}");
    }
    let hurt = folder.path().join("hurt");
    copy(&whole, &hurt);
    fs::remove_dir_all(hurt.join("log")).unwrap();
    let message = open(&hurt).unwrap_err().to_string();
    assert!(message.contains("log/files: is missing"), "{message}");
    assert!(open(&whole).is_ok());
}

#[test]
fn a_directory_of_something_else_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        |name: &str| State::open(&folder.path().join(name), config(), &schema(), &dimensions());
    fs::create_dir(folder.path().join("photos")).unwrap();
    fs::write(folder.path().join("photos/beach.jpg"), "sand").unwrap();
    let message = open("photos").unwrap_err().to_string();
    assert!(
        message.contains("photos: holds \"beach.jpg\" and no state; name the directory"),
        "{message}"
    );
    let mut left = Vec::new();
    files(&folder.path().join("photos"), &mut left);
    assert_eq!(left.len(), 1);
    let message = open("photos/beach.jpg").unwrap_err().to_string();
    assert!(message.contains("is no directory"), "{message}");
    // A new file system has this one.
    fs::create_dir_all(folder.path().join("disk/lost+found")).unwrap();
    for name in ["disk", "empty", "disk"] {
        let _ = fs::create_dir(folder.path().join("empty"));
        assert!(open(name).is_ok(), "{name}");
    }
    // What lies beside a state is not its own, and no fault.
    fs::write(folder.path().join("disk/notes.txt"), "x").unwrap();
    assert!(open("disk").is_ok());
}

#[test]
fn damage_is_refused_by_name_or_makes_no_difference() {
    let rounds: u64 = std::env::var("ELIVEREC_CORRUPTIONS").map_or(60, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let open = |path: &Path| State::open(path, config(), &schema(), &dimensions());
    let state = open(&whole).unwrap();
    for of in 0..70 {
        state.ingest(batch(of), moment(of)).unwrap();
        if let Some(row) = row(of) {
            state.upsert(Table::Channels, vec![row], moment(of)).unwrap();
        }
        if of == 30 || of == 50 {
            state.snapshot().unwrap();
        }
    }
    let position = state.position();
    drop(state);
    let mut all = Vec::new();
    files(&whole, &mut all);
    all.sort();
    all.retain(|path| path.file_name().unwrap() != "lock");
    let (mut refused, mut recovered) = (0, 0);
    for round in 0..rounds {
        let mut random = Random::new(round);
        let hurt = folder.path().join("hurt");
        let _ = fs::remove_dir_all(&hurt);
        copy(&whole, &hurt);
        let file = &all[(random.uniform() * all.len() as f64) as usize];
        let name = file.strip_prefix(&whole).unwrap();
        let what = damage(&hurt.join(name), &mut random);
        let opened = catch_unwind(|| open(&hurt));
        let Ok(opened) = opened else { panic!("{}: {what}: a panic", name.display()) };
        let named = |error: &eliverec_state::Error| {
            let text = error.to_string();
            assert!(text.contains(&*hurt.to_string_lossy()), "{}: {what}: {text}", name.display());
        };
        match opened {
            Err(error) => {
                named(&error);
                refused += 1;
            }
            Ok(state) => {
                assert_eq!(state.position(), position, "{}: {what}", name.display());
                let (at_ms, features) = found(&state, moment(70));
                // Older files of the log are not read by a restart, so their damage shows when the day leaves.
                let read = catch_unwind(AssertUnwindSafe(|| records(&state)));
                let Ok(read) = read else { panic!("{}: {what}: a panic", name.display()) };
                match read {
                    Ok(records) => {
                        let expected = expected(&records, at_ms);
                        assert_eq!(features, expected, "{}: {what}", name.display());
                    }
                    Err(error) => named(&error),
                }
                recovered += 1;
            }
        }
    }
    assert!(refused > 0 && recovered > 0, "{refused} refused, {recovered} recovered");
}
