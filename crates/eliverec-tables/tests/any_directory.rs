//! Any tree of files below the splits of a feed directory is read as an oracle says that only knows the documents, or refused by name.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod feed_files;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use eliverec_core::id::text_id;
use eliverec_core::{Feed, toy};
use eliverec_tables::{FeedDirectory, Split};
use feed_files::{cast, changed, first_file, rows_of, toy_directory};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

/// Feeds of which files have a part.
const FEEDS: usize = 40;

/// A file, wherever it lies.
#[derive(Clone, Debug)]
struct File {
    split: Split,
    folders: Vec<&'static str>,
    name: &'static str,
    first: usize,
    rows: usize,
    /// Whether users are text.
    text: bool,
    labelled: bool,
    codec: usize,
}

fn a_file() -> impl Strategy<Value = File> {
    // What is to be read is most frequent, so that many directories can be read in whole.
    let folder =
        prop::sample::select(vec!["a=1", "a=1", "a=2", "b=1", "b=x=y", "_tmp", ".cache", "old"]);
    let folder = prop_oneof![12 => folder, 1 => Just("x.parquet")];
    let name = prop_oneof![
        16 => prop::sample::select(vec!["p.parquet", "q.parquet", "part-00000.parquet", "a=1.parquet"]),
        4 => prop::sample::select(vec!["_p.parquet", ".p.parquet.crc", "_SUCCESS"]),
        1 => prop::sample::select(vec!["notes.txt", "p.PARQUET", "p.parquet.gz"]),
    ];
    let rare = |odds: u32| prop::bool::weighted(1.0 / f64::from(odds));
    let content = (0..FEEDS - 4, 0..4_usize, rare(20), rare(20), 0..6_usize);
    let folders = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(folder, 1..3)];
    (prop::sample::select(Split::ALL.to_vec()), folders, name, content).prop_map(
        |(split, folders, name, (first, rows, text, unlabelled, codec))| File {
            split,
            folders,
            name,
            first,
            rows,
            text,
            labelled: !unlabelled,
            codec,
        },
    )
}

/// What lies beside the splits: refused, told as passed over, or a part that has its name there.
fn beside_the_splits() -> impl Strategy<Value = Vec<(&'static str, Option<bool>)>> {
    let told = prop::sample::select(vec![
        ("notes.txt", Some(false)),
        ("run/schema.toml", Some(false)),
        (".cache/x.parquet", Some(false)),
        ("_old.parquet", Some(false)),
        ("empty/a.txt", Some(false)),
        ("users.parquet", None),
        ("rejected/part-00000.parquet", None),
        ("samples.toml", None),
    ]);
    let refused = prop::sample::select(vec![
        ("x.parquet", Some(true)),
        ("val/x.parquet", Some(true)),
        ("train2/a=1/b/x.parquet", Some(true)),
    ]);
    let one = prop_oneof![12 => told, 1 => refused];
    prop::collection::btree_set(one, 0..3).prop_map(|all| all.into_iter().collect())
}

impl File {
    fn path(&self) -> String {
        [&[self.split.name()], self.folders.as_slice(), &[self.name]].concat().join("/")
    }

    fn write(&self, directory: &FeedDirectory, rows: &RecordBatch) {
        let mut rows = rows.clone();
        if self.text {
            rows = changed(&rows, &["user_id"], &|ids| Some(cast(&ids, &DataType::Utf8)));
        }
        if !self.labelled {
            rows = changed(&rows, &["candidates", "watched"], &|_| None);
        }
        let path = directory.path().join(self.path());
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let codecs = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::ZSTD(ZstdLevel::default()),
            Compression::GZIP(GzipLevel::default()),
            Compression::LZ4_RAW,
            Compression::BROTLI(BrotliLevel::default()),
        ];
        let properties = WriterProperties::builder()
            .set_compression(codecs[self.codec])
            .set_max_row_group_row_count(Some(2))
            .build();
        let file = fs_err::File::create(path).unwrap().into_parts().0;
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows.slice(self.first, self.rows)).unwrap();
        writer.close().unwrap();
    }

    /// Request and user of its rows.
    fn requests(&self, feeds: &[Feed]) -> Vec<(u64, u64)> {
        let user = |id: u64| if self.text { text_id(&id.to_string()) } else { id };
        let rows = &feeds[self.first..self.first + self.rows];
        rows.iter().map(|feed| (feed.request_id, user(feed.user_id))).collect()
    }
}

/// What docs/feeds.md says of a path below a split.
#[derive(Debug, PartialEq)]
enum Fate {
    Read,
    PassedOver,
    Refused(String),
}

