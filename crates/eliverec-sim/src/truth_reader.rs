//! Reads the truth file back, for measurements: the ceiling of a split, how well intents are told apart.

use std::io;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, Float32Type, TimestampMillisecondType, UInt16Type, UInt64Type,
};
use eliverec_core::EventKind;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::truth::{Cause, Truth};

/// The records of a truth file, in the order in which [`TruthWriter`](crate::TruthWriter) was given them.
///
/// # Errors
/// A file that is not there, is damaged or is no truth file; the message names it.
pub fn read_truth(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Truth>>> {
    let file = fs_err::File::open(path)?.into_parts().0;
    let place = path.to_owned();
    let failed = move |reason: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", place.display()))
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| failed(error.to_string()))?;
    Ok(reader.flat_map(move |batch| {
        let records = batch.map_err(|error| error.to_string()).and_then(|batch| records(&batch));
        match records {
            Ok(records) => records.into_iter().map(Ok).collect(),
            Err(reason) => vec![Err(failed(reason))],
        }
    }))
}

fn records(batch: &RecordBatch) -> Result<Vec<Truth>, String> {
    let text = |name: &str| -> Result<_, String> {
        column(batch, name)?.as_string_opt::<i32>().ok_or_else(|| format!("{name} is no text"))
    };
    let (event_id, user_id) =
        (numbers::<UInt64Type>(batch, "event_id")?, numbers::<UInt64Type>(batch, "user_id")?);
    let ts = numbers::<TimestampMillisecondType>(batch, "ts")?;
    let request_id = numbers::<UInt64Type>(batch, "request_id")?;
    let channel_id = numbers::<UInt64Type>(batch, "channel_id")?;
    let product_id = numbers::<UInt64Type>(batch, "product_id")?;
    let position = numbers::<UInt16Type>(batch, "position")?;
    let probability = numbers::<Float32Type>(batch, "watch_probability")?;
    let watched = column(batch, "watched")?.as_boolean_opt().ok_or("watched is no truth value")?;
    let (kind, cause) = (text("kind")?, text("cause")?);
    let optional = |column: &arrow::array::UInt64Array, row: usize| {
        column.is_valid(row).then(|| column.value(row))
    };
    (0..batch.num_rows())
        .map(|row| {
            let kind = EventKind::of(kind.value(row))
                .ok_or_else(|| format!("unknown kind {}", kind.value(row)))?;
            Ok(if kind == EventKind::Impression {
                Truth::Impression {
                    event_id: event_id.value(row),
                    ts_ms: ts.value(row),
                    request_id: request_id.value(row),
                    user_id: user_id.value(row),
                    channel_id: channel_id.value(row),
                    position: position.value(row),
                    watch_probability: probability.value(row),
                    watched: watched.value(row),
                }
            } else {
                let cause = cause.value(row);
                Truth::Cause {
                    event_id: event_id.value(row),
                    ts_ms: ts.value(row),
                    kind,
                    user_id: user_id.value(row),
                    request_id: optional(request_id, row),
                    channel_id: optional(channel_id, row),
                    product_id: optional(product_id, row),
                    cause: Cause::of(cause).ok_or_else(|| format!("unknown cause {cause}"))?,
                }
            })
        })
        .collect()
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("there is no column {name}"))
}

fn numbers<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow::array::PrimitiveArray<T>, String> {
    let column = column(batch, name)?;
    column.as_primitive_opt::<T>().ok_or_else(|| format!("{name} is {}", column.data_type()))
}
