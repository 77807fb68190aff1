//! `forge` and `publish`.

mod bench;
mod imatrix;
mod observe;
mod remote;

use self::{bench::Workshop, observe::Terminal, remote::Net};
use super::{
    args::{ForgeArgs, PublishArgs},
    folders, hub,
    output::{print, visible},
    render::Look,
};
use crate::Error;
use ::forge::{
    bench::Failure,
    card::of_folder,
    recipe::Recipe,
    run::{Forge, ForgeError, verify},
    store::{Signer, Store, Trust},
};
use ::hub::{Hub, PublishOptions, State};
use std::process::ExitCode;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure.to_string())
    }
}

/// Runs a recipe, or says what it would do, or whether what it made is as it was made.
pub fn run(args: &ForgeArgs, look: Look) -> Result<ExitCode, Error> {
    let recipe = Recipe::open(&args.recipe).map_err(|error| Error::Input(error.to_string()))?;
    let root = args.output.clone().unwrap_or_else(|| recipe.folder.join("forge"));
    let input = |failure: Failure| Error::Input(failure.to_string());
    let signer = args.sign.as_deref().map(Signer::open).transpose().map_err(input)?;
    let trust = args.signed_by.as_deref().map(Trust::open).transpose().map_err(input)?;
    let (net, observer) = (Net, Terminal::new(look)?);
    if args.verify {
        let found = verify(&recipe, &root, &net, trust.as_ref(), &observer);
        observer.end();
        if let (Err(Failure::Cancelled), Some(signal)) = (&found, observer.ended_by()) {
            return Ok(ExitCode::from(128u8.saturating_add(signal as u8)));
        }
        let found = found?;
        print(&visible_lines(&found.to_string()))?;
        return Ok(if found.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let workshop = Workshop::new(args.n_gpu_layers, args.threads, args.trust, look, folders::cache())?;
    let store = if args.dry_run { Store::look(&root) } else { Store::open(&root)? };
    let forge = Forge {
        recipe: &recipe,
        store: &store,
        bench: &workshop,
        remote: &net,
        observer: &observer,
        signer: signer.as_ref(),
    };
    let failed = |error: ForgeError| match error {
        ForgeError::NoSuchStage { .. } => Error::Input(error.to_string()),
        ForgeError::Stage(_) => Error::Failure(error.to_string()),
    };
    // Of what is done, also where a stage fails.
    let page = || match &args.html {
        Some(file) => std::fs::write(file, forge.report().map_err(failed)?)
            .map_err(|error| Error::Failure(format!("the page `{}` cannot be written: {error}", file.display()))),
        None => Ok(()),
    };
    if args.dry_run {
        let plan = forge.plan(args.from.as_deref()).map_err(failed)?;
        page()?;
        return print(&visible_lines(&plan.to_string()));
    }
    let ran = forge.run(args.from.as_deref());
    observer.end();
    let page = page();
    let Err(error) = ran else { return page.map(|()| ExitCode::SUCCESS) };
    match observer.ended_by() {
        Some(signal) => {
            look.error_line(&error.to_string());
            Ok(ExitCode::from(128u8.saturating_add(signal as u8)))
        }
        None => Err(failed(error)),
    }
}

/// Text with names of files in it, which can hold anything, line by line.
fn visible_lines(text: &str) -> String {
    text.lines().map(|line| visible(line) + "\n").collect()
}

/// Writes a model card into a folder of models that has none, so that it can be read before it is sent.
fn add_card(args: &PublishArgs, look: Look) -> Result<(), Error> {
    let file = args.folder.join("README.md");
    if file.exists() || !args.folder.is_dir() {
        return Ok(());
    }
    let observer = Terminal::new(look)?;
    let card = of_folder(&args.folder, &args.repo, &observer);
    observer.end();
    if let Some(card) = card? {
        std::fs::write(&file, card)
            .map_err(|error| Error::Failure(format!("the card `{}` cannot be written: {error}", file.display())))?;
        look.remark(&visible(&format!("wrote the model card {}", file.display())));
    }
    Ok(())
}

/// Sends a folder to the hub.
pub fn publish(args: &PublishArgs, look: Look) -> Result<ExitCode, Error> {
    let options = PublishOptions {
        private: args.private,
        branch: args.branch.clone(),
        message: args.message.clone(),
        dry_run: args.dry_run,
    };
    add_card(args, look)?;
    let mut bar = hub::Bar { look, bar: None };
    let published = Hub::from_env()?.publish(&args.folder, &args.repo, &options, &mut bar);
    bar.end();
    let published = published?;
    let mut text = String::new();
    for file in &published.files {
        let state = match file.state {
            State::Sent if args.dry_run => "would be sent",
            State::Sent => "sent",
            State::Known => "known to the hub",
            State::Unchanged => "unchanged",
            State::Ignored => "left out by .gitignore",
        };
        text.push_str(&format!("{:>14}  {state}: {}\n", file.size, visible(&file.path)));
    }
    match &published.commit {
        Some(commit) => text.push_str(&format!("{} at commit {commit}\n", published.url)),
        None => text.push_str(&format!("nothing was sent to {}\n", published.url)),
    }
    print(&text)
}
