//! Whatever is wrong with a log: one line that says where, or a counted rejection; never a panic.
//!
//! This file is long because every way in which a log can be wrong stands in one place.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, TimestampMillisecondType};
use eliverec_core::Dimensions;
use eliverec_core::schema::Kind;
use eliverec_core::seed::Random;
use eliverec_tables::Error;
use eliverec_tables::events::{
    EventLog, EventWriter, ReadCounts, Reason, RejectedWriter, Row, Store, read_dimensions,
    write_dimensions,
};

use crate::feed_files::{cast, changed, rows_of, with_null, write_foreign};
use crate::logs::{events, in_memory, on_disk, one_day, read_strictly, replaced, schema, write};

fn message(error: &Error) -> String {
    let message = error.to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

fn read_leniently(store: &Store) -> (ReadCounts, usize, RecordBatch) {
    let log = EventLog::open(store).unwrap();
    let mut events = log.read(..).unwrap().lenient(RejectedWriter::new(store));
    let read = events.by_ref().map(Result::unwrap).count();
    let (counts, file) = events.finish().unwrap();
    (counts, read, rows_of(&file.unwrap()))
}

/// The array with value `i` replaced.
fn set<A: FromIterator<Option<T>> + 'static, T: Copy>(
    values: impl Iterator<Item = Option<T>>,
    i: usize,
    value: T,
) -> A {
    values.enumerate().map(|(j, old)| if i == j { Some(value) } else { old }).collect()
}

fn set_text(array: &ArrayRef, i: usize, text: &str) -> ArrayRef {
    let array = cast(array, &DataType::Utf8);
    Arc::new(set::<StringArray, _>(array.as_string::<i32>().iter(), i, text))
}

fn shift_time(array: &ArrayRef, i: usize, by_ms: i64) -> ArrayRef {
    let times = array.as_primitive::<TimestampMillisecondType>();
    let time = times.value(i) + by_ms;
    let shifted: TimestampMillisecondArray = set(times.iter(), i, time);
    Arc::new(shifted.with_timezone("UTC"))
}

fn set_number(array: &ArrayRef, i: usize, x: f64) -> ArrayRef {
    let numbers = cast(array, &DataType::Float64);
    let numbers = numbers.as_primitive::<arrow::datatypes::Float64Type>();
    Arc::new(set::<Float64Array, _>(numbers.iter(), i, x))
}

/// What becomes of a column.
type Change<'a> = Box<dyn Fn(&ArrayRef) -> ArrayRef + 'a>;

