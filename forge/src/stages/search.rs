//! `search`: the smallest copy of a model that is good enough, among numbers of experts and types.
//!
//! A candidate is a file only when somebody looks at it: its size follows from headers, and its file is made once, beside the
//! stage's outputs, and gone with it. The base's losses are read once for each window.

use super::choice::{Ranking, scores};
use super::experts::{self, header};
use super::guess::{of_experts, of_type};
use super::prune::{expand, is_of};
use super::{Work, read_json};
use crate::bench::{Failure, Profile, Text, Window};
use crate::recipe::files::{self, searched, stem};
use crate::recipe::{By, Search};
use crate::run::Read;
use crate::search::{
    Axis, Coverage, Event, Fate, Observer, Point, Settings, Space, Surface, WindowLoss, Windows, coverage,
    make_strategy, run,
};
use gguf::Header;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The part of a text that winners are measured on where no other text is given: its last third.
const HELD: u32 = 3;

/// The share of what experts add that is enough for `adaptive` to begin with.
const ENOUGH: f64 = 0.85;

const EXPERTS: &str = "experts";
const TYPE: &str = "type";

pub(super) fn search(stage: &Search, work: &Work) -> Result<(), Failure> {
    let mut candidates = Candidates::new(stage, work)?;
    let space = Space::new(candidates.axes())?;
    let shares = |axis: usize| Coverage { axis, shares: candidates.shares(), enough: ENOUGH };
    let by = space.axes().iter().position(|axis| axis.name == EXPERTS).map(shares);
    let mut strategy = make_strategy(stage.strategy, stage.seed, by)?;
    let standard = Settings::default();
    let settings = Settings {
        fits: stage.fits.map(|bytes| bytes.0),
        keep: stage.keep.map(|keep| keep.perplexity.0),
        quick: stage.quick.unwrap_or(standard.quick),
        full: stage.full.unwrap_or(standard.full),
        seed: stage.seed,
        ..standard
    };
    let outcome = run(&space, &mut candidates, strategy.as_mut(), &settings, &mut Told(work))?;
    let table = outcome.table();
    table.lines().for_each(|line| work.watch.log(line));
    let Some(winner) = outcome.winner() else { return Err(Failure::new(table.trim_end())) };
    let (point, model) = (winner.point.clone(), work.reads.one("model")?);
    work.write_json(files::SEARCH, &outcome)?;
    let made = candidates.file(&point)?;
    let out = work.out.join(searched(stem(&model.file)));
    if made == model.path {
        std::fs::copy(&made, &out).map_err(|error| Failure::write(&out, &error))?;
    } else {
        std::fs::rename(&made, &out).map_err(|error| Failure::write(&out, &error))?;
    }
    Ok(())
}

/// Tells the stage's watch how the search goes.
struct Told<'a>(&'a Work<'a>);

impl Observer for Told<'_> {
    fn event(&mut self, event: &Event) {
        if let Ok(line) = serde_json::to_value(event) {
            self.0.watch.history(line);
        }
        let line = match event {
            Event::Dropped { candidate, fate } => match fate {
                Fate::Failed { reason } => format!("{candidate}: {reason}"),
                fate => format!("{candidate}: {}", fate.words(&|point| format!("{:?}", point.0))),
            },
            Event::Measured { candidate, ratio, .. } => match ratio {
                Some(ratio) => {
                    format!("{candidate}: perplexity × {:.4} [{:.4}, {:.4}]", ratio.ratio, ratio.low, ratio.high)
                }
                None => format!("{candidate}: measured on too little for an interval"),
            },
            Event::Confirmed(confirmation) => {
                let held = &confirmation.held;
                format!("{}: × {:.4} [{:.4}, {:.4}] on held text", confirmation.label, held.ratio, held.low, held.high)
            }
        };
        self.0.watch.log(&line);
    }

    fn cancelled(&self) -> bool {
        self.0.watch.cancelled()
    }
}

/// The files of a search.
struct Candidates<'a> {
    work: &'a Work<'a>,
    model: &'a Read,
    header: Header,
    imatrix: Option<&'a Read>,
    text: Text<'a>,
    held: Option<Text<'a>>,
    windows: Windows,
    /// Numbers of experts, from the most on; empty where experts are no axis.
    numbers: Vec<u32>,
    /// Types, from the largest file on; empty where types are no axis.
    types: Vec<String>,
    profile: Option<Profile>,
    ranking: Option<Ranking>,
    layers: Vec<u32>,
    /// Losses of the base, by windows.
    base: BTreeMap<u32, Window>,
    /// The folder where files are made, which ends with the search.
    place: tempfile::TempDir,
    made: BTreeMap<Point, PathBuf>,
}

