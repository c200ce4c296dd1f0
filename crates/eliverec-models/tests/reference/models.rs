//! Whole models, from the entities' vectors to the loss, with fused and with composed operations.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use eliverec_core::{Task, TaskKind, toy};
use eliverec_models::blocks::{AttentionScale, EvolutionAttention, Normalize};
use eliverec_models::draws::Draws;
use eliverec_models::heads::HeadsConfig;
use eliverec_models::inputs::{History, Inputs};
use eliverec_models::ops;
use eliverec_models::own::OwnRows;
use eliverec_models::parameters;
use eliverec_models::registry::ModelConfig;
use eliverec_models::rows::{Rows, indices};
use eliverec_models::settings::{Domain, FieldNorm};
use eliverec_models::term::{Training, Turn};
use eliverec_models::trace::Trace;
use eliverec_models::zoo::conet::ConetConfig;
use eliverec_models::zoo::dasl::DualAttention;
use eliverec_models::zoo::ddtcdr::{DdtcdrConfig, Features};
use eliverec_models::zoo::dtcdr::{Combine, DtcdrConfig};
use eliverec_models::zoo::elive::{
    Alignment, Correlation, EncoderKind, IntentScale, IntentWeight, Position, PrototypeSource,
    drawn_impressions,
};
use eliverec_models::zoo::minet::InterestWeight;
use eliverec_models::{Model, ModelSettings};

use super::{Reference, device, folder};

#[test]
fn whole_models() {
    let mut seen = 0;
    for entry in fs_err::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "safetensors")
            && !path.ends_with("ops.safetensors")
        {
            let reference = Reference::read(&path);
            check_model(&reference, false, true);
            check_model(&reference, true, true);
            check_model(&reference, true, false);
            seen += 1;
        }
    }
    assert!(seen >= 42, "only {seen} files of reference values");
}

/// `fused`: with the fused operations or composed; `traced`: recording, for which the disentangled encoder is always composed.
fn check_model(r: &Reference, fused: bool, traced: bool) {
    let schema = toy::schema();
    let settings = settings(r);
    let model = Model::new(&settings, &schema, 1, &device()).unwrap();
    let names = reference_names(&model, r);
    let model = parameters::update(model, |name, values| {
        if let Some(name) = names.get(name) {
            values.copy_from_slice(r.values(&format!("param.{name}")));
        }
    });
    let inputs = inputs(r, fused, settings.tower.intra_dynamic);
    let mut trace = if traced { Trace::on() } else { Trace::off() };
    let output = model.predict(&inputs, &mut trace);
    let rec = ops::binary_cross_entropy(output.logits.clone(), r.tensor("input.watched"));
    r.check("output.logits", &output.logits);
    r.check("output.loss.rec", &rec);

    let mut total = rec;
    let (mut cor, mut nce) = (None, None);
    for term in output.terms {
        total = total + term.value.clone() * term.weight;
        let sum = if term.name == "correlation" { &mut cor } else { &mut nce };
        *sum = Some(sum.take().map_or(0.0, |x: f32| x) + term.value.into_scalar::<f32>());
    }
    for (name, ours) in [("cor", cor), ("nce", nce)] {
        let name = format!("output.loss.{name}");
        assert_eq!(r.tensors.contains_key(&name), ours.is_some(), "{}: {name}", r.name);
        ours.into_iter().for_each(|ours| r.check_values(&name, &[ours]));
    }
    for (task, output) in Task::paper().iter().zip(output.tasks.into_iter().flatten()) {
        let name = &task.name;
        r.check(&format!("output.task.{name}"), &output);
        let loss = task_loss(r, task, output);
        r.check(&format!("output.loss.{name}"), &loss);
        total = total + loss * r.number::<f32>(&format!("{name}_weight"));
    }
    r.check("output.loss.total", &total);
    if traced {
        check_trace(r, trace, &inputs);
    }

    let gradients = total.backward();
    let ours = parameters::gradients(&model, &gradients);
    for (name, reference) in &names {
        let gradient =
            ours.get(name).unwrap_or_else(|| panic!("{}: no gradient for {name}", r.name));
        r.check_values(&format!("grad.{reference}"), gradient);
    }
    r.check_gradient("grad.input.context", inputs.context.as_ref().unwrap(), &gradients);
    r.check_gradient("grad.input.target", &inputs.target, &gradients);
    r.check_gradient("grad.input.target_state", inputs.target_state.as_ref().unwrap(), &gradients);
    if settings.heads.is_some() {
        r.check_gradient("grad.input.dynamic", inputs.dynamic.as_ref().unwrap(), &gradients);
    }
    r.check_gradient("grad.input.live.items", &inputs.live.items, &gradients);
    if let Some(product) = &inputs.product {
        r.check_gradient("grad.input.product.items", &product.items, &gradients);
    }
}

