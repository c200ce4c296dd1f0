//! Recurrences over packed histories: GRU, and AUGRU, whose updates are weighed by attention.
//!
//! K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation", EMNLP 2014;
//! AUGRU: G. Zhou et al., "Deep Interest Evolution Network for Click-Through Rate Prediction", AAAI 2019.
//!
//! Sequences step together, the longest first, so that those still running at a step are the first rows of the state: padding is
//! never computed.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};

use crate::builder::Builder;
use crate::fused;
use crate::rows::{Rows, indices};

/// `r, u = sigmoid([x, h] W + b)`, `c = tanh([x, r * h] W_c + b_c)`, `h <- (1 - u) h + u c`, from h = 0; with attention a, a u
/// takes the place of u.
#[derive(Module, Debug)]
pub struct Gru {
    /// What x gives to r, u and c `[d, 3 d]`.
    input: Param<Tensor<2>>,
    /// What h gives to r and u `[d, 2 d]`.
    gates: Param<Tensor<2>>,
    /// What r * h gives to c `[d, d]`.
    candidate: Param<Tensor<2>>,
    reset_bias: Param<Tensor<1>>,
    update_bias: Param<Tensor<1>>,
    candidate_bias: Param<Tensor<1>>,
}

/// Start of r's bias: at first the candidate sees the whole state.
const RESET: f32 = 1.0;

impl Gru {
    /// States as wide as events; `update` is where u's bias starts: below 0 states are kept longer.
    pub fn new(width: usize, update: f32, builder: &Builder) -> Self {
        Self {
            input: builder.matrices(width, 3 * width, 3),
            gates: builder.matrices(width, 2 * width, 2),
            candidate: builder.matrix(width, width),
            reset_bias: builder.constant(width, RESET),
            update_bias: builder.constant(width, update),
            candidate_bias: builder.constant(width, 0.0),
        }
    }

    /// The state after every event `[m, d]`, of the events `[m, d]`; there must be some.
    pub fn states(&self, events: Tensor<2>, rows: &Rows) -> Tensor<2> {
        self.run(self.projected(events), rows)
    }

    /// The same with `shift` `[m, 3 d]` added to what the events give to r, u and c: what a feed adds to each of its events.
    pub fn shifted(&self, events: Tensor<2>, shift: Tensor<2>, rows: &Rows) -> Tensor<2> {
        self.run(self.projected(events) + shift, rows)
    }

    fn run(&self, projected: Tensor<2>, rows: &Rows) -> Tensor<2> {
        if rows.fused {
            return fused::gru_states(projected, self.of_state(), &rows.offsets);
        }
        let runs = Runs::of(rows.offsets.ranges());
        let states = Tensor::cat(self.steps(&projected, &runs, None), 0);
        let device = states.device();
        states.select(0, indices(runs.places(rows.total()), &device))
    }

    /// The last state of every impression `[n, d]`, zero without history: each runs over its feed's events `[m, d]` (there must be
    /// some), weighed by `attention` `[n, l]`.
    pub fn attended(
        &self,
        events: Tensor<2>,
        [rows, candidates]: [&Rows; 2],
        attention: Tensor<2>,
    ) -> Tensor<2> {
        let projected = self.projected(events);
        if rows.fused {
            let offsets = [&rows.offsets, &candidates.offsets];
            return fused::augru_last(projected, self.of_state(), attention, offsets);
        }
        let pairs = rows.offsets.ranges().zip(candidates.offsets.ranges());
        let pairs = pairs.flat_map(|(past, shown)| shown.map(move |_| past.clone()));
        let runs = Runs::of(pairs);
        let device = projected.device();
        let attention = attention.select(0, indices(runs.order.clone(), &device));
        let states = self.steps(&projected, &runs, Some(attention));

        // The sequences that end at a step are the last of those that run; the last step has the longest.
        let [_, d] = states[0].dims();
        let ending = states.into_iter().enumerate().rev().filter_map(|(step, state)| {
            let still = runs.running.get(step + 1).copied().unwrap_or(0);
            let ending = runs.running[step] - still;
            (ending > 0).then(|| state.narrow(0, still, ending))
        });
        let zero = Tensor::zeros([1, d], &device);
        let last = Tensor::cat(ending.chain([zero]).collect(), 0);
        let mut places = vec![runs.order.len() as u32; candidates.total()];
        for (place, sequence) in runs.order.iter().enumerate() {
            places[*sequence as usize] = place as u32;
        }
        last.select(0, indices(places, &device))
    }