impl<'a> Candidates<'a> {
    fn new(stage: &Search, work: &'a Work) -> Result<Self, Failure> {
        let (model, text) = (work.reads.one("model")?, work.reads.one("text")?);
        let header = header(&model.path)?;
        let mut numbers = stage.axes.experts.clone();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        numbers.dedup();
        let imatrix = work.reads.maybe("imatrix");
        let mut sized = Vec::new();
        for to in &stage.axes.types {
            sized.push((work.bench.quantized(&header, to, imatrix.is_some())?.file_size(), to.clone()));
        }
        // Of two types of one size, the one that the recipe names first.
        sized.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let types: Vec<String> = sized.into_iter().map(|(_, to)| to).collect();
        if numbers.is_empty() && types.is_empty() {
            return Err(Failure::new("`axes` needs `experts`, or `type`, or both"));
        }
        let profile = work.reads.maybe("profile").map(|read| read_json(&read.path)).transpose()?;
        let (mut layers, mut ranking) = (Vec::new(), None);
        if !numbers.is_empty() {
            let profile = profile.as_ref().ok_or_else(|| {
                Failure::new("to search among numbers of experts, give the `profile` that says which ones stay")
            })?;
            let has = experts::of(&model.path)?;
            if let Some(few) = numbers.iter().find(|&&number| number < has.used() || number > has.count()) {
                return Err(Failure::new(format!(
                    "`{}` has {} experts, {} for each token: {few} of them cannot be kept",
                    model.file,
                    has.count(),
                    has.used()
                )));
            }
            is_of(profile, &has, &model.file)?;
            ranking = Some(Ranking::of_profile(profile, By::Total)?);
            layers = has.layers().to_vec();
        }
        let of = |read: &'a Read| Text { file: &read.path, context: stage.context, windows: None, skip: 0 };
        let (text, held) = (of(text), work.reads.maybe("held").map(of));
        let all = work.bench.windows(&model.path, text)?;
        let (search, kept) = match held {
            Some(held) => (all, work.bench.windows(&model.path, held)?),
            None => (all - all / HELD, all / HELD),
        };
        let beside = work.out.parent().unwrap_or(work.out);
        let place = tempfile::Builder::new().prefix("candidates-").tempdir_in(beside);
        Ok(Self {
            windows: Windows { search, held: kept, tokens: stage.context },
            place: place.map_err(|error| Failure::write(beside, &error))?,
            work,
            model,
            header,
            imatrix,
            text,
            held,
            numbers,
            types,
            profile,
            ranking,
            layers,
            base: BTreeMap::new(),
            made: BTreeMap::new(),
        })
    }
}

