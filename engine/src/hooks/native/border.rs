//! What hooks are shown, as the structs of the ABI. What these point to is what the views point to, so they hold for one
//! call.

use plugin_api::abi::{self, Row};
use plugin_api::{Assessment, Retraction, Rows, Step, Token};

/// Members for which a call needs no allocation.
pub(super) const USUAL_MEMBERS: usize = 16;

pub(super) fn step(step: &Step) -> abi::Step {
    abi::Step {
        struct_size: size_of::<abi::Step>() as u32,
        position: step.position,
        attempt: step.attempt,
        retractable: step.retractable,
        retractions_left: step.retractions_left,
        members: step.members,
        seed: step.seed,
        parameters: step.parameters,
        base: step.base,
    }
}

/// # Panics
/// Without a probability for each of the step's members, for so many a plugin reads.
pub(super) fn token(token: &Token, step: &Step) -> abi::Token {
    assert_eq!(token.member_probabilities.len(), step.members as usize, "a probability for each member");
    abi::Token {
        struct_size: size_of::<abi::Token>() as u32,
        unit: token.unit,
        bytes: token.bytes.as_ptr(),
        bytes_len: token.bytes.len() as u32,
        leader: token.leader,
        probability: token.probability,
        entropy: token.entropy,
        agreement: token.agreement,
        is_end: u32::from(token.is_end),
        member_probabilities: token.member_probabilities.as_ptr(),
        surprise_mean: token.surprise_mean,
        surprise_deviation: token.surprise_deviation,
        behind: token.behind,
        reserved: 0,
    }
}

/// # Panics
/// When there are not as many units as confidences: a plugin is told one length for both.
pub(super) fn assessment(assessment: &Assessment) -> abi::Assessment {
    assert_eq!(assessment.units.len(), assessment.confidences.len(), "a confidence for each unit");
    abi::Assessment {
        struct_size: size_of::<abi::Assessment>() as u32,
        unit: assessment.unit,
        confidence: assessment.confidence,
        mean_confidence: assessment.mean_confidence,
        slope: assessment.slope,
        minimum: assessment.minimum,
        minimum_back: assessment.minimum_back,
        entropy: assessment.entropy,
        agreement: assessment.agreement,
        leader: assessment.leader,
        unique: assessment.unique,
        unique_of: assessment.unique_of,
        repeated: assessment.repeated,
        period: assessment.period,
        confidences: assessment.confidences.as_ptr(),
        units: assessment.units.as_ptr(),
        window: assessment.units.len() as u32,
        reserved: 0,
    }
}

pub(super) fn retraction(retraction: &Retraction) -> abi::Retraction {
    abi::Retraction {
        struct_size: size_of::<abi::Retraction>() as u32,
        units: retraction.units,
        position: retraction.position,
        policy_len: retraction.policy.len() as u32,
        policy: retraction.policy.as_ptr(),
    }
}

/// The members' rows as a plugin is given them.
pub(super) struct Table<'a> {
    #[cfg_attr(
        not(feature = "cli"),
        allow(dead_code, reason = "what checks plugins for authors is part of the command line")
    )]
    views: Rows<'a>,
    head: abi::Rows,
    /// In place of `more` where the members are not more than usual.
    usual: [Row; USUAL_MEMBERS],
    more: Vec<Row>,
}

const EMPTY: Row = Row {
    struct_size: size_of::<Row>() as u32,
    top_unit: 0,
    logits: std::ptr::null(),
    probabilities: std::ptr::null(),
    log_sum_exp: 0.0,
    entropy: 0.0,
    top_probability: 0.0,
    evidence: 0.0,
    weight: 0.0,
    name_len: 0,
    name: std::ptr::null(),
};

impl<'a> Table<'a> {
    pub fn of(views: &Rows<'a>) -> Self {
        let (mut usual, mut more) = ([EMPTY; USUAL_MEMBERS], Vec::new());
        match usual.get_mut(..views.len()) {
            Some(usual) => usual.iter_mut().zip(views.iter()).for_each(|(slot, view)| *slot = row(&view)),
            None => more.extend(views.iter().map(|view| row(&view))),
        }
        let head = abi::Rows {
            struct_size: size_of::<abi::Rows>() as u32,
            count: views.len() as u32,
            units: views.units() as u32,
            reserved: 0,
            rows: std::ptr::null(),
        };
        Self { views: *views, head, usual, more }
    }

