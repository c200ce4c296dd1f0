//! What keeps a service from starting.

use std::net::SocketAddr;

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
    /// The address is taken, or the network fails.
    #[error("the network: {0}")]
    Network(std::io::Error),
}
