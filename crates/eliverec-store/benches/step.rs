//! Time of a step (gather and scatter of 20,000 distinct ids) in tables of growing size, which it should not depend on
//! but for the processor's caches.
//!
//! `cargo bench -p eliverec-store` runs all sizes; the largest takes about 6 GB. The `bare` column is the calibration:
//! copying the same rows, vector and accumulator, out of a flat array of the table's size and back, without any index,
//! in the same process just before. It grows with the table as the caches do. On a busy machine read the fastest.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::{Duration, Instant};

use eliverec_core::TableSpec;
use eliverec_core::seed::Random;
use eliverec_core::unique::UniqueIds;
use eliverec_store::{Error, Store, StoreConfig};

/// As in the program: with the system's allocator the time of a block is that of its page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IDS_PER_STEP: usize = 20_000;
const STEPS: u64 = 60;

fn main() -> Result<(), Error> {
    // Without `--bench`, cargo runs this as a test: one small table shows that it works.
    let sizes: &[(usize, usize)] = if std::env::args().any(|argument| argument == "--bench") {
        &[(128, 100_000), (128, 1_000_000), (32, 100_000), (32, 1_000_000), (32, 10_000_000)]
    } else {
        &[(32, 40_000)]
    };
    println!("{IDS_PER_STEP} distinct ids a step, median of {STEPS} steps and the fastest, ms");
    println!("width       rows  memory MB    bare  gather  scatter    step  fastest: bare    step");
    sizes.iter().try_for_each(|(width, rows)| measure(*width, *rows))
}

fn measure(width: usize, rows: usize) -> Result<(), Error> {
    let spec = TableSpec::of_vocabulary(0, "channel", width, 1);
    let mut store = Store::new(1, vec![spec], StoreConfig::default())?;
    let mut step = 0;
    let all: Vec<u64> = (0..rows as u64).collect();
    for ids in all.chunks(IDS_PER_STEP) {
        store.gather_for_training(&UniqueIds::of_lists(&[ids.to_vec()]), step);
        step += 1;
    }

    let mut flat = vec![1.0_f32; rows * 2 * width];
    let mut random = Random::new(rows as u64);
    let (mut bares, mut gathers, mut scatters, mut steps) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STEPS {
        let drawn = (0..2 * IDS_PER_STEP).map(|_| random.below(rows) as u64).collect();
        let mut unique = UniqueIds::of_lists(&[drawn]);
        unique.ids[0].truncate(IDS_PER_STEP);
        unique.counts[0].truncate(IDS_PER_STEP);
        let gradients = vec![vec![0.01_f32; IDS_PER_STEP * width]];

        let start = Instant::now();
        let mut copied = Vec::with_capacity(IDS_PER_STEP * 2 * width);
        for id in &unique.ids[0] {
            copied.extend_from_slice(&flat[*id as usize * 2 * width..][..2 * width]);
        }
        let copied = std::hint::black_box(copied);
        for (id, row) in unique.ids[0].iter().zip(copied.chunks(2 * width)) {
            flat[*id as usize * 2 * width..][..2 * width].copy_from_slice(row);
        }
        bares.push(start.elapsed());

        let start = Instant::now();
        let gathered = store.gather_for_training(&unique, step);
        gathers.push(start.elapsed());
        let start = Instant::now();
        store.scatter(&gathered, &gradients, step)?;
        scatters.push(start.elapsed());
        steps.push(gathers[gathers.len() - 1] + scatters[scatters.len() - 1]);
        step += 1;
    }
    println!(
        "{width:>5} {rows:>10} {:>10} {:>7.2} {:>7.2} {:>8.2} {:>7.2} {:>13.2} {:>7.2}",
        store.memory_bytes() / 1_000_000,
        quantile(&mut bares, 0.5),
        quantile(&mut gathers, 0.5),
        quantile(&mut scatters, 0.5),
        quantile(&mut steps, 0.5),
        quantile(&mut bares, 0.0),
        quantile(&mut steps, 0.0),
    );
    Ok(())
}

/// In milliseconds.
fn quantile(times: &mut [Duration], q: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3
}
