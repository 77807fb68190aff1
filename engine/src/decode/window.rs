//! What the loop knows about the units that stand, and the assessment of the newest of them.
//!
//! Everything is kept for the whole reply, so that averages over the units that stand are right after a retraction
//! too; it is 36 bytes a unit and 4 for each member. An assessment looks at the newest [`WINDOW`] units only.

use plugin_api::{Assessment, Token, surprise};

/// How many of the newest units an assessment shows, and how far back it looks for repetition.
pub const WINDOW: usize = 256;
/// How many of the newest units the trend of the confidence is taken over.
const TREND: usize = 5;
/// How many of the newest units are checked for variety.
const VARIETY: usize = 10;

/// An accepted unit and the step it was drawn in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitRecord<'a> {
    /// The unit.
    pub unit: u32,
    /// Its probability in the fused row, before temperature and truncation.
    pub confidence: f32,
    /// Of the fused row, in nats.
    pub entropy: f32,
    /// 1 − mean pairwise total-variation distance of the members' rows.
    pub agreement: f32,
    /// The member that gave the unit most weight.
    pub leader: u32,
    /// What each member gave it, in their order: as many as the window was made for.
    pub member_probabilities: &'a [f32],
}

impl<'a> UnitRecord<'a> {
    /// Of a candidate that is accepted, with what each member gave it.
    pub(crate) fn of(token: &Token, member_probabilities: &'a [f32]) -> Self {
        Self {
            unit: token.unit,
            confidence: token.probability,
            entropy: token.entropy,
            agreement: token.agreement,
            leader: token.leader,
            member_probabilities,
        }
    }
}

/// The units that stand since the start of the reply.
#[derive(Debug, Clone)]
pub struct Window {
    members: usize,
    units: Vec<u32>,
    confidences: Vec<f32>,
    entropies: Vec<f32>,
    agreements: Vec<f32>,
    /// Sums of the units' surprise and of its square, up to each unit.
    surprises: Vec<(f64, f64)>,
    leaders: Vec<u32>,
    /// `members` for each unit.
    member_probabilities: Vec<f32>,
}

impl Window {
    /// An empty window for `members` members, with room for `units` units before memory is asked for again.
    pub fn new(members: usize, units: usize) -> Self {
        Self {
            members,
            units: Vec::with_capacity(units),
            confidences: Vec::with_capacity(units),
            entropies: Vec::with_capacity(units),
            agreements: Vec::with_capacity(units),
            surprises: Vec::with_capacity(units),
            leaders: Vec::with_capacity(units),
            member_probabilities: Vec::with_capacity(units * members),
        }
    }

    /// Forgets all units: the start of a reply.
    pub fn clear(&mut self) {
        self.retract(self.len());
    }

    /// Adds an accepted unit. Missing member probabilities count as 0, further ones are dropped.
    pub fn push(&mut self, record: UnitRecord) {
        self.units.push(record.unit);
        self.confidences.push(record.confidence);
        self.entropies.push(record.entropy);
        self.agreements.push(record.agreement);
        let (sum, squares) = self.surprises.last().copied().unwrap_or_default();
        let surprise = f64::from(surprise(record.confidence));
        self.surprises.push((sum + surprise, squares + surprise * surprise));
        self.leaders.push(record.leader);
        let given = record.member_probabilities.iter().copied();
        self.member_probabilities.extend(given.chain(std::iter::repeat(0.0)).take(self.members));
    }

    /// Takes the last `units` units back, at most all.
    pub fn retract(&mut self, units: usize) {
        let len = self.len().saturating_sub(units);
        self.units.truncate(len);
        self.confidences.truncate(len);
        self.entropies.truncate(len);
        self.agreements.truncate(len);
        self.surprises.truncate(len);
        self.leaders.truncate(len);
        self.member_probabilities.truncate(len * self.members);
    }

    /// How many units stand.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// True at the start of a reply.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The units that stand, oldest first.
    pub fn units(&self) -> &[u32] {
        &self.units
    }

