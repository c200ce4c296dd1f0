//! The form of index files: eight bytes that say what it is, a version, the content, a checksum of all before it; numbers are
//! little-endian. Files are read whole.

use std::io::{BufWriter, Write};
use std::path::Path;

use eliverec_core::checksum::Checksum;

use crate::error::Error;

/// What a file is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) magic: &'static [u8; 8],
    pub(crate) version: u32,
    /// For messages.
    pub(crate) name: &'static str,
}

const HEADER_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 8;

/// Takes in bytes on their way to a file.
pub(crate) struct Sink<W> {
    out: W,
    checksum: Checksum,
}

impl<W: Write> Sink<W> {
    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.checksum.update(bytes);
        self.out.write_all(bytes)
    }

    pub(crate) fn u64s(&mut self, values: &[u64]) -> std::io::Result<()> {
        values.iter().try_for_each(|value| self.bytes(&value.to_le_bytes()))
    }

    pub(crate) fn u32s(&mut self, values: &[u32]) -> std::io::Result<()> {
        values.iter().try_for_each(|value| self.bytes(&value.to_le_bytes()))
    }

    pub(crate) fn f32s(&mut self, values: &[f32]) -> std::io::Result<()> {
        values.iter().try_for_each(|value| self.bytes(&value.to_le_bytes()))
    }
}

/// Writes a file's bytes: header, what `content` writes, checksum.
pub(crate) fn write_to<W: Write>(
    out: W,
    format: Format,
    content: impl FnOnce(&mut Sink<W>) -> std::io::Result<()>,
) -> std::io::Result<W> {
    let mut sink = Sink { out, checksum: Checksum::default() };
    sink.bytes(format.magic)?;
    sink.bytes(&format.version.to_le_bytes())?;
    content(&mut sink)?;
    let checksum = sink.checksum.value();
    sink.out.write_all(&checksum.to_le_bytes())?;
    Ok(sink.out)
}

/// Writes a file so that a kill or a power cut leaves the old one or the new one, never a part: a temporary file beside it,
/// flushed to disk, renamed, the directory flushed.
pub(crate) fn write(
    path: &Path,
    format: Format,
    content: impl FnOnce(&mut Sink<BufWriter<fs_err::File>>) -> std::io::Result<()>,
) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let out = BufWriter::new(fs_err::File::create(&partial)?);
    let out = write_to(out, format, content)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()?;
    drop(file);
    fs_err::rename(&partial, path)?;
    // Only Unix can open a directory as a file; elsewhere the rename itself is durable enough.
    if cfg!(unix) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs_err::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// The content of a file, read piece by piece.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    file: &'a str,
    rest: &'a [u8],
}

impl<'a> Content<'a> {
    /// Checks header and checksum of the bytes of `file`.
    pub(crate) fn check(file: &'a str, bytes: &'a [u8], format: Format) -> Result<Self, Error> {
        let damaged = |reason: String| Err(Error::Damaged { file: file.into(), reason });
        let Format { magic, version, name } = format;
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || !bytes.starts_with(magic) {
            return damaged(format!("is no file of {name}"));
        }
        let (content, sum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        let mut checksum = Checksum::default();
        checksum.update(content);
        if checksum.value().to_le_bytes() != *sum {
            return damaged("its bytes do not have the checksum at its end".into());
        }
        let mut content = Self { file, rest: &content[magic.len()..] };
        let found = content.u32()?;
        if found != version {
            return damaged(format!("has version {found} of {name}, this program reads {version}"));
        }
        Ok(content)
    }

    /// Says that something in the file does not fit.
    pub(crate) fn damaged(&self, reason: &str) -> Error {
        Error::Damaged { file: self.file.into(), reason: reason.into() }
    }

    fn take<const N: usize, T>(
        &mut self,
        count: u64,
        value: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Error> {
        let (values, _) = self.rest.as_chunks::<N>();
        if count > values.len() as u64 {
            return Err(self.damaged("is shorter than it says"));
        }
        let values = values[..count as usize].iter().map(|bytes| value(*bytes)).collect();
        self.rest = &self.rest[count as usize * N..];
        Ok(values)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(self.take(1, u32::from_le_bytes)?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(self.take(1, u64::from_le_bytes)?[0])
    }

    pub(crate) fn u64s(&mut self, count: u64) -> Result<Vec<u64>, Error> {
        self.take(count, u64::from_le_bytes)
    }

    pub(crate) fn u32s(&mut self, count: u64) -> Result<Vec<u32>, Error> {
        self.take(count, u32::from_le_bytes)
    }

    pub(crate) fn f32s(&mut self, count: u64) -> Result<Vec<f32>, Error> {
        self.take(count, f32::from_le_bytes)
    }

    /// Refuses what is left over.
    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("is longer than it says")) }
    }
}
