//! How what stands at the server changes: each script at one moment, by the owner alone.

use redis::{Cmd, Connection, RedisResult};

/// Looks whether this process is the owner, and keeps it that. Keys: owner. Arguments: token, lease.
const OWNED: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'owner' end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
";

/// Looks whether a record is the last one there. Keys: owner, closed. Arguments: token, lease, position.
const AT_POSITION: &str = "
local closed = redis.call('GET', KEYS[2])
if not closed or string.match(closed, '^%d+') ~= ARGV[3] then return 'position' end
";

/// Keys: owner, closed, stream, the hash of each change. Arguments: token, lease, position before, closed, id, entry, then
/// field and value of each change, none of a field that leaves.
const PUBLISH: &str = "
for i = 4, #KEYS do
    local field, value = ARGV[2 * i - 1], ARGV[2 * i]
    if value == '' then redis.call('HDEL', KEYS[i], field) else redis.call('HSET', KEYS[i], field, value) end
end
redis.call('XADD', KEYS[3], ARGV[5], 'group', ARGV[6])
redis.call('SET', KEYS[2], ARGV[4])
return 'done'
";

/// Keys: owner, closed. Arguments: token, lease, position, closed.
const CLOSE: &str = "
redis.call('SET', KEYS[2], ARGV[4])
return 'done'
";

/// Keys: owner, the hash of each value. Arguments: token, lease, then field and value of each.
const PUT: &str = "
for i = 2, #KEYS do redis.call('HSET', KEYS[i], ARGV[2 * i - 1], ARGV[2 * i]) end
return 'done'
";

/// Keys: owner, hash. Arguments: token, lease, then the fields that leave.
const LEAVE: &str = "
for i = 3, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
return 'done'
";

/// Keys: owner, about, closed, snapshots. Arguments: token, lease, about, closed, snapshots.
const RESUME: &str = "
redis.call('SET', KEYS[4], ARGV[5])
redis.call('SET', KEYS[3], ARGV[4])
redis.call('SET', KEYS[2], ARGV[3])
return 'done'
";

/// Keys: owner, snapshots, stream. Arguments: token, lease, snapshots, the first id that stays.
const TURN: &str = "
redis.call('SET', KEYS[2], ARGV[3])
redis.call('XTRIM', KEYS[3], 'MINID', '~', ARGV[4])
return 'done'
";

/// Becomes the owner, or says who is. Keys: owner. Arguments: token, lease, what the token of a process that has ended begins with.
const CLAIM: &str = "
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and (ARGV[3] == '' or string.sub(held, 1, #ARGV[3]) ~= ARGV[3]) then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
";

/// Keys: owner. Arguments: token.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return ''
";

/// A process without the lease for so long is not the owner any more, milliseconds.
const LEASE_MS: u64 = 3_000;

/// What a script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is so now.
    Done,
    /// Another process is the owner.
    NotOwner,
    /// The last record is another.
    NotThere,
}

fn call(parts: &[&str], keys: &[String]) -> Cmd {
    let mut call = redis::cmd("EVAL");
    call.arg(parts.concat()).arg(keys.len()).arg(keys);
    call
}

fn said(connection: &mut Connection, call: &Cmd) -> RedisResult<Said> {
    let said: String = call.query(connection)?;
    Ok(match said.as_str() {
        "done" => Said::Done,
        "owner" => Said::NotOwner,
        _ => Said::NotThere,
    })
}

/// A field of a hash, with its value; without one it leaves.
pub(crate) type Change = (String, u64, Option<Vec<u8>>);

/// The words of one group.
pub(crate) struct Publish<'a> {
    pub(crate) closed_key: String,
    pub(crate) stream_key: String,
    /// The position before.
    pub(crate) before: u64,
    pub(crate) closed: String,
    pub(crate) id: String,
    pub(crate) entry: &'a [u8],
    pub(crate) changes: Vec<Change>,
}

/// Whose words they are.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) key: String,
    pub(crate) token: String,
}

