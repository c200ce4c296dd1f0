//! What callers send, and how it becomes the system's own: ids, events, contexts, rows of the tables.

use std::collections::BTreeMap;
use std::fmt;

use eliverec_core::dimensions::{Value, id_column};
use eliverec_core::event::{EventKind, Scalar};
use eliverec_core::schema::{Field, Group, Kind};
use eliverec_core::{Event, IdKinds};
use eliverec_state::OWN_EVENT_IDS;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

pub use crate::id::Id;

use crate::problem::{Code, Problem};

/// Values by field name, each once: JSON numbers, or ids of categorical fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(BTreeMap<String, serde_json::Value>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    if values.contains_key(&name) {
                        return Err(serde::de::Error::custom(format_args!(
                            "duplicate field `{name}`"
                        )));
                    }
                    values.insert(name, value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The fields that values are given for, and how their ids are written.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// In the schema's order.
    pub fields: &'a [Field],
    /// As far as it is known.
    pub ids: &'a IdKinds,
}

/// The values of fields in their order.
///
/// # Errors
/// A field without a value, a value of another kind, and a name that is no field; `within` stands before the field's name.
pub fn values(shape: Shape<'_>, values: &Values, within: &str) -> Result<Vec<Value>, Problem> {
    let (Shape { fields, ids }, Values(values)) = (shape, values);
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
        value_of(field, value, ids).map_err(|detail| Problem::invalid(named(&field.name), detail))
    });
    of_field.collect()
}

/// The values of a context's fields, which have one value each, as [`values`].
///
/// # Errors
/// As [`values`], and a field of several values.
pub fn scalars(shape: Shape<'_>, given: &Values, within: &str) -> Result<Vec<Scalar>, Problem> {
    let scalars = shape.fields.iter().zip(values(shape, given, within)?);
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

fn value_of(field: &Field, value: &serde_json::Value, ids: &IdKinds) -> Result<Value, String> {
    let kind = ids.of_field(field);
    let no_id = |value: &serde_json::Value| {
        format!("{} is no id: write an integer of 64 bits or text", shown(value))
    };
    let id = |value: &serde_json::Value| {
        let id = Id::deserialize(value).map_err(|_| no_id(value))?;
        id.check(kind)?;
        Ok(id.value())
    };
    match field.kind {
        Kind::Categorical { .. } => id(value).map(Value::Id),
        Kind::Bucket { .. } | Kind::Dense { .. } => {
            let number = value.as_f64().map(|number| number as f32);
            let number = number.filter(|number| number.is_finite());
            let wrong = || format!("{} is not a finite number", shown(value));
            number.map(Value::Number).ok_or_else(wrong)
        }
        Kind::Multi { .. } => {
            let values =
                value.as_array().ok_or_else(|| format!("{} is no array of ids", shown(value)))?;
            values.iter().map(id).collect::<Result<_, String>>().map(Value::Ids)
        }
    }
}

/// What was given, as far as a message has room for it.
fn shown(value: &serde_json::Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
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
    #[schema(schema_with = kinds)]
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

/// The kinds of events, for the description of the calls.
fn kinds() -> utoipa::openapi::schema::Object {
    let names = EventKind::ALL.map(EventKind::name);
    let object = utoipa::openapi::schema::Object::builder();
    object
        .schema_type(utoipa::openapi::schema::Type::String)
        .description(Some("What happened."))
        .enum_values(Some(names))
        .build()
}

impl WireEvent {
    /// When it arrived, if the caller says so.
    pub const fn available_at(&self) -> Option<i64> {
        self.available_at
    }

    /// Whether the stream of its channel begins.
    pub fn begins_a_stream(&self) -> bool {
        self.kind == EventKind::StreamStart.name()
    }

    /// In which channel it happened.
    pub const fn channel(&self) -> Option<&Id> {
        self.channel_id.as_ref()
    }

    /// The event that has arrived at `available_at_ms`, checked.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn into_event(self, context: Shape<'_>, available_at_ms: i64) -> Result<Event, Problem> {
        let ids = context.ids;
        let kind = EventKind::of(&self.kind).ok_or_else(|| {
            let known = EventKind::ALL.map(EventKind::name).join(", ");
            Problem::invalid("kind", format!("{:?} is none of {known}", self.kind))
        })?;
        let context = if kind == EventKind::Impression {
            scalars(context, &self.context, "context")?
        } else if self.context.0.is_empty() {
            Vec::new()
        } else {
            let detail = format!("belongs to impressions, not to {}", kind.name());
            return Err(Problem::invalid("context", detail));
        };
        let value = |id: &Option<Id>| id.as_ref().map(Id::value);
        let of = |id: &Option<Id>, group: Group| {
            id.as_ref().map(|id| id.of_group(group, ids, &id_column(group))).transpose()
        };
        let event = Event {
            event_id: event_id(&self.event_id)?,
            ts_ms: self.ts,
            available_at_ms,
            kind,
            user_id: of(&self.user_id, Group::User)?,
            channel_id: of(&self.channel_id, Group::Channel)?,
            product_id: of(&self.product_id, Group::Product)?,
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
        Id::Number(_) | Id::Negative(_) => {
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
        // -2^63 is the 64 bits of the first.
        assert!(event_id(&Id::Negative(i64::MIN)).is_err());
        // What stands for the hash of a text.
        assert!(!OWN_EVENT_IDS.contains(&!start) && !OWN_EVENT_IDS.contains(&!(end - 1)));
    }
}
