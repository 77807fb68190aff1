//! What a person sees of a reply: the text on a page, and beside it what happened to it.

use super::{
    Detail, Renderer,
    words::{self, Paint, plural},
};
use crate::{
    cli::output::visible,
    events::{Event, reload_line},
};
use std::io::{self, Write};

/// Where the text goes. `text` is always the whole text of the reply.
pub trait Page {
    /// `text` has grown from `added` bytes on; its first `committed` bytes will stay.
    fn append(&mut self, text: &str, added: usize, committed: usize) -> io::Result<()>;
    /// Only the first `keep` bytes of `text` stay. False when some of the rest could not be erased.
    fn take_back(&mut self, text: &str, keep: usize) -> io::Result<bool>;
    /// Shows a short note for a moment, without disturbing the text.
    fn hint(&mut self, _hint: &str) -> io::Result<()> {
        Ok(())
    }
    /// The text is complete; the cursor goes to the start of a line.
    fn finish(&mut self, text: &str) -> io::Result<()>;
}

/// Gives its page the text when it is finished: below what was said about every token of it.
pub struct AtTheEnd {
    /// Where it goes then.
    pub page: Box<dyn Page>,
}

impl Page for AtTheEnd {
    fn append(&mut self, _text: &str, _added: usize, _committed: usize) -> io::Result<()> {
        Ok(())
    }

    fn take_back(&mut self, _text: &str, _keep: usize) -> io::Result<bool> {
        Ok(true)
    }

    fn finish(&mut self, text: &str) -> io::Result<()> {
        self.page.append(text, 0, text.len())?;
        self.page.finish(text)
    }
}

/// Gives its page the text from the first word on: base models begin what they say in a chat with a space.
pub struct FromFirstWord {
    /// Where it goes.
    pub page: Box<dyn Page>,
}

impl FromFirstWord {
    fn start(text: &str) -> usize {
        text.len() - text.trim_start().len()
    }
}

impl Page for FromFirstWord {
    fn append(&mut self, text: &str, added: usize, committed: usize) -> io::Result<()> {
        let start = Self::start(text);
        self.page.append(&text[start..], added.saturating_sub(start), committed.saturating_sub(start))
    }

    fn take_back(&mut self, text: &str, keep: usize) -> io::Result<bool> {
        let start = Self::start(text);
        self.page.take_back(&text[start..], keep.saturating_sub(start))
    }

    fn hint(&mut self, hint: &str) -> io::Result<()> {
        self.page.hint(hint)
    }

    fn finish(&mut self, text: &str) -> io::Result<()> {
        self.page.finish(text.trim_start())
    }
}

/// How many retractions are told one by one when notes wait for the end; a policy may ask for a thousand.
const MOST_RETRACTIONS_TOLD: u32 = 8;

/// Shows one reply.
pub struct View<W> {
    page: Box<dyn Page>,
    text: String,
    notes: W,
    paint: Paint,
    detail: Detail,
    /// `Some` when notes must wait for the end, because they share a terminal with the text.
    held: Option<Vec<String>>,
    /// Columns of the status line.
    width: usize,
    members: usize,
    retractions: u32,
}

impl<W: Write> View<W> {
    /// With notes on `notes`, which is `width` columns wide, at the end of the reply when they are held.
    pub fn new(page: Box<dyn Page>, notes: W, width: usize, paint: Paint, detail: Detail, hold_notes: bool) -> Self {
        let held = hold_notes.then(Vec::new);
        Self { page, text: String::new(), notes, paint, detail, held, width, members: 0, retractions: 0 }
    }

    fn line(&mut self, line: &str) {
        if self.detail != Detail::Quiet {
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(self.notes, "{}", self.paint.dim(&visible(line)));
        }
    }

    fn note(&mut self, line: String, hint: &str) -> io::Result<()> {
        if self.detail == Detail::Quiet {
            return Ok(());
        }
        match &mut self.held {
            Some(held) => {
                held.push(line);
                self.page.hint(hint)
            }
            None => {
                self.line(&line);
                Ok(())
            }
        }
    }
}

