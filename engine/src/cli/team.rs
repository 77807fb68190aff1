//! `team`: search, pack, verify.

mod table;

use super::{
    args::{PackArgs, SearchArgs},
    evaluate::write_page,
    measure::line,
    output::{print, print_json, visible},
    progress,
    render::{Detail, Look},
    trial::Admission,
};
use crate::{
    Error,
    engine::{Engine, member_names, model_files},
    files,
    memory::sha256,
    passes::{Pass, Plan},
    settings::{ModelSource, Settings},
    team::{
        Evidence, Measured, Pack, Packing, Text,
        search::{self, Bounds, Candidate, Found, Mixture, Prospect, bits_per_byte, blocks, difference, mixtures},
    },
};
use ::measure::{page::Page, statistics::Bootstrap};
use serde::Serialize;
use std::{path::Path, process::ExitCode};

/// The largest text that is read, in bytes: days of reading.
const LARGEST_TEXT: u64 = 1 << 30;

/// All that a search has to say.
#[derive(Serialize)]
pub struct Report {
    /// Names of the candidates.
    candidates: Vec<String>,
    /// What cannot be one, and why.
    left_out: Vec<String>,
    #[serde(flatten)]
    found: Found,
    /// How the best team is mixed best.
    mixture: Option<Mixture>,
    confirmed: Option<Confirmed>,
}

/// The best team, run for real on text that it was not chosen on.
#[derive(Serialize)]
pub struct Confirmed {
    members: Vec<String>,
    bits_per_byte: f64,
    /// The candidate that needs least alone, on this text.
    against: String,
    alone: f64,
    difference: Option<Bootstrap>,
    bytes: u64,
}

/// A text with its name.
struct Source<'a> {
    name: String,
    text: &'a str,
}

/// Finds the team, tells it, and packs it where that was asked for.
pub fn search(settings: &Settings, look: Look, admission: Admission, args: &SearchArgs) -> Result<ExitCode, Error> {
    let remark = Look { detail: Detail::Normal, ..look };
    let text = files::read_text(&args.text, LARGEST_TEXT)?;
    let other = args.confirm.as_deref().map(|file| files::read_text(file, LARGEST_TEXT)).transpose()?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (first, second) = match (&other, &args.confirm) {
        (Some(other), Some(file)) => {
            (Source { name: name(&args.text), text: &text }, Source { name: name(file), text: other })
        }
        _ => {
            let (first, second) = halves(&text);
            let of = |half: &str| format!("{}, {half} half", name(&args.text));
            (Source { name: of("first"), text: first }, Source { name: of("second"), text: second })
        }
    };
    let plan = Plan::new(settings)?;
    let names = member_names(&settings.models);
    let (mut sources, mut candidates, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (model, name) in settings.models.iter().zip(&names) {
        let source = ModelSource { name: Some(name.clone()), weight: 1.0, ..model.clone() };
        match pass(&plan, &source, first.text, look, admission) {
            Ok(pass) => {
                let files = model_files(&model.path);
                let size: u64 = files.iter().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum();
                candidates.push(Candidate { name: name.clone(), memory: size + pass.cache, pass });
                sources.push(source);
            }
            Err(Error::Input(why)) => {
                let why = format!("`{name}`: {why}");
                remark.remark(&format!("left out: {why}"));
                left_out.push(why);
            }
            Err(error) => return Err(error),
        }
    }
    if candidates.len() < 2 {
        return Err(Error::Input("a team takes two candidates that can write the text; name more models".into()));
    }
    let bar = progress::bar(look, "searching");
    let bounds = Bounds { most: args.most, memory: args.memory };
    let found = search::search(&candidates, settings, bounds, &mut |part| bar.set_position((part * 1000.0) as u64))?;
    bar.finish_and_clear();
    let best = found.best.and_then(|best| found.teams.get(best));
    let (mut mixture, mut confirmed) = (None, None);
    if let Some(best) = best {
        // Of candidates that cannot write it there is none: on this text they are no rivals.
        let mut rivals: Vec<Option<Candidate>> = Vec::new();
        for source in &sources {
            let name = source.name.clone().unwrap_or_default();
            let pass = pass(&plan, source, second.text, look, admission);
            rivals.push(pass.ok().map(|pass| Candidate { name, memory: 0, pass }));
        }
        let tried = mixtures(&candidates, &best.members, settings)?;
        let chosen = that_holds(tried, &rivals, &best.members, settings)?;
        let team = Team { plan: &plan, sources: &sources, best, mixture: &chosen, look, admission };
        let (run, evidence) = team.confirm(&second, &rivals)?;
        confirmed = Some(run);
        if let Some(folder) = &args.output {
            Pack::write(folder, &team.settings()?, &team.names(), Packing::Copy, evidence)?;
        }
        mixture = Some(chosen);
    } else if args.output.is_some() {
        return Err(Error::Input("no team fits into that memory; raise --memory".into()));
    }
    let candidates = candidates.into_iter().map(|candidate| candidate.name).collect();
    let report = Report { candidates, left_out, found, mixture, confirmed };
    if let Some(file) = &args.html {
        write_page(file, &Page::new("Team search").matrix(&table::matrix(&report)))?;
    }
    if args.json { print_json(&line(&report)?) } else { print(&table::table(&report, args)) }
}

/// A pass, with a bar.
fn pass(plan: &Plan, source: &ModelSource, text: &str, look: Look, admission: Admission) -> Result<Pass, Error> {
    let bar = progress::bar(look, "reading");
    let mut load = |settings: Settings| -> Result<Engine, Error> { progress::load(settings, look, admission) };
    let pass = plan.pass(source, text, &mut load, &mut |part| bar.set_position((part * 1000.0) as u64));
    bar.finish_and_clear();
    pass
}

/// The first of some mixtures, the best on the text of the search, unless the fusion that was asked for is better on the other text:
/// weights that were fitted to one text have to hold on another.
fn that_holds(
    tried: Vec<Mixture>,
    rivals: &[Option<Candidate>],
    members: &[usize],
    settings: &Settings,
) -> Result<Mixture, Error> {
    let others: Vec<Candidate> = members.iter().filter_map(|&member| rivals[member].clone()).collect();
    let asked = tried.iter().find(|mixture| mixture.is_asked(settings)).cloned();
    let first = tried.into_iter().next().ok_or_else(|| Error::Failure("there is no way to mix them".into()))?;
    let Some(asked) = asked.filter(|asked| *asked != first && others.len() == members.len()) else { return Ok(first) };
    let places: Vec<usize> = (0..others.len()).collect();
    let needs = |mixture: &Mixture| -> Result<f64, Error> {
        let costs = search::predict(&others, &places, &mixture.weights, &mixture.apply(settings)?)?;
        Ok(bits_per_byte(&costs))
    };
    if needs(&first)? < needs(&asked)? { Ok(first) } else { Ok(asked) }
}

/// Parted at the line end nearest to the middle.
fn halves(text: &str) -> (&str, &str) {
    let middle = text.len() / 2;
    let ends = text.match_indices('\n').map(|(place, _)| place + 1);
    let line = ends.min_by_key(|end| end.abs_diff(middle)).filter(|end| end.abs_diff(middle) < text.len() / 4);
    let character = || (middle..=text.len()).find(|&place| text.is_char_boundary(place)).unwrap_or(text.len());
    text.split_at(line.unwrap_or_else(character))
}

/// The team that was found.
struct Team<'a> {
    plan: &'a Plan,
    sources: &'a [ModelSource],
    best: &'a Prospect,
    mixture: &'a Mixture,
    look: Look,
    admission: Admission,
}

