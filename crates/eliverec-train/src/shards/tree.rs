//! Sums over shards in an order that does not depend on who has which: a balanced binary tree over the shards, of which each rank
//! adds up what lies wholly within its own, and the rest is added where it meets.

use std::ops::Range;

/// The largest nodes of the tree over `0..count` that lie within `own`, in order.
pub(crate) fn nodes(own: &Range<usize>, count: usize) -> Vec<Range<usize>> {
    fn walk(own: &Range<usize>, node: Range<usize>, found: &mut Vec<Range<usize>>) {
        if own.start <= node.start && node.end <= own.end {
            found.push(node);
        } else if own.start < node.end && node.start < own.end {
            let [left, right] = halves(&node);
            walk(own, left, found);
            walk(own, right, found);
        }
    }
    let mut found = Vec::new();
    walk(own, 0..count, &mut found);
    found
}

/// Adds up the node, from nodes below it that `given` has.
///
/// # Panics
/// If a shard of it is not given.
pub(crate) fn sum<T>(
    node: &Range<usize>,
    given: &mut impl FnMut(&Range<usize>) -> Option<T>,
    add: &impl Fn(T, T) -> T,
) -> T {
    if let Some(sum) = given(node) {
        return sum;
    }
    assert!(node.len() > 1, "every shard is given");
    let [left, right] = halves(node).map(|half| sum(&half, given, add));
    add(left, right)
}

fn halves(node: &Range<usize>) -> [Range<usize>; 2] {
    let middle = node.start + node.len().next_power_of_two() / 2;
    [node.start..middle, middle..node.end]
}

/// `left + right`
pub(crate) fn add(mut left: Vec<f32>, right: Vec<f32>) -> Vec<f32> {
    left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_partition_gives_the_same_bits() {
        for count in 1..=9 {
            let leaf = |shard: usize| vec![1.0 / (3.0 + shard as f32), 1e7 - shard as f32];
            let within = |own: &Range<usize>| -> Vec<(Range<usize>, Vec<f32>)> {
                let mut given = |node: &Range<usize>| (node.len() == 1).then(|| leaf(node.start));
                let nodes = nodes(own, count).into_iter();
                nodes.map(|node| (node.clone(), sum(&node, &mut given, &add))).collect()
            };
            let whole = within(&(0..count));
            assert_eq!(whole.len(), 1);
            for ranks in 1..=count {
                let own = |rank: usize| rank * count / ranks..(rank + 1) * count / ranks;
                let parts: Vec<_> = (0..ranks).flat_map(|rank| within(&own(rank))).collect();
                let mut given = |node: &Range<usize>| {
                    parts.iter().find(|(of, _)| of == node).map(|(_, sum)| sum.clone())
                };
                assert_eq!(sum(&(0..count), &mut given, &add), whole[0].1, "{ranks} of {count}");
            }
        }
    }

    #[test]
    fn even_parts_are_one_node_each() {
        assert_eq!(nodes(&(2..4), 4).as_slice(), std::slice::from_ref(&(2..4)));
        assert_eq!(nodes(&(0..3), 4), [0..2, 2..3]);
    }
}
