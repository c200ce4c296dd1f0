//! Named tensors in a safetensors file, which every tensor library reads.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_models::trace::Recorded;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::durable;
use crate::error::Error;

/// Writes `tensors` as float32, the file whole or not at all.
///
/// # Errors
/// What the file system says.
pub fn write(path: &Path, tensors: &BTreeMap<String, Recorded>) -> Result<(), Error> {
    write_with_integers(path, tensors, &BTreeMap::new())
}

/// The same with lists of integers beside them, as uint64: ids, which float32 could not hold, and places.
///
/// # Errors
/// What the file system says.
pub fn write_with_integers(
    path: &Path,
    tensors: &BTreeMap<String, Recorded>,
    integers: &BTreeMap<String, Vec<u64>>,
) -> Result<(), Error> {
    let floats = tensors.iter().map(|(name, tensor)| {
        let values = tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect();
        (name, Dtype::F32, tensor.shape.clone(), values)
    });
    let integers = integers.iter().map(|(name, integers)| {
        let values = integers.iter().flat_map(|x| x.to_le_bytes()).collect();
        (name, Dtype::U64, vec![integers.len()], values)
    });
    let bytes: Vec<(&String, Dtype, Vec<usize>, Vec<u8>)> = floats.chain(integers).collect();
    let views: Result<Vec<_>, _> = bytes
        .iter()
        .map(|(name, kind, shape, values)| {
            Ok((*name, TensorView::new(*kind, shape.clone(), values)?))
        })
        .collect();
    let file = views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(std::io::Error::other)?;
    Ok(durable::write(path, &file)?)
}

/// Reads every tensor of a file.
///
/// # Errors
/// [`Error::Damaged`] if it is no safetensors file or holds something else than float32.
pub fn read(path: &Path) -> Result<BTreeMap<String, Recorded>, Error> {
    let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
    let bytes = fs_err::read(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(format!("tensor {name:?} is {:?}, not F32", view.dtype())));
        }
        let (chunks, _) = view.data().as_chunks::<4>();
        let values = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        tensors.insert(name.to_string(), Recorded { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> BTreeMap<String, Recorded> {
        let matrix =
            Recorded { shape: vec![2, 2], values: vec![1.0, -0.0, f32::MIN_POSITIVE, 3.5] };
        let empty = Recorded { shape: vec![0], values: Vec::new() };
        [("a.weight".to_string(), matrix), ("b".to_string(), empty)].into()
    }

    #[test]
    fn values_come_back_bit_for_bit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dense.safetensors");
        write(&path, &tensors()).unwrap();
        assert_eq!(read(&path).unwrap(), tensors());
    }

    #[test]
    fn every_truncation_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dense.safetensors");
        write(&path, &tensors()).unwrap();
        let whole = fs_err::read(&path).unwrap();
        for length in 0..whole.len() {
            fs_err::write(&path, &whole[..length]).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains("dense.safetensors"), "{length}: {message}");
        }
    }
}