fn fate(file: &File) -> Fate {
    let mut place = file.split.name().to_owned();
    for folder in &file.folders {
        place = format!("{place}/{folder}");
        if folder.starts_with(['.', '_']) {
            return Fate::PassedOver;
        }
        if !folder.contains('=') || folder.strip_suffix(".parquet").is_some() {
            return Fate::Refused(place);
        }
    }
    if file.name.starts_with(['.', '_']) {
        return Fate::PassedOver;
    }
    match file.name.strip_suffix(".parquet") {
        Some(_) => Fate::Read,
        None => Fate::Refused(file.path()),
    }
}

/// What is read of a split, or a name of which one is in the refusal.
fn expected(split: Split, files: &[File], feeds: &[Feed]) -> Result<Vec<(u64, u64)>, Vec<String>> {
    let of = |split: Split| -> Result<Vec<&File>, Vec<String>> {
        let mut files: Vec<&File> = files.iter().filter(|file| file.split == split).collect();
        files.sort_by_key(|file| {
            file.path().split('/').map(ToOwned::to_owned).collect::<Vec<String>>()
        });
        let mut refused = Vec::new();
        files.retain(|file| match fate(file) {
            Fate::Read => true,
            Fate::PassedOver => false,
            Fate::Refused(place) => {
                refused.push(place);
                false
            }
        });
        if refused.is_empty() { Ok(files) } else { Err(refused) }
    };
    let own = of(split)?;
    let with_rows: Vec<&&File> = own.iter().filter(|file| file.rows > 0).collect();
    let named = || files.iter().map(File::path).collect::<Vec<String>>();
    if with_rows.windows(2).any(|pair| pair[0].labelled != pair[1].labelled) {
        return Err(named());
    }
    let others = Split::ALL.into_iter().filter(|other| *other != split);
    let firsts = others.filter_map(|other| of(other).ok()?.into_iter().find(|file| file.rows > 0));
    let mut kinds = with_rows.iter().map(|file| file.text).chain(firsts.map(|file| file.text));
    let first = kinds.next();
    if kinds.any(|kind| Some(kind) != first) {
        return Err(named());
    }
    if with_rows.is_empty() {
        return Err(vec![format!("no feeds in the {} split", split.name())]);
    }
    Ok(own.iter().flat_map(|file| file.requests(feeds)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(160) })]
    #[test]
    fn what_is_read_is_what_the_documents_say(
        files in prop::collection::vec(a_file(), 0..7),
        beside in beside_the_splits(),
    ) {
        let feeds = toy::feeds(FEEDS, 1);
        let (_folder, directory) = toy_directory(FEEDS);
        let rows = rows_of(&first_file(&directory));
        fs_err::remove_dir_all(directory.path().join("train")).unwrap();
        let files: BTreeMap<String, File> =
            files.into_iter().map(|file| (file.path(), file)).collect();
        let files: Vec<File> = files.into_values().collect();
        files.iter().for_each(|file| file.write(&directory, &rows));
        let mut refused = Vec::new();
        let mut told = Vec::new();
        for (name, is_refused) in &beside {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::copy(directory.path().join("schema.toml"), path).unwrap();
            let first = name.split('/').next().unwrap();
            match is_refused {
                Some(true) => refused.push(first),
                Some(false) => told.push(directory.path().join(first)),
                None => {}
            }
        }
        told.sort();
        let directory = match FeedDirectory::open(directory.path()) {
            Ok(directory) => directory,
            Err(error) => {
                let error = error.to_string();
                prop_assert!(refused.iter().any(|name| error.contains(name)), "{error}: {refused:?}");
                return Ok(());
            }
        };
        prop_assert_eq!(&refused, &[""; 0]);
        prop_assert_eq!(directory.beside(), told);
        for split in Split::ALL {
            let read = directory.read(split).and_then(Iterator::collect::<Result<Vec<Feed>, _>>);
            match (read, expected(split, &files, &feeds)) {
                (Ok(read), Ok(expected)) => {
                    let read: Vec<(u64, u64)> =
                        read.iter().map(|feed| (feed.request_id, feed.user_id)).collect();
                    prop_assert_eq!(&read, &expected);
                    prop_assert_eq!(directory.feeds(split).unwrap(), expected.len() as u64);
                }
                (Err(error), Err(names)) => {
                    let told = error.to_string();
                    prop_assert!(names.iter().any(|name| told.contains(name)), "{told}: {names:?}");
                }
                (read, expected) => prop_assert!(
                    false,
                    "{split}: {:?} instead of {expected:?}",
                    read.map(|read| read.len()).map_err(|error| error.to_string())
                ),
            }
        }
    }
}