impl Team<'_> {
    fn settings(&self) -> Result<Settings, Error> {
        let members = self.best.members.iter().zip(&self.mixture.weights);
        let model = |(&member, &weight): (&usize, &f32)| ModelSource { weight, ..self.sources[member].clone() };
        self.mixture.apply(&self.plan.team(members.map(model).collect()))
    }

    fn names(&self) -> Vec<String> {
        let name = |&member: &usize| self.sources[member].name.clone().unwrap_or_default();
        self.best.members.iter().map(name).collect()
    }

    /// Runs it on another text, against the candidate that is best there.
    fn confirm(&self, source: &Source, rivals: &[Option<Candidate>]) -> Result<(Confirmed, Option<Evidence>), Error> {
        let mut engine = progress::load(self.settings()?, self.look, self.admission)?;
        let (mut ends, mut nats, mut end) = (Vec::new(), Vec::new(), 0);
        let bar = progress::bar(self.look, "confirming");
        let mut count = |unit: &crate::score::Predicted| {
            end += unit.bytes.len() as u32;
            ends.push(end);
            nats.push(unit.fused);
        };
        engine.walk(source.text, &mut count, &mut |part| bar.set_position((part * 1000.0) as u64))?;
        bar.finish_and_clear();
        let costs = blocks(&ends, nats.into_iter());
        let single = |rival: &Candidate| {
            (rival.name.clone(), blocks(&rival.pass.ends, rival.pass.nats.iter().map(|&nats| nats.into())))
        };
        let alone = rivals.iter().flatten().map(single);
        let least = alone.min_by(|(_, a), (_, b)| bits_per_byte(a).total_cmp(&bits_per_byte(b)));
        let (against, alone) = least.unwrap_or_default();
        let found = difference(&costs, &alone);
        let confirmed = Confirmed {
            members: self.names(),
            bits_per_byte: bits_per_byte(&costs),
            alone: bits_per_byte(&alone),
            difference: found,
            bytes: u64::from(end),
            against,
        };
        let evidence = found.map(|found| Evidence {
            text: Text {
                name: source.name.clone(),
                sha256: sha256(source.text.as_bytes()),
                bytes: source.text.len() as u64,
            },
            gain: Measured::new(found.bits_per_byte, found.interval, &confirmed.against),
        });
        Ok((confirmed, evidence))
    }
}

/// Packs the ensemble of the command line.
pub fn pack(settings: &Settings, args: &PackArgs) -> Result<ExitCode, Error> {
    let packing = if args.refer { Packing::Refer } else { Packing::Copy };
    let pack = Pack::write(&args.output, settings, &member_names(&settings.models), packing, None)?;
    let folder = visible(&pack.folder.display().to_string());
    print(&format!("packed {} members into {folder}; use it with `--team {folder}`\n", pack.team.member.len()))
}

/// Reads all files of a pack.
pub fn verify(folder: &Path) -> Result<ExitCode, Error> {
    let pack = Pack::read(folder)?;
    pack.verify(None)?;
    let name = |member: &crate::team::Member| visible(&member.name);
    let names: Vec<String> = pack.team.member.iter().map(name).collect();
    print(&format!("{} members as they were packed: {}\n", names.len(), names.join(", ")))
}
