//! Random runs: what the store gives, against the oracle, against the dense rule, and against itself in another order.

use super::naive::Naive;
use super::*;
use eliverec_core::table::{Key, RowLaw};

use crate::index::map_bytes;
use crate::row::Mark;
use crate::table::{Counter, ROWS_PER_PAGE};
use crate::{Error, RowReader};

/// Most bytes that one table holds between steps: rows (vector, accumulator, mark), the index of ids and the counters; `None`
/// without `max_rows`. A step adds its blocks, and 4 bytes per row when it evicts; saving adds 16 bytes per row.
fn memory_bound(config: &StoreConfig, spec: &TableSpec) -> Option<u64> {
    let max_rows = config.max_rows?;
    let row = 8 * spec.width + size_of::<Mark>();
    // Pages and the list of them grow by doubling.
    let pages = 2 * max_rows.div_ceil(ROWS_PER_PAGE) * 64 + 256;
    let rows = max_rows.next_multiple_of(4).max(4) * row * 2;
    let full = max_rows.next_multiple_of(ROWS_PER_PAGE) * row;
    let counted = if spec.min_count > 1 { config.max_counted } else { 0 };
    let bytes = rows.min(full)
        + pages
        + row
        + map_bytes_bound::<u32>(max_rows)
        + map_bytes_bound::<Counter>(counted);
    Some(bytes as u64)
}

/// Most bytes of a map that never had more than `entries`. Removed entries can make it double once more.
fn map_bytes_bound<T>(entries: usize) -> usize {
    if entries == 0 { 0 } else { 2 * map_bytes::<T>(entries.max(4) + 1) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_step_equals_the_oracle(run in runs()) {
        let (mut store, mut naive) = (run.store(), Naive::new(&run));
        for (step, ids) in &run.batches {
            let given = naive.step(*step, ids);
            let (unique, block) = run.step(&mut store, *step, ids);
            let expected: Vec<f32> =
                unique.ids[0].iter().flat_map(|id| given[id].clone()).collect();
            prop_assert_eq!(block, expected, "step {}", step);
            let sizes = (store.rows(), store.tables[0].counters.len());
            prop_assert_eq!(sizes, naive.sizes());
            if let Some(bound) = memory_bound(&run.config, &run.spec) {
                prop_assert!(store.rows() <= run.config.max_rows.unwrap());
                prop_assert!(store.memory_bytes() <= bound, "{} > {bound}", store.memory_bytes());
            }
        }
        let all: Vec<u64> = (0..IDS).map(id).collect();
        let expected: Vec<f32> = all.iter().flat_map(|id| naive.vector(*id)).collect();
        let unique = UniqueIds::of_lists(&[all]);
        prop_assert_eq!(&store.gather(&unique)[0], &expected);
    }

    #[test]
    fn lazy_decay_equals_the_dense_rule(
        decay_steps in 0_u64..6,
        touched in prop::collection::vec(prop::collection::btree_set(0_u64..12, 0..6), 1..60),
    ) {
        let width = 3;
        let adagrad = AdagradConfig { decay_steps, decay_rate: 0.7, ..AdagradConfig::default() };
        let config = StoreConfig { adagrad, ..StoreConfig::default() };
        let spec = TableSpec::of_vocabulary(0, "channel", width, 1);
        let run = Run { spec: spec.clone(), config: config.clone(), batches: Vec::new() };
        let mut store = Store::new(SEED, vec![spec], config.clone()).unwrap();
        let all = UniqueIds::of_lists(&[(0..12).collect()]);
        store.gather_for_training(&all, 0);

        let mut dense = store.gather(&all).remove(0);
        let mut accumulator = vec![adagrad.initial_accumulator; dense.len()];
        for (step, ids) in (0..).zip(&touched) {
            if step > 0 && decay_steps > 0 && step % decay_steps == 0 {
                let decay = |a: &mut f32| *a = (*a * 0.7).max(adagrad.initial_accumulator);
                accumulator.iter_mut().for_each(decay);
            }
            let gradient = |id: u64| {
                if ids.contains(&id) { run.gradient(id, step) } else { vec![0.0; width] }
            };
            let full: Vec<f32> = (0..12).flat_map(gradient).collect();
            adagrad.update(&mut dense, &mut accumulator, &full, config.learning_rate);

            let unique = UniqueIds::of_lists(&[ids.iter().rev().copied().collect()]);
            let gathered = store.gather_for_training(&unique, step);
            let block = ids.iter().rev().flat_map(|id| run.gradient(*id, step)).collect();
            store.scatter(&gathered, &[block], step).unwrap();
            prop_assert_eq!(&store.gather(&all)[0], &dense, "step {}", step);
        }
    }

    #[test]
    fn neither_order_nor_threads_change_the_state(run in runs(), seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let mut shuffled = run.clone();
        shuffled.batches.iter_mut().for_each(|(_, ids)| random.shuffle(ids));
        let on = |threads, run: &Run| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bytes(&run.finish(run.store(), 0)))
        };
        let expected = on(1, &run);
        prop_assert_eq!(&on(1, &shuffled), &expected);
        prop_assert_eq!(&on(4, &run), &expected);
    }

    #[test]
    fn ids_get_a_row_with_occurrence_number_min_count(mut run in runs()) {
        run.config = StoreConfig { id_dropout: 0.0, ..StoreConfig::default() };
        let mut store = run.store();
        let mut counts = std::collections::BTreeMap::<u64, u32>::new();
        for (step, ids) in &run.batches {
            ids.iter().for_each(|id| *counts.entry(*id).or_insert(0) += 1);
            run.step(&mut store, *step, ids);
            for (id, count) in &counts {
                let admitted = store.tables[0].index.contains_key(id);
                prop_assert_eq!(admitted, *count >= run.spec.min_count, "id {}", id);
            }
        }
    }
}

