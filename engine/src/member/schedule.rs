//! Who decodes when, on how many threads; chosen by measuring, because it depends on the models, the cores and the
//! instruction set: two 135M models with AVX2 are 1.25 × faster side by side, with AMX 1.07 ×, and two of 0.3M are slower.

use std::time::Duration;

/// Members of one group decode at the same time; groups one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// (member, threads); each member once.
    pub groups: Vec<Vec<(usize, usize)>>,
}

impl Schedule {
    /// One after the other, each on all threads.
    pub fn in_turn(members: usize, threads: usize) -> Self {
        Self { groups: (0..members).map(|member| vec![(member, threads.max(1))]).collect() }
    }

    /// As many at the same time as there are threads, the costly ones together, threads in proportion to cost. Never more
    /// threads than that in all: llama.cpp's threads spin at barriers, and one too many costs forty times the step.
    pub fn side_by_side(costs: &[u64], threads: usize) -> Self {
        let threads = threads.max(1);
        let mut order: Vec<usize> = (0..costs.len()).collect();
        order.sort_by_key(|&member| (std::cmp::Reverse(costs[member]), member));
        let groups = order.chunks(threads.min(costs.len()).max(1)).map(|group| {
            let total: u64 = group.iter().map(|&member| costs[member].max(1)).sum();
            let spare = threads - group.len();
            let mut shares: Vec<(usize, usize)> = group
                .iter()
                .map(|&member| (member, 1 + (spare as u64 * costs[member].max(1) / total) as usize))
                .collect();
            let given: usize = shares.iter().map(|(_, threads)| threads).sum();
            shares[0].1 += threads - given;
            shares
        });
        Self { groups: groups.collect() }
    }

    /// True when some members decode at the same time.
    pub fn is_parallel(&self) -> bool {
        self.groups.iter().any(|group| group.len() > 1)
    }
}

/// Tries the schedules in the first steps and keeps the fastest.
#[derive(Debug)]
pub(super) struct Tuner {
    candidates: Vec<Schedule>,
    best: Vec<Duration>,
    steps: usize,
}

/// Steps of one candidate before the next one's turn; the first of them is not counted, it wakes threads up.
const BLOCK: usize = 4;
/// How often each candidate gets a block: machines have other work, and the best block is what counts.
const ROUNDS: usize = 3;

impl Tuner {
    pub fn new(candidates: Vec<Schedule>) -> Self {
        Self { best: vec![Duration::MAX; candidates.len()], candidates, steps: 0 }
    }

    /// The schedule for the next step.
    pub fn current(&self) -> usize {
        let block = self.steps / BLOCK;
        if self.is_settled() {
            (0..self.candidates.len()).min_by_key(|&candidate| self.best[candidate]).unwrap_or(0)
        } else {
            block % self.candidates.len()
        }
    }

    pub fn schedule(&self, index: usize) -> &Schedule {
        &self.candidates[index]
    }

    pub fn is_settled(&self) -> bool {
        self.candidates.len() < 2 || self.steps >= BLOCK * ROUNDS * self.candidates.len()
    }

    /// Reports the time of a step under [`Tuner::current`].
    pub fn report(&mut self, time: Duration) {
        if self.is_settled() {
            return;
        }
        let candidate = self.current();
        if self.steps % BLOCK > 0 {
            self.best[candidate] = self.best[candidate].min(time);
        }
        self.steps += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(schedule: &Schedule) -> Vec<usize> {
        schedule.groups.iter().map(|group| group.iter().map(|(_, threads)| threads).sum()).collect()
    }

    #[test]
    fn two_members_on_two_cores_get_one_thread_each() {
        assert_eq!(Schedule::side_by_side(&[5, 5], 2).groups, [vec![(0, 1), (1, 1)]]);
    }

    #[test]
    fn a_member_that_finds_no_thread_waits_and_gets_all() {
        assert_eq!(Schedule::side_by_side(&[5, 9, 5], 2).groups, [vec![(1, 1), (0, 1)], vec![(2, 2)]]);
    }

    #[test]
    fn threads_go_where_the_work_is_and_all_are_used() {
        let schedule = Schedule::side_by_side(&[1, 7], 8);
        assert_eq!(threads(&schedule), [8]);
        assert!(schedule.groups[0][0].1 >= 6, "{schedule:?}");
        for count in 1..6 {
            for total in 1..12 {
                let schedule = Schedule::side_by_side(&vec![3; count], total);
                assert!(threads(&schedule).iter().all(|&used| used == total), "{schedule:?}");
                assert_eq!(schedule.groups.iter().flatten().count(), count);
            }
        }
    }

    #[test]
    fn the_faster_schedule_wins_though_one_step_was_disturbed() {
        let mut tuner = Tuner::new(vec![Schedule::in_turn(2, 2), Schedule::side_by_side(&[1, 1], 2)]);
        let mut step = 0;
        while !tuner.is_settled() {
            let time = if tuner.current() == 1 { 8 } else { 10 };
            tuner.report(Duration::from_millis(if step == 6 { 500 } else { time }));
            step += 1;
        }
        assert!(tuner.schedule(tuner.current()).is_parallel());
    }
}
