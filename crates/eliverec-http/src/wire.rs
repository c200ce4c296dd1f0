//! What callers send, and how it becomes the system's own: ids, events, contexts, rows of the tables.

use std::collections::BTreeMap;
use std::fmt;

use eliverec_core::Event;
use eliverec_core::dimensions::Value;
use eliverec_core::event::{EventKind, Scalar};
use eliverec_core::id::text_id;
use eliverec_core::schema::{Field, Kind};
use eliverec_state::OWN_EVENT_IDS;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, OneOf, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::{Code, Problem};

/// An id: a JSON integer stands for itself, text for its hash, as in feeds and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// An integer; negative ones are the 64-bit pattern.
    Number(u64),
    /// Text.
    Text(String),
}

impl Id {
    /// The id as the system has it.
    pub fn value(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text_id(text),
        }
    }

    /// The id that a segment of a path says: an integer where it is one, text elsewhere.
    pub fn of_path(segment: &str) -> Self {
        if let Ok(number) = segment.parse::<u64>() {
            return Self::Number(number);
        }
        match segment.parse::<i64>() {
            Ok(number) => Self::Number(number.cast_unsigned()),
            Err(_) => Self::Text(segment.into()),
        }
    }
}

impl ToSchema for Id {}

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        let of = |kind| Object::builder().schema_type(kind).build();
        let either = OneOf::builder().item(of(Type::Integer)).item(of(Type::String));
        RefOr::T(Schema::OneOf(either.build()))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;
        impl Visitor<'_> for Ids {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id: an integer of 64 bits, or text")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Id, E> {
                Ok(Id::Number(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Id, E> {
                Ok(Id::Number(number.cast_unsigned()))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Id, E> {
                if text.is_empty() {
                    return Err(E::custom("an id of no characters"));
                }
                Ok(Id::Text(text.into()))
            }
        }
        deserializer.deserialize_any(Ids)
    }
}

/// Values by field name: JSON numbers, or ids of categorical fields.
pub type Values = BTreeMap<String, serde_json::Value>;

/// The values of `fields` in their order.
///
/// # Errors
/// A field without a value, a value of another kind, and a name that is no field; `within` stands before the field's name.
pub fn values(fields: &[Field], values: &Values, within: &str) -> Result<Vec<Value>, Problem> {
    let named = |name: &str| format!("{within}.{name}");
    if let Some(name) = values.keys().find(|name| fields.iter().all(|field| field.name != **name)) {
        let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let detail = match known.as_slice() {
            [] => "the schema has no fields here".to_owned(),
            known => format!("the schema has no such field; it has {}", known.join(", ")),
        };
        return Err(Problem::invalid(named(name), detail));
    }
    let of_field = fields.iter().map(|field| {
        let value = values.get(&field.name).ok_or_else(|| {
            Problem::invalid(named(&field.name), "is missing; the schema declares it")
        })?;
        value_of(field, value).map_err(|detail| Problem::invalid(named(&field.name), detail))
    });
    of_field.collect()
}

/// The values of a context's fields, which have one value each, as [`values`].
///
/// # Errors
/// As [`values`], and a field of several values.
pub fn scalars(fields: &[Field], given: &Values, within: &str) -> Result<Vec<Scalar>, Problem> {
    let scalars = fields.iter().zip(values(fields, given, within)?);
    let scalar = |(field, value): (&Field, Value)| match value {
        Value::Id(id) => Ok(Scalar::Id(id)),
        Value::Number(number) => Ok(Scalar::Number(number)),
        Value::Ids(_) => {
            let detail = "is a field of several values, which cannot be given here";
            Err(Problem::invalid(format!("{within}.{}", field.name), detail))
        }
    };
    scalars.map(scalar).collect()
}

fn value_of(field: &Field, value: &serde_json::Value) -> Result<Value, String> {
    match field.kind {
        Kind::Categorical { .. } => Id::deserialize(value)
            .map(|id| Value::Id(id.value()))
            .map_err(|_| format!("{value} is no id: write an integer or text")),
        Kind::Bucket { .. } | Kind::Dense { .. } => {
            let number = value.as_f64().map(|number| number as f32);
            let number = number.filter(|number| number.is_finite());
            number.map(Value::Number).ok_or_else(|| format!("{value} is not a finite number"))
        }
        Kind::Multi { .. } => Vec::<Id>::deserialize(value)
            .map(|ids| Value::Ids(ids.iter().map(Id::value).collect()))
            .map_err(|_| format!("{value} is no array of ids")),
    }
}

