//! Numbers as bytes, little-endian, and lists of bytes as one.

/// Numbers that are sent as they stand in memory.
pub trait Number: Copy {
    /// Appends it.
    fn put(self, to: &mut Vec<u8>);
    /// Reads it from as many bytes as it has.
    fn get(bytes: &[u8]) -> Self;
    /// How many these are.
    const BYTES: usize;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Number for $number {
            const BYTES: usize = size_of::<Self>();

            fn put(self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn get(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("as many bytes as it has"))
            }
        }
    )*};
}

numbers! { f32 f64 u64 }

/// The bytes of numbers.
pub fn of<N: Number>(numbers: &[N]) -> Vec<u8> {
    let mut bytes = Vec::new();
    extend(&mut bytes, numbers);
    bytes
}

/// Appends the bytes of numbers.
pub fn extend<N: Number>(to: &mut Vec<u8>, numbers: &[N]) {
    to.reserve(numbers.len() * N::BYTES);
    numbers.iter().for_each(|number| number.put(to));
}

/// The numbers of bytes.
///
/// # Panics
/// If they are of another number of bytes, which no rank sends.
pub fn numbers<N: Number>(bytes: &[u8]) -> Vec<N> {
    assert!(bytes.len().is_multiple_of(N::BYTES), "ranks send whole numbers");
    bytes.chunks_exact(N::BYTES).map(N::get).collect()
}

/// Lists one after the other, each with its length.
pub fn joined(lists: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for list in lists {
        (list.len() as u64).put(&mut all);
        all.extend(list);
    }
    all
}

/// What [`joined`] has joined.
///
/// # Panics
/// If that was not so.
pub fn apart(mut all: &[u8]) -> Vec<Vec<u8>> {
    let mut lists = Vec::new();
    while let Some((length, rest)) = all.split_at_checked(u64::BYTES) {
        let (list, rest) = rest.split_at(u64::get(length) as usize);
        lists.push(list.to_vec());
        all = rest;
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_back() {
        let floats = [0.5_f32, -0.0, f32::MAX];
        assert_eq!(numbers::<f32>(&of(&floats)), floats);
        assert_eq!(numbers::<u64>(&of(&[u64::MAX, 3])), [u64::MAX, 3]);
        let lists = [of(&[1.5_f64]), Vec::new(), vec![1, 2, 3]];
        assert_eq!(apart(&joined(&lists)), lists);
        assert_eq!(apart(&[]), Vec::<Vec<u8>>::new());
    }
}
