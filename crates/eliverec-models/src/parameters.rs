//! Parameters by name: for seeded initial values, optimisers, checkpoints and comparison with reference values.
//!
//! A name is the path through the modules, joined by dots, without the names of enum variants: `trunk.live.blocks.0.query`.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor, TensorData};
use eliverec_core::seed::{Random, stream};

use crate::builder::Builder;
use crate::error::Error;
use crate::trace::Recorded;

/// Every parameter's shape and values.
pub fn export<M: Module>(module: &M) -> BTreeMap<String, Recorded> {
    let mut visitor = Visitor { path: Path::default(), visit: Export(BTreeMap::new()) };
    module.visit(&mut visitor);
    visitor.visit.0
}

/// Every parameter's gradient, row-major; parameters that the loss does not depend on are absent.
pub fn gradients<M: Module>(module: &M, gradients: &Gradients) -> BTreeMap<String, Vec<f32>> {
    let visit = Collect { gradients, found: BTreeMap::new() };
    let mut visitor = Visitor { path: Path::default(), visit };
    module.visit(&mut visitor);
    visitor.visit.found
}

/// Replaces every parameter's values by what `update` makes of them. It gets the name and the values, row-major.
pub fn update<M: Module>(module: M, mut update: impl FnMut(&str, &mut [f32])) -> M {
    let update = |_: ParamId, name: &str, values: &mut [f32]| update(name, values);
    module.map(&mut Update { path: Path::default(), update })
}

/// Sets every parameter to the stored values of its name.
///
/// # Errors
/// A parameter that is not stored or has another shape, or a stored one that the model does not have.
pub fn import<M: Module>(module: M, stored: &BTreeMap<String, Recorded>) -> Result<M, Error> {
    let own = export(&module);
    let wrong = |name: &str, reason: String| Err(Error::Parameter { name: name.into(), reason });
    for (name, parameter) in &own {
        match stored.get(name) {
            None => {
                return wrong(name, "is not stored; the run was made with another model".into());
            }
            Some(s) if s.shape != parameter.shape => {
                let reason =
                    format!("stored with shape {:?}, the model has {:?}", s.shape, parameter.shape);
                return wrong(name, reason);
            }
            Some(_) => {}
        }
    }
    if let Some(name) = stored.keys().find(|name| !own.contains_key(*name)) {
        return wrong(name, "is stored but not part of the model".into());
    }
    Ok(update(module, |name, values| values.copy_from_slice(&stored[name].values)))
}

/// Initial values that depend on the seed, the model's name and the parameter's name only, so that single, dual and
/// ablation runs start alike: each drawn by the law it was made with. A parameter without one keeps the values it was made with.
pub(crate) fn initialise<M: Module>(module: M, builder: &Builder, seed: u64, model: &str) -> M {
    let update = |id: ParamId, name: &str, values: &mut [f32]| {
        if let Some(law) = builder.law(id) {
            law.fill(&mut Random::new(stream(seed, &format!("init/{model}/{name}"))), values);
        }
    };
    module.map(&mut Update { path: Path::default(), update })
}

#[derive(Debug, Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        // An enum's variant adds nothing to a name: a model has one trunk.
        let name = if container.starts_with("Enum") { "" } else { name };
        self.0.push(name.into());
    }

    fn leave(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        let parts: Vec<&str> =
            self.0.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.join(".")
    }
}

trait Visit {
    fn visit<const D: usize>(&mut self, name: String, parameter: &Tensor<D>);
}

struct Visitor<V> {
    path: Path,
    visit: V,
}

impl<V: Visit> ModuleVisitor for Visitor<V> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.visit.visit(self.path.name(), &param.val());
    }
}

struct Export(BTreeMap<String, Recorded>);

impl Visit for Export {
    fn visit<const D: usize>(&mut self, name: String, parameter: &Tensor<D>) {
        self.0.insert(name, Recorded::of(parameter));
    }
}

struct Collect<'a> {
    gradients: &'a Gradients,
    found: BTreeMap<String, Vec<f32>>,
}

impl Visit for Collect<'_> {
    fn visit<const D: usize>(&mut self, name: String, parameter: &Tensor<D>) {
        if let Some(gradient) = parameter.grad(self.gradients) {
            self.found.insert(name, Recorded::of(&gradient).values);
        }
    }
}

struct Update<F> {
    path: Path,
    update: F,
}

impl<F: FnMut(ParamId, &str, &mut [f32])> ModuleMapper for Update<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (shape, device, tracked) = (tensor.dims(), tensor.device(), tensor.is_require_grad());
        let mut values = Recorded::of(&tensor).values;
        (self.update)(id, &self.path.name(), &mut values);
        let mut updated = Tensor::from_data(TensorData::new(values, shape), &device);
        if tracked {
            updated = updated.require_grad();
        }
        Param::from_mapped_value(id, updated, mapper)
    }
}
