//! Random numbers that a seed determines.

/// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", OOPSLA), begun at a seed. Of our
/// own, because intervals, choices and searches must not change with the version of a crate.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where `end` is 0. Multiplying favours none of some thousands by more than 2⁻⁵⁰.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A number from 0 to 1, without 1, in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// At most `count` of the values, drawn without replacement (Fisher and Yates).
    pub fn draw<T>(&mut self, mut values: Vec<T>, count: usize) -> Vec<T> {
        let count = count.min(values.len());
        for at in 0..count {
            let other = at + self.below(values.len() - at);
            values.swap(at, other);
        }
        values.truncate(count);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_numbers_for_ever() {
        // The first numbers of the reference program (Vigna, `splitmix64.c`) for the seed 1234567.
        let mut random = Random(1_234_567);
        assert_eq!([(); 2].map(|()| random.next()), [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn what_is_drawn_is_drawn_once() {
        let mut drawn = Random(5).draw((0..20).collect(), 8);
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 8);
        assert_eq!(Random(5).draw(vec![1, 2], 9).len(), 2);
    }
}
