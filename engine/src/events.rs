//! What the loop tells the world while it writes. Renderers, the JSON stream and the memory log all read these.

use serde::Serialize;

/// A member's probability for a unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberProbability<'a> {
    /// The member's name.
    pub name: &'a str,
    /// In [0, 1].
    pub probability: f32,
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The ensemble said so.
    End,
    /// `--n-predict` units are written.
    Length,
    /// The context is full.
    Context,
    /// A stop string appeared; it is not part of the text.
    StopString,
    /// The user interrupted.
    Interrupted,
    /// A member failed; the text so far stands.
    Failed,
    /// A policy ended it, for this reason; in JSON the reason itself.
    #[serde(untagged)]
    Policy(String),
}

/// One event. Serialised it is one line of the JSON stream.
///
/// Appending `text` of every [`Event::Token`] and taking `bytes` away at every [`Event::Retract`] gives the text of
/// [`Event::Done`] exactly.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event<'a> {
    /// First event of a reply.
    Init {
        /// Names of the members.
        models: &'a [String],
        /// The fusion that runs.
        fusion_mode: &'a str,
        /// The policies that run, in order.
        policies: &'a [String],
        /// Of the random draws.
        seed: u64,
    },
    /// A unit was accepted. At the end of a reply a further one with the last `index` may bring text that was held back
    /// because it could have become a stop string.
    Token {
        /// Position in the reply, from 0.
        index: u32,
        /// The text that became whole with it: UTF-8, sometimes empty.
        text: &'a str,
        /// Probability in the fused distribution, before temperature and truncation.
        confidence: f32,
        /// Of the fused distribution, in nats.
        entropy: f32,
        /// 1 − mean pairwise total-variation distance of the members.
        agreement: f32,
        /// The member that gave it most weight.
        leader: &'a str,
        /// What each member gave it.
        members: &'a [MemberProbability<'a>],
        /// How many bytes of the reply's text can no longer be taken back.
        committed: usize,
    },
    /// The sampling parameters were changed by a policy.
    Adjust {
        /// Who.
        policy: &'a str,
        /// Which version of it: how often its file was taken over, counted from 1.
        version: u32,
        /// In force from now on, before decay.
        temperature: f32,
        /// In force from now on, before decay.
        repeat_penalty: f32,
        /// Why.
        reason: &'a str,
    },
    /// Text was taken back.
    Retract {
        /// Units that remain.
        index: u32,
        /// Units taken back.
        tokens: u32,
        /// Bytes of text taken back from the end.
        bytes: usize,
        /// Who.
        policy: &'a str,
        /// Which version of it: how often its file was taken over, counted from 1.
        version: u32,
        /// Why.
        reason: &'a str,
    },
    /// A hook's file changed and its new version runs.
    Reload {
        /// The hook.
        hook: &'a str,
        /// The name of its file.
        file: &'a str,
        /// Counts from 1.
        version: u32,
        /// Compile, check, probe and swap together.
        milliseconds: f64,
    },
    /// Something the user should read: a hook failed or was parked, a reload was refused, turns were dropped.
    Notice {
        /// A sentence, sometimes several lines.
        text: &'a str,
    },
    /// Last event of a reply.
    Done {
        /// Why it ended.
        reason: &'a EndReason,
        /// The whole reply.
        text: &'a str,
        /// Units in it.
        tokens: u32,
        /// How often text was taken back.
        retractions: u32,
        /// Mean confidence of the units that stand.
        avg_confidence: f32,
        /// Units that stand, by the time since the prompt was read.
        tokens_per_second: f64,
        /// Parameter changes.
        adjustments: u32,
        /// The member that led most of the units that stand.
        leader: &'a str,
        /// Mean agreement of the units that stand.
        avg_agreement: f32,
    },
}

/// "calm.rhai reloaded (3rd version, 0.2 ms)".
pub(crate) fn reload_line(file: &str, version: u32, milliseconds: f64) -> String {
    let version = crate::hooks::ordinal(version);
    format!("{file} reloaded ({version} version, {milliseconds:.1} ms)")
}
