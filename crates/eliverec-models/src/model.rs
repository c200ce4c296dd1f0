//! A whole model: entities, one trunk of the registry, and the tower that all of them share.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use eliverec_core::Batch;
use eliverec_core::schema::{Group, Schema};
use eliverec_core::unique::UniqueIds;

use crate::blocks::Tower;
use crate::error::Error;
use crate::inputs::{Entities, Inputs, sample_impressions};
use crate::parameters;
use crate::registry::Trunk;
use crate::settings::ModelSettings;
use crate::trace::Trace;
use crate::trunk::Penalty;

/// From a batch to a logit per impression.
#[derive(Module, Debug)]
pub struct Model {
    entities: Entities,
    trunk: Trunk,
    tower: Tower,
    intra_dynamic: bool,
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Output {
    /// Of being watched, `[n]`.
    pub logits: Tensor<1>,
    /// Terms of L_reg, in training.
    pub penalties: Vec<Penalty>,
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
        let widths = vec![settings.input.width; fields];
        let model = Self {
            entities: Entities::new(settings, schema, device),
            trunk,
            tower: Tower::new(&settings.tower, &widths, device),
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
        let mut inputs = self.entities.forward(schema, batch, unique, blocks);
        inputs.sampled = sampling.map(|seed| sample_impressions(batch, seed));
        self.predict(&inputs, &mut Trace::off())
    }

    /// The same without regularisers, recording every intermediate by name.
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
        let logits = self.tower.forward(fields.into_iter().map(|(_, field)| field).collect());
        trace.record("logits", &logits);
        Output { logits, penalties: encoded.penalties }
    }
}