fn run(config: StoreConfig, min_count: u32) -> Run {
    let spec = TableSpec::of_vocabulary(0, "channel", 2, min_count);
    Run { spec, config, batches: Vec::new() }
}

#[test]
fn eviction_keeps_the_most_recent() {
    let run = run(StoreConfig { max_rows: Some(20), ..StoreConfig::default() }, 1);
    let mut store = run.store();
    for step in 0..20 {
        run.step(&mut store, step, &[step]);
    }
    run.step(&mut store, 20, &[0, 3]);
    run.step(&mut store, 21, &[100]);
    let mut left: Vec<u64> = store.tables[0].index.keys().copied().collect();
    left.sort_unstable();
    let expected: Vec<u64> = [0, 3].into_iter().chain(5..20).chain([100]).collect();
    assert_eq!(left, expected, "18 of 20 stay, the newcomer included");
}

#[test]
fn ids_age_out_and_start_anew() {
    let run = run(StoreConfig { max_age_steps: Some(10), ..StoreConfig::default() }, 1);
    let mut store = run.store();
    let (unique, start) = run.step(&mut store, 0, &[7]);
    run.step(&mut store, 10, &[8]);
    assert_eq!(store.rows(), 2);
    assert_ne!(store.gather(&unique)[0], start);
    run.step(&mut store, 11, &[8]);
    assert_eq!(store.rows(), 1);
    assert_eq!(run.step(&mut store, 12, &[7]).1, start);
}

#[test]
fn dropout_hits_the_share_of_ids_that_was_asked_for() {
    let run = run(StoreConfig { id_dropout: 0.25, ..StoreConfig::default() }, 1);
    let mut store = run.store();
    let unique = UniqueIds::of_lists(&[(0..200).collect()]);
    let dropped: Vec<usize> =
        (0..50).map(|step| store.gather_for_training(&unique, step).places[0].rare.len()).collect();
    let share = dropped.iter().sum::<usize>() as f64 / 10_000.0;
    assert!((share - 0.25).abs() < 0.02, "share {share}");
    assert!(dropped.windows(2).any(|pair| pair[0] != pair[1]), "each step draws anew");
}

