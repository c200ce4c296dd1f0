//! The options of a file as settings.

use eliverec_models::ModelSettings;
use eliverec_models::blocks::{AttentionScale, EvolutionAttention, Normalize};
use eliverec_models::heads::HeadsConfig;
use eliverec_models::registry::ModelConfig;
use eliverec_models::settings::{Domain, Maps, NextEventConfig, Query};
use eliverec_models::zoo::can::CoactionFields;
use eliverec_models::zoo::conet::ConetConfig;
use eliverec_models::zoo::dasl::DualAttention;
use eliverec_models::zoo::ddtcdr::{DdtcdrConfig, Features};
use eliverec_models::zoo::dtcdr::{Combine, DtcdrConfig};
use eliverec_models::zoo::elive::{
    Alignment, Correlation, EncoderKind, IntentWeight, Position, PrototypeSource,
};
use eliverec_models::zoo::minet::InterestWeight;
use eliverec_models::zoo::wdl::Sequence;

use super::Reference;

/// The options of a reference file as our settings.
pub(crate) fn of(r: &Reference) -> ModelSettings {
    let mut settings = ModelSettings::default();
    settings.input.width = 8;
    settings.input.domain =
        if r.option("domains").contains("product") { Domain::Both } else { Domain::Live };
    settings.input.maps = match r.option("maps") {
        "" | "entity" => Maps::Entity,
        "vocabulary" => Maps::Vocabulary,
        other => panic!("maps = {other}"),
    };
    settings.input.query = match r.option("query") {
        "" | "channel" => Query::Channel,
        "moment" => Query::Moment,
        other => panic!("query = {other}"),
    };
    settings.next_event = (!r.option("negatives").is_empty()).then(|| NextEventConfig {
        weight: r.weight("next_weight"),
        watched_weight: r.weight("watched_weight"),
        negatives: r.number("negatives"),
    });
    settings.tower.history_means = r.option("history_means") == "true";
    settings.tower.widths = vec![10, 6];
    settings.tower.intra_dynamic = r.option("intra_dynamic") == "true";
    settings.model = ModelConfig::of(r.option("model")).unwrap();
    settings.heads = (!r.option("experts").is_empty()).then(|| HeadsConfig {
        experts: r.number("experts"),
        expert_width: r.number("expert_width"),
        gate_hidden: r.number("gate_hidden"),
        tower_hidden: r.number("tower_hidden"),
    });
    match &mut settings.model {
        ModelConfig::Din(config) => {
            config.normalize = match r.option("normalize") {
                "softmax" => Normalize::Softmax,
                "none" => Normalize::None,
                "sigmoid" => Normalize::Sigmoid,
                other => panic!("normalize = {other}"),
            };
        }
        ModelConfig::Eta(config) => config.heads = r.number("heads"),
        ModelConfig::Elive(config) => {
            config.encoder = match r.option("encoder") {
                "transformer" => EncoderKind::Transformer,
                "din" => EncoderKind::Din,
                "hgn" => EncoderKind::Hgn,
                "gru" => EncoderKind::Gru,
                other => panic!("encoder = {other}"),
            };
            config.heads = r.number("heads");
            config.blocks = r.number("blocks");
            config.ffn_ratio = r.number("feed_forward_ratio");
            config.correlation_weight = r.number("lambda_correlation");
            config.alignment_weight = r.number("lambda_contrast");
            config.disentangle = r.number("disentangle");
            if r.option("attention_scale") == "head" {
                config.attention_scale = AttentionScale::Head;
            }
            if r.option("position") == "recency" {
                config.position = Position::Recency;
            }
            config.prototypes = match r.option("prototypes") {
                "pooled" => PrototypeSource::Pooled,
                "learned" => PrototypeSource::Learned,
                "matched" => PrototypeSource::Matched,
                other => panic!("prototypes = {other}"),
            };
            if r.option("intention_weight") == "scalar" {
                config.intention_weight = IntentWeight::Scalar;
            }
            config.correlation = match r.option("correlation") {
                "plain" => Correlation::Plain,
                "bias_corrected" => Correlation::BiasCorrected,
                "none" => Correlation::None,
                other => panic!("correlation = {other}"),
            };
            config.target_product = r.option("target_product") == "true";
            config.separate_specific = r.option("contrast") == "specific_repulsion";
            config.alignment = match r.option("contrast") {
                "info_nce" | "specific_repulsion" => Alignment::InfoNce,
                "cosine" => Alignment::Cosine,
                "euclidean" => Alignment::Euclidean,
                "none" => Alignment::None,
                other => panic!("contrast = {other}"),
            };
        }
        ModelConfig::Dien(config) => {
            config.auxiliary_weight = r.weight("auxiliary_weight");
            config.attention = match r.option("attention") {
                "bilinear" => EvolutionAttention::Bilinear,
                "unit" => EvolutionAttention::Unit,
                other => panic!("attention = {other}"),
            };
        }
        ModelConfig::Bst(config) => config.heads = r.number("heads"),
        ModelConfig::Hgn(_) => {}
        ModelConfig::Wdl(config) => {
            config.heads = r.number("heads");
            config.sequence = match r.option("sequence") {
                "encoder" => Sequence::Encoder,
                "mean" => Sequence::Mean,
                other => panic!("sequence = {other}"),
            };
        }
        ModelConfig::Can(config) => {
            config.auxiliary_weight = r.weight("auxiliary_weight");
            config.fields = match r.option("coaction") {
                "all" => CoactionFields::All,
                "identity" => CoactionFields::Identity,
                other => panic!("coaction = {other}"),
            };
        }
        ModelConfig::Minet(config) => {
            config.product_weight = r.weight("product_weight");
            config.interest_weight = match r.option("interest_weight") {
                "exp" => InterestWeight::Exp,
                "sigmoid" => InterestWeight::Sigmoid,
                other => panic!("interest_weight = {other}"),
            };
        }
        ModelConfig::Dasl(config) => {
            config.product_weight = r.weight("product_weight");
            config.dual_weight = r.weight("dual_weight");
            config.attention = match r.option("attention") {
                "both" => DualAttention::Both,
                "own" => DualAttention::Own,
                other => panic!("attention = {other}"),
            };
        }
        ModelConfig::Conet(config) => {
            *config = ConetConfig {
                heads: r.number("heads"),
                sparsity: r.weight("sparsity"),
                product_weight: r.weight("product_weight"),
            };
        }
        ModelConfig::Dtcdr(config) => {
            *config = DtcdrConfig {
                heads: r.number("heads"),
                combine: match r.option("combine") {
                    "max" => Combine::Max,
                    "mean" => Combine::Mean,
                    "gate" => Combine::Gate,
                    other => panic!("combine = {other}"),
                },
                target_product: r.number("target_product"),
                product_weight: r.weight("product_weight"),
            };
        }
        ModelConfig::Ddtcdr(config) => {
            let fixed = !r.option("alpha").is_empty();
            *config = DdtcdrConfig {
                heads: r.number("heads"),
                features: match r.option("features") {
                    "" | "both" => Features::Both,
                    "own" => Features::Own,
                    other => panic!("features = {other}"),
                },
                alpha: if fixed { r.number("alpha") } else { 0.25 },
                learn_alpha: !fixed,
                orthogonality: r.weight("orthogonality"),
                product_weight: r.weight("product_weight"),
            };
        }
        other => panic!("{other:?} has no reference"),
    }
    settings
}
