//! Sums of dense gradients over shards: each rank adds one part of the parameters and tells the others, so that no rank sends more than
//! twice their bytes, however many there are.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Shards;
use super::traffic::Sent;
use super::tree::{add, nodes, sum};
use crate::ranks::bytes;

impl Shards {
    /// The sum of the dense gradients of all shards by parameter name, from those of this rank's own; `sizes` has every parameter.
    /// One that took part nowhere is absent. With one shard, its own.
    pub(crate) fn sum_dense(
        &self,
        mut own: Vec<BTreeMap<String, Vec<f32>>>,
        sizes: &BTreeMap<String, usize>,
    ) -> BTreeMap<String, Vec<f32>> {
        if self.is_one() {
            return own.pop().unwrap_or_default();
        }
        let own = own.into_iter().map(|gradient| flat(&gradient, sizes)).collect();
        let sum = self.all_reduce(own);
        let (values, took_part) = sum.split_at(sizes.values().sum());
        let mut begin = 0;
        let mut named = BTreeMap::new();
        for ((name, size), took_part) in sizes.iter().zip(took_part) {
            begin += size;
            if *took_part > 0.0 {
                named.insert(name.clone(), values[begin - size..begin].to_vec());
            }
        }
        named
    }

    /// The sum of vectors of one length, in the order of the tree.
    fn all_reduce(&self, own: Vec<Vec<f32>>) -> Vec<f32> {
        let length = own.first().map_or(0, Vec::len);
        let first = self.own().start;
        let mut own: Vec<Option<Vec<f32>>> = own.into_iter().map(Some).collect();
        let mut leaf = |node: &Range<usize>| {
            (node.len() == 1).then(|| own[node.start - first].take().expect("each shard once"))
        };
        let mut sums: Vec<Vec<f32>> = nodes(&self.own(), self.count())
            .iter()
            .map(|node| sum(node, &mut leaf, &add))
            .collect();
        let ranks = self.by_rank().len();
        if ranks == 1 {
            return sums.pop().unwrap_or_default();
        }

        // Each rank gets its part of every node's sum, adds, and gives the sum to all.
        let part = |rank: usize| rank * length / ranks..(rank + 1) * length / ranks;
        let to = |rank: usize| sums.iter().flat_map(|sum| bytes::of(&sum[part(rank)])).collect();
        let parts = self.exchange((0..ranks).map(to).collect(), Sent::Reduced);
        let size = part(self.ranks().rank()).len();
        let mut given = BTreeMap::new();
        for (shards, part) in self.by_rank().iter().zip(parts) {
            let numbers: Vec<f32> = bytes::numbers(&part);
            for (i, node) in nodes(shards, self.count()).into_iter().enumerate() {
                let values = numbers[i * size..(i + 1) * size].to_vec();
                given.insert((node.start, node.end), values);
            }
        }
        let mut take = |node: &Range<usize>| given.remove(&(node.start, node.end));
        let own_part = sum(&(0..self.count()), &mut take, &add);
        let parts = self.exchange(vec![bytes::of(&own_part); ranks], Sent::Reduced);
        parts.iter().flat_map(|part| bytes::numbers::<f32>(part)).collect()
    }
}

/// Every parameter's values, zeros for one that took no part, and behind them for each whether it did.
fn flat(gradient: &BTreeMap<String, Vec<f32>>, sizes: &BTreeMap<String, usize>) -> Vec<f32> {
    let mut flat = Vec::with_capacity(sizes.values().sum::<usize>() + sizes.len());
    for (name, size) in sizes {
        match gradient.get(name) {
            Some(values) => flat.extend(values),
            None => flat.resize(flat.len() + size, 0.0),
        }
    }
    flat.extend(sizes.keys().map(|name| f32::from(u8::from(gradient.contains_key(name)))));
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::threads::on_ranks;

    #[test]
    fn the_sum_has_the_bits_of_one_rank_and_the_parameters_that_took_part() {
        let sizes: BTreeMap<String, usize> =
            [("a".to_owned(), 5), ("b".to_owned(), 3), ("c".to_owned(), 2)].into();
        // c takes part in no shard, b in the odd ones.
        let gradient = |shard: usize| {
            let values =
                |size: usize| (0..size).map(|i| 1.0 / (1 + shard * 7 + i) as f32).collect();
            let mut gradient = BTreeMap::from([("a".to_owned(), values(5))]);
            if shard % 2 == 1 {
                gradient.insert("b".into(), values(3));
            }
            gradient
        };
        let on = |shards: &Shards| shards.sum_dense(shards.own().map(gradient).collect(), &sizes);
        for count in [1, 4, 5] {
            let alone = on(&Shards::here(count));
            let names: Vec<&str> = alone.keys().map(String::as_str).collect();
            assert_eq!(names, if count == 1 { vec!["a"] } else { vec!["a", "b"] });
            for ranks in 1..=count {
                for sum in on_ranks(ranks, |ranks| on(&Shards::new(count, ranks).unwrap())) {
                    assert_eq!(sum, alone, "{ranks} of {count}");
                }
            }
        }
    }
}