#[test]
fn each_wrong_row_is_named_or_set_aside() {
    let (_folder, store, path, rows) = one_day(200);
    let kinds = cast(rows.column_by_name("kind").unwrap(), &DataType::Utf8);
    let kinds = kinds.as_string::<i32>();
    let row_of = |kind: &str| (15..200).find(|i| kinds.value(*i) == kind).unwrap();
    let (leave, impression) = (row_of("leave"), row_of("impression"));
    let null = |i: usize| -> Change<'_> { Box::new(move |array| with_null(array, i)) };
    let number = |i, x| -> Change<'_> { Box::new(move |array| set_number(array, i, x)) };
    let day = 86_400_000;
    let cases: Vec<(&str, usize, Change<'_>, Reason, &str)> = vec![
        ("event_id", 17, null(17), Reason::Missing, "null, but every event needs it"),
        ("ts", 17, null(17), Reason::Missing, "null, but every event needs it"),
        ("kind", 17, null(17), Reason::Missing, "null, but every event needs it"),
        (
            "kind",
            17,
            Box::new(|array| set_text(array, 17, "purchase")),
            Reason::UnknownKind,
            "no kind \"purchase\"; there are impression, watch",
        ),
        ("user_id", leave, null(leave), Reason::Missing, "null, but leave needs it"),
        ("channel_id", leave, null(leave), Reason::Missing, "null, but leave needs it"),
        ("request_id", impression, null(impression), Reason::Missing, "but impression needs it"),
        ("value", leave, null(leave), Reason::Missing, "null, but leave needs the stay in seconds"),
        ("value", leave, number(leave, f64::NAN), Reason::BadValue, "NaN is not a number"),
        (
            "value",
            leave,
            number(leave, -1.0),
            Reason::BadValue,
            "-1.0 is not a number of at least 0",
        ),
        (
            "ts",
            leave,
            Box::new(move |array| shift_time(array, leave, day)),
            Reason::Clock,
            "after available_at; one of the clocks is wrong",
        ),
        (
            "available_at",
            leave,
            Box::new(move |array| {
                let late: TimestampMillisecondArray = set(
                    array.as_primitive::<TimestampMillisecondType>().iter(),
                    leave,
                    crate::logs::first_day().start_ms() + day,
                );
                Arc::new(late.with_timezone("UTC"))
            }),
            Reason::WrongDay,
            "arrived on 2024-06-01, but is in the folder of 2024-05-31",
        ),
        (
            "position",
            impression,
            Box::new(move |array| {
                let array = cast(array, &DataType::Int64);
                let places = array.as_primitive::<arrow::datatypes::Int64Type>();
                Arc::new(set::<Int64Array, _>(places.iter(), impression, -1))
            }),
            Reason::BadValue,
            "-1 is not a position; positions go from 0 to 65535",
        ),
        ("hour", impression, null(impression), Reason::Missing, "every impression needs it"),
        (
            "load",
            impression,
            Box::new(move |array| {
                let numbers = array.as_primitive::<arrow::datatypes::Float32Type>();
                Arc::new(set::<Float32Array, _>(numbers.iter(), impression, f32::INFINITY))
            }),
            Reason::BadValue,
            "inf is not a finite number",
        ),
    ];
    for (column, row, change, reason, detail) in cases {
        replaced(&path, &changed(&rows, &[column], &|array| Some(change(&array))));
        let strict = message(&read_strictly(&store).unwrap_err());
        let place = format!("row group {}, row {row}: {column}: ", row / 10);
        assert!(strict.contains("date=2024-05-31/part-00000.parquet"), "{strict}");
        assert!(strict.contains(&place) && strict.contains(detail), "{place}{detail}: {strict}");

        let (counts, read, rejected) = read_leniently(&store);
        assert_eq!((counts.rows(), counts.events, read), (200, 199, 199), "{column}");
        assert_eq!(
            counts.rejected.into_iter().collect::<Vec<_>>(),
            [((column.to_owned(), reason), 1)]
        );
        let text = |name| rejected.column_by_name(name).unwrap().as_string::<i32>().value(0);
        assert_eq!((text("column"), text("reason")), (column, reason.name()));
        assert!(text("detail").contains(detail));
        assert!(text("file").ends_with("date=2024-05-31/part-00000.parquet"));
        assert!(text("text").contains("event_id=") && text("text").contains(", load="));
        let number = |name| {
            let numbers = rejected.column_by_name(name).unwrap();
            numbers.as_primitive::<arrow::datatypes::UInt64Type>().value(0)
        };
        assert_eq!((number("row"), number("row_group")), (row as u64, row as u64 / 10));
        fs_err::remove_dir_all(store.root().join("rejected")).unwrap();
    }
}

#[test]
fn counts_add_up_and_say_why() {
    let (_folder, store, path, rows) = one_day(200);
    let rows = changed(&rows, &["event_id"], &|array| Some(with_null(&array, 3)));
    let rows =
        changed(&rows, &["kind"], &|array| Some(set_text(&set_text(&array, 100, "x"), 199, "y")));
    replaced(&path, &rows);
    let (counts, _, rejected) = read_leniently(&store);
    let expected = "200 rows = 197 events + 3 rejected: event_id missing 1, kind unknown_kind 2";
    assert_eq!((counts.to_string().as_str(), rejected.num_rows()), (expected, 3));
    let rows = EventLog::open(&store).unwrap().read(..).unwrap();
    assert_eq!(rows.filter(|row| matches!(row, Ok(Row::Rejected(_)))).count(), 3);
}

#[test]
fn reordered_and_repeated_rows_are_no_fault() {
    let (_folder, store, path, rows) = one_day(100);
    let mut order: Vec<u64> = (0..100).chain(0..100).collect();
    Random::new(1).shuffle(&mut order);
    let order = arrow::array::UInt64Array::from(order);
    let rows = arrow::compute::take_record_batch(&rows, &order).unwrap();
    replaced(&path, &rows);
    assert_eq!(read_strictly(&store).unwrap().len(), 200);
}

#[test]
fn a_missing_column_or_another_type_is_named() {
    let (_folder, store, path, rows) = one_day(50);
    let names: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    for name in &names {
        replaced(&path, &changed(&rows, &[name], &|_| None));
        let text = message(&read_strictly(&store).unwrap_err());
        let expected = format!("part-00000.parquet: column {name}: is missing");
        assert!(text.contains(&expected), "{text}");
        let log = EventLog::open(&store).unwrap();
        let lenient = log.read(..).unwrap().lenient(RejectedWriter::new(&store)).next();
        assert!(matches!(lenient, Some(Err(Error::Column { .. }))));
    }
    for name in &names {
        let other = if name == "kind" { DataType::Int32 } else { DataType::Boolean };
        let values = arrow::array::new_null_array(&other, 50);
        replaced(&path, &changed(&rows, &[name], &|_| Some(Arc::clone(&values))));
        let text = message(&read_strictly(&store).unwrap_err());
        assert!(text.contains(&format!("column {name}: expected ")), "{text}");
    }
}

