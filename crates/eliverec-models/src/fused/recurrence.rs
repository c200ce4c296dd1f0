//! GRU and AUGRU over packed histories: sequences of a chunk step together, the longest first.
//!
//! The forward keeps nothing: AUGRU's gates of every pair of event and candidate would be hundreds of megabytes. The backward runs a
//! chunk's forward again, which leaves the gates in the cache, and then back through it.

use std::sync::Arc;

use eliverec_core::batch::Offsets;
use eliverec_core::profile::Part;
use pulp::Arch;
use rayon::prelude::*;

use super::chunks::{add_up, cut};
use super::gemm::{Matrix, add_product, set_product};
use super::record::{Keep, Operation};
use super::recurrence_loops::{Gates, ResetBackward, Update, UpdateBackward};
use super::rows::Loop;
use super::sequences::{Partition, Sequence, Steps, partitions};

/// Sequences that step together: rows enough for a product, and few enough for their gates to stay in the cache.
const CHUNK: usize = 48;

/// Every state of each feed's sequence `[m, d]`, or the last one of each impression `[n, d]`, zero without history:
/// `r, u = sigmoid(x + h U)`, `c = tanh(x + (r * h) U_c)`, `h <- h + a u (c - h)` from h = 0, with a = 1 for feeds.
///
/// Inputs: what events give to r, u and c `[m, 3 d]`, U `[d, 2 d]`, U_c `[d, d]`, and for impressions a `[n, longest]`.
#[derive(Debug)]
pub(super) struct Recurrence {
    /// From feed to its events.
    pub(super) histories: Arc<Offsets>,
    /// Whose sequences these are beside the feeds'.
    pub(super) impressions: Option<Impressions>,
    /// d
    pub(super) width: usize,
}

/// Each impression runs over its feed's events.
#[derive(Debug)]
pub(super) struct Impressions {
    /// From feed to its impressions.
    pub(super) candidates: Arc<Offsets>,
    /// Columns of the attention.
    pub(super) longest: usize,
}

/// Inputs as slices.
#[derive(Clone, Copy)]
struct Given<'a> {
    projected: &'a [f32],
    gates: &'a [f32],
    candidate: &'a [f32],
    attention: Option<&'a [f32]>,
}

/// What a partition's inputs are, and which part of the results is its own.
struct Work<'a> {
    partition: &'a Partition,
    given: Given<'a>,
}

/// A worker's room for one chunk; of all steps if a backward follows, else of one.
#[derive(Default)]
struct Room {
    /// h after `[chunk, d]`.
    state: Vec<f32>,
    /// h before `[rows, d]`.
    before: Vec<f32>,
    /// r and u `[rows, 2 d]`.
    gates: Vec<f32>,
    /// r * h `[rows, d]`.
    reset: Vec<f32>,
    /// c `[rows, d]`.
    fresh: Vec<f32>,
    /// Gradient of h `[chunk, d]`.
    state_gradient: Vec<f32>,
    /// Of r and u before their sigmoids `[rows, 2 d]`.
    gates_gradient: Vec<f32>,
    /// Of c before its tangent `[rows, d]`.
    fresh_gradient: Vec<f32>,
    /// Of r * h `[chunk, d]`.
    reset_gradient: Vec<f32>,
    /// The events of a step `[chunk]`.
    events: Vec<usize>,
    /// Its attention `[chunk]`, and the gradient.
    attention: Vec<f32>,
    attention_gradient: Vec<f32>,
}

impl Recurrence {
    /// Columns of the attention; 0 without.
    fn longest(&self) -> usize {
        self.impressions.as_ref().map_or(0, |impressions| impressions.longest)
    }

    /// Rows of the result.
    fn output_rows(&self) -> usize {
        let impressions = self.impressions.as_ref();
        impressions.map_or(self.histories.total(), |given| given.candidates.total())
    }

    fn partitions(&self) -> Vec<Partition> {
        let candidates = self.impressions.as_ref().map(|given| given.candidates.as_ref());
        partitions(&self.histories, candidates)
    }

    /// The attention of a step `[k]`.
    fn attend(&self, work: &Work<'_>, chunk: &[Sequence], step: usize, to: &mut Vec<f32>) {
        to.clear();
        let Some(attention) = work.given.attention else {
            to.resize(chunk.len(), 1.0);
            return;
        };
        let first = work.partition.rows.start;
        to.extend(chunk.iter().map(|of| attention[(first + of.row) * self.longest() + step]));
    }

