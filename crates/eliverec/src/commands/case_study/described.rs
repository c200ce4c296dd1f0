//! From a request under two models to what is shown of it: ids as the feeds write them, names where the log's tables have some.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use eliverec_core::Schema;
use eliverec_core::feed::Column;
use eliverec_core::schema::{Group, Kind};
use eliverec_report::case_study::{Case, Entity, OfModel, PastEvent, ShownChannel};
use eliverec_retrieval::fields::{Category, Fields, ids};
use eliverec_run::explained::{Event, Explained};
use eliverec_tables::events::{Names, Store, name_column, read_names};
use eliverec_train::case_study::{Case as Studied, ChosenBy, ranking};

use crate::commands::tell;

/// What says which channel, which product and what about, and what they are called.
#[derive(Debug)]
pub(super) struct Described<'a> {
    schema: &'a Schema,
    /// Place of the id in the channel group.
    channel: usize,
    /// Place of the id in the product group; `None` if products have none.
    product: Option<usize>,
    category: Option<Category>,
    channels: Names,
    products: Names,
    categories: Names,
}

/// Domains as explanations call them, and the group of their events' entities.
const DOMAINS: [(&str, Group); 2] = [("live", Group::Channel), ("product", Group::Product)];

impl<'a> Described<'a> {
    /// Of a schema, with the names in a log's tables.
    ///
    /// # Errors
    /// A schema whose channels have no id, and tables that cannot be read.
    pub(super) fn open(schema: &'a Schema, logs: Option<&Path>) -> anyhow::Result<Self> {
        let Fields { channel, category, .. } =
            Fields::of(schema).map_err(eliverec_train::Error::from)?;
        let is_id = |kind: &Kind| matches!(kind, Kind::Categorical { .. });
        let product = schema.fields(Group::Product).iter().position(|field| is_id(&field.kind));
        let mut described = Self {
            schema,
            channel,
            product,
            category,
            channels: Names::default(),
            products: Names::default(),
            categories: Names::default(),
        };
        if let Some(logs) = logs {
            described.read_names(&Store::open(logs)?)?;
        }
        Ok(described)
    }

    fn read_names(&mut self, store: &Store) -> anyhow::Result<()> {
        let name = |group: Group, place: usize| self.schema.fields(group)[place].name.clone();
        let channel = name(Group::Channel, self.channel);
        self.channels = read_names(store, Group::Channel, &channel)?;
        let mut asked = vec![channel];
        if let Some(product) = self.product.map(|place| name(Group::Product, place)) {
            self.products = read_names(store, Group::Product, &product)?;
            asked.push(product);
        }
        if let Some(category) = &self.category {
            let [of_channels, of_products] = &category.names;
            for (group, field) in [(Group::Product, of_products), (Group::Channel, of_channels)] {
                self.categories.extend(read_names(store, group, field)?);
            }
            asked.push(of_channels.clone());
        }
        if [&self.channels, &self.products, &self.categories].iter().all(|names| names.is_empty()) {
            let columns: Vec<String> = asked.iter().map(|field| name_column(field)).collect();
            tell(&format!(
                "note: the tables of {} have no names, so ids are shown; columns of text {} would be names",
                store.root().display(),
                columns.join(", ")
            ));
        }
        Ok(())
    }

    /// Entity `i` of a group of channels or products.
    fn entity(&self, case: &Studied, group: Group, i: usize) -> Entity {
        let is_product = group == Group::Product;
        let (id, names) = match self.product {
            Some(product) if is_product => (Some(product), &self.products),
            _ if is_product => (None, &self.products),
            _ => (Some(self.channel), &self.channels),
        };
        let category = self.category.as_ref();
        let category = category.map(|of| if is_product { of.product } else { of.channel });
        let known = |place: Option<usize>, names: &Names| {
            let place = place?;
            let field = &self.schema.fields(group)[place].name;
            let written = case.written.of(group, field, i)?.join(" ");
            let column: &Column = &case.feed.columns(group)[place];
            Some((written, ids(column).get(i).and_then(|id| names.get(id).cloned())))
        };
        let (id, name) = known(id, names).unwrap_or_default();
        let (category, category_name) = known(category, &self.categories).unzip();
        Entity { id, name, category, category_name: category_name.flatten() }
    }

