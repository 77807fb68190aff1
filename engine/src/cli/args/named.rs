//! The words of a command line that name a file to be read: wherever one stands, an address on the hub can stand, too.

use super::{
    Command, CommandLine, EnsembleArgs, EvalArgs, ScoreArgs, TeamCommand, VocabArgs, WritingArgs,
    evaluate::{CompareArgs, PackArgs, SearchArgs},
};
use std::path::PathBuf;

/// A word that names a file.
pub enum Named<'a> {
    /// The file alone.
    File(&'a mut PathBuf),
    /// A file with settings behind a colon, or a name that is no file's.
    Spec(&'a mut String),
}

impl CommandLine {
    /// All ensembles that are named.
    pub fn ensembles(&mut self) -> Vec<&mut EnsembleArgs> {
        let mut all = vec![&mut self.ensemble];
        match &mut self.command {
            Some(Command::Score(args)) => all.push(&mut args.ensemble),
            Some(Command::Bench(args)) => all.push(&mut args.ensemble),
            Some(Command::Eval(args)) => all.push(&mut args.ensemble),
            #[cfg(feature = "serve")]
            Some(Command::Serve(args)) => all.push(&mut args.ensemble),
            Some(Command::Team(args)) => match &mut args.what {
                TeamCommand::Search(args) => all.push(&mut args.ensemble),
                TeamCommand::Pack(args) => all.push(&mut args.ensemble),
                TeamCommand::Verify(_) => {}
            },
            _ => {}
        }
        all
    }

    /// All words that name a file which is read, but for folders.
    pub fn named(&mut self) -> Vec<Named<'_>> {
        let mut all = match &mut self.command {
            None => Vec::new(),
            Some(Command::Score(ScoreArgs { ensemble, file, .. })) => {
                let mut all = ensemble.named();
                all.push(Named::File(file));
                all
            }
            Some(Command::Bench(args)) => args.ensemble.named(),
            Some(Command::Eval(args)) => args.named(),
            Some(Command::Compare(CompareArgs { files, .. })) => files.iter_mut().map(Named::File).collect(),
            Some(Command::Team(args)) => args.what.named(),
            #[cfg(feature = "serve")]
            Some(Command::Serve(args)) => args.ensemble.named().into_iter().chain(args.writing.named()).collect(),
            Some(Command::Vocab(VocabArgs { files, .. })) => files.iter_mut().map(Named::File).collect(),
            Some(Command::Replay(args)) => {
                let specs = args.policy.iter_mut().chain(&mut args.plugin).map(Named::Spec);
                std::iter::once(Named::File(&mut args.file)).chain(specs).collect()
            }
            Some(Command::Check(args)) => vec![Named::File(&mut args.file)],
            // A recipe names its files itself; the others read none, or are for the program.
            Some(Command::Forge(_) | Command::Publish(_) | Command::New(_) | Command::Try(_)) => Vec::new(),
        };
        all.extend(self.ensemble.named());
        all.extend(self.reply.writing.named());
        all
    }
}

impl EnsembleArgs {
    fn named(&mut self) -> Vec<Named<'_>> {
        let files = self.model.iter_mut().chain(&mut self.models).chain(&mut self.plugin_config).map(Named::File);
        let specs = self.member.iter_mut().chain(&mut self.draft).chain(&mut self.plugin).chain(&mut self.policy);
        files.chain(specs.map(Named::Spec)).collect()
    }
}

impl WritingArgs {
    fn named(&mut self) -> impl Iterator<Item = Named<'_>> {
        self.chat_template.iter_mut().map(Named::File)
    }
}

impl EvalArgs {
    fn named(&mut self) -> Vec<Named<'_>> {
        let files = self.data.iter_mut().chain(&mut self.judge).chain(&mut self.words).map(Named::File);
        let specs = self.tasks.iter_mut().chain(&mut self.against).map(Named::Spec);
        self.ensemble.named().into_iter().chain(files).chain(specs).collect()
    }
}

impl TeamCommand {
    fn named(&mut self) -> Vec<Named<'_>> {
        match self {
            Self::Search(SearchArgs { ensemble, files, text, confirm, .. }) => {
                let own = files.iter_mut().chain(std::iter::once(text)).chain(confirm).map(Named::File);
                ensemble.named().into_iter().chain(own).collect()
            }
            Self::Pack(PackArgs { ensemble, .. }) => ensemble.named(),
            Self::Verify(_) => Vec::new(),
        }
    }
}
