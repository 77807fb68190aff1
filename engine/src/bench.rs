//! What the engine adds to the members' own decoding, measured in one run: ratios hold where milliseconds do not.

mod drafts;
mod hooks;
mod prompt;
mod reloads;
mod texts;
mod units;

pub use drafts::{DraftBench, DraftsBench};
pub use hooks::HookBench;
pub use prompt::PromptBench;
pub use reloads::Reloads;
pub use texts::TextsBench;
pub use units::{HeadBench, UnitBench};

use crate::engine::Engine;
use crate::error::Error;
use crate::events::Event;
use crate::member::load::{self, Device, MemberInfo};
use crate::member::remote::Account;
use crate::member::schedule::Schedule;
use crate::resident::resident;
use crate::settings::{DraftBy, Drafting, Prompt};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope {
    /// Steps of each kind that medians are taken over.
    pub steps: usize,
    /// Drafts are measured on 20 replies of 200 units, in place of a few short ones.
    pub drafts: bool,
    /// So many texts at once against one; 0 for none. [`crate::settings::Settings::texts`] have to be as many.
    pub texts: usize,
    /// Tokens of a prompt to be read; 0 for none.
    pub prompt: usize,
}

/// Medians in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bench {
    /// Decoding of one token, each member alone on all threads.
    pub members: Vec<MemberBench>,
    /// Decoding of one token in all members, one after the other on all threads.
    pub sequential: f64,
    /// Decoding of one token in all members, side by side on their share of the threads.
    pub parallel: f64,
    /// A whole step under the better schedule: decoding, fusion, sampling, hooks, events.
    pub step: f64,
    /// step / min(sequential, parallel).
    pub overhead: f64,
    /// sequential / parallel.
    pub speedup: f64,
    /// `in turn` or `side by side`: the better one.
    pub schedule: &'static str,
    /// Steps each median is taken over.
    pub steps: usize,
    /// With a drafter and without.
    pub drafts: DraftsBench,
    /// Several texts at once, where that was asked for.
    pub texts: Option<TextsBench>,
    /// A long prompt, where that was asked for.
    pub prompt: Option<PromptBench>,
    /// In common units; `None` where all members have one vocabulary.
    pub units: Option<UnitBench>,
    /// Megabytes.
    pub memory: Memory,
    /// The stock hooks, and those of the settings.
    pub hooks: Vec<HookBench>,
    /// Until changed code runs.
    pub reloads: Reloads,
    /// What servers of members were asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote: Vec<Account>,
}

/// One member's decoding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberBench {
    /// Its name.
    pub name: String,
    /// Median of a token.
    pub milliseconds: f64,
}

/// Where the memory went, in MiB.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// Most that was resident at any time.
    pub peak: f64,
    /// When the members' weights and llama.cpp's tables of their vocabularies were read (45 MiB for 152,000 tokens).
    pub models: f64,
    /// The members' KV caches, as far as they are not on a GPU.
    pub cache: f64,
    /// The rest.
    pub other: f64,
    /// Each GPU's own memory; empty without one.
    pub devices: Vec<DeviceMemory>,
}

/// Memory of a GPU, in MiB.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceMemory {
    /// Its name.
    pub name: String,
    /// What was taken since before the members were loaded; by other programs, too.
    pub used: f64,
    /// All that it has.
    pub total: f64,
}

/// Steps measured in a row before another kind of step has its turn: a machine whose speed drifts then slows all alike.
const BLOCK: usize = 16;

impl Engine {
    /// Measures what `scope` says.
    pub fn bench(&mut self, scope: &Scope) -> Result<Bench, Error> {
        // A step is one of all members; what is read ahead has a section of its own.
        let draft = self.settings().draft;
        self.set_draft(Drafting { by: DraftBy::Off, ..draft });
        let bench = self.measure(scope, draft);
        self.set_draft(draft);
        bench
    }