impl Candidates<'_> {
    fn axes(&self) -> Vec<Axis> {
        let experts = Axis { name: EXPERTS.into(), values: self.numbers.iter().map(u32::to_string).collect() };
        let types = Axis { name: TYPE.into(), values: self.types.clone() };
        [experts, types].into_iter().filter(|axis| !axis.values.is_empty()).collect()
    }

    /// The share of what experts add that each number of them keeps, in the layer where it is least.
    fn shares(&self) -> Vec<f64> {
        let layers = self.profile.iter().flat_map(|profile| &profile.layers);
        let layers: Vec<Vec<f64>> = layers.map(|layer| scores(layer, By::Total)).collect();
        self.numbers.iter().map(|&number| coverage(&layers, number as usize)).collect()
    }

    /// How many experts a candidate keeps, and its type, where these are axes.
    fn values(&self, point: &Point) -> (Option<u32>, Option<&str>) {
        let mut places = point.0.iter();
        let mut next = |is_axis: bool| if is_axis { places.next().copied() } else { None };
        let number = next(!self.numbers.is_empty()).and_then(|place| self.numbers.get(place).copied());
        let to = next(!self.types.is_empty()).and_then(|place| self.types.get(place));
        (number, to.map(String::as_str))
    }

    fn keep(&self, number: u32) -> Result<Vec<Vec<u32>>, Failure> {
        let (Some(ranking), Some(profile)) = (&self.ranking, &self.profile) else {
            return Err(Failure::new("experts are no axis of this search"));
        };
        expand(ranking.keep(number)?, profile, &self.layers, number)
    }

    /// The importance matrix for a candidate with so many experts: that of the model has columns for all of them.
    fn imatrix_for(&self, number: Option<u32>) -> Option<&Read> {
        self.imatrix.filter(|_| number.is_none_or(|number| !self.is_less(number)))
    }

    /// The candidate's file, which is made when it is wanted for the first time.
    fn file(&mut self, point: &Point) -> Result<PathBuf, Failure> {
        if let Some(made) = self.made.get(point) {
            return Ok(made.clone());
        }
        let (number, to) = self.values(point);
        let (number, to) = (number, to.map(String::from));
        let mut file = self.model.path.clone();
        if let Some(number) = number.filter(|&number| self.is_less(number)) {
            let pruned = self.place.path().join(format!("{number}.gguf"));
            if !pruned.exists() {
                experts::write(&file, &self.keep(number)?, &pruned, self.work.watch)?;
            }
            file = pruned;
        }
        if let Some(to) = &to {
            let name = number.map_or_else(|| format!("{to}.gguf"), |number| format!("{number}-{to}.gguf"));
            let out = self.place.path().join(name);
            let imatrix = self.imatrix_for(number).map(|read| read.path.as_path());
            self.work.bench.quantize(&file, to, imatrix, &out, self.work.watch)?;
            file = out;
        }
        self.made.insert(point.clone(), file.clone());
        Ok(file)
    }

    /// Whether the model has more experts than so many.
    fn is_less(&self, number: u32) -> bool {
        self.profile.iter().flat_map(|profile| &profile.layers).any(|layer| layer.counts.len() > number as usize)
    }

    /// Losses of a file on windows by their numbers: those of the held text follow those of the text.
    fn losses(&self, file: &std::path::Path, windows: &[u32]) -> Result<Vec<Window>, Failure> {
        let Some(held) = self.held else {
            return self.work.bench.losses(file, self.text, Some(windows), self.work.watch);
        };
        let (here, there): (Vec<u32>, Vec<u32>) = windows.iter().partition(|&&window| window < self.windows.search);
        let there: Vec<u32> = there.iter().map(|window| window - self.windows.search).collect();
        let mut all = Vec::new();
        for (text, windows) in [(self.text, here), (held, there)] {
            if !windows.is_empty() {
                all.extend(self.work.bench.losses(file, text, Some(&windows), self.work.watch)?);
            }
        }
        Ok(all)
    }
}

impl Surface for Candidates<'_> {
    fn windows(&self) -> Windows {
        self.windows
    }

    fn size(&mut self, point: &Point) -> Result<u64, Failure> {
        let (number, to) = self.values(point);
        let mut header = self.header.clone();
        if let Some(number) = number.filter(|&number| self.is_less(number)) {
            header = experts::plan(&header, &self.keep(number)?)?.header().clone();
        }
        if let Some(to) = to {
            header = self.work.bench.quantized(&header, to, self.imatrix_for(number).is_some())?;
        }
        Ok(header.file_size())
    }

    fn estimate(&mut self, point: &Point) -> Option<f64> {
        let (number, to) = self.values(point);
        let experts = number.zip(self.profile.as_ref()).map(|(number, profile)| of_experts(profile, number));
        let types = to.and_then(of_type);
        match (experts, types) {
            (None, None) => None,
            (experts, types) => Some(experts.unwrap_or(0.0) + types.unwrap_or(0.0)),
        }
    }

    fn measure(&mut self, point: &Point, windows: &[u32]) -> Result<Vec<WindowLoss>, Failure> {
        let mut windows = windows.to_vec();
        windows.sort_unstable();
        let unknown: BTreeSet<u32> = windows.iter().copied().filter(|window| !self.base.contains_key(window)).collect();
        if !unknown.is_empty() {
            let unknown: Vec<u32> = unknown.into_iter().collect();
            let losses = self.losses(&self.model.path, &unknown)?;
            self.base.extend(unknown.into_iter().zip(losses));
        }
        let file = self.file(point)?;
        let losses = self.losses(&file, &windows)?;
        let pair = |(&window, loss): (&u32, Window)| {
            let base = self.base.get(&window).filter(|base| base.tokens == loss.tokens);
            let base = base.ok_or_else(|| Failure::new("the candidate cuts the text into other tokens"))?;
            Ok(WindowLoss { window, nats: loss.nats, base: base.nats, tokens: loss.tokens })
        };
        windows.iter().zip(losses).map(pair).collect()
    }
}