    /// Runs a chunk and hands the states after each step to `each`, with the step and the sequences that ran.
    fn run(
        &self,
        work: &Work<'_>,
        chunk: &[Sequence],
        steps: &Steps,
        keep: Keep,
        room: &mut Room,
        mut each: impl FnMut(usize, &[Sequence], &[f32]),
    ) {
        let (arch, d, Given { projected, .. }) = (Arch::new(), self.width, work.given);
        let projected = &projected[3 * d * work.partition.events.start..];
        let gates = Matrix::new(work.given.gates, d, 2 * d);
        let candidate = Matrix::new(work.given.candidate, d, d);
        let rows = if keep == Keep::ForBackward { steps.rows() } else { chunk.len() };
        room.state.clear();
        room.state.resize(chunk.len() * d, 0.0);
        for (buffer, width) in [
            (&mut room.before, d),
            (&mut room.gates, 2 * d),
            (&mut room.reset, d),
            (&mut room.fresh, d),
        ] {
            buffer.resize(rows * width, 0.0);
        }
        for (step, k) in steps.running.iter().copied().enumerate() {
            let first = if keep == Keep::ForBackward { steps.starts[step] } else { 0 };
            let at = |width: usize| first * width..(first + k) * width;
            let running = &chunk[..k];
            room.events.clear();
            room.events.extend(running.iter().map(|sequence| sequence.start + step));
            self.attend(work, running, step, &mut room.attention);
            let before = &mut room.before[at(d)];
            let (of_gates, reset) = (&mut room.gates[at(2 * d)], &mut room.reset[at(d)]);
            let (fresh, state) = (&mut room.fresh[at(d)], &mut room.state[..k * d]);
            before.copy_from_slice(state);
            // From h = 0 there is nothing to multiply.
            if step == 0 {
                of_gates.fill(0.0);
                fresh.fill(0.0);
            } else {
                set_product(of_gates, Matrix::new(before, k, d), gates);
            }
            arch.dispatch(Loop(Gates {
                values: of_gates,
                projected,
                events: &room.events,
                before,
                reset,
                width: d,
            }));
            if step > 0 {
                set_product(fresh, Matrix::new(reset, k, d), candidate);
            }
            arch.dispatch(Loop(Update {
                fresh,
                gates: of_gates,
                projected,
                events: &room.events,
                before,
                attention: &room.attention,
                state,
                width: d,
            }));
            each(step, running, state);
        }
    }

    fn output(&self, given: Given<'_>) -> Vec<f32> {
        let d = self.width;
        let mut output = vec![0.0; self.output_rows() * d];
        let partitions = self.partitions();
        let ranges = partitions.iter().map(|partition| partition.rows.clone());
        let parts: Vec<_> = partitions.iter().zip(cut(&mut output, ranges, d)).collect();
        parts.into_par_iter().for_each_init(Room::default, |room, (partition, output)| {
            let work = Work { partition, given };
            for chunk in partition.sequences.chunks(CHUNK) {
                let steps = Steps::of(chunk);
                self.run(&work, chunk, &steps, Keep::Nothing, room, |step, running, state| {
                    for (sequence, state) in running.iter().zip(state.chunks(d)) {
                        let row = match self.impressions {
                            None => sequence.start + step,
                            Some(_) if sequence.length == step + 1 => sequence.row,
                            Some(_) => continue,
                        };
                        output[row * d..(row + 1) * d].copy_from_slice(state);
                    }
                });
            }
        });
        output
    }

    /// Gradients of what events give, of U, of U_c and, for impressions, of the attention.
    fn gradients(&self, given: Given<'_>, gradient: &[f32]) -> [Vec<f32>; 4] {
        let (d, longest) = (self.width, self.longest());
        let mut projected = vec![0.0; given.projected.len()];
        let mut attention = vec![0.0; given.attention.map_or(0, <[f32]>::len)];
        let partitions = self.partitions();
        let events = partitions.iter().map(|partition| partition.events.clone());
        let rows = partitions.iter().map(|partition| partition.rows.clone());
        let parts = cut(&mut projected, events, 3 * d).into_iter();
        let parts = parts.zip(cut(&mut attention, rows, longest));
        let work: Vec<_> = partitions.iter().zip(parts).collect();
        let sums: Vec<[Vec<f32>; 2]> = work
            .into_par_iter()
            .map_init(Room::default, |room, (partition, (projected, attention))| {
                let work = Work { partition, given };
                let gradient = &gradient[partition.rows.start * d..partition.rows.end * d];
                let mut sums = [vec![0.0; 2 * d * d], vec![0.0; d * d]];
                for chunk in partition.sequences.chunks(CHUNK) {
                    self.back(&work, chunk, gradient, [projected, attention], &mut sums, room);
                }
                sums
            })
            .collect();
        let (gates, candidates) =
            sums.into_iter().map(|[gates, candidate]| (gates, candidate)).unzip();
        [projected, add_up(gates, 2 * d * d), add_up(candidates, d * d), attention]
    }

