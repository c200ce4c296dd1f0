//! Where the values of a schema's fields come from, and a request's row of the feed file from them.
//!
//! | group | a field is |
//! | --- | --- |
//! | user | a feature of the user by its name, or a column of the table of users |
//! | context | a column of the impression |
//! | product, channel, candidate | the id, or a column of the table |
//! | channel_event | `stay` |
//! | target, dynamic | a feature by its name; `current_NAME`, the product field NAME or NAME_id of the product put on sale last; `on_sale_NAME` (multi-valued), that of all products on sale |
//!
//! What a table does not know has the values of [`eliverec_core::no_row`], and so has the current product of a channel that has
//! none.

use std::sync::Arc;

use eliverec_core::event::Scalar;
use eliverec_core::feed::{Column, Feed, Labels};
use eliverec_core::schema::{Field, Group, Kind, Schema};
use eliverec_core::{Dimension, Dimensions};

use crate::entities::{Of, extend, extend_numbers, push_bag, push_unknown};
use crate::error::Error;
use crate::label::Label;
use crate::registry::{FeatureId, Fold, lookup};
use crate::request::{CandidateFeatures, Outcome, Request, RequestFeatures};
use crate::wanted::{OnSale, Wanted};

#[derive(Clone, Copy, Debug)]
enum Source {
    Entity(Of),
    Context(usize),
    Stay,
    Feature(FeatureId),
    Current(Of),
    OnSale(Of),
}

/// Makes feeds of requests.
#[derive(Debug)]
pub struct FeedBuilder {
    schema: Schema,
    dimensions: Arc<Dimensions>,
    wanted: Wanted,
    sources: Vec<(Group, Vec<Source>)>,
    /// By task of the schema, where the outcomes of requests become labels.
    labels: Option<Vec<Label>>,
}

impl FeedBuilder {
    /// Finds the source of every field.
    ///
    /// # Errors
    /// [`Error::Field`] names a field that has none.
    pub fn new(schema: &Schema, dimensions: &Arc<Dimensions>) -> Result<Self, Error> {
        let mut sources = Vec::new();
        for group in Group::ALL {
            let of_group = schema.fields(group).iter().enumerate().map(|(i, field)| {
                source(dimensions, group, i, field).map_err(|reason| Error::Field {
                    field: format!("{}.{}", group.name(), field.name),
                    reason,
                })
            });
            sources.push((group, of_group.collect::<Result<Vec<_>, _>>()?));
        }
        let mut wanted = Wanted::default();
        for source in sources.iter().flat_map(|(_, sources)| sources) {
            match source {
                Source::Feature(id) => match id.feature().fold {
                    Fold::Channel => wanted.channel.push(*id),
                    Fold::User => wanted.user.push(*id),
                    Fold::Anchor => wanted.anchor.push(*id),
                    Fold::Product => wanted.popularity = true,
                    Fold::Watch => {}
                },
                Source::Current(_) => wanted.on_sale = wanted.on_sale.max(OnSale::Current),
                Source::OnSale(_) => wanted.on_sale = OnSale::All,
                _ => {}
            }
        }
        for list in [&mut wanted.channel, &mut wanted.user, &mut wanted.anchor] {
            list.sort_unstable();
            list.dedup();
        }
        let dimensions = Arc::clone(dimensions);
        Ok(Self { schema: schema.clone(), dimensions, wanted, sources, labels: None })
    }

