//! Which experts stay.

use crate::bench::{Failure, Layer, Profile};
use crate::recipe::By;
use measure::statistics::Random;

/// The experts of each layer that has some, the best first. What fewer keep, more keep too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking(pub Vec<Vec<u32>>);

impl Ranking {
    /// Ranks by a profile.
    pub fn of_profile(profile: &Profile, by: By) -> Result<Self, Failure> {
        let layers = profile.layers.iter().map(|layer| {
            let experts = layer.counts.len();
            let finite = layer.saliency.iter().all(|saliency| saliency.is_finite());
            if experts == 0 || layer.saliency.len() != experts || !finite {
                return Err(Failure::new(format!("layer {} of the profile is broken: make it again", layer.layer)));
            }
            let mut order: Vec<u32> = (0..u32::try_from(experts).unwrap_or(u32::MAX)).collect();
            // Stable: of equals the first stays.
            order.sort_by(|one, other| score(layer, by, *other).total_cmp(&score(layer, by, *one)));
            Ok(order)
        });
        Ok(Self(layers.collect::<Result<_, _>>()?))
    }

    /// Ranks without a profile, for models with so many layers of so many experts.
    pub fn without_profile(layers: usize, experts: u32, by: By, seed: u64) -> Self {
        let shuffled = |layer: usize| {
            let mut order: Vec<u32> = (0..experts).collect();
            if by == By::Random {
                let mut random = Random(seed ^ (layer as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                for at in (1..order.len()).rev() {
                    order.swap(at, random.below(at + 1));
                }
            }
            order
        };
        Self((0..layers).map(shuffled).collect())
    }

    /// The first so many of each layer, in the order that they have in the file.
    pub fn keep(&self, experts: u32) -> Result<Vec<Vec<u32>>, Failure> {
        let layers = self.0.iter().map(|order| {
            let kept = order
                .get(..experts as usize)
                .filter(|kept| !kept.is_empty())
                .ok_or_else(|| Failure::new(format!("{experts} experts cannot be kept of {}", order.len())))?;
            let mut kept = kept.to_vec();
            kept.sort_unstable();
            Ok(kept)
        });
        layers.collect()
    }
}

/// The smallest number of experts whose part of the profile is at least `part` in every layer. llama.cpp knows one number for
/// all layers.
pub fn covering(profile: &Profile, ranking: &Ranking, by: By, part: f64) -> u32 {
    let layers = profile.layers.iter().zip(&ranking.0).map(|(layer, order)| {
        let all: f64 = order.iter().map(|expert| score(layer, by, *expert)).sum();
        let mut covered = 0.0;
        let enough = order.iter().position(|expert| {
            covered += score(layer, by, *expert);
            // Sums in another order differ in their last bits.
            covered >= part * all * (1.0 - 1e-12)
        });
        enough.map_or(order.len(), |place| place + 1) as u32
    });
    layers.max().unwrap_or(0).max(profile.used)
}

/// What each expert of a layer is ranked by, in the order of the file.
pub(super) fn scores(layer: &Layer, by: By) -> Vec<f64> {
    (0..).take(layer.counts.len()).map(|expert| score(layer, by, expert)).collect()
}

fn score(layer: &Layer, by: By, expert: u32) -> f64 {
    let expert = expert as usize;
    let count = layer.counts.get(expert).map_or(0.0, |count| *count as f64);
    let saliency = layer.saliency.get(expert).copied().unwrap_or(0.0);
    match by {
        By::Count => count,
        By::Total => count * saliency,
        _ => saliency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(layers: &[(&[u64], &[f64])]) -> Profile {
        let layer = |(at, (counts, saliency)): (usize, &(&[u64], &[f64]))| Layer {
            layer: at as u32,
            counts: counts.to_vec(),
            saliency: saliency.to_vec(),
        };
        Profile { tokens: 100, used: 2, layers: layers.iter().enumerate().map(layer).collect() }
    }

    #[test]
    fn the_best_experts_stay_in_the_order_of_the_file() {
        let profile = profile(&[(&[10, 40, 30, 20], &[0.9, 0.1, 0.5, 0.5])]);
        let kept = |by| Ranking::of_profile(&profile, by).unwrap().keep(2).unwrap();
        assert_eq!(kept(By::Count), [[1, 2]]);
        assert_eq!(kept(By::Saliency), [[0, 2]], "of equals the first stays");
    }

    #[test]
    fn fewer_experts_are_some_of_more() {
        for seed in 0..20 {
            let ranking = Ranking::without_profile(3, 8, By::Random, seed);
            let (four, six) = (ranking.keep(4).unwrap(), ranking.keep(6).unwrap());
            assert!(four.iter().zip(&six).all(|(four, six)| four.iter().all(|expert| six.contains(expert))));
            assert_ne!(ranking.0[0], ranking.0[1], "layers are drawn one by one");
        }
        assert_eq!(Ranking::without_profile(1, 8, By::First, 3).keep(3).unwrap(), [[0, 1, 2]]);
    }

    #[test]
    fn a_seed_means_the_same_experts_for_ever() {
        let drawn = [[7, 4, 6, 1, 2, 5, 0, 3], [3, 5, 1, 4, 0, 2, 6, 7]];
        assert_eq!(Ranking::without_profile(2, 8, By::Random, 7).0, drawn);
    }

    #[test]
    fn more_than_there_are_cannot_be_kept() {
        let ranking = Ranking::without_profile(1, 8, By::First, 0);
        assert_eq!(ranking.keep(9).unwrap_err().to_string(), "9 experts cannot be kept of 8");
    }

    #[test]
    fn coverage_holds_in_the_layer_that_needs_most() {
        let profile = profile(&[(&[50, 30, 15, 5], &[0.0; 4]), (&[25, 25, 25, 25], &[0.0; 4])]);
        let ranking = Ranking::of_profile(&profile, By::Count).unwrap();
        assert_eq!(covering(&profile, &ranking, By::Count, 0.75), 3);
        assert_eq!(covering(&profile, &ranking, By::Count, 0.76), 4);
        assert_eq!(covering(&profile, &ranking, By::Count, 1.0), 4);
        assert_eq!(covering(&profile, &ranking, By::Count, 0.01), 2, "a token goes through two");
    }

    #[test]
    fn a_broken_profile_is_refused() {
        let broken = profile(&[(&[1, 2], &[0.1])]);
        assert!(Ranking::of_profile(&broken, By::Count).is_err());
        let infinite = profile(&[(&[1, 2], &[0.1, f64::NAN])]);
        assert!(Ranking::of_profile(&infinite, By::Saliency).is_err());
    }
}
