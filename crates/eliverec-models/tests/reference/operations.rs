//! Operations and blocks.

use burn::tensor::{Bool, Tensor};
use eliverec_core::adagrad::AdagradConfig;
use eliverec_models::blocks::{AttentionScale, TransformerConfig};
use eliverec_models::builder::{Builder, Init};
use eliverec_models::ops::{self, Estimator, RetrievalOptions};
use eliverec_models::parameters;

use super::{Reference, device};

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
fn disentangled_retrieval() {
    let r = Reference::operations();
    for (name, elementwise) in [("disentangle_elementwise", true), ("disentangle_scalar", false)] {
        for fused in [false, true] {
            let input = |key: &str| r.leaf::<2>(&format!("{name}.input.{key}"));
            let rows = |key: &str| r.rows(&format!("{name}.input.{key}")).with_fused(fused);
            let [h, consistent, specific, target] =
                ["h", "consistent", "specific", "target"].map(input);
            let found = ops::disentangled_retrieval(
                h.clone(),
                consistent.clone() - specific.clone(),
                &target,
                [&rows("lengths"), &rows("candidate_lengths")],
                RetrievalOptions { elementwise, per_event: false },
                false,
            );
            let mut loss = Tensor::zeros([1], &device());
            for (part, z) in [("z_c", found.consistent), ("z_s", found.specific)] {
                r.check(&format!("{name}.output.{part}"), &z);
                loss = loss + (z * r.tensor(&format!("{name}.upstream.{part}"))).sum();
            }
            let gradients = loss.backward();
            for (key, leaf) in [
                ("h", &h),
                ("consistent", &consistent),
                ("specific", &specific),
                ("target", &target),
            ] {
                r.check_gradient(&format!("{name}.grad.{key}"), leaf, &gradients);
            }
        }
    }
}

#[test]
fn target_attention() {
    let r = Reference::operations();
    let [target, events] =
        ["target", "events"].map(|key| r.leaf::<2>(&format!("target_attention.input.{key}")));
    let [histories, candidates] = ["lengths", "candidate_lengths"]
        .map(|key| r.rows(&format!("target_attention.input.{key}")));
    let (found, _) = ops::attend(events.clone(), &target, [&histories, &candidates]);
    r.check("target_attention.output.output", &found);
    let loss = (found * r.tensor("target_attention.upstream.output")).sum();
    let gradients = loss.backward();
    r.check_gradient("target_attention.grad.target", &target, &gradients);
    r.check_gradient("target_attention.grad.events", &events, &gradients);
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
        let block = parameters::update(
            config.init(&Builder::new(&device(), Init::default())),
            |parameter, values| {
                values.copy_from_slice(r.values(&format!("{name}.input.{parameter}")));
            },
        );
        let rows = r.rows(&format!("{name}.input.lengths")).with_fused(fused);
        let output = block.forward(x.clone(), &rows);
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
