//! The grid of candidates.

use crate::bench::Failure;
use serde::{Deserialize, Serialize};

/// More points than these are refused: they are a recipe's mistake, and every one is asked for its size.
const MOST_POINTS: usize = 10_000;

/// A property of a candidate and the values that are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// Its name, such as "experts".
    pub name: String,
    /// Its values, from the best quality to the smallest file.
    pub values: Vec<String>,
}

/// A candidate: for each axis the place of its value, 0 for the best quality.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point(pub Vec<usize>);

impl Point {
    /// Whether this is another point and on no axis of better quality.
    pub fn is_below(&self, other: &Self) -> bool {
        self != other && self.0.iter().zip(&other.0).all(|(own, others)| own >= others)
    }
}

/// All combinations of the axes' values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Space {
    axes: Vec<Axis>,
}

impl Space {
    /// The space of these axes; refused without any value, with a value given twice, or with more than 10,000 points.
    pub fn new(axes: Vec<Axis>) -> Result<Self, Failure> {
        if axes.is_empty() {
            return Err(Failure::new("a search needs at least one axis"));
        }
        for axis in &axes {
            if axis.values.is_empty() {
                return Err(Failure::new(format!("the axis `{}` has no values", axis.name)));
            }
            if let Some(twice) = axis.values.iter().enumerate().find(|(at, value)| axis.values[..*at].contains(value)) {
                return Err(Failure::new(format!("the axis `{}` names `{}` twice", axis.name, twice.1)));
            }
        }
        let points = axes.iter().try_fold(1_usize, |points, axis| points.checked_mul(axis.values.len()));
        match points {
            Some(points) if points <= MOST_POINTS => Ok(Self { axes }),
            _ => Err(Failure::new(format!("the axes have more than {MOST_POINTS} combinations; name fewer values"))),
        }
    }

    /// The axes.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Every point, the last axis fastest.
    pub fn points(&self) -> Vec<Point> {
        self.axes.iter().fold(vec![Point(Vec::new())], |points, axis| {
            let values = 0..axis.values.len();
            points
                .iter()
                .flat_map(|point| values.clone().map(|value| Point(point.0.iter().copied().chain([value]).collect())))
                .collect()
        })
    }

    /// A point in words, such as "experts 6, type Q6_K".
    pub fn label(&self, point: &Point) -> String {
        let value = |(axis, at): (&Axis, &usize)| match axis.values.get(*at) {
            Some(value) => format!("{} {value}", axis.name),
            None => format!("{} ?", axis.name),
        };
        self.axes.iter().zip(&point.0).map(value).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, values: &[&str]) -> Axis {
        Axis { name: name.into(), values: values.iter().map(|&value| value.into()).collect() }
    }

    #[test]
    fn a_space_has_every_combination() {
        let space = Space::new(vec![axis("experts", &["8", "6"]), axis("type", &["Q8_0", "Q6_K", "Q4_0"])]).unwrap();
        let labels: Vec<String> = space.points().iter().map(|point| space.label(point)).collect();
        assert_eq!(labels.len(), 6);
        assert_eq!(labels[0], "experts 8, type Q8_0");
        assert_eq!(labels[5], "experts 6, type Q4_0");
        assert!(Point(vec![1, 0]).is_below(&Point(vec![0, 0])) && !Point(vec![1, 0]).is_below(&Point(vec![0, 1])));
    }

    #[test]
    fn a_space_that_means_nothing_is_refused() {
        for (axes, words) in [
            (vec![], "at least one axis"),
            (vec![axis("type", &[])], "`type` has no values"),
            (vec![axis("type", &["a", "b", "a"])], "names `a` twice"),
        ] {
            assert!(Space::new(axes).unwrap_err().to_string().contains(words));
        }
        let many: Vec<String> = (0..101).map(|value| value.to_string()).collect();
        let axes = ["a", "b"].map(|name| Axis { name: name.into(), values: many.clone() });
        assert!(Space::new(axes.to_vec()).unwrap_err().to_string().contains("10000"));
    }
}
