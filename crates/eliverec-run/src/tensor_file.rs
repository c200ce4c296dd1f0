//! Named tensors in a safetensors file, which every tensor library reads.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_models::trace::Recorded;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::durable;
use crate::error::Error;
use crate::kept;

/// Writes `tensors` as float32, the file whole or not at all.
///
/// # Errors
/// What the file system says.
pub fn write(path: &Path, tensors: &BTreeMap<String, Recorded>) -> Result<(), Error> {
    write_with(path, tensors, &BTreeMap::new(), &BTreeMap::new())
}

/// The same with lists of integers beside them, as uint64: ids, which float32 could not hold, and places; and with texts by name
/// in the header, where the format has room for them (`__metadata__`).
///
/// # Errors
/// What the file system says.
pub fn write_with(
    path: &Path,
    tensors: &BTreeMap<String, Recorded>,
    integers: &BTreeMap<String, Vec<u64>>,
    texts: &BTreeMap<&str, String>,
) -> Result<(), Error> {
    Ok(durable::write(path, &to_bytes(tensors, integers, texts)?)?)
}

/// What [`write_with`] writes.
///
/// # Errors
/// None for tensors whose shapes are those of their values.
pub fn to_bytes(
    tensors: &BTreeMap<String, Recorded>,
    integers: &BTreeMap<String, Vec<u64>>,
    texts: &BTreeMap<&str, String>,
) -> Result<Vec<u8>, Error> {
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
    with_texts(file, texts)
}

/// Puts `texts` into the header of a file in the order of their names; the library would write them in that of a hash map, which
/// differs from one process to the next.
fn with_texts(file: Vec<u8>, texts: &BTreeMap<&str, String>) -> Result<Vec<u8>, Error> {
    const LENGTH: usize = size_of::<u64>();
    let Some((length, rest)) = file.split_first_chunk::<LENGTH>().filter(|_| !texts.is_empty())
    else {
        return Ok(file);
    };
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    // {"a":{...}} becomes {"__metadata__":{...},"a":{...}}, padded by spaces to whole words as the format asks for.
    let texts = serde_json::to_string(texts).map_err(std::io::Error::other)?;
    let rest = header.trim_ascii_end().strip_prefix(b"{").unwrap_or(header);
    let comma = if rest == b"}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{texts}{comma}").into_bytes();
    header.extend(rest);
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length, header.as_slice(), data].concat())
}

/// Reads every tensor of a file.
///
/// # Errors
/// [`Error::Damaged`] if it is no safetensors file or holds something else than float32.
pub fn read(path: &Path) -> Result<BTreeMap<String, Recorded>, Error> {
    from_bytes(&kept::bytes(path)?, path)
}

/// What [`read`] reads, of the content of the file `path`.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, Recorded>, Error> {
    let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
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
    fn texts_stand_in_the_header_beside_the_same_values() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dense.safetensors");
        let texts = BTreeMap::from([("b.toml", "x = \"1\"\n".to_string()), ("a", String::new())]);
        for tensors in [tensors(), BTreeMap::new()] {
            write_with(&path, &tensors, &BTreeMap::new(), &texts).unwrap();
            assert_eq!(read(&path).unwrap(), tensors);
            let bytes = fs_err::read(&path).unwrap();
            let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
            let stored = header.metadata().clone().unwrap();
            assert_eq!(stored.len(), 2);
            assert!(texts.iter().all(|(name, text)| stored[*name] == *text));
        }
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
