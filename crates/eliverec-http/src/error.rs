//! What keeps a service from starting.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the service does not start or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of tokens that cannot be used.
    #[error("{origin}: {reason}")]
    Tokens {
        /// The file or variable.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An address that others can reach, without tokens.
    #[error(
        "{address} can be reached from other machines and there are no tokens: give --tokens FILE, or listen on 127.0.0.1"
    )]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// A setting that cannot work.
    #[error("{field}: {reason}")]
    Setting {
        /// Its key.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A bundle that cannot answer requests, though it is what was exported.
    #[error("{}: {reason}", path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A bundle that is refused.
    #[error(transparent)]
    Serve(#[from] eliverec_serve::Error),
    /// A state that cannot be opened.
    #[error(transparent)]
    State(#[from] eliverec_state::Error),
    /// The file of channels' names cannot be read or written.
    #[error("{}: {reason}; restore it from a backup, or move the whole state away to begin anew", path.display())]
    Names {
        /// The file.
        path: PathBuf,
        /// What failed.
        reason: String,
        /// Whether that is want of room.
        disk_full: bool,
    },
    /// The address is taken, or the network fails.
    #[error("the network: {0}")]
    Network(std::io::Error),
}

impl Error {
    /// Whether a disk has no room.
    pub const fn is_disk_full(&self) -> bool {
        matches!(self, Self::Names { disk_full: true, .. })
    }

    /// Whether the input or the request is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Tokens { .. }
            | Self::Open { .. }
            | Self::Setting { .. }
            | Self::Bundle { .. } => true,
            Self::Serve(error) => error.is_bad_input(),
            Self::State(error) => {
                use eliverec_state::Error::{Ahead, Directory};
                matches!(error, Directory { .. } | Ahead { .. })
            }
            Self::Names { .. } => false,
            Self::Network(error) => error.kind() == std::io::ErrorKind::AddrInUse,
        }
    }
}
