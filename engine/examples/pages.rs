//! Shell completions and man pages of `llama_selfmod`, made from its command line: `cargo xtask completions` and
//! `cargo xtask man`.

use clap::Command;
use clap_complete::Shell;
use llama_selfmod::cli::command;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, folder] = &words[..] else { panic!("usage: pages completions|man FOLDER") };
    std::fs::create_dir_all(folder)?;
    match what.as_str() {
        "completions" => {
            for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
                let file = clap_complete::generate_to(shell, &mut shown(&command()), "llama_selfmod", folder)?;
                println!("{}", file.display());
            }
        }
        "man" => {
            clap_mangen::generate_to(command(), folder)?;
            println!("{}", Path::new(folder).join("llama_selfmod.1").display());
        }
        other => panic!("`{other}` is neither `completions` nor `man`"),
    }
    Ok(())
}

/// What completions are made of, without what `--help` does not show: the shells would offer it.
fn shown(command: &Command) -> Command {
    let mut shown = Command::new(&*command.get_name().to_string().leak());
    shown = shown.args(command.get_arguments().filter(|argument| !argument.is_hide_set()));
    shown = shown.subcommands(command.get_subcommands().map(self::shown));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(&*version.to_string().leak());
    }
    shown
}
