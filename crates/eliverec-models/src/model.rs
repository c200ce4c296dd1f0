//! A whole model: entities, one trunk of the registry, the tower that all of them share, and heads for what happens inside a
//! channel.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use eliverec_core::Batch;
use eliverec_core::schema::{Group, Schema};
use eliverec_core::unique::UniqueIds;

use crate::blocks::Tower;
use crate::error::Error;
use crate::heads::{Heads, Task};
use crate::inputs::{Entities, Inputs, sample_impressions};
use crate::parameters;
use crate::registry::Trunk;
use crate::settings::ModelSettings;
use crate::trace::Trace;
use crate::trunk::Penalty;

/// From a batch to a logit per impression, and to the tasks inside the channel where the settings ask for heads.
///
/// Names of parameters ([`parameters::export`]) that begin with `tower.` or `heads.` belong to one task or to the
/// inter-channel tasks alone; all others are shared by every task.
#[derive(Module, Debug)]
pub struct Model {
    entities: Entities,
    trunk: Trunk,
    tower: Tower,
    heads: Option<Heads>,
    intra_dynamic: bool,
}

/// The impressions as vectors: where trunk and tasks meet.
#[derive(Debug)]
pub struct Representation {
    /// F, the intra-channel embedding: name and vectors `[n, d]` of each field, in the order of the tower.
    pub fields: Vec<(&'static str, Tensor<2>)>,
    /// e_d `[n, d]`, where the schema declares it.
    pub dynamic: Option<Tensor<2>>,
    /// Terms of L_reg, in training.
    pub penalties: Vec<Penalty>,
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Output {
    /// Of being watched, `[n]`.
    pub logits: Tensor<1>,
    /// Terms of L_reg, in training.
    pub penalties: Vec<Penalty>,
    /// One output per impression `[n]` and task, where the model has heads; see [`Model::tasks`].
    pub tasks: Option<[Tensor<1>; Task::ALL.len()]>,
}

impl Model {
    /// Builds the model that `settings` ask for, with initial values that depend on `seed` and parameter names only.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that do not fit.
    pub fn new(
        settings: &ModelSettings,
        schema: &Schema,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Error> {
        settings.check()?;
        let products = settings.has_products(schema);
        let trunk = settings.model.init(settings.input.width, products, device);
        let intra_dynamic =
            settings.tower.intra_dynamic && !schema.fields(Group::Dynamic).is_empty();
        let extra = [
            !(schema.user.is_empty() && schema.context.is_empty()),
            true,
            !schema.target.is_empty(),
            intra_dynamic,
        ];
        let fields = extra.into_iter().filter(|given| *given).count() + trunk.fields();
        let width = settings.input.width;
        let dynamic = !schema.fields(Group::Dynamic).is_empty();
        let heads = settings.heads.as_ref();
        let model = Self {
            entities: Entities::new(settings, schema, device),
            trunk,
            tower: Tower::new(&settings.tower, &vec![width; fields], device),
            heads: heads.map(|heads| Heads::new(heads, fields, width, dynamic, device)),
            intra_dynamic,
        };
        Ok(parameters::initialise(model, seed, settings.model.name()))
    }

    /// Logits of a batch. `blocks` holds one tensor `[u, w]` per vocabulary, the rows of `unique.ids`. `sampling` seeds the
    /// regularisers' rows in training; `None` computes no regulariser.
    pub fn forward(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        blocks: &[Tensor<2>],
        sampling: Option<u64>,
    ) -> Output {
        self.finish(self.represent(schema, batch, unique, blocks, sampling), &mut Trace::off())
    }

    /// The first half of [`Model::forward`]: what the tasks read.
    pub fn represent(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        blocks: &[Tensor<2>],
        sampling: Option<u64>,
    ) -> Representation {
        let mut inputs = self.entities.forward(schema, batch, unique, blocks);
        inputs.sampled = sampling.map(|seed| sample_impressions(batch, seed));
        self.encode(&inputs, &mut Trace::off())
    }

    /// The logits of being watched `[rows]`, from F (Eq. 11).
    pub fn watch(&self, fields: Vec<Tensor<2>>) -> Tensor<1> {
        self.tower.forward(fields)
    }

    /// What happens inside the channel, from some rows of F and e_d (Eq. 12-13): one output `[rows]` per task, in the order
    /// of [`Task::ALL`]: the standardised log1p of the stay, the logits of the clicks. `None` for a model without heads.
    pub fn tasks(
        &self,
        fields: &[(&'static str, Tensor<2>)],
        dynamic: Option<&Tensor<2>>,
    ) -> Option<[Tensor<1>; Task::ALL.len()]> {
        self.heads.as_ref().map(|heads| heads.forward(fields, dynamic, &mut Trace::off()))
    }

    /// The same as [`Model::forward`] without regularisers, recording every intermediate by name.
    pub fn explain(
        &self,
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
        blocks: &[Tensor<2>],
        trace: &mut Trace,
    ) -> Output {
        let inputs = self.entities.forward(schema, batch, unique, blocks);
        for (name, tensor) in [
            ("e_c", &inputs.context),
            ("e_d", &inputs.dynamic),
            ("target_state", &inputs.target_state),
        ] {
            if let Some(tensor) = tensor {
                trace.record(name, tensor);
            }
        }
        trace.record("e_vt", &inputs.target);
        trace.record("live.items", &inputs.live.items);
        if let Some(product) = &inputs.product {
            trace.record("product.items", &product.items);
        }
        self.predict(&inputs, trace)
    }

    /// From vectors to logits.
    pub fn predict(&self, inputs: &Inputs, trace: &mut Trace) -> Output {
        self.finish(self.encode(inputs, trace), trace)
    }

    fn encode(&self, inputs: &Inputs, trace: &mut Trace) -> Representation {
        let encoded = self.trunk.encode(inputs, trace);
        let mut fields = encoded.fields;
        if let (true, Some(dynamic)) = (self.intra_dynamic, &inputs.dynamic) {
            fields.insert(inputs.shared_count(), ("dynamic", dynamic.clone()));
        }
        if trace.is_on() {
            for (name, field) in &fields {
                trace.record(&format!("field.{name}"), field);
            }
        }
        Representation { fields, dynamic: inputs.dynamic.clone(), penalties: encoded.penalties }
    }

    fn finish(&self, representation: Representation, trace: &mut Trace) -> Output {
        let Representation { fields, dynamic, penalties } = representation;
        let heads = self.heads.as_ref();
        let tasks = heads.map(|heads| heads.forward(&fields, dynamic.as_ref(), trace));
        for (task, output) in Task::ALL.into_iter().zip(tasks.iter().flatten()) {
            trace.record(&format!("task.{}", task.name()), output);
        }
        let logits = self.tower.forward(fields.into_iter().map(|(_, field)| field).collect());
        trace.record("logits", &logits);
        Output { logits, penalties, tasks }
    }
}
