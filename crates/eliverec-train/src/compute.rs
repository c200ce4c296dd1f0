//! From a batch to its gradient: the forward pass, each loss by itself or all in one graph, the weights of the tasks, backward.
//! Each function reads the same for a batch in one piece and for one in shards ([`crate::passes`]).

use burn::tensor::Tensor;
use eliverec_core::Schema;
use eliverec_models::model::Representation;
use eliverec_models::term::TermKind;
use eliverec_run::tasks::{GradientScope, TasksConfig};

use crate::gradient::{Gradient, NotFinite};
use crate::objective::{finite, scalar};
use crate::pass::{Terms, with_terms};
use crate::passes::{Joint, Passes};
use crate::tasks::cut::{Cut, signals};
use crate::tasks::losses::TaskRows;
use crate::tasks::{Signal, Weighed, Weighting, at_parameters};

/// The gradient of one batch, before it changes anything.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) loss: f32,
    /// Of the sum over the batch.
    pub(crate) gradient: Gradient,
    pub(crate) terms: Terms,
    pub(crate) kinds: Vec<(&'static str, TermKind)>,
    pub(crate) tasks: Vec<Weighed>,
    pub(crate) figures: Vec<(&'static str, f32)>,
}

/// What is logged of a batch beside L_rec and the tasks: the trunk's terms, with their weights, and its figures.
struct Logged {
    terms: Terms,
    kinds: Vec<(&'static str, TermKind)>,
    weights: Vec<f32>,
    figures: Vec<(&'static str, f32)>,
}

/// L_rec and the trunk's own terms, in one graph.
pub(crate) fn watching_alone(passes: &Passes<'_>) -> Result<Computed, NotFinite> {
    let (watch, logged, gradient) = in_one_graph(passes, true)?;
    let weighted = logged.weights.iter().zip(&logged.terms);
    let loss = weighted.fold(watch, |loss, (weight, (_, value))| loss + value * weight);
    let mut terms: Terms = vec![("watch".into(), watch)];
    terms.extend(logged.terms);
    let (kinds, tasks, figures) = (logged.kinds, Vec::new(), logged.figures);
    Ok(Computed { loss, gradient, terms, kinds, tasks, figures })
}

/// L_reg alone, its step in the alternating schedule; `None` for a model that has none.
pub(crate) fn regularisers(passes: &Passes<'_>) -> Result<Option<Computed>, NotFinite> {
    let (_, logged, gradient) = in_one_graph(passes, false)?;
    if logged.terms.is_empty() {
        return Ok(None);
    }
    let weighted = logged.weights.iter().zip(&logged.terms);
    let loss = weighted.fold(0.0, |loss, (weight, (_, value))| loss + value * weight);
    let Logged { terms, kinds, figures, .. } = logged;
    Ok(Some(Computed { loss, gradient, terms, kinds, tasks: Vec::new(), figures }))
}

/// The trunk's own terms in one graph, with L_rec if it is asked for, whose value comes first.
fn in_one_graph(passes: &Passes<'_>, watching: bool) -> Result<(f32, Logged, Gradient), NotFinite> {
    // 1. Forward.
    let represented = passes.represent();

    // 2. L_rec + sum lambda L.
    let (mut losses, mut values) = (Vec::new(), Vec::new());
    for (pass, represented) in passes.parts.iter().zip(&represented) {
        let watch = if watching {
            let fields = represented.fields.iter().map(|(_, field)| field.clone()).collect();
            pass.watch(fields, represented.logit.clone())?
        } else {
            Tensor::zeros([1], pass.device)
        };
        let mut terms: Terms = vec![("watch".into(), scalar(&watch))];
        losses.push(finite("loss", with_terms(watch, represented, &mut terms)?)?);
        values.push(terms);
    }
    let joint = passes.joint(&represented)?;
    let surrogates = passes.parts.iter().zip(&represented).enumerate();
    let surrogates: Vec<Option<Tensor<1>>> =
        surrogates.map(|(i, (pass, represented))| joint.surrogate(i, pass, represented)).collect();
    let (watch, logged) = logged(passes, &represented, &values, joint);
    drop(represented);

    // 3. Backward.
    let of_parts = passes.parts.iter().zip(losses.into_iter().zip(surrogates));
    let of_parts = of_parts.map(|(pass, (loss, surrogate))| {
        pass.backward(surrogate.map_or(loss.clone(), |surrogate| loss + surrogate))
    });
    let gradient = passes.add_up(of_parts.collect());
    Ok((watch, logged, gradient))
}

/// L_rec + sum w_i L_i and the trunk's own terms, where the weights may depend on how the gradients of the tasks agree. `rows` by
/// part, `labels` by task, of the whole batch.
pub(crate) fn with_tasks(
    passes: &Passes<'_>,
    config: &TasksConfig,
    (rows, labels): (&[TaskRows], &[usize]),
    weighting: &mut Weighting,
) -> Result<Computed, NotFinite> {
    let schema = passes.schema;
    if config.gradient_scope == GradientScope::Parameters {
        let found = at_parameters::compute(passes.parts[0], &rows[0], weighting)?;
        let (signals, represented) = ((found.signals, found.weights), found.represented);
        let logged = Logged::of(&represented, found.terms);
        return Ok(summed(schema, found.gradient, found.watch, signals, logged));
    }
    // 1. Forward: the trunk, once.
    let represented = passes.represent();
    let parts = passes.parts.iter().zip(&represented);
    let cuts: Vec<Cut<'_>> =
        parts.map(|(pass, represented)| Cut::new(*pass, represented)).collect();

    // 2. The gradient of each loss at F, by itself.
    let watching = cuts.iter().map(Cut::watch).collect::<Result<Vec<_>, _>>()?;
    let tasks = cuts.iter().zip(rows).map(|(cut, rows)| cut.tasks(rows, labels));
    let tasks = tasks.collect::<Result<Vec<_>, _>>()?;
    let joint = passes.joint(&represented)?;

    // 3. eq. 14-15: weights.
    let compared = cuts.iter().zip(&watching).zip(tasks.iter().zip(rows));
    let compared =
        compared.map(|((cut, watching), (tasks, rows))| cut.compared(watching, tasks, rows));
    let signals = signals(&passes.sum(compared.collect()), labels);
    let weights = weighting.weigh(&signals);

    // 4. Backward: their weighted sum and the trunk's own terms, through the trunk, once.
    let (mut of_parts, mut values) = (Vec::new(), Vec::new());
    for (i, (cut, watching)) in cuts.iter().zip(watching).enumerate() {
        let mut terms: Terms = vec![("watch".into(), watching.loss)];
        let surrogate = joint.surrogate(i, &passes.parts[i], &represented[i]);
        let of_tasks = (&tasks[i], &rows[i], weights.as_slice());
        of_parts.push(cut.backward(watching, of_tasks, surrogate, &mut terms)?);
        values.push(terms);
    }
    let gradient = passes.add_up(of_parts);
    let (watch, logged) = logged(passes, &represented, &values, joint);
    Ok(summed(schema, gradient, watch, (signals, weights), logged))
}

/// L_rec and what else is logged, over the whole batch, from the values of its parts, the first of which is that of L_rec.
fn logged(
    passes: &Passes<'_>,
    represented: &[Representation],
    values: &[Terms],
    joint: Joint,
) -> (f32, Logged) {
    let of_part = |(terms, part): (&Terms, &Representation)| {
        let figures = part.figures.iter().map(|(_, value)| *value);
        terms.iter().map(|(_, value)| *value).chain(figures).collect()
    };
    let of_parts: Vec<Vec<f32>> = values.iter().zip(represented).map(of_part).collect();
    let means = passes.mean(&of_parts);
    // Names are those of a part of this rank; the first rank always has one.
    let mut logged = match (represented.first(), values.first().map(Vec::as_slice)) {
        (Some(part), Some([_, own @ ..])) => {
            let mut means = means[1..].iter().copied();
            let own = own.iter().map(|(name, _)| name.clone());
            let terms = own.zip(means.by_ref()).collect();
            let mut logged = Logged::of(part, terms);
            logged.figures.iter_mut().zip(means).for_each(|((_, value), mean)| *value = mean);
            logged
        }
        _ => Logged { terms: vec![], kinds: vec![], weights: vec![], figures: vec![] },
    };
    logged.terms.extend(joint.terms);
    logged.kinds.extend(joint.kinds);
    logged.weights.extend(joint.weights);
    logged.figures.extend(joint.figures);
    (means[0], logged)
}

impl Logged {
    /// Of a part, whose terms have these values.
    fn of(represented: &Representation, terms: Terms) -> Self {
        Self {
            terms,
            kinds: represented.terms.iter().map(|term| (term.name, term.kind)).collect(),
            weights: represented.terms.iter().map(|term| term.weight).collect(),
            figures: represented.figures.clone(),
        }
    }
}

/// L = L_rec + sum w_i L_i + sum lambda L, from what was measured.
fn summed(
    schema: &Schema,
    gradient: Gradient,
    watch: f32,
    (signals, weights): (Vec<Option<Signal>>, Vec<f32>),
    logged: Logged,
) -> Computed {
    let names = schema.task.iter().map(|task| task.name.clone());
    let all = names.zip(signals).zip(weights);
    let tasks: Vec<Weighed> = all
        .filter_map(|((task, signal), weight)| Some(Weighed { task, signal: signal?, weight }))
        .collect();
    let of_tasks = tasks.iter().map(|weighed| weighed.weight * weighed.signal.loss);
    let of_trunk = logged.weights.iter().zip(&logged.terms);
    let of_trunk = of_trunk.map(|(lambda, (_, value))| lambda * value);
    let loss = watch + of_tasks.sum::<f32>() + of_trunk.sum::<f32>();

    let mut terms: Terms = vec![("watch".into(), watch)];
    terms.extend(tasks.iter().map(|weighed| (weighed.task.clone().into(), weighed.signal.loss)));
    terms.extend(logged.terms);
    let Logged { kinds, figures, .. } = logged;
    Computed { loss, gradient, terms, kinds, tasks, figures }
}
