//! Every file below a split is read, passed over by its name, or refused by name; and all of them write ids alike.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod feed_files;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray};
use arrow::datatypes::{DataType, Field};
use eliverec_core::toy;
use eliverec_tables::scores::ScoreWriter;
use eliverec_tables::{Error, FeedDirectory, FeedEncoder, FeedFileWriter, Split, check, events};
use feed_files::{cast, changed, first_file, read_all, rows_of, toy_directory, write_foreign};

/// A file of some toy feeds, so many from the `first` on, in a folder that may not be there yet.
fn write_part(directory: &FeedDirectory, name: &str, first: usize, count: usize) {
    let feeds = &toy::feeds(first + count, 1)[first..];
    let encoder = FeedEncoder::new(directory.schema()).unwrap();
    let path = directory.path().join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = FeedFileWriter::create(&path, directory.schema()).unwrap();
    writer.append(encoder.encode(Split::Train, feeds).unwrap()).unwrap();
    writer.finish().unwrap();
}

#[test]
fn partition_folders_are_read_in_the_order_of_their_names() {
    let (_folder, directory) = toy_directory(60);
    let all = read_all(&directory).unwrap();
    fs_err::remove_file(first_file(&directory)).unwrap();
    let parts = [
        "train/a.parquet",
        "train/date=2024-01-01/part-0.parquet",
        "train/date=2024-01-02/hour=00/part-0.parquet",
        "train/date=2024-01-02/hour=01/part-0.parquet",
        "train/date=2024-01-02/part-9.parquet",
        "train/part-0.parquet",
    ];
    for (i, name) in parts.iter().enumerate().rev() {
        write_part(&directory, name, 10 * i, 10);
    }
    fs_err::create_dir(directory.path().join("train/date=2024-01-03")).unwrap();
    let skipped = ["_SUCCESS", "_temporary", "date=2024-01-02/.part-1.parquet.crc"];
    for name in skipped {
        let path = directory.path().join("train").join(name);
        if name == "_temporary" {
            fs_err::create_dir(&path).unwrap();
            fs_err::write(path.join("part-0.parquet"), "unfinished").unwrap();
        } else {
            fs_err::write(&path, "").unwrap();
        }
    }
    assert_eq!(directory.feeds(Split::Train).unwrap(), 60);
    assert_eq!(read_all(&directory).unwrap(), all);
    let listing = directory.listing(Split::Train).unwrap();
    assert_eq!(listing.read, parts.map(|name| directory.path().join(name)));
    assert_eq!(listing.skipped, skipped.map(|name| directory.path().join("train").join(name)));
    let none = directory.listing(Split::Test).unwrap();
    assert!(none.read.is_empty() && none.skipped.is_empty());
}

