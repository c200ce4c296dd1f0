//! The trunks that the fast path knows.

use super::din::{Din, DinRoom};
use super::elive::{Elive, EliveRoom};
use super::encoded::Encoded;
use super::encoder::BlockRoom;
use super::engine::{Engine, Lanes};
use super::eta::{Eta, EtaRoom};
use super::unsupported::Unsupported;
use super::weight::Parameters;
use crate::registry::ModelConfig;

/// A trunk without a graph.
#[derive(Debug)]
pub(super) enum Trunk {
    Elive(Elive),
    Eta(Eta),
    Din(Din),
}

/// Room for a trunk.
#[derive(Debug, Default)]
pub(super) struct TrunkRoom {
    blocks: BlockRoom,
    pub(super) elive: EliveRoom,
    eta: EtaRoom,
    din: DinRoom,
}

impl Trunk {
    /// The trunk of a model over the domains of these names, or why it has to be computed with a graph's operations.
    pub(super) fn new(
        config: &ModelConfig,
        parameters: &Parameters,
        domains: &[&str],
        d: usize,
    ) -> Result<Self, Unsupported> {
        match config {
            ModelConfig::Elive(config) => {
                Elive::new(config, parameters, domains, d).map(Self::Elive)
            }
            ModelConfig::Eta(config) => {
                Ok(Self::Eta(Eta::new(parameters, domains, config.heads, d)))
            }
            ModelConfig::Din(config) => {
                let product = config.target_product;
                Ok(Self::Din(Din::new(parameters, domains, config.normalize, product, d)))
            }
            _ => Err(Unsupported { key: "model.name", value: config.name().into() }),
        }
    }

    /// From E `[l, d]` of each domain to what candidates attend to.
    pub(super) fn encode(
        &self,
        events: Vec<Vec<f32>>,
        engine: &mut Engine,
        spare: &mut TrunkRoom,
    ) -> Encoded {
        match self {
            Self::Elive(elive) => elive.encode(events, engine, &mut spare.blocks),
            Self::Eta(eta) => eta.encode(&events, engine),
            Self::Din(din) => din.encode(events, engine),
        }
    }

    /// Whether users have intents before any candidate is known.
    pub(super) const fn has_intents(&self) -> bool {
        matches!(self, Self::Elive(elive) if elive.has_intents())
    }

    /// These intents, of the events' own vectors `[l, d]` of each domain.
    pub(super) fn intents(
        &self,
        bare: &[Vec<f32>],
        encoded: &Encoded,
        engine: &Engine,
        spare: &mut TrunkRoom,
    ) -> Vec<Vec<f32>> {
        match self {
            Self::Elive(elive) => elive.intents(bare, encoded, engine, &mut spare.elive),
            Self::Eta(_) | Self::Din(_) => Vec::new(),
        }
    }

    /// Fills `spare` with the events that every candidate's fields are weighted sums of; none for trunks whose fields are more
    /// than that.
    pub(super) fn parts(&self, encoded: &Encoded, engine: &Engine, spare: &mut TrunkRoom) {
        match self {
            Self::Elive(elive) => elive.parts(encoded, engine, &mut spare.elive),
            Self::Eta(_) | Self::Din(_) => spare.elive.clear(),
        }
    }

    /// The weights of those events `to` `[events, lanes]` for candidates `target` `[d, lanes]`.
    pub(super) fn attend(
        &self,
        target: &[f32],
        lanes: Lanes,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &TrunkRoom,
    ) {
        if let Self::Elive(elive) = self {
            elive.attend(target, lanes, to, engine, &spare.elive);
        }
    }

    /// Whether the fields are weighted sums over events and nothing more.
    pub(super) fn sums_of_events(&self) -> bool {
        matches!(self, Self::Elive(elive) if !elive.target_product)
    }

    /// The fields as vectors, `to` `[fields * d, lanes]`, with the weights that [`Self::attend`] gave.
    #[expect(clippy::too_many_arguments, reason = "what goes in, what comes out, and room")]
    pub(super) fn vectors(
        &self,
        encoded: &Encoded,
        target: &[f32],
        attention: &[f32],
        lanes: Lanes,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &mut TrunkRoom,
    ) {
        match self {
            Self::Elive(elive) => {
                elive.vectors(target, attention, lanes, to, engine, &spare.elive);
            }
            Self::Eta(eta) => eta.vectors(encoded, target, lanes, to, engine, &mut spare.eta),
            Self::Din(din) => din.vectors(encoded, target, lanes, to, engine, &mut spare.din),
        }
    }
}