    /// The same, whose feeds have labels where all outcomes of a request are known.
    ///
    /// # Errors
    /// [`Error::Field`] names a task whose label no log has.
    pub fn with_labels(self) -> Result<Self, Error> {
        let labels = self.schema.task.iter().map(Label::named).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { labels: Some(labels), ..self })
    }

    /// The features that have to be computed.
    pub const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The feed of a request.
    pub fn feed(&self, request: &Request, features: &RequestFeatures) -> Feed {
        self.feed_from(&self.dimensions, request, features)
    }

    /// As [`FeedBuilder::feed`], with tables that have changed since; their columns are those of the schema, too.
    pub fn feed_from(
        &self,
        dimensions: &Dimensions,
        request: &Request,
        features: &RequestFeatures,
    ) -> Feed {
        let mut feed = Feed::empty(&self.schema);
        self.fill_feed(dimensions, &mut feed, request, features);
        feed
    }

    /// The feed of a request in place of another feed of the schema, in its memory.
    pub fn replace_feed(&self, feed: &mut Feed, request: &Request, features: &RequestFeatures) {
        feed.clear();
        self.fill_feed(&self.dimensions, feed, request, features);
    }

    fn fill_feed(
        &self,
        dimensions: &Dimensions,
        feed: &mut Feed,
        request: &Request,
        features: &RequestFeatures,
    ) {
        feed.request_id = request.request_id;
        feed.user_id = request.user_id;
        feed.ts_ms = request.ts_ms;
        for (group, sources) in &self.sources {
            let columns = match group {
                Group::User => &mut feed.user,
                Group::Context => &mut feed.context,
                Group::Product => &mut feed.products.entity,
                Group::ProductEvent => &mut feed.products.event,
                Group::Channel => &mut feed.channels.entity,
                Group::ChannelEvent => &mut feed.channels.event,
                Group::Candidate => &mut feed.candidates.channel,
                Group::Target => &mut feed.candidates.target,
                Group::Dynamic => &mut feed.candidates.dynamic,
            };
            for (column, source) in columns.iter_mut().zip(sources) {
                self.fill(dimensions, column, *group, *source, request, features);
            }
        }
        feed.products.age_s.extend(features.products.iter().map(|click| click.age_s));
        feed.channels.age_s.extend(features.channels.iter().map(|watch| watch.age_s));
        feed.candidates.position.extend(request.candidates.iter().map(|of| of.position));
        // Of a request that asks for scores nothing has happened yet.
        let outcomes = request.candidates.iter().map(|of| of.outcome);
        if let (Some(known), Some(outcomes)) =
            (&self.labels, outcomes.collect::<Option<Vec<Outcome>>>())
        {
            let labels = feed.candidates.labels.get_or_insert_with(|| Labels::empty(&self.schema));
            add_labels(known, &outcomes, labels);
        }
    }

    /// The labels of candidates with which that was done; none if the builder makes none.
    pub fn labels(&self, outcomes: &[Outcome]) -> Option<Labels> {
        let mut labels = Labels::empty(&self.schema);
        add_labels(self.labels.as_ref()?, outcomes, &mut labels);
        Some(labels)
    }

    fn fill(
        &self,
        dimensions: &Dimensions,
        column: &mut Column,
        group: Group,
        source: Source,
        request: &Request,
        features: &RequestFeatures,
    ) {
        let table = match group {
            Group::User => &dimensions.users,
            Group::Product => &dimensions.products,
            _ => &dimensions.channels,
        };
        let at_ms = request.ts_ms;
        match source {
            Source::Entity(of) => match group {
                Group::User => extend(column, table, at_ms, of, [request.user_id]),
                Group::Product => {
                    let products = features.products.iter().map(|e| e.product_id);
                    extend(column, table, at_ms, of, products);
                }
                Group::Channel => {
                    let channels = features.channels.iter().map(|e| e.channel_id);
                    extend(column, table, at_ms, of, channels);
                }
                _ => {
                    let channels = request.candidates.iter().map(|c| c.channel_id);
                    extend(column, table, at_ms, of, channels);
                }
            },
            Source::Context(i) => match (column, request.context.get(i)) {
                (Column::Ids(ids), Some(Scalar::Id(id))) => ids.push(*id),
                (Column::Numbers(numbers), Some(Scalar::Number(x))) => numbers.push(*x),
                // The reader of the log gives every impression the context that the schema declares.
                _ => {}
            },
            Source::Stay => extend_numbers(column, features.channels.iter().map(|e| e.stay_s)),
            Source::Feature(id) if group == Group::User => {
                extend_numbers(column, [value(&self.wanted.user, &features.user, id)]);
            }
            Source::Feature(id) => {
                let candidates = features.candidates.iter();
                extend_numbers(column, candidates.map(|of| self.candidate_value(id, features, of)));
            }
            Source::Current(of) => {
                for candidate in &features.candidates {
                    match candidate.on_sale.last() {
                        Some(product) => {
                            extend(column, &dimensions.products, at_ms, of, [*product]);
                        }
                        None => push_unknown(column),
                    }
                }
            }
            Source::OnSale(of) => {
                for candidate in &features.candidates {
                    push_bag(column, &dimensions.products, at_ms, of, &candidate.on_sale);
                }
            }
        }
    }

    fn candidate_value(
        &self,
        id: FeatureId,
        features: &RequestFeatures,
        candidate: &CandidateFeatures,
    ) -> f32 {
        match id.feature().fold {
            Fold::User => value(&self.wanted.user, &features.user, id),
            Fold::Anchor => value(&self.wanted.anchor, &candidate.anchor, id),
            Fold::Product => candidate.popularity,
            Fold::Channel | Fold::Watch => value(&self.wanted.channel, &candidate.channel, id),
        }
    }
}

