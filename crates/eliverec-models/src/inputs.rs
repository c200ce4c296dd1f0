//! Embedding initialisation (Sec. IV-A): a batch and its rows of the tables become the vectors that every model reads.
//!
//! An entity is its fields' vectors side by side, then one linear map to d if their widths do not add up to d already; the map
//! is shared wherever the entity appears. Fields that only an event has are added after the map. With `input.maps = vocabulary`
//! the map is each vocabulary's own, wherever the vocabulary appears.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use eliverec_core::batch::Batch;
use eliverec_core::schema::{Group, Schema};
use eliverec_core::seed::Random;
use eliverec_core::unique::UniqueIds;

use crate::blocks::matrix;
use crate::lookup::Lookup;
use crate::rows::Rows;
use crate::settings::{Maps, ModelSettings, Query};

/// One batch as vectors. `b` feeds, `n` impressions, `m` events, all packed.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// e_c `[b, d]`: the user's profile and the moment; `None` if the schema declares neither.
    pub context: Option<Tensor<2>>,
    /// e_vt `[n, d]`: the target channel, in the space of the watched channels.
    pub target: Tensor<2>,
    /// `[n, d]`: the target's own fields, known before entering; the second half of e_vt for the tower.
    pub target_state: Option<Tensor<2>>,
    /// e_d `[n, d]`: what the user sees after entering.
    pub dynamic: Option<Tensor<2>>,
    /// From feed to impressions.
    pub candidates: Rows,
    /// E_V: watched channels.
    pub live: History,
    /// E_S: clicked products; `None` for the live domain alone.
    pub product: Option<History>,
    /// `[b]`
    pub user_ids: Vec<u64>,
    /// One impression of each feed `[b]`, the rows of the regularisers; `None` outside training.
    pub sampled: Option<Vec<u32>>,
}

/// A domain's events, packed.
#[derive(Clone, Debug)]
pub struct History {
    /// `[m, d]`
    pub items: Tensor<2>,
    /// From feed to events.
    pub rows: Rows,
    /// Seconds from the event to the request `[m]`.
    pub age_s: Vec<f32>,
}

impl Inputs {
    /// e_c at every impression `[n, d]`.
    pub fn context_rows(&self) -> Option<Tensor<2>> {
        self.context.clone().map(|context| self.candidates.repeat(context))
    }

    /// How many fields [`Inputs::shared_fields`] gives.
    pub fn shared_count(&self) -> usize {
        1 + usize::from(self.context.is_some()) + usize::from(self.target_state.is_some())
    }

    /// The fields that every model's tower sees first: context, target, target_state.
    pub fn shared_fields(&self) -> Vec<(&'static str, Tensor<2>)> {
        let mut fields = Vec::new();
        fields.extend(self.context_rows().map(|context| ("context", context)));
        fields.push(("target", self.target.clone()));
        fields.extend(self.target_state.clone().map(|state| ("target_state", state)));
        fields
    }
}

/// One impression of each feed, drawn uniformly.
pub(crate) fn sample_impressions(batch: &Batch, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    batch
        .candidates
        .ranges()
        .map(|range| (range.start + random.below(range.len())) as u32)
        .collect()
}

/// The linear maps from concatenated fields to d.
#[derive(Module, Debug)]
pub struct Entities {
    context: Option<Map>,
    channel: Map,
    product: Option<Map>,
    target: Option<Map>,
    dynamic: Option<Map>,
    /// `[w, d]` of each vocabulary that an entity draws on, where the maps are theirs ([`Maps::Vocabulary`]).
    vocabularies: Vec<Option<Param<Tensor<2>>>>,
    /// The target's own fields that join e_vt ([`Query::Moment`]), each with its vocabulary.
    #[module(skip)]
    query: Vec<(usize, usize)>,
}

/// A linear map without bias, or nothing where the widths add up already.
#[derive(Module, Debug)]
struct Map {
    /// Of all fields, or, where the maps are those of vocabularies, of the fields that are numbers; `[w, d]`.
    weight: Option<Param<Tensor<2>>>,
    /// Whose map each field takes, where the maps are those of vocabularies.
    #[module(skip)]
    fields: Vec<MapOf>,
}

/// Where the rows of a group's map come from, for one field.
#[derive(Clone, Copy, Debug)]
enum MapOf {
    Vocabulary(usize),
    /// A number, which has a row of the group's own.
    Number(usize),
}

