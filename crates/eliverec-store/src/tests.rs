//! Tests over the whole crate: random runs against a slow oracle, and the files.

mod compact;
mod files;
mod naive;
mod runs;

use eliverec_core::TableSpec;
use eliverec_core::adagrad::AdagradConfig;
use eliverec_core::seed::{Random, numbered};
use eliverec_core::unique::UniqueIds;
use proptest::prelude::*;

use crate::file::write_table;
use crate::{Store, StoreConfig};

/// Ids that random runs draw from: small, large, and in sequence.
fn id(index: usize) -> u64 {
    if index.is_multiple_of(3) { u64::MAX - index as u64 } else { index as u64 }
}

const IDS: usize = 24;
const SEED: u64 = 11;

/// A random run of one vocabulary: steps, ascending, with the ids of their batches, repeats included.
#[derive(Clone, Debug)]
struct Run {
    spec: TableSpec,
    config: StoreConfig,
    batches: Vec<(u64, Vec<u64>)>,
}

fn runs() -> impl Strategy<Value = Run> {
    let batch = (1_u64..4, prop::collection::vec((0..IDS).prop_map(id), 0..14));
    let options = (
        prop_oneof![Just(0.0), Just(0.4), Just(1.0)],
        prop::option::of(1_usize..14),
        prop::option::of(1_u64..25),
        prop_oneof![Just(1_usize << 22), 0_usize..12],
        0_u64..5,
    );
    (1_usize..5, 0_u32..5, options, prop::collection::vec(batch, 1..25)).prop_map(
        |(width, min_count, (id_dropout, max_rows, max_age_steps, max_counted, decay), batches)| {
            let mut step = 0;
            let batches = batches.into_iter().map(|(gap, ids)| {
                step += gap;
                (step - 1, ids)
            });
            let config = StoreConfig {
                id_dropout,
                max_rows,
                max_age_steps,
                max_counted,
                adagrad: AdagradConfig { decay_steps: decay, ..AdagradConfig::default() },
                ..StoreConfig::default()
            };
            let spec = TableSpec::of_vocabulary(0, "channel", width, min_count);
            Run { spec, config, batches: batches.collect() }
        },
    )
}

impl Run {
    fn store(&self) -> Store {
        Store::new(SEED, vec![self.spec.clone()], self.config.clone()).unwrap()
    }

    fn gradient(&self, id: u64, step: u64) -> Vec<f32> {
        let mut random = Random::new(numbered(id, step));
        (0..self.spec.width).map(|_| random.normal() as f32).collect()
    }

    /// One step of the store; returns the distinct ids and their block.
    fn step(&self, store: &mut Store, step: u64, ids: &[u64]) -> (UniqueIds, Vec<f32>) {
        let unique = UniqueIds::of_lists(&[ids.to_vec()]);
        let gathered = store.gather_for_training(&unique, step);
        let gradient = unique.ids[0].iter().flat_map(|id| self.gradient(*id, step)).collect();
        store.scatter(&gathered, &[gradient], step).unwrap();
        let block = gathered.rows.into_iter().next().unwrap();
        (unique, block)
    }

    fn finish(&self, mut store: Store, from: usize) -> Store {
        for (step, ids) in &self.batches[from..] {
            self.step(&mut store, *step, ids);
        }
        store
    }
}

/// The whole state: equal states are equal bytes.
fn bytes(store: &Store) -> Vec<Vec<u8>> {
    let file = |table| write_table(table, store.seed, store.config.init_std, Vec::new()).unwrap().1;
    store.tables.iter().map(file).collect()
}