    fn measure(&mut self, scope: &Scope, draft: Drafting) -> Result<Bench, Error> {
        let steps = scope.steps;
        let prompt = Prompt::Text("Once upon a time there was".into());
        let threads = self.threads();
        let names: Vec<String> = self.members().iter().map(|member| member.name.clone()).collect();
        let costs = self.decoder().scheduler.ensemble.costs();
        let in_turn = Schedule::in_turn(costs.len(), threads);
        let side_by_side = Schedule::side_by_side(&costs, threads);
        let mut alone = vec![Vec::new(); names.len()];
        let (mut sequential, mut parallel) = (Vec::new(), Vec::new());
        let (mut steps_in_turn, mut steps_side_by_side) = (Vec::new(), Vec::new());
        self.set_n_predict(BLOCK as u32 + 2);
        let mut seed = self.settings().seed;
        while steps_in_turn.len().min(steps_side_by_side.len()) < steps {
            for (index, times) in alone.iter_mut().enumerate() {
                let model = self.decoder().scheduler.ensemble.model_of(index);
                self.decode_block(&prompt, Schedule { groups: vec![vec![(model, threads)]] }, times)?;
            }
            self.decode_block(&prompt, in_turn.clone(), &mut sequential)?;
            self.decode_block(&prompt, side_by_side.clone(), &mut parallel)?;
            for (schedule, times) in [(&in_turn, &mut steps_in_turn), (&side_by_side, &mut steps_side_by_side)] {
                self.decoder().scheduler.ensemble.fix_schedule(schedule.clone());
                seed = seed.wrapping_add(1);
                self.set_seed(seed);
                self.step_block(&prompt, times)?;
            }
        }
        let (sequential, parallel) = (median(&sequential), median(&parallel));
        let in_turn_is_better = sequential <= parallel;
        let step = median(if in_turn_is_better { &steps_in_turn } else { &steps_side_by_side });
        let better = if in_turn_is_better { in_turn } else { side_by_side };
        self.decoder().scheduler.ensemble.fix_schedule(better);
        let drafts = self.bench_drafts(scope, draft)?;
        let texts = if scope.texts > 1 { Some(self.bench_texts(scope.texts)?) } else { None };
        let long = if scope.prompt > 0 { Some(self.bench_prompt(scope.prompt)?) } else { None };
        let in_memory = |member: &MemberInfo| member.cache_bytes as f64 * (1.0 - member.on_gpu);
        let cache = self.members().iter().map(in_memory).sum::<f64>() / MIB;
        let (models, peak) = (self.resident_after_loading(), resident("VmHWM:"));
        let devices = self.device_memory();
        let hooks = self.bench_hooks(&prompt, steps, step)?;
        let reloads = self.bench_reloads(&prompt)?;
        let units = self.bench_units()?;
        Ok(Bench {
            members: names
                .into_iter()
                .zip(&alone)
                .map(|(name, times)| MemberBench { name, milliseconds: median(times) })
                .collect(),
            sequential,
            parallel,
            step,
            overhead: step / sequential.min(parallel),
            speedup: sequential / parallel,
            schedule: if in_turn_is_better { "in turn" } else { "side by side" },
            steps,
            drafts,
            texts,
            prompt: long,
            units,
            memory: Memory { peak, models, cache, other: peak - models - cache, devices },
            hooks,
            reloads,
            remote: self.remotes(),
        })
    }

    fn device_memory(&self) -> Vec<DeviceMemory> {
        let now = load::devices();
        let used = |(before, now): (&Device, Device)| DeviceMemory {
            name: now.name,
            used: before.free.saturating_sub(now.free) as f64 / MIB,
            total: now.total as f64 / MIB,
        };
        self.devices_before_loading().iter().zip(now).map(used).collect()
    }

    /// Writes a short reply under the schedule in force and notes the time of each step.
    fn step_block(&mut self, prompt: &Prompt, times: &mut Vec<f64>) -> Result<(), Error> {
        let mut last: Option<Instant> = None;
        let mut count = 0;
        self.reply(prompt, &Arc::default(), &mut |event| {
            if let Event::Token { .. } = event {
                // The first two steps wake threads up, here as in `decode_block`.
                if let (Some(last), true) = (last, count >= WARM_UP) {
                    times.push(last.elapsed().as_secs_f64() * 1e3);
                }
                count += 1;
                last = Some(Instant::now());
            }
        })?;
        Ok(())
    }

    /// Decodes a block of tokens after the prompt under a schedule, without rows, and notes the time of each.
    fn decode_block(&mut self, prompt: &Prompt, schedule: Schedule, times: &mut Vec<f64>) -> Result<(), Error> {
        let failed = |error: crate::member::MemberError| Error::Failure(error.to_string());
        let mut reading = self.decoder().reading().map_err(failed)?;
        let (ensemble, _) = reading.bare();
        let units = ensemble.vocabulary().len() as u32;
        ensemble.fix_schedule(Schedule::in_turn(ensemble.costs().len(), schedule.groups[0][0].1));
        reading.prime(prompt).map_err(failed)?;
        let (ensemble, text) = reading.bare();
        ensemble.fix_schedule(schedule);
        for index in 0..BLOCK + WARM_UP {
            // Which token it is does not matter to its cost.
            let unit = (300 + index % 64) as u32 % units;
            let start = Instant::now();
            ensemble.decode_only(text, unit).map_err(failed)?;
            if index >= WARM_UP {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        Ok(())
    }
}

const WARM_UP: usize = 2;
const MIB: f64 = (1u64 << 20) as f64;

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