impl Map {
    fn new(from: usize, to: usize, device: &Device) -> Option<Self> {
        let weight = (from != to).then(|| matrix(from, to, device));
        (from > 0).then_some(Self { weight, fields: Vec::new() })
    }

    /// With the vocabularies' maps.
    fn shared(schema: &Schema, groups: &[Group], to: usize, device: &Device) -> Option<Self> {
        let mut numbers = 0;
        let fields = groups.iter().flat_map(|group| schema.fields(*group));
        let fields: Vec<MapOf> = fields
            .map(|field| {
                schema.vocabulary_of(field).map_or_else(
                    || {
                        numbers += 1;
                        MapOf::Number(numbers - 1)
                    },
                    MapOf::Vocabulary,
                )
            })
            .collect();
        let weight = (numbers > 0).then(|| matrix(numbers, to, device));
        (!fields.is_empty()).then_some(Self { weight, fields })
    }

    fn draws_on(&self, vocabulary: usize) -> bool {
        self.fields.iter().any(|of| matches!(of, MapOf::Vocabulary(v) if *v == vocabulary))
    }

    fn forward(&self, x: Tensor<2>, vocabularies: &[Option<Param<Tensor<2>>>]) -> Tensor<2> {
        if self.fields.is_empty() {
            return match &self.weight {
                Some(weight) => x.matmul(weight.val()),
                None => x,
            };
        }
        let numbers = self.weight.as_ref().map(Param::val);
        let rows = self.fields.iter().filter_map(|of| match of {
            MapOf::Vocabulary(v) => vocabularies[*v].as_ref().map(Param::val),
            MapOf::Number(i) => numbers.clone().map(|numbers| numbers.narrow(0, *i, 1)),
        });
        x.matmul(Tensor::cat(rows.collect(), 0))
    }
}

impl Entities {
    /// The maps that the schema's fields need.
    pub fn new(settings: &ModelSettings, schema: &Schema, device: &Device) -> Self {
        let d = settings.input.width;
        let map = |groups: &[Group]| match settings.input.maps {
            Maps::Entity => {
                let width = groups.iter().map(|group| schema.group_width(*group, d)).sum();
                Map::new(width, d, device)
            }
            Maps::Vocabulary => Map::shared(schema, groups, d, device),
        };
        let mut entities = Self {
            context: map(&[Group::User, Group::Context]),
            channel: map(&[Group::Channel]).expect("Schema::check asks for a channel field"),
            product: settings.has_products(schema).then(|| map(&[Group::Product])).flatten(),
            target: map(&[Group::Target]),
            dynamic: map(&[Group::Dynamic]),
            vocabularies: Vec::new(),
            query: Vec::new(),
        };
        if settings.input.maps == Maps::Vocabulary {
            let used = |v| entities.all().any(|map| map.draws_on(v));
            let shared = |v| used(v).then(|| matrix(schema.width(v, d), d, device));
            entities.vocabularies = (0..schema.vocabulary.len()).map(shared).collect();
        }
        if settings.input.query == Query::Moment {
            let histories = || entities.product.iter().chain([&entities.channel]);
            let known = |v: &usize| histories().any(|map| map.draws_on(*v));
            let fields = schema.fields(Group::Target).iter().enumerate();
            let named = fields.filter_map(|(i, field)| Some((i, schema.vocabulary_of(field)?)));
            entities.query = named.filter(|(_, v)| known(v)).collect();
        }
        entities
    }

    fn all(&self) -> impl Iterator<Item = &Map> {
        let optional = [&self.context, &self.product, &self.target, &self.dynamic];
        optional.into_iter().flatten().chain([&self.channel])
    }