    /// What is shown of a request.
    pub(super) fn case(&self, case: &Studied, top: usize) -> Case {
        let feed = &case.feed;
        let histories = DOMAINS.map(|(domain, group)| (domain, self.history(case, domain, group)));
        let watches = feed.channels.entity.get(self.channel).map_or(&[][..], ids);
        let shown = feed.candidates.channel.get(self.channel).map_or(&[][..], ids);
        let labels = feed.candidates.labels.as_ref();
        let outcome = |i: usize| {
            let tasks = self.schema.task.iter().zip(labels.into_iter().flat_map(|of| &of.tasks));
            tasks.filter_map(|(task, values)| Some((task.name.clone(), values[i]?))).collect()
        };
        let candidate = |i: usize| ShownChannel {
            of: self.entity(case, Group::Candidate, i),
            watched: labels.map(|labels| labels.watched[i]),
            outcomes: outcome(i),
            watched_before: watches.iter().filter(|channel| Some(*channel) == shown.get(i)).count(),
        };
        Case {
            chosen_by: match case.chosen_by {
                ChosenBy::Distance => "distance",
                ChosenBy::Chance => "chance",
            },
            distance: case.distance,
            user_id: case.written.user_id().to_string(),
            request_id: case.written.request_id().to_string(),
            at: feed.ts_ms,
            histories: histories.into_iter().filter(|(_, events)| !events.is_empty()).collect(),
            candidates: (0..feed.impressions()).map(candidate).collect(),
            by_model: case.explained.each_ref().map(|explained| of_model(explained, top)),
        }
    }

    /// The newest events of a domain, as many as the model with the longer history takes in.
    fn history(&self, case: &Studied, domain: &str, group: Group) -> Vec<PastEvent> {
        let seen = |of: &Explained| of.histories.get(domain).map_or(0, Vec::len);
        let longest = case.explained.iter().max_by_key(|of| seen(of));
        let events = longest.and_then(|of| of.histories.get(domain));
        let events: &[Event] = events.map_or(&[], Vec::as_slice);
        let of_feed =
            if group == Group::Channel { &case.feed.channels } else { &case.feed.products };
        let first = of_feed.age_s.len() - events.len();
        let mut before = HashSet::new();
        let event = |(i, event): (usize, &Event)| {
            let of = self.entity(case, group, first + i);
            let is_repeat = !before.insert(of.id.clone());
            PastEvent { of, age_s: event.age_s, is_repeat, fields: event.fields.clone() }
        };
        events.iter().enumerate().map(event).collect()
    }
}

/// What a model made of a request, its attention as the mean over what it puts first.
fn of_model(explained: &Explained, top: usize) -> OfModel {
    let probabilities: Vec<f32> = explained.candidates.iter().map(|of| of.probability).collect();
    let ranking = ranking(&probabilities);
    let intents = explained.histories.iter().filter_map(|(domain, events)| {
        let intents: Option<Vec<f32>> = events.iter().map(|event| event.intent).collect();
        Some((*domain, intents?))
    });
    let first: Vec<usize> = ranking.iter().take(top).copied().collect();
    let mut attention: BTreeMap<&'static str, BTreeMap<String, Vec<f32>>> = BTreeMap::new();
    for candidate in &first {
        for (domain, kinds) in &explained.candidates[*candidate].attention {
            for (kind, weights) in kinds {
                let sums = attention.entry(domain).or_default().entry(kind.clone()).or_default();
                sums.resize(weights.len(), 0.0);
                let share = 1.0 / first.len() as f32;
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * share);
            }
        }
    }
    OfModel { intents: intents.collect(), ranking, probabilities, attention }
}
