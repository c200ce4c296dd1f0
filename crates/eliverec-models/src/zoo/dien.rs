//! DIEN: interests are extracted from a history by a GRU, and evolve towards the target in a second one.
//!
//! G. Zhou et al., "Deep Interest Evolution Network for Click-Through Rate Prediction", AAAI 2019. Row "DIEN" of the eLiveRec
//! paper's Table II. Reference code: github.com/mouna99/dien.
//!
//! Per domain: `h_t = GRU(x_t)`, `a_t = softmax_t(h_t W e_vt)`, `h' = AUGRU(h_t, a_t)`, where a_t u takes u's place: an event
//! without weight leaves the state as it is. The auxiliary loss of each domain asks whether <h_t, x_t+1> tells the event after t
//! from another of the batch; each is a mean over its own pairs.
//!
//! Where the paper and the reference code disagree: the paper's AUGRU (in the code, of TensorFlow's convention, a weight of 0
//! still takes 1 - u of the candidate), attention (`attention = "unit"` is the code's) and inner product (the code has a net of
//! two layers). Sums over events that the code gives to its tower are `tower.history_means`. Bare vectors stand for x_t+1, since
//! what only an event has gives the answer away. No batch norm and no Dice; the tower that all models share; no history gives
//! h' = 0.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::blocks::{Evolution, EvolutionAttention, Tower, check_auxiliary_weight};
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::site::Site;
use crate::term::{Term, TermKind};
use crate::trace::Trace;
use crate::trunk::{Encoded, Trunk, TrunkConfig};

/// `[model] name = "dien"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DienConfig {
    /// How an interest is weighed by the target.
    pub attention: EvolutionAttention,
    /// Weight of each domain's auxiliary loss; 0 leaves it out. 1 in the reference code.
    pub auxiliary_weight: f32,
}

impl Default for DienConfig {
    fn default() -> Self {
        Self { attention: EvolutionAttention::default(), auxiliary_weight: 1.0 }
    }
}

impl TrunkConfig for DienConfig {
    type Trunk = Dien;

    fn check(&self, _: usize) -> Result<(), Error> {
        check_auxiliary_weight(self.auxiliary_weight)
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Dien, Error> {
        Ok(Dien::new(self, site, builder))
    }
}

/// Names of a domain: its field and its term.
const LIVE: [&str; 2] = ["live", "auxiliary_live"];
const PRODUCT: [&str; 2] = ["product", "auxiliary_product"];

/// An evolution per domain; the two never share weights.
#[derive(Module, Debug)]
pub struct Dien {
    live: Evolution,
    product: Option<Evolution>,
    #[module(skip)]
    auxiliary_weight: f32,
}

impl Dien {
    pub(super) fn new(config: &DienConfig, site: &Site<'_>, builder: &Builder) -> Self {
        let evolution = || Evolution::new(site.width, config.attention, builder);
        let auxiliary_weight = config.auxiliary_weight;
        Self { live: evolution(), product: site.products.then(evolution), auxiliary_weight }
    }
}

impl Trunk for Dien {
    /// Fields: those that all models share, and per domain in use h' `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let mut fields = site.shared_fields();
        fields.push((LIVE[0], site.width));
        fields.extend(self.product.is_some().then_some((PRODUCT[0], site.width)));
        fields
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let mut encoded = Encoded::of(inputs.shared_fields());
        let domains = [
            (Some(&self.live), Some(&inputs.live), LIVE),
            (self.product.as_ref(), inputs.product.as_ref(), PRODUCT),
        ];
        let draws = inputs.asked(TermKind::Auxiliary).filter(|_| self.auxiliary_weight > 0.0);
        for (evolution, history, [name, term]) in domains {
            let (Some(evolution), Some(history)) = (evolution, history) else { continue };
            let evolved = evolution.forward(inputs, history, name, trace);
            if let Some(draws) = draws {
                encoded.terms.push(Term {
                    name: term,
                    kind: TermKind::Auxiliary,
                    weight: self.auxiliary_weight,
                    value: Evolution::next_event(&evolved, history, draws, term),
                });
            }
            encoded.fields.push((name, evolved.last));
        }
        encoded
    }
}
