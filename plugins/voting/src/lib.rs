//! Each member votes for its top unit with the probability it gives it, times its weight. Only units that got a vote
//! can be chosen; equal scores go to the unit that is likelier in the weighted mean.

use plugin_api::{NoSettings, Plugin, Role, Rows, Step};

/// What a place further up is worth among units of one score: enough to order them, too little to matter in a draw.
const TIE: f32 = 1e-5;

/// The members elect the next unit.
pub struct Voting {
    ballot: Vec<Candidate>,
}

struct Candidate {
    unit: usize,
    score: f32,
    /// Log-probability in the row as it came in.
    fused: f32,
}

impl Plugin for Voting {
    const NAME: &'static str = "voting";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &'static str = "Each member votes for its top unit, with its probability; others cannot win.";
    const ROLE: Role = Role::Fusion;
    type Settings = NoSettings;

    fn create(_: NoSettings) -> Result<Self, String> {
        Ok(Self { ballot: Vec::new() })
    }

    fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
        self.ballot.clear();
        for row in rows.iter() {
            let unit = row.top_unit as usize;
            let vote = row.top_probability * row.weight * rows.len() as f32;
            match self.ballot.iter_mut().find(|candidate| candidate.unit == unit) {
                Some(candidate) => candidate.score += vote,
                None => self.ballot.push(Candidate { unit, score: vote, fused: fused[unit] }),
            }
        }
        fused.fill(f32::NEG_INFINITY);
        for candidate in &self.ballot {
            let beaten = |other: &&Candidate| other.score == candidate.score && other.fused < candidate.fused;
            let ties_won = self.ballot.iter().filter(beaten).count();
            fused[candidate.unit] = candidate.score.ln() + TIE * ties_won as f32;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{Members, made};

    fn vote(members: &Members) -> Vec<f32> {
        members.fuse(&mut made::<Voting>("{}").unwrap()).unwrap()
    }

    #[test]
    fn two_votes_outweigh_one_and_the_rest_cannot_win() {
        let members = Members::new(&[&[4.0, 0.0, 3.0, 0.0], &[0.0, 2.0, 0.0, 0.0], &[0.0, 2.0, 0.0, 1.0]]);
        let fused = vote(&members);
        let votes: Vec<f32> = members.rows().iter().map(|row| row.top_probability).collect();
        assert!((fused[0].exp() - votes[0]).abs() < 1e-6);
        assert!((fused[1].exp() - votes[1] - votes[2]).abs() < 1e-6);
        assert!(fused[1] > fused[0]);
        assert_eq!(fused[2..], [f32::NEG_INFINITY; 2]);
    }

    #[test]
    fn a_tie_goes_to_the_unit_that_is_likelier_in_the_mean() {
        // Both give their top unit the same probability; the first still thinks something of the second's choice.
        let members = Members::new(&[&[3.0, 1.0, 0.0], &[0.0, 3.0, 1.0]]);
        let rows = members.rows();
        assert_eq!(rows.get(0).top_probability, rows.get(1).top_probability);
        let fused = vote(&members);
        assert!(fused[1] > fused[0], "{fused:?}");
        assert!(fused[1] - fused[0] < 1e-4);
    }

    #[test]
    fn a_member_without_weight_has_no_vote() {
        let fused = vote(&Members::new(&[&[9.0, 0.0], &[0.0, 1.0]]).weights(&[0.0, 1.0]));
        assert_eq!(fused[0], f32::NEG_INFINITY);
        assert!(fused[1].is_finite());
    }
}
