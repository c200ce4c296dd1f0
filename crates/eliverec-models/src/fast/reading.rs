//! From a request's values to vectors: ids as rows of the tables, numbers as they are, lists as means of rows; and the linear maps
//! from an entity's fields to d (Sec. IV-A).

use std::ops::Range;

use eliverec_core::batch::{Batch, Values};
use eliverec_core::schema::{Group, Schema};

use super::engine::{Engine, Lanes, Panels, room};
use super::weight::{Parameters, Weight};
use crate::blocks::age_bucket;
use crate::input_config::{Maps, Query};
use crate::settings::ModelSettings;

/// Writes the row of an id of a table, of all tables in the order of [`ModelSettings::tables`].
pub type ReadRow<'a> = dyn Fn(usize, u64, &mut [f32]) + 'a;

/// One feed of a batch and the rows of its ids.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Any feeds.
    pub batch: &'a Batch,
    /// Which of them.
    pub feed: usize,
    /// Rows of the embedding tables.
    pub rows: &'a ReadRow<'a>,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("feed", &self.feed).finish_non_exhaustive()
    }
}

/// A field's values and the table that they name rows of.
#[derive(Clone, Copy, Debug)]
struct Column {
    group: Group,
    field: usize,
    width: usize,
    /// `None` for a number.
    table: Option<usize>,
}

impl Column {
    /// Writes an entity's vector `[width]`; `spare` is room for a row.
    fn read(&self, request: &Request<'_>, entity: usize, to: &mut [f32], spare: &mut Vec<f32>) {
        let values = &request.batch.values(self.group)[self.field];
        match (values, self.table) {
            (Values::Ids(ids), Some(table)) => (request.rows)(table, ids[entity], to),
            (Values::Lists { offsets, ids }, Some(table)) => {
                to.fill(0.0);
                let ids = &ids[offsets.range(entity)];
                let row = room(spare, self.width);
                for id in ids {
                    (request.rows)(table, *id, row);
                    to.iter_mut().zip(&*row).for_each(|(sum, value)| *sum += value);
                }
                let count = ids.len().max(1) as f32;
                to.iter_mut().for_each(|sum| *sum /= count);
            }
            (Values::Numbers(numbers), _) => to[0] = numbers[entity],
            (Values::Ids(_) | Values::Lists { .. }, None) => {
                unreachable!("Schema::check gave every field with ids a vocabulary")
            }
        }
    }
}

/// Fields side by side.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns(Vec<Column>);

impl Columns {
    /// All fields of some groups in a model of width `d`.
    pub(super) fn of(schema: &Schema, groups: &[Group], d: usize) -> Self {
        let all = groups.iter().flat_map(|group| {
            let tables = schema.fields(*group).iter().map(|of| schema.vocabulary_of(of));
            let extra = (0..schema.extra_numbers(*group)).map(|_| None);
            tables.chain(extra).enumerate().map(move |(field, table)| {
                let width = table.map_or(1, |v| schema.width(v, d));
                Column { group: *group, field, width, table }
            })
        });
        Self(all.collect())
    }

    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|column| column.width).sum()
    }

    /// Writes an entity's vectors side by side `[width]`.
    fn read(&self, request: &Request<'_>, entity: usize, mut to: &mut [f32], spare: &mut Vec<f32>) {
        for column in &self.0 {
            let (part, rest) = to.split_at_mut(column.width);
            column.read(request, entity, part, spare);
            to = rest;
        }
    }

    /// Adds an entity's vectors, all of one width, to `to` `[d]`.
    pub(super) fn add(
        &self,
        request: &Request<'_>,
        entity: usize,
        to: &mut [f32],
        spare: &mut ReadingRoom,
    ) {
        for column in &self.0 {
            let row = room(&mut spare.rows, to.len());
            column.read(request, entity, row, &mut spare.row);
            to.iter_mut().zip(&*row).for_each(|(sum, value)| *sum += value);
        }
    }
}

/// Room for what is read.
#[derive(Debug, Default)]
pub(super) struct ReadingRoom {
    row: Vec<f32>,
    rows: Vec<f32>,
}

/// An entity: its fields, and their linear map to d where they need one.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    pub(super) columns: Columns,
    /// `None` where the fields' widths add up to d.
    pub(super) map: Option<Weight>,
}

/// What the maps of a model's entities are made of.
pub(super) struct Maker<'a> {
    pub(super) schema: &'a Schema,
    pub(super) settings: &'a ModelSettings,
    pub(super) parameters: &'a Parameters,
}