/// A mean over the watched impressions whose label is known, which are those that are not negative.
fn task_loss(r: &Reference, task: &Task, output: Tensor<1>) -> Tensor<1> {
    let labels = r.values(&format!("input.{}", task.name));
    let known = labels.iter().zip(r.values("input.watched")).zip(0..);
    let known = known.filter(|((label, watched), _)| **label >= 0.0 && **watched > 0.5);
    let (labels, rows): (Vec<f32>, Vec<u32>) = known.map(|((label, _), i)| (*label, i)).unzip();
    let output = output.select(0, indices(rows, &device()));
    let (mean, sd): (f32, f32) = (r.number("stay_mean"), r.number("stay_sd"));
    let standard = |seconds: &f32| (seconds.ln_1p() - mean) / sd;
    match task.kind {
        TaskKind::Duration => {
            let labels: Vec<f32> = labels.iter().map(standard).collect();
            (output - Tensor::from_data(&labels[..], &device())).square().mean()
        }
        TaskKind::Binary => {
            ops::binary_cross_entropy(output, Tensor::from_data(&labels[..], &device()))
        }
    }
}

/// Compares what was recorded with the intermediates of the same name.
fn check_trace(r: &Reference, trace: Trace, inputs: &Inputs) {
    let mut compared = 0;
    for (name, recorded) in trace.into_recorded() {
        let field = name.strip_prefix("field.").unwrap_or(&name).replace("_target", "_product");
        let name = format!("output.{field}");
        if !r.tensors.contains_key(&name) {
            continue;
        }
        compared += 1;
        if !field.ends_with("attention") {
            r.check_values(&name, &recorded.values);
            continue;
        }
        // Ours is a padded [b, c, l]; theirs, for each impression in order, the weights of its feed's events.
        let history =
            if field.starts_with("live") { &inputs.live } else { inputs.product.as_ref().unwrap() };
        let [_, c, l] = recorded.shape[..].try_into().unwrap();
        let pairs =
            inputs.candidates.offsets.ranges().zip(history.rows.offsets.ranges()).enumerate();
        let real = pairs.flat_map(|(feed, (shown, past))| {
            (0..shown.len()).flat_map(move |i| (0..past.len()).map(move |j| (feed * c + i) * l + j))
        });
        r.check_values(&name, &real.map(|place| recorded.values[place]).collect::<Vec<_>>());
    }
    assert!(compared > 0, "{}: nothing recorded has a reference value", r.name);
}

fn inputs(r: &Reference, fused: bool, tower_dynamic: bool) -> Inputs {
    let rows = |name: &str| r.rows(name).with_fused(fused);
    let history = |domain: &str| {
        let items: Tensor<2> = r.leaf(&format!("input.{domain}.items"));
        let rows = rows(&format!("input.{domain}.lengths"));
        History {
            bare: items.clone(),
            items,
            ids: (0..rows.total() as u64).collect(),
            rows,
            age_s: r.values(&format!("input.{domain}.age_s")).to_vec(),
        }
    };
    let candidates = rows("input.candidate_lengths");
    let training = Some(Training { draws: draws(r, &candidates), terms: Turn::All });
    let target: Tensor<2> = r.leaf("input.target");
    Inputs {
        context: Some(r.leaf("input.context")),
        user: None,
        channel: target.clone(),
        target,
        target_state: Some(r.leaf("input.target_state")),
        dynamic: Some(r.leaf("input.dynamic")),
        tower_dynamic,
        candidate_ids: (0..candidates.total() as u64).collect(),
        candidates,
        live: history("live"),
        product: r.option("domains").contains("product").then(|| history("product")),
        user_ids: r.values("input.user_ids").iter().map(|user| *user as u64).collect(),
        own: OwnRows::default(),
        numbers: BTreeMap::new(),
        history_means: false,
        training,
        watched: Vec::new(),
    }
}

/// The update that draws the reference's rows for the regularisers.
fn draws(r: &Reference, candidates: &Rows) -> Draws {
    let sampled: Vec<u32> = r.values("input.sampled").iter().map(|row| *row as u32).collect();
    let mut updates = (0..1_000_000).map(|step| Draws { seed: 1, step });
    let drawn = |draws: &Draws| drawn_impressions(&candidates.offsets, draws) == sampled;
    updates.find(drawn).expect("one of so many updates draws the reference's rows")
}

