//! Index files: whole, damaged, torn.

use eliverec_core::seed::Random;
use eliverec_retrieval::{ChannelVectors, Error, Indexes, Neighbours};

use crate::platform::{indexes, platform};

#[test]
fn files_come_back_equal_and_replace_the_ones_before() {
    let Indexes { neighbours, vectors } = indexes(&platform(40, 1), 1);
    let (neighbours, vectors) = (neighbours.unwrap(), vectors.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let older = indexes(&platform(90, 2), 2);
    older.neighbours.unwrap().write(&path("neighbours.bin")).unwrap();
    neighbours.write(&path("neighbours.bin")).unwrap();
    vectors.write(&path("vectors.bin")).unwrap();
    assert_eq!(Neighbours::open(&path("neighbours.bin")).unwrap(), *neighbours);
    assert_eq!(ChannelVectors::open(&path("vectors.bin")).unwrap(), *vectors);
    assert_eq!(fs_err::read(path("neighbours.bin")).unwrap(), neighbours.to_bytes());
    assert_eq!(fs_err::read(path("vectors.bin")).unwrap(), vectors.to_bytes());
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 2);
    let empty = Neighbours::default();
    assert_eq!(Neighbours::from_bytes("x", &empty.to_bytes()).unwrap(), empty);
}

type Open<'a> = &'a dyn Fn(&[u8]) -> Result<(), Error>;

/// Every cut and a thousand changed bytes of each file: refused by its name, and nothing panics or asks for much memory.
#[test]
fn damaged_files_are_refused_by_name() {
    let Indexes { neighbours, vectors } = indexes(&platform(12, 1), 1);
    let (neighbours, vectors) = (neighbours.unwrap().to_bytes(), vectors.unwrap().to_bytes());
    let open_neighbours = |bytes: &[u8]| Neighbours::from_bytes("a/n.bin", bytes).map(drop);
    let open_vectors = |bytes: &[u8]| ChannelVectors::from_bytes("a/n.bin", bytes).map(drop);
    let refused = |error: Result<(), Error>| {
        let message = error.unwrap_err().to_string();
        assert!(message.starts_with("a/n.bin: "), "{message}");
        message
    };
    assert!(refused(open_neighbours(&vectors)).contains("is no file of neighbours"));
    assert!(refused(open_vectors(&neighbours)).contains("is no file of channel vectors"));
    let files: [(&[u8], Open<'_>); 2] =
        [(&neighbours, &open_neighbours), (&vectors, &open_vectors)];
    let mut random = Random::new(3);
    for (bytes, open) in files {
        assert!(open(bytes).is_ok());
        for end in 0..bytes.len() {
            refused(open(&bytes[..end]));
        }
        for _ in 0..1_000 {
            let mut damaged = bytes.to_vec();
            let at = random.below(damaged.len());
            damaged[at] ^= 1 << random.below(8);
            refused(open(&damaged));
        }
    }
}

/// Content that contradicts itself under a right checksum: of another program, or made up.
#[test]
fn content_that_does_not_fit_is_refused_under_a_right_checksum() {
    let sealed = |mut bytes: Vec<u8>| {
        let mut checksum = eliverec_core::checksum::Checksum::default();
        checksum.update(&bytes);
        bytes.extend(checksum.value().to_le_bytes());
        bytes
    };
    let file = |version: u32, words: &[u64], rest: &[u8]| {
        let mut bytes = b"elivnbrs".to_vec();
        bytes.extend(version.to_le_bytes());
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.extend(rest);
        sealed(bytes)
    };
    let one = 1.0_f32.to_le_bytes();
    let entry = |other: u32, similarity: [u8; 4]| [other.to_le_bytes(), similarity].concat();
    // Channels, entries; the channels; where their lists end.
    let fine = file(1, &[2, 1, 5, 9, 0, 1], &entry(0, one));
    assert!(Neighbours::from_bytes("x", &fine).is_ok());
    for (bytes, words) in [
        (file(2, &[0, 0], &[]), "version 2"),
        (file(1, &[u64::MAX, 1], &[]), "shorter than it says"),
        (file(1, &[2, 1, 5, 9, 0, 1], &[&entry(0, one)[..], &[0]].concat()), "longer than it says"),
        (file(1, &[2, 1, 9, 5, 0, 1], &entry(0, one)), "not in order"),
        (file(1, &[2, 1, 5, 9, 1, 0], &entry(0, one)), "lists do not end"),
        (file(1, &[2, 1, 5, 9, 0, 1], &entry(2, one)), "does not have"),
        (file(1, &[2, 1, 5, 9, 0, 1], &entry(0, f32::NAN.to_le_bytes())), "between 0 and 1"),
    ] {
        let message = Neighbours::from_bytes("x", &bytes).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}
