//! From the standing after some bytes to that after more, as far as the rows that are there allow.

use super::heads::{self, Head, Standing};
use super::paths::Path;
use super::{Bytewise, LEAST_EVIDENCE, failed, open_after};
use crate::member::reader::{Reader, Wanted};
use crate::member::spelling::ROOT;
use crate::member::{MemberError, Token};

impl Bytewise {
    /// Goes on as far as the rows that are there allow. True when the text stands; otherwise rows of `missing` are.
    pub(super) fn advance(&mut self) -> Result<bool, MemberError> {
        loop {
            let len = self.standings.len() - 1;
            let Some(standing) = self.standings.last() else {
                return Err(failed(&self.inner, "it has read no prompt"));
            };
            if self.whole.is_none() {
                let read = |place: &usize| standing.heads[*place].is_read;
                if !self.has_rows((0..standing.heads.len()).filter(read).collect()) {
                    return Ok(false);
                }
                if self.rows.get(len).is_none() {
                    self.show(len)?;
                }
            }
            let Some(&byte) = self.text.get(len) else { return Ok(true) };
            let standing = &self.standings[len];
            let open = open_after(standing.open, &[byte]);
            if standing.abstains {
                let next =
                    Standing { open, abstains: open > 0, evidence: DECAY * standing.evidence, ..standing.clone() };
                self.standings.push(next);
                continue;
            }
            self.read_ahead(len);
            let standing = self.whole.as_ref().unwrap_or(&self.standings[len]);
            let needed = match self.whole {
                None => heads::late(standing, byte, &self.trie, &self.paths, self.effort),
                Some(_) => vec![0],
            };
            if !self.has_rows(needed.clone()) {
                return Ok(false);
            }
            let next = self.after(len, byte, open, &needed);
            self.standings.extend(next);
        }
    }

    /// The standing one byte further; `None` where what was pending has become whole tokens, whose row is needed first.
    fn after(&mut self, len: usize, byte: u8, open: u8, late: &[usize]) -> Option<Standing> {
        let own = self.rows.get(len).and_then(|row| row.probabilities.get(usize::from(byte)));
        let own = own.map_or(LEAST_EVIDENCE, |p| p.ln().max(LEAST_EVIDENCE));
        let whole = self.whole.take();
        let before = whole.as_ref().unwrap_or(&self.standings[len]);
        let silent = DECAY * before.evidence;
        let next = Standing { open, evidence: silent + own, heads: Vec::new(), ..before.clone() };
        let counts = |place: usize| before.heads[place].is_read || late.contains(&place);
        let heads = heads::push(&before.heads, counts, byte, &self.trie, &mut self.paths, self.effort);
        if !heads.is_empty() {
            return Some(Standing { heads, ..next });
        }
        // No reading goes on with this byte: the one that ends a token here was dropped, or there is none. Whatever was pending
        // becomes whole tokens, and the byte begins the next one.
        let heaviest = before.heads[0].clone();
        let evidence = before.evidence;
        let only = |path| vec![Head { path, node: ROOT, weight: 1.0, mass: 1.0, is_read: true }];
        if heaviest.node != ROOT {
            let pending = self.text[self.paths.bytes(heaviest.path).min(len)..len].to_vec();
            if let Some(path) = self.spell(heaviest.path, &pending) {
                self.whole = Some(Standing { heads: only(path), evidence, ..next });
                return None;
            }
        } else if let Some(path) = self.spell(heaviest.path, &[byte]) {
            // A token that it thinks impossible is one all the same.
            return Some(Standing { heads: only(path), ..next });
        }
        Some(Standing { heads: only(heaviest.path), abstains: open > 0, skipped: true, evidence: silent, ..next })
    }

    /// These bytes as whole tokens behind others; `None` where one has no token.
    fn spell(&mut self, path: Path, bytes: &[u8]) -> Option<Path> {
        let tokens = self.trie.encode(bytes)?;
        Some(tokens.into_iter().fold(path, |path, token| {
            let length = self.own.bytes(token).len();
            self.paths.child(path, token, length)
        }))
    }

