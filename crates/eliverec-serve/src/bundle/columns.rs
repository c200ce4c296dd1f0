//! Columns in safetensors files, which every tensor library reads: feeds and tables of a bundle, without a file format of tables.
//! Numbers are little-endian, lists of ids are two tensors, `NAME.ends` and `NAME.ids`.

use eliverec_core::feed::Column;
use eliverec_core::schema::Kind;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Numbers that a tensor can hold.
pub(crate) trait Number: Copy {
    const KIND: Dtype;
    fn extend(self, bytes: &mut Vec<u8>);
    fn all(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! numbers {
    ($($number:ty, $kind:ident;)*) => {$(
        impl Number for $number {
            const KIND: Dtype = Dtype::$kind;
            fn extend(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
            fn all(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|bytes| Self::from_le_bytes(*bytes)).collect()
            }
        }
    )*};
}

numbers! { u64, U64; i64, I64; u32, U32; f32, F32; }

/// Collects tensors `[n]` by name.
#[derive(Debug, Default)]
pub(crate) struct ColumnWriter {
    tensors: Vec<(String, Dtype, usize, Vec<u8>)>,
}

impl ColumnWriter {
    pub(crate) fn numbers<T: Number>(&mut self, name: &str, numbers: &[T]) {
        let mut bytes = Vec::with_capacity(size_of_val(numbers));
        numbers.iter().for_each(|number| number.extend(&mut bytes));
        self.tensors.push((name.into(), T::KIND, numbers.len(), bytes));
    }

    pub(crate) fn column(&mut self, name: &str, column: &Column) {
        match column {
            Column::Ids(ids) => self.numbers(name, ids),
            Column::Numbers(numbers) => self.numbers(name, numbers),
            Column::Lists { ends, ids } => {
                self.numbers(&format!("{name}.ends"), ends);
                self.numbers(&format!("{name}.ids"), ids);
            }
        }
    }

    /// The content of the file; equal columns give equal bytes.
    pub(crate) fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let views = self.tensors.iter().map(|(name, kind, length, bytes)| {
            Ok((name, TensorView::new(*kind, vec![*length], bytes)?))
        });
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        views.and_then(|views| safetensors::serialize(views, None)).map_err(std::io::Error::other)
    }
}

/// The tensors of a file. Errors are what is wrong, without the file's name.
#[derive(Debug)]
pub(crate) struct ColumnReader<'a>(SafeTensors<'a>);

impl<'a> ColumnReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes);
        tensors.map(Self).map_err(|e| format!("is no safetensors file ({e})"))
    }

    pub(crate) fn numbers<T: Number>(&self, name: &str) -> Result<Vec<T>, String> {
        let tensor = self.0.tensor(name).map_err(|_| format!("has no tensor {name:?}"))?;
        if tensor.dtype() != T::KIND || tensor.shape().len() != 1 {
            let (kind, shape) = (tensor.dtype(), tensor.shape());
            return Err(format!("tensor {name:?} is {kind:?} {shape:?}, not {:?} [n]", T::KIND));
        }
        Ok(T::all(tensor.data()))
    }

    /// A column that can hold the values of `kind`.
    pub(crate) fn column(&self, name: &str, kind: &Kind) -> Result<Column, String> {
        Ok(match Column::empty(kind) {
            Column::Ids(_) => Column::Ids(self.numbers(name)?),
            Column::Numbers(_) => Column::Numbers(self.numbers(name)?),
            Column::Lists { .. } => {
                let ends: Vec<u32> = self.numbers(&format!("{name}.ends"))?;
                let ids: Vec<u64> = self.numbers(&format!("{name}.ids"))?;
                let last = ends.last().copied().unwrap_or_default() as usize;
                if !ends.is_sorted() || last != ids.len() {
                    return Err(format!("lists {name:?} end at {last} of {} ids", ids.len()));
                }
                Column::Lists { ends, ids }
            }
        })
    }
}
