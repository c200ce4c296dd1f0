//! Values as bytes, one after the other.

use datafusion_common::{DataFusionError, Result};

/// Appends values, little end first.
#[derive(Debug)]
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn u8(&mut self, x: u8) {
        self.0.push(x);
    }
    pub(crate) fn u16(&mut self, x: u16) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    pub(crate) fn u64(&mut self, x: u64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    pub(crate) fn i64(&mut self, x: i64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    pub(crate) fn f32(&mut self, x: f32) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    pub(crate) fn f64(&mut self, x: f64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    pub(crate) fn length(&mut self, n: usize) {
        self.0.extend_from_slice(&(n as u32).to_le_bytes());
    }
    pub(crate) fn numbers(&mut self, numbers: &[f32]) {
        self.length(numbers.len());
        numbers.iter().for_each(|x| self.f32(*x));
    }
    /// Seven bits a byte, the lowest first: most ids are far from needing eight bytes, and rows are copied and sorted.
    pub(crate) fn id(&mut self, mut id: u64) {
        while id >= 0x80 {
            self.u8(id as u8 | 0x80);
            id >>= 7;
        }
        self.u8(id as u8);
    }
    pub(crate) fn ids(&mut self, ids: &[u64]) {
        self.length(ids.len());
        ids.iter().for_each(|id| self.id(*id));
    }
    /// A part that [`Reader::bytes`] gives back unread.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }
    pub(crate) fn optional<T>(&mut self, value: Option<T>, write: fn(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Takes values off the front.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((front, rest)) = self.0.split_first_chunk() else { return Err(short()) };
        self.0 = rest;
        Ok(*front)
    }
    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.take()?))
    }
    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.take()?))
    }
    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }
    pub(crate) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.take()?))
    }
    pub(crate) fn f32(&mut self) -> Result<f32> {
        Ok(f32::from_le_bytes(self.take()?))
    }
    pub(crate) fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.take()?))
    }
    pub(crate) fn length(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.take()?) as usize)
    }
    pub(crate) fn list<T>(&mut self, read: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let length = self.length()?;
        // An element has a byte at least, so no damaged length reserves more than there is.
        let mut list = Vec::with_capacity(length.min(self.0.len()));
        for _ in 0..length {
            list.push(read(self)?);
        }
        Ok(list)
    }
    pub(crate) fn numbers(&mut self) -> Result<Vec<f32>> {
        self.list(Self::f32)
    }
    /// See [`Writer::id`].
    pub(crate) fn id(&mut self) -> Result<u64> {
        let mut id = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            id |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(id);
            }
        }
        Err(short())
    }
    pub(crate) fn ids(&mut self) -> Result<Vec<u64>> {
        self.list(Self::id)
    }
    /// See [`Writer::bytes`].
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(short)?;
        self.0 = rest;
        Ok(bytes)
    }
    /// Everything that is left.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }
    pub(crate) fn optional<T>(&mut self, read: fn(&mut Self) -> Result<T>) -> Result<Option<T>> {
        Ok(if self.u8()? == 0 { None } else { Some(read(self)?) })
    }
}

/// A payload that is not what its reader expects: a fault of this crate.
pub(crate) fn short() -> DataFusionError {
    DataFusionError::Internal("a row ends early".into())
}
