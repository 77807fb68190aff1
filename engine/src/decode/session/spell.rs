//! Members of different vocabularies meet in bytes: a piece of about a token is drawn byte by byte, and judged when it is
//! whole.
//!
//! What a piece may be, [`Candidates`] says: strings up to the end of a token of some member, each as likely as all members
//! together have it, with penalties, truncation and temperature as in tokens. Inside a word a member counts as much as it has
//! made the word's beginning likely, so that no word is begun by one and ended by another that would never have begun it so.

use super::judge::{cannot_go_on, leader};
use super::{Flow, Observer, Session, Workspace};
use crate::decode::candidates::{Candidates, Drawn, weights};
use crate::decode::window::UnitRecord;
use crate::events::{EndReason, Event};
use crate::member::Unit;
use crate::member::reader::Draw;
use crate::member::sampler::Noise;
use crate::trace::MOST_CANDIDATES;
use plugin_api::{Action, Token};
use std::ops::ControlFlow::{Break, Continue};

/// Bytes of a piece at most, where single bytes are put together.
const LONGEST: usize = 32;

/// The least log-probability of a byte in a word's product.
const LEAST: f64 = -40.0;

/// What is known of the piece that is being written.
#[derive(Debug)]
pub(super) struct Piece {
    /// What it may go on with.
    candidates: Candidates,
    /// Product over its bytes, in the fused row.
    probability: f32,
    /// Sum over its bytes, in nats: what a whole piece leaves open.
    entropy: f32,
    /// Product over its bytes.
    agreement: f32,
    /// By how much its strings are behind the likeliest ones, in nats.
    behind: f64,
    /// Product over its bytes for each member.
    members: Vec<f32>,
    /// The word up to here.
    word: Word,
    /// Bytes that are written whatever is likely.
    forced: Vec<u8>,
    /// The end of the text was drawn behind the piece before.
    ends: bool,
}

/// The word that is being written, of which pieces may be parts: the log-probability of its bytes, by member.
#[derive(Debug, Clone)]
pub(super) struct Word(Vec<f64>);

impl Piece {
    pub fn new(word: Word) -> Self {
        Self {
            candidates: Candidates::default(),
            probability: 1.0,
            entropy: 0.0,
            agreement: 1.0,
            behind: 0.0,
            members: vec![1.0; word.0.len()],
            word,
            forced: Vec::new(),
            ends: false,
        }
    }
}

impl Word {
    pub fn new(members: usize) -> Self {
        Self(vec![0.0; members])
    }

    /// One byte more, to which the members gave these probabilities; `None` for one without a say.
    fn push(&mut self, byte: u8, given: impl Iterator<Item = Option<f32>>) {
        // A letter goes on with a word; so does a character of several bytes, unless it is of a script without spaces.
        let begins = if byte.is_ascii() { !byte.is_ascii_alphanumeric() } else { byte >= 0xe3 };
        if begins {
            self.0.fill(0.0);
        }
        for (product, given) in self.0.iter_mut().zip(given) {
            *product += given.map_or(0.0, |probability| f64::from(probability).ln().max(LEAST));
        }
    }

    /// What each member has made of the word, in relation to the one that made most of it.
    fn shares(&self) -> impl Iterator<Item = f64> {
        let best = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.0.iter().map(move |product| (product - best).exp())
    }
}

impl Session {
    /// One byte more of the piece that is being written, and the judgement of it when it is whole.
    pub(super) fn spell(&mut self, workspace: &mut Workspace, out: Observer) -> Flow {
        let (position, len) = (self.transcript.len() as u32, self.transcript.seen().len());
        let noise = Noise::at(self.request.seed, position, self.transcript.attempts.count(position));
        let open: Vec<u8> = self.transcript.open().iter().map(|&unit| unit as u8).collect();
        let Some((factors, shares)) = self.what_fusion_did(workspace) else { return Continue(()) };
        if let Some(rows) = self.text.rows(len) {
            for (member, row) in rows.iter().enumerate().filter(|(_, row)| !row.abstains) {
                self.piece.candidates.ask(member, &row.probabilities);
            }
        }
        self.piece.candidates.weigh(&shares, &factors);
        if let Err(why) = self.form.follow(self.transcript.units()) {
            return Break(cannot_go_on(&why, out));
        }
        if self.piece.candidates.is_empty() {
            self.piece.candidates = self.collect(len, &factors, &shares, workspace);
        }
        let fusion = &workspace.fusion;
        let unit = match self.piece.forced.get(open.len()) {
            _ if std::mem::take(&mut self.piece.ends) => self.vocabulary.end(),
            Some(&byte) => Unit::from(byte),
            None => {
                let drawn = match self.piece.candidates.draw(&open, noise) {
                    Some(drawn) => drawn,
                    None => {
                        let rows = self.text.rows(len).unwrap_or_default();
                        match self.form.best(&fusion.row, &rows) {
                            Ok(Some(best)) => best,
                            Ok(None) => return Break(cannot_go_on("none of the bytes that may come next is possible", out)),
                            Err(why) => return Break(cannot_go_on(&why, out)),
                        }
                    }
                };
                self.drafts.pretended(self.request.seed, position).unwrap_or(drawn)
            }
        };
        let Ok(byte) = u8::try_from(unit) else {
            // The text ends behind this piece, which is whole, or at once.
            return if open.is_empty() { self.judge_end(fusion.probability(unit), out) } else { self.judge(true, out) };
        };
        let Some(rows) = self.text.rows(len) else { return Continue(()) };
        let given: Vec<Option<f32>> =
            rows.iter().map(|row| (!row.abstains).then(|| row.probabilities[unit as usize])).collect();
        let Piece { candidates, probability, entropy, agreement, behind, members, word, forced, .. } = &mut self.piece;
        *probability *= fusion.probability(unit);
        *entropy += fusion.statistics.entropy;
        *agreement *= fusion.agreement;
        for (product, given) in members.iter_mut().zip(&given) {
            *product *= given.unwrap_or(0.0);
        }
        word.push(byte, given.into_iter());
        self.transcript.add(unit);
        let open = [open.as_slice(), &[byte]].concat();
        let is_whole = match forced.len() {
            0 => {
                let drawn = candidates.push(byte, &open, noise);
                if drawn != Drawn::Nothing {
                    *behind += candidates.behind();
                    *candidates = Candidates::default();
                }
                // A part of a character is no piece.
                let is_text = std::str::from_utf8(&open).map_or_else(|error| error.error_len().is_some(), |_| true);
                is_text && (drawn == Drawn::Piece || drawn == Drawn::Byte && open.len() >= LONGEST)
            }
            forced => open.len() == forced,
        };
        if is_whole { self.judge(false, out) } else { Continue(()) }
    }

