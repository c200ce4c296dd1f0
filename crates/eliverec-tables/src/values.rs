//! The values of one Arrow array as plain vectors, from every type that can stand for them: ids from any integer or
//! text, numbers from any integer or float, labels from booleans and from 0 and 1. Nulls, NaN and infinities are refused
//! by index. An array of the type Null, as tools write columns in which they never saw a value, is nulls of any type.
//!
//! The arrays are in Parquet's own types, of which there is one for text and one for lists: dictionaries, large and
//! fixed-size lists and views are ways of writing these.

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StructArray, downcast_integer_array};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use eliverec_core::id::text_id;

/// Why an array cannot be read.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// Its type says something else.
    Type { expected: &'static str, found: String },
    /// The value at `index`, or element `inner` of the list at `index`.
    Value { index: usize, inner: Option<usize>, reason: String },
}

impl Wrong {
    fn of_type(expected: &'static str, array: &dyn Array) -> Self {
        Self::Type { expected, found: type_name(array.data_type()) }
    }

    fn at(index: usize, reason: impl Into<String>) -> Self {
        Self::Value { index, inner: None, reason: reason.into() }
    }
}

/// Nested types in a word: their fields would fill the line.
fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Struct(_) => "a struct".into(),
        DataType::List(element) => format!("a list of {}", type_name(element.data_type())),
        DataType::Null => "nothing but nulls".into(),
        other => other.to_string(),
    }
}

pub(crate) fn refuse_nulls(array: &dyn Array, reason: &str) -> Result<(), Wrong> {
    let Some(nulls) = array.logical_nulls() else { return Ok(()) };
    match (0..array.len()).find(|i| nulls.is_null(*i)) {
        Some(i) => Err(Wrong::at(i, reason)),
        None => Ok(()),
    }
}

fn converted<T: ArrowPrimitiveType, U>(
    array: &dyn Array,
    convert: impl Fn(T::Native) -> U,
) -> Vec<U> {
    array.as_primitive::<T>().values().iter().map(|x| convert(*x)).collect()
}

/// Whether the array has no values and its type does not say of what kind they would be, as tools write columns in which
/// they never saw a value.
pub(crate) fn is_nothing(array: &dyn Array) -> bool {
    array.is_empty() && *array.data_type() == DataType::Null
}

/// Ids: integers as they are (negative ones by their 64 bits), text by its hash.
pub(crate) fn ids(array: &dyn Array) -> Result<Vec<u64>, Wrong> {
    let ids = raw_ids(array)?;
    refuse_nulls(array, "is null; every id must be known")?;
    Ok(ids)
}

/// As [`ids`], with any value for null.
pub(crate) fn raw_ids(array: &dyn Array) -> Result<Vec<u64>, Wrong> {
    Ok(downcast_integer_array!(
        array => array.values().iter().map(|x| i128::from(*x) as u64).collect(),
        DataType::Null => vec![0; array.len()],
        DataType::Utf8 => {
            let texts = array.as_string::<i32>().iter();
            texts.map(|text| text.map_or(0, text_id)).collect()
        },
        _ => return Err(Wrong::of_type("an integer or text", array))
    ))
}

/// Numbers without nulls.
pub(crate) fn known_numbers(array: &dyn Array) -> Result<Vec<f32>, Wrong> {
    let numbers = raw_numbers(array)?;
    refuse_nulls(array, "is null; every number must be known")?;
    // Read as what it is not, it would be refused for something that nobody wrote.
    if *array.data_type() == DataType::Float64
        && let Some(i) = numbers.iter().position(|x| x.is_infinite())
    {
        let written = array.as_primitive::<Float64Type>().value(i);
        return Err(Wrong::at(i, not_finite(written)));
    }
    Ok(numbers)
}

/// Finite numbers without nulls.
pub(crate) fn numbers(array: &dyn Array) -> Result<Vec<f32>, Wrong> {
    let numbers = known_numbers(array)?;
    match numbers.iter().position(|x| !x.is_finite()) {
        Some(i) => Err(Wrong::at(i, not_finite(numbers[i].into()))),
        None => Ok(numbers),
    }
}

/// Numbers, `None` for null.
pub(crate) fn optional_numbers(array: &dyn Array) -> Result<Vec<Option<f32>>, Wrong> {
    let numbers = raw_numbers(array)?;
    let known = known(array);
    Ok(numbers.into_iter().enumerate().map(|(i, x)| known(i).then_some(x)).collect())
}

/// Why a number that is written there is refused.
pub(crate) fn not_finite(x: f64) -> String {
    format!("{x:?} is not a finite number of single precision")
}

/// Numbers of single precision, with any value for null.
pub(crate) fn raw_numbers(array: &dyn Array) -> Result<Vec<f32>, Wrong> {
    Ok(downcast_integer_array!(
        array => array.values().iter().map(|x| *x as f32).collect(),
        DataType::Null => vec![0.0; array.len()],
        DataType::Float16 => converted::<Float16Type, _>(array, f32::from),
        DataType::Float32 => converted::<Float32Type, _>(array, |x| x),
        DataType::Float64 => converted::<Float64Type, _>(array, |x| x as f32),
        _ => return Err(Wrong::of_type("a number", array))
    ))
}

/// Numbers of double precision, with any value for null.
pub(crate) fn raw_doubles(array: &dyn Array) -> Result<Vec<f64>, Wrong> {
    Ok(downcast_integer_array!(
        array => array.values().iter().map(|x| *x as f64).collect(),
        DataType::Null => vec![0.0; array.len()],
        DataType::Float16 => converted::<Float16Type, _>(array, f64::from),
        DataType::Float32 => converted::<Float32Type, _>(array, f64::from),
        DataType::Float64 => converted::<Float64Type, _>(array, |x| x),
        _ => return Err(Wrong::of_type("a number", array))
    ))
}

