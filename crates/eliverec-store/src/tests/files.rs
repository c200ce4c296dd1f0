//! Files: resumed runs, maps, and everything that can be wrong with a directory.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;

use super::*;
use crate::{Error, MappedStore, RowReader};

/// A store of two vocabularies with rows, counters and a trained rare row.
fn trained(steps: u64) -> Store {
    let specs = specs();
    let mut store = Store::new(SEED, specs, StoreConfig::default()).unwrap();
    for step in 0..steps {
        let unique = UniqueIds::of_lists(&[vec![step, 3, 3], vec![id(step as usize), 40]]);
        let gathered = store.gather_for_training(&unique, step);
        let gradients: Vec<Vec<f32>> =
            gathered.rows.iter().map(|rows| vec![0.5; rows.len()]).collect();
        store.scatter(&gathered, &gradients, step).unwrap();
    }
    store
}

fn specs() -> Vec<TableSpec> {
    vec![TableSpec::of_vocabulary(0, "channel", 3, 2), TableSpec::of_vocabulary(1, "product", 2, 1)]
}

fn load(directory: &Path) -> Result<Store, Error> {
    Store::load(directory, specs(), StoreConfig::default(), SEED)
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    fs::read_dir(directory).unwrap().map(entry).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_resumed_run_and_a_map_equal_the_unbroken_run(run in runs(), at in any::<prop::sample::Index>()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let cut = at.index(run.batches.len());
        let mut store = run.store();
        for (step, ids) in &run.batches[..cut] {
            run.step(&mut store, *step, ids);
        }
        store.save(path).unwrap();
        let loaded = Store::load(path, vec![run.spec.clone()], run.config.clone(), SEED).unwrap();
        prop_assert_eq!(bytes(&loaded), bytes(&store));

        let mapped = MappedStore::open(&[path], std::slice::from_ref(&run.spec), SEED).unwrap();
        mapped.verify().unwrap();
        prop_assert_eq!(mapped.rows(), store.rows());
        let all = UniqueIds::of_lists(&[(0..IDS + 3).map(id).collect()]);
        let gathered = store.gather(&all);
        prop_assert_eq!(&mapped.gather(&all), &gathered);
        for (table, rows) in gathered.iter().enumerate() {
            let ids = &all.ids[table];
            let width = rows.len() / ids.len().max(1);
            let mut read = vec![f32::NAN; rows.len()];
            for reader in [&store as &dyn RowReader, &mapped] {
                let parts = read.chunks_exact_mut(width.max(1)).zip(ids);
                parts.for_each(|(to, id)| reader.read(table, *id, to));
                prop_assert_eq!(&read, rows);
            }
        }

        prop_assert_eq!(bytes(&run.finish(loaded, cut)), bytes(&run.finish(store, cut)));
    }
}

#[test]
fn every_truncation_and_every_changed_byte_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    trained(6).save(path).unwrap();
    assert!(load(path).is_ok());
    for (name, bytes) in files(path) {
        let file = path.join(&name);
        let mut broken: Vec<Vec<u8>> = (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
        broken.push(bytes.iter().copied().chain([0]).collect());
        if name != "store.json" {
            broken.extend((0..bytes.len()).map(|at| {
                let mut changed = bytes.clone();
                changed[at] ^= 0x10;
                changed
            }));
        }
        for content in broken {
            fs::write(&file, &content).unwrap();
            let message = load(path).unwrap_err().to_string();
            assert!(message.contains(&name), "{message}");
            let verified =
                MappedStore::open(&[path], &specs(), SEED).and_then(|mapped| mapped.verify());
            let message = verified.unwrap_err().to_string();
            assert!(message.contains(&name), "{message}");
        }
        fs::remove_file(&file).unwrap();
        assert!(load(path).unwrap_err().to_string().contains(&name));
        fs::write(&file, &bytes).unwrap();
    }
    assert!(load(path).is_ok());
}

#[test]
fn a_save_commits_at_once_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (old, new) = (trained(3), trained(8));
    old.save(path).unwrap();
    let old_files = files(path);
    new.save(path).unwrap();
    let new_files = files(path);
    assert_eq!(new_files.len(), 3);

    // Killed before the commit: new row files and half of the next one lie beside the old manifest.
    new_files.iter().chain(&old_files).for_each(|(name, content)| {
        fs::write(path.join(name), content).unwrap();
    });
    fs::write(path.join("001.rows.tmp"), b"half").unwrap();
    fs::write(path.join("notes.txt"), b"someone else's").unwrap();
    assert_eq!(bytes(&load(path).unwrap()), bytes(&old));

    new.save(path).unwrap();
    let mut expected = new_files;
    expected.insert("notes.txt".into(), b"someone else's".to_vec());
    assert_eq!(files(path), expected);
    assert_eq!(bytes(&load(path).unwrap()), bytes(&new));
}

#[test]
fn other_runs_and_schemas_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    trained(3).save(path).unwrap();
    let refused = |specs, seed| {
        let error = Store::load(path, specs, StoreConfig::default(), seed).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        error.to_string()
    };
    assert!(refused(specs(), SEED + 1).contains(&SEED.to_string()));
    let mut wide = specs();
    wide[1].width = 5;
    assert!(refused(wide, SEED).contains("width 2"));
    assert!(refused(specs()[..1].to_vec(), SEED).contains("product"));
    let missing = load(&path.join("missing")).unwrap_err().to_string();
    assert!(missing.contains("is missing"), "{missing}");
}
