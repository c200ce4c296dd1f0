//! What the payloads of rows hold, byte by byte. Never stored: written and read by one run.

use datafusion_common::{DataFusionError, Result};
use eliverec_core::event::{Event, EventKind, Scalar};

use eliverec_features::{
    Candidate, CandidateFeatures, Click, Outcome, Request, RequestFeatures, Watch,
};

use crate::bytes::{Reader, Writer, short};

/// Everything of an event but its context.
pub(crate) fn write_event(event: &Event, to: &mut Vec<u8>) {
    let ids = [event.user_id, event.channel_id, event.product_id, event.request_id];
    let mut there = u8::from(event.position.is_some()) << 4 | u8::from(event.value.is_some()) << 5;
    for (bit, id) in ids.iter().enumerate() {
        there |= u8::from(id.is_some()) << bit;
    }
    let mut to = Writer(to);
    to.u8(event.kind as u8);
    to.u8(there);
    to.u64(event.event_id);
    to.i64(event.ts_ms);
    to.i64(event.available_at_ms);
    ids.into_iter().flatten().for_each(|id| to.u64(id));
    event.position.into_iter().for_each(|position| to.u16(position));
    event.value.into_iter().for_each(|value| to.f64(value));
}

/// The event of a row; without its context, which no fold looks at.
pub(crate) fn read_event(from: &mut Reader<'_>) -> Result<Event> {
    let kind = usize::from(from.u8()?);
    let kind = EventKind::ALL.get(kind).ok_or_else(short)?;
    let there = from.u8()?;
    let mut event = Event::new(from.u64()?, from.i64()?, *kind);
    event.available_at_ms = from.i64()?;
    let ids =
        [&mut event.user_id, &mut event.channel_id, &mut event.product_id, &mut event.request_id];
    for (bit, id) in ids.into_iter().enumerate() {
        if there & 1 << bit != 0 {
            *id = Some(from.u64()?);
        }
    }
    if there & 1 << 4 != 0 {
        event.position = Some(from.u16()?);
    }
    if there & 1 << 5 != 0 {
        event.value = Some(from.f64()?);
    }
    Ok(event)
}

/// An impression as its request will have it, and what comes after it.
pub(crate) struct Shown<'a> {
    pub(crate) event_id: u64,
    pub(crate) request_id: u64,
    pub(crate) channel_id: u64,
    pub(crate) available_at_ms: i64,
    pub(crate) position: Option<u16>,
    /// As [`write_context`] makes it.
    pub(crate) context: &'a [u8],
    /// The candidate's features, as [`write_candidate`] makes them.
    pub(crate) features: &'a [u8],
}

impl<'a> Shown<'a> {
    /// Its features may follow.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        let mut to = Writer(to);
        to.u64(self.event_id);
        to.u64(self.request_id);
        to.u64(self.channel_id);
        to.i64(self.available_at_ms);
        to.optional(self.position, Writer::u16);
        to.bytes(self.context);
        to.0.extend_from_slice(self.features);
    }

    pub(crate) fn read(mut from: Reader<'a>) -> Result<Self> {
        Ok(Self {
            event_id: from.u64()?,
            request_id: from.u64()?,
            channel_id: from.u64()?,
            available_at_ms: from.i64()?,
            position: from.optional(Reader::u16)?,
            context: from.bytes()?,
            features: from.rest(),
        })
    }
}

/// A candidate's features but those of the user and its anchor.
pub(crate) fn write_candidate(channel: &[f32], on_sale: &[u64], to: &mut Vec<u8>) {
    let mut to = Writer(to);
    to.numbers(channel);
    to.ids(on_sale);
}

/// The context of an impression.
pub(crate) fn write_context(context: &[Scalar], to: &mut Vec<u8>) {
    let mut to = Writer(to);
    to.length(context.len());
    for value in context {
        match *value {
            Scalar::Id(id) => {
                to.u8(0);
                to.u64(id);
            }
            Scalar::Number(x) => {
                to.u8(1);
                to.f32(x);
            }
        }
    }
}

pub(crate) fn read_context(from: &mut Reader<'_>) -> Result<Vec<Scalar>> {
    from.list(|from| {
        Ok(match from.u8()? {
            0 => Scalar::Id(from.u64()?),
            _ => Scalar::Number(from.f32()?),
        })
    })
}

/// Both histories and the user's own features.
pub(crate) fn write_user(features: &RequestFeatures, to: &mut Vec<u8>) {
    let mut to = Writer(to);
    to.length(features.products.len());
    for click in &features.products {
        to.id(click.product_id);
        to.f32(click.age_s);
    }
    to.length(features.channels.len());
    for watch in &features.channels {
        to.id(watch.channel_id);
        to.f32(watch.stay_s);
        to.f32(watch.age_s);
    }
    to.numbers(&features.user);
}

pub(crate) fn read_user(from: &mut Reader<'_>) -> Result<RequestFeatures> {
    Ok(RequestFeatures {
        products: from.list(|from| Ok(Click { product_id: from.id()?, age_s: from.f32()? }))?,
        channels: from.list(|from| {
            Ok(Watch { channel_id: from.id()?, stay_s: from.f32()?, age_s: from.f32()? })
        })?,
        user: from.numbers()?,
        candidates: Vec::new(),
    })
}