impl Owner {
    /// Who else is the owner; `None` if this process is. One whose token begins with `ended` has ended.
    pub(crate) fn claim(
        &self,
        connection: &mut Connection,
        ended: Option<&str>,
    ) -> RedisResult<Option<String>> {
        let mut call = call(&[CLAIM], std::slice::from_ref(&self.key));
        call.arg(&self.token).arg(LEASE_MS).arg(ended.unwrap_or_default());
        let held: String = call.query(connection)?;
        Ok(Some(held).filter(|held| !held.is_empty()))
    }

    pub(crate) fn release(&self, connection: &mut Connection) -> RedisResult<()> {
        let mut call = call(&[RELEASE], std::slice::from_ref(&self.key));
        call.arg(&self.token).query::<String>(connection).map(drop)
    }

    pub(crate) fn publish(
        &self,
        connection: &mut Connection,
        words: Publish<'_>,
    ) -> RedisResult<Said> {
        let Publish { closed_key, stream_key, before, closed, id, entry, changes } = words;
        let mut keys = vec![self.key.clone(), closed_key, stream_key];
        keys.extend(changes.iter().map(|(key, ..)| key.clone()));
        let mut call = call(&[OWNED, AT_POSITION, PUBLISH], &keys);
        call.arg(&self.token).arg(LEASE_MS).arg(before).arg(closed).arg(id).arg(entry);
        for (_, field, value) in &changes {
            call.arg(field).arg(value.as_deref().unwrap_or_default());
        }
        said(connection, &call)
    }

    pub(crate) fn close(
        &self,
        connection: &mut Connection,
        key: String,
        position: u64,
        closed: &str,
    ) -> RedisResult<Said> {
        let mut call = call(&[OWNED, AT_POSITION, CLOSE], &[self.key.clone(), key]);
        call.arg(&self.token).arg(LEASE_MS).arg(position).arg(closed);
        said(connection, &call)
    }

    /// Sets fields of hashes.
    pub(crate) fn put(
        &self,
        connection: &mut Connection,
        values: &[(String, String, &[u8])],
    ) -> RedisResult<Said> {
        let mut keys = vec![self.key.clone()];
        keys.extend(values.iter().map(|(key, ..)| key.clone()));
        let mut call = call(&[OWNED, PUT], &keys);
        call.arg(&self.token).arg(LEASE_MS);
        for (_, field, value) in values {
            call.arg(field).arg(*value);
        }
        said(connection, &call)
    }

    /// Removes fields of a hash.
    pub(crate) fn leave(
        &self,
        connection: &mut Connection,
        key: String,
        fields: &[u64],
    ) -> RedisResult<Said> {
        let mut call = call(&[OWNED, LEAVE], &[self.key.clone(), key]);
        call.arg(&self.token).arg(LEASE_MS).arg(fields);
        said(connection, &call)
    }

    /// Sets about, closed and snapshots, by key and value.
    pub(crate) fn resume(
        &self,
        connection: &mut Connection,
        values: [(String, String); 3],
    ) -> RedisResult<Said> {
        let (keys, values): (Vec<String>, Vec<String>) = values.into_iter().unzip();
        let keys: Vec<String> = std::iter::once(self.key.clone()).chain(keys).collect();
        let mut call = call(&[OWNED, RESUME], &keys);
        call.arg(&self.token).arg(LEASE_MS).arg(values);
        said(connection, &call)
    }

    /// Another snapshot is the newest, and the stream begins with the record `first`.
    pub(crate) fn turn(
        &self,
        connection: &mut Connection,
        (key, snapshots): (String, String),
        stream: String,
        first: u64,
    ) -> RedisResult<Said> {
        let mut call = call(&[OWNED, TURN], &[self.key.clone(), key, stream]);
        call.arg(&self.token).arg(LEASE_MS).arg(snapshots).arg(format!("{first}-0"));
        said(connection, &call)
    }
}
