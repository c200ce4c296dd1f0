//! A whole model: entities, one trunk of the registry, the tower that all of them share, and heads for what happens inside a
//! channel.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use eliverec_core::Batch;
use eliverec_core::schema::{Group, Schema};
use eliverec_core::unique::UniqueIds;

use crate::blocks::Tower;
use crate::builder::Builder;
use crate::entities::Entities;
use crate::error::Error;
use crate::heads::Heads;
use crate::inputs::Inputs;
use crate::next_event_terms::NextEventTerms;
use crate::own::{OwnRows, OwnTable};
use crate::parameters;
use crate::registry::Trunk;
use crate::settings::ModelSettings;
use crate::term::{JointTerms, Term, Training};
use crate::trace::{Recorded, Trace};
use crate::trunk::{Logit, Observed, Trunk as _};

/// From a batch to a logit per impression, and to the tasks inside the channel where the settings ask for heads.
///
/// Names of parameters ([`parameters::export`]) that begin with `heads.` belong to the inter-channel tasks alone, those that
/// begin with `tower.` to watching and to the trunk's own terms; all others are shared by every task.
#[derive(Module, Debug)]
pub struct Model {
    entities: Entities,
    trunk: Trunk,
    tower: Tower,
    heads: Option<Heads>,
    #[module(skip)]
    tasks: Vec<String>,
    /// What the training asks for beside the trunk's own terms.
    next_events: Option<NextEventTerms>,
    #[module(skip)]
    tower_dynamic: bool,
    #[module(skip)]
    history_means: bool,
    #[module(skip)]
    own: Vec<OwnTable>,
    #[module(skip)]
    shape: Vec<(&'static str, usize)>,
}

/// The impressions as vectors: where trunk and tasks meet.
#[derive(Debug)]
pub struct Representation {
    /// F, the intra-channel embedding: name and vectors `[n, w]` of each field, in the order of the tower.
    pub fields: Vec<(&'static str, Tensor<2>)>,
    /// What the logit of being watched is made of.
    pub logit: Logit,
    /// e_d `[n, d]`, where the schema declares it.
    pub dynamic: Option<Tensor<2>>,
    /// The trunk's terms of the loss, in training.
    pub terms: Vec<Term>,
    /// The trunk's figures for the log by name, in training.
    pub figures: Vec<(&'static str, f32)>,
    /// What its terms over a whole batch are made of ([`Model::joint`]), where this is a shard of one and there are such.
    pub joint: Option<Tensor<2>>,
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Output {
    /// Of being watched, `[n]`.
    pub logits: Tensor<1>,
    /// The trunk's terms of the loss, in training.
    pub terms: Vec<Term>,
    /// One output per impression `[n]` and task, where the model has heads; see [`Model::tasks`].
    pub tasks: Option<Vec<Tensor<1>>>,
}

impl Model {
    /// Builds the model that `settings` ask for, with initial values that depend on `seed` and parameter names only.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that do not fit, or a model that cannot do with this schema.
    pub fn new(
        settings: &ModelSettings,
        schema: &Schema,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Error> {
        settings.check()?;
        let (site, builder) = (settings.site(schema), Builder::new(device, settings.input.init));
        let trunk = settings.model.init(&site, &builder)?;
        let shape = trunk.shape(&site);
        let widths: Vec<usize> = shape.iter().map(|(_, width)| *width).collect();
        let of_tower: &[usize] = if trunk.uses_tower() { &widths } else { &[] };
        let dynamic = (!schema.fields(Group::Dynamic).is_empty()).then_some(site.width);
        let heads = settings.heads.as_ref();
        let tasks: Vec<String> = schema.task.iter().map(|task| task.name.clone()).collect();
        if heads.is_some() && tasks.is_empty() {
            let reason =
                "asks for inter-channel tasks, and the schema declares none; set it to single";
            return Err(Error::Config { key: "tasks.mode", reason: reason.into() });
        }
        let model = Self {
            entities: Entities::new(&settings.input, schema, &builder),
            tower: Tower::new(&settings.tower, of_tower, &builder),
            heads: heads.map(|heads| Heads::new(heads, &widths, dynamic, &tasks, &builder)),
            tasks,
            next_events: settings
                .next_event
                .as_ref()
                .map(|config| NextEventTerms::new(config, &site, &builder)),
            tower_dynamic: settings.tower.intra_dynamic,
            history_means: settings.tower.history_means,
            own: settings.model.tables(&site),
            trunk,
            shape,
        };
        Ok(parameters::initialise(model, &builder, seed, settings.model.name()))
    }

    /// Name and width of each field of F.
    pub fn shape(&self) -> &[(&'static str, usize)] {
        &self.shape
    }

    /// Logits of a batch. `leaves` holds one tensor `[u, w]` for each of [`ModelSettings::tables`], the rows of its ids in `unique`.
    /// `training` is what an update asks for; `None` computes no term of the trunk's.
    pub fn forward(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        leaves: &[Tensor<2>],
        training: Option<Training>,
    ) -> Output {
        self.finish(self.represent(schema, batch, unique, leaves, training), &mut Trace::off())
    }

    /// The first half of [`Model::forward`]: what the tasks read.
    pub fn represent(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        leaves: &[Tensor<2>],
        training: Option<Training>,
    ) -> Representation {
        let inputs = self.inputs(schema, batch, unique, leaves, training);
        self.encode(&inputs, &mut Trace::off())
    }

    /// Terms over the feeds of a whole batch that is trained in shards, from [`Representation::joint`] of all of them, one after the
    /// other.
    pub fn joint(&self, rows: Tensor<2>, batch: &Batch) -> JointTerms {
        self.trunk.joint(rows, batch)
    }

    fn inputs(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        leaves: &[Tensor<2>],
        training: Option<Training>,
    ) -> Inputs {
        let (vocabularies, own) = leaves.split_at(schema.vocabulary.len());
        Inputs {
            tower_dynamic: self.tower_dynamic,
            history_means: self.history_means,
            own: OwnRows::new(&self.own, own, schema, batch, unique),
            watched: batch
                .labels
                .as_ref()
                .filter(|_| training.is_some())
                .map_or_else(Vec::new, |labels| labels.watched.clone()),
            training,
            ..self.entities.forward(schema, batch, unique, vocabularies)
        }
    }

    /// The logits of being watched `[rows]`, from F (Eq. 11) and what else the trunk makes them of.
    pub fn watch(&self, fields: Vec<Tensor<2>>, logit: Logit) -> Tensor<1> {
        match logit {
            Logit::Tower => self.tower.forward(fields),
            Logit::Blended { scale, addend } => self.tower.forward(fields) * scale + addend,
            Logit::Own(logit) => logit,
        }
    }

    /// What happens inside the channel, from some rows of F and e_d (Eq. 12-13): one output `[rows]` per task of the
    /// schema: the standardised log1p of a duration, the logit of what happens or not. `None` for a model without heads.
    pub fn tasks(
        &self,
        fields: &[(&'static str, Tensor<2>)],
        dynamic: Option<&Tensor<2>>,
    ) -> Option<Vec<Tensor<1>>> {
        self.heads.as_ref().map(|heads| heads.forward(fields, dynamic, &mut Trace::off()))
    }

    /// The same as [`Model::forward`], recording every intermediate by name.
    pub fn explain(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        leaves: &[Tensor<2>],
        training: Option<Training>,
        trace: &mut Trace,
    ) -> Output {
        let inputs = self.inputs(schema, batch, unique, leaves, training);
        for (name, tensor) in [
            ("e_c", &inputs.context),
            ("user", &inputs.user),
            ("e_d", &inputs.dynamic),
            ("target_state", &inputs.target_state),
        ] {
            if let Some(tensor) = tensor {
                trace.record(name, tensor);
            }
        }
        trace.record("e_vt", &inputs.target);
        let domains = [("live", Some(&inputs.live)), ("product", inputs.product.as_ref())];
        for (domain, history) in domains {
            let Some(history) = history else { continue };
            trace.record(&format!("{domain}.bare"), &history.bare);
            trace.record(&format!("{domain}.items"), &history.items);
        }
        self.predict(&inputs, trace)
    }

    /// The trunk's figures of what [`Model::explain`] recorded.
    pub fn observe(&self, recorded: &BTreeMap<String, Recorded>) -> Vec<Observed> {
        self.trunk.observe(recorded)
    }

    /// From vectors to logits.
    pub fn predict(&self, inputs: &Inputs, trace: &mut Trace) -> Output {
        self.finish(self.encode(inputs, trace), trace)
    }

    fn encode(&self, inputs: &Inputs, trace: &mut Trace) -> Representation {
        let mut encoded = self.trunk.encode(inputs, &self.tower, trace);
        if let Some(terms) = &self.next_events {
            encoded.terms.extend(terms.of(inputs, trace));
        }
        if trace.is_on() {
            for (name, field) in &encoded.fields {
                trace.record(&format!("field.{name}"), field);
            }
        }
        Representation {
            fields: encoded.fields,
            logit: encoded.logit,
            dynamic: inputs.dynamic.clone(),
            terms: encoded.terms,
            figures: encoded.figures,
            joint: encoded.joint,
        }
    }

    fn finish(&self, representation: Representation, trace: &mut Trace) -> Output {
        let Representation { fields, logit, dynamic, terms, .. } = representation;
        let heads = self.heads.as_ref();
        let tasks = heads.map(|heads| heads.forward(&fields, dynamic.as_ref(), trace));
        for (task, output) in self.tasks.iter().zip(tasks.iter().flatten()) {
            trace.record(&format!("task.{task}"), output);
        }
        for (part, name) in logit.parts().iter().zip(["logit.0", "logit.1"]) {
            trace.record(name, part);
        }
        let logits = self.watch(fields.into_iter().map(|(_, field)| field).collect(), logit);
        trace.record("logits", &logits);
        Output { logits, terms, tasks }
    }
}
