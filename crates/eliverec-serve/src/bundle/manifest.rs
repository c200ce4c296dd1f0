//! `manifest.json`: what a bundle is, what it was made of, and by what each of its files is known.
//!
//! Its last line has the SHA-256 of all bytes before that line, so that no byte of it can change unseen either:
//! `head -n -2 manifest.json | head -c -2 | sha256sum` prints the digits that stand in the line.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use eliverec_core::IdKinds;
use eliverec_store::Precision;
use serde::{Deserialize, Serialize};

use super::sha256;
use crate::error::Error;

/// The name of the file.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The format that this code writes, and reads.
pub const FORMAT: u32 = 1;

/// A bundle's manifest. Fields that a later program adds to the same format are passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the whole bundle; a program reads one.
    pub format: u32,
    /// What people call it, free of form: what answers, logs and roll-backs name.
    pub version: String,
    /// When it was made, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// What made it.
    pub program: String,
    /// Name of the model in the registry.
    pub model: String,
    /// Fingerprint of the schema.
    pub schema: String,
    /// Dense parameters, numbers.
    pub parameters: u64,
    /// The embedding rows.
    pub rows: Rows,
    /// What it was made of.
    pub made_of: MadeOf,
    /// How callers write ids, as far as that is known.
    #[serde(default, skip_serializing_if = "IdKinds::is_empty")]
    pub ids: IdKinds,
    /// The requests with known scores.
    pub golden: GoldenRequests,
    /// Every file but this one, by name.
    pub files: Vec<FileEntry>,
}

/// The embedding rows of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Bits of their numbers.
    pub precision: Precision,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Where a bundle came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeOf {
    /// The run directory, as it was named.
    pub run: String,
    /// The checkpoint in it.
    pub checkpoint: String,
    /// Its updates.
    pub step: u64,
    /// Fingerprint of the feeds that golden requests and metrics are of, as results carry it.
    pub feeds: String,
    /// In what those feeds are others than the run was trained on; `None` if they are the same, or the run did not keep which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_feeds: Option<String>,
    /// The log whose tables it has; `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<String>,
}

/// The golden requests of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoldenRequests {
    /// The split that they are of.
    pub split: String,
    /// Requests.
    pub requests: u64,
    /// Their candidates.
    pub candidates: u64,
    /// A score may differ by this, in units of 1 or of its own magnitude if that is larger.
    pub tolerance: f32,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Below the bundle, with `/` between its parts.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// What is asked first: of another format, nothing else need parse.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// What stands around the digits of the manifest's own hash, at its end.
const BEFORE: &[u8] = b",\n  \"sha256\": \"";
const AFTER: &[u8] = b"\"\n}\n";
const DIGITS: usize = 64;

