//! Tables that cannot be used: one line names the file, the line and the column.

use std::path::Path;

use eliverec_tables::Error;
use eliverec_tables::events::Store;
use eliverec_tables::import::{IMPORTERS, Options};

use super::importer;
use super::small::{DRIVER, EBNERD, TRIVAGO, folder};

fn message(name: &str, folder: &Path) -> String {
    let take = &mut |_, _: &_| Ok(());
    importer(name).feeds(folder, Options::default(), take).unwrap_err().to_string()
}

fn assert_names(message: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| message.contains(part)), "{parts:?} in: {message}");
}

#[test]
fn every_importer_names_the_file_that_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    for importer in IMPORTERS {
        assert_names(&message(importer.name, empty.path()), &["has no", ".csv.gz"]);
        let nowhere = empty.path().join("nowhere");
        assert_names(&message(importer.name, &nowhere), &["nowhere", "is no folder"]);
    }
}

#[test]
fn wrong_values_are_named_with_file_line_and_column() {
    let driver = |rows: &str| folder(&[("events.csv.gz", rows)]);
    let header = "user_id,room_id,ts_s,split\n";
    let bad = driver("user_id,room_id,split\n1,2,train\n");
    assert_names(&message("driver-live", bad.path()), &["events.csv.gz", "line 1", "ts_s"]);
    let bad = driver(&format!("{header}1,2,3,train\n1,x7,4,train\n"));
    let parts = ["events.csv.gz", "line 3", "room_id", "\"x7\""];
    assert_names(&message("driver-live", bad.path()), &parts);
    let bad = driver(&format!("{header}1,2,3,later\n"));
    assert_names(&message("driver-live", bad.path()), &["line 2", "split", "\"later\""]);
    let bad = driver(&format!("{header}1,2,3,train\n1,2,3\n"));
    assert_names(&message("driver-live", bad.path()), &["line 3", "3 values, the header 4"]);
    let bad = driver(&format!("{header}1,2,9223372036854775807,train\n"));
    assert_names(&message("driver-live", bad.path()), &["line 2", "ts_s"]);

    for (table, from, to, parts) in [
        ("impressions.csv.gz", "0,2,5,60,1", "0,2,5,NaN,1", ["line 3", "price", "NaN"]),
        ("impressions.csv.gz", "0,2,5,60,1", "0,2,5,-60,1", ["line 3", "price", "-60"]),
        ("impressions.csv.gz", "0,2,5,60,1", "7,2,5,60,1", ["line 3", "request_id", "7"]),
        ("impressions.csv.gz", "0,2,5,60,1", "0,0,5,60,1", ["line 3", "position", "0"]),
        ("impressions.csv.gz", "0,2,5,60,1", "0,2,,60,1", ["line 3", "item_id", "\"\""]),
        ("requests.csv.gz", "\n2,9,bob", "\n1,9,bob", ["line 4", "request_id", "twice"]),
    ] {
        let tables = TRIVAGO.map(|(name, text)| {
            let changed = text.replace(from, to);
            (name, if name == table { changed } else { text.into() })
        });
        let folder = folder(&tables.each_ref().map(|(name, text)| (*name, text.as_str())));
        let message = message("trivago", folder.path());
        assert_names(&message, &[table]);
        assert_names(&message, &parts);
    }
}

#[test]
fn a_torn_or_foreign_file_is_an_error() {
    let whole = folder(&[("events.csv.gz", DRIVER)]);
    let path = whole.path().join("events.csv.gz");
    let bytes = fs_err::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs_err::write(&path, &bytes[..length]).unwrap();
        assert_names(&message("driver-live", whole.path()), &["events.csv.gz"]);
    }
    fs_err::write(&path, DRIVER).unwrap();
    assert_names(&message("driver-live", whole.path()), &["not a whole gzip file"]);
}

#[test]
fn a_torn_file_is_told_once_and_is_no_fault_of_the_system() {
    let whole = folder(&[("events.csv.gz", DRIVER)]);
    let path = whole.path().join("events.csv.gz");
    let bytes = fs_err::read(&path).unwrap();
    fs_err::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let take = &mut |_, _: &_| Ok(());
    let error = importer("driver-live").feeds(whole.path(), Options::default(), take).unwrap_err();
    assert!(matches!(error, Error::Directory { .. }), "{error}");
    assert_eq!(error.to_string().matches("events.csv.gz: not a whole gzip file").count(), 1);
    fs_err::remove_file(&path).unwrap();
    fs_err::create_dir(&path).unwrap();
    let told = message("driver-live", whole.path());
    assert_names(&told, &["events.csv.gz: is a folder, where a file should be"]);
}

#[test]
fn a_set_without_rows_leaves_nothing() {
    let empty = folder(&[("events.csv.gz", "user_id,room_id,ts_s,split\n")]);
    let out = tempfile::tempdir().unwrap();
    let (feeds, log) = (out.path().join("feeds"), out.path().join("log"));
    let driver = importer("driver-live");
    let told = driver.run(empty.path(), &feeds, Options::default()).unwrap_err().to_string();
    assert_names(&told, &["events.csv.gz: has a header and no rows"]);
    let told = driver.run_log(empty.path(), &Store::open(&log).unwrap(), 1).unwrap_err();
    assert_names(&told.to_string(), &["events.csv.gz: has a header and no rows"]);
    // One entry, into a room that nobody had entered before.
    let lone = folder(&[("events.csv.gz", "user_id,room_id,ts_s,split\n1,2,3,train\n")]);
    let told = driver.run(lone.path(), &feeds, Options::default()).unwrap_err().to_string();
    assert_names(&told, &["no feed comes of its 1 rows (1 entries into a room that nobody"]);
    assert_eq!(fs_err::read_dir(out.path()).unwrap().count(), 0);
}

/// What the other tables give would quietly lack what this one tells.
#[test]
fn a_table_without_rows_is_named_whichever_it_is() {
    let sets: [(&str, &[(&str, &str)]); 2] = [("ebnerd", &EBNERD), ("trivago", &TRIVAGO)];
    for (name, tables) in sets {
        for (bare, _) in tables {
            let header_of = |text: &str| format!("{}\n", text.lines().next().unwrap_or_default());
            let tables = tables.iter().map(|(table, text)| {
                (*table, if table == bare { header_of(text) } else { (*text).to_owned() })
            });
            let tables: Vec<(&str, String)> = tables.collect();
            let tables: Vec<(&str, &str)> =
                tables.iter().map(|(table, text)| (*table, text.as_str())).collect();
            let folder = folder(&tables);
            let expected = format!("{bare}: has a header and no rows; give the whole set");
            assert_names(&message(name, folder.path()), &[&expected]);
            if name == "ebnerd" {
                let out = tempfile::tempdir().unwrap();
                let log = Store::open(out.path().join("log")).unwrap();
                let told = importer(name).run_log(folder.path(), &log, 1).unwrap_err();
                assert_names(&told.to_string(), &[&expected]);
                assert_eq!(fs_err::read_dir(out.path()).unwrap().count(), 0);
            }
        }
    }
}