/// An event as callers write it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WireEvent {
    /// Unique; the same event sent again is known by it and not taken twice.
    event_id: Id,
    /// When it happened, milliseconds since 1970 UTC.
    ts: i64,
    /// When it arrived, milliseconds since 1970 UTC, on a service whose clock the callers set.
    #[serde(default)]
    available_at: Option<i64>,
    /// What happened: `impression`, `watch`, `leave`, `bag_click`, `product_click`, `order`, `follow`, `like`, `comment`,
    /// `stream_start`, `stream_end`, `product_on`, `product_off`.
    kind: String,
    /// Who.
    #[serde(default)]
    user_id: Option<Id>,
    /// In which channel.
    #[serde(default)]
    channel_id: Option<Id>,
    /// With which product.
    #[serde(default)]
    product_id: Option<Id>,
    /// Ties an impression, and what follows from it, to one request.
    #[serde(default)]
    request_id: Option<Id>,
    /// Place in the feed, from 0.
    #[serde(default)]
    position: Option<u16>,
    /// Seconds of a leave, revenue of an order.
    #[serde(default)]
    value: Option<f64>,
    /// The schema's context fields, of an impression.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Values,
}

impl WireEvent {
    /// When it arrived, if the caller says so.
    pub const fn available_at(&self) -> Option<i64> {
        self.available_at
    }

    /// In which channel it happened.
    pub const fn channel(&self) -> Option<&Id> {
        self.channel_id.as_ref()
    }

    /// The event that has arrived at `available_at_ms`, checked.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn into_event(self, context: &[Field], available_at_ms: i64) -> Result<Event, Problem> {
        let kind = EventKind::of(&self.kind).ok_or_else(|| {
            let known = EventKind::ALL.map(EventKind::name).join(", ");
            Problem::invalid("kind", format!("{:?} is none of {known}", self.kind))
        })?;
        let context = if kind == EventKind::Impression {
            scalars(context, &self.context, "context")?
        } else if self.context.is_empty() {
            Vec::new()
        } else {
            let detail = format!("belongs to impressions, not to {}", kind.name());
            return Err(Problem::invalid("context", detail));
        };
        let value = |id: &Option<Id>| id.as_ref().map(Id::value);
        let event = Event {
            event_id: event_id(&self.event_id)?,
            ts_ms: self.ts,
            available_at_ms,
            kind,
            user_id: value(&self.user_id),
            channel_id: value(&self.channel_id),
            product_id: value(&self.product_id),
            request_id: value(&self.request_id),
            position: self.position,
            value: self.value,
            context,
        };
        event.check()?;
        Ok(event)
    }
}

/// The id of a caller's event, which is none of those that the log gives its own. The hash of a text that happens to be one
/// stands for another.
fn event_id(id: &Id) -> Result<u64, Problem> {
    let value = id.value();
    match id {
        _ if !OWN_EVENT_IDS.contains(&value) => Ok(value),
        Id::Text(_) => Ok(!value),
        Id::Number(_) => {
            let std::ops::Range { start, end } = OWN_EVENT_IDS;
            let detail = format!(
                "{value} is one of the ids from {start} to {}, which the service gives events of its own; use another, or text",
                end - 1
            );
            Err(Problem::invalid("event_id", detail))
        }
    }
}

/// A number of rows above a limit.
///
/// # Errors
/// [`Code::Invalid`] names the limit.
pub fn at_most(rows: usize, most: usize, what: &'static str) -> Result<(), Problem> {
    if rows > most {
        let detail = format!("{rows} {what}; this service takes at most {most} at once");
        return Err(Problem::new(Code::Invalid, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_and_the_log_share_no_event_id() {
        let std::ops::Range { start, end } = OWN_EVENT_IDS;
        for number in [0, start - 1, end, u64::MAX] {
            assert_eq!(event_id(&Id::Number(number)), Ok(number));
        }
        for number in [start, end - 1] {
            let problem = event_id(&Id::Number(number)).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("event_id"));
        }
        // What stands for the hash of a text.
        assert!(!OWN_EVENT_IDS.contains(&!start) && !OWN_EVENT_IDS.contains(&!(end - 1)));
    }
}
