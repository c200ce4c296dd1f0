//! A million events into one user and one channel, in the worst way that is known: the state stays within its bound.

use eliverec_core::event::{CLOCK_TOLERANCE_MS, Event, EventKind};
use eliverec_core::seed::Random;
use eliverec_features::{ChannelState, FeatureConfig, FeatureState, UserState};

#[test]
fn state_stays_within_its_bounds() {
    let config = FeatureConfig::default();
    let mut state = FeatureState::new(config).unwrap();
    let mut random = Random::new(5);
    let (mut user_bytes, mut channel_bytes) = (0, 0);
    for number in 0..1_000_000_u64 {
        // Two days in which every bucket has events: some early, some late, the products ever new.
        let now_ms = number as i64 * 172;
        let shift = random.below((config.allowed_lateness_ms + CLOCK_TOLERANCE_MS) as usize) as i64;
        let kind = EventKind::ALL[random.below(EventKind::ALL.len())];
        let in_channel = kind != EventKind::ProductClick || random.below(2) == 0;
        let event = Event {
            available_at_ms: now_ms,
            user_id: Some(1),
            channel_id: in_channel.then_some(2),
            product_id: Some(random.below(100_000) as u64),
            value: Some(random.uniform() * 9_000.0),
            ..Event::new(number, now_ms + CLOCK_TOLERANCE_MS - shift, kind)
        };
        state.apply(&event, |channel| Some(channel % 2));
        if number % 1_000 == 0 {
            user_bytes = user_bytes.max(state.user(1).map_or(0, UserState::heap_bytes));
            channel_bytes = channel_bytes.max(state.channel(2).map_or(0, ChannelState::heap_bytes));
            state.forget_idle(now_ms);
        }
    }
    // Close below the bounds: they are neither broken nor empty words.
    assert!((6_000..=config.user_bytes()).contains(&user_bytes), "{user_bytes}");
    assert!((35_000..=config.channel_bytes()).contains(&channel_bytes), "{channel_bytes}");
    // As the docs of the crate say.
    assert!(config.user_bytes() <= 7_700, "{}", config.user_bytes());
    assert!(config.channel_bytes() <= 38_500, "{}", config.channel_bytes());
}