    /// Of several bytes that are known to come, reads in one batch what the heaviest head is likely to read them as.
    fn read_ahead(&mut self, len: usize) {
        let coming = &self.text[len..];
        let heaviest = &self.standings[len].heads[0];
        let known = self.paths.bytes(heaviest.path);
        if coming.len() < 2 || self.ahead > len || known > len {
            return;
        }
        let room = self.inner.rows().min(MOST_AHEAD) - 2;
        let end = self.text.len().min(len + room * 8);
        let mut path = heaviest.path;
        self.follow(path);
        let Some(tokens) = self.tokens(known, end) else { return };
        // What the last bytes are a part of is not known yet.
        let sure = if end < self.text.len() { tokens.len().saturating_sub(1) } else { tokens.len() };
        for token in tokens.into_iter().take(sure.min(room)) {
            let length = self.own.bytes(token).len();
            path = self.paths.child(path, token, length);
            self.inner.extend(&[token], Wanted::All);
        }
        self.ahead = self.paths.bytes(path);
        self.trunk = path;
    }

    /// How the member's own tokenizer reads a part of the text, behind what the inner reader has; or in the longest tokens, where
    /// that is not exactly this text.
    fn tokens(&self, start: usize, end: usize) -> Option<Vec<Token>> {
        let part = &self.text[start..end];
        let whole = part.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let is_it = |tokens: &Vec<Token>| {
            let mut bytes = tokens.iter().flat_map(|&token| self.own.bytes(token));
            part[..whole.len()].iter().all(|byte| bytes.next() == Some(byte)) && bytes.next().is_none()
        };
        let own = self.inner.tokens_behind(whole).ok().filter(|tokens| !tokens.is_empty() && is_it(tokens));
        own.or_else(|| self.trie.encode(part))
    }

    /// Whose rows will be needed for what is known to come, as far as that can be told without those that are missing.
    pub(super) fn scout(&mut self) -> Vec<Path> {
        let len = self.standings.len() - 1;
        let (mut wanted, mut heads) = (
            Vec::new(),
            match &self.whole {
                Some(whole) => whole.clone(),
                None => self.standings[len].clone(),
            },
        );
        for place in len..self.text.len().min(self.ahead) {
            let byte = self.text[place];
            let late = heads::late(&heads, byte, &self.trie, &self.paths, self.effort);
            let counts = |place: usize| heads.heads[place].is_read || late.contains(&place);
            for (place, head) in heads.heads.iter().enumerate() {
                if counts(place) && self.paths.row(head.path).is_none() && !self.paths.is_ill(head.path) {
                    wanted.push(head.path);
                }
            }
            if wanted.len() >= self.branches {
                break;
            }
            heads.heads = heads::push(&heads.heads, counts, byte, &self.trie, &mut self.paths, self.effort);
            if heads.heads.is_empty() {
                break;
            }
        }
        wanted.dedup();
        wanted
    }

    /// Whether the rows of these heads of the newest standing are there. What is missing goes into `missing`, lightest first.
    fn has_rows(&mut self, places: Vec<usize>) -> bool {
        self.missing.clear();
        for &place in places.iter().rev() {
            let standing = self.whole.as_ref().or(self.standings.last());
            let Some(&Head { path, .. }) = standing.and_then(|standing| standing.heads.get(place)) else {
                return false;
            };
            // The heaviest is read as the text is, where what is wrong with a row is found out.
            if place == 0 {
                self.paths.set_ill(path, false);
            }
            if !self.paths.touch(path) && !self.paths.is_ill(path) {
                self.missing.push(path);
            }
        }
        self.missing.is_empty()
    }

    /// Takes the rows that have come with the text, before it goes elsewhere.
    pub(super) fn take_rows(&mut self) {
        let Self { inner, paths, trie, own, trunk, .. } = self;
        let newest: Vec<Path> = paths.up(*trunk).take(MOST_AHEAD).collect();
        // Where all have no room the oldest go.
        for path in newest.into_iter().rev() {
            if paths.row(path).is_none()
                && let Some(row) = inner.row(paths.tokens(path))
            {
                paths.set_row(path, |kept| kept.fill(row, trie, own));
            }
        }
    }