    /// What is known about the unit at `position`, counted from the start of the reply.
    pub fn get(&self, position: usize) -> Option<UnitRecord<'_>> {
        Some(UnitRecord {
            unit: *self.units.get(position)?,
            confidence: self.confidences[position],
            entropy: self.entropies[position],
            agreement: self.agreements[position],
            leader: self.leaders[position],
            member_probabilities: &self.member_probabilities[position * self.members..][..self.members],
        })
    }

    /// Mean confidence of the newest 5 units, or of as many as there are; 0 without units.
    pub fn recent_confidence(&self) -> f32 {
        mean(newest(&self.confidences, TREND))
    }

    /// Mean confidence of the units that stand; 0 without units.
    pub fn mean_confidence(&self) -> f32 {
        mean(&self.confidences)
    }

    /// Mean and standard deviation of the surprise of the units that stand, in nats; 0 without units.
    pub fn surprise(&self) -> (f32, f32) {
        let (sum, squares) = self.surprises.last().copied().unwrap_or_default();
        let count = self.len().max(1) as f64;
        let mean = sum / count;
        (mean as f32, (squares / count - mean * mean).max(0.0).sqrt() as f32)
    }

    /// Mean agreement of the units that stand; 0 without units.
    pub fn mean_agreement(&self) -> f32 {
        mean(&self.agreements)
    }

    /// The member that led most of the units that stand; of equals the first, and member 0 without units.
    pub fn most_frequent_leader(&self) -> u32 {
        let led = |member: u32| self.leaders.iter().filter(|&&leader| leader == member).count();
        (0..self.members as u32).rev().max_by_key(|&member| led(member)).unwrap_or(0)
    }

    /// Calls `look` with the assessment of the newest units; `None` without units. The assessment points into the
    /// window, so it lives for this call only.
    pub fn assess<R>(&self, look: impl FnOnce(&Assessment) -> R) -> Option<R> {
        let newest_unit = self.get(self.len().checked_sub(1)?)?;
        let (units, confidences) = (newest(&self.units, WINDOW), newest(&self.confidences, WINDOW));
        let trend = newest(confidences, TREND);
        let (minimum, minimum_back) = lowest(trend);
        let variety = newest(units, VARIETY);
        let (repeated, period) = repeated_suffix(units);
        Some(look(&Assessment {
            unit: newest_unit.unit,
            confidence: newest_unit.confidence,
            mean_confidence: mean(trend),
            slope: slope(trend),
            minimum,
            minimum_back,
            entropy: newest_unit.entropy,
            agreement: newest_unit.agreement,
            leader: newest_unit.leader,
            unique: (0..variety.len()).filter(|&i| !variety[..i].contains(&variety[i])).count() as u32,
            unique_of: variety.len() as u32,
            repeated,
            period,
            confidences,
            units,
        }))
    }
}

fn newest<T>(values: &[T], count: usize) -> &[T] {
    &values[values.len().saturating_sub(count)..]
}

fn mean(values: &[f32]) -> f32 {
    // In f64: a reply may be long, and its average is printed.
    // Not `sum`, which is −0 without values.
    let sum = values.iter().fold(0.0, |sum, &value| sum + f64::from(value));
    (sum / values.len().max(1) as f64) as f32
}

/// Least-squares slope of the values over 0, 1, 2, …; 0 for fewer than two.
fn slope(values: &[f32]) -> f32 {
    let centre = (values.len() as f32 - 1.0) / 2.0;
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, value) in values.iter().enumerate() {
        let distance = x as f32 - centre;
        covariance += distance * value;
        variance += distance * distance;
    }
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

/// The lowest value and how far from the end it stands, 1 being the last. Of equals the last, so that a retraction to
/// it takes least away.
fn lowest(values: &[f32]) -> (f32, u32) {
    let mut lowest = (f32::INFINITY, 1);
    for (back, &value) in (1..).zip(values.iter().rev()) {
        if value < lowest.0 {
            lowest = (value, back);
        }
    }
    lowest
}

