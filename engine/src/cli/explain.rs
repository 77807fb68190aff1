//! Why the last reply is as it is: for `/why`, and as a page for `--explain`.

use crate::{Error, engine::Engine, files, settings::Prompt, trace::Watch};
use ::measure::{
    explain::{Account, Which, why},
    page::Page,
};
use std::path::{Path, PathBuf};

/// What is kept of the replies, to explain them.
pub struct Explaining {
    watch: Watch,
    last: Option<Account>,
    page: Option<(PathBuf, Page)>,
    replies: u32,
}

impl Explaining {
    /// Sees that the page can be written, which should fail before minutes are spent on loading.
    pub fn open(file: Option<&Path>) -> Result<(), Error> {
        let Some(file) = file else { return Ok(()) };
        files::create(file).map(|_| ()).map_err(|error| {
            Error::Input(format!("the page `{}` cannot be written: {error}; name another file", file.display()))
        })
    }

    /// Looks on from now on; with a file, a page grows there reply by reply.
    pub fn of(engine: &mut Engine, file: Option<PathBuf>) -> Self {
        let page = file.map(|file| (file, Page::new("How the text came about")));
        Self { watch: engine.watch(), last: None, page, replies: 0 }
    }

    /// A reply is written. An error means that the page could not be.
    pub fn reply(&mut self, engine: &Engine, prompt: &Prompt) -> Result<(), Error> {
        self.replies += 1;
        let title = format!("Reply {}", self.replies);
        let account = self.watch.kept().account(&title, prompt.words(), engine.policies());
        if let Some((file, page)) = &mut self.page {
            *page = std::mem::replace(page, Page::new("")).account(&account);
            std::fs::write(&*file, page.render())
                .map_err(|error| Error::Failure(format!("the page `{}` is not written: {error}", file.display())))?;
        }
        self.last = Some(account);
        Ok(())
    }

    /// Explains a place in the last reply: a number of a token, a text, or nothing for the last place where a policy acted.
    pub fn why(&self, what: &str, width: usize) -> Result<String, Error> {
        let account = self.last.as_ref().ok_or_else(|| Error::Input("there is no reply to explain yet".into()))?;
        let which = match what.parse() {
            _ if what.is_empty() => Which::Last,
            Ok(number) => Which::Token(number),
            Err(_) => Which::Text(what),
        };
        Ok(why(account, which, width))
    }
}
