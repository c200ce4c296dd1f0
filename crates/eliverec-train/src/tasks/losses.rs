//! Labels of the inter-channel tasks and their losses.

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::Batch;
use eliverec_core::normalize::Moments;
use eliverec_models::heads::Task;
use eliverec_models::ops;
use eliverec_models::rows::indices;

use super::TASKS;
use eliverec_run::tasks::LabelSpace;

/// The impressions that the tasks read, and what is known of each.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRows {
    /// Impressions of the batch, in order.
    pub impressions: Vec<u32>,
    /// Per task: places in `impressions` with a known label, and the labels. The stay is standardised.
    known: [(Vec<u32>, Vec<f32>); TASKS],
}

impl TaskRows {
    /// The rows of a batch. `stay` standardises ln(1 + seconds).
    pub fn of(batch: &Batch, space: LabelSpace, stay: &Moments) -> Self {
        let labels = batch.known_labels();
        let watched = |i: u32| labels.watched[i as usize] > 0.5;
        let all = 0..batch.impressions() as u32;
        let impressions: Vec<u32> = match space {
            LabelSpace::Watched => all.filter(|i| watched(*i)).collect(),
            LabelSpace::Impressions => all.collect(),
        };
        let known = Task::ALL.map(|task| {
            let of = &labels.tasks[task as usize];
            let label = |i: &u32| if watched(*i) { of[*i as usize] } else { 0.0 };
            let values = impressions.iter().map(label).zip(0..).filter(|(y, _)| !y.is_nan());
            let (labels, places): (Vec<f32>, Vec<u32>) = values.unzip();
            let standardise = |seconds: f32| stay.standardise(seconds.ln_1p());
            let is_stay = task == Task::Stay;
            let labels =
                if is_stay { labels.into_iter().map(standardise).collect() } else { labels };
            (places, labels)
        });
        Self { impressions, known }
    }

    /// Whether a task has a label in this batch.
    pub fn has(&self, task: Task) -> bool {
        !self.known[task as usize].0.is_empty()
    }

    /// The loss of a task's outputs `[impressions]`, a mean over its labels `[1]`: squared error of the standardised stay,
    /// cross entropy of a click from its logit. Asked only for tasks with a label.
    pub fn loss(&self, task: Task, outputs: Tensor<1>, device: &Device) -> Tensor<1> {
        let (places, labels) = &self.known[task as usize];
        let outputs = outputs.select(0, indices(places.clone(), device));
        let labels = TensorData::new(labels.clone(), [labels.len()]);
        let labels = Tensor::<1>::from_data(labels, device);
        match task {
            Task::Stay => (outputs - labels).square().mean(),
            Task::BagClick | Task::ProductClick => ops::binary_cross_entropy(outputs, labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::toy;

    #[test]
    fn watched_rows_skip_unknown_labels_and_all_rows_count_a_channel_not_entered_as_nothing() {
        let mut batch = toy::batch(6, 2);
        let n = batch.impressions();
        batch.labels.as_mut().unwrap().watched =
            (0..n).map(|i| f32::from(u8::from(i % 2 == 0))).collect();
        batch.labels.as_mut().unwrap().tasks[0] =
            (0..n).map(|i| if i == 0 { f32::NAN } else { i as f32 }).collect();
        batch.labels.as_mut().unwrap().tasks[1] = vec![1.0; n];
        let stay = Moments { mean: 1.0, sd: 2.0 };
        let watched = TaskRows::of(&batch, LabelSpace::Watched, &stay);
        assert_eq!(watched.impressions, (0..n as u32).step_by(2).collect::<Vec<_>>());
        assert_eq!(watched.known[0].0, (1..n.div_ceil(2) as u32).collect::<Vec<_>>());
        assert!((watched.known[0].1[0] - (3.0_f32.ln() - 1.0) / 2.0).abs() < 1e-6);
        let all = TaskRows::of(&batch, LabelSpace::Impressions, &stay);
        assert_eq!(all.impressions.len(), n);
        assert_eq!(all.known[1].1[..4], [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(all.known[0].1[0], -0.5);
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
        let (device, stay) = (Device::flex(), Moments::default());
        let rows = TaskRows::of(&batch, LabelSpace::Watched, &stay);
        let outputs = Tensor::<1>::full([n], 0.5, &device);
        let loss = |task| rows.loss(task, outputs.clone(), &device).into_scalar::<f32>();
        assert!((loss(Task::Stay) - (0.5 - 10.0_f32.ln()).powi(2)).abs() < 1e-5);
        assert!((loss(Task::ProductClick) - (1.0 + (-0.5_f32).exp()).ln()).abs() < 1e-6);
        batch.labels.as_mut().unwrap().tasks[1] = vec![f32::NAN; n];
        assert!(!TaskRows::of(&batch, LabelSpace::Watched, &stay).has(Task::BagClick));
    }
}
