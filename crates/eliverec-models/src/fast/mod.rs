//! The fast path of ranking: one user's request against its candidates, on one thread, without a graph and without a tensor library.
//!
//! It computes what [`crate::Model::forward`] computes, up to rounding, in another order (`docs/decisions.md`, "The ranker's fast
//! path"):
//! - the user's side once per request ([`FastModel::encode`]): embedding maps, encoders, prototypes. It depends on the histories
//!   alone, so a caller may keep it for as long as they stay what they are ([`FastModel::content`]);
//! - the first layers of tower and experts on the events, once per request (`first_layer`);
//! - the candidates in lanes, 64 at once: every number of a layer is a row with one place per candidate, so that softmax, gates and
//!   mixtures need no sums across a register, and a candidate's score does not depend on its company.
//!
//! Weights are joined, multiplied into the next layer and laid out once, at load. Buffers are kept between requests ([`Room`]). What
//! it cannot do it says at load ([`Unsupported`]); the general path can do everything.

mod calibration;
mod din;
mod elive;
mod encoded;
mod encoder;
mod engine;
mod eta;
mod first_layer;
mod heads;
mod loops;
mod reading;
mod stage;
mod tower;
mod trunk;
mod unsupported;
mod weight;

use std::ops::Range;

use eliverec_core::batch::Batch;
use eliverec_core::schema::{Group, Schema};

pub use calibration::Calibration;
pub use encoded::Encoded;
pub use reading::{ReadRow, Request};
pub use stage::Stage;
pub use unsupported::Unsupported;

use engine::{Engine, Lanes, room};
use first_layer::{FIXED, FirstLayer, Inputs};
use heads::{Fields, Heads, HeadsRoom};
use reading::{Columns, Events, Input, LanesRoom, Maker, ReadingRoom};
use tower::Tower;
use trunk::{Trunk, TrunkRoom};
use weight::Parameters;

use crate::model::Model;
use crate::registry::ModelConfig;
use crate::settings::ModelSettings;
use crate::zoo::elive::Position;

/// Candidates that the choice between the two ways to a field assumes: it must not depend on how many there are.
const USUAL_CANDIDATES: usize = 100;

/// A model as the fast path wants it.
#[derive(Debug)]
pub struct FastModel {
    inputs: Inputs,
    /// Live, then product.
    histories: Vec<History>,
    trunk: Trunk,
    /// The trunk's fields.
    fields: usize,
    first: FirstLayer,
    tower: Tower,
    heads: Option<Heads>,
    tasks: usize,
}

#[derive(Debug)]
struct History {
    group: Group,
    events: Events,
}

/// What is asked of the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The logit of being watched alone.
    Watch,
    /// That, and every task's output, of a model that has heads.
    All,
}

/// What a model says of a request's candidates, before any of it is a probability or a duration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Of being watched `[n]`.
    pub logits: Vec<f32>,
    /// By task of the schema `[n]`; `None` for a model without heads, or if they were not wanted.
    pub tasks: Option<Vec<Vec<f32>>>,
}

/// Buffers for one request at a time; what they hold counts for nothing between requests.
#[derive(Debug, Default)]
pub struct Room {
    engine: Engine,
    reading: ReadingRoom,
    lanes: LanesRoom,
    trunk: TrunkRoom,
    heads: HeadsRoom,
    context: Vec<f32>,
    /// First layers of the events, of tower and of experts.
    projected: [Vec<f32>; 2],
    rows: Vec<f32>,
    dynamic: Vec<f32>,
    attention: Vec<f32>,
    sums: Vec<f32>,
    layers: Vec<Vec<f32>>,
}

impl Room {
    /// Floating-point operations of all matrix products that were computed in this room, those of padding left out.
    pub fn operations(&self) -> u64 {
        self.engine.operations
    }
}