#[test]
fn a_file_cut_short_is_an_error_at_every_length() {
    let (_folder, store, path, _) = one_day(40);
    let whole = fs_err::read(&path).unwrap();
    for length in 0..whole.len() {
        fs_err::write(&path, &whole[..length]).unwrap();
        let error = read_strictly(&store).unwrap_err();
        assert!(matches!(error, Error::Parquet { .. }), "{length}: {error}");
        assert!(message(&error).contains("part-00000.parquet: not a whole Parquet file"));
    }
    fs_err::write(&path, &whole).unwrap();
    assert_eq!(read_strictly(&store).unwrap().len(), 40);
}

#[test]
fn flipped_bytes_never_panic() {
    let (_folder, store, path, _) = one_day(50);
    let whole = fs_err::read(&path).unwrap();
    let mut random = Random::new(1);
    let mut errors = 0;
    for round in 0..1_500 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 3 {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 + random.below(255) as u8;
        }
        fs_err::write(&path, &bytes).unwrap();
        if let Err(error) = read_strictly(&store) {
            errors += 1;
            assert!(!error.to_string().is_empty());
        }
    }
    assert!(errors > 500, "{errors} errors");
}

#[test]
fn places_without_a_log_say_what_is_missing() {
    let (folder, store) = on_disk();
    let open = |store: &Store| message(&EventLog::open(store).unwrap_err());
    assert!(open(&store).contains("logs: no such directory; expected schema.toml"));
    fs_err::create_dir(store.root()).unwrap();
    assert!(open(&store).contains("logs: is empty; expected schema.toml"));
    fs_err::create_dir_all(store.root().join("events/date=2024-05-31")).unwrap();
    assert!(open(&store).contains("logs: has no schema.toml"));
    let schema_path = store.root().join("schema.toml");
    fs_err::write(&schema_path, "nmae = 1").unwrap();
    let text = EventLog::open(&store).unwrap_err().to_string();
    assert!(text.contains("schema.toml") && text.contains("nmae"), "{text}");
    fs_err::write(&schema_path, [0xff, 0xfe]).unwrap();
    assert!(open(&store).contains("the file is not text"));
    fs_err::write(&schema_path, schema().to_toml()).unwrap();
    let error = EventLog::open(&store).unwrap().read(..).unwrap_err();
    assert!(message(&error).contains("no events; expected"));
    assert!(open(&in_memory()).contains("memory://logs: is empty"));
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    assert!(open(&Store::local(&file).unwrap()).contains("file: is no directory"));
    let address = message(&Store::open("ftp://host/logs").unwrap_err());
    assert!(address.contains("give a path, file:// or s3://"), "{address}");
    #[cfg(not(feature = "s3"))]
    assert!(message(&Store::open("s3://logs").unwrap_err()).contains("cargo feature s3"));
}

