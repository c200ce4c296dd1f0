//! With what probability retrieval drew channels of a day's answers, as a file of the day's folder: one JSON object a line.
//!
//! It is no event, no feed is made of it, and readers of logs pass it over because its name begins with `_`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use eliverec_state::Drawn;

use crate::error::Error;

/// The name of the file: lines `{"request_id":1,"at":2,"channels":[{"channel_id":3,"propensity":0.25}]}`.
pub const DRAWN_FILE: &str = "_drawn.jsonl";

/// Writes the file when there is something to write.
#[derive(Debug)]
pub(crate) struct DrawnWriter {
    path: PathBuf,
    file: Option<BufWriter<fs_err::File>>,
    lines: u64,
}

impl DrawnWriter {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join(DRAWN_FILE), file: None, lines: 0 }
    }

    pub(crate) fn push(&mut self, drawn: &Drawn) -> Result<(), Error> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(fs_err::File::create(&self.path)?)),
        };
        let Drawn { request_id, channels, available_at_ms: at } = drawn;
        write!(file, "{{\"request_id\":{request_id},\"at\":{at},\"channels\":[")?;
        for (i, (channel_id, propensity)) in channels.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(file, "{comma}{{\"channel_id\":{channel_id},\"propensity\":{propensity}}}")?;
        }
        file.write_all(b"]}\n")?;
        self.lines += 1;
        Ok(())
    }

    /// The number of lines, which are on disk.
    pub(crate) fn finish(self) -> Result<u64, Error> {
        if let Some(file) = self.file {
            let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            file.sync_all()?;
        }
        Ok(self.lines)
    }
}
