//! Save and load. A directory holds one row file per vocabulary and `store.json`, which names them by checksum.
//!
//! Row files are never overwritten: a save adds new ones, renames `store.json` into place, and only then removes what
//! that no longer names. So a kill leaves the earlier or the later save, never a mixture.

use std::collections::BTreeSet;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use eliverec_core::regular;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::codec::{Decoder, Encoder};
use crate::error::Error;
use crate::layout::{HEADER_BYTES, Header, padding};
use crate::row::Mark;
use crate::table::{Counter, RareRow, Table};

/// Name of the file that a save commits with.
const MANIFEST: &str = "store.json";
const FORMAT: &str = "eliverec-store 1";

/// `store.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: String,
    pub(crate) vocabularies: Vec<Entry>,
}

/// A vocabulary of a saved store.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) rows: usize,
    /// Hexadecimal, of the row file.
    checksum: String,
}

impl Manifest {
    pub(crate) fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(MANIFEST);
        let text = regular::read_to_string(&path).map_err(|e| Error::of_kept(&path, e))?;
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| damaged(format!("is not the manifest of a store ({error})")))?;
        if manifest.format != FORMAT {
            let reason = format!("has format {:?}, this program reads {FORMAT:?}", manifest.format);
            return Err(damaged(reason));
        }
        for (i, entry) in manifest.vocabularies.iter().enumerate() {
            let text = &entry.checksum;
            if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(damaged(format!("has no checksum for vocabulary {i}")));
            }
        }
        Ok(manifest)
    }

    /// Whether the saved tables are the wanted ones, in their order.
    pub(crate) fn check_names<'a>(
        &self,
        wanted: impl Iterator<Item = &'a str>,
        directory: &Path,
    ) -> Result<(), Error> {
        let saved: Vec<&str> = self.vocabularies.iter().map(|v| v.name.as_str()).collect();
        let wanted: Vec<&str> = wanted.collect();
        if saved == wanted {
            return Ok(());
        }
        let reason = format!(
            "has the vocabularies {}, and the schema has {}; use the schema that the store was trained with",
            saved.join(", "),
            wanted.join(", ")
        );
        Err(Error::Mismatch { path: directory.join(MANIFEST), reason })
    }

    /// Name and checksum of the row file of vocabulary `index`.
    pub(crate) fn row_file(&self, index: usize) -> (String, u64) {
        let checksum = &self.vocabularies[index].checksum;
        let number = u64::from_str_radix(checksum, 16).expect("Manifest::read checked the digits");
        (file_name(index, number), number)
    }
}

fn file_name(index: usize, checksum: u64) -> String {
    format!("{index:03}-{checksum:016x}.rows")
}

