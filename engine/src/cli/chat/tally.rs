//! What a chat has come to so far; for `/stats`.

use crate::{cli::hooks, engine::Engine, reply::Reply};

/// Sums over the replies of a chat.
#[derive(Debug, Default)]
pub struct Tally {
    replies: u32,
    tokens: u64,
    milliseconds: f64,
    confidence: f64,
    retractions: usize,
    modifications: usize,
    context: u32,
}

impl Tally {
    /// Counts a reply.
    pub fn add(&mut self, reply: &Reply) {
        self.replies += 1;
        self.tokens += u64::from(reply.tokens);
        self.milliseconds += reply.timings.reply_ms;
        self.confidence += f64::from(reply.avg_confidence) * f64::from(reply.tokens);
        self.retractions += reply.retractions.len();
        self.modifications += reply.modifications.len();
        self.context = reply.timings.prompt_tokens + reply.tokens;
    }

    /// In words, with what is known of the ensemble.
    pub fn describe(&self, engine: &Engine, seed: u64) -> String {
        let settings = engine.settings();
        let mut lines = Vec::new();
        for member in engine.members() {
            lines.push(format!(
                "{}: {} parameters, {:.1} MB, trained for {} tokens, `{}`",
                member.name,
                short(member.parameters),
                member.bytes as f64 / 1e6,
                member.context,
                member.path.display()
            ));
        }
        let room = engine.members().iter().map(|member| member.context).fold(settings.ctx_size, u32::min);
        lines.push(format!("context: {} of {room} tokens after the last reply", self.context));
        let tokens = (self.tokens as f64).max(1.0);
        lines.push(format!(
            "replies: {} with {} tokens, {:.0} tokens/s, mean confidence {:.2}, {} retractions, {} changes by policies",
            self.replies,
            self.tokens,
            self.tokens as f64 / (self.milliseconds / 1e3).max(1e-9),
            self.confidence / tokens,
            self.retractions,
            self.modifications
        ));
        let policies = hooks::names(&engine.policies());
        lines.push(format!("fusion: {} · policies: {policies} · seed: {seed}", settings.fusion_mode));
        lines.join("\n")
    }
}

/// 260032 as `0.26 M`.
fn short(count: u64) -> String {
    match count {
        0..=999_999_999 => format!("{:.2} M", count as f64 / 1e6),
        _ => format!("{:.2} G", count as f64 / 1e9),
    }
}