/// Length of the longest suffix that stands in `units` a second time, further left, and the distance of the two. They
/// may overlap. Of equally long ones the nearest.
fn repeated_suffix(units: &[u32]) -> (u32, u32) {
    let mut longest = (0, 0);
    for period in 1..units.len() {
        // Further left than this, no suffix can be longer than the one that is known.
        if units.len() - period <= longest.0 {
            break;
        }
        let (here, there) = (units.iter().rev(), units[..units.len() - period].iter().rev());
        let length = here.zip(there).take_while(|(a, b)| a == b).count();
        if length > longest.0 {
            longest = (length, period);
        }
    }
    (longest.0 as u32, longest.1 as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(unit: u32, confidence: f32) -> UnitRecord<'static> {
        UnitRecord { unit, confidence, entropy: 1.0, agreement: 0.5, leader: 0, member_probabilities: &[0.25, 0.75] }
    }

    fn window(confidences: &[f32]) -> Window {
        let mut window = Window::new(2, 8);
        for (unit, &confidence) in (0..).zip(confidences) {
            window.push(record(unit, confidence));
        }
        window
    }

    #[test]
    fn an_empty_window_has_no_assessment() {
        assert_eq!(Window::new(1, 0).assess(|_| ()), None);
    }

    #[test]
    fn the_trend_is_taken_over_the_newest_five() {
        let window = window(&[0.0, 0.9, 0.8, 0.7, 0.6, 0.5]);
        window.assess(|assessment| {
            assert!((assessment.mean_confidence - 0.7).abs() < 1e-6);
            assert!((assessment.slope + 0.1).abs() < 1e-6);
            assert_eq!((assessment.confidence, assessment.minimum, assessment.minimum_back), (0.5, 0.5, 1));
        });
        assert!((window.recent_confidence() - 0.7).abs() < 1e-6);
    }

    #[test]
    fn one_unit_has_a_flat_trend() {
        window(&[0.3]).assess(|assessment| {
            assert_eq!((assessment.slope, assessment.mean_confidence, assessment.minimum_back), (0.0, 0.3, 1));
        });
    }

    #[test]
    fn of_equally_low_confidences_the_newest_is_the_minimum() {
        window(&[0.2, 0.9, 0.2, 0.9]).assess(|assessment| assert_eq!(assessment.minimum_back, 2));
    }

    #[test]
    fn averages_are_over_the_units_that_stand() {
        let mut window = window(&[0.5, 0.7]);
        let other = UnitRecord { unit: 9, confidence: 0.0, agreement: 0.0, leader: 1, ..record(9, 0.0) };
        window.push(other);
        window.push(other);
        window.push(other);
        assert_eq!(window.most_frequent_leader(), 1);
        window.retract(3);
        assert_eq!((window.most_frequent_leader(), window.mean_agreement(), window.units()), (0, 0.5, &[0, 1][..]));
        assert!((window.mean_confidence() - 0.6).abs() < 1e-6);
        assert_eq!(window.get(1).map(|unit| unit.member_probabilities), Some(&[0.25, 0.75][..]));
        assert_eq!(window.get(2), None);
    }

    #[test]
    fn the_newest_256_units_are_shown_oldest_first() {
        let mut window = Window::new(2, 0);
        (0..300).for_each(|unit| window.push(record(unit, unit as f32)));
        window.assess(|assessment| {
            assert_eq!(assessment.units, (44..300).collect::<Vec<_>>());
            assert_eq!(assessment.confidences.first(), Some(&44.0));
            assert_eq!((assessment.unique, assessment.unique_of, assessment.repeated), (10, 10, 0));
        });
    }

    #[test]
    fn a_loop_is_found_with_its_period() {
        assert_eq!(repeated_suffix(&[9, 1, 2, 3, 1, 2, 3, 1, 2, 3]), (6, 3));
        assert_eq!(repeated_suffix(&[5, 5, 5, 5]), (3, 1));
        assert_eq!(repeated_suffix(&[1, 2, 3, 1, 2, 4, 1, 2]), (2, 3));
        assert_eq!(repeated_suffix(&[7]), (0, 0));
    }

    #[test]
    fn pushing_asks_for_no_memory_within_the_room() {
        let mut window = Window::new(2, 1000);
        let before = window.units.as_ptr();
        (0..1000).for_each(|unit| window.push(record(unit, 0.5)));
        window.clear();
        (0..1000).for_each(|unit| window.push(record(unit, 0.5)));
        assert_eq!((before, window.member_probabilities.capacity()), (window.units.as_ptr(), 2000));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_repeated_suffix_is_the_longest_there_is(units in prop::collection::vec(0u32..3, 1..40)) {
            let n = units.len();
            let brute = (1..n)
                .rev()
                .find_map(|length| {
                    let starts = (0..n - length).rev();
                    starts.into_iter().find(|&s| units[s..s + length] == units[n - length..]).map(|s| (length, n - length - s))
                })
                .unwrap_or((0, 0));
            prop_assert_eq!(repeated_suffix(&units), (brute.0 as u32, brute.1 as u32));
        }
    }
}
