//! Labels of the inter-channel tasks and their losses.

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::{Batch, Normalization, Task, TaskKind};
use eliverec_models::ops;
use eliverec_models::rows::indices;

use eliverec_run::tasks::LabelSpace;

/// The impressions that the tasks read, and what is known of each.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRows {
    /// Impressions of the batch, in order.
    pub impressions: Vec<u32>,
    /// Per task of the schema.
    known: Vec<Known>,
}

/// What is known of a task.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    kind: TaskKind,
    /// Places in [`TaskRows::impressions`] with a known label.
    places: Vec<u32>,
    /// The labels there; durations as standardised ln(1 + seconds).
    labels: Vec<f32>,
}

impl TaskRows {
    /// The rows of a batch. Durations are standardised by `normalization`.
    pub fn of(
        batch: &Batch,
        space: LabelSpace,
        tasks: &[Task],
        normalization: &Normalization,
    ) -> Self {
        let labels = batch.known_labels();
        let watched = |i: u32| labels.watched[i as usize] > 0.5;
        let all = 0..batch.impressions() as u32;
        let impressions: Vec<u32> = match space {
            LabelSpace::Watched => all.filter(|i| watched(*i)).collect(),
            LabelSpace::Impressions => all.collect(),
        };
        let known = tasks.iter().zip(&labels.tasks).map(|(task, of)| {
            let label = |i: &u32| if watched(*i) { of[*i as usize] } else { 0.0 };
            let values = impressions.iter().map(label).zip(0..).filter(|(y, _)| !y.is_nan());
            let (mut labels, places): (Vec<f32>, Vec<u32>) = values.unzip();
            if task.kind == TaskKind::Duration {
                let moments = normalization.duration(&task.name);
                labels
                    .iter_mut()
                    .for_each(|seconds| *seconds = moments.standardise(seconds.ln_1p()));
            }
            Known { kind: task.kind, places, labels }
        });
        Self { known: known.collect(), impressions }
    }

    /// Whether task number `task` has a label in this batch.
    pub fn has(&self, task: usize) -> bool {
        self.labels(task) > 0
    }

    /// How many labels task number `task` has.
    pub fn labels(&self, task: usize) -> usize {
        self.known[task].places.len()
    }

    /// The same of every task.
    pub fn all_labels(&self) -> Vec<usize> {
        (0..self.tasks()).map(|task| self.labels(task)).collect()
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.known.len()
    }

    /// The loss of the outputs `[impressions]` of task number `task`, a mean over its labels `[1]`: squared error of a
    /// standardised duration, cross entropy of what happens or not from its logit. Asked only for tasks with a label.
    pub fn loss(&self, task: usize, outputs: Tensor<1>, device: &Device) -> Tensor<1> {
        let Known { kind, places, labels } = &self.known[task];
        let outputs = outputs.select(0, indices(places.clone(), device));
        let labels = TensorData::new(labels.clone(), [labels.len()]);
        let labels = Tensor::<1>::from_data(labels, device);
        match kind {
            TaskKind::Duration => (outputs - labels).square().mean(),
            TaskKind::Binary => ops::binary_cross_entropy(outputs, labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::normalize::Moments;
    use eliverec_core::toy;

    fn normalization(mean: f32, sd: f32) -> Normalization {
        let durations = [("stay".to_owned(), Moments { mean, sd })].into();
        Normalization { durations, ..Normalization::default() }
    }

    #[test]
    fn watched_rows_skip_unknown_labels_and_all_rows_count_a_channel_not_entered_as_nothing() {
        let mut batch = toy::batch(6, 2);
        let n = batch.impressions();
        batch.labels.as_mut().unwrap().watched =
            (0..n).map(|i| f32::from(u8::from(i % 2 == 0))).collect();
        batch.labels.as_mut().unwrap().tasks[0] =
            (0..n).map(|i| if i == 0 { f32::NAN } else { i as f32 }).collect();
        batch.labels.as_mut().unwrap().tasks[1] = vec![1.0; n];
        let of = |space| TaskRows::of(&batch, space, &Task::paper(), &normalization(1.0, 2.0));
        let watched = of(LabelSpace::Watched);
        assert_eq!(watched.impressions, (0..n as u32).step_by(2).collect::<Vec<_>>());
        assert_eq!(watched.known[0].places, (1..n.div_ceil(2) as u32).collect::<Vec<_>>());
        assert!((watched.known[0].labels[0] - (3.0_f32.ln() - 1.0) / 2.0).abs() < 1e-6);
        let all = of(LabelSpace::Impressions);
        assert_eq!(all.impressions.len(), n);
        assert_eq!(all.known[1].labels[..4], [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(all.known[0].labels[0], -0.5);
    }

    #[test]
    fn losses_equal_their_formulas() {
        let mut batch = toy::batch(2, 2);
        let n = batch.impressions();
        batch.labels.as_mut().unwrap().watched = vec![1.0; n];
        batch.labels.as_mut().unwrap().tasks[0] = vec![f32::NAN; n];
        batch.labels.as_mut().unwrap().tasks[0][1] = 9.0;
        batch.labels.as_mut().unwrap().tasks[2] = vec![f32::NAN; n];
        batch.labels.as_mut().unwrap().tasks[2][0] = 1.0;
        let device = Device::flex();
        let of = |batch: &Batch| {
            TaskRows::of(batch, LabelSpace::Watched, &Task::paper(), &normalization(0.0, 1.0))
        };
        let rows = of(&batch);
        let outputs = Tensor::<1>::full([n], 0.5, &device);
        let loss = |task| rows.loss(task, outputs.clone(), &device).into_scalar::<f32>();
        assert!((loss(0) - (0.5 - 10.0_f32.ln()).powi(2)).abs() < 1e-5);
        assert!((loss(2) - (1.0 + (-0.5_f32).exp()).ln()).abs() < 1e-6);
        batch.labels.as_mut().unwrap().tasks[1] = vec![f32::NAN; n];
        assert!(!of(&batch).has(1));
    }
}