pub(crate) fn save(
    tables: &[Table],
    seed: u64,
    init_std: f32,
    directory: &Path,
) -> Result<(), Error> {
    fs::create_dir_all(directory)?;
    let mut vocabularies = Vec::new();
    let mut current = BTreeSet::new();
    for (index, table) in tables.iter().enumerate() {
        let temporary = directory.join(format!("{index:03}.rows.tmp"));
        let file = BufWriter::with_capacity(1 << 20, fs::File::create(&temporary)?);
        let (checksum, file) = write_table(table, seed, init_std, file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let name = file_name(index, checksum);
        fs::rename(&temporary, directory.join(&name))?;
        current.insert(name);
        vocabularies.push(Entry {
            name: table.spec.name.clone(),
            rows: table.rows(),
            checksum: format!("{checksum:016x}"),
        });
    }
    let directory_handle = fs::File::open(directory)?;
    directory_handle.sync_all()?;

    let manifest = Manifest { format: FORMAT.into(), vocabularies };
    let text = serde_json::to_string_pretty(&manifest).map_err(io::Error::from)?;
    let temporary = directory.join(format!("{MANIFEST}.tmp"));
    let mut file = fs::File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(MANIFEST))?;
    directory_handle.sync_all()?;

    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = name.ends_with(".rows") || name.ends_with(".rows.tmp");
        if ours && !current.contains(name.as_ref()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes one vocabulary and returns the checksum.
pub(crate) fn write_table<W: Write>(
    table: &Table,
    seed: u64,
    init_std: f32,
    sink: W,
) -> io::Result<(u64, W)> {
    let mut order: Vec<(u64, u32)> = table.index.iter().map(|(id, slot)| (*id, *slot)).collect();
    order.sort_unstable();
    let mut counters: Vec<(u64, Counter)> =
        table.counters.iter().map(|(id, counter)| (*id, *counter)).collect();
    counters.sort_unstable_by_key(|(id, _)| *id);

    let (name, width) = (table.spec.name.as_bytes(), table.spec.width);
    let header = Header {
        width: width as u32,
        rows: order.len() as u64,
        counters: counters.len() as u64,
        seed,
        init_std,
        min_count: table.spec.min_count,
        name_bytes: name.len() as u32,
        rare_period: table.rare.period,
        rare_trained: table.rare.trained,
    };
    let mut encoder = Encoder::new(sink);
    let zeros = [0; 8];
    header.write(&mut encoder)?;
    encoder.bytes(name)?;
    encoder.bytes(&zeros[..padding(name.len())])?;
    encoder.f32s(&table.rare.values)?;
    for (id, _) in &order {
        encoder.u64(*id)?;
    }
    for (_, slot) in &order {
        let mark = table.mark(*slot);
        encoder.u64(mark.seen)?;
        encoder.u32(mark.count)?;
        encoder.u32(mark.period)?;
    }
    let rest = padding(4 * width * order.len());
    for (_, slot) in &order {
        encoder.f32s(table.row(*slot).0)?;
    }
    encoder.bytes(&zeros[..rest])?;
    for (_, slot) in &order {
        encoder.f32s(table.row(*slot).1)?;
    }
    encoder.bytes(&zeros[..rest])?;
    for (id, counter) in &counters {
        encoder.u64(*id)?;
        encoder.u32(counter.count)?;
        encoder.u32(counter.seen)?;
    }
    encoder.finish()
}

pub(crate) fn load(tables: &mut [Table], seed: u64, directory: &Path) -> Result<(), Error> {
    let manifest = Manifest::read(directory)?;
    manifest.check_names(tables.iter().map(|table| table.spec.name.as_str()), directory)?;
    for (index, table) in tables.iter_mut().enumerate() {
        let (name, checksum) = manifest.row_file(index);
        let path = directory.join(name);
        let file = regular::open(&path).map_err(|e| Error::of_kept(&path, e))?;
        let length = file.metadata()?.len();
        let stored =
            read_table(table, seed, BufReader::with_capacity(1 << 20, file), length, &path)?;
        if stored != checksum {
            return Err(Error::Damaged { path, reason: "is not the file that was saved".into() });
        }
    }
    Ok(())
}

/// Fills an empty table from a file of `length` bytes and returns the file's checksum.
pub(crate) fn read_table<R: Read>(
    table: &mut Table,
    seed: u64,
    source: R,
    length: u64,
    path: &Path,
) -> Result<u64, Error> {
    let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
    let truncated = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("ends too early".into()),
        _ => Error::Io(error),
    };
    let mut decoder = Decoder::new(source);
    let mut bytes = [0; HEADER_BYTES];
    decoder.bytes(&mut bytes).map_err(truncated)?;
    let (header, _) = Header::parse(&bytes, length).map_err(damaged)?;
    check_origin([header.width as usize, table.spec.width], [header.seed, seed], path)?;
    read_body(table, &header, &mut decoder).map_err(truncated)?.map_err(damaged)?;
    let (computed, stored) = decoder.finish().map_err(truncated)?;
    if computed != stored {
        return Err(damaged("has changed since it was written (its checksum is wrong)".into()));
    }
    Ok(stored)
}

/// Width and seed, each as saved and as wanted, must agree.
pub(crate) fn check_origin(
    [width, wanted_width]: [usize; 2],
    [seed, wanted_seed]: [u64; 2],
    path: &Path,
) -> Result<(), Error> {
    let differs = |reason: String| Err(Error::Mismatch { path: PathBuf::from(path), reason });
    if width != wanted_width {
        return differs(format!(
            "has rows of width {width}, and the configuration asks for {wanted_width}; use the width that the store was trained with"
        ));
    }
    if seed != wanted_seed {
        return differs(format!(
            "was trained with seed {seed}, not {wanted_seed}; use that seed, on which initial values depend"
        ));
    }
    Ok(())
}

/// The outer error is of the stream, the inner one says what cannot be in a sound file.
fn read_body<R: Read>(
    table: &mut Table,
    header: &Header,
    decoder: &mut Decoder<R>,
) -> io::Result<Result<(), String>> {
    let name_bytes = header.name_bytes as usize;
    let mut name = vec![0; name_bytes + padding(name_bytes)];
    decoder.bytes(&mut name)?;
    if name[..name_bytes] != *table.spec.name.as_bytes() {
        return Ok(Err("holds another vocabulary than its name says".into()));
    }
    let mut rare = RareRow {
        values: vec![0.0; 2 * table.spec.width],
        period: header.rare_period,
        trained: header.rare_trained,
    };
    decoder.f32s(&mut rare.values)?;
    table.rare = rare;

    let ids = (0..header.rows).map(|_| decoder.u64()).collect::<io::Result<Vec<u64>>>()?;
    if ids.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Ok(Err("has ids out of order".into()));
    }
    table.index.reserve(ids.len());
    for id in ids {
        let (seen, count, period) = (decoder.u64()?, decoder.u32()?, decoder.u32()?);
        table.push_rows(std::iter::once(Mark { id, seen, count, period }));
    }
    let (width, rest) = (table.spec.width, padding(4 * table.spec.width * table.rows()));
    for part in 0..2 {
        for row in table.pages.iter_mut().flat_map(|page| page.values.chunks_mut(2 * width)) {
            decoder.f32s(&mut row[part * width..][..width])?;
        }
        decoder.bytes(&mut [0; 8][..rest])?;
    }
    table.counters.reserve(header.counters as usize);
    for _ in 0..header.counters {
        let id = decoder.u64()?;
        let counter = Counter { count: decoder.u32()?, seen: decoder.u32()? };
        table.counters.insert(id, counter);
    }
    Ok(Ok(()))
}
