//! From the standing after some units to that after more, as far as the rows that are there allow.

use super::heads::{Head, advance, common_tokens, drop_stragglers};
use super::{Aligned, LEAST_EVIDENCE, Settling, Standing, Then, failed, lost, open_after};
use crate::member::reader::{LEAST_ROWS, Reader, Wanted};
use crate::member::{MemberError, Token, Unit};

impl Aligned {
    /// Goes on as far as the rows that are there allow. True when the text stands.
    pub(super) fn advance(&mut self) -> Result<bool, MemberError> {
        loop {
            if self.settling.is_some() {
                let Some((standing, then)) = self.settle()? else { return Ok(false) };
                match then {
                    Then::Stand => self.stand(standing)?,
                    Then::Begin { unit, open, evidence } => self.begin(standing, unit, open, evidence),
                }
            } else if self.standings.len() <= self.text.len() {
                let Some(before) = self.standings.last().cloned() else {
                    return Err(failed(&self.inner, "it has read no prompt"));
                };
                self.read_ahead(&before);
                self.step(before, self.text[self.standings.len() - 1]);
            } else {
                return Ok(true);
            }
        }
    }

    /// Of several units that are known to come, decodes in one batch what the heaviest head is likely to read them as.
    fn read_ahead(&mut self, before: &Standing) {
        let coming = &self.text[self.standings.len() - 1..];
        if coming.len() < 2 || before.abstains || !self.ahead.is_empty() {
            return;
        }
        let Head { tail, node, .. } = &before.heads[0];
        let units = [self.map.path(*node), coming].concat();
        if let Some(tokens) = self.encode(&units) {
            let tokens = [tail.as_slice(), &tokens].concat();
            self.ahead = tokens.iter().copied().take(LEAST_ROWS - 2).collect();
            self.inner.extend(self.ahead.make_contiguous(), Wanted::All);
        }
    }

    pub(super) fn settle_later(&mut self, standing: Standing, then: Then) {
        let (lost, ill, missing, tails) = Default::default();
        self.settling = Some(Settling { standing, then, lost, ill, alone: false, missing, tails });
    }

    /// Begins the standing after one unit more.
    fn step(&mut self, before: Standing, unit: Unit) {
        let open = open_after(before.open, self.units.bytes(unit));
        if before.abstains {
            return self.settle_later(Standing { open, abstains: open > 0, evidence: 0.0, ..before }, Then::Stand);
        }
        let own = self.rows.get(self.standings.len() - 1).and_then(|row| row.probabilities.get(unit as usize));
        let evidence = own.map_or(LEAST_EVIDENCE, |p| p.ln().max(LEAST_EVIDENCE));
        let heads = self.heads_after(&before, unit);
        if !heads.is_empty() {
            return self.settle_later(Standing { heads, open, evidence, ..before }, Then::Stand);
        }
        // No reading that was kept goes on with this unit: the one that ends a token here was dropped, or there is none.
        // Whatever was pending becomes whole tokens, and the unit begins the next one.
        let heaviest = &before.heads[0];
        match self.encode(self.map.path(heaviest.node)) {
            Some(tokens) => {
                let heads = vec![heaviest.with_tokens(&tokens)];
                self.settle_later(Standing { heads, ..before }, Then::Begin { unit, open, evidence });
            }
            None => {
                let heads = vec![heaviest.with_tokens(&[])];
                self.settle_later(lost(before, heads, open), Then::Stand);
            }
        }
    }

    /// After `whole`, in which nothing is pending.
    fn begin(&mut self, whole: Standing, unit: Unit, open: u8, evidence: f32) {
        let heads = self.heads_after(&whole, unit);
        let after = if !heads.is_empty() {
            Standing { heads, open, evidence, ..whole }
        } else if let Some(tokens) = self.encode(&[unit]) {
            // A token that it thinks impossible is one all the same.
            let heads = vec![whole.heads[0].with_tokens(&tokens)];
            Standing { heads, open, evidence, ..whole }
        } else {
            let heads = vec![whole.heads[0].clone()];
            lost(whole, heads, open)
        };
        self.settle_later(after, Then::Stand);
    }

    fn heads_after(&self, before: &Standing, unit: Unit) -> Vec<Head> {
        let trunk = self.inner.row(before.trunk).map_or(&[][..], |row| &row.probabilities);
        advance(&before.heads, unit, &self.map, self.most, trunk)
    }

    /// Whole tokens for these units; `None` where one has no token.
    pub(super) fn encode(&self, units: &[Unit]) -> Option<Vec<Token>> {
        self.map.encode(units).map(|tokens| tokens.into_iter().map(|token| token as Token).collect())
    }

    /// Takes what the standing needs from the rows that are there: of the tokens that all heads share, and of each head
    /// behind them. `None` while some are missing. A head whose row is no distribution goes, as long as another is left;
    /// where none is, the text is read again, and the heads are decoded one by one.
    fn settle(&mut self) -> Result<Option<(Standing, Then)>, MemberError> {
        let Self { settling: waiting, inner, ahead, most, branches, .. } = self;
        let Some(settling) = waiting else { return Ok(None) };
        if settling.standing.heads.is_empty() {
            if std::mem::replace(&mut settling.alone, true) {
                return Err(failed(inner, "its logits are not numbers, however it reads the text"));
            }
            tracing::warn!("`{}`: the rows of all its readings are no numbers", inner.name());
            settling.standing.heads.append(&mut settling.lost);
            ahead.clear();
            inner.rewind(settling.standing.trunk);
            inner.read_again();
        }
        let heads = &mut settling.standing.heads;
        // All heads means all.
        if *most < usize::MAX {
            drop_stragglers(heads);
        }
        let common = common_tokens(heads);
        if common > 0 {
            for &token in &heads[0].tail[..common] {
                if ahead.pop_front() != Some(token) {
                    if inner.len() > settling.standing.trunk {
                        inner.rewind(settling.standing.trunk);
                    }
                    ahead.clear();
                    inner.extend(&[token], Wanted::All);
                }
                settling.standing.trunk += 1;
            }
            for head in heads.iter_mut() {
                head.tail.drain(..common);
                if head.tail.is_empty() {
                    head.row = None;
                }
            }
        }
        if inner.need()?.is_some() {
            return Ok(None);
        }
        let lacks = |head: &Head| head.row.is_none() && !head.tail.is_empty();
        let side_by_side = if settling.alone { 1 } else { (*branches).max(1) };
        settling.missing = (0..heads.len()).filter(|&index| lacks(&heads[index])).take(side_by_side).collect();
        settling.tails = settling.missing.iter().map(|&index| heads[index].tail.clone()).collect();
        if !settling.missing.is_empty() {
            return Ok(None);
        }
        Ok(waiting.take().map(|settling| (settling.standing, settling.then)))
    }
}
