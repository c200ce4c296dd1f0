//! Embedding initialisation (Sec. IV-A): a batch and its rows of the tables become the vectors that every model reads, [`Inputs`].
//!
//! An entity is its fields' vectors side by side, then one linear map to d if their widths do not add up to d already; the map
//! is shared wherever the entity appears. Fields that only an event has are added after the map. With `input.maps = vocabulary`
//! the map is each vocabulary's own, wherever the vocabulary appears.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use eliverec_core::batch::{Batch, Offsets, Values};
use eliverec_core::schema::{Group, Schema};
use eliverec_core::unique::UniqueIds;

use crate::builder::Builder;
use crate::input_config::{InputConfig, Maps, Query};
use crate::inputs::{History, Inputs};
use crate::lookup::Lookup;
use crate::own::OwnRows;
use crate::rows::Rows;
use crate::site::identity;

/// The linear maps from concatenated fields to d.
#[derive(Module, Debug)]
pub struct Entities {
    context: Option<Map>,
    channel: Map,
    product: Option<Map>,
    target: Option<Map>,
    dynamic: Option<Map>,
    /// `[w, d]` of each vocabulary that an entity draws on, where the maps are theirs ([`Maps::Vocabulary`]).
    vocabularies: Vocabularies,
    /// The target's own fields that join e_vt ([`Query::Moment`]), each with its vocabulary.
    #[module(skip)]
    query: Vec<(usize, usize)>,
}

