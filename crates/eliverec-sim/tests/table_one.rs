//! What the world is calibrated to.

use eliverec_core::Event;
use eliverec_sim::config::DAY_MS;
use eliverec_sim::{LoggingPolicy, TableOneBuilder, World, WorldConfig};

#[test]
fn table_one_is_the_papers() {
    let config = WorldConfig { users: 2_000, days: 14, seed: 11, ..WorldConfig::default() };
    let mut table = TableOneBuilder::from(config.start_ms + 7 * DAY_MS);
    let mut world = World::new(&config).unwrap();
    let mut log = |event: &Event| table.add(event);
    let Ok(_) = world.run(&mut LoggingPolicy::new(config.seed), &mut log, &mut |_| ());
    let table = table.finish();
    assert!(table.feeds > 10_000);
    assert!(table.worst_deviation() < 0.10, "{table:?}");
}