#[test]
fn folders_that_are_no_days_are_named() {
    for (name, expected) in [
        ("events/date=2024-02-30/part-00000.parquet", "\"2024-02-30\" is not a date"),
        ("events/day=2024-05-31/part-00000.parquet", "day=2024-05-31: is in no day's folder"),
        ("events/old/part-00000.parquet", "events/old: is in no day's folder"),
        ("events/part-00000.parquet", "events/part-00000.parquet: is in no day's folder"),
        ("events/date=2024-05-31/old/x.parquet", "date=2024-05-31/old: is a folder, but no"),
        ("events/date=2024-05-31/a.parquet/x.parquet", "a.parquet: is a folder, where a file"),
        ("events/date=2024-05-31/hour=1/notes.txt", "hour=1/notes.txt: is no .parquet file"),
        ("events/date=2024-05-31/x.csv", "date=2024-05-31/x.csv: is no .parquet file"),
    ] {
        let (_folder, store) = on_disk();
        write(&store, &events(10, 1));
        let path = store.root().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, "").unwrap();
        let text = message(&EventLog::open(&store).unwrap_err());
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn schemas_that_a_log_cannot_have_are_refused() {
    let refused = |change: &dyn Fn(&mut eliverec_core::schema::Field)| {
        let mut schema = schema();
        change(&mut schema.context[0]);
        let error = EventWriter::create(&in_memory(), &schema).unwrap_err();
        message(&error)
    };
    let taken = refused(&|field| field.name = "user_id".into());
    assert!(taken.contains("context.user_id: every event log has a column of this name"));
    let taken = refused(&|field| field.name = "date".into());
    assert!(taken.contains("context.date: every event log has"));
    let multi = refused(&|field| {
        field.kind = eliverec_core::schema::Kind::Multi { vocabulary: "hour".into() };
    });
    assert!(multi.contains("context.hour") && multi.contains("no multi-valued ones"), "{multi}");
}

#[test]
fn data_beside_the_events_is_refused_and_the_rest_is_told() {
    for (name, told) in [
        ("x.parquet", "x.parquet: lies beside the parts that are read"),
        ("users/part-0.parquet", "users: holds Parquet files and is none of the folders"),
        ("events_more/date=2024-05-31/part-0.parquet", "events_more: holds Parquet files"),
    ] {
        let (_folder, store) = on_disk();
        write(&store, &events(10, 1));
        let path = store.root().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "x").unwrap();
        let error = EventLog::open(&store).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let (_folder, store) = on_disk();
    write(&store, &events(10, 1));
    for name in ["truth.parquet", "feeds/schema.toml", "feeds/train/x.parquet", "notes/a.txt"] {
        let path = store.root().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "x").unwrap();
    }
    let told = ["feeds", "notes"].map(|name| store.root().join(name));
    assert_eq!(EventLog::open(&store).unwrap().skipped().collect::<Vec<_>>(), told);
}

#[test]
fn hidden_names_are_passed_over_and_partitions_are_read() {
    let (_folder, store) = on_disk();
    write(&store, &events(10, 1));
    let whole = read_strictly(&store).unwrap();
    let events = store.root().join("events");
    let mut skipped = Vec::new();
    for name in ["_SUCCESS", "_old/x.parquet", "date=2024-05-31/.part-00009.parquet.partial"] {
        let path = events.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, "x").unwrap();
        skipped.push(if name.starts_with("_old") { events.join("_old") } else { path });
    }
    let day = events.join("date=2024-05-31");
    fs_err::create_dir_all(day.join("hour=05/minute=1")).unwrap();
    fs_err::rename(day.join("part-00000.parquet"), day.join("hour=05/minute=1/a.parquet")).unwrap();
    let log = EventLog::open(&store).unwrap();
    assert_eq!(log.skipped().collect::<Vec<_>>(), skipped);
    assert_eq!(log.files(crate::logs::first_day()), [day.join("hour=05/minute=1/a.parquet")]);
    assert_eq!(read_strictly(&store).unwrap(), whole);
}

/// Files of four days, two of which have a bad row each: whoever reads first, the first of the log is told.
#[test]
fn the_first_error_is_the_first_in_the_order_of_the_files() {
    let (_folder, store) = on_disk();
    write(&store, &events(400, 1));
    let log = EventLog::open(&store).unwrap();
    let days: Vec<_> = log.days().collect();
    assert!(log.first_error(.., false).is_none());
    for (day, row) in [(days[2], 3), (days[1], 7)] {
        let path = &log.files(day)[0];
        let rows = rows_of(path);
        replaced(path, &changed(&rows, &["event_id"], &|array| Some(with_null(&array, row))));
    }
    let log = EventLog::open(&store).unwrap();
    let text = message(&log.first_error(.., false).unwrap());
    let expected = format!("date={}/part-00000.parquet: row group 0, row 7: event_id", days[1]);
    assert!(text.contains(&expected), "{text}");
    assert!(log.first_error(.., true).is_none());
    let text = message(&log.first_error(days[2].., false).unwrap());
    assert!(text.contains(&format!("date={}/part-00000.parquet", days[2])), "{text}");
}

#[test]
fn ids_that_are_integers_here_and_text_there_are_refused() {
    let text = |array: ArrayRef| Some(cast(&array, &DataType::Utf8));
    for column in ["event_id", "user_id", "channel_id", "product_id", "request_id", "hour"] {
        let (_folder, store) = on_disk();
        write(&store, &events(400, 1));
        let log = EventLog::open(&store).unwrap();
        let days: Vec<_> = log.days().collect();
        let second = &log.files(days[1])[0];
        replaced(second, &changed(&rows_of(second), &[column], &text));
        let error = read_strictly(&store).unwrap_err();
        assert!(matches!(error, Error::Column { .. }), "{error}");
        let error = message(&error);
        let here = format!("date={}/part-00000.parquet: column {column}: its ids are", days[1]);
        let there = format!("date={}/part-00000.parquet, where", days[0]);
        assert!(error.contains(&here) && error.contains(&there), "{error}");
        assert!(error.contains("text here and integers in"), "{error}");
        // Text in all of them is fine.
        for day in &days {
            let path = &log.files(*day)[0];
            let rows = rows_of(path);
            if *day != days[1] {
                replaced(path, &changed(&rows, &[column], &text));
            }
        }
        assert_eq!(read_strictly(&store).unwrap().len(), 400);
    }
}

