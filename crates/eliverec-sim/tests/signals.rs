//! What a recommender could learn is in the log: histories of either domain, what is on sale, real-time popularity.

use std::collections::{BTreeMap, VecDeque};

use eliverec_core::event::Scalar;
use eliverec_core::{Event, EventKind};
use eliverec_sim::{Collected, LoggingPolicy, Truth, World, WorldConfig};

/// Watch rates of impressions without and with a property.
#[derive(Debug, Default)]
struct Rates([(f64, f64); 2]);

impl Rates {
    fn add(&mut self, property: bool, watched: bool) {
        let rate = &mut self.0[usize::from(property)];
        *rate = (rate.0 + f64::from(u8::from(watched)), rate.1 + 1.0);
    }

    fn lift(&self) -> f64 {
        let [without, with] = self.0.map(|(watched, all)| watched / all);
        with / without
    }
}

#[test]
fn histories_and_what_is_on_sale_say_what_will_be_watched() {
    let config = WorldConfig { users: 1_500, days: 3, history_days: 20, ..WorldConfig::default() };
    let mut log = Collected::default();
    let mut world = World::new(&config).unwrap();
    let Ok(_) = world.run(&mut LoggingPolicy::new(1), &mut log, &mut |_| ());
    let category: BTreeMap<u64, Scalar> =
        world.products().map(|(id, fields)| (id, fields[0])).collect();
    let watched: BTreeMap<u64, bool> = log
        .truths
        .iter()
        .filter_map(|truth| match truth {
            Truth::Impression { event_id, watched, .. } => Some((*event_id, *watched)),
            Truth::Cause { .. } => None,
        })
        .collect();
    let events: BTreeMap<u64, &Event> = log.events.iter().map(|e| (e.event_id, e)).collect();
    let mut clicked: BTreeMap<u64, VecDeque<Scalar>> = BTreeMap::new();
    let mut visited: BTreeMap<u64, VecDeque<u64>> = BTreeMap::new();
    let mut on_sale: BTreeMap<u64, Scalar> = BTreeMap::new();
    let mut entries: BTreeMap<u64, VecDeque<i64>> = BTreeMap::new();
    let (mut products, mut channels, mut crowds) =
        (Rates::default(), Rates::default(), Rates::default());
    for event in events.into_values() {
        let (user, channel) = (event.user_id.unwrap_or(0), event.channel_id.unwrap_or(0));
        match (event.kind, event.product_id) {
            (EventKind::ProductClick, Some(product)) if channel == 0 => {
                let clicks = clicked.entry(user).or_default();
                clicks.push_front(category[&product]);
                clicks.truncate(20);
            }
            (EventKind::ProductOn, Some(product)) => {
                on_sale.insert(channel, category[&product]);
            }
            (EventKind::Watch, _) => entries.entry(channel).or_default().push_back(event.ts_ms),
            (EventKind::Leave, _) if event.value.is_some_and(|stay_s| stay_s >= 3.0) => {
                let visits = visited.entry(user).or_default();
                visits.push_front(channel);
                visits.truncate(50);
            }
            (EventKind::Impression, _) => {
                let watched = watched[&event.event_id];
                if let (Some(clicks), Some(category)) = (clicked.get(&user), on_sale.get(&channel))
                {
                    products.add(clicks.contains(category), watched);
                }
                channels.add(visited.get(&user).is_some_and(|v| v.contains(&channel)), watched);
                let recent = entries.entry(channel).or_default();
                recent.retain(|entered| *entered > event.ts_ms - 1_800_000);
                crowds.add(recent.len() > 2, watched);
            }
            _ => {}
        }
    }
    for (name, rates, least) in
        [("products", &products, 1.7), ("channels", &channels, 2.0), ("crowds", &crowds, 1.2)]
    {
        assert!(rates.lift() > least, "{name} {:.2} {rates:?}", rates.lift());
    }
}
