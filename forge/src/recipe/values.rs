//! Values with a form of their own.

use serde::{Deserialize, Serialize};

impl By {
    /// Whether it takes a profile.
    pub fn is_measured(self) -> bool {
        matches!(self, Self::Saliency | Self::Total | Self::Count)
    }
}

/// How experts are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Ranks by the mean of the gate's weight times the norm of the expert's output.
    Saliency,
    /// Ranks by the sum of the same over all tokens, which is the mean times how many went through.
    Total,
    /// Ranks by how many tokens went through.
    Count,
    /// Ranks by chance, for comparison.
    Random,
    /// Keeps the first ones, for comparison.
    First,
}

/// How candidates of a search are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// A quick look at each, smallest first, and a longer one at those that it does not decide.
    Funnel,
    /// All of them, on all of the text.
    Exhaustive,
    /// Bisection on an axis where smaller is worse.
    Binary,
    /// Random subsets that most subsamples agree on.
    Ransac,
    /// A model of the surface that says where to look next.
    Bayesian,
    /// The smallest number of experts that covers the profile.
    Adaptive,
}

impl Strategy {
    /// Its name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Funnel => "funnel",
            Self::Exhaustive => "exhaustive",
            Self::Binary => "binary",
            Self::Ransac => "ransac",
            Self::Bayesian => "bayesian",
            Self::Adaptive => "adaptive",
        }
    }
}

/// A size: "24G" is 24 × 2³⁰ bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub u64);

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no size; `24G`, `700M` and `512K` are");
        let number = text.trim_end_matches(['K', 'M', 'G', 'T', 'B', 'i']);
        let shift = match text.strip_prefix(number).unwrap_or_default().trim_end_matches('B').trim_end_matches('i') {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return Err(wrong()),
        };
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let bytes = number * 2.0_f64.powi(shift);
        if !(1.0..=2.0_f64.powi(60)).contains(&bytes) {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        format!("{}B", bytes.0)
    }
}

/// A change: "+5%" is 0.05.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(pub f64);

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match number {
            Some(number) if number.is_finite() => Ok(Self(number / 100.0)),
            _ => Err(format!("`{text}` is no change in percent; `+5%` is")),
        }
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        format!("{:+}%", percent.0 * 100.0)
    }
}

/// What candidates of a search differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axes {
    /// Numbers of experts that are kept.
    #[serde(default)]
    pub experts: Vec<u32>,
    /// Types that files are quantised to.
    #[serde(default, rename = "type")]
    pub types: Vec<String>,
}

/// What a candidate of a search must hold to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The most that perplexity may rise, by the upper end of its paired interval.
    pub perplexity: Percent,
}
