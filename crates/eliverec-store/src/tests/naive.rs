//! The slow oracle: ordered maps, dense decay of every row at every period, one id at a time.

use std::collections::{BTreeMap, BTreeSet};

use eliverec_core::seed::{Random, numbered, stream};

use super::{Run, SEED};
use crate::row::Initial;

/// Numbers of a row and what is known of its id.
#[derive(Clone, Debug)]
struct Row {
    vector: Vec<f32>,
    accumulator: Vec<f32>,
    count: u32,
    seen: u64,
}

/// One vocabulary, slowly.
#[derive(Debug)]
pub(super) struct Naive {
    run: Run,
    initial: Initial,
    rows: BTreeMap<u64, Row>,
    /// Count and step last seen.
    counters: BTreeMap<u64, (u32, u64)>,
    rare: Row,
    rare_trained: bool,
    decays: u64,
}

impl Naive {
    pub(super) fn new(run: &Run) -> Self {
        let initial = Initial::new(SEED, &run.spec.name, &run.spec.law, run.config.init_std);
        let accumulator = vec![run.config.adagrad.initial_accumulator; run.spec.width];
        let mut vector = vec![0.0; run.spec.width];
        initial.fill_rare(&mut vector);
        Self {
            run: run.clone(),
            initial,
            rows: BTreeMap::new(),
            counters: BTreeMap::new(),
            rare: Row { vector, accumulator, count: 0, seen: 0 },
            rare_trained: false,
            decays: 0,
        }
    }

    /// Rows and counters.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.rows.len(), self.counters.len())
    }

    /// What evaluation sees for an id.
    pub(super) fn vector(&self, id: u64) -> Vec<f32> {
        match self.rows.get(&id) {
            Some(row) => row.vector.clone(),
            None if self.rare_trained => self.rare.vector.clone(),
            None => self.initial_vector(id),
        }
    }

    fn initial_vector(&self, id: u64) -> Vec<f32> {
        let mut vector = vec![0.0; self.run.spec.width];
        self.initial.fill(id, &mut vector);
        vector
    }

    /// One step: the vectors that the batch is given, by id.
    pub(super) fn step(&mut self, step: u64, batch: &[u64]) -> BTreeMap<u64, Vec<f32>> {
        let config = self.run.config.clone();
        while self.decays < config.adagrad.periods(step) {
            self.decays += 1;
            let rows = self.rows.values_mut().chain([&mut self.rare]);
            rows.for_each(|row| config.adagrad.decay(&mut row.accumulator, 1));
        }
        if let Some(age) = config.max_age_steps
            && step.is_multiple_of((age / 10).max(1))
        {
            self.rows.retain(|_, row| row.seen + age >= step);
            self.counters.retain(|_, (_, seen)| *seen + age >= step);
        }

        let mut counts = BTreeMap::new();
        batch.iter().for_each(|id| *counts.entry(*id).or_insert(0) += 1);
        let (mut newcomers, mut fresh) = (Vec::new(), Vec::new());
        for (id, count) in &counts {
            if let Some(row) = self.rows.get_mut(id) {
                (row.count, row.seen) = (row.count + count, step);
            } else if let Some(counter) = self.counters.get_mut(id) {
                *counter = (counter.0 + count, step);
                if counter.0 >= self.run.spec.min_count {
                    newcomers.push(*id);
                }
            } else if *count >= self.run.spec.min_count {
                newcomers.push(*id);
            } else {
                fresh.push(*id);
            }
        }

        let old: BTreeSet<_> = (self.counters.iter())
            .filter(|(_, (_, seen))| *seen < step)
            .map(|(id, (count, seen))| (*seen, *count, *id))
            .collect();
        for id in excess(old, self.counters.len(), fresh.len(), config.max_counted) {
            self.counters.remove(&id);
        }
        fresh.truncate(config.max_counted - self.counters.len());
        self.counters.extend(fresh.into_iter().map(|id| (id, (counts[&id], step))));

        let capacity = config.max_rows.unwrap_or(usize::MAX);
        let old: BTreeSet<_> = (self.rows.iter())
            .filter(|(_, row)| row.seen < step)
            .map(|(id, row)| (row.seen, row.count, *id))
            .collect();
        for id in excess(old, self.rows.len(), newcomers.len(), capacity) {
            self.rows.remove(&id);
        }
        newcomers.truncate(capacity - self.rows.len());
        for id in newcomers {
            let count = self.counters.remove(&id).map_or(counts[&id], |(count, _)| count);
            let vector = self.initial_vector(id);
            let accumulator = vec![config.adagrad.initial_accumulator; vector.len()];
            self.rows.insert(id, Row { vector, accumulator, count, seen: step });
        }

        let draws = numbered(stream(SEED, "dropout/channel"), step);
        let drops = |id| Random::new(numbered(draws, id)).uniform() < config.id_dropout;
        let mut given = BTreeMap::new();
        let mut sum = vec![0.0; self.run.spec.width];
        for id in counts.keys() {
            let gradient = self.run.gradient(*id, step);
            match self.rows.get_mut(id) {
                Some(row) if !drops(*id) => {
                    given.insert(*id, row.vector.clone());
                    config.adagrad.update(
                        &mut row.vector,
                        &mut row.accumulator,
                        &gradient,
                        config.learning_rate,
                    );
                }
                _ => {
                    given.insert(*id, self.rare.vector.clone());
                    sum.iter_mut().zip(&gradient).for_each(|(s, g)| *s += g);
                    self.rare_trained = true;
                }
            }
        }
        let rare = &mut self.rare;
        config.adagrad.update(&mut rare.vector, &mut rare.accumulator, &sum, config.learning_rate);
        given
    }
}

/// The ids that go, of `old` (last seen, count, id), when `wanted` come to `held`.
fn excess(old: BTreeSet<(u64, u32, u64)>, held: usize, wanted: usize, capacity: usize) -> Vec<u64> {
    if held.saturating_add(wanted) <= capacity {
        return Vec::new();
    }
    let keep = (capacity - capacity / 10).saturating_sub(wanted);
    old.into_iter().take(held.saturating_sub(keep)).map(|(_, _, id)| id).collect()
}
