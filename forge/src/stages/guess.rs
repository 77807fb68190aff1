//! Guesses of what a smaller model loses, before anything is made: good enough to leave out what is far off, and for nothing
//! else.

use super::choice::scores;
use crate::bench::Profile;
use crate::recipe::By;

/// Perplexity that types cost LLaMA 7B above its 5.91, as `llama-quantize --help` had them until 2024. Later models, Llama 3 above
/// all, lose several times as much: these are lower ends.
const COSTS: [(&str, f64); 16] = [
    ("F16", 0.0),
    ("BF16", 0.0),
    ("Q8_0", 0.0004),
    ("Q6_K", 0.0008),
    ("Q5_K_M", 0.0122),
    ("Q5_1", 0.0349),
    ("Q5_K_S", 0.0400),
    ("Q4_K_M", 0.0532),
    ("Q5_0", 0.0683),
    ("Q4_K_S", 0.0992),
    ("Q4_1", 0.1585),
    ("Q3_K_L", 0.1764),
    ("Q4_0", 0.2166),
    ("Q3_K_M", 0.2496),
    ("Q3_K_S", 0.5551),
    ("Q2_K", 0.6717),
];
const BASE: f64 = 5.9066;

/// Nats a token that a type is likely to cost; `None` for one that nobody has told.
pub(super) fn of_type(to: &str) -> Option<f64> {
    let known = COSTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(to));
    known.map(|(_, cost)| (cost / BASE).ln_1p())
}

/// Nats a token for all that the experts add, as a lower end.
const NATS: f64 = 0.2;

/// Nats a token that a model with so many experts is likely to lose at least.
pub(super) fn of_experts(profile: &Profile, number: u32) -> f64 {
    let lost = profile.layers.iter().map(|layer| {
        let mut added = scores(layer, By::Total);
        added.sort_by(|one, other| other.total_cmp(one));
        let lost: f64 = added.iter().skip(number as usize).sum();
        let all: f64 = added.iter().sum();
        if all > 0.0 { lost / all } else { 0.0 }
    });
    NATS * lost.sum::<f64>() / profile.layers.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Layer;

    #[test]
    fn smaller_types_are_guessed_to_cost_more() {
        let cost = |to| of_type(to).unwrap();
        assert!(cost("Q8_0") < cost("q6_k") && cost("Q6_K") < cost("Q4_K_M") && cost("Q4_K_M") < cost("Q2_K"));
        assert_eq!(of_type("IQ9"), None);
    }

    #[test]
    fn an_expert_without_tokens_costs_nothing() {
        let layer = Layer { layer: 0, counts: vec![10, 0, 10], saliency: vec![1.0, 0.0, 1.0] };
        let profile = Profile { tokens: 10, used: 2, layers: vec![layer] };
        assert_eq!(of_experts(&profile, 2), 0.0);
        assert!((of_experts(&profile, 1) - NATS / 2.0).abs() < 1e-12);
    }
}