#[test]
fn what_is_neither_read_nor_passed_over_is_refused_by_name() {
    for (name, expected) in [
        ("train/notes.txt", "train/notes.txt: is no .parquet file; move it away"),
        ("train/part-0.csv", "train/part-0.csv: is no .parquet file"),
        ("train/part-0.PARQUET", "train/part-0.PARQUET: is no .parquet file"),
        ("train/date=1/part-0.parquet.gz", "train/date=1/part-0.parquet.gz: is no .parquet file"),
        ("train/old/part-0.parquet", "train/old: is a folder, but no partition (name=value)"),
        ("train/date=1/b/part-0.parquet", "train/date=1/b: is a folder, but no partition"),
        ("train/=1/part-0.parquet", "train/=1: is a folder, but no partition"),
        ("train/a.parquet/part-0.parquet", "a.parquet: is a folder, where a file should be"),
    ] {
        let (_folder, directory) = toy_directory(3);
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::copy(first_file(&directory), &path).unwrap();
        for error in [
            read_all(&directory).unwrap_err(),
            directory.feeds(Split::Train).unwrap_err(),
            directory.listing(Split::Train).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Directory { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        // Other splits can be read.
        assert_eq!(directory.feeds(Split::Test).unwrap(), 0);
    }
}

/// Nobody can tell whether what looks like feeds beside the splits was meant to be read.
#[test]
fn data_beside_the_splits_is_refused_and_the_rest_is_told() {
    for (name, told) in [
        ("x.parquet", "x.parquet: lies beside the parts that are read"),
        ("val/part-0.parquet", "val: holds Parquet files and is none of the folders that are read"),
        ("train2/a=1/part-0.parquet", "train2: holds Parquet files"),
        ("old/2024/05/part-0.parquet", "old: holds Parquet files"),
        ("events/date=2024-05-31/part-0.parquet", "events: holds Parquet files"),
    ] {
        let (_folder, directory) = toy_directory(3);
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::copy(first_file(&directory), &path).unwrap();
        let error = FeedDirectory::open(directory.path()).unwrap_err();
        assert!(matches!(error, Error::Directory { .. }), "{error}");
        assert!(error.to_string().contains(told), "{error}");
        let hidden = path.strip_prefix(directory.path()).unwrap().iter().next().unwrap();
        let hidden = format!("_{}", hidden.to_string_lossy());
        let first = name.split('/').next().unwrap();
        fs_err::rename(directory.path().join(first), directory.path().join(&hidden)).unwrap();
        let again = FeedDirectory::open(directory.path()).unwrap();
        assert_eq!(again.beside(), [directory.path().join(hidden)]);
    }
    // What `samples` and `export` know there is a part, and what holds no data, or has a schema of its own, is told.
    let (_folder, directory) = toy_directory(3);
    let file = first_file(&directory);
    for name in [
        "users.parquet",
        "products.parquet",
        "channels.parquet",
        "samples.toml",
        "samples-log.toml",
        "rejected/part-0.parquet",
        "notes.txt",
        "notes/more/a.txt",
        "run/schema.toml",
        "run/rows/part-0.parquet",
        ".git/x.parquet",
    ] {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::copy(&file, path).unwrap();
    }
    let again = FeedDirectory::open(directory.path()).unwrap();
    let told = [".git", "notes", "notes.txt", "run"].map(|name| directory.path().join(name));
    assert_eq!(again.beside(), told);
    let checked = check::promises(&again, &[Split::Train], &[]).unwrap();
    assert_eq!(checked.read.skipped, told);
    let line = checked.read.to_string();
    assert!(line.contains("; passed over 1 whose names begin with . or _: "), "{line}");
    assert!(line.contains("; passed over 3 that are no part of the data: "), "{line}");
    assert_eq!(check::feeds(&again).unwrap().read.skipped, told);
    let scores = directory.path().join("scores.parquet");
    let error = ScoreWriter::create(&scores, &again).unwrap_err().to_string();
    assert!(error.contains("lies among the feeds, where it would be taken for one"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_that_lead_back_are_refused() {
    let (_folder, directory) = toy_directory(3);
    let train = directory.path().join("train");
    std::os::unix::fs::symlink(&train, train.join("again=1")).unwrap();
    let text = read_all(&directory).unwrap_err().to_string();
    assert!(text.contains("again=1: lies too deep; does a link lead back?"), "{text}");
}

/// Opening a pipe would wait for someone to write into it.
#[cfg(unix)]
#[test]
fn pipes_are_refused_by_name() {
    let pipe = |path: &Path| {
        let _ = fs_err::remove_file(path);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let expected = |name: &str| format!("{name}: is no regular file but a pipe");
    let (_folder, directory) = toy_directory(3);
    pipe(&directory.path().join("train/_passed_over"));
    assert_eq!(read_all(&directory).unwrap().len(), 3);
    pipe(&directory.path().join("train/part-9.parquet"));
    // A directory that is open has its files.
    let again = FeedDirectory::open(directory.path()).unwrap();
    let text = read_all(&again).unwrap_err().to_string();
    assert!(text.contains(&expected("train/part-9.parquet")), "{text}");
    pipe(&directory.path().join("schema.toml"));
    let text = FeedDirectory::open(directory.path()).unwrap_err().to_string();
    assert!(text.contains(&expected("schema.toml")), "{text}");
    // Alike in a log.
    let log = directory.path().join("log");
    let store = events::Store::local(&log).unwrap();
    fs_err::create_dir_all(log.join("events/date=2024-05-31")).unwrap();
    fs_err::write(log.join("schema.toml"), toy::schema().to_toml()).unwrap();
    for name in ["events/date=2024-05-31/part-9.parquet", "events/x", "schema.toml"] {
        pipe(&log.join(name));
        let text = events::EventLog::open(&store).unwrap_err().to_string();
        assert!(text.contains(&expected(name)), "{text}");
        fs_err::remove_file(log.join(name)).unwrap();
        fs_err::write(log.join("schema.toml"), toy::schema().to_toml()).unwrap();
    }
    pipe(&log.join("users.parquet"));
    let text = events::read_dimensions(&store, &toy::schema()).unwrap_err().to_string();
    assert!(text.contains(&expected("users.parquet")), "{text}");
}

#[test]
fn a_file_for_a_folder_and_a_folder_for_a_file() {
    let (_folder, directory) = toy_directory(3);
    let text = |error: Error| error.to_string();
    fs_err::write(directory.path().join("test"), "").unwrap();
    let told = text(directory.feeds(Split::Test).unwrap_err());
    assert!(told.contains("test: is a file; expected a folder with Parquet files"), "{told}");
    assert_eq!(directory.feeds(Split::Train).unwrap(), 3);
    let schema = directory.path().join("schema.toml");
    fs_err::remove_file(&schema).unwrap();
    fs_err::create_dir(&schema).unwrap();
    let told = text(FeedDirectory::open(directory.path()).unwrap_err());
    assert!(told.contains("schema.toml: is a folder, where a file should be"), "{told}");
}

/// The rows of a file as another tool writes them, with the ids of a column as text.
fn as_text(from: &Path, to: &Path, column: &[&str]) {
    fs_err::create_dir_all(to.parent().unwrap()).unwrap();
    let rows = changed(&rows_of(from), column, &|array| Some(text(&array)));
    write_foreign(to, &rows, 128);
}

/// The columns of toy feeds whose ids are those of this one.
fn alike<'a>(column: &'a [&'a str]) -> Vec<&'a [&'a str]> {
    match column {
        [_, "channel_id"] => vec![&["channels", "channel_id"], &["candidates", "channel_id"]],
        ["candidates", "on_sale"] => vec![&["products", "product_id"], column],
        _ => vec![column],
    }
}

fn text(ids: &ArrayRef) -> ArrayRef {
    let Some(lists) = ids.as_list_opt::<i32>() else { return cast(ids, &DataType::Utf8) };
    let values = text(lists.values());
    let element = Arc::new(Field::new("item", DataType::Utf8, true));
    Arc::new(ListArray::new(element, lists.offsets().clone(), values, None))
}

#[test]
fn ids_that_are_integers_here_and_text_there_are_refused() {
    for column in [
        &["request_id"][..],
        &["user_id"],
        &["user", "user"],
        &["context", "hour"],
        &["channels", "channel_id"],
        &["candidates", "channel_id"],
        &["candidates", "on_sale"],
    ] {
        let (_folder, directory) = toy_directory(20);
        let file = first_file(&directory);
        let assert_refused = |error: Error, here: &str, there: &str| {
            assert!(matches!(error, Error::Column { .. }), "{error}");
            let told = error.to_string();
            let here = format!("{here}: column {}: its ids are text here", column.join("."));
            let there = format!("and integers in {}", directory.path().join(there).display());
            assert!(told.contains(&here) && told.contains(&there), "{told}");
            assert!(told.contains("write the column alike in both"), "{told}");
        };
        // In a file of the same split, in another split of which either is read, and in all of them.
        let other = directory.path().join("train/part-00001.parquet");
        as_text(&file, &other, column);
        let error = read_all(&directory).unwrap_err();
        assert_refused(error, "train/part-00001.parquet", "train/part-00000.parquet");
        fs_err::create_dir(directory.path().join("test")).unwrap();
        fs_err::rename(&other, directory.path().join("test/x.parquet")).unwrap();
        for split in [Split::Train, Split::Test] {
            let error = directory.read(split).unwrap_err();
            assert_refused(error, "test/x.parquet", "train/part-00000.parquet");
        }
        for column in alike(column) {
            as_text(&file, &file, column);
        }
        fs_err::copy(&file, directory.path().join("test/x.parquet")).unwrap();
        assert_eq!(read_all(&directory).unwrap().len(), 20);
        assert_eq!(directory.read(Split::Test).unwrap().count(), 20);
    }
}

/// Each column may be written alike everywhere, and its ids still never meet those of another column of their vocabulary.
#[test]
fn columns_of_one_vocabulary_that_are_integers_and_text_are_refused() {
    for (column, other, vocabulary) in [
        ("candidates.channel_id", "channels.channel_id", "channel"),
        ("channels.channel_id", "candidates.channel_id", "channel"),
        ("products.category_id", "channels.category_id", "category"),
        ("candidates.on_sale", "products.product_id", "product"),
    ] {
        let (_folder, directory) = toy_directory(20);
        let file = first_file(&directory);
        let path: Vec<&str> = column.split('.').collect();
        as_text(&file, &file, &path);
        let told = read_all(&directory).unwrap_err().to_string();
        assert!(told.contains(column) && told.contains(other), "{told}");
        assert!(told.contains(&format!("{}: column ", file.display())), "{told}");
        let expected =
            format!("in {}, where the same id of vocabulary {vocabulary}", file.display());
        assert!(told.contains(&expected) && told.contains("write both columns alike"), "{told}");
        // In files of two splits, too, where each alone has one of the columns as text.
        let (_folder, directory) = toy_directory(20);
        let file = first_file(&directory);
        let test = directory.path().join("test/x.parquet");
        as_text(&file, &test, &path);
        let told = directory.read(Split::Train).unwrap_err().to_string();
        assert!(told.contains("test/x.parquet: column ") && told.contains("its ids are"), "{told}");
    }
}

/// Of another split the first file with rows stands for all, wherever it is, and the split is compared whichever is read.
#[test]
fn a_file_without_rows_hides_no_other() {
    let (_folder, directory) = toy_directory(20);
    let file = first_file(&directory);
    let none = rows_of(&file).slice(0, 0);
    fs_err::create_dir(directory.path().join("test")).unwrap();
    as_text(&file, &directory.path().join("test/part-0.parquet"), &["candidates", "channel_id"]);
    // The first of either split is empty.
    write_foreign(&directory.path().join("train/part-0.parquet"), &none, 128);
    write_foreign(&directory.path().join("test/part-.parquet"), &none, 128);
    for split in [Split::Train, Split::Test] {
        let error = directory.read(split).unwrap_err().to_string();
        assert!(error.contains("column candidates.channel_id: its ids are text here"), "{error}");
        assert!(error.contains("test/part-0.parquet"), "{error}");
        let error = check::promises(&directory, &[split], &[]).unwrap_err().to_string();
        assert!(error.contains("column candidates.channel_id: its ids are text here"), "{error}");
    }
}

/// What another split lacks is told when that split is read, and files without rows say nothing of types.
#[test]
fn damaged_and_empty_files_of_other_splits_are_no_hindrance() {
    let (_folder, directory) = toy_directory(20);
    let file = first_file(&directory);
    fs_err::create_dir(directory.path().join("test")).unwrap();
    fs_err::write(directory.path().join("test/part-0.parquet"), "torn").unwrap();
    assert_eq!(read_all(&directory).unwrap().len(), 20);
    assert!(directory.read(Split::Test).is_err());
    let none = changed(&rows_of(&file), &["user_id"], &|array| Some(text(&array))).slice(0, 0);
    write_foreign(&directory.path().join("test/part-0.parquet"), &none, 128);
    write_foreign(&directory.path().join("train/part-9.parquet"), &none, 128);
    assert_eq!(read_all(&directory).unwrap().len(), 20);
}
