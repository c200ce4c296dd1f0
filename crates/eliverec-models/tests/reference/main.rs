//! Forward values and gradients of every operation and of whole models against those that `reference/` computed in float64
//! from the papers' equations. Tolerance: 1e-5 of a tensor's largest element.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod batches;
mod feeds;
mod models;
mod operations;
mod own_tables;
mod settings;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use eliverec_core::batch::Offsets;
use eliverec_models::rows::Rows;
use eliverec_models::trace::Recorded;
use safetensors::{Dtype, SafeTensors};

/// A file of reference values.
struct Reference {
    name: String,
    tensors: BTreeMap<String, Recorded>,
    options: BTreeMap<String, String>,
}

impl Reference {
    fn read(path: &Path) -> Self {
        let bytes = fs_err::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let options = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = tensors.iter().map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F32 => view
                    .data()
                    .chunks(4)
                    .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                    .collect(),
                Dtype::I64 => view
                    .data()
                    .chunks(8)
                    .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32)
                    .collect(),
                other => panic!("{name} is {other:?}"),
            };
            (name.to_owned(), Recorded { shape: view.shape().to_vec(), values })
        });
        Self {
            name: path.file_stem().unwrap().to_str().unwrap().into(),
            tensors: tensors.collect(),
            options,
        }
    }

    fn operations() -> Self {
        Self::read(&folder().join("ops.safetensors"))
    }

    fn option(&self, name: &str) -> &str {
        self.options.get(name).map_or("", String::as_str)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> T {
        self.option(name).parse().unwrap_or_else(|_| panic!("{}: option {name}", self.name))
    }

    /// A weight; those of 0 are left out of the file.
    fn weight(&self, name: &str) -> f32 {
        if self.option(name).is_empty() { 0.0 } else { self.number(name) }
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn values(&self, name: &str) -> &[f32] {
        &self.tensors.get(name).unwrap_or_else(|| panic!("{} has no {name}", self.name)).values
    }

    fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let recorded =
            &self.tensors.get(name).unwrap_or_else(|| panic!("{} has no {name}", self.name));
        let shape: [usize; D] = recorded.shape.clone().try_into().unwrap();
        Tensor::from_data(TensorData::new(recorded.values.clone(), shape), &device())
    }

    fn leaf<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.tensor(name).require_grad()
    }

    fn rows(&self, name: &str) -> Rows {
        let lengths = self.values(name).iter().map(|length| *length as usize);
        Rows::new(Offsets::from_lengths(lengths), &device())
    }

    fn check<const D: usize>(&self, name: &str, ours: &Tensor<D>) {
        self.check_values(name, &ours.clone().try_into_vec_as::<f32>().unwrap());
    }

    fn check_gradient<const D: usize>(&self, name: &str, leaf: &Tensor<D>, gradients: &Gradients) {
        self.check(
            name,
            &leaf
                .grad(gradients)
                .unwrap_or_else(|| panic!("{}: no gradient for {name}", self.name)),
        );
    }

    fn check_values(&self, name: &str, ours: &[f32]) {
        let expected = self.values(name);
        assert_eq!(ours.len(), expected.len(), "{}: {name}", self.name);
        let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        for (i, (ours, expected)) in ours.iter().zip(expected).enumerate() {
            let error = (ours - expected).abs();
            assert!(
                error <= 1e-5 * largest + 1e-7,
                "{}: {name}[{i}] is {ours}, expected {expected}",
                self.name
            );
        }
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

fn device() -> Device {
    Device::flex().autodiff()
}
