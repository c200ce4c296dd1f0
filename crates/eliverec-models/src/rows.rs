//! Packed rows: the entities of all feeds one after the other, and how to pad them to rectangles where an operation needs it.

use std::sync::Arc;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use eliverec_core::batch::Offsets;

use crate::fused;

/// Which rows of a packed tensor belong to which feed.
#[derive(Clone, Debug)]
pub struct Rows {
    /// From feed to its rows.
    pub offsets: Arc<Offsets>,
    /// Whether operations over these rows use their fused versions.
    pub(crate) fused: bool,
    device: Device,
}

impl Rows {
    /// Rows on `device`, fused where the device can.
    pub fn new(offsets: Offsets, device: &Device) -> Self {
        let fused = fused::available(&Tensor::<1>::zeros([1], device));
        Self { offsets: Arc::new(offsets), fused, device: device.clone() }
    }

    /// The same rows with fused or with composed operations; every device can do without the fused ones.
    #[must_use]
    pub fn with_fused(self, fused: bool) -> Self {
        Self { fused, ..self }
    }

    /// Other rows on the same device, fused like these.
    pub(crate) fn with_offsets(&self, offsets: Offsets) -> Self {
        Self { offsets: Arc::new(offsets), ..self.clone() }
    }

    /// Each row by itself: as many feeds as there are rows, of one row each.
    #[must_use]
    pub(crate) fn each(&self) -> Self {
        self.with_offsets(Offsets::from_lengths(std::iter::repeat_n(1, self.total())))
    }

    /// Feeds, `b`.
    pub fn feeds(&self) -> usize {
        self.offsets.feeds()
    }

    /// Rows of all feeds.
    pub fn total(&self) -> usize {
        self.offsets.total()
    }

    /// `[b, w]` to `[rows, w]`: each feed's vector at each of its rows.
    pub fn repeat(&self, per_feed: Tensor<2>) -> Tensor<2> {
        per_feed.select(0, indices(self.offsets.owners(), &self.device))
    }

    /// `[rows, w]` to `[b, longest, w]`, zero beyond each feed's end.
    pub fn pad(&self, packed: Tensor<2>) -> Tensor<3> {
        let [rows, width] = packed.dims();
        let longest = self.longest();
        let zero = Tensor::zeros([1, width], &packed.device());
        let mut places = vec![rows as u32; self.feeds() * longest];
        for (feed, range) in self.offsets.ranges().enumerate() {
            for (i, row) in range.enumerate() {
                places[feed * longest + i] = row as u32;
            }
        }
        let with_zero = Tensor::cat(vec![packed, zero], 0);
        with_zero.select(0, indices(places, &self.device)).reshape([self.feeds(), longest, width])
    }

    /// `[b, longest, w]` to `[rows, w]`, the inverse of [`Rows::pad`].
    pub fn pack(&self, padded: Tensor<3>) -> Tensor<2> {
        let [feeds, longest, width] = padded.dims();
        let places = self.offsets.ranges().enumerate();
        let places = places
            .flat_map(|(feed, range)| (0..range.len()).map(move |i| (feed * longest + i) as u32));
        padded.reshape([feeds * longest, width]).select(0, indices(places.collect(), &self.device))
    }

    /// `[b, longest]`: true at real rows.
    pub fn mask(&self) -> Tensor<2, Bool> {
        let longest = self.longest();
        let mask =
            self.offsets.ranges().flat_map(|range| (0..longest).map(move |i| i < range.len()));
        let data = TensorData::new(mask.collect::<Vec<bool>>(), [self.feeds(), longest]);
        Tensor::from_data(data, &self.device)
    }

    /// `[b, 1]`: rows of each feed.
    pub fn lengths(&self) -> Tensor<2> {
        let lengths: Vec<f32> = self.offsets.ranges().map(|range| range.len() as f32).collect();
        Tensor::from_data(TensorData::new(lengths, [self.feeds(), 1]), &self.device)
    }

    /// Rows of the longest feed; at least 1, so that a rectangle of empty histories has a column.
    pub fn longest(&self) -> usize {
        self.offsets.longest().max(1)
    }
}

/// Row numbers as a tensor.
pub fn indices(places: Vec<u32>, device: &Device) -> Tensor<1, Int> {
    let length = places.len();
    let places: Vec<i32> = places.into_iter().map(|place| place as i32).collect();
    Tensor::from_data(TensorData::new(places, [length]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_undone_by_packing() {
        let device = Device::flex();
        let rows = Rows::new(Offsets::from_lengths([2, 0, 1]), &device);
        let packed = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &device);
        let padded = rows.pad(packed.clone());
        assert_eq!(
            padded.try_to_vec_as::<f32>().unwrap(),
            [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 5.0, 6.0, 0.0, 0.0]
        );
        assert_eq!(rows.pack(padded).to_data(), packed.to_data());
    }
}
