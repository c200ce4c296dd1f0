//! What the log holds, and its bytes: a checksum of 8 bytes over the sequence number and what follows, then the record.

use std::ops::Range;

use eliverec_core::checksum::Checksum;
use eliverec_core::dimensions::Value;
use eliverec_core::event::Event;
use eliverec_core::schema::Group;
use serde::{Deserialize, Serialize};

/// A table of what is known of users, products or channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Table {
    /// By `user_id`.
    Users,
    /// By `product_id`.
    Products,
    /// By `channel_id`.
    Channels,
}

impl Table {
    /// The group of the schema that has its fields.
    pub const fn group(self) -> Group {
        match self {
            Self::Users => Group::User,
            Self::Products => Group::Product,
            Self::Channels => Group::Channel,
        }
    }
}

/// New values of one row, or a new row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upsert {
    /// In which table.
    pub table: Table,
    /// Of whom.
    pub id: u64,
    /// One per field of [`eliverec_core::Dimension::fields_of`], in its order.
    pub values: Vec<Value>,
    /// From when it is known, milliseconds since 1970 UTC; written by the log.
    pub available_at_ms: i64,
}

/// Event ids that the log gives impressions of answers ([`crate::State::log_answer`]); callers' events must have others.
pub const OWN_EVENT_IDS: Range<u64> = 1 << 63..(1 << 63) + (1 << 40);

/// The event id of the record of that number.
pub(crate) const fn own_event_id(sequence: u64) -> u64 {
    OWN_EVENT_IDS.start + sequence % (OWN_EVENT_IDS.end - OWN_EVENT_IDS.start)
}

/// With what probability retrieval drew channels of an answer that was shown. Logs of layout 2 have it where [`Answered`] is now, in
/// the same place behind the answer's impressions; nothing writes it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// Of the answer.
    pub request_id: u64,
    /// Channels of the answer that were drawn, each with its probability.
    pub channels: Vec<(u64, f64)>,
    /// The stamp of its group, milliseconds since 1970 UTC; written by the log.
    pub available_at_ms: i64,
}

/// How an answer came to be: what reports of experiments group by, and what estimates from logged answers divide by. No fold knows
/// of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Of the answer.
    pub request_id: u64,
    /// Who asked.
    pub user_id: u64,
    /// The moment of the request, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The version of the bundle that scored.
    pub bundle: String,
    /// Names of layers of experiments, each with the bucket that the user is in.
    pub buckets: Vec<(String, String)>,
    /// Channels of the answer that retrieval drew, each with its probability.
    pub drawn: Vec<(u64, f64)>,
    /// The stamp of its group, milliseconds since 1970 UTC; written by the log.
    pub available_at_ms: i64,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// Something happened; [`Event::available_at_ms`] is the log's stamp.
    Event(Event),
    /// A row changed.
    Upsert(Upsert),
    /// Channels of an answer were drawn, in a log of layout 2.
    Drawn(Drawn),
    /// A request was answered.
    Answered(Answered),
}

impl Record {
    /// The stamp of its group, milliseconds since 1970 UTC.
    pub const fn stamp_ms(&self) -> i64 {
        match self {
            Self::Event(event) => event.available_at_ms,
            Self::Upsert(upsert) => upsert.available_at_ms,
            Self::Drawn(drawn) => drawn.available_at_ms,
            Self::Answered(answered) => answered.available_at_ms,
        }
    }

    pub(crate) fn encode(&self, sequence: u64) -> Result<Vec<u8>, postcard::Error> {
        let mut bytes = postcard::to_extend(self, vec![0; 8])?;
        let checksum = checksum(sequence, &bytes[8..]).to_le_bytes();
        bytes[..8].copy_from_slice(&checksum);
        Ok(bytes)
    }

    pub(crate) fn decode(sequence: u64, bytes: &[u8]) -> Result<Self, String> {
        let (expected, payload) = bytes.split_at_checked(8).ok_or("is too short")?;
        if checksum(sequence, payload).to_le_bytes() != expected {
            return Err("does not have its checksum".into());
        }
        match postcard::take_from_bytes(payload) {
            Ok((record, [])) => Ok(record),
            Ok(_) => Err("is too long".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn checksum(sequence: u64, payload: &[u8]) -> u64 {
    let mut checksum = Checksum::default();
    checksum.update(&sequence.to_le_bytes());
    checksum.update(&(payload.len() as u64).to_le_bytes());
    checksum.update(payload);
    checksum.value()
}

#[cfg(test)]
mod tests {
    use eliverec_core::event::{EventKind, Scalar};

    use super::*;

    #[test]
    fn a_record_of_layout_2_is_read() {
        // Its kind, the request, one channel, its probability, the stamp.
        let mut payload = vec![2, 3, 1, 5];
        payload.extend(0.25_f64.to_le_bytes());
        payload.push(16);
        let mut bytes = checksum(12, &payload).to_le_bytes().to_vec();
        bytes.extend(payload);
        let drawn = Drawn { request_id: 3, channels: vec![(5, 0.25)], available_at_ms: 8 };
        assert_eq!(Record::decode(12, &bytes), Ok(Record::Drawn(drawn)));
    }

    #[test]
    fn a_record_comes_back_and_any_other_byte_is_seen() {
        let event = Event {
            user_id: Some(u64::MAX),
            value: Some(0.1),
            position: Some(3),
            context: vec![Scalar::Id(7), Scalar::Number(-0.0)],
            ..Event::new(9, -5, EventKind::Impression)
        };
        let values = vec![Value::Ids(vec![1, 2]), Value::Number(0.5), Value::Id(3)];
        let upsert = Upsert { table: Table::Products, id: 4, values, available_at_ms: 8 };
        let channels = vec![(5, 0.25), (u64::MAX, 1.0)];
        let drawn = Drawn { request_id: 3, channels, available_at_ms: 8 };
        let answered = Answered {
            request_id: 3,
            user_id: 2,
            at_ms: 7,
            bundle: "b".into(),
            buckets: vec![("layer".into(), "bucket".into())],
            drawn: drawn.channels.clone(),
            available_at_ms: 8,
        };
        let answered = Record::Answered(answered);
        for record in [Record::Event(event), Record::Upsert(upsert), Record::Drawn(drawn), answered]
        {
            let bytes = record.encode(12).unwrap();
            assert_eq!(Record::decode(12, &bytes), Ok(record));
            assert!(Record::decode(13, &bytes).is_err());
            for cut in 0..bytes.len() {
                assert!(Record::decode(12, &bytes[..cut]).is_err());
                let mut damaged = bytes.clone();
                damaged[cut] ^= 1;
                assert!(Record::decode(12, &damaged).is_err(), "byte {cut}");
            }
        }
    }
}