/// How many candidates a request has, which is known last and stands first.
pub(crate) fn write_count(candidates: usize, to: &mut Vec<u8>) {
    Writer(to).length(candidates);
}

/// A request but for its candidates: [`write_count`] comes before it, they follow, see [`write_answer`].
pub(crate) fn write_request(
    user_id: u64,
    context: &[u8],
    features: &RequestFeatures,
    to: &mut Vec<u8>,
) {
    Writer(to).u64(user_id);
    to.extend_from_slice(context);
    write_user(features, to);
}

/// A candidate with what the user did; `features` as [`Shown`] has them, then the numbers of the user and its anchor.
pub(crate) fn write_answer(candidate: Candidate, features: &[u8], to: &mut Vec<u8>) {
    let mut to = Writer(to);
    to.id(candidate.event_id);
    to.id(candidate.channel_id);
    to.optional(candidate.position, Writer::u16);
    let outcome = candidate.outcome.unwrap_or(Outcome::NONE);
    for done in [outcome.watched, outcome.bag_click, outcome.product_click] {
        to.u8(u8::from(done));
    }
    to.optional(outcome.stay_s, Writer::f32);
    to.0.extend_from_slice(features);
}

/// How many candidates the request of a row has.
pub(crate) fn candidates(payload: &[u8]) -> Result<u64> {
    Ok(Reader(payload).length()? as u64)
}

/// The request of a row that [`write_request`] and [`write_answer`] made; `popularity` tells whether candidates have it.
pub(crate) fn read_request(
    request_id: u64,
    ts_ms: i64,
    popularity: bool,
    payload: &[u8],
) -> Result<(Request, RequestFeatures)> {
    let mut from = Reader(payload);
    let count = from.length()?;
    let user_id = from.u64()?;
    let context = read_context(&mut from)?;
    let mut features = read_user(&mut from)?;
    let mut candidates = Vec::with_capacity(count);
    for _ in 0..count {
        let (event_id, channel_id) = (from.id()?, from.id()?);
        let position = from.optional(Reader::u16)?;
        let mut done = || Ok::<_, DataFusionError>(from.u8()? != 0);
        let (watched, bag_click, product_click) = (done()?, done()?, done()?);
        let stay_s = from.optional(Reader::f32)?;
        let outcome = Some(Outcome { watched, stay_s, bag_click, product_click });
        candidates.push(Candidate { event_id, channel_id, position, outcome });
        features.candidates.push(CandidateFeatures {
            channel: from.numbers()?,
            on_sale: from.ids()?,
            popularity: if popularity { from.f32()? } else { 0.0 },
            anchor: from.numbers()?,
        });
    }
    Ok((Request { request_id, user_id, ts_ms, context, candidates }, features))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        let event = Event {
            available_at_ms: 9,
            user_id: Some(1),
            channel_id: None,
            product_id: Some(u64::MAX),
            request_id: Some(0),
            position: Some(7),
            value: Some(1.5),
            ..Event::new(3, -4, EventKind::ProductOff)
        };
        let mut bytes = Vec::new();
        write_event(&event, &mut bytes);
        assert_eq!(read_event(&mut Reader(&bytes)).unwrap(), event);
        assert!(read_event(&mut Reader(&bytes[..bytes.len() - 1])).is_err());

        let outcome = Some(Outcome { watched: true, stay_s: None, ..Outcome::NONE });
        let candidate = Candidate { event_id: 5, channel_id: 6, position: Some(1), outcome };
        let request = Request {
            request_id: 1,
            user_id: 2,
            ts_ms: 3,
            context: vec![Scalar::Id(4), Scalar::Number(0.5)],
            candidates: vec![candidate; 2],
        };
        let of_candidate = CandidateFeatures {
            channel: vec![1.0, 2.0],
            anchor: vec![3.0],
            popularity: 4.0,
            on_sale: vec![7, u64::MAX],
        };
        let features = RequestFeatures {
            products: vec![Click { product_id: 1, age_s: 2.0 }],
            channels: vec![Watch { channel_id: 3, stay_s: 4.0, age_s: 5.0 }; 3],
            user: vec![6.0],
            candidates: vec![of_candidate; 2],
        };
        let (mut context, mut of_channel) = (Vec::new(), Vec::new());
        write_context(&request.context, &mut context);
        write_candidate(&[1.0, 2.0], &[7, u64::MAX], &mut of_channel);
        Writer(&mut of_channel).f32(4.0);
        let shown = Shown {
            event_id: 5,
            request_id: 1,
            channel_id: 6,
            available_at_ms: 8,
            position: Some(1),
            context: &context,
            features: &of_channel,
        };
        let (mut row, mut bytes) = (Vec::new(), Vec::new());
        shown.write(&mut row);
        let shown = Shown::read(Reader(&row)).unwrap();
        write_count(2, &mut bytes);
        write_request(2, shown.context, &features, &mut bytes);
        for _ in 0..2 {
            let mut known = shown.features.to_vec();
            Writer(&mut known).numbers(&[3.0]);
            write_answer(candidate, &known, &mut bytes);
        }
        assert_eq!(read_request(1, 3, true, &bytes).unwrap(), (request, features));
    }
}