    /// Looks a batch up in `blocks`, one `[u, w]` per vocabulary, and maps its entities.
    pub fn forward(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        blocks: &[Tensor<2>],
    ) -> Inputs {
        let lookup = Lookup { schema, batch, unique, blocks, device: blocks[0].device() };
        let map = |map: &Option<Map>, groups: &[Group]| {
            map.as_ref().map(|map| map.forward(lookup.concatenated(groups), &self.vocabularies))
        };
        let history =
            |map: &Map, entity, event, offsets: &eliverec_core::batch::Offsets, age_s: &[f32]| {
                let mut items = map.forward(lookup.concatenated(&[entity]), &self.vocabularies);
                for extra in lookup.columns(event) {
                    items = items + extra;
                }
                History {
                    items,
                    rows: Rows::new(offsets.clone(), &lookup.device),
                    age_s: age_s.to_vec(),
                }
            };
        let mut target =
            self.channel.forward(lookup.concatenated(&[Group::Candidate]), &self.vocabularies);
        if !self.query.is_empty() {
            let state = lookup.columns(Group::Target);
            for (field, vocabulary) in &self.query {
                if let Some(map) = &self.vocabularies[*vocabulary] {
                    target = target + state[*field].clone().matmul(map.val());
                }
            }
        }
        Inputs {
            context: map(&self.context, &[Group::User, Group::Context]),
            target,
            target_state: map(&self.target, &[Group::Target]),
            dynamic: map(&self.dynamic, &[Group::Dynamic]),
            candidates: Rows::new(batch.candidates.clone(), &lookup.device),
            live: history(
                &self.channel,
                Group::Channel,
                Group::ChannelEvent,
                &batch.channels,
                &batch.channel_age_s,
            ),
            product: self.product.as_ref().map(|map| {
                history(
                    map,
                    Group::Product,
                    Group::ProductEvent,
                    &batch.products,
                    &batch.product_age_s,
                )
            }),
            user_ids: batch.user_ids.clone(),
            sampled: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use eliverec_core::feed::Column;
    use eliverec_core::normalize::Normalization;
    use eliverec_core::schema::{Field, Kind};
    use eliverec_core::{BatchBuilder, Lengths, toy};

    use super::*;

    /// e_vt `[n, d]` of toy feeds whose candidates sell `selling[i % selling.len()]` right now.
    fn targets(query: Query, selling: &[u64]) -> Vec<Vec<f32>> {
        let mut schema = toy::schema();
        let kind = Kind::Categorical { vocabulary: "category".into() };
        schema.target.push(Field { name: "current_category".into(), kind });
        let (normalization, device) = (Normalization::default(), Device::flex());
        let mut builder = BatchBuilder::new(&schema, &normalization, Lengths::default());
        for mut feed in toy::feeds(6, 1) {
            let now = (0..feed.impressions()).map(|i| selling[i % selling.len()]);
            feed.candidates.target.push(Column::Ids(now.collect()));
            builder.push(&feed).unwrap();
        }
        let batch = builder.finish().unwrap();
        let unique = UniqueIds::of(&schema, &batch);
        let row = |v: usize, id: u64| {
            let mut random = Random::new(id.wrapping_mul(31) + v as u64);
            (0..schema.width(v, 8)).map(move |_| random.normal() as f32)
        };
        let tables = unique.ids.iter().enumerate();
        let blocks = tables.map(|(v, ids)| {
            let rows: Vec<f32> = ids.iter().flat_map(|id| row(v, *id)).collect();
            Tensor::from_data(TensorData::new(rows, [ids.len(), schema.width(v, 8)]), &device)
        });
        let mut settings = ModelSettings::default();
        settings.input = crate::settings::InputConfig {
            width: 8,
            maps: Maps::Vocabulary,
            query,
            ..settings.input
        };
        settings.check().unwrap();
        let mut entities = Entities::new(&settings, &schema, &device);
        let mut random = Random::new(5);
        for map in entities.vocabularies.iter_mut().flatten() {
            let shape = map.val().dims();
            let values = (0..shape[0] * shape[1]).map(|_| random.normal() as f32).collect();
            *map = Param::from_data(TensorData::new(values, shape), &device);
        }
        let inputs = entities.forward(&schema, &batch, &unique, &blocks.collect::<Vec<_>>());
        let values: Vec<f32> = inputs.target.try_into_vec_as().unwrap();
        values.chunks(8).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn the_query_of_the_moment_is_the_channel_plus_what_it_sells() {
        let channel = targets(Query::Channel, &[3]);
        assert_eq!(channel, targets(Query::Channel, &[4]), "the channel alone");
        let difference = |selling: &[u64]| -> Vec<Vec<f32>> {
            let moment = targets(Query::Moment, selling);
            let pairs = moment.iter().zip(&channel);
            pairs.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a - b).collect()).collect()
        };
        let (three, four) = (difference(&[3]), difference(&[4]));
        let apart =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(
            three.iter().all(|row| apart(row, &three[0]) < 1e-5),
            "the same, whatever the channel"
        );
        assert!(apart(&three[0], &four[0]) > 0.1);
    }
}
