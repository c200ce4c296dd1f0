//! The crate's errors: sentences that name the server and what to do.

/// What can go wrong at the server that processes share.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that cannot be one.
    #[error("{reason}; write redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or unix:///PATH")]
    Address {
        /// What is wrong with it, without the address, which may have a password.
        reason: String,
    },
    /// Another process writes under the prefix.
    #[error(
        "the server at {place}: another process, {holder}, writes under the prefix {prefix:?}; stop it, or give another --prefix"
    )]
    Held {
        /// The server.
        place: String,
        /// What it calls itself.
        holder: String,
        /// The prefix.
        prefix: String,
    },
    /// What is there cannot be followed by this process.
    #[error("the state at {place}, prefix {prefix:?}, cannot be followed: {reason}")]
    Differs {
        /// The server.
        place: String,
        /// The prefix.
        prefix: String,
        /// What is another.
        reason: String,
    },
    /// The server cannot be reached, or refuses.
    #[error("the server at {place}: {reason}")]
    Server {
        /// The server.
        place: String,
        /// What it says.
        reason: String,
    },
    /// The state of this process.
    #[error(transparent)]
    State(#[from] eliverec_state::Error),
}

impl Error {
    /// Whether what was asked for is at fault, so that trying again does not help.
    pub const fn is_bad_input(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Held { .. } | Self::Differs { .. })
    }
}
