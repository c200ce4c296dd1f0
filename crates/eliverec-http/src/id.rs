//! Ids as callers write them.

use std::fmt;

use eliverec_core::id::text_id;
use eliverec_core::schema::Group;
use eliverec_core::{IdKind, IdKinds};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, OneOf, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::Problem;

/// Bytes of UTF-8 of a text that is an id: more than names of things have, and few enough to be kept by the million.
const TEXT_BYTES: usize = 256;

/// An id: a JSON integer stands for itself, text for its hash, as in feeds and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// An integer from 0 on.
    Number(u64),
    /// One below 0: the same 64 bits.
    Negative(i64),
    /// Text.
    Text(String),
}

impl Id {
    /// The id as the system has it.
    pub fn value(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Negative(number) => number.cast_unsigned(),
            Self::Text(text) => text_id(text),
        }
    }

    /// The id as slots of experiments are computed of it ([`eliverec_experiments::slot`]): text as it is, so that callers need not know
    /// what it stands for; of a negative integer the same 64 bits without a sign, for both are one user.
    pub fn subject(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(_) | Self::Negative(_) => self.value().to_string(),
        }
    }

    /// The text of an id that is not a number from 0 on: all that has to be kept to write it again.
    pub(crate) fn written(&self) -> Option<String> {
        match self {
            Self::Number(_) => None,
            Self::Negative(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The id that [`Id::written`] gave that text of.
    pub(crate) fn of_written(id: u64, written: &str) -> Self {
        match written.parse::<i64>() {
            Ok(number) if number.cast_unsigned() == id => Self::Negative(number),
            _ => Self::Text(written.into()),
        }
    }

    /// The id that a part of an address says: of the kind that ids have here; where that is not known an integer, if it is written as
    /// JSON writes one, and text otherwise.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of_address(part: &str, kind: Option<IdKind>) -> Result<Self, String> {
        let number = || {
            let number = part.parse().map(Self::Number);
            let number = number.or_else(|_| part.parse().map(Self::Negative)).ok()?;
            // Without a plus, zeros before it, or a minus before 0: each id has one address.
            let is_plain = match &number {
                Self::Number(number) => number.to_string() == part,
                Self::Negative(number) => *number < 0 && number.to_string() == part,
                Self::Text(_) => false,
            };
            is_plain.then_some(number)
        };
        let text = || check_text(part).map(|()| Self::Text(part.into()));
        match kind {
            Some(IdKind::Text) => text(),
            Some(IdKind::Integer) => number().ok_or_else(|| {
                "ids are integers here, and this is none of 64 bits; write digits as JSON has them, without + and without zeros before them"
                    .into()
            }),
            None => number().map_or_else(text, Ok),
        }
    }

    /// Refuses an id of the other kind than ids have here.
    pub(crate) fn check(&self, kind: Option<IdKind>) -> Result<(), String> {
        let Some(kind) = kind else { return Ok(()) };
        let detail = match (self, kind) {
            (Self::Text(_), IdKind::Integer) => {
                "is text, and ids are integers here; write the number without quotes"
            }
            (Self::Number(_) | Self::Negative(_), IdKind::Text) => {
                "is an integer, and ids are text here; write it in quotes"
            }
            _ => return Ok(()),
        };
        Err(detail.into())
    }

    /// Its value as the id of a user, product or channel, that `field` of the request has.
    pub(crate) fn of_group(
        &self,
        group: Group,
        ids: &IdKinds,
        field: &str,
    ) -> Result<u64, Problem> {
        let checked = self.check(ids.of_group(group));
        checked.map(|()| self.value()).map_err(|detail| Problem::invalid(field, detail))
    }
}

fn check_text(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("an id of no characters".into()),
        1..=TEXT_BYTES => Ok(()),
        bytes => {
            Err(format!("an id of {bytes} bytes; an id that is text has at most {TEXT_BYTES}"))
        }
    }
}

impl ToSchema for Id {}

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        let integer = Object::builder().schema_type(Type::Integer).build();
        let text = Object::builder().schema_type(Type::String).min_length(Some(1));
        let either = OneOf::builder().item(integer).item(text.max_length(Some(TEXT_BYTES)).build());
        RefOr::T(Schema::OneOf(either.build()))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Negative(number) => serializer.serialize_i64(*number),
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
                Ok(u64::try_from(number).map_or(Id::Negative(number), Id::Number))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Id, E> {
                check_text(text).map_err(E::custom)?;
                Ok(Id::Text(text.into()))
            }
        }
        deserializer.deserialize_any(Ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_by_the_kind_that_ids_have() {
        let (text, integer) = (Some(IdKind::Text), Some(IdKind::Integer));
        let of = |part: &str, kind| Id::of_address(part, kind).ok();
        for (part, number) in [
            ("5", Some(Id::Number(5))),
            ("18446744073709551615", Some(Id::Number(u64::MAX))),
            ("-9223372036854775808", Some(Id::Negative(i64::MIN))),
            ("0", Some(Id::Number(0))),
            ("18446744073709551616", None),
            ("-9223372036854775809", None),
            ("+7", None),
            ("007", None),
            ("-0", None),
            ("-07", None),
            ("5.0", None),
            ("sofa", None),
        ] {
            assert_eq!(of(part, integer), number, "{part}");
            assert_eq!(of(part, text), Some(Id::Text(part.into())), "{part}");
            assert_eq!(of(part, None), number.or_else(|| of(part, text)), "{part}");
        }
        let long = "x".repeat(TEXT_BYTES + 1);
        for part in ["", &long] {
            assert!([integer, text, None].iter().all(|kind| of(part, *kind).is_none()));
        }
        assert!(serde_json::from_str::<Id>(&format!("\"{long}\"")).is_err());
    }

    #[test]
    fn ids_come_back_as_they_were_written() {
        for text in
            ["5", "-2", "-9223372036854775808", "18446744073709551615", "\"-2\"", "\"sofa\""]
        {
            let id: Id = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), text);
            let again =
                id.written().map_or(Id::Number(id.value()), |of| Id::of_written(id.value(), &of));
            assert_eq!(again, id);
        }
    }
}
