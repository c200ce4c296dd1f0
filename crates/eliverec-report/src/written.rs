//! Moments, ages and numbers as people read them.

use eliverec_core::Day;

/// Milliseconds since 1970 UTC as date and time.
pub fn moment(ms: i64) -> String {
    let Some(day) = Day::of(ms) else { return format!("{ms} ms since 1970") };
    let seconds = (ms - day.start_ms()) / 1_000;
    format!("{day} {:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Seconds as the largest unit that fits twice.
pub fn age(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];
    match units.into_iter().find(|(unit, _)| seconds >= 2.0 * unit) {
        Some((unit, name)) => format!("{:.0} {name}", seconds / unit),
        None => format!("{seconds:.0} s"),
    }
}

/// A whole number, or one with about three digits that count.
pub fn number(x: f64) -> String {
    match x.abs() {
        whole if whole.fract() == 0.0 && whole < 1e9 => format!("{x:.0}"),
        small if small < 0.001 => format!("{x:.1e}"),
        small if small < 1.0 => format!("{x:.4}"),
        small if small < 100.0 => format!("{x:.2}"),
        _ => format!("{x:.0}"),
    }
}

/// A share as percent.
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.1 {
        format!("{:.1} %", share * 1e2)
    } else {
        format!("{:.0} %", share * 1e2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        assert_eq!(moment(86_400_000 + 3_723_000), "1970-01-02 01:02:03 UTC");
        let ages = [0.0, 119.0, 120.0, 7_199.0, 7_200.0, 172_800.0].map(age);
        assert_eq!(ages, ["0 s", "119 s", "2 min", "120 min", "2 h", "2 d"]);
        let numbers = [0.0, 0.000_25, -0.5, 2.0, 2.5, 250.4].map(number);
        assert_eq!(numbers, ["0", "2.5e-4", "-0.5000", "2", "2.50", "250"]);
        assert_eq!([0.0, 0.004, 0.25, 1.0].map(percent), ["0 %", "0.4 %", "25 %", "100 %"]);
    }
}