impl<W: Write> Renderer for View<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let verbose = self.detail == Detail::Verbose;
        match event {
            Event::Init { models, fusion_mode, policies, seed } => {
                self.members = models.len();
                if verbose {
                    let policies = if policies.is_empty() { "none".into() } else { policies.join(", ") };
                    self.line(&format!("fusion {fusion_mode} · policies {policies} · seed {seed}"));
                }
            }
            Event::Token { index, text, confidence, agreement, leader, members, committed, .. } => {
                let added = self.text.len();
                self.text.push_str(text);
                if verbose {
                    self.line(&words::token(*index, text, *confidence, *agreement, leader, members));
                }
                self.page.append(&self.text, added, *committed)?;
            }
            Event::Adjust { policy, temperature, repeat_penalty, reason, .. } => {
                if verbose {
                    let change = format!("temperature {temperature:.2}, repeat penalty {repeat_penalty:.2}");
                    self.line(&format!("       {change} · {}", words::because(policy, reason)));
                }
            }
            Event::Retract { tokens, bytes, policy, reason, .. } => {
                let mut keep = self.text.len().saturating_sub(*bytes);
                while !self.text.is_char_boundary(keep) {
                    keep -= 1;
                }
                let mut line = words::retraction(&self.text[keep..], *tokens, policy, reason);
                if !self.page.take_back(&self.text, keep)? {
                    line += " (what had left the screen still stands there)";
                }
                self.text.truncate(keep);
                self.retractions += 1;
                let hint = format!("⟲ {}", words::because(policy, reason));
                if self.held.is_none() || self.retractions <= MOST_RETRACTIONS_TOLD {
                    self.note(line, &hint)?;
                } else if self.detail != Detail::Quiet {
                    self.page.hint(&hint)?;
                }
            }
            Event::Reload { file, version, milliseconds, .. } => {
                let line = format!("↻ {}", reload_line(file, *version, *milliseconds));
                self.note(line.clone(), &line)?;
            }
            Event::Notice { text } => {
                let hint = format!("! {}", text.lines().next().unwrap_or_default());
                self.note(format!("! {text}"), &hint)?;
            }
            Event::Done {
                reason,
                tokens,
                retractions,
                tokens_per_second,
                adjustments,
                leader,
                avg_agreement,
                avg_confidence,
                ..
            } => {
                self.page.finish(&self.text)?;
                if let Some(held) = self.held.take() {
                    held.iter().for_each(|line| self.line(line));
                    if let more @ 1.. = self.retractions.saturating_sub(MOST_RETRACTIONS_TOLD) {
                        self.line(&format!("⟲ and {more} more"));
                    }
                }
                let mut parts = Vec::new();
                if self.members > 1 {
                    parts.push(format!("{leader} led"));
                    parts.push(format!("agreement {avg_agreement:.2}"));
                }
                parts.push(format!("confidence {avg_confidence:.2}"));
                parts.push(plural(*tokens, "token"));
                parts.push(format!("{tokens_per_second:.0} tokens/s"));
                parts.push(plural(*retractions, "retraction"));
                parts.push(plural(*adjustments, "adjustment"));
                parts.extend(words::ending(reason));
                self.line(&words::status(&parts, self.width));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EndReason;

    /// A page that only remembers.
    #[derive(Clone, Default)]
    struct Log(std::rc::Rc<std::cell::RefCell<Vec<String>>>);

    impl Page for Log {
        fn append(&mut self, text: &str, added: usize, committed: usize) -> io::Result<()> {
            self.0.borrow_mut().push(format!("+{} committed {committed}", &text[added..]));
            Ok(())
        }
        fn take_back(&mut self, text: &str, keep: usize) -> io::Result<bool> {
            self.0.borrow_mut().push(format!("-{}", &text[keep..]));
            Ok(true)
        }
        fn finish(&mut self, text: &str) -> io::Result<()> {
            self.0.borrow_mut().push(format!("={text}"));
            Ok(())
        }
    }

    fn play(detail: Detail, hold_notes: bool) -> (Vec<String>, String) {
        let log = Log::default();
        let mut view =
            View::new(Box::new(log.clone()), Vec::new(), usize::MAX, Paint { on: false }, detail, hold_notes);
        let token = |text: &'static str| Event::Token {
            index: 0,
            text: text.into(),
            confidence: 0.5,
            entropy: 1.0,
            agreement: 0.75,
            leader: "a".into(),
            members: [].as_slice().into(),
            committed: 1,
            units: [].as_slice().into(),
        };
        let names = ["a".to_owned(), "b".to_owned()];
        for event in [
            Event::Init {
                models: names.as_slice().into(),
                fusion_mode: "average".into(),
                policies: [].as_slice().into(),
                seed: 7,
            },
            token("a cät"),
            Event::Retract {
                index: 0,
                tokens: 1,
                bytes: 4,
                policy: "calm".into(),
                version: 1,
                reason: "unsure".into(),
            },
            token("dog"),
            Event::Done {
                reason: std::borrow::Cow::Owned(EndReason::Length),
                text: "a dog".into(),
                tokens: 2,
                retractions: 1,
                avg_confidence: 0.5,
                tokens_per_second: 99.6,
                adjustments: 0,
                leader: "a".into(),
                avg_agreement: 0.75,
            },
        ] {
            view.event(&event).unwrap();
        }
        let pages = log.0.borrow().clone();
        (pages, String::from_utf8(view.notes).unwrap())
    }

    #[test]
    fn the_page_hears_what_was_added_and_taken_back() {
        let (pages, _) = play(Detail::Normal, true);
        assert_eq!(pages, ["+a cät committed 1", "-cät", "+dog committed 1", "=a dog"]);
    }

    #[test]
    fn a_page_at_the_end_hears_the_final_text_alone() {
        let log = Log::default();
        let mut page = AtTheEnd { page: Box::new(log.clone()) };
        page.append("a cat", 0, 1).unwrap();
        page.take_back("a cat", 2).unwrap();
        page.finish("a dog").unwrap();
        assert_eq!(*log.0.borrow(), ["+a dog committed 5", "=a dog"]);
    }

    #[test]
    fn a_reply_in_a_chat_begins_with_its_first_word() {
        let log = Log::default();
        let mut page = FromFirstWord { page: Box::new(log.clone()) };
        page.append(" ", 0, 0).unwrap();
        page.append(" \nA cat", 1, 4).unwrap();
        page.take_back(" \nA cat", 1).unwrap();
        page.append(" a dog", 1, 0).unwrap();
        page.finish(" a dog").unwrap();
        let expected = ["+ committed 0", "+A cat committed 2", "-A cat", "+a dog committed 0", "=a dog"];
        assert_eq!(*log.0.borrow(), expected);
    }

    #[test]
    fn many_retractions_are_counted_when_notes_wait() {
        let mut view = View::new(Box::new(Log::default()), Vec::new(), 20, Paint { on: false }, Detail::Normal, true);
        for _ in 0..10 {
            view.event(&Event::Retract {
                index: 0,
                tokens: 1,
                bytes: 0,
                policy: "calm".into(),
                version: 1,
                reason: "".into(),
            })
            .unwrap();
        }
        let done = Event::Done {
            reason: std::borrow::Cow::Owned(EndReason::End),
            text: "".into(),
            tokens: 0,
            retractions: 10,
            avg_confidence: 0.0,
            tokens_per_second: 0.0,
            adjustments: 0,
            leader: "a".into(),
            avg_agreement: 1.0,
        };
        view.event(&done).unwrap();
        let notes = String::from_utf8(view.notes).unwrap();
        assert_eq!(notes.matches("took back").count(), 8, "{notes}");
        assert!(notes.contains("⟲ and 2 more\nconfidence 0.00\n0 tokens"), "{notes}");
    }

    #[test]
    fn the_notes_say_what_happened_and_quiet_says_nothing() {
        let expected = "⟲ took back “cät” · calm: unsure\n\
                        a led · agreement 0.75 · confidence 0.50 · 2 tokens · 100 tokens/s · 1 retraction · \
                        0 adjustments · ended by `--n-predict`\n";
        assert_eq!(play(Detail::Normal, true).1, expected);
        assert_eq!(play(Detail::Normal, false).1, expected);
        assert_eq!(play(Detail::Quiet, true).1, "");
        assert!(play(Detail::Verbose, false).1.contains("confidence 0.500"));
    }
}