impl FastModel {
    /// The fast form of a model that `settings` made.
    ///
    /// # Errors
    /// [`Unsupported`] names the setting that only the general path computes.
    pub fn new(
        settings: &ModelSettings,
        schema: &Schema,
        model: &Model,
    ) -> Result<Self, Unsupported> {
        if settings.tower.history_means {
            return Err(Unsupported { key: "tower.history_means", value: "true".into() });
        }
        let d = settings.input.width;
        let parameters = Parameters::of(model);
        let maker = Maker { schema, settings, parameters: &parameters };
        let products = settings.has_products(schema);
        let domains: &[&str] = if products { &["live", "product"] } else { &["live"] };
        let trunk = Trunk::new(&settings.model, &parameters, domains, d)?;
        let fields = model.shape().len();

        let recency = |name: &str| match &settings.model {
            ModelConfig::Elive(config) if config.position == Position::Recency => {
                Some(parameters.matrix(&format!("trunk.{name}.recency")))
            }
            _ => None,
        };
        let groups = [
            ("live", "channel", Group::Channel, Group::ChannelEvent),
            ("product", "product", Group::Product, Group::ProductEvent),
        ];
        let histories = groups.iter().take(domains.len()).map(|(domain, name, group, event)| {
            let entity = maker.entity(name, &[*group]).expect("the model has this history's map");
            let extras = Columns::of(schema, &[*event], d);
            History { group: *group, events: Events::new(entity, extras, recency(domain)) }
        });

        let (weight, bias, tower) = Tower::new(&parameters, settings.tower.widths.len());
        let tasks = if settings.heads.is_some() { schema.task.len() } else { 0 };
        let units = |layer: usize| {
            let heads = settings.heads.as_ref();
            let heads = heads.map_or(0, |heads| heads.experts * (heads.expert_width + tasks));
            layer + heads
        };
        let all_units = units(weight.outputs);
        let entity = |name: &str, groups: &[Group]| maker.entity(name, groups);
        let dynamic_field = settings.tower.intra_dynamic && !schema.dynamic.is_empty();
        let gates = settings.heads.as_ref().map_or(0, |heads| fields * heads.gate_hidden);
        let of_dynamic = gates + units(0) + if dynamic_field { all_units } else { 0 };
        let below = |entity, units| Input::below(entity, units, d);
        let inputs = Inputs {
            d,
            context: entity("context", &[Group::User, Group::Context])
                .map(|entity| below(entity, all_units)),
            target: Input::whole(maker.target().expect("a schema has channel fields"), d),
            state: entity("target", &[Group::Target]).map(|entity| below(entity, all_units)),
            dynamic: entity("dynamic", &[Group::Dynamic]).map(|entity| below(entity, of_dynamic)),
            dynamic_field,
        };
        let own = inputs.own().count() + usize::from(inputs.context.is_some());
        let heads = settings
            .heads
            .as_ref()
            .map(|config| Heads::new(config, &parameters, &inputs, [fields, tasks], d));
        Ok(Self {
            first: FirstLayer::new(&weight, bias, &inputs, d),
            histories: histories.collect(),
            fields: fields - own,
            inputs,
            trunk,
            tower,
            heads,
            tasks,
        })
    }

    /// What the encoded side of a feed's user depends on, word by word: two feeds with equal content have, bit for bit, equal
    /// encoded sides.
    pub fn content(&self, batch: &Batch, feed: usize) -> Vec<u64> {
        let mut content = Vec::new();
        for history in &self.histories {
            let (events, age_s) = history.of(batch, feed);
            history.events.content(batch, events, age_s, &mut content);
        }
        content
    }

    /// The user's side of a request: all that the candidates have no part in.
    pub fn encode(&self, request: &Request<'_>, room: &mut Room) -> Encoded {
        let Room { engine, reading, trunk, .. } = room;
        let of = |history: &History| history.of(request.batch, request.feed);
        let read = self.histories.iter().map(|history| {
            let events = of(history).0;
            let mut vectors = vec![0.0; events.len() * self.inputs.d];
            history.events.read(request, events, &mut vectors, engine, reading);
            vectors
        });
        let mut vectors: Vec<Vec<f32>> = read.collect();
        let bare = if self.trunk.has_intents() { vectors.clone() } else { Vec::new() };
        for (history, vectors) in self.histories.iter().zip(&mut vectors) {
            let (events, age_s) = of(history);
            history.events.add_extras(request, events, age_s, vectors, reading);
        }
        let mut encoded = self.trunk.encode(vectors, engine, trunk);
        encoded.intents = self.trunk.intents(&bare, &encoded, engine, trunk);
        encoded
    }

    /// Scores the candidates of a request whose user's side is `encoded`; `done` hears of every stage after
    /// [`Stage::Encode`] as it ends.
    pub fn score(
        &self,
        request: &Request<'_>,
        encoded: &Encoded,
        wanted: Wanted,
        space: &mut Room,
        mut done: impl FnMut(Stage),
    ) -> Outputs {
        let heads = self.heads.as_ref().filter(|_| wanted == Wanted::All);
        self.trunk.parts(encoded, &space.engine, &mut space.trunk);
        let sums = self.sums_are_cheaper(&space.trunk.elive.lengths);
        self.project(request, heads, sums, space);
        done(Stage::Project);
        let candidates = request.batch.candidates.range(request.feed);
        let mut outputs = Outputs {
            logits: Vec::with_capacity(candidates.len()),
            tasks: heads.map(|_| vec![Vec::with_capacity(candidates.len()); self.tasks]),
        };
        for start in candidates.clone().step_by(Lanes::MOST) {
            let chunk = start..candidates.end.min(start + Lanes::MOST);
            self.chunk(request, encoded, chunk, sums, space, &mut outputs);
        }
        done(Stage::Candidates);
        outputs
    }

