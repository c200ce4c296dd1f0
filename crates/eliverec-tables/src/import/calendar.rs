//! Hour and weekday of a moment, in UTC: the context that every dated set has.

const HOUR_MS: i64 = 3_600_000;

/// 0 to 23.
pub(super) const fn hour(ts_ms: i64) -> u64 {
    ts_ms.div_euclid(HOUR_MS).rem_euclid(24) as u64
}

/// 0 (Monday) to 6; 1970 began on a Thursday.
pub(super) const fn weekday(ts_ms: i64) -> u64 {
    (ts_ms.div_euclid(24 * HOUR_MS) + 3).rem_euclid(7) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        // 2018-11-07 15:12:33 UTC, a Wednesday; the last millisecond of 1969, a Wednesday.
        assert_eq!((hour(1_541_603_553_000), weekday(1_541_603_553_000)), (15, 2));
        assert_eq!((hour(-1), weekday(-1)), (23, 2));
    }
}
