//! The best units of a row.

/// The `count` highest scores above −∞ with their units, best first; of equals the lower unit first.
pub fn top(scores: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    let mut floor = f32::NEG_INFINITY;
    for (unit, &score) in (0..).zip(scores) {
        if score > floor {
            let rank = best.partition_point(|(_, other)| *other >= score);
            best.insert(rank, (unit, score));
            best.truncate(count);
            if best.len() == count {
                floor = best.last().map_or(f32::INFINITY, |(_, lowest)| *lowest);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::top;

    #[test]
    fn top_is_sorted_and_leaves_out_what_cannot_come() {
        let scores = [1.0, 3.0, f32::NEG_INFINITY, 3.0, 2.0];
        assert_eq!(top(&scores, 3), [(1, 3.0), (3, 3.0), (4, 2.0)]);
        assert_eq!(top(&scores, 9).len(), 4);
        assert!(top(&scores, 0).is_empty());
    }
}
