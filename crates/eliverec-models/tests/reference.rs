//! Forward values and gradients of every operation and of whole models against those that `reference/` computed in float64
//! from the papers' equations. Tolerance: 1e-5 of a tensor's largest element.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Bool, Device, Gradients, Tensor, TensorData};
use eliverec_core::adagrad::AdagradConfig;
use eliverec_core::batch::Offsets;
use eliverec_core::toy;
use eliverec_models::blocks::{AttentionScale, TransformerConfig};
use eliverec_models::inputs::{History, Inputs};
use eliverec_models::ops::{self, Estimator};
use eliverec_models::parameters;
use eliverec_models::registry::ModelConfig;
use eliverec_models::rows::Rows;
use eliverec_models::settings::{Domain, FieldNorm};
use eliverec_models::trace::{Recorded, Trace};
use eliverec_models::zoo::din::Normalize;
use eliverec_models::zoo::elive::{
    Alignment, Correlation, IntentScale, IntentWeight, Position, PrototypeSource,
};
use eliverec_models::{Model, ModelSettings};
use safetensors::{Dtype, SafeTensors};

/// A file of reference values.
struct Reference {
    name: String,
    tensors: BTreeMap<String, Recorded>,
    options: BTreeMap<String, String>,
}

impl Reference {
    fn read(path: &Path) -> Self {
        let bytes = fs_err::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let options = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = tensors.iter().map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F32 => view
                    .data()
                    .chunks(4)
                    .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                    .collect(),
                Dtype::I64 => view
                    .data()
                    .chunks(8)
                    .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32)
                    .collect(),
                other => panic!("{name} is {other:?}"),
            };
            (name.to_owned(), Recorded { shape: view.shape().to_vec(), values })
        });
        Self {
            name: path.file_stem().unwrap().to_str().unwrap().into(),
            tensors: tensors.collect(),
            options,
        }
    }

    fn operations() -> Self {
        Self::read(&folder().join("ops.safetensors"))
    }

    fn option(&self, name: &str) -> &str {
        self.options.get(name).map_or("", String::as_str)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> T {
        self.option(name).parse().unwrap_or_else(|_| panic!("{}: option {name}", self.name))
    }

    fn values(&self, name: &str) -> &[f32] {
        &self.tensors.get(name).unwrap_or_else(|| panic!("{} has no {name}", self.name)).values
    }

    fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let recorded =
            &self.tensors.get(name).unwrap_or_else(|| panic!("{} has no {name}", self.name));
        let shape: [usize; D] = recorded.shape.clone().try_into().unwrap();
        Tensor::from_data(TensorData::new(recorded.values.clone(), shape), &device())
    }

    fn leaf<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.tensor(name).require_grad()
    }

    fn rows(&self, name: &str) -> Rows {
        let lengths = self.values(name).iter().map(|length| *length as usize);
        Rows::new(Offsets::from_lengths(lengths), &device())
    }

    fn check<const D: usize>(&self, name: &str, ours: &Tensor<D>) {
        self.check_values(name, &ours.clone().try_into_vec_as::<f32>().unwrap());
    }

    fn check_gradient<const D: usize>(&self, name: &str, leaf: &Tensor<D>, gradients: &Gradients) {
        self.check(
            name,
            &leaf
                .grad(gradients)
                .unwrap_or_else(|| panic!("{}: no gradient for {name}", self.name)),
        );
    }

    fn check_values(&self, name: &str, ours: &[f32]) {
        let expected = self.values(name);
        assert_eq!(ours.len(), expected.len(), "{}: {name}", self.name);
        let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        for (i, (ours, expected)) in ours.iter().zip(expected).enumerate() {
            let error = (ours - expected).abs();
            assert!(
                error <= 1e-5 * largest + 1e-7,
                "{}: {name}[{i}] is {ours}, expected {expected}",
                self.name
            );
        }
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

fn device() -> Device {
    Device::flex().autodiff()
}

#[test]
fn masked_softmax() {
    let r = Reference::operations();
    let scores = r.leaf::<2>("masked_softmax.input.scores");
    let mask: Tensor<2, Bool> = r.tensor::<2>("masked_softmax.input.mask").bool();
    let output = ops::masked_softmax(scores.clone(), mask);
    r.check("masked_softmax.output.output", &output);
    let gradients = (output * r.tensor("masked_softmax.upstream.output")).sum().backward();
    r.check_gradient("masked_softmax.grad.scores", &scores, &gradients);
}

#[test]
fn layer_norm() {
    let r = Reference::operations();
    let x = r.leaf::<2>("layer_norm.input.x");
    let (gamma, beta) =
        (r.leaf::<1>("layer_norm.input.gamma"), r.leaf::<1>("layer_norm.input.beta"));
    let output = ops::layer_norm(x.clone(), gamma.clone(), beta.clone());
    r.check("layer_norm.output.output", &output);
    let gradients = (output * r.tensor("layer_norm.upstream.output")).sum().backward();
    r.check_gradient("layer_norm.grad.x", &x, &gradients);
    r.check_gradient("layer_norm.grad.gamma", &gamma, &gradients);
    r.check_gradient("layer_norm.grad.beta", &beta, &gradients);
}

#[test]
fn parametric_relu() {
    let r = Reference::operations();
    let (x, slope) =
        (r.leaf::<2>("parametric_relu.input.x"), r.leaf::<1>("parametric_relu.input.slope"));
    let output = ops::prelu(x.clone(), slope.clone());
    r.check("parametric_relu.output.output", &output);
    let gradients = (output * r.tensor("parametric_relu.upstream.output")).sum().backward();
    r.check_gradient("parametric_relu.grad.x", &x, &gradients);
    r.check_gradient("parametric_relu.grad.slope", &slope, &gradients);
}

#[test]
fn binary_cross_entropy() {
    let r = Reference::operations();
    let logits = r.leaf::<1>("binary_cross_entropy.input.logits");
    let loss =
        ops::binary_cross_entropy(logits.clone(), r.tensor("binary_cross_entropy.input.labels"));
    r.check("binary_cross_entropy.output.output", &loss);
    r.check_gradient("binary_cross_entropy.grad.logits", &logits, &loss.backward());
}

#[test]
fn prototypes() {
    let r = Reference::operations();
    let rows = r.rows("prototypes.input.lengths");
    let items = r.leaf::<2>("prototypes.input.items");
    let (mean, max) =
        (ops::masked_mean(items.clone(), &rows), ops::masked_max(items.clone(), &rows));
    r.check("prototypes.output.mean", &mean);
    r.check("prototypes.output.max", &max);
    let loss = (mean * r.tensor("prototypes.upstream.mean")).sum()
        + (max * r.tensor("prototypes.upstream.max")).sum();
    r.check_gradient("prototypes.grad.items", &items, &loss.backward());
}

#[test]
fn pairwise_distance() {
    let r = Reference::operations();
    let x = r.leaf::<2>("pairwise_distance.input.x");
    let output = ops::pairwise_distance(x.clone());
    r.check("pairwise_distance.output.output", &output);
    let gradients = (output * r.tensor("pairwise_distance.upstream.output")).sum().backward();
    r.check_gradient("pairwise_distance.grad.x", &x, &gradients);
}

#[test]
fn distance_correlation() {
    let r = Reference::operations();
    for case in ["", "_coinciding", "_constant"] {
        for (kind, estimator) in
            [("", Estimator::Plain), ("_bias_corrected", Estimator::BiasCorrected)]
        {
            let name = format!("distance_correlation{kind}{case}");
            let (x, y) =
                (r.leaf::<2>(&format!("{name}.input.x")), r.leaf::<2>(&format!("{name}.input.y")));
            let distances = [x.clone(), y.clone()].map(ops::pairwise_distance);
            let output = ops::distance_correlation(distances, estimator);
            r.check(&format!("{name}.output.output"), &output);
            let gradients = output.backward();
            r.check_gradient(&format!("{name}.grad.x"), &x, &gradients);
            r.check_gradient(&format!("{name}.grad.y"), &y, &gradients);
        }
    }
}

#[test]
fn info_nce() {
    let r = Reference::operations();
    let (anchor, positive) =
        (r.leaf::<2>("info_nce.input.anchor"), r.leaf::<2>("info_nce.input.positive"));
    let users: Vec<u64> =
        r.values("info_nce.input.users").iter().map(|user| *user as u64).collect();
    let loss = ops::info_nce(anchor.clone(), positive.clone(), &users, r.number("temperature"));
    r.check("info_nce.output.output", &loss);
    let gradients = loss.backward();
    r.check_gradient("info_nce.grad.anchor", &anchor, &gradients);
    r.check_gradient("info_nce.grad.positive", &positive, &gradients);
}

#[test]
fn transformer_block() {
    let r = Reference::operations();
    let cases = [
        ("transformer_block", AttentionScale::Width),
        ("transformer_block_head_scale", AttentionScale::Head),
    ];
    for ((name, scale), fused) in cases.into_iter().flat_map(|case| [(case, false), (case, true)]) {
        let x = r.leaf::<2>(&format!("{name}.input.x"));
        let config = TransformerConfig { width: 8, heads: r.number("heads"), ffn_ratio: 2, scale };
        let block = parameters::update(config.init(&device()), |parameter, values| {
            values.copy_from_slice(r.values(&format!("{name}.input.{parameter}")));
        });
        let rows = r.rows(&format!("{name}.input.lengths")).with_fused(fused);
        let age_s = vec![0.0; rows.total()];
        let output = block.forward(&History { items: x.clone(), rows, age_s });
        r.check(&format!("{name}.output.output"), &output);
        let gradients = (output * r.tensor(&format!("{name}.upstream.output"))).sum().backward();
        r.check_gradient(&format!("{name}.grad.x"), &x, &gradients);
        for (parameter, gradient) in parameters::gradients(&block, &gradients) {
            r.check_values(&format!("{name}.grad.{parameter}"), &gradient);
        }
    }
}

#[test]
fn adagrad_decay() {
    let r = Reference::operations();
    let rule = AdagradConfig {
        initial_accumulator: r.number("adagrad_decay.initial"),
        decay_steps: r.number("adagrad_decay.decay_steps"),
        decay_rate: r.number("adagrad_decay.decay_rate"),
    };
    let mut values = r.values("adagrad_decay.input.values").to_vec();
    let mut accumulator = vec![rule.initial_accumulator; values.len()];
    let (mut all_values, mut all_accumulators) = (Vec::new(), Vec::new());
    for (step, gradient) in
        r.values("adagrad_decay.input.gradients").chunks(values.len()).enumerate()
    {
        let step = step as u64;
        let before = step.checked_sub(1).map_or(0, |before| rule.periods(before));
        rule.decay(&mut accumulator, rule.periods(step) - before);
        rule.update(&mut values, &mut accumulator, gradient, r.number("adagrad_decay.rate"));
        all_values.extend(&values);
        all_accumulators.extend(&accumulator);
    }
    r.check_values("adagrad_decay.output.values", &all_values);
    r.check_values("adagrad_decay.output.accumulators", &all_accumulators);
}

#[test]
fn whole_models() {
    let mut seen = 0;
    for entry in fs_err::read_dir(folder()).unwrap() {
        let reference = Reference::read(&entry.unwrap().path());
        if reference.name != "ops" {
            check_model(&reference, false, true);
            check_model(&reference, true, true);
            check_model(&reference, true, false);
            seen += 1;
        }
    }
    assert!(seen >= 21, "only {seen} files of reference values");
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
    let inputs = inputs(r, fused);
    let mut trace = if traced { Trace::on() } else { Trace::off() };
    let output = model.predict(&inputs, &mut trace);
    let rec = ops::binary_cross_entropy(output.logits.clone(), r.tensor("input.watched"));
    r.check("output.logits", &output.logits);
    r.check("output.loss.rec", &rec);

    let mut total = rec;
    let (mut cor, mut nce) = (None, None);
    for penalty in output.penalties {
        total = total + penalty.value.clone() * penalty.weight;
        let sum = if penalty.name == "correlation" { &mut cor } else { &mut nce };
        *sum = Some(sum.take().map_or(0.0, |x: f32| x) + penalty.value.into_scalar::<f32>());
    }
    for (name, ours) in [("cor", cor), ("nce", nce)] {
        let name = format!("output.loss.{name}");
        assert_eq!(r.tensors.contains_key(&name), ours.is_some(), "{}: {name}", r.name);
        ours.into_iter().for_each(|ours| r.check_values(&name, &[ours]));
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
    r.check_gradient("grad.input.live.items", &inputs.live.items, &gradients);
    if let Some(product) = &inputs.product {
        r.check_gradient("grad.input.product.items", &product.items, &gradients);
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

fn inputs(r: &Reference, fused: bool) -> Inputs {
    let rows = |name: &str| r.rows(name).with_fused(fused);
    let history = |domain: &str| History {
        items: r.leaf(&format!("input.{domain}.items")),
        rows: rows(&format!("input.{domain}.lengths")),
        age_s: r.values(&format!("input.{domain}.age_s")).to_vec(),
    };
    Inputs {
        context: Some(r.leaf("input.context")),
        target: r.leaf("input.target"),
        target_state: Some(r.leaf("input.target_state")),
        dynamic: Some(r.tensor("input.dynamic")),
        candidates: rows("input.candidate_lengths"),
        live: history("live"),
        product: r.option("domains").contains("product").then(|| history("product")),
        user_ids: r.values("input.user_ids").iter().map(|user| *user as u64).collect(),
        sampled: Some(r.values("input.sampled").iter().map(|row| *row as u32).collect()),
    }
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
    let scale =
        |name| if r.option(name) == "none" { IntentScale::None } else { IntentScale::Width };
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
            if r.option("prototypes") == "learned" {
                config.prototypes = PrototypeSource::Learned;
            }
            if r.option("intention_weight") == "scalar" {
                config.intention_weight = IntentWeight::Scalar;
            }
            config.correlation = match r.option("correlation") {
                "plain" => Correlation::Plain,
                "bias_corrected" => Correlation::BiasCorrected,
                "none" => Correlation::None,
                other => panic!("correlation = {other}"),
            };
            config.separate_specific = r.option("contrast") == "specific_repulsion";
            config.alignment = match r.option("contrast") {
                "info_nce" | "specific_repulsion" => Alignment::InfoNce,
                "cosine" => Alignment::Cosine,
                "euclidean" => Alignment::Euclidean,
                "none" => Alignment::None,
                other => panic!("contrast = {other}"),
            };
        }
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
                ["trunk", ..] => format!("{}.{}", r.option("model"), parts[1..].join(".")),
                ["tower", "layers", layer, kind] => format!("tower.{layer}.{kind}"),
                ["tower", "slopes", layer] => format!("tower.{layer}.slope"),
                ["tower", "field_norms", field, kind] => {
                    format!("field_norm.{}.{kind}", fields[field.parse::<usize>().unwrap()])
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