/// Integers, with any value for null.
pub(crate) fn raw_integers(array: &dyn Array) -> Result<Vec<i128>, Wrong> {
    Ok(downcast_integer_array!(
        array => array.values().iter().map(|x| i128::from(*x)).collect(),
        DataType::Null => vec![0; array.len()],
        _ => return Err(Wrong::of_type("an integer", array))
    ))
}

/// Text; nulls stay.
pub(crate) fn texts(array: &dyn Array) -> Result<StringArray, Wrong> {
    if *array.data_type() == DataType::Null {
        return Ok(StringArray::new_null(array.len()));
    }
    array.as_string_opt::<i32>().cloned().ok_or_else(|| Wrong::of_type("text", array))
}

fn known(array: &dyn Array) -> impl Fn(usize) -> bool {
    let nulls = array.logical_nulls();
    move |i| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i))
}

/// Labels without nulls.
pub(crate) fn labels(array: &dyn Array) -> Result<Vec<bool>, Wrong> {
    let labels = optional_labels(array)?;
    refuse_nulls(
        array,
        "is null; give it for every candidate, or leave the column out of all files",
    )?;
    Ok(labels.into_iter().map(|label| label == Some(true)).collect())
}

/// Labels, from booleans or from the integers 0 and 1; `None` for null.
pub(crate) fn optional_labels(array: &dyn Array) -> Result<Vec<Option<bool>>, Wrong> {
    if let Some(booleans) = array.as_boolean_opt() {
        return Ok(booleans.iter().collect());
    }
    let known = known(array);
    let integers = raw_integers(array)
        .map_err(|_| Wrong::of_type("a boolean, or an integer that is 0 or 1", array))?;
    let label = |(i, x): (usize, i128)| match x {
        _ if !known(i) => Ok(None),
        0 | 1 => Ok(Some(x == 1)),
        _ => Err(Wrong::at(i, format!("{x} is not a label; write 0 or 1, or a boolean"))),
    };
    integers.into_iter().enumerate().map(label).collect()
}

/// Places in a list, `None` for null.
pub(crate) fn positions(array: &dyn Array) -> Result<Vec<Option<u16>>, Wrong> {
    let known = known(array);
    let integers = raw_integers(array)?;
    let place = |(i, x): (usize, i128)| {
        if !known(i) {
            return Ok(None);
        }
        u16::try_from(x).map(Some).map_err(|_| {
            Wrong::at(i, format!("{x} is not a position; positions go from 0 to {}", u16::MAX))
        })
    };
    integers.into_iter().enumerate().map(place).collect()
}

/// Milliseconds since 1970 UTC, from a timestamp of any unit or from integers that count `unit`.
pub(crate) fn times_ms(array: &dyn Array, unit: TimeUnit) -> Result<Vec<i64>, Wrong> {
    let times = if *array.data_type() == DataType::Int64 {
        let per_second = if unit == TimeUnit::Second { 1_000 } else { 1 };
        converted::<Int64Type, _>(array, |t| t.saturating_mul(per_second))
    } else {
        raw_times_ms(array).map_err(|_| {
            Wrong::of_type("a timestamp, or milliseconds as a 64-bit integer", array)
        })?
    };
    refuse_nulls(array, "is null; every request needs its time")?;
    Ok(times)
}

/// As [`raw_times_ms`], with `null_ms` for null.
pub(crate) fn times_ms_or(array: &dyn Array, null_ms: i64) -> Result<Vec<i64>, Wrong> {
    let mut times = raw_times_ms(array)?;
    if let Some(nulls) = array.logical_nulls() {
        let missing = times.iter_mut().enumerate().filter(|(i, _)| nulls.is_null(*i));
        missing.for_each(|(_, time)| *time = null_ms);
    }
    Ok(times)
}

/// Milliseconds since 1970 UTC, from a timestamp of any unit, with any value for null.
pub(crate) fn raw_times_ms(array: &dyn Array) -> Result<Vec<i64>, Wrong> {
    if *array.data_type() == DataType::Null {
        return Ok(vec![0; array.len()]);
    }
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(Wrong::of_type("a timestamp", array));
    };
    Ok(match unit {
        TimeUnit::Second => converted::<TimestampSecondType, _>(array, |t| t.saturating_mul(1_000)),
        TimeUnit::Millisecond => converted::<TimestampMillisecondType, _>(array, |t| t),
        TimeUnit::Microsecond => {
            converted::<TimestampMicrosecondType, _>(array, |t| t.div_euclid(1_000))
        }
        TimeUnit::Nanosecond => {
            converted::<TimestampNanosecondType, _>(array, |t| t.div_euclid(1_000_000))
        }
    })
}

/// Structs without nulls.
pub(crate) fn structs(array: &dyn Array) -> Result<StructArray, Wrong> {
    let structs = array.as_struct_opt().ok_or_else(|| Wrong::of_type("a struct", array))?;
    refuse_nulls(array, "is null; write a struct")?;
    Ok(structs.clone())
}

/// Where each list starts (one entry more than lists, from 0), and the elements of all lists.
pub(crate) fn lists(array: &dyn Array) -> Result<(Vec<usize>, ArrayRef), Wrong> {
    let lists = array.as_list_opt::<i32>().ok_or_else(|| Wrong::of_type("a list", array))?;
    refuse_nulls(array, "is null; write an empty list where there is nothing")?;
    let offsets = lists.value_offsets();
    let (first, last) = (offsets[0], offsets[lists.len()]);
    let starts = offsets.iter().map(|offset| (offset - first) as usize).collect();
    Ok((starts, lists.values().slice(first as usize, (last - first) as usize)))
}
