//! Files cut short or with flipped bytes give an error or feeds, never a panic.

mod feed_files;

use eliverec_core::seed::Random;
use eliverec_core::toy;
use eliverec_tables::{Error, FeedDirectory};
use feed_files::{first_file, read_all, toy_directory};

#[test]
fn a_file_cut_short_is_an_error_at_every_length() {
    let (_folder, directory) = toy_directory(50);
    let file = first_file(&directory);
    let whole = fs_err::read(&file).unwrap();
    let near_the_end = whole.len() - 40..whole.len();
    for length in (0..whole.len()).step_by(97).chain(near_the_end) {
        fs_err::write(&file, &whole[..length]).unwrap();
        let error = read_all(&directory).unwrap_err();
        assert!(matches!(error, Error::Parquet { .. }), "{length}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    fs_err::write(&file, &whole).unwrap();
    assert_eq!(read_all(&directory).unwrap(), toy::feeds(50, 1));
}

#[test]
fn flipped_bytes_never_panic() {
    let (_folder, directory) = toy_directory(50);
    let file = first_file(&directory);
    let whole = fs_err::read(&file).unwrap();
    let mut random = Random::new(1);
    let mut errors = 0;
    for round in 0..1_500 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 3 {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 + random.below(255) as u8;
        }
        fs_err::write(&file, &bytes).unwrap();
        // What an opened directory has read of small files stays as it was.
        let read = FeedDirectory::open(directory.path()).and_then(|opened| read_all(&opened));
        if let Err(error) = read {
            errors += 1;
            assert!(!error.to_string().is_empty());
        }
    }
    assert!(errors > 500, "{errors} errors");
}
