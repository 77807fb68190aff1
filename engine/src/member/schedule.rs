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

    /// The same for these members, who were counted from 0 in it.
    pub(super) fn of(mut self, members: &[usize]) -> Self {
        self.groups.iter_mut().flatten().for_each(|(member, _)| *member = members[*member]);
        self
    }

    /// True when some members decode at the same time.
    pub fn is_parallel(&self) -> bool {
        self.groups.iter().any(|group| group.len() > 1)
    }
}

/// Tries the schedules in the first steps and keeps the fastest; tries again when that one has become slow.
#[derive(Debug)]
pub(super) struct Tuner {
    candidates: Vec<Candidate>,
    current: usize,
    /// Steps under `current` since its turn began.
    steps: usize,
    /// Blocks that the candidate has still to be measured in; 0 once one is chosen.
    blocks: usize,
    /// Slow steps in a row under the chosen one.
    slow: usize,
}

#[derive(Debug)]
struct Candidate {
    schedule: Schedule,
    best: Duration,
    /// Too slow to be worth another look.
    out: bool,
}

/// Steps of one candidate before the next one's turn; the first of them is not counted, it wakes threads up.
const BLOCK: usize = 4;
/// How often each candidate gets a block: machines have other work, and the best block is what counts.
const ROUNDS: usize = 3;
/// What waking threads can cost in the first step of a block.
const WAKING: Duration = Duration::from_millis(5);
/// When another program takes a core, llama.cpp's threads wait for each other at every layer, and a step takes ten times
/// as long and more. After so many slow steps in a row another schedule may do better.
const SLOW: usize = 16;

/// What a batch costs in relation to one token. Measured with 135M parameters in Q8_0 on two cores, batches of 2, 4 and 8 tokens
/// took 1.17, 1.56 and 2.4 times as long as one on a CPU with AMX, and 2.3, 3.4 and 4.0 times without (AMD EPYC): these stand
/// here, so that a draft which is made pays on both. A function of the number alone: what is made of it must not depend on
/// the clock.
pub fn batch_cost(tokens: usize) -> f32 {
    const MEASURED: [f32; 8] = [1.0, 2.3, 2.9, 3.4, 3.55, 3.7, 3.85, 4.0];
    match tokens {
        0 => 0.0,
        1..=8 => MEASURED[tokens - 1],
        more => 4.0 + 0.3 * (more - 8) as f32,
    }
}

impl Tuner {
    pub fn new(schedules: Vec<Schedule>) -> Self {
        let candidate = |schedule| Candidate { schedule, best: Duration::MAX, out: false };
        let mut tuner = Self {
            candidates: schedules.into_iter().map(candidate).collect(),
            current: 0,
            steps: 0,
            blocks: 0,
            slow: 0,
        };
        tuner.start();
        tuner
    }

    fn start(&mut self) {
        for candidate in &mut self.candidates {
            candidate.best = Duration::MAX;
            candidate.out = false;
        }
        self.blocks = if self.candidates.len() > 1 { ROUNDS * self.candidates.len() } else { 0 };
        self.steps = 0;
        self.slow = 0;
    }

    /// The schedule for the next step.
    pub fn schedule(&self) -> &Schedule {
        &self.candidates[self.current].schedule
    }

    pub fn is_settled(&self) -> bool {
        self.blocks == 0
    }

    /// Reports the time of a step under [`Tuner::schedule`] in which each model spent so much, one token being 1.
    pub fn report(&mut self, time: Duration, spent: f32) {
        if spent <= 0.0 {
            return;
        }
        let time = time.div_f32(spent);
        let fastest = self.candidates.iter().map(|candidate| candidate.best).min().unwrap_or(Duration::MAX);
        if self.is_settled() {
            self.slow = if self.candidates.len() > 1 && time > fastest * 4 { self.slow + 1 } else { 0 };
            if self.slow >= SLOW {
                self.start();
            }
            return;
        }
        let candidate = &mut self.candidates[self.current];
        self.steps += 1;
        if self.steps > 1 {
            candidate.best = candidate.best.min(time);
        }
        let hopeless = fastest < Duration::MAX && time > fastest * 2 + WAKING;
        candidate.out |= hopeless || self.steps == BLOCK && candidate.best > fastest.saturating_mul(3) / 2;
        if self.steps < BLOCK && !hopeless {
            return;
        }
        self.steps = 0;
        self.blocks -= 1;
        // Round and round among those that are still in the running.
        let count = self.candidates.len();
        let next = (1..=count).map(|step| (self.current + step) % count).find(|&next| !self.candidates[next].out);
        let rivals = self.candidates.iter().filter(|candidate| !candidate.out).count();
        if rivals < 2 && self.candidates.iter().all(|candidate| candidate.out || candidate.best < Duration::MAX) {
            self.blocks = 0;
        }
        self.current = match next {
            Some(next) if self.blocks > 0 => next,
            _ => (0..count).min_by_key(|&index| self.candidates[index].best).unwrap_or(0),
        };
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

    /// Runs steps until the tuner has settled, each as long as its schedule says, and counts them.
    fn settle(tuner: &mut Tuner, time: impl Fn(&Schedule, usize) -> u64) -> usize {
        let mut steps = 0;
        while !tuner.is_settled() && steps < 1000 {
            tuner.report(Duration::from_millis(time(tuner.schedule(), steps)), 1.0);
            steps += 1;
        }
        steps
    }

    #[test]
    fn the_faster_schedule_wins_though_one_step_was_disturbed() {
        let mut tuner = Tuner::new(vec![Schedule::in_turn(2, 2), Schedule::side_by_side(&[1, 1], 2)]);
        settle(&mut tuner, |schedule, step| match (step, schedule.is_parallel()) {
            (5, _) => 14,
            (_, true) => 8,
            (_, false) => 10,
        });
        assert!(tuner.schedule().is_parallel());
    }

    #[test]
    fn a_hopeless_schedule_costs_one_step() {
        let mut tuner = Tuner::new(vec![Schedule::in_turn(1, 8), Schedule::in_turn(1, 1)]);
        let mut slow_steps = 0;
        while !tuner.is_settled() {
            let slow = tuner.schedule().groups[0][0].1 == 1;
            slow_steps += usize::from(slow);
            tuner.report(Duration::from_millis(if slow { 700 } else { 100 }), 1.0);
        }
        assert_eq!(slow_steps, 1);
        assert_eq!(tuner.schedule(), &Schedule::in_turn(1, 8));
    }

    #[test]
    fn a_schedule_that_has_become_slow_is_left() {
        let mut tuner = Tuner::new(vec![Schedule::in_turn(1, 2), Schedule::in_turn(1, 1)]);
        settle(&mut tuner, |schedule, _| if schedule.groups[0][0].1 == 2 { 10 } else { 14 });
        assert_eq!(tuner.schedule(), &Schedule::in_turn(1, 2));
        // Another program takes a core.
        let busy = |schedule: &Schedule| Duration::from_millis(if schedule.groups[0][0].1 == 2 { 300 } else { 20 });
        for _ in 0..200 {
            tuner.report(busy(&tuner.schedule().clone()), 1.0);
        }
        assert_eq!(tuner.schedule(), &Schedule::in_turn(1, 1));
    }
}
