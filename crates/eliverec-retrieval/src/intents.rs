//! A user's intents as vectors to ask with, before any target is known (Eq. 5; Eq. 6 and 7 need one).

/// The consistent and the specific intent of one domain's history, of its events H `[m, d]`, row-major, and p_c of each, `[m, d]`
/// or `[m, 1]`: means over the events of `p_c h` and of `(1 - p_c) h`, which is what the target attention gives to a target that
/// prefers no event. `None` without events, and for shapes that do not fit.
pub fn pooled(encoded: &[f32], intention: &[f32], d: usize) -> Option<[Vec<f32>; 2]> {
    let events = encoded.len() / d.max(1);
    let per_event = intention.len() / events.max(1);
    let fits = events > 0 && encoded.len() == events * d && intention.len() == events * per_event;
    if !fits || (per_event != d && per_event != 1) {
        return None;
    }
    let (mut consistent, mut specific) = (vec![0.0; d], vec![0.0; d]);
    for (h, p) in encoded.chunks(d).zip(intention.chunks(per_event)) {
        for (i, x) in h.iter().enumerate() {
            let p = p[i.min(per_event - 1)];
            consistent[i] += p * x / events as f32;
            specific[i] += (1.0 - p) * x / events as f32;
        }
    }
    Some([consistent, specific])
}

#[cfg(test)]
mod tests {
    use super::pooled;

    #[test]
    fn intents_are_means_of_the_parts_of_the_events() {
        let encoded = [2.0, 4.0, 6.0, 8.0];
        let [consistent, specific] = pooled(&encoded, &[0.5, 0.25, 1.0, 0.0], 2).unwrap();
        assert_eq!((consistent, specific), (vec![3.5, 0.5], vec![0.5, 5.5]));
        let [consistent, specific] = pooled(&encoded, &[1.0, 0.5], 2).unwrap();
        assert_eq!((consistent, specific), (vec![2.5, 4.0], vec![1.5, 2.0]));
        assert_eq!(pooled(&[], &[], 2), None);
        assert_eq!(pooled(&encoded, &[1.0; 3], 2), None);
    }
}
