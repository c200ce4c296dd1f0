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

/// A quote that nobody closes would take in the rows after it, whichever column it stands in.
#[test]
fn a_value_that_goes_on_after_its_line_is_refused() {
    let note = |notes: [&str; 3], end: &str| {
        let rows: Vec<String> = notes
            .iter()
            .enumerate()
            .map(|(i, note)| format!("1,2,{},train,{note}", i + 3))
            .collect();
        let text = format!("user_id,room_id,ts_s,split,note\n{}{end}", rows.join("\n"));
        message("driver-live", folder(&[("events.csv.gz", text.as_str())]).path())
    };
    let refused = "a quote (\") opens a value that goes on after the end of the line";
    for (notes, line) in [
        (["n", "\"n", "n"], 3),
        (["\"n", "n", "n\""], 2),
        (["\"n", "\"n", "n"], 2),
        (["\"n,\"", "n", "\"n"], 4),
    ] {
        for end in ["\n", ""] {
            let told = note(notes, end);
            assert_names(&told, &[&format!("events.csv.gz: line {line}: note: {refused}")]);
        }
    }
    // Closed quotes, and one within a value, are no fault.
    let text = "user_id,room_id,ts_s,split,note\n1,2,3,train,\"a, b\"\n1,2,4,train,5\" screen\n1,2,5,train,\"\"\"\"\n1,2,6,train,\"two\nlines\"";
    let whole = folder(&[("events.csv.gz", text)]);
    let take = &mut |_, _: &_| Ok(());
    let read = importer("driver-live").feeds(whole.path(), Options::default(), take).unwrap();
    assert_eq!(read.rows_in, 4);
    let header = "user_id,room_id,ts_s,split,\"note\n1,2,3,train,n\n";
    let told = message("driver-live", folder(&[("events.csv.gz", header)]).path());
    assert_names(&told, &["events.csv.gz: line 1: note: ", refused]);
}

/// An entry that stands in both splits is no duplicate, and is counted apart.
#[test]
fn an_entry_of_both_splits_is_counted_apart() {
    let rows = "user_id,room_id,ts_s,split\n1,2,3,train\n1,2,3,train\n1,2,3,test\n";
    let told = message_of_run("driver-live", folder(&[("events.csv.gz", rows)]).path());
    let counted = ["1 exact duplicate of an earlier row", "1 an earlier row in the other split"];
    assert_names(&told, &counted);
}

fn message_of_run(name: &str, folder: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    let feeds = out.path().join("feeds");
    importer(name).run(folder, &feeds, Options::default()).unwrap_err().to_string()
}

/// A column of a set's tables stands in the header once, and an item in its table.
#[test]
fn what_stands_twice_is_refused_by_name() {
    for (name, tables, table, from, to, column) in [
        ("trivago", &TRIVAGO[..], "events.csv.gz", ",session_id,", ",ts_s,", "ts_s"),
        ("trivago", &TRIVAGO[..], "requests.csv.gz", ",session_id,", ",user_id,", "user_id"),
        ("ebnerd", &EBNERD[..], "history_events.csv.gz", ",scroll_pct", ",ts_ms", "ts_ms"),
    ] {
        let folder = changed(tables, table, from, to);
        let expected = format!("{table}: line 1: {column}: ");
        let told = message(name, folder.path());
        assert_names(&told, &[&expected, "stands there twice; leave the one that is meant"]);
    }
    let folder = changed(&EBNERD, "items.csv.gz", "\n3,0", "\n1,0");
    assert_names(
        &message("ebnerd", folder.path()),
        &["items.csv.gz: line 4: article_id: article 1 stands there twice"],
    );
}

/// Moments that feeds could have and a log could not are refused by both, at the row that has them.
#[test]
fn moments_of_no_year_are_refused_alike_by_feeds_and_log() {
    // The last moment of the year 9998, and the first of year 1, in seconds.
    let (last, first) = (253_370_764_799_i64, -62_135_596_800_i64);
    let header = "user_id,room_id,ts_s,split\n";
    let driver = |ts_s: i64| {
        let rows = format!("{header}1,2,0,train\n1,3,1,train\n1,3,{ts_s},train\n");
        folder(&[("events.csv.gz", &rows)])
    };
    let logged = |name: &str, folder: &Path| {
        let out = tempfile::tempdir().unwrap();
        let log = Store::open(out.path().join("log")).unwrap();
        importer(name).run_log(folder, &log, 1).map_err(|error| error.to_string())
    };
    for ts_s in [last, first] {
        assert!(logged("driver-live", driver(ts_s).path()).is_ok());
    }
    for ts_s in [last + 1, first - 1, 4_000_000_000_000, i64::MAX, i64::MIN] {
        let folder = driver(ts_s);
        let expected = format!(
            "events.csv.gz: line 4: ts_s: {ts_s} seconds since 1970 lie outside the years 1 to 9998"
        );
        let told = message("driver-live", folder.path());
        assert!(told.ends_with(&expected), "{told}");
        assert_eq!(logged("driver-live", folder.path()).unwrap_err(), told);
    }
    let far = "999999999999999999";
    let millis = format!("{far} milliseconds since 1970 lie outside the years 1 to 9998");
    let stay = format!("{far} s are a stay of more than a year");
    for (table, from, to, parts) in [
        ("requests.csv.gz", "1000500000", far, ["line 4: ts_ms", &millis]),
        (
            "requests.csv.gz",
            ",12,20",
            ",999999999999999999,20",
            ["line 4: click_read_time_s", &stay],
        ),
        ("history_events.csv.gz", "999999000", far, ["line 3: ts_ms", &millis]),
        ("history_events.csv.gz", ",400,", ",999999999999999999,", ["line 3: read_time_s", &stay]),
    ] {
        let folder = changed(&EBNERD, table, from, to);
        let told = message("ebnerd", folder.path());
        assert_names(&told, &[table]);
        assert_names(&told, &parts);
        assert_eq!(logged("ebnerd", folder.path()).unwrap_err(), told);
    }
    for table in ["requests.csv.gz", "events.csv.gz"] {
        let folder = changed(&TRIVAGO, table, "1541599553", far);
        assert_names(
            &message("trivago", folder.path()),
            &[table, ": ts_s: ", far, "seconds since"],
        );
    }
}

/// A set with a text of one table replaced.
fn changed(tables: &[(&str, &str)], table: &str, from: &str, to: &str) -> tempfile::TempDir {
    let tables = tables.iter().map(|(name, text)| {
        let is_meant = *name == table;
        assert!(!is_meant || text.contains(from), "{from} in {text}");
        (*name, if is_meant { text.replacen(from, to, 1) } else { (*text).into() })
    });
    let tables: Vec<(&str, String)> = tables.collect();
    let tables: Vec<(&str, &str)> =
        tables.iter().map(|(name, text)| (*name, text.as_str())).collect();
    folder(&tables)
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
    fs_err::remove_dir(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let told = message("driver-live", whole.path());
    assert_names(&told, &["events.csv.gz: is no regular file but a pipe"]);
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
