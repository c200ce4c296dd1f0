//! The models, in the order of the paper's tables. Adding one is a file in `zoo/` and a line here.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use eliverec_core::Batch;
use serde::{Deserialize, Serialize};

use crate::blocks::Tower;
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::own::OwnTable;
use crate::site::Site;
use crate::term::JointTerms;
use crate::trace::{Recorded, Trace};
use crate::trunk::{Encoded, Observed, TrunkConfig as _};
use crate::zoo::bst::{Bst, BstConfig};
use crate::zoo::can::{Can, CanConfig};
use crate::zoo::conet::{Conet, ConetConfig};
use crate::zoo::dasl::{Dasl, DaslConfig};
use crate::zoo::ddtcdr::{Ddtcdr, DdtcdrConfig};
use crate::zoo::dien::{Dien, DienConfig};
use crate::zoo::din::{Din, DinConfig};
use crate::zoo::dtcdr::{Dtcdr, DtcdrConfig};
use crate::zoo::elive::{Elive, EliveConfig};
use crate::zoo::eta::{Eta, EtaConfig};
use crate::zoo::hgn::{Hgn, HgnConfig};
use crate::zoo::linear::{Linear, LinearConfig};
use crate::zoo::minet::{Minet, MinetConfig};
use crate::zoo::probe::{Probe, ProbeConfig};
use crate::zoo::wdl::{Wdl, WdlConfig};

macro_rules! models {
    ($($name:literal $model:ident $config:ident $summary:literal,)*) => {
        /// Name and summary of every model.
        pub const MODELS: &[(&str, &str)] = &[$(($name, $summary),)*];

        /// `[model]` of an experiment file: `name` and the model's own keys.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        #[expect(missing_docs, reason = "each is documented at its config")]
        pub enum ModelConfig {
            $(#[serde(rename = $name)] $model($config),)*
            /// Uses all that a trunk may ask for, for tests alone: no experiment file can name it.
            #[doc(hidden)]
            #[serde(skip)]
            Probe(ProbeConfig),
        }

        impl ModelConfig {
            /// The name in [`MODELS`].
            pub fn name(&self) -> &'static str {
                match self { $(Self::$model(_) => $name,)* Self::Probe(_) => "probe" }
            }

            /// The default configuration of the model of a name.
            pub fn of(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$model($config::default())),)* _ => None }
            }

            /// Checks sizes against the width d.
            pub(crate) fn check(&self, width: usize) -> Result<(), Error> {
                match self { $(Self::$model(config) => config.check(width),)* Self::Probe(config) => config.check(width) }
            }

            /// Whether users have intents before any candidate is known ([`crate::intents`]).
            pub fn has_intents(&self) -> bool {
                match self { $(Self::$model(config) => config.has_intents(),)* Self::Probe(config) => config.has_intents() }
            }

            /// Whether the model joins both domains and refuses to do without products.
            pub fn joins_domains(&self) -> bool {
                match self { $(Self::$model(config) => config.joins_domains(),)* Self::Probe(config) => config.joins_domains() }
            }

            /// The trunk's own tables.
            pub(crate) fn tables(&self, site: &Site<'_>) -> Vec<OwnTable> {
                match self { $(Self::$model(config) => config.tables(site),)* Self::Probe(config) => config.tables(site) }
            }

            /// Builds the trunk.
            pub(crate) fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Trunk, Error> {
                if self.joins_domains() {
                    site.needs_products()?;
                }
                Ok(match self {
                    $(Self::$model(config) => Trunk::$model(config.init(site, builder)?),)*
                    Self::Probe(config) => Trunk::Probe(config.init(site, builder)?),
                })
            }
        }

        /// A model without its tower.
        #[derive(Module, Debug)]
        #[expect(missing_docs, reason = "each is documented at its type")]
        #[allow(clippy::large_enum_variant, reason = "there is one per process")]
        pub enum Trunk {
            $($model($model),)*
            #[doc(hidden)]
            Probe(Probe),
        }

        impl crate::trunk::Trunk for Trunk {
            fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
                match self { $(Self::$model(model) => model.shape(site),)* Self::Probe(model) => model.shape(site) }
            }

            fn uses_tower(&self) -> bool {
                match self { $(Self::$model(model) => model.uses_tower(),)* Self::Probe(model) => model.uses_tower() }
            }

            fn encode(&self, inputs: &Inputs, tower: &Tower, trace: &mut Trace) -> Encoded {
                match self {
                    $(Self::$model(model) => model.encode(inputs, tower, trace),)*
                    Self::Probe(model) => model.encode(inputs, tower, trace),
                }
            }

            fn joint(&self, rows: Tensor<2>, batch: &Batch) -> JointTerms {
                match self { $(Self::$model(model) => model.joint(rows, batch),)* Self::Probe(model) => model.joint(rows, batch) }
            }

            fn observe(&self, recorded: &BTreeMap<String, Recorded>) -> Vec<Observed> {
                match self { $(Self::$model(model) => model.observe(recorded),)* Self::Probe(model) => model.observe(recorded) }
            }
        }
    };
}

models! {
    "linear" Linear LinearConfig "logistic regression on fields and match features: the floor",
    "wdl" Wdl WdlConfig "WDL+: numbers for single ids beside encoded histories",
    "din" Din DinConfig "an attention unit weighs each event by the target",
    "dien" Dien DienConfig "interests of a GRU evolve towards the target in a second one",
    "hgn" Hgn HgnConfig "gates for elements and for events, by the user",
    "bst" Bst BstConfig "a transformer over each history with the target behind it",
    "can" Can CanConfig "DIEN, and co-action: the target's own net reads each event's ids",
    "eta" Eta EtaConfig "multi-head attention of the target over each history",
    "minet" Minet MinetConfig "interests of both domains and of the user, each weighed for the target",
    "dasl" Dasl DaslConfig "recurrences over both histories under one attention, with the user's vector of each domain",
    "conet" Conet ConetConfig "two nets side by side, each layer of which sees the other's",
    "dtcdr" Dtcdr DtcdrConfig "a user's vectors of both domains, joined by the larger of each element",
    "ddtcdr" Ddtcdr DdtcdrConfig "a net for each domain, and a rotation that takes users across",
    "elive" Elive EliveConfig "eLiveRec: disentangled intents of both domains",
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self::Elive(EliveConfig::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The models of a folder that have no line in the registry.
    fn unregistered(zoo: &std::path::Path) -> Vec<String> {
        let files = zoo.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let names = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
        let hidden = |name: &str| name == "mod" || name == "probe";
        names.filter(|name| !hidden(name) && ModelConfig::of(name).is_none()).collect()
    }

    /// A file that nobody registered would never be trained or tested.
    #[test]
    fn every_file_of_the_zoo_is_registered() {
        let zoo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/zoo");
        assert_eq!(unregistered(&zoo), [""; 0], "each needs a line in registry.rs");
    }

    #[test]
    fn a_file_without_a_line_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["mod.rs", "din.rs", "fresh.rs"] {
            fs_err::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(unregistered(folder.path()), ["fresh"]);
    }

    #[test]
    fn names_lead_to_their_configs() {
        for (name, _) in MODELS {
            assert_eq!(ModelConfig::of(name).unwrap().name(), *name);
        }
    }
}
