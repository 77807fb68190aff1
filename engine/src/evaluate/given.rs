//! What a text that is given costs behind a prompt.

use crate::engine::Engine;
use crate::error::Error;
use crate::member::reader::{LEAST_ROWS, Wanted};
use crate::member::{MemberError, Unit};
use crate::score::given_step;
use crate::settings::Prompt;

/// A unit of a text that is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Given {
    /// −ln of its probability under the fusion that is chosen.
    pub nats: f64,
    /// Of the fused row, in nats.
    pub entropy: f64,
    /// How long it is.
    pub bytes: usize,
}

impl Engine {
    /// What each of these units costs behind a prompt.
    pub(super) fn given(&mut self, before: &Prompt, units: &[Unit]) -> Result<Vec<Given>, Error> {
        let failed = |error: MemberError| Error::Failure(error.to_string());
        let (parameters, seed) = (self.settings().parameters, self.settings().seed);
        let members = self.members().len();
        let mut reading = self.decoder().reading().map_err(failed)?;
        reading.chain.reset();
        if let Err(error) = reading.prime(before) {
            return Err(self.refused(before, error));
        }
        let mut given = Vec::with_capacity(units.len());
        for (position, &unit) in units.iter().enumerate() {
            if position > reading.len() {
                let next = reading.len();
                let ahead = (next + LEAST_ROWS - 2).min(units.len() - 1);
                reading.read(&units[next..ahead], Wanted::All).map_err(failed)?;
            }
            let step = given_step(parameters, seed, members, position as u32);
            let bytes = reading.vocabulary().bytes(unit).len();
            let fusion = reading.fuse(position, &step);
            let nats = -f64::from(fusion.probability(unit).max(f32::MIN_POSITIVE)).ln();
            given.push(Given { nats, entropy: fusion.statistics.entropy.into(), bytes });
        }
        Ok(given)
    }

    /// −ln P of each of these units behind a prompt under the fusion that is chosen, in nats.
    pub(super) fn costs(&mut self, before: &Prompt, units: &[Unit]) -> Result<Vec<f64>, Error> {
        Ok(self.given(before, units)?.iter().map(|unit| unit.nats).collect())
    }
}
