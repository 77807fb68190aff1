//! One text in all members.

use super::reader::{Draw, Primed, Reader, Wanted};
use super::remote::{Heard, Link};
use super::{MemberError, MemberRow, Unit};
use crate::settings::{Heads, Prompt};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A text as all members see it. Lengths are counted in units from the start of the reply.
pub struct Text {
    /// Of the members, and behind them of a model that proposes what is likely to come and has no say.
    pub(super) readers: Vec<Option<Box<dyn Reader>>>,
    /// How many members there are.
    pub(super) members: usize,
    /// The prompt is not for the one that proposes.
    is_without_help: bool,
    /// So long it was when everything was there that was wanted of it.
    pub(super) stood: usize,
    /// Members on other machines, and what was told of each.
    links: Vec<(Arc<Link>, Heard)>,
}

impl Text {
    /// With these readers, of which the first `members` are the members'.
    pub(super) fn new(readers: Vec<Box<dyn Reader>>, members: usize) -> Self {
        let readers = readers.into_iter().map(Some).collect();
        Self { readers, members, is_without_help: false, stood: 0, links: Vec::new() }
    }

    /// Some of its members are computed by these servers.
    pub(super) fn with_links(mut self, links: impl Iterator<Item = Arc<Link>>) -> Self {
        self.links = links.map(|link| (link, Heard::default())).collect();
        self
    }

    /// Sentences for whoever reads the text: of a member that went away, or is back. Each is told once a text.
    pub fn take_notices(&mut self) -> Vec<String> {
        self.links.iter_mut().flat_map(|(link, heard)| link.news(heard)).collect()
    }

    /// The members'.
    pub(super) fn readers(&self) -> impl Iterator<Item = &dyn Reader> {
        // One is away only while `Ensemble::advance` is at work, which holds the text.
        self.readers[..self.members].iter().flatten().map(|reader| &**reader)
    }

    pub(super) fn readers_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Reader>> {
        self.readers.iter_mut().flatten()
    }

    /// Every member takes the prompt. What it costs comes with [`Ensemble::advance`](super::Ensemble::advance). A member that has no
    /// token for a character reads the rest, as long as another can read all of it.
    pub fn prime(&mut self, prompt: &Prompt) -> Result<Vec<Primed>, MemberError> {
        self.stood = 0;
        let mut primed: Vec<_> = self.readers_mut().map(|reader| reader.prime(prompt)).collect();
        // What has no say may have no token for it, or too little room.
        self.is_without_help = primed.split_off(self.members.min(primed.len())).iter().any(Result::is_err);
        if primed.iter().any(Result::is_ok) {
            for (reader, primed) in self.readers_mut().zip(&mut primed) {
                if let Err(MemberError::Inexpressible { .. }) = primed {
                    reader.leave_out();
                    *primed = reader.prime(prompt);
                }
            }
        }
        primed.into_iter().collect()
    }

    /// Adds units to what stands, in all members that have fewer. Rows come with
    /// [`Ensemble::advance`](super::Ensemble::advance).
    pub fn extend(&mut self, units: &[Unit], rows: Wanted) {
        self.extend_behind(self.len(), units, rows);
    }

    /// Adds units behind the first `start`, in all members that have fewer: where all may have gone ahead.
    pub fn extend_behind(&mut self, start: usize, units: &[Unit], rows: Wanted) {
        let len = start + units.len();
        for reader in self.readers_mut() {
            let known = units.len().saturating_sub(len - reader.len().min(len));
            reader.extend(&units[known..], rows);
        }
    }

    /// Adds units in one member, that goes ahead of the others.
    pub fn extend_one(&mut self, member: usize, units: &[Unit], rows: Wanted) {
        if let Some(Some(reader)) = self.readers.get_mut(member) {
            reader.extend(units, rows);
        }
    }

    /// Goes back to the first `len` units, in all members that have more.
    pub fn rewind(&mut self, len: usize) {
        self.stood = self.stood.min(len);
        for reader in self.readers_mut().filter(|reader| reader.len() > len) {
            reader.rewind(len);
        }
    }

    /// Units of the reply that all members have.
    pub fn len(&self) -> usize {
        self.readers().map(Reader::len).min().unwrap_or(0)
    }

    /// True at the start of a reply.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more units fit into every member.
    pub fn room(&self) -> usize {
        self.readers().map(Reader::room).min().unwrap_or(0)
    }

    /// Every member's row after `len` units; `None` where one has it no more, or not yet.
    pub fn rows(&self, len: usize) -> Option<Vec<&MemberRow>> {
        self.readers().map(|reader| reader.row(len)).collect()
    }

    /// One member's row after `len` units; `None` where it has it no more, or not yet.
    pub fn row(&self, member: usize, len: usize) -> Option<&MemberRow> {
        self.readers.get(member)?.as_ref()?.row(len)
    }

    /// What a member may write behind `len` units up to the end of its token, where units are bytes, and how likely that is; false
    /// where it has no say.
    pub fn continuations(&mut self, member: usize, len: usize, how: &Draw, into: &mut dyn FnMut(&[u8], f64)) -> bool {
        let reader = self.readers.get_mut(member).and_then(Option::as_mut);
        reader.is_some_and(|reader| reader.continuations(len, how, into))
    }

    /// In how many tokens each member reads a text by itself; `None` where one cannot read it.
    pub fn tokens_in(&self, text: &str) -> Option<Vec<usize>> {
        self.readers().map(|reader| reader.tokens_of(text).ok().map(|tokens| tokens.len())).collect()
    }

    /// Whether all members most likely read the first `len` units as whole tokens.
    pub fn ends_tokens(&self, len: usize) -> bool {
        self.readers().all(|reader| reader.ends_token(len))
    }

    /// Whether the model that proposes can read the prompt, if there is one.
    pub fn has_help(&self) -> bool {
        self.readers.len() > self.members && !self.is_without_help
    }

    /// The first member's prompt in units.
    pub fn prompt(&self) -> Vec<Unit> {
        self.readers().next().map(Reader::prompt).unwrap_or_default()
    }

    /// The reply is over and is exactly these units with this text.
    pub fn adopt(&mut self, units: &[Unit], text: &str) {
        self.readers_mut().for_each(|reader| reader.adopt(units, text));
    }

    /// Nothing is decoded for it while this is true. A reply begins with it, which is told of members that are away.
    pub fn heed(&mut self, interrupted: &Arc<AtomicBool>) {
        self.links.iter_mut().for_each(|(link, heard)| *heard = link.heard());
        self.readers_mut().for_each(|reader| reader.heed(Arc::clone(interrupted)));
    }

    /// In how many ways a member of another vocabulary may read it, from the next prompt on.
    pub fn set_heads(&mut self, heads: Heads) {
        self.readers_mut().for_each(|reader| reader.set_heads(heads));
    }
}
