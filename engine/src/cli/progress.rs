//! Loading, with a bar for each member where a person is watching.

use super::{
    output::{self, visible},
    render::{Detail, Look},
    trial::Admission,
};
use crate::{Error, engine::Engine, settings::Settings};
pub use indicatif::{HumanBytes as Size, ProgressBar as Bar};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    borrow::Cow,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// What is loaded sooner would only flicker.
pub const WORTH_A_BAR: Duration = Duration::from_millis(300);

/// Loads the ensemble, of the members that may decode.
pub fn load(settings: Settings, look: Look, admission: Admission) -> Result<Engine, Error> {
    let watched = output::stderr().is_terminal() && matches!(look.detail, Detail::Normal | Detail::Verbose);
    let all = MultiProgress::new();
    // Made when it is known for which members, and when loading begins.
    let bars = OnceLock::new();
    let admit = |settings: Settings| {
        let settings = admission.admit(settings, look)?;
        let models = settings.models.iter().chain(&settings.draft_model);
        let names = models.map(|model| match &model.remote {
            Some(remote) => Cow::Borrowed(remote.url.as_str()),
            None => model.path.file_stem().unwrap_or_default().to_string_lossy(),
        });
        let bar = |name: Cow<str>| all.add(ProgressBar::new(1000).with_prefix(visible(&name)).with_style(style()));
        let _ = bars.set((Instant::now(), if watched { names.map(bar).collect() } else { Vec::new() }));
        Ok(settings)
    };
    let engine = Engine::load_admitted(settings, admit, &|index, part| {
        let Some((start, bars)) = bars.get() else { return };
        if let Some(bar) = bars.get(index).filter(|_| start.elapsed() > WORTH_A_BAR) {
            bar.set_position((part.clamp(0.0, 1.0) * 1000.0) as u64);
        }
    });
    bars.get().iter().flat_map(|(_, bars)| bars).for_each(ProgressBar::finish_and_clear);
    engine
}

/// A bar for anything else that takes long, in thousandths.
pub fn bar(look: Look, what: &'static str) -> ProgressBar {
    if !output::stderr().is_terminal() || look.detail == Detail::Json {
        return ProgressBar::hidden();
    }
    ProgressBar::new(1000).with_prefix(what).with_style(style())
}

/// A bar for items, with how long the rest is likely to take.
pub fn items(look: Look, what: &str, count: usize) -> ProgressBar {
    if !output::stderr().is_terminal() || !matches!(look.detail, Detail::Normal | Detail::Verbose) {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix:24!} {bar:32} {pos} of {len}, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count as u64).with_prefix(visible(what)).with_style(style)
}

/// A sign that something goes on whose length is not known, if it has gone on for a while; to be ticked.
pub fn sign(look: Look, what: String) -> ProgressBar {
    if !output::stderr().is_terminal() || !matches!(look.detail, Detail::Normal | Detail::Verbose) {
        return ProgressBar::hidden();
    }
    ProgressBar::new_spinner().with_message(what)
}

/// A bar for what tells its length and its words as it goes on.
pub fn told(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:32!} {spinner} {bar:24} {msg}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_prefix(visible(what))
}

/// A bar for bytes that arrive, or are sent.
pub fn transfer() -> ProgressBar {
    if !output::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{prefix:24!} {bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:24!} {bar:32} {percent:>3} %")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