/// The options of a reference file as our settings.
fn settings(r: &Reference) -> ModelSettings {
    let mut settings = ModelSettings::default();
    settings.input.width = 8;
    settings.input.domain =
        if r.option("domains").contains("product") { Domain::Both } else { Domain::Live };
    settings.tower.widths = vec![10, 6];
    settings.tower.intra_dynamic = r.option("intra_dynamic") == "true";
    settings.tower.field_norm =
        if r.option("field_norm") == "layer" { FieldNorm::Layer } else { FieldNorm::None };
    settings.model = ModelConfig::of(r.option("model")).unwrap();
    settings.heads = (!r.option("experts").is_empty()).then(|| HeadsConfig {
        experts: r.number("experts"),
        expert_width: r.number("expert_width"),
        gate_hidden: r.number("gate_hidden"),
        tower_hidden: r.number("tower_hidden"),
    });
    let scale = |name| match r.option(name) {
        "none" => IntentScale::None,
        "width" => IntentScale::Width,
        "double" => IntentScale::Double,
        other => panic!("{name} = {other}"),
    };
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
                other => panic!("encoder = {other}"),
            };
            config.heads = r.number("heads");
            config.blocks = r.number("blocks");
            config.ffn_ratio = r.number("feed_forward_ratio");
            config.correlation_weight = r.number("lambda_correlation");
            config.alignment_weight = r.number("lambda_contrast");
            config.disentangle = r.number("disentangle");
            config.intention_scale = scale("intention_scale");
            config.retrieval_scale = scale("retrieval_scale");
            if r.option("attention_scale") == "head" {
                config.attention_scale = AttentionScale::Head;
            }
            if r.option("position") == "recency" {
                config.position = Position::Recency;
            }
            config.prototypes = match r.option("prototypes") {
                "pooled" => PrototypeSource::Pooled,
                "learned" => PrototypeSource::Learned,
                "crossed" => PrototypeSource::Crossed,
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
            config.auxiliary_weight = 0.0;
            config.attention = match r.option("attention") {
                "bilinear" => EvolutionAttention::Bilinear,
                "unit" => EvolutionAttention::Unit,
                other => panic!("attention = {other}"),
            };
        }
        ModelConfig::Bst(config) => config.heads = r.number("heads"),
        ModelConfig::Hgn(_) => {}
        // The product side's task is left out: its negatives are drawn.
        ModelConfig::Minet(config) => {
            config.product_weight = 0.0;
            config.interest_weight = match r.option("interest_weight") {
                "exp" => InterestWeight::Exp,
                "sigmoid" => InterestWeight::Sigmoid,
                other => panic!("interest_weight = {other}"),
            };
        }
        ModelConfig::Dasl(config) => {
            config.product_weight = 0.0;
            config.attention = match r.option("attention") {
                "both" => DualAttention::Both,
                "own" => DualAttention::Own,
                other => panic!("attention = {other}"),
            };
        }
        ModelConfig::Conet(config) => {
            *config = ConetConfig { heads: r.number("heads"), sparsity: 0.0, product_weight: 0.0 };
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
                product_weight: 0.0,
            };
        }
        ModelConfig::Ddtcdr(config) => {
            *config = DdtcdrConfig {
                heads: r.number("heads"),
                features: Features::Both,
                alpha: 0.25,
                learn_alpha: true,
                orthogonality: 0.0,
                product_weight: 0.0,
            };
        }
        other => panic!("{other:?} has no reference"),
    }
    settings
}

/// From our parameter names to the reference's; the entities' maps come before what the reference sees and have none.
fn reference_names(model: &Model, r: &Reference) -> BTreeMap<String, String> {
    let fields =
        ["context", "target", "target_state", "z_c_live", "z_s_live", "z_c_product", "z_s_product"];
    let ours = parameters::export(model).into_keys().filter(|name| !name.starts_with("entities."));
    let names: BTreeMap<String, String> = ours
        .map(|name| {
            let parts: Vec<&str> = name.split('.').collect();
            let theirs = match parts[..] {
                ["trunk", domain, layer @ ("hidden1" | "hidden2" | "score" | "output"), kind] => {
                    format!("din.{domain}.{layer}_{kind}")
                }
                ["trunk", domain, "unit", layer, kind] => {
                    format!("{}.{domain}.unit.{layer}_{kind}", r.option("model"))
                }
                ["trunk", ..] => format!("{}.{}", r.option("model"), parts[1..].join(".")),
                ["tower", "layers", layer, kind] => format!("tower.{layer}.{kind}"),
                ["tower", "slopes", layer] => format!("tower.{layer}.slope"),
                ["tower", "field_norms", field, kind] => {
                    format!("field_norm.{}.{kind}", fields[field.parse::<usize>().unwrap()])
                }
                ["heads", "gate", "hidden", kind] => format!("heads.gate.hidden_{kind}"),
                ["heads", "gate", "weights", field, kind] => format!("heads.gate.{field}.{kind}"),
                ["heads", "mixture", "experts", kind] => format!("heads.expert_{kind}"),
                ["heads", "mixture", "tasks", task, "gate"] => {
                    format!("heads.{}.gate", Task::paper()[task.parse::<usize>().unwrap()].name)
                }
                ["heads", "mixture", "tasks", task, layer, kind] => {
                    let task = &Task::paper()[task.parse::<usize>().unwrap()].name;
                    format!("heads.{task}.{layer}_{kind}")
                }
                _ => panic!("{name} has no reference name"),
            };
            (name, theirs)
        })
        .collect();
    let stored = r.tensors.keys().filter(|key| key.starts_with("param.")).count();
    assert_eq!(names.len(), stored, "{}: parameters of the model and of the reference", r.name);
    names
}
