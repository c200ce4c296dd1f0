//! What retrieval costs on one core: the exact scan of live channels' vectors, the arrangement of a moment's live channels, a
//! whole request, the counting of neighbours.
//!
//! `cargo bench -p eliverec-retrieval` runs the whole; without `--bench` (as a test) small sizes show that it works.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::sync::Arc;
use std::time::Instant;

use eliverec_core::seed::Random;
use eliverec_retrieval::retrieval::Asked;
use eliverec_retrieval::{
    ChannelVectors, Error, Indexes, Live, LiveChannel, NeighbourCounter, NeighbourSettings,
    Popularity, Retrieval, RetrievalConfig, State, User,
};

const INTENTS: usize = 4;
const AT_MS: i64 = 1_000_000_000;

fn main() -> Result<(), Error> {
    let bench = std::env::args().any(|argument| argument == "--bench");
    let (sizes, repeats): (&[usize], usize) =
        if bench { (&[1_000, 10_000, 50_000, 100_000], 50) } else { (&[200], 2) };
    println!(
        "live channels   width   scan of {INTENTS} intents   live   live, same channels   request"
    );
    for channels in sizes {
        for width in [32, 128] {
            measure(*channels, width, repeats)?;
        }
    }
    count(if bench { 5_000_000 } else { 5_000 })
}

/// Half of what is known of is live.
struct Platform {
    live: Vec<LiveChannel>,
    user: User,
}

impl State for Platform {
    fn live(&self, _: i64) -> Vec<LiveChannel> {
        self.live.clone()
    }

    fn user(&self, _: u64, _: i64) -> User {
        self.user.clone()
    }
}

fn measure(channels: usize, width: usize, repeats: usize) -> Result<(), Error> {
    let mut random = Random::new(1);
    let known: Vec<u64> = (0..2 * channels as u64).collect();
    let mut numbers = |n: usize| -> Vec<f32> { (0..n).map(|_| random.normal() as f32).collect() };
    let values = numbers(known.len() * width);
    let intents: Vec<Vec<f32>> = (0..INTENTS).map(|_| numbers(width)).collect();
    let vectors = Arc::new(ChannelVectors::new(width, &known, &values)?);
    let mut ids =
        |n: usize| -> Vec<u64> { (0..n).map(|_| random.below(known.len()) as u64).collect() };
    let mut counter = NeighbourCounter::new(NeighbourSettings::default(), &std::env::temp_dir());
    for user in 0..channels as u64 {
        for channel in ids(30) {
            counter.watch(user, channel)?;
        }
    }
    let neighbours = Arc::new(counter.finish()?.0);
    let user = User {
        watches: ids(50),
        categories: ids(50).iter().map(|id| id % 300).collect(),
        anchors: ids(30).iter().map(|id| (*id, 2)).collect(),
        followed: ids(20),
    };
    let live = (0..channels as u64).map(|i| {
        let entries = random.below(1_000) as u32;
        LiveChannel {
            channel_id: 2 * i,
            anchor_id: Some(2 * i),
            category_id: Some(i % 300),
            selling_category_id: Some(random.below(300) as u64),
            popularity: Popularity {
                last_10m: entries / 100,
                last_60m: entries / 10,
                last_24h: entries,
            },
            exposed_ms: Some(AT_MS - random.below(7_200_000) as i64),
        }
    });
    let platform = Platform { live: live.collect(), user };
    let live_ids: Vec<u64> = platform.live.iter().map(|channel| channel.channel_id).collect();
    let scanned = vectors.of_live(&live_ids);
    let indexes = Indexes { neighbours: Some(neighbours), vectors: Some(vectors) };
    let retrieval = Retrieval::new(RetrievalConfig::default(), indexes)?;

    let scan = median_us(repeats, || scanned.cosines(&intents).len());
    let fresh =
        median_us(repeats.div_ceil(5), || retrieval.live(&platform, AT_MS, None).channels().len());
    let live: Live = retrieval.live(&platform, AT_MS, None);
    let same = median_us(repeats.div_ceil(5), || {
        retrieval.live(&platform, AT_MS, Some(&live)).channels().len()
    });
    let mut seed = 0;
    let request = median_us(repeats, || {
        seed += 1;
        retrieval.retrieve(&platform, &live, &Asked { user_id: 1, intents: &intents, seed }).len()
    });
    println!("{channels:>13}   {width:>5}   {scan:>15} us   {fresh} us   {same} us   {request} us");
    Ok(())
}

fn count(watches: usize) -> Result<(), Error> {
    let mut random = Random::new(2);
    let settings = NeighbourSettings { memory_bytes: 64 << 20, ..NeighbourSettings::default() };
    let start = Instant::now();
    let mut counter = NeighbourCounter::new(settings, &std::env::temp_dir());
    for i in 0..watches {
        // Channels by their rank, as Zipf has it.
        let channel = (20_000_f64.powf(random.uniform())) as u64;
        counter.watch((i / 25) as u64, channel)?;
    }
    let (_, counted) = counter.finish()?;
    let rate = watches as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} watches/s to neighbours in 64 MiB: {counted:?}");
    Ok(())
}

/// The median time of some calls, microseconds.
fn median_us(repeats: usize, mut call: impl FnMut() -> usize) -> u128 {
    let mut times: Vec<u128> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(call());
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