#[test]
fn ids_of_tables_are_of_the_type_of_the_events_ids() {
    let (_folder, store) = on_disk();
    write(&store, &events(100, 1));
    write_dimensions(&Dimensions::empty(&schema()).unwrap(), &store).unwrap();
    assert_eq!(read_strictly(&store).unwrap().len(), 100);
    let table = store.root().join("products.parquet");
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["7", "8"]));
    let rows = rows_of_table(&ids);
    write_foreign(&table, &rows, 10);
    let text = message(&read_strictly(&store).unwrap_err());
    let expected = "part-00000.parquet: column product_id: its ids are integers here and text in";
    assert!(text.contains(expected) && text.contains("products.parquet"), "{text}");
    write_foreign(&table, &rows_of_table(&cast(&ids, &DataType::Int64)), 10);
    assert_eq!(read_strictly(&store).unwrap().len(), 100);
}

/// The tables of a log and its events have columns of one vocabulary, whatever their names are.
#[test]
fn columns_of_one_vocabulary_that_are_integers_and_text_are_refused() {
    let table = |id: &str, category: &ArrayRef| {
        let ids: ArrayRef = Arc::new(UInt64Array::from(vec![7, 8]));
        RecordBatch::try_from_iter([(id, ids), ("category_id", Arc::clone(category))]).unwrap()
    };
    let (integers, text): (ArrayRef, ArrayRef) =
        (Arc::new(UInt64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec!["1", "2"])));
    let (_folder, store) = on_disk();
    write(&store, &events(100, 1));
    write_dimensions(&Dimensions::empty(&schema()).unwrap(), &store).unwrap();
    let [products, channels] =
        ["products.parquet", "channels.parquet"].map(|n| store.root().join(n));
    write_foreign(&products, &table("product_id", &integers), 10);
    write_foreign(&channels, &table("channel_id", &text), 10);
    let told = message(&EventLog::open(&store).map(|_| ()).unwrap_err());
    let expected = "channels.parquet: column category_id: its ids are text here and integers in";
    assert!(told.contains(expected) && told.contains("products.parquet, where"), "{told}");
    write_foreign(&channels, &table("channel_id", &integers), 10);
    assert_eq!(read_strictly(&store).unwrap().len(), 100);
    // A column of the events against a field of a table.
    let mut of_hours = schema();
    of_hours.context[0].kind = Kind::Categorical { vocabulary: "category".into() };
    fs_err::write(store.root().join("schema.toml"), of_hours.to_toml()).unwrap();
    for path in [&products, &channels] {
        let id = if path == &products { "product_id" } else { "channel_id" };
        write_foreign(path, &table(id, &text), 10);
    }
    let told = message(&read_strictly(&store).unwrap_err());
    let expected = "column hour: its ids are integers here and those of column category_id text in";
    assert!(told.contains(expected) && told.contains("products.parquet, where"), "{told}");
    assert!(told.contains("vocabulary category would never be met"), "{told}");
}

fn rows_of_table(ids: &ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([("product_id", Arc::clone(ids))]).unwrap()
}

#[test]
fn folders_in_the_place_of_files_are_called_folders() {
    let (_folder, store) = on_disk();
    write(&store, &events(10, 1));
    write_dimensions(&Dimensions::empty(&schema()).unwrap(), &store).unwrap();
    fs_err::remove_file(store.root().join("products.parquet")).unwrap();
    fs_err::create_dir(store.root().join("products.parquet")).unwrap();
    for error in
        [EventLog::open(&store).unwrap_err(), read_dimensions(&store, &schema()).unwrap_err()]
    {
        let text = message(&error);
        assert!(text.contains("products.parquet: is a folder, where a file should be"), "{text}");
    }
    let schema_path = store.root().join("schema.toml");
    fs_err::remove_file(&schema_path).unwrap();
    fs_err::create_dir(&schema_path).unwrap();
    let text = message(&EventLog::open(&store).unwrap_err());
    assert!(text.contains("schema.toml: is a folder, where a file should be"), "{text}");
}