    /// Takes those of the missing rows that the inner reader still has, where there was no room for them any more. False where
    /// it has none.
    pub(super) fn take_missing(&mut self) -> bool {
        let Self { inner, paths, trie, own, trunk, missing, .. } = self;
        let mut any = false;
        for &path in missing.iter() {
            if paths.common(*trunk, path) == path
                && let Some(row) = inner.row(paths.tokens(path))
            {
                paths.set_row(path, |kept| kept.fill(row, trie, own));
                any = true;
            }
        }
        any
    }

    /// The inner reader's text becomes these tokens, or what it has goes on from them.
    pub(super) fn follow(&mut self, path: Path) {
        let common = self.paths.common(self.trunk, path);
        if self.inner.len() > self.paths.tokens(common) {
            self.inner.rewind(self.paths.tokens(common));
        }
        let tokens = self.paths.newest(path, self.paths.tokens(path) - self.paths.tokens(common));
        if !tokens.is_empty() {
            self.inner.extend(&tokens, Wanted::Last);
        }
        self.trunk = path;
        self.ahead = self.paths.bytes(path);
    }

    /// Makes the row of bytes of where it stands.
    fn show(&mut self, len: usize) -> Result<(), MemberError> {
        if len == 0 {
            self.standings[0].evidence = self.evidence_of_prompt();
        }
        let last = self.text[..len].last().copied();
        let Self { standings, inner, rows, trie, paths, masses, effort, .. } = self;
        let standing = &mut standings[len];
        if !standing.abstains
            && let Some(fresh) = heads::distribution(standing, last, trie, paths, *effort, masses)
        {
            standing.stand_in = fresh;
        }
        let shown = rows.keep(len, |row| {
            row.logits.resize(heads::UNITS, f32::NEG_INFINITY);
            row.probabilities.resize(heads::UNITS, 0.0);
            row.evidence = standing.evidence;
            // Where only bytes that nobody has a token for are left, nothing has a mass.
            row.abstains = standing.abstains || masses.iter().all(|&mass| mass <= 0.0);
            if row.abstains {
                return Ok(());
            }
            for (logit, &mass) in row.logits.iter_mut().zip(masses.iter()) {
                *logit = mass.ln() as f32;
            }
            row.complete()
        });
        shown.map_err(|error| failed(inner, &format!("its masses are no distribution: {error}")))
    }

    /// Of the last bytes of the prompt, as if each token's log-probability were spread over its bytes. How many are known depends
    /// on the member's tokens; so that all have their evidence over as many, what is known stands for the rest.
    fn evidence_of_prompt(&self) -> f32 {
        let (mut sum, mut weight) = (0.0, 1.0);
        for (token, log_probability) in self.inner.prompt_evidence().rev() {
            let bytes = self.own.bytes(token).len();
            for _ in 0..bytes {
                sum += weight * log_probability / bytes as f32;
                weight *= DECAY;
            }
        }
        let all = self.inner.prompt().iter().map(|&token| self.own.bytes(token).len()).sum::<usize>().min(PROMPT_BYTES);
        // Of n bytes the weights sum to (1 − DECAYⁿ) / (1 − DECAY), and `weight` is DECAYⁿ of those that are known.
        if weight < 1.0 { sum * (1.0 - DECAY.powi(all as i32)) / (1.0 - weight) } else { 0.0 }
    }
}

/// Bytes of a prompt that its evidence is over.
const PROMPT_BYTES: usize = 100;

/// Tokens of a given text that are read in one batch at most.
const MOST_AHEAD: usize = 32;

/// By how much older text counts less in the evidence, for each byte of age: half after 46 bytes. Over eight pairs of different
/// vocabularies and five kinds of text the default fusion, at its scale of 0.2, was below its best member in all forty cases, by
/// 3.7 % on average and 0.18 % at least. 0.99 at half the scale gains 0.3 % more there, and lets a bad member speak for longer.
const DECAY: f32 = 0.985;
