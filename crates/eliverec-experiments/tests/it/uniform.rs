//! A million users are spread evenly over slots, and layers know nothing of each other.

use eliverec_experiments::{SLOTS, slot};

const USERS: u32 = 1_000_000;
const SALTS: [&str; 5] = ["ranker-1", "ranker-2", "retrieval-1", "utility-1", "x"];

/// How many standard deviations the statistic of chi-square is from its mean, by the approximation of Wilson and Hilferty; it is
/// normal for so many degrees of freedom.
fn deviations(observed: &[u32]) -> f64 {
    let expected = f64::from(observed.iter().sum::<u32>()) / observed.len() as f64;
    let of = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    let (statistic, freedom) = (observed.iter().map(of).sum::<f64>(), observed.len() as f64 - 1.0);
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Users whose ids are consecutive numbers, and such whose ids are text.
fn users() -> Vec<String> {
    (0..USERS).map(|i| if i % 2 == 0 { i.to_string() } else { format!("user-{i}") }).collect()
}

#[test]
fn slots_are_uniform_and_layers_independent() {
    let users = users();
    let of_salts: Vec<Vec<u16>> =
        SALTS.iter().map(|salt| users.iter().map(|user| slot(salt, user)).collect()).collect();
    // Nothing is drawn: the numbers are what they are, and 4 deviations in 15 tests are one in a thousand.
    for (salt, slots) in SALTS.iter().zip(&of_salts) {
        let mut counts = vec![0; usize::from(SLOTS)];
        slots.iter().for_each(|slot| counts[usize::from(*slot)] += 1);
        let found = deviations(&counts);
        assert!(found.abs() < 4.0, "{salt}: {found}");
    }
    for (i, a) in of_salts.iter().enumerate() {
        for (j, b) in of_salts.iter().enumerate().skip(i + 1) {
            // A hundred parts of each: a table of 10,000 cells of 100 users.
            let mut counts = vec![0; 10_000];
            let part = |slot: u16| usize::from(slot / (SLOTS / 100));
            a.iter().zip(b).for_each(|(a, b)| counts[part(*a) * 100 + part(*b)] += 1);
            let found = deviations(&counts);
            assert!(found.abs() < 4.0, "{} and {}: {found}", SALTS[i], SALTS[j]);
        }
    }
}