type Vocabularies = Vec<Option<Param<Tensor<2>>>>;

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
    fn new(from: usize, to: usize, builder: &Builder) -> Option<Self> {
        let weight = (from != to).then(|| builder.matrix(from, to));
        (from > 0).then_some(Self { weight, fields: Vec::new() })
    }

    /// With the vocabularies' maps.
    fn shared(schema: &Schema, groups: &[Group], to: usize, builder: &Builder) -> Option<Self> {
        let mut numbers = 0;
        let fields = groups.iter().flat_map(|group| schema.fields(*group));
        let extra: usize = groups.iter().map(|group| schema.extra_numbers(*group)).sum();
        let of_fields = fields.map(|field| schema.vocabulary_of(field));
        let fields: Vec<MapOf> = of_fields
            .chain((0..extra).map(|_| None))
            .map(|vocabulary| {
                vocabulary.map_or_else(
                    || {
                        numbers += 1;
                        MapOf::Number(numbers - 1)
                    },
                    MapOf::Vocabulary,
                )
            })
            .collect();
        let weight = (numbers > 0).then(|| builder.matrix(numbers, to));
        (!fields.is_empty()).then_some(Self { weight, fields })
    }

    fn draws_on(&self, vocabulary: usize) -> bool {
        self.fields.iter().any(|of| matches!(of, MapOf::Vocabulary(v) if *v == vocabulary))
    }

    /// The part of the map that belongs to the first fields, `x` `[rows, w]` of theirs; what is mapped at full width by nothing at
    /// all is followed by zeros.
    fn first(&self, x: Tensor<2>, fields: usize, of: &Vocabularies, d: usize) -> Tensor<2> {
        let [rows, w] = x.dims();
        if !self.fields.is_empty() {
            let fields = self.fields[..fields].to_vec();
            return Self { weight: self.weight.clone(), fields }.forward(x, of);
        }
        if let Some(weight) = &self.weight {
            return x.matmul(weight.val().narrow(0, 0, w));
        }
        let rest = Tensor::zeros([rows, d - w], &x.device());
        Tensor::cat(vec![x, rest], 1)
    }

    fn forward(&self, x: Tensor<2>, vocabularies: &Vocabularies) -> Tensor<2> {
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
    pub(crate) fn new(config: &InputConfig, schema: &Schema, builder: &Builder) -> Self {
        let d = config.width;
        let map = |groups: &[Group]| match config.maps {
            Maps::Entity => {
                let width = groups.iter().map(|group| schema.group_width(*group, d)).sum();
                Map::new(width, d, builder)
            }
            Maps::Vocabulary => Map::shared(schema, groups, d, builder),
        };
        let mut entities = Self {
            context: map(&[Group::User, Group::Context]),
            channel: map(&[Group::Channel]).expect("Schema::check asks for a channel field"),
            product: config.has_products(schema).then(|| map(&[Group::Product])).flatten(),
            target: map(&[Group::Target]),
            dynamic: map(&[Group::Dynamic]),
            vocabularies: Vec::new(),
            query: Vec::new(),
        };
        if config.maps == Maps::Vocabulary {
            let used = |v| entities.all().any(|map| map.draws_on(v));
            let shared = |v| used(v).then(|| builder.matrix(schema.width(v, d), d));
            entities.vocabularies = (0..schema.vocabulary.len()).map(shared).collect();
        }
        if config.query == Query::Moment {
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

    /// Looks a batch up in `leaves`, one `[u, w]` per vocabulary, and maps its entities.
    pub(crate) fn forward(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        leaves: &[Tensor<2>],
    ) -> Inputs {
        let lookup = Lookup { schema, batch, unique, leaves, device: leaves[0].device() };
        let map = |map: &Option<Map>, groups: &[Group]| {
            map.as_ref().map(|map| map.forward(lookup.concatenated(groups), &self.vocabularies))
        };
        let history = |map: &Map, entity, event, offsets: &Offsets, age_s: &[f32]| {
            let bare = map.forward(lookup.concatenated(&[entity]), &self.vocabularies);
            let mut items = bare.clone();
            for extra in lookup.columns(event) {
                items = items + extra;
            }
            History {
                items,
                bare,
                rows: Rows::new(offsets.clone(), &lookup.device),
                age_s: age_s.to_vec(),
                ids: identities(schema, batch, entity),
            }
        };
        let channel =
            self.channel.forward(lookup.concatenated(&[Group::Candidate]), &self.vocabularies);
        let mut target = channel.clone();
        if !self.query.is_empty() {
            let state = lookup.columns(Group::Target);
            for (field, vocabulary) in &self.query {
                if let Some(map) = &self.vocabularies[*vocabulary] {
                    target = target + state[*field].clone().matmul(map.val());
                }
            }
        }
        let context = map(&self.context, &[Group::User, Group::Context]);
        let user = match (&self.context, schema.fields(Group::User).len()) {
            (_, 0) | (None, _) => None,
            (Some(_), _) if schema.context.is_empty() => context.clone(),
            (Some(map), fields) => {
                let [_, d] = target.dims();
                let user = lookup.concatenated(&[Group::User]);
                Some(map.first(user, fields, &self.vocabularies, d))
            }
        };
        Inputs {
            context,
            user,
            target,
            channel,
            target_state: map(&self.target, &[Group::Target]),
            dynamic: map(&self.dynamic, &[Group::Dynamic]),
            tower_dynamic: false,
            candidates: Rows::new(batch.candidates.clone(), &lookup.device),
            candidate_ids: identities(schema, batch, Group::Candidate),
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
            own: OwnRows::default(),
            numbers: lookup.numbers(),
            history_means: false,
            training: None,
            watched: Vec::new(),
        }
    }
}

/// Which entity each row of a group is: its first categorical field, or, without one, each row another.
pub fn identities(schema: &Schema, batch: &Batch, group: Group) -> Vec<u64> {
    let of = identity(schema, group).map(|identity| &batch.values(group)[identity.field]);
    match of {
        Some(Values::Ids(ids)) => ids.clone(),
        _ => (0..batch.entities(group) as u64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use eliverec_core::feed::Column;
    use eliverec_core::normalize::Normalization;
    use eliverec_core::schema::{Field, Kind};
    use eliverec_core::seed::Random;
    use eliverec_core::{BatchBuilder, Lengths, toy};

    use super::*;
    use crate::builder::Init;

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
        let leaves = tables.map(|(v, ids)| {
            let rows: Vec<f32> = ids.iter().flat_map(|id| row(v, *id)).collect();
            Tensor::from_data(TensorData::new(rows, [ids.len(), schema.width(v, 8)]), &device)
        });
        let config =
            InputConfig { width: 8, maps: Maps::Vocabulary, query, ..InputConfig::default() };
        let mut entities = Entities::new(&config, &schema, &Builder::new(&device, Init::default()));
        let mut random = Random::new(5);
        for map in entities.vocabularies.iter_mut().flatten() {
            let shape = map.val().dims();
            let values = (0..shape[0] * shape[1]).map(|_| random.normal() as f32).collect();
            *map = Param::from_data(TensorData::new(values, shape), &device);
        }
        let inputs = entities.forward(&schema, &batch, &unique, &leaves.collect::<Vec<_>>());
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

    /// Where the moment's rows are zero, e_c is the user's own share of it; at width 7 the fields need no map.
    #[test]
    fn the_user_is_what_is_left_of_e_c_without_the_moment() {
        let (schema, device, batch) = (toy::schema(), Device::flex(), toy::batch(9, 4));
        let unique = UniqueIds::of(&schema, &batch);
        for (maps, width) in [(Maps::Entity, 8), (Maps::Entity, 7), (Maps::Vocabulary, 8)] {
            let config = InputConfig { width, maps, ..InputConfig::default() };
            let builder = Builder::new(&device, Init::default());
            let entities = Entities::new(&config, &schema, &builder);
            let entities = crate::parameters::initialise(entities, &builder, 1, "test");
            let inputs = |moment: f32| {
                let leaf = |(v, ids): (usize, &Vec<u64>)| {
                    let moment = if schema.vocabulary[v].name == "hour" { moment } else { 1.0 };
                    let mut random = Random::new(v as u64);
                    let length = ids.len() * schema.width(v, width);
                    let row: Vec<f32> =
                        (0..length).map(|_| random.normal() as f32 * moment).collect();
                    Tensor::from_data(
                        TensorData::new(row, [ids.len(), length / ids.len()]),
                        &device,
                    )
                };
                let leaves: Vec<Tensor<2>> = unique.ids.iter().enumerate().map(leaf).collect();
                entities.forward(&schema, &batch, &unique, &leaves)
            };
            let values = |tensor: Tensor<2>| tensor.try_into_vec_as::<f32>().unwrap();
            let (without, with) = (inputs(0.0), inputs(1.0));
            let user = values(without.user_or_zero());
            assert!(user.iter().any(|x| *x != 0.0));
            let close = |a: Vec<f32>, b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close(values(without.context_or_zero()), &user), "{maps:?} {width}");
            assert!(close(values(with.user_or_zero()), &user), "{maps:?} {width}");
            assert!(!close(values(with.context_or_zero()), &user), "{maps:?} {width}");
            let live = &with.live;
            assert!(
                !close(values(live.items.clone()), &values(live.bare.clone())),
                "stay is added"
            );
        }
    }
}
