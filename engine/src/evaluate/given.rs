//! What a text that is given costs behind a prompt.

use crate::engine::Engine;
use crate::error::Error;
use crate::member::reader::{LEAST_ROWS, Wanted};
use crate::member::{MemberError, Unit};
use crate::score::given_step;
use crate::settings::Prompt;

impl Engine {
    /// −ln P of each of these units behind a prompt under the fusion that is chosen, in nats.
    pub(super) fn costs(&mut self, before: &Prompt, units: &[Unit]) -> Result<Vec<f64>, Error> {
        let failed = |error: MemberError| Error::Failure(error.to_string());
        let (parameters, seed) = (self.settings().parameters, self.settings().seed);
        let members = self.members().len();
        let mut reading = self.decoder().reading().map_err(failed)?;
        reading.chain.reset();
        if let Err(error) = reading.prime(before) {
            return Err(self.refused(before, error));
        }
        let mut costs = Vec::with_capacity(units.len());
        for (position, &unit) in units.iter().enumerate() {
            if position > reading.len() {
                let next = reading.len();
                let ahead = (next + LEAST_ROWS - 2).min(units.len() - 1);
                reading.read(&units[next..ahead], Wanted::All).map_err(failed)?;
            }
            let step = given_step(parameters, seed, members, position as u32);
            let probability = reading.fuse(position, &step).probability(unit);
            costs.push(-f64::from(probability.max(f32::MIN_POSITIVE)).ln());
        }
        Ok(costs)
    }
}
