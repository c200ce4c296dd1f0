//! Updates on many ranks, simulated: each rank computes its part of the batch for as long as was measured, and then every rank waits
//! for the collective operations, one after the other. Nothing is hidden behind computing, no rank is slower than another, and rows are
//! spread evenly: what is lost on top of that shows when it is measured.

use serde::Serialize;

use crate::measured::Measured;
use crate::traffic::{Traffic, Update};

/// The most ranks that a curve goes to.
pub const MOST_RANKS: u32 = 512;

/// Doubling the ranks should make it faster by this at least; where it does not, the curve bends.
pub const WORTH_DOUBLING: f64 = 1.5;

/// What stays the same when ranks are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fixed {
    /// The batch of all ranks together: an update is what it is on one.
    Batch,
    /// Each rank's part of it: updates are fewer and larger.
    BatchPerRank,
}

/// One number of ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// How many ranks.
    pub ranks: u32,
    /// Seconds that a rank computes.
    pub compute_s: f64,
    /// Seconds of the all-reduce of dense gradients.
    pub all_reduce_s: f64,
    /// Seconds of the two exchanges of rows: vectors, gradients.
    pub exchange_s: f64,
    /// Seconds of gathering the z's.
    pub zs_s: f64,
    /// Bytes that a rank sends.
    pub traffic: Traffic,
    /// Impressions a second of all ranks together.
    pub impressions_per_s: f64,
    /// These, as a share of the ranks times those of one.
    pub efficiency: f64,
}

impl Point {
    /// Seconds of an update.
    pub fn update_s(&self) -> f64 {
        self.compute_s + self.all_reduce_s + self.exchange_s + self.zs_s
    }
}

/// From 1 to [`MOST_RANKS`], doubled each time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// What stays the same.
    pub fixed: Fixed,
    /// Impressions of an update of one rank alone.
    pub batch: f64,
    /// In the order of ranks.
    pub points: Vec<Point>,
    /// The first number of ranks that is less than [`WORTH_DOUBLING`] times as fast as half of them; `None` if there is none.
    pub bends_at: Option<u32>,
}

impl Curve {
    /// Simulates updates of `batch` impressions, on all ranks together or on each.
    pub fn new(measured: &Measured, fixed: Fixed, batch: f64) -> Self {
        let mut points: Vec<Point> = Vec::new();
        let feeds = batch / measured.train.candidates.value;
        let doubled = std::iter::successors(Some(1_u32), |ranks| Some(ranks * 2));
        for ranks in doubled.take_while(|ranks| *ranks <= MOST_RANKS) {
            // A rank without a feed has nothing to do.
            if fixed == Fixed::Batch && f64::from(ranks) > feeds {
                break;
            }
            let one = points.first().copied();
            points.push(point(measured, fixed, batch, ranks, one));
        }
        let bends = points
            .windows(2)
            .find(|pair| pair[1].impressions_per_s < WORTH_DOUBLING * pair[0].impressions_per_s);
        let bends_at = bends.map(|pair| pair[1].ranks);
        Self { fixed, batch, points, bends_at }
    }

    /// The fewest ranks of the curve that do so many impressions a second.
    pub fn fewest(&self, impressions_per_s: f64) -> Option<&Point> {
        self.points.iter().find(|point| point.impressions_per_s >= impressions_per_s)
    }

    /// The fastest point.
    pub fn fastest(&self) -> Option<&Point> {
        self.points.iter().max_by(|a, b| a.impressions_per_s.total_cmp(&b.impressions_per_s))
    }
}

fn point(measured: &Measured, fixed: Fixed, batch: f64, ranks: u32, one: Option<Point>) -> Point {
    let count = f64::from(ranks);
    let (part, whole) = match fixed {
        Fixed::Batch => (batch / count, batch),
        Fixed::BatchPerRank => (batch, batch * count),
    };
    let feeds = part / measured.train.candidates.value;
    let update = Update {
        ranks,
        dense_parameters: measured.train.dense_parameters.value,
        tables: vec![measured.rows_of(feeds)],
        sampled: feeds,
        width: measured.train.width.value,
    };
    let (traffic, network) = (Traffic::of(&update), measured.network);
    let compute = measured.compute();
    let compute_s = compute.update_s + compute.impression_s * part;
    let all_reduce_s = network.all_reduce_s(ranks, 4.0 * update.dense_parameters);
    let exchange_s = 2.0 * network.all_to_all_s(ranks, traffic.rows / 2.0);
    let zs_s = network.all_to_all_s(ranks, traffic.zs);
    let impressions_per_s = whole / (compute_s + all_reduce_s + exchange_s + zs_s);
    let alone = one.map_or(impressions_per_s, |one| one.impressions_per_s);
    let efficiency = impressions_per_s / (count * alone);
    Point {
        ranks,
        compute_s,
        all_reduce_s,
        exchange_s,
        zs_s,
        traffic,
        impressions_per_s,
        efficiency,
    }
}