#[test]
fn unusable_gradients_change_nothing() {
    let run = run(StoreConfig { max_rows: Some(2), ..StoreConfig::default() }, 1);
    let mut store = run.store();
    let ids = |ids: &[u64]| UniqueIds::of_lists(&[ids.to_vec()]);
    let gathered = store.gather_for_training(&ids(&[1, 2]), 0);
    let before = bytes(&store);
    let wrong: [&[Vec<f32>]; 4] =
        [&[], &[vec![0.0; 3]], &[vec![1.0, 2.0, f32::NAN, 4.0]], &[vec![f32::INFINITY; 4]]];
    for gradients in wrong {
        let error = store.scatter(&gathered, gradients, 0).unwrap_err();
        assert!(matches!(error, Error::Gradient { .. }), "{error}");
        assert_eq!(bytes(&store), before);
    }
    let error = store.scatter(&gathered, wrong[2], 0).unwrap_err().to_string();
    assert!(error.contains("channel") && error.contains("row 1, column 0"), "{error}");

    store.gather_for_training(&ids(&[3]), 1);
    let error = store.scatter(&gathered, &[vec![0.0; 4]], 1).unwrap_err().to_string();
    assert!(error.contains("gather it again"), "{error}");
}

/// A model's own tables have the ids of the vocabulary or of the users that key them, rows by laws of their own, and drop the same
/// ids as that vocabulary does.
#[test]
fn own_tables_go_with_their_keys() {
    let channel = TableSpec::of_vocabulary(3, "channel", 2, 1);
    let own = |name: &str, key, width, law| TableSpec {
        name: name.into(),
        width,
        min_count: 1,
        key,
        law,
    };
    let normal = RowLaw::Normal(vec![(1, 0.0), (2, 0.5)]);
    let specs = vec![
        channel.clone(),
        own("model.bias", channel.key, 1, RowLaw::Zero),
        own("model.taste", Key::User, 3, normal),
    ];
    let config = StoreConfig { id_dropout: 0.5, ..StoreConfig::default() };
    let mut store = Store::new(SEED, specs.clone(), config.clone()).unwrap();
    let (schema, batch) = (eliverec_core::toy::schema(), eliverec_core::toy::batch(20, 4));
    let unique = UniqueIds::of(&schema, &batch);
    let gathered = store.gather_for_training(&unique, 0);
    let (channels, users) = (unique.ids[3].len(), unique.of_key(Key::User).unwrap().0.len());
    let lengths = gathered.rows.iter().map(Vec::len);
    assert_eq!(lengths.collect::<Vec<_>>(), [2 * channels, channels, 3 * users]);
    assert!(gathered.rows[1].iter().all(|x| *x == 0.0));
    assert!(gathered.rows[2].chunks(3).all(|row| row[0] == 0.0 && row[1] != 0.0));
    assert!(!gathered.places[0].rare.is_empty());
    assert_eq!(gathered.places[0].rare, gathered.places[1].rare);
    let gradients: Vec<Vec<f32>> = gathered.rows.iter().map(|rows| vec![0.5; rows.len()]).collect();
    store.scatter(&gathered, &gradients, 0).unwrap();

    let directory = tempfile::tempdir().unwrap();
    store.save(directory.path()).unwrap();
    let loaded = Store::load(directory.path(), specs.clone(), config.clone(), SEED).unwrap();
    let mapped = crate::MappedStore::open(&[directory.path()], &specs, SEED).unwrap();
    let later = UniqueIds::of(&schema, &eliverec_core::toy::batch(30, 9));
    assert_eq!(loaded.gather(&later), store.gather(&later));
    assert_eq!(mapped.gather(&later), store.gather(&later));
    assert!(Store::load(directory.path(), specs[..2].to_vec(), config, SEED).is_err());
}
