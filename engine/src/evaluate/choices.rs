//! Items whose choices are scored.

use crate::engine::Engine;
use crate::error::Error;
use crate::settings::Prompt;

impl Engine {
    /// ln P of each continuation of a prompt under the fusion that is chosen. With tokens as units, it is that of the tokens in
    /// which prompt and continuation together differ from the prompt alone, as in lm-eval.
    pub fn log_likelihoods(&mut self, prompt: &str, continuations: &[&str]) -> Result<Vec<f64>, Error> {
        let is_bytes = self.is_in_bytes()?;
        let mut found = Vec::with_capacity(continuations.len());
        for continuation in continuations {
            let costs = if is_bytes {
                let units = self.units_of(continuation)?;
                self.costs(&Prompt::Text(prompt.into()), &units)?
            } else {
                let (all, own) = (self.units_of(&format!("{prompt}{continuation}"))?, self.units_of(prompt)?);
                let common = all.iter().zip(&own).take_while(|(a, b)| a == b).count();
                self.costs(&Prompt::Tokens(all[..common].to_vec()), &all[common..])?
            };
            found.push(-costs.iter().sum::<f64>());
        }
        Ok(found)
    }
}