    /// Factors of the fused row for the bytes, against a mean of the members', and the members' shares in that.
    fn what_fusion_did(&mut self, workspace: &mut Workspace) -> Option<(Vec<f64>, Vec<f64>)> {
        let Workspace { fusion, fused, .. } = workspace;
        let rows = self.text.rows(self.transcript.seen().len())?;
        fused.clear();
        fused.extend(fusion.row.iter().map(|score| score.exp()));
        let voters: Vec<usize> = (0..rows.len()).filter(|&member| !rows[member].abstains).collect();
        let own: Vec<&[f32]> = voters.iter().map(|&member| rows[member].probabilities.as_slice()).collect();
        let total: f64 = voters.iter().map(|&member| f64::from(self.members.weights[member])).sum();
        let expected = voters.iter().map(|&member| {
            if total > 0.0 { f64::from(self.members.weights[member]) / total } else { 1.0 / voters.len() as f64 }
        });
        let found = weights(&own, fused, &expected.collect::<Vec<_>>());
        let factor = |unit: usize| {
            let mean: f64 = own.iter().zip(&found).map(|(row, weight)| weight * f64::from(row[unit])).sum();
            if mean > 0.0 { f64::from(fused[unit]) / mean } else { 0.0 }
        };
        let mut shares = vec![0.0; rows.len()];
        voters.iter().zip(&found).for_each(|(&member, &weight)| shares[member] = weight);
        Some(((0..fused.len()).map(factor).collect(), shares))
    }

    /// What may be written behind `len` bytes.
    fn collect(&mut self, len: usize, factors: &[f64], shares: &[f64], workspace: &mut Workspace) -> Candidates {
        let watched = self.chain.is_watched().then(|| self.where_it_stands());
        let Self { text, transcript, vocabulary, parameters, piece, chain, form, .. } = self;
        let parameters = parameters.now();
        let mut cuts = transcript.cuts();
        if !transcript.open().is_empty() {
            cuts.push(len);
        }
        // Inside a piece only a member that draws by itself has ended a token.
        let ends = transcript.open().is_empty() || shares.len() == 1;
        let how = Draw { parameters, cuts: &cuts, ends };
        let mut candidates = Candidates::new(&parameters);
        for (member, word) in piece.word.shares().enumerate() {
            let mut add = |string: &[u8], mass| candidates.add(string, member, shares.len(), word * mass);
            text.continuations(member, len, &how, &mut add);
        }
        let is_first = transcript.open().is_empty();
        let bans = transcript.attempts.bans(transcript.len() as u32).iter().filter(|_| is_first);
        let end = vocabulary.end();
        let banned = |&unit: &Unit| if unit == end { Some(Vec::new()) } else { transcript.pieces.bytes(unit) };
        let bans: Vec<Vec<u8>> = bans.filter_map(banned).collect();
        candidates.lengthen();
        if !form.is_free() {
            candidates.retain(|bytes| form.allows_bytes(bytes, end));
        }
        candidates.ban(&bans);
        candidates.weigh(shares, factors);
        if let Some(step) = watched {
            chain.watch_choices(&step, &candidates.likeliest(MOST_CANDIDATES));
        }
        candidates.truncate(&parameters, &mut workspace.truncation);
        candidates
    }
}

