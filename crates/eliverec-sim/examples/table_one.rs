//! Simulates a world and prints Table I, the ceiling, what drove the watches, and the speed.
//!
//! `cargo run --release -p eliverec-sim --example table_one -- USERS DAYS SEED`

use std::convert::Infallible;
use std::time::Instant;

use eliverec_core::Event;
use eliverec_sim::config::DAY_MS;
use eliverec_sim::{
    Cause, Ceiling, Log, LoggingPolicy, TableOneBuilder, Truth, World, WorldConfig,
};

struct Measured {
    from_ms: i64,
    table: TableOneBuilder,
    ceiling: Ceiling,
    policy: Ceiling,
    causes: [[u64; 6]; 2],
    kinds: [u64; 13],
    count_only: bool,
}

impl Log for Measured {
    type Error = Infallible;

    fn event(&mut self, event: &Event) -> Result<(), Infallible> {
        self.kinds[event.kind as usize] += 1;
        if !self.count_only {
            self.table.add(event);
        }
        Ok(())
    }

    fn truth(&mut self, truth: &Truth) -> Result<(), Infallible> {
        match truth {
            _ if self.count_only => {}
            Truth::Impression { ts_ms, position, .. } if *ts_ms >= self.from_ms => {
                self.ceiling.add(truth).expect("probabilities");
                let mut by_place = truth.clone();
                if let Truth::Impression { watch_probability, .. } = &mut by_place {
                    *watch_probability = 1.0 / (1.0 + f32::from(*position));
                }
                self.policy.add(&by_place).expect("probabilities");
            }
            Truth::Cause { channel_id, cause, .. } => {
                self.causes[usize::from(channel_id.is_some())][*cause as usize] += 1;
            }
            Truth::Impression { .. } => {}
        }
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "an example prints")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let config = WorldConfig {
        users: number(0, 20_000) as u32,
        days: number(1, 14) as u32,
        seed: number(2, 1),
        ..WorldConfig::default()
    };
    let from_ms = config.start_ms + (i64::from(config.days) - 7).max(0) * DAY_MS;
    for count_only in [true, false] {
        let mut log = Measured {
            from_ms,
            table: TableOneBuilder::from(from_ms),
            ceiling: Ceiling::new(),
            policy: Ceiling::new(),
            causes: [[0; 6]; 2],
            kinds: [0; 13],
            count_only,
        };
        let start = Instant::now();
        let mut world = World::new(&config)?;
        let Ok(totals) = world.run(&mut LoggingPolicy::new(config.seed), &mut log, &mut |_| ());
        let seconds = start.elapsed().as_secs_f64();
        if count_only {
            let rate = totals.events as f64 / seconds;
            println!("{totals:?}\n{seconds:.2} s, {rate:.0} events/s on one thread");
            continue;
        }
        for (name, here, paper) in log.table.finish().rows() {
            println!("{name:<26} {here:8.3} {paper:8.3} {:+6.1} %", (here / paper - 1.0) * 100.0);
        }
        for (name, report) in [("ceiling", log.ceiling.finish()?), ("places", log.policy.finish()?)]
        {
            println!(
                "{name:<8} AUC {:.4} gAUC {:.4} per feed {:.4} PCOC {:.4}",
                report.auc.unwrap_or(f64::NAN),
                report.gauc_user.unwrap_or(f64::NAN),
                report.gauc_feed.unwrap_or(f64::NAN),
                report.pcoc.unwrap_or(f64::NAN),
            );
        }
        for (domain, causes) in ["products", "channels"].iter().zip(log.causes) {
            let all: u64 = causes.iter().sum();
            for cause in Cause::ALL {
                let share = causes[cause as usize] as f64 / all as f64 * 100.0;
                println!("{domain:<10} {:<14} {share:5.1} %", cause.name());
            }
        }
        for kind in eliverec_core::EventKind::ALL {
            println!("{:<14} {}", kind.name(), log.kinds[kind as usize]);
        }
    }
    Ok(())
}
