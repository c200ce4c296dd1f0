//! Whole models, from the entities' vectors to the loss, with fused and with composed operations.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use eliverec_core::{Task, TaskKind, toy};
use eliverec_models::Model;
use eliverec_models::draws::Draws;
use eliverec_models::inputs::{History, Inputs};
use eliverec_models::ops;
use eliverec_models::own::OwnRows;
use eliverec_models::parameters;
use eliverec_models::rows::{Rows, indices};
use eliverec_models::term::{Training, Turn};
use eliverec_models::trace::Trace;
use eliverec_models::zoo::elive::drawn_impressions;

use super::own_tables::{self, Tables};
use super::{Reference, batches, device, folder, settings};

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
    assert!(seen >= 63, "only {seen} files of reference values");
}

/// `fused`: with the fused operations or composed; `traced`: recording, for which the disentangled encoder is always composed.
fn check_model(r: &Reference, fused: bool, traced: bool) {
    let own = r.tensors.keys().any(|name| name.starts_with("input.table."));
    let schema = if own { own_tables::schema() } else { toy::schema() };
    let settings = settings::of(r);
    let model = Model::new(&settings, &schema, 1, &device()).unwrap();
    let names = reference_names(&model, r);
    let model = parameters::update(model, |name, values| {
        if let Some(name) = names.get(name) {
            values.copy_from_slice(r.values(&format!("param.{name}")));
        }
    });
    let mut inputs = inputs(r, fused, settings.tower.intra_dynamic);
    let tables = own.then(|| Tables::of(r, &settings, &schema));
    if let Some(tables) = &tables {
        inputs.own = tables.rows.clone();
    }
    let mut trace = if traced { Trace::on() } else { Trace::off() };
    let output = model.predict(&inputs, &mut trace);
    let rec = ops::binary_cross_entropy(output.logits.clone(), r.tensor("input.watched"));
    r.check("output.logits", &output.logits);
    r.check("output.loss.rec", &rec);

    let mut total = rec;
    let mut terms: BTreeMap<&str, f32> = BTreeMap::new();
    for term in output.terms {
        total = total + term.value.clone() * term.weight;
        *terms.entry(reference_term(r, term.name)).or_default() += term.value.into_scalar::<f32>();
    }
    let expected = r.tensors.keys().filter_map(|name| name.strip_prefix("output.loss."));
    let others = |name: &&str| {
        !["rec", "total"].contains(name) && Task::paper().iter().all(|task| task.name != **name)
    };
    let expected: Vec<&str> = expected.filter(others).collect();
    assert_eq!(terms.keys().copied().collect::<Vec<_>>(), expected, "{}: terms", r.name);
    for (name, ours) in terms {
        r.check_values(&format!("output.loss.{name}"), &[ours]);
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
    let histories = [("live", Some(&inputs.live)), ("product", inputs.product.as_ref())];
    for (domain, history) in histories {
        let Some(history) = history else { continue };
        r.check_gradient(&format!("grad.input.{domain}.items"), &history.items, &gradients);
        if !r.has(&format!("input.{domain}.bare")) {
            continue;
        }
        let name = format!("grad.input.{domain}.bare");
        assert_eq!(history.bare.grad(&gradients).is_some(), r.has(&name), "{}: {name}", r.name);
        if r.has(&name) {
            r.check_gradient(&name, &history.bare, &gradients);
        }
    }
    if let Some(tables) = &tables {
        tables.check_gradients(r, &gradients);
    }
}

/// The reference's name of a term.
pub(crate) fn reference_term<'a>(r: &Reference, name: &'a str) -> &'a str {
    match name {
        _ if r.option("model") != "elive" => name,
        "correlation" => "cor",
        "alignment" | "separation" => "nce",
        other => other,
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
        let [bare, ids] = ["bare", "ids"].map(|name| format!("input.{domain}.{name}"));
        History {
            bare: if r.has(&bare) { r.leaf(&bare) } else { items.clone() },
            items,
            ids: if r.has(&ids) {
                batches::ids(r, &ids)
            } else {
                (0..rows.total() as u64).collect()
            },
            rows,
            age_s: r.values(&format!("input.{domain}.age_s")).to_vec(),
        }
    };
    let candidates = rows("input.candidate_lengths");
    let draws = draws(r, &candidates);
    let training = Some(Training::whole(draws, Turn::All));
    let target: Tensor<2> = r.leaf("input.target");
    let inputs = Inputs {
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
    };
    check_drawn(r, draws, &inputs);
    inputs
}

/// The events that the reference takes for drawn are those that this update draws.
fn check_drawn(r: &Reference, draws: Draws, inputs: &Inputs) {
    for name in r.tensors.keys() {
        let Some(term) = name.strip_prefix("input.drawn.") else { continue };
        let history =
            if term == "auxiliary_live" { Some(&inputs.live) } else { inputs.product.as_ref() };
        let total = history.unwrap().rows.total();
        let mut random = draws.stream(term);
        let drawn: Vec<usize> = r.values(name).iter().map(|_| random.below(total)).collect();
        let theirs: Vec<usize> = r.values(name).iter().map(|event| *event as usize).collect();
        assert_eq!(
            theirs, drawn,
            "{}: {term}; DRAWN in fixed_inputs.py must be what is on the right",
            r.name
        );
    }
}

/// The update that the reference names, or one that draws its rows for the regularisers.
fn draws(r: &Reference, candidates: &Rows) -> Draws {
    if !r.option("update").is_empty() {
        return Draws { seed: 1, step: r.number("update") };
    }
    let sampled: Vec<u32> = r.values("input.sampled").iter().map(|row| *row as u32).collect();
    let mut updates = (0..1_000_000).map(|step| Draws { seed: 1, step });
    let drawn = |draws: &Draws| drawn_impressions(&candidates.offsets, draws, 0) == sampled;
    updates.find(drawn).expect("one of so many updates draws the reference's rows")
}

/// From our parameter names to the reference's; the entities' maps come before what the reference sees and have none, but for
/// one that begins with feeds.
pub(crate) fn reference_names(model: &Model, r: &Reference) -> BTreeMap<String, String> {
    let from_feeds = !r.option("schema.toml").is_empty();
    let ours = parameters::export(model).into_keys();
    let ours = ours.filter(|name| from_feeds || !name.starts_with("entities."));
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
                ["entities" | "next_events", ..] => name.clone(),
                ["tower", "layers", layer, kind] => format!("tower.{layer}.{kind}"),
                ["tower", "slopes", layer] => format!("tower.{layer}.slope"),
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