impl Session {
    /// What the hooks say of the end of the text.
    fn judge_end(&mut self, probability: f32, out: Observer) -> Flow {
        self.piece.probability = probability;
        self.piece.behind = self.piece.candidates.end_behind();
        match self.ask(self.vocabulary.end(), &[], out)? {
            Asked::Stands => Break(EndReason::End),
            Asked::Again => {
                self.begin_piece();
                Continue(())
            }
            Asked::Forced(bytes) => {
                self.begin_piece();
                self.piece.forced = bytes;
                Continue(())
            }
        }
    }

    /// What the hooks say of a piece that is whole, and what becomes of it.
    fn judge(&mut self, ends: bool, out: Observer) -> Flow {
        let bytes: Vec<u8> = self.transcript.open().iter().map(|&unit| unit as u8).collect();
        let number = self.transcript.pieces.number(&bytes);
        if self.piece.forced.is_empty() {
            let position = self.transcript.len() as u32;
            if self.transcript.attempts.bans(position).contains(&number) && self.transcript.attempts.may_retry(position)
            {
                // Several tokens made what a single one may not be.
                self.transcript.attempts.retry(position, []);
                self.begin_piece_anew();
                return Continue(());
            }
            match self.ask(number, &bytes, out)? {
                Asked::Stands => {}
                Asked::Again => {
                    self.begin_piece_anew();
                    return Continue(());
                }
                Asked::Forced(forced) => {
                    self.begin_piece_anew();
                    self.piece.forced = forced;
                    return Continue(());
                }
            }
        }
        let members = std::mem::take(&mut self.piece.members);
        let token = self.whole(number, &bytes, &members);
        let record = UnitRecord::of(&token, &members);
        let index = self.transcript.len();
        let (text, stopped) = self.transcript.push(record, &bytes);
        self.words.push(self.piece.word.clone());
        self.note_certain();
        let committed = self.transcript.text().shown_len_at(self.transcript.certain);
        self.tell_unit(index, &text, committed, out);
        if stopped {
            return Break(EndReason::StopString);
        }
        if index >= self.request.shape.given.len() {
            self.parameters.decay();
            self.assess(out)?;
        }
        // Unless it was taken back.
        let stands = self.transcript.len() == index + 1;
        self.begin_piece();
        self.piece.ends = ends && stands;
        Continue(())
    }

    /// The next piece begins behind what stands.
    pub(super) fn begin_piece(&mut self) {
        self.words.truncate(self.transcript.len());
        let word = self.words.last().cloned().unwrap_or_else(|| Word::new(self.members.names.len()));
        self.piece = Piece::new(word);
        if let Some(given) = self.given(0) {
            // Of what is no byte nothing can be written.
            self.piece.forced = given.iter().filter_map(|&unit| u8::try_from(unit).ok()).collect();
        }
    }

    /// The piece begins anew.
    fn begin_piece_anew(&mut self) {
        self.transcript.drop_open();
        self.text.rewind(self.transcript.seen().len());
        self.begin_piece();
    }

    /// What hooks see of a piece.
    fn whole<'a>(&self, unit: Unit, bytes: &'a [u8], members: &'a [f32]) -> Token<'a> {
        let (surprise_mean, surprise_deviation) = self.transcript.window().surprise();
        Token {
            unit,
            bytes,
            leader: leader(members, &self.members.weights),
            probability: self.piece.probability,
            entropy: self.piece.entropy,
            agreement: self.piece.agreement,
            is_end: unit == self.vocabulary.end(),
            member_probabilities: members,
            surprise_mean,
            surprise_deviation,
            behind: self.piece.behind as f32,
        }
    }

    fn ask(&mut self, unit: Unit, bytes: &[u8], out: Observer) -> std::ops::ControlFlow<EndReason, Asked> {
        let step = self.where_it_stands();
        let members = self.piece.members.clone();
        let token = self.whole(unit, bytes, &members);
        let merged = self.chain.on_token(&step, &token);
        self.adjust(&merged, out);
        match merged.action {
            Action::Resample if self.transcript.attempts.may_retry(step.position) => {
                self.modify("resample", &merged);
                self.transcript.attempts.retry(step.position, merged.bans.into_iter().chain([unit]));
                Continue(Asked::Again)
            }
            Action::Resample => {
                self.tell_budget(&merged.policy, "this position was tried often enough", out);
                Continue(Asked::Stands)
            }
            Action::Force(forced) if forced == self.vocabulary.end() => {
                self.modify("force", &merged);
                Break(EndReason::End)
            }
            Action::Force(forced) => match self.transcript.pieces.bytes(forced) {
                Some(bytes) => {
                    self.modify("force", &merged);
                    Continue(Asked::Forced(bytes))
                }
                None => {
                    let text =
                        format!("`{}` forced token {forced}, which cannot be written; it is ignored", merged.policy);
                    out(&Event::Notice { text: text.into() });
                    Continue(Asked::Stands)
                }
            },
            Action::Stop => Break(self.stopped(&merged)),
            Action::Continue | Action::Adjust | Action::Retract(_) => Continue(Asked::Stands),
        }
    }
}

/// What the hooks make of a piece.
enum Asked {
    Stands,
    Again,
    Forced(Vec<u8>),
}