    /// What the events give to r, u and c, at once for all `[m, 3 d]`.
    fn projected(&self, events: Tensor<2>) -> Tensor<2> {
        let biases = [&self.reset_bias, &self.update_bias, &self.candidate_bias];
        let biases = Tensor::cat(biases.map(Param::val).to_vec(), 0);
        events.matmul(self.input.val()) + biases.unsqueeze_dim(0)
    }

    fn of_state(&self) -> [Tensor<2>; 2] {
        [self.gates.val(), self.candidate.val()]
    }

    /// The states after each step `[running, d]`; `attention` `[sequences, l]` in the order of `runs`.
    fn steps(
        &self,
        projected: &Tensor<2>,
        runs: &Runs,
        attention: Option<Tensor<2>>,
    ) -> Vec<Tensor<2>> {
        let (device, [d, _]) = (projected.device(), self.candidate.dims());
        let mut state = Tensor::zeros([runs.order.len(), d], &device);
        let mut states = Vec::with_capacity(runs.running.len());
        for (step, running) in runs.running.iter().enumerate() {
            let x = projected.clone().select(0, indices(runs.events(step), &device));
            let before = state.narrow(0, 0, *running);
            let of_state = before.clone().matmul(self.gates.val());
            let gates = activation::sigmoid(x.clone().narrow(1, 0, 2 * d) + of_state);
            let reset = gates.clone().narrow(1, 0, d);
            let of_state = (reset * before.clone()).matmul(self.candidate.val());
            let candidate = (x.narrow(1, 2 * d, d) + of_state).tanh();
            let mut update = gates.narrow(1, d, d);
            if let Some(attention) = &attention {
                update = update * attention.clone().narrow(0, 0, *running).narrow(1, step, 1);
            }
            state = before.clone() + update * (candidate - before);
            states.push(state.clone());
        }
        states
    }
}

/// Sequences of events in the order in which they run together.
struct Runs {
    /// Their numbers, the longest first; those without an event do not run.
    order: Vec<u32>,
    /// The first event of each.
    starts: Vec<u32>,
    /// How many run at each step.
    running: Vec<usize>,
}

impl Runs {
    fn of(sequences: impl Iterator<Item = Range<usize>>) -> Self {
        let sequences = sequences.enumerate().filter(|(_, events)| !events.is_empty());
        let mut sequences: Vec<(usize, Range<usize>)> = sequences.collect();
        sequences.sort_by_key(|(_, events)| std::cmp::Reverse(events.len()));
        let longest = sequences.first().map_or(0, |(_, events)| events.len());
        let running = |step: usize| sequences.partition_point(|(_, events)| events.len() > step);
        Self {
            running: (0..longest).map(running).collect(),
            order: sequences.iter().map(|(number, _)| *number as u32).collect(),
            starts: sequences.iter().map(|(_, events)| events.start as u32).collect(),
        }
    }

    /// The events of a step, one of each sequence that runs.
    fn events(&self, step: usize) -> Vec<u32> {
        self.starts[..self.running[step]].iter().map(|start| start + step as u32).collect()
    }

    /// Where each of `events` events stands among the states of all steps, one step after the other.
    fn places(&self, events: usize) -> Vec<u32> {
        let mut places = vec![0; events];
        let all = (0..self.running.len()).flat_map(|step| self.events(step));
        for (place, event) in all.enumerate() {
            places[event as usize] = place as u32;
        }
        places
    }
}
