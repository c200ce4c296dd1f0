//! Quantiles of Student's t with any positive number of degrees of freedom.

/// The value that |T| exceeds with probability `share` (between 0 and 1), T with `degrees` of freedom.
pub fn two_sided(share: f64, degrees: f64) -> f64 {
    // P(|T| > t) = I_x(degrees / 2, 1 / 2) at x = degrees / (degrees + t^2), which grows with x.
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if incomplete_beta(degrees / 2.0, 0.5, middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    (degrees * (1.0 - high) / high).sqrt()
}

/// The regularised incomplete beta function I_x(a, b).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges fast on this side of the mean, and the other side follows by symmetry.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, 1.0 - x) / b
    }
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let kept = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = result;
        for coefficient in [even, odd] {
            d = 1.0 / kept(1.0 + coefficient * d);
            c = kept(1.0 + coefficient / c);
            result *= c * d;
        }
        if (result / before - 1.0).abs() < 1e-14 {
            break;
        }
    }
    result
}

/// The logarithm of the gamma function of a positive number, by Stirling's series.
fn ln_gamma(x: f64) -> f64 {
    if x < 12.0 {
        return ln_gamma(x + 1.0) - x.ln();
    }
    let square = 1.0 / (x * x);
    let series =
        (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of Student's t; with one degree and with two there are closed forms.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (share, degrees, expected) in [
            (0.05, 1.0, 12.706_204_736),
            (0.05, 2.0, 4.302_652_730),
            (0.05, 4.0, 2.776_445_105),
            (0.01, 4.0, 4.604_094_871),
            (0.05, 10.0, 2.228_138_852),
            (0.05, 199.0, 1.971_956_544),
            (0.05, 1e7, 1.959_964_2),
            (0.001, 2.0, 31.599_054_577),
        ] {
            let found = two_sided(share, degrees);
            assert!((found / expected - 1.0).abs() < 1e-6, "{share} {degrees}: {found} {expected}");
        }
        // With two degrees t = (1 - p) sqrt(2 / (p (2 - p))).
        for share in [0.5_f64, 0.1, 0.003, 1e-6] {
            let exact = (1.0 - share) * (2.0 / (share * (2.0 - share))).sqrt();
            assert!((two_sided(share, 2.0) / exact - 1.0).abs() < 1e-9, "{share}");
        }
        assert!(two_sided(0.05, 2.5) < two_sided(0.05, 2.0));
    }
}
