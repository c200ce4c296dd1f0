//! Rows for reading alone: how far they are from the trained ones, and what is refused.

use super::*;
use crate::{CompactRows, Error, MappedFile, MappedStore, Precision, RowReader};

/// The rows of a saved store in a precision, and the file that they are in.
fn compact(
    directory: &std::path::Path,
    spec: &TableSpec,
    precision: Precision,
) -> (CompactRows, std::path::PathBuf) {
    let mapped = MappedStore::open(&[directory], std::slice::from_ref(spec), SEED).unwrap();
    let path = directory.join(precision.name());
    let mut file = fs_err::File::create(&path).unwrap();
    mapped.write_compact(0, precision, &mut file).unwrap();
    (open(&path, spec).unwrap(), path)
}

fn open(path: &std::path::Path, spec: &TableSpec) -> Result<CompactRows, Error> {
    CompactRows::new(vec![MappedFile::open(path).unwrap()], std::slice::from_ref(spec), SEED)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn float32_is_bit_for_bit_and_fewer_bits_are_within_their_bounds(run in runs()) {
        let directory = tempfile::tempdir().unwrap();
        let store = run.finish(run.store(), 0);
        store.save(directory.path()).unwrap();
        let all = UniqueIds::of_lists(&[(0..IDS + 3).map(id).collect()]);
        let trained = store.gather(&all).remove(0);
        for precision in Precision::ALL {
            let (rows, _) = compact(directory.path(), &run.spec, precision);
            prop_assert_eq!(rows.rows(), store.rows() as u64);
            let read = rows.gather(&all).remove(0);
            for (row, read) in trained.chunks(run.spec.width).zip(read.chunks(run.spec.width)) {
                let largest = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                for (x, found) in row.iter().zip(read) {
                    let bound = match precision {
                        Precision::Float32 => 0.0,
                        // Half a unit of the last of 11 bits, or of the smallest number that there is.
                        Precision::Float16 => x.abs() / 2048.0 + 3e-8,
                        Precision::Int8 => largest / 254.0 * 1.000_01,
                    };
                    prop_assert!((x - found).abs() <= bound, "{x} became {found} in {}", precision.name());
                }
            }
        }
    }
}

/// A table with a row of each magnitude.
fn spread(directory: &std::path::Path) -> TableSpec {
    let spec = TableSpec::of_vocabulary(0, "channel", 3, 1);
    let mut store = Store::new(SEED, vec![spec.clone()], StoreConfig::default()).unwrap();
    store.gather_for_training(&UniqueIds::of_lists(&[(0..9).collect()]), 0);
    store.save(directory).unwrap();
    spec
}

#[test]
fn numbers_that_do_not_fit_are_refused_by_id() {
    use crate::compact::{CompactHeader, write_vectors};
    let bytes = |row: [f32; 3]| row.map(f32::to_le_bytes).concat();
    for (precision, x, fits) in [
        (Precision::Float16, 60_000.0, true),
        (Precision::Float16, 70_000.0, false),
        (Precision::Int8, 70_000.0, true),
        (Precision::Int8, f32::NAN, false),
        (Precision::Float32, f32::NAN, true),
    ] {
        let header = CompactHeader {
            precision,
            width: 3,
            rows: 1,
            seed: SEED,
            init_std: 0.1,
            name_bytes: 7,
            rare_trained: false,
        };
        let ids = 77_u64.to_le_bytes();
        let (rare, row) = (bytes([0.0; 3]), bytes([1.0, x, 2.0]));
        let written = write_vectors(&header, "channel", [&rare, &ids, &row], &mut Vec::new());
        assert_eq!(written.is_ok(), fits, "{x}");
        if let Err(error) = written {
            let message = error.to_string();
            for words in ["id 77", "channel", "write float32", precision.name()] {
                assert!(message.contains(words), "{message}");
            }
        }
    }
}

#[test]
fn every_truncation_is_named_and_no_changed_byte_panics() {
    let directory = tempfile::tempdir().unwrap();
    let spec = spread(directory.path());
    for precision in Precision::ALL {
        let (_, path) = compact(directory.path(), &spec, precision);
        let whole = fs_err::read(&path).unwrap();
        for length in 0..whole.len() {
            fs_err::write(&path, &whole[..length]).unwrap();
            let message = open(&path, &spec).unwrap_err().to_string();
            assert!(message.contains(precision.name()), "{message}");
        }
        for (place, bit) in (0..whole.len()).flat_map(|place| [(place, 1), (place, 0x80)]) {
            let mut changed = whole.clone();
            changed[place] ^= bit;
            fs_err::write(&path, &changed).unwrap();
            if let Ok(rows) = open(&path, &spec) {
                rows.gather(&UniqueIds::of_lists(&[(0..20).collect()]));
            }
        }
        fs_err::write(&path, &whole).unwrap();
        let other = TableSpec { name: "another".into(), ..spec.clone() };
        assert!(open(&path, &other).unwrap_err().to_string().contains("another"));
        let wider = TableSpec { width: 4, ..spec.clone() };
        assert!(matches!(open(&path, &wider), Err(Error::Mismatch { .. })));
    }
}