    /// What goes to the plugin; it holds as long as this stays where it is. From here on the optimiser must reckon with
    /// writes, which no plugin may do and some do.
    pub fn lend(&mut self) -> *const abi::Rows {
        let rows = if self.more.is_empty() { self.usual.as_mut_ptr() } else { self.more.as_mut_ptr() };
        self.head.rows = std::hint::black_box(rows);
        std::hint::black_box(&raw mut self.head)
    }

    /// True while nobody has written to what was lent.
    #[cfg_attr(
        not(feature = "cli"),
        allow(dead_code, reason = "what checks plugins for authors is part of the command line")
    )]
    pub fn is_whole(&self) -> bool {
        let rows = if self.more.is_empty() { &self.usual[..self.views.len()] } else { &self.more };
        let abi::Rows { struct_size, count, units, reserved, rows: place } = self.head;
        let sizes = (size_of::<abi::Rows>() as u32, self.views.len() as u32, self.views.units() as u32, 0);
        (struct_size, count, units, reserved) == sizes
            && place == rows.as_ptr()
            && rows.iter().zip(self.views.iter()).all(|(lent, view)| fields(lent) == fields(&row(&view)))
    }
}

fn row(row: &plugin_api::Row) -> Row {
    Row {
        struct_size: size_of::<Row>() as u32,
        top_unit: row.top_unit,
        logits: row.logits.as_ptr(),
        probabilities: row.probabilities.as_ptr(),
        log_sum_exp: row.log_sum_exp,
        entropy: row.entropy,
        top_probability: row.top_probability,
        evidence: row.evidence,
        weight: row.weight,
        name_len: row.name.len() as u32,
        name: row.name.as_ptr(),
    }
}

/// All that stands in a row of the table, bit by bit.
#[cfg_attr(
    not(feature = "cli"),
    allow(dead_code, reason = "what checks plugins for authors is part of the command line")
)]
fn fields(row: &Row) -> ([u32; 8], [*const f32; 2], *const u8) {
    let figures = [row.log_sum_exp, row.entropy, row.top_probability, row.evidence, row.weight].map(f32::to_bits);
    let [a, b, c, d, e] = figures;
    ([row.struct_size, row.top_unit, row.name_len, a, b, c, d, e], [row.logits, row.probabilities], row.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{self, Members};

    #[test]
    fn a_table_says_what_its_views_say_for_any_number_of_members() {
        for count in [1, USUAL_MEMBERS, USUAL_MEMBERS + 1] {
            let members = Members::new(&vec![&[0.5, 1.0, 2.0][..]; count]);
            let mut table = Table::of(&members.rows());
            // SAFETY: the table stays where it is.
            let head = unsafe { &*table.lend() };
            assert_eq!((head.count as usize, head.units), (count, 3));
            for (index, view) in members.rows().iter().enumerate() {
                // SAFETY: below `count`.
                let lent = unsafe { &*head.rows.add(index) };
                assert_eq!((lent.logits, lent.name), (view.logits.as_ptr(), view.name.as_ptr()));
            }
            assert!(table.is_whole());
        }
    }

    #[test]
    fn what_is_written_to_a_table_is_seen() {
        let members = Members::new(&[&[0.5, 1.0], &[1.0, 0.5]]);
        let writes: [fn(&mut abi::Rows, &mut Row); 4] = [
            |head, _| head.units = 7,
            |head, _| head.rows = std::ptr::null(),
            |_, last| last.struct_size = 8,
            |_, last| last.evidence = -1.0,
        ];
        for write in writes {
            let mut table = Table::of(&members.rows());
            table.lend();
            write(&mut table.head, &mut table.usual[1]);
            assert!(!table.is_whole());
        }
    }

    #[test]
    #[should_panic(expected = "a probability for each member")]
    fn a_plugin_reads_no_probability_that_is_not_there() {
        token(&testing::token(), &Step { members: 2, ..testing::step() });
    }

    #[test]
    #[should_panic(expected = "a confidence for each unit")]
    fn a_plugin_reads_no_confidence_that_is_not_there() {
        assessment(&Assessment { confidences: &[0.5], ..testing::assessment() });
    }
}