fn value(wanted: &[FeatureId], values: &[f32], id: FeatureId) -> f32 {
    wanted
        .binary_search(&id)
        .ok()
        .and_then(|i| values.get(i))
        .copied()
        .unwrap_or(id.feature().never)
}

fn add_labels(known: &[Label], outcomes: &[Outcome], to: &mut Labels) {
    for outcome in outcomes {
        to.push(outcome.watched, known.iter().map(|label| label.of(outcome)));
    }
}

fn source(
    dimensions: &Dimensions,
    group: Group,
    i: usize,
    field: &Field,
) -> Result<Source, String> {
    let name = field.name.as_str();
    match group {
        Group::Context => Ok(Source::Context(i)),
        Group::Product => entity(&dimensions.products, "product_id", field),
        Group::Channel | Group::Candidate => entity(&dimensions.channels, "channel_id", field),
        Group::User => match lookup(name) {
            Ok(feature) if feature.fold.fits(group) => number(feature.id, field),
            _ => entity(&dimensions.users, "user_id", field),
        },
        Group::ProductEvent => Err("a product click has no fields of its own; remove it".into()),
        Group::ChannelEvent => match lookup(name) {
            Ok(feature) if feature.fold.fits(group) => {
                number(feature.id, field).map(|_| Source::Stay)
            }
            _ => Err("a watch has the field stay and no other".into()),
        },
        Group::Target | Group::Dynamic => {
            if let Some(name) = name.strip_prefix("current_") {
                return of_product(dimensions, name, field).map(Source::Current);
            }
            if let Some(name) = name.strip_prefix("on_sale_") {
                if !matches!(field.kind, Kind::Multi { .. }) {
                    return Err("there may be any number on sale; make its kind multi".into());
                }
                return of_product(dimensions, name, field).map(Source::OnSale);
            }
            match lookup(name) {
                Ok(feature) if feature.fold.fits(group) => number(feature.id, field),
                Ok(_) => Err("this feature is not one of a candidate".into()),
                Err(error) => {
                    Err(format!("{error}; or current_NAME and on_sale_NAME of a product field"))
                }
            }
        }
    }
}

fn number(id: FeatureId, field: &Field) -> Result<Source, String> {
    match field.kind {
        Kind::Bucket { .. } | Kind::Dense { .. } => Ok(Source::Feature(id)),
        _ => Err("a feature is a number; make its kind bucket or dense".into()),
    }
}

fn entity(table: &Dimension, id: &str, field: &Field) -> Result<Source, String> {
    if field.name == id {
        return match field.kind {
            Kind::Categorical { .. } => Ok(Source::Entity(Of::Id)),
            _ => Err("an id is categorical; make that its kind".into()),
        };
    }
    let place = table.fields().iter().position(|known| known.name == field.name);
    place.map(|i| Source::Entity(Of::Table(i))).ok_or_else(|| "the table has no such column".into())
}

/// The product field called `name` or `name_id`, if its values fit `field`.
fn of_product(dimensions: &Dimensions, name: &str, field: &Field) -> Result<Of, String> {
    let table = &dimensions.products;
    let with_id = format!("{name}_id");
    let place = table.fields().iter().position(|f| f.name == name || f.name == with_id);
    let (of, kind) = match place {
        Some(i) => (Of::Table(i), Column::empty(&table.fields()[i].kind)),
        None if name == "product" || name == "product_id" => (Of::Id, Column::Ids(Vec::new())),
        None => {
            let known: Vec<&str> = table.fields().iter().map(|f| f.name.as_str()).collect();
            let known = known.join(", ");
            return Err(format!(
                "products have no field {name} or {with_id}, only product_id, {known}"
            ));
        }
    };
    let listed = matches!(field.kind, Kind::Multi { .. }) && field.name.starts_with("on_sale_");
    let fits = match (&kind, Column::empty(&field.kind)) {
        (Column::Ids(_), _) if listed => true,
        (a, b) => !listed && std::mem::discriminant(a) == std::mem::discriminant(&b),
    };
    if fits { Ok(of) } else { Err("its kind does not fit that of the product's field".into()) }
}