    /// Whether the first layers are applied to the events, `lengths` of them per field, and not to every candidate's fields.
    fn sums_are_cheaper(&self, lengths: &[usize]) -> bool {
        let units = self.first.units + self.heads.as_ref().map_or(0, |heads| heads.first.units);
        let (events, d, n) = (lengths.iter().sum::<usize>(), self.inputs.d, USUAL_CANDIDATES);
        let of_events = events * units * (d + n);
        let of_fields = n * d * (events + lengths.len() * units);
        self.trunk.sums_of_events() && of_events <= of_fields
    }

    /// The first layers of what does not depend on the candidates, into `space.projected`.
    fn project(&self, request: &Request<'_>, heads: Option<&Heads>, sums: bool, space: &mut Room) {
        let Room { engine, lanes, context, projected: [of_tower, of_heads], trunk, .. } = space;
        let context = match &self.inputs.context {
            None => &[],
            Some(input) => {
                let context = room(context, input.width());
                input.vector(request, request.feed, context, engine, lanes);
                &*context
            }
        };
        let lengths = if sums { &trunk.elive.lengths[..] } else { &[] };
        let parts = &trunk.elive.parts[..];
        self.first.project(context, parts, lengths, of_tower, engine);
        if let Some(heads) = heads {
            heads.first.project(context, parts, lengths, of_heads, engine);
        }
    }

    /// Scores some candidates, at most [`Lanes::MOST`].
    fn chunk(
        &self,
        request: &Request<'_>,
        encoded: &Encoded,
        chunk: Range<usize>,
        sums: bool,
        space: &mut Room,
        outputs: &mut Outputs,
    ) {
        let lanes = Lanes::of(chunk.len());
        let Room { engine, lanes: reading, trunk, rows, dynamic, attention, .. } = space;
        let Inputs { d, target, state, dynamic: of_dynamic, dynamic_field, .. } = &self.inputs;
        let own = self.inputs.own_rows();
        let rows = room(rows, (own + self.fields * d) * lanes.all);
        // e_vt, then what else the candidate itself has.
        let (of_target, rest) = rows.split_at_mut(d * lanes.all);
        target.lanes(request, chunk.clone(), lanes, of_target, engine, reading);
        let (of_state, rest) =
            rest.split_at_mut(state.as_ref().map_or(0, Input::width) * lanes.all);
        if let Some(input) = state {
            input.lanes(request, chunk.clone(), lanes, of_state, engine, reading);
        }
        let dynamic = room(dynamic, of_dynamic.as_ref().map_or(0, Input::width) * lanes.all);
        let dynamic_asked = *dynamic_field || outputs.tasks.is_some();
        if let Some(input) = of_dynamic.as_ref().filter(|_| dynamic_asked) {
            input.lanes(request, chunk, lanes, dynamic, engine, reading);
        }
        let (field, vectors) = rest.split_at_mut(if *dynamic_field { dynamic.len() } else { 0 });
        field.copy_from_slice(&dynamic[..field.len()]);

        let events: usize = trunk.elive.lengths.iter().sum();
        let attention = room(attention, (FIXED + events) * lanes.all);
        let (fixed, weights) = attention.split_at_mut(FIXED * lanes.all);
        fixed.fill(1.0);
        self.trunk.attend(of_target, lanes, weights, engine, trunk);
        let (lengths, attention, rows) = if sums {
            (&trunk.elive.lengths[..], &*attention, &rows[..own * lanes.all])
        } else {
            self.trunk.vectors(encoded, of_target, weights, lanes, vectors, engine, trunk);
            (&[][..], &attention[..FIXED * lanes.all], &*rows)
        };

        let [of_tower, of_heads] = &space.projected;
        let units = room(&mut space.sums, self.first.units * lanes.all);
        self.first.sums(rows, attention, of_tower, lanes, units, engine);
        self.tower.logits(units, lanes, &mut outputs.logits, engine, &mut space.layers);
        if let (Some(heads), Some(tasks)) = (&self.heads, &mut outputs.tasks) {
            let fields = Fields { rows, attention, lengths, dynamic, projected: of_heads };
            heads.outputs(&self.inputs, fields, lanes, tasks, engine, &mut space.heads);
        }
    }
}

impl History {
    /// The events of a feed, with their ages in seconds.
    fn of<'a>(&self, batch: &'a Batch, feed: usize) -> (Range<usize>, &'a [f32]) {
        let (offsets, age_s) = match self.group {
            Group::Product => (&batch.products, &batch.product_age_s),
            _ => (&batch.channels, &batch.channel_age_s),
        };
        let range = offsets.range(feed);
        (range.clone(), &age_s[range])
    }
}