impl Maker<'_> {
    fn d(&self) -> usize {
        self.settings.input.width
    }

    /// The entity whose map is called `name`, of all fields of `groups`; `None` without fields.
    pub(super) fn entity(&self, name: &str, groups: &[Group]) -> Option<Entity> {
        let columns = Columns::of(self.schema, groups, self.d());
        if columns.0.is_empty() {
            return None;
        }
        let own = self.parameters.find(&format!("entities.{name}.weight"));
        let map = match self.settings.input.maps {
            Maps::Entity => own,
            Maps::Vocabulary => {
                let mut number = 0;
                let parts = columns.0.iter().map(|column| match (column.table, &own) {
                    (Some(table), _) => self.of_vocabulary(table),
                    (None, Some(numbers)) => {
                        number += 1;
                        Some(numbers.rows(number - 1..number))
                    }
                    (None, None) => None,
                });
                let empty = Weight::empty(self.d());
                Some(parts.flatten().fold(empty, |all, part| all.above(&part)))
            }
        };
        Some(Entity { columns, map })
    }

    /// The map of a vocabulary, if it has one.
    fn of_vocabulary(&self, table: usize) -> Option<Weight> {
        self.parameters.find(&format!("entities.vocabularies.{table}"))
    }

    /// e_vt: the channel, and with [`Query::Moment`] those of the target's fields whose vocabulary a history draws on.
    pub(super) fn target(&self) -> Option<Entity> {
        let mut target = self.entity("channel", &[Group::Channel])?;
        target.columns = Columns::of(self.schema, &[Group::Candidate], self.d());
        if self.settings.input.query == Query::Moment {
            let products = self.settings.has_products(self.schema).then_some(Group::Product);
            let histories = || products.into_iter().chain([Group::Channel]);
            let drawn_on = |table| {
                let fields = histories().flat_map(|group| self.schema.fields(group));
                fields.filter_map(|field| self.schema.vocabulary_of(field)).any(|v| v == table)
            };
            for column in Columns::of(self.schema, &[Group::Target], self.d()).0 {
                let Some(table) = column.table.filter(|table| drawn_on(*table)) else { continue };
                let Some(map) = self.of_vocabulary(table) else { continue };
                target.map = target.map.map(|all| all.above(&map));
                target.columns.0.push(column);
            }
        }
        Some(target)
    }
}

/// What enters the layers above an entity: its vector, or its fields where the map is multiplied into those layers.
#[derive(Debug)]
pub(super) struct Input {
    columns: Columns,
    /// What is still to be applied.
    map: Option<Weight>,
    /// The map that is multiplied into the layers above.
    folded: Option<Weight>,
    d: usize,
}

impl Input {
    /// An entity below layers of `units` together, its map multiplied into them where that makes fewer products.
    pub(super) fn below(entity: Entity, units: usize, d: usize) -> Self {
        let Entity { columns, map } = entity;
        let fold = |map: &Weight| map.inputs * units <= map.inputs * d + d * units;
        let (folded, map) = match map {
            Some(map) if fold(&map) => (Some(map), None),
            map => (None, map),
        };
        Self { columns, map, folded, d }
    }

    /// An entity whose vector itself is needed.
    pub(super) fn whole(entity: Entity, d: usize) -> Self {
        Self { columns: entity.columns, map: entity.map, folded: None, d }
    }

    /// Numbers that enter the layers above.
    pub(super) fn width(&self) -> usize {
        if self.map.is_some() { self.d } else { self.columns.width() }
    }

    /// A layer above `[d, units]` for what enters it `[width, units]`.
    pub(super) fn layer(&self, weight: &Weight) -> Weight {
        self.folded.as_ref().map_or_else(|| weight.clone(), |map| map.then(weight))
    }

    /// Reads `entities` into lanes, `to` `[width, lanes]`.
    pub(super) fn lanes(
        &self,
        request: &Request<'_>,
        entities: Range<usize>,
        lanes: Lanes,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &mut LanesRoom,
    ) {
        let width = self.columns.width();
        let rows = room(&mut spare.rows, lanes.used * width);
        for (entity, row) in entities.zip(rows.chunks_exact_mut(width)) {
            self.columns.read(request, entity, row, &mut spare.row);
        }
        let Some(map) = &self.map else { return turn(rows, width, lanes, to) };
        let turned = room(&mut spare.turned, width * lanes.all);
        turn(rows, width, lanes, turned);
        engine.map(to, map, turned, lanes);
    }

