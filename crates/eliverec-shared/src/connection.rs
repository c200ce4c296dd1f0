//! The way to the server, by one connection or by as many as there are requests at a time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use eliverec_state::{Closed, Users};
use redis::{Client, Connection, RedisError};

use crate::error::Error;
use crate::keys::Keys;

/// A server that says nothing for so long is away.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Where the server is.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    /// Without a password.
    pub(crate) place: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.place).finish()
    }
}

impl Server {
    pub(crate) fn at(url: &str) -> Result<Self, Error> {
        let reason = |e: RedisError| Error::Address { reason: e.to_string() };
        let client = Client::open(url).map_err(reason)?;
        let place = client.get_connection_info().addr().to_string();
        Ok(Self { client, place })
    }

    /// A connection on which no call takes longer.
    pub(crate) fn connect(&self, within: Duration) -> Result<Connection, Error> {
        let connect = || {
            let connection = self.client.get_connection_with_timeout(within)?;
            connection.set_read_timeout(Some(within))?;
            connection.set_write_timeout(Some(within))?;
            Ok(connection)
        };
        connect().map_err(|e| self.failed(e))
    }

    pub(crate) fn failed(&self, error: RedisError) -> Error {
        if error.is_timeout() {
            return self.refused("it said nothing in time");
        }
        self.refused(error.to_string())
    }

    pub(crate) fn refused(&self, reason: impl Into<String>) -> Error {
        Error::Server { place: self.place.clone(), reason: reason.into() }
    }
}

/// The folds of users at the server.
#[derive(Debug)]
pub(crate) struct Fetching {
    server: Server,
    keys: Keys,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle(Vec<Connection>);

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Idle").field(&self.0.len()).finish()
    }
}

impl Fetching {
    pub(crate) fn new(server: Server, keys: Keys) -> Self {
        Self { server, keys, idle: Mutex::default() }
    }

    fn fetch_by(
        &self,
        connection: &mut Connection,
        epoch: &str,
        user: u64,
    ) -> Result<(Option<String>, Option<Vec<u8>>), RedisError> {
        let mut both = redis::pipe();
        // Both as of one moment.
        both.atomic().cmd("GET").arg(self.keys.closed(epoch));
        both.cmd("HGET").arg(self.keys.user(epoch, user)).arg(user);
        both.query(connection)
    }
}

impl Users for Fetching {
    fn fetch(
        &self,
        epoch: &str,
        user: u64,
        within: Duration,
    ) -> Result<(Option<Closed>, Option<Vec<u8>>), String> {
        let until = Instant::now() + within;
        let text = |e: Error| e.to_string();
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).0.pop();
            let is_new = idle.is_none();
            let left =
                until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.server.connect(left).map_err(text)?,
            };
            let fetched = connection
                .set_read_timeout(Some(left))
                .and_then(|()| self.fetch_by(&mut connection, epoch, user));
            match fetched {
                Ok((closed, folds)) => {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).0.push(connection);
                    let closed = closed.map(|closed| closed.parse()).transpose()?;
                    return Ok((closed, folds));
                }
                // One that was idle may have ended long ago.
                Err(e) if !is_new && e.is_connection_dropped() => {}
                Err(e) => return Err(text(self.server.failed(e))),
            }
        }
    }
}
