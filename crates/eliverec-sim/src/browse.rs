//! The product domain: visits all day long, a few clicks each, led by interests that act among products.

use eliverec_core::EventKind;
use eliverec_core::seed::Random;

use crate::catalog::{Catalog, choose, price_distance};
use crate::config::parameter::{
    BROWSE_INTEREST, BROWSE_NOISE, BROWSE_POPULARITY, CLICK_AGAIN, CLICK_SAME_CATEGORY,
    ORDER_AFTER_CLICK, PHASE, PRICE_DISTANCE,
};
use crate::draft::Draft;
use crate::truth::Cause;
use crate::user::User;

/// A visit that begins at `at_ms`: clicks and orders in the order of time. Returns its end.
pub(crate) fn visit(
    (index, user): (u32, &User),
    at_ms: i64,
    trends: [u8; 2],
    catalog: &Catalog,
    random: &mut Random,
    mut happens: impl FnMut(Draft),
) -> i64 {
    let mut ts_ms = at_ms;
    let (mut category, mut cause) = wish(user, trends, catalog, random);
    loop {
        let product = catalog.product_for(category, user.taste.tier, user.taste.brands, random);
        let click = Draft {
            user: index,
            product,
            cause: Some(cause),
            ..Draft::new(ts_ms, EventKind::ProductClick)
        };
        happens(click);
        let goods = catalog.product(product);
        let fits = PRICE_DISTANCE[price_distance(goods.tier, user.taste.tier)];
        ts_ms += 4_000 + random.below(70_000) as i64;
        if random.uniform() < ORDER_AFTER_CLICK * fits {
            let value = f64::from(goods.price);
            happens(Draft { ts_ms, kind: EventKind::Order, value, cause: None, ..click });
            ts_ms += 10_000;
        }
        if random.uniform() >= CLICK_AGAIN {
            return ts_ms;
        }
        if random.uniform() >= CLICK_SAME_CATEGORY {
            (category, cause) = wish(user, trends, catalog, random);
        }
    }
}

/// What the user is after, and why.
fn wish(user: &User, trends: [u8; 2], catalog: &Catalog, random: &mut Random) -> (u8, Cause) {
    let interests = user.taste.interests.iter();
    let mut weights: Vec<f64> = interests
        .clone()
        .map(|interest| {
            let acts = f64::from(u8::from(interest.kind.acts_among_products()));
            acts * BROWSE_INTEREST[usize::from(interest.level)]
                * PHASE[usize::from(interest.active)]
        })
        .collect();
    weights.extend([BROWSE_POPULARITY, BROWSE_NOISE]);
    let chosen = choose(&weights, random).unwrap_or(weights.len() - 1);
    match user.taste.interests.get(chosen) {
        Some(interest) => (interest.category, interest.kind.into()),
        None if chosen + 1 < weights.len() => (trends[random.below(2)], Cause::Popularity),
        None => (catalog.category(random), Cause::Noise),
    }
}