    /// Back through a chunk: everything is added to.
    fn back(
        &self,
        work: &Work<'_>,
        chunk: &[Sequence],
        gradient: &[f32],
        [projected_gradient, attention_gradient]: [&mut [f32]; 2],
        [gates_sum, candidate_sum]: &mut [Vec<f32>; 2],
        room: &mut Room,
    ) {
        let (arch, d, steps) = (Arch::new(), self.width, Steps::of(chunk));
        self.run(work, chunk, &steps, Keep::ForBackward, room, |_, _, _| {});
        let gates = Matrix::new(work.given.gates, d, 2 * d);
        let candidate = Matrix::new(work.given.candidate, d, d);
        let rows = steps.rows();
        room.gates_gradient.resize(rows * 2 * d, 0.0);
        room.fresh_gradient.resize(rows * d, 0.0);
        room.reset_gradient.resize(chunk.len() * d, 0.0);
        room.attention_gradient.resize(chunk.len(), 0.0);
        room.state_gradient.clear();
        room.state_gradient.resize(chunk.len() * d, 0.0);
        if self.impressions.is_some() {
            for (sequence, to) in chunk.iter().zip(room.state_gradient.chunks_mut(d)) {
                to.copy_from_slice(&gradient[sequence.row * d..(sequence.row + 1) * d]);
            }
        }
        for (step, k) in steps.running.iter().copied().enumerate().rev() {
            let first = steps.starts[step];
            let at = |width: usize| first * width..(first + k) * width;
            let running = &chunk[..k];
            self.attend(work, running, step, &mut room.attention);
            let state_gradient = &mut room.state_gradient[..k * d];
            if self.impressions.is_none() {
                for (sequence, to) in running.iter().zip(state_gradient.chunks_mut(d)) {
                    add(to, &gradient[(sequence.start + step) * d..]);
                }
            }
            let (of_gates, before) = (&room.gates[at(2 * d)], &room.before[at(d)]);
            let gates_gradient = &mut room.gates_gradient[at(2 * d)];
            let fresh_gradient = &mut room.fresh_gradient[at(d)];
            arch.dispatch(Loop(UpdateBackward {
                state_gradient,
                gates: of_gates,
                fresh: &room.fresh[at(d)],
                before,
                attention: &room.attention,
                gates_gradient,
                fresh_gradient,
                attention_gradient: &mut room.attention_gradient[..k],
                width: d,
            }));
            // d(r * h) = dc U_c^T; at the first step h = 0 and nobody asks for its gradient
            let reset_gradient = &mut room.reset_gradient[..k * d];
            if step == 0 {
                reset_gradient.fill(0.0);
            } else {
                let of_fresh = Matrix::new(fresh_gradient, k, d);
                set_product(reset_gradient, of_fresh, candidate.transposed());
            }
            arch.dispatch(Loop(ResetBackward {
                reset_gradient,
                gates: of_gates,
                before,
                gates_gradient,
                state_gradient,
                width: d,
            }));
            // dh += d(r, u) U^T
            if step > 0 {
                let of_gates = Matrix::new(gates_gradient, k, 2 * d);
                add_product(state_gradient, of_gates, gates.transposed());
            }
            for (i, sequence) in running.iter().enumerate() {
                let event = sequence.start + step;
                let to = &mut projected_gradient[3 * d * event..3 * d * (event + 1)];
                add(&mut to[..2 * d], &gates_gradient[2 * d * i..]);
                add(&mut to[2 * d..], &fresh_gradient[d * i..]);
                if self.impressions.is_some() {
                    attention_gradient[sequence.row * self.longest() + step] =
                        room.attention_gradient[i];
                }
            }
        }
        // dU += h^T d(r, u), dU_c += (r * h)^T dc, over all steps at once
        let before = Matrix::new(&room.before, rows, d).transposed();
        add_product(gates_sum, before, Matrix::new(&room.gates_gradient, rows, 2 * d));
        let reset = Matrix::new(&room.reset, rows, d).transposed();
        add_product(candidate_sum, reset, Matrix::new(&room.fresh_gradient, rows, d));
    }
}

/// `to += from`, of as many as `to` has.
fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

impl Operation<3> for Recurrence {
    type Saved = ();
    const PART: Part = Part::Recurrence;

    fn forward(&self, inputs: [&[f32]; 3], _: Keep) -> (Vec<f32>, [usize; 2], ()) {
        let [projected, gates, candidate] = inputs;
        let given = Given { projected, gates, candidate, attention: None };
        (self.output(given), [self.output_rows(), self.width], ())
    }

    fn backward(&self, inputs: [&[f32]; 3], (): &(), gradient: &[f32]) -> [Vec<f32>; 3] {
        let [projected, gates, candidate] = inputs;
        let given = Given { projected, gates, candidate, attention: None };
        let [projected, gates, candidate, _] = self.gradients(given, gradient);
        [projected, gates, candidate]
    }
}

impl Operation<4> for Recurrence {
    type Saved = ();
    const PART: Part = Part::Recurrence;

    fn forward(&self, inputs: [&[f32]; 4], _: Keep) -> (Vec<f32>, [usize; 2], ()) {
        let [projected, gates, candidate, attention] = inputs;
        let given = Given { projected, gates, candidate, attention: Some(attention) };
        (self.output(given), [self.output_rows(), self.width], ())
    }

    fn backward(&self, inputs: [&[f32]; 4], (): &(), gradient: &[f32]) -> [Vec<f32>; 4] {
        let [projected, gates, candidate, attention] = inputs;
        let given = Given { projected, gates, candidate, attention: Some(attention) };
        self.gradients(given, gradient)
    }
}
