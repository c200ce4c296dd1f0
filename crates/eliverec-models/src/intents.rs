//! A user's intents as vectors to ask with, before any target is known (Eq. 5; Eq. 6 and 7 need one).

/// The consistent and the specific intent of one domain's history, of its events' own vectors `[m, d]`, row-major, and p_c of each,
/// `[m, d]` or `[m, 1]`: means over the events of `p_c e` and of `(1 - p_c) e`. `None` without events, and for shapes that do not fit.
///
/// The model's z weighs H, what the encoder makes of the events. Its mean is nearly the same vector for all users, since what the
/// encoder adds to every event outweighs the event; the events' own vectors are of the kind of the channels'.
pub fn pooled(events: &[f32], intention: &[f32], d: usize) -> Option<[Vec<f32>; 2]> {
    let m = events.len() / d.max(1);
    let per_event = intention.len() / m.max(1);
    let fits = m > 0 && events.len() == m * d && intention.len() == m * per_event;
    if !fits || (per_event != d && per_event != 1) {
        return None;
    }
    let (mut consistent, mut specific) = (vec![0.0; d], vec![0.0; d]);
    for (e, p) in events.chunks(d).zip(intention.chunks(per_event)) {
        for (i, x) in e.iter().enumerate() {
            let p = p[i.min(per_event - 1)];
            consistent[i] += p * x / m as f32;
            specific[i] += (1.0 - p) * x / m as f32;
        }
    }
    Some([consistent, specific])
}

#[cfg(test)]
mod tests {
    use super::pooled;

    #[test]
    fn intents_are_means_of_the_parts_of_the_events() {
        let events = [2.0, 4.0, 6.0, 8.0];
        let [consistent, specific] = pooled(&events, &[0.5, 0.25, 1.0, 0.0], 2).unwrap();
        assert_eq!((consistent, specific), (vec![3.5, 0.5], vec![0.5, 5.5]));
        let [consistent, specific] = pooled(&events, &[1.0, 0.5], 2).unwrap();
        assert_eq!((consistent, specific), (vec![2.5, 4.0], vec![1.5, 2.0]));
        assert_eq!(pooled(&[], &[], 2), None);
        assert_eq!(pooled(&events, &[1.0; 3], 2), None);
    }
}
