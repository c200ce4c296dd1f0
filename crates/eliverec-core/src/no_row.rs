//! What stands in a feed for what has no value: a field of an entity that has no row in its table, or of the current product of a
//! channel that has none. No row can have these values ([`crate::Dimension::new`] refuses them), so what is not known never
//! passes for another entity's.
//!
//! | kind | in the feed | for the model |
//! | --- | --- | --- |
//! | categorical | [`NO_ROW_ID`] | an id like another: it has a row of the vocabulary to itself |
//! | multi | a list of [`NO_ROW_ID`] alone | the same |
//! | bucket | [`NO_ROW_NUMBER`] | a bucket of its own, behind all others |
//! | dense | [`NO_ROW_NUMBER`] | the mean of the training split, which it does not enter |

/// For ids.
pub const NO_ROW_ID: u64 = 0xe11e_7ec0_a05e_4d1b;

/// For numbers: the least that is finite, for feeds hold finite numbers only.
pub const NO_ROW_NUMBER: f32 = f32::MIN;

/// Whether the number stands for no value.
pub fn is_no_number(x: f32) -> bool {
    x.to_bits() == NO_ROW_NUMBER.to_bits()
}

/// The bucket of a number; what has no value has one of its own, behind all others.
pub fn bucket(boundaries: &[f32], x: f32) -> u64 {
    if is_no_number(x) {
        return boundaries.len() as u64 + 1;
    }
    boundaries.partition_point(|b| *b <= x) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Lengths, Values};
    use crate::feed::Column;
    use crate::normalize::{Normalization, Normalizer};
    use crate::schema::{Group, Schema};
    use crate::{Dimension, Feed};

    fn schema() -> Schema {
        Schema::parse(
            r#"
            vocabulary = [{ name = "channel" }, { name = "price" }]
            channel = [
                { name = "channel_id", kind = "categorical", vocabulary = "channel" },
                { name = "price", kind = "bucket", vocabulary = "price", boundaries = [1.0, 2.0] },
                { name = "age", kind = "dense", transform = "log1p" },
            ]
            product = [{ name = "product_id", kind = "categorical", vocabulary = "channel" }]
            "#,
        )
        .unwrap()
    }

    #[test]
    fn a_bucket_of_its_own_and_the_mean() {
        let schema = schema();
        let mut feed = Feed::empty(&schema);
        let numbers = |numbers: &[f32]| Column::Numbers(numbers.to_vec());
        feed.candidates.channel = vec![
            Column::Ids(vec![1, 2, 3, NO_ROW_ID]),
            numbers(&[0.5, 1.5, 2.5, NO_ROW_NUMBER]),
            numbers(&[1.0, 3.0, 7.0, NO_ROW_NUMBER]),
        ];
        feed.candidates.position = vec![None; 4];
        let mut normalizer = Normalizer::new(&schema);
        normalizer.add(&feed);
        let moments = normalizer.finish();
        // The moments of ln 2, ln 4 and ln 8.
        let mean = moments.dense(Group::Candidate, "age").mean;
        assert!((mean - 4.0_f32.ln()).abs() < 1e-6, "{mean}");
        for normalization in [moments, Normalization::default()] {
            let mut builder = BatchBuilder::new(&schema, &normalization, Lengths::default());
            builder.push(&feed).unwrap();
            let batch = builder.finish().unwrap();
            let values = batch.values(Group::Candidate);
            let Values::Ids(buckets) = &values[1] else { panic!("buckets") };
            assert_eq!(buckets, &[0, 1, 2, 3]);
            let Values::Numbers(ages) = &values[2] else { panic!("numbers") };
            assert_eq!(ages[3], 0.0);
        }
    }

    #[test]
    fn no_row_can_have_them() {
        let schema = schema();
        let of = |price, age| {
            let columns = vec![Column::Numbers(vec![price]), Column::Numbers(vec![age])];
            Dimension::new(&schema, Group::Channel, vec![1], columns)
        };
        assert!(of(1.0, -1e30).is_ok());
        for told in [of(NO_ROW_NUMBER, 1.0), of(1.0, NO_ROW_NUMBER)] {
            let told = told.unwrap_err().to_string();
            assert!(told.contains("stands for what has no value"), "{told}");
        }
    }
}