impl Manifest {
    /// The content of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = serde_json::to_vec_pretty(self).expect("a manifest always serialises");
        let mut bytes =
            text.strip_suffix(b"\n}").expect("an object's last line is its own").to_vec();
        let hash = sha256::of(&bytes);
        bytes.extend([BEFORE, hash.as_bytes(), AFTER].concat());
        bytes
    }

    /// Reads and verifies the content of the file; otherwise what is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let digits = bytes.strip_suffix(AFTER).and_then(|rest| rest.split_last_chunk::<DIGITS>());
        let body = digits.and_then(|(rest, digits)| Some((rest.strip_suffix(BEFORE)?, digits)));
        let Some((body, digits)) = body else {
            return Err(
                "does not end with its own sha256: it was cut off, or is no manifest".into()
            );
        };
        if sha256::of(body).as_bytes() != digits {
            return Err("has changed since it was written (its own sha256 is wrong)".into());
        }
        let wrong = |e: serde_json::Error| format!("does not parse: {e}");
        let Format { format } = serde_json::from_slice(bytes).map_err(wrong)?;
        if format != FORMAT {
            return Err(format!("has format {format}, this program reads {FORMAT}"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(wrong)?;
        manifest.check_names()?;
        Ok(manifest)
    }

    /// Names lead to files below the bundle, each once.
    fn check_names(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for FileEntry { name, .. } in &self.files {
            if !is_file_name(name) {
                return Err(format!("lists {name:?}, which is no name of a file in a bundle"));
            }
            if !names.insert(name) {
                return Err(format!("lists {name} twice"));
            }
        }
        Ok(())
    }

    /// The entry of a file.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    /// Reads the manifest of the bundle at `path`.
    pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
        let file = path.join(MANIFEST_FILE);
        if file.metadata().is_ok_and(|of| !of.is_file() && !of.is_dir()) {
            // Reading a pipe would wait for whoever writes it.
            return Err(Error::refused(&file, "is no file; export the bundle again"));
        }
        match fs_err::read(&file) {
            Ok(bytes) => Ok(bytes),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(Error::Bundle {
                    path: path.into(),
                    reason: format!(
                        "holds no bundle (no {MANIFEST_FILE}); `eliverec export --run RUN --feeds DIR --out BUNDLE` makes one"
                    ),
                })
            }
            Err(e) if e.kind() == ErrorKind::IsADirectory => {
                Err(Error::refused(&file, "is a folder, where a file should be"))
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// Whether a name may be that of a file in a bundle: parts that are neither empty nor hidden, of letters, digits, `_`, `-` and `.`.
pub(crate) fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    name != MANIFEST_FILE && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file =
            |name: &str| FileEntry { name: name.into(), bytes: 3, sha256: sha256::of(b"abc") };
        Manifest {
            format: FORMAT,
            version: "autumn \"23\"".into(),
            created_ms: 5,
            program: "eliverec 0".into(),
            model: "elive".into(),
            schema: "0".into(),
            parameters: 7,
            rows: Rows { precision: Precision::Int8, rows: 1, bytes: 8 },
            made_of: MadeOf {
                run: "run".into(),
                checkpoint: "checkpoints/step-00000001".into(),
                step: 1,
                feeds: "f".into(),
                other_feeds: None,
                tables: None,
            },
            ids: IdKinds::default(),
            golden: GoldenRequests { tolerance: 1e-5, ..GoldenRequests::default() },
            files: vec![file("config.toml"), file("rows/000.rows")],
        }
    }

    #[test]
    fn it_reads_back_and_every_changed_bit_and_truncation_is_seen() {
        let bytes = manifest().to_bytes();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest());
        for place in 0..bytes.len() {
            assert!(Manifest::parse(&bytes[..place]).is_err(), "{place} bytes");
            for bit in [1, 0x20, 0x80] {
                let mut changed = bytes.clone();
                changed[place] ^= bit;
                assert!(Manifest::parse(&changed).is_err(), "bit {bit} of byte {place}");
            }
        }
        assert!(Manifest::parse(&[&bytes[..], b"\n"].concat()).is_err());
    }

    #[test]
    fn its_own_hash_is_that_of_the_bytes_before_the_line() {
        let text = String::from_utf8(manifest().to_bytes()).unwrap();
        let (body, end) = text.rsplit_once(",\n").unwrap();
        assert_eq!(end, format!("  \"sha256\": \"{}\"\n}}\n", sha256::of(body.as_bytes())));
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn names_that_lead_elsewhere_other_formats_and_doubles_are_refused() {
        for name in ["../x", "/etc/passwd", "a//b", "", "a/..", ".hidden", "manifest.json", "a\\b"]
        {
            let mut changed = manifest();
            changed.files[0].name = name.into();
            let reason = Manifest::parse(&changed.to_bytes()).unwrap_err();
            assert!(reason.contains("no name of a file"), "{name}: {reason}");
        }
        let mut changed = manifest();
        changed.files[1] = changed.files[0].clone();
        assert!(Manifest::parse(&changed.to_bytes()).unwrap_err().contains("config.toml twice"));
        changed.format = 9;
        assert!(Manifest::parse(&changed.to_bytes()).unwrap_err().contains("has format 9"));
    }
}
