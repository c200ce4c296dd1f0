//! A vectorised e^x: Cephes' polynomial, within two units in the last place, because the C library's is scalar.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::Simd;

/// e^x for every lane; 0 below -87, at most e^88, NaN stays NaN.
///
/// The zero is exact: products with numbers near the smallest would take the processor's slow path.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let (low, high) = (splat(-87.0), splat(88.0));
    let vanishes = simd.less_than_f32s(x, low);
    let x = simd.select_f32s(vanishes, low, x);
    let x = simd.select_f32s(simd.less_than_f32s(high, x), high, x);
    // Adding 1.5 * 2^23 leaves the nearest whole number of halvings in the low bits of the sum.
    let shift = splat(12_582_912.0);
    let shifted = simd.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), shift);
    let power = simd.sub_f32s(shifted, shift);
    // ln 2 in two parts, so that the remainder keeps all its bits.
    let rest = simd.mul_add_e_f32s(power, splat(-0.693_359_4), x);
    let rest = simd.mul_add_e_f32s(power, splat(2.121_944_4e-4), rest);
    let mut sum = splat(1.987_569_1e-4);
    for coefficient in
        [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1, 1.0, 1.0_f32]
    {
        sum = simd.mul_add_e_f32s(sum, rest, splat(coefficient));
    }
    let bits = simd.add_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(127));
    let scale = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    let power = simd.mul_f32s(sum, simd.transmute_f32s_u32s(scale));
    simd.select_f32s(vanishes, splat(0.0), power)
}

/// 1 / (1 + e^-x) for every lane.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let odds = exp(simd, simd.sub_f32s(simd.splat_f32s(0.0), x));
    simd.div_f32s(one, simd.add_f32s(one, odds))
}

/// The hyperbolic tangent of every lane, within 2e-7.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let twice = simd.add_f32s(x, x);
    let s = sigmoid(simd, twice);
    simd.sub_f32s(simd.add_f32s(s, s), simd.splat_f32s(1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::{Arch, Scalar, WithSimd};

    use super::*;

    struct Exp(f32);

    impl WithSimd for Exp {
        type Output = f32;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            simd.reduce_max_f32s(exp(simd, simd.splat_f32s(self.0)))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn is_the_exponential(x in -87.0_f32..88.0) {
            let expected = f64::from(x).exp();
            for y in [Arch::new().dispatch(Exp(x)), Exp(x).with_simd(Scalar)] {
                prop_assert!((f64::from(y) / expected - 1.0).abs() < 3e-7, "{x}: {y}, not {expected}");
            }
        }
    }

    #[test]
    fn ends_are_kept() {
        for exp in [|x| Arch::new().dispatch(Exp(x)), |x| Exp(x).with_simd(Scalar)] {
            assert_eq!(exp(f32::NEG_INFINITY), 0.0);
            assert!(exp(f32::INFINITY) > 1e38);
            assert_eq!(exp(0.0), 1.0);
        }
        assert!(Exp(f32::NAN).with_simd(Scalar).is_nan());
    }
}
