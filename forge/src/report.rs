//! A page about a recipe and what was made of it: one file without network, script or font.
//!
//! It says what statements say and draws what stages wrote: lines of `history.jsonl`, perplexities with their intervals,
//! experts by layer. All text is escaped by maud, and a policy in the page forbids browsers to load or run anything.

mod chart;
mod figures;
mod heat;
mod history;
mod style;

use crate::bench::{Failure, Profile};
use crate::recipe::{Stage, files};
use crate::run::{Forge, ForgeError, Planned, State};
use crate::size::bytes;
use crate::stages::{Chosen, Perplexities, read_json};
use crate::store::{Artifact, Folder, Made, Statement};
use maud::{Markup, html};
use measure::compare::plain;
use measure::page::document;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of a log's end that are shown.
const TAIL: u64 = 4 << 10;

/// Lines of a list that are shown.
const MOST: usize = 100;

impl Forge<'_> {
    /// A page about the recipe and what was made of it.
    pub fn report(&self) -> Result<String, ForgeError> {
        let (plan, made) = self.stand(None)?;
        let title = format!("Forge: {}", plain(&plan.recipe));
        let stages: Vec<_> = self.recipe.stages.iter().zip(&plan.stages).zip(&made).collect();
        let body = html! {
            h1 { (title) }
            (overview(&stages.iter().map(|((_, planned), made)| (*planned, made.as_ref())).collect::<Vec<_>>()))
            @for ((stage, planned), made) in &stages {
                section id=(stage.name) {
                    h2 { (stage.name) " " small { (planned.kind) } }
                    @match (made, &planned.state) {
                        (Some(made), _) => (done(stage, made)),
                        (None, State::Refused(failure)) => p class="wrong" { (failure) },
                        (None, _) => p { "Not run yet." },
                    }
                }
            }
        };
        Ok(document(&title, style::SHEET, &body))
    }
}

fn overview(stages: &[(&Planned, Option<&Made>)]) -> Markup {
    html! {
        table {
            thead { tr { th { "stage" } th { "state" } th { "began" } th { "took" } th { "made" } th { "key" } } }
            tbody {
                @for (planned, made) in stages {
                    @let run = made.and_then(|made| made.statement.run());
                    @let sizes = planned.outputs.iter().filter_map(|(_, size)| *size);
                    @let size = sizes.fold(0_u64, u64::saturating_add);
                    tr {
                        td { a href=(format!("#{}", planned.name)) { (planned.name) } }
                        td { (state(&planned.state)) }
                        td { (run.map(|run| run.metadata.started_on.as_str()).unwrap_or_default()) }
                        td { (run.and_then(|run| run.metadata.seconds()).map(duration).unwrap_or_default()) }
                        td { @if made.is_some() { (count(planned.outputs.len())) ", " (bytes(size)) } }
                        td { code { (key(&planned.state)) } }
                    }
                }
            }
        }
    }
}

fn state(state: &State) -> &'static str {
    match state {
        State::Done(_) => "done",
        State::Runs(_) | State::Waits => "to run",
        State::Refused(_) => "not as it was made, or refused",
    }
}

fn key(state: &State) -> &str {
    match state {
        State::Done(folder) | State::Runs(folder) => folder.split('-').next().unwrap_or_default(),
        _ => "",
    }
}

fn count(number: usize) -> String {
    if number == 1 { "1 file".into() } else { format!("{number} files") }
}

/// Seconds as people say them.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn done(stage: &Stage, made: &Made) -> Markup {
    let folder = &made.folder;
    html! {
        (pictures(stage, made).unwrap_or_else(|failure| html! { p class="wrong" { (failure) } }))
        @for chart in history::charts(&folder.history()) { (chart) }
        (facts(&made.statement, folder))
        @if let Some(tail) = tail(&folder.log()) {
            details { summary { "The end of its log" } pre { (tail) } }
        }
    }
}

/// What a stage's own files show.
fn pictures(stage: &Stage, made: &Made) -> Result<Markup, Failure> {
    let file = |name: &str| made.folder.out().join(name);
    Ok(match stage.kind.name() {
        "perplexity" => figures::perplexities(&read_json::<Perplexities>(&file(files::PERPLEXITY))?),
        "profile" => heat::profile(&read_json::<Profile>(&file(files::PROFILE))?),
        "prune" => heat::chosen(&read_json::<Vec<Chosen>>(&file(files::EXPERTS))?),
        "eval" => html! {
            (figures::evaluations(&made.folder.out(), &names(&made.statement)))
            @if file(files::COMPARISON).exists() { (figures::comparison(&read_json(&file(files::COMPARISON))?)) }
        },
        _ => html! {},
    })
}

/// Names of what a stage made.
fn names(statement: &Statement) -> Vec<&str> {
    statement.subject.iter().map(|subject| subject.name.as_str()).take(MOST).collect()
}

fn facts(statement: &Statement, folder: &Folder) -> Markup {
    let parameters = statement.definition().external_parameters.as_object();
    html! {
        details {
            summary { "Parameters, files and digests" }
            table class="facts" {
                @for (name, value) in parameters.into_iter().flatten() {
                    tr { th { (name) } td { code { (value) } } }
                }
            }
            h3 { "Read" }
            (artifacts(&statement.definition().resolved_dependencies))
            h3 { "Made, in " code { (folder.name()) "/out" } }
            (artifacts(&statement.subject))
            @if let Some(run) = statement.run() {
                p class="note" { "By " (run.builder.id) ", " (run.metadata.started_on) " to " (run.metadata.finished_on) "." }
            }
        }
    }
}

fn artifacts(artifacts: &[Artifact]) -> Markup {
    html! {
        table class="facts" {
            @for artifact in artifacts.iter().take(MOST) {
                @let source = artifact.source().map(|source| format!(" from {}", plain(source)));
                tr { td { (plain(&artifact.name)) (source.unwrap_or_default()) } td { code { (artifact.digest.sha256) } } }
            }
        }
        @if artifacts.len() > MOST { p class="note" { "and " (artifacts.len() - MOST) " more" } }
    }
}

/// The end of a log.
fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).lines().map(plain).collect::<Vec<_>>().join("\n");
    (!text.trim().is_empty()).then_some(text)
}