    /// Reads one entity, `to` `[width]`.
    pub(super) fn vector(
        &self,
        request: &Request<'_>,
        entity: usize,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &mut LanesRoom,
    ) {
        let rows = room(&mut spare.rows, self.columns.width());
        self.columns.read(request, entity, rows, &mut spare.row);
        match &self.map {
            None => to.copy_from_slice(rows),
            Some(map) => engine.vector(to, rows, map),
        }
    }
}

/// `to` `[width, lanes]` from `rows` `[used, width]`, zero in the lanes without a candidate.
fn turn(rows: &[f32], width: usize, lanes: Lanes, to: &mut [f32]) {
    for (i, to) in to.chunks_exact_mut(lanes.all).enumerate() {
        let (used, rest) = to.split_at_mut(lanes.used);
        used.iter_mut().zip(rows[i..].iter().step_by(width)).for_each(|(to, from)| *to = *from);
        rest.fill(0.0);
    }
}

/// Room for what is read into lanes.
#[derive(Debug, Default)]
pub(super) struct LanesRoom {
    row: Vec<f32>,
    rows: Vec<f32>,
    turned: Vec<f32>,
}

/// A domain's events as vectors.
#[derive(Debug)]
pub(super) struct Events {
    columns: Columns,
    map: Option<Panels>,
    /// What only an event has.
    extras: Columns,
    /// A vector per bucket of the event's age `[buckets, d]`.
    recency: Option<Weight>,
}

impl Events {
    pub(super) fn new(entity: Entity, extras: Columns, recency: Option<Weight>) -> Self {
        let Entity { columns, map } = entity;
        Self { columns, map: map.as_ref().map(Panels::of), extras, recency }
    }

    /// The vectors `[l, d]` of the entities of one feed's events.
    pub(super) fn read(
        &self,
        request: &Request<'_>,
        events: Range<usize>,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &mut ReadingRoom,
    ) {
        if events.is_empty() {
            return;
        }
        let width = self.columns.width();
        if let Some(map) = &self.map {
            let mut rows = std::mem::take(&mut spare.rows);
            let fields = room(&mut rows, events.len() * width);
            self.fields(request, events, fields, &mut spare.row);
            engine.rows(to, fields, map);
            spare.rows = rows;
        } else {
            self.fields(request, events, to, &mut spare.row);
        }
    }

    /// From these vectors to E `[l, d]`: adds what only the events have; `age_s` `[l]`.
    pub(super) fn add_extras(
        &self,
        request: &Request<'_>,
        events: Range<usize>,
        age_s: &[f32],
        to: &mut [f32],
        spare: &mut ReadingRoom,
    ) {
        if events.is_empty() {
            return;
        }
        let d = to.len() / events.len();
        for ((event, age_s), vector) in events.zip(age_s).zip(to.chunks_exact_mut(d)) {
            self.extras.add(request, event, vector, spare);
            if let Some(recency) = &self.recency {
                let added = &recency.values[age_bucket(*age_s) as usize * d..][..d];
                vector.iter_mut().zip(added).for_each(|(sum, value)| *sum += value);
            }
        }
    }

    /// The fields of the events side by side `[l, width]`.
    fn fields(
        &self,
        request: &Request<'_>,
        events: Range<usize>,
        to: &mut [f32],
        spare: &mut Vec<f32>,
    ) {
        for (event, row) in events.zip(to.chunks_exact_mut(self.columns.width())) {
            self.columns.read(request, event, row, spare);
        }
    }

    /// Writes what the events' vectors are made of, ids and bits of numbers, into `content`.
    pub(super) fn content(
        &self,
        batch: &Batch,
        events: Range<usize>,
        age_s: &[f32],
        content: &mut Vec<u64>,
    ) {
        content.push(events.len() as u64);
        for column in self.columns.0.iter().chain(&self.extras.0) {
            match &batch.values(column.group)[column.field] {
                Values::Ids(ids) => content.extend_from_slice(&ids[events.clone()]),
                Values::Numbers(numbers) => {
                    let bits = numbers[events.clone()].iter().map(|x| u64::from(x.to_bits()));
                    content.extend(bits);
                }
                Values::Lists { offsets, ids } => {
                    for event in events.clone() {
                        let range = offsets.range(event);
                        content.push(range.len() as u64);
                        content.extend_from_slice(&ids[range]);
                    }
                }
            }
        }
        if self.recency.is_some() {
            content.extend(age_s.iter().map(|age_s| u64::from(age_bucket(*age_s))));
        }
    }
}
