//! What the loop tells the world while it writes. Renderers, the JSON stream and the memory log all read these.

use serde::Serialize;
use std::borrow::Cow;

/// A member's probability for a unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberProbability<'a> {
    /// The member's name.
    pub name: Cow<'a, str>,
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
        models: Cow<'a, [String]>,
        /// The fusion that runs.
        fusion_mode: Cow<'a, str>,
        /// The policies that run, in order.
        policies: Cow<'a, [String]>,
        /// Of the random draws.
        seed: u64,
    },
    /// A unit was accepted. At the end of a reply a further one with the last `index` may bring text that was held back
    /// because it could have become a stop string.
    Token {
        /// Position in the reply, from 0.
        index: u32,
        /// The text that became whole with it: UTF-8, sometimes empty.
        text: Cow<'a, str>,
        /// Probability in the fused distribution, before temperature and truncation.
        confidence: f32,
        /// Of the fused distribution, in nats.
        entropy: f32,
        /// 1 − mean pairwise total-variation distance of the members.
        agreement: f32,
        /// The member that gave it most weight.
        leader: Cow<'a, str>,
        /// What each member gave it.
        members: Cow<'a, [MemberProbability<'a>]>,
        /// How many bytes of the reply's text can no longer be taken back.
        committed: usize,
        /// The unit itself, or the bytes of a piece where units are bytes.
        #[serde(skip)]
        units: Cow<'a, [u32]>,
    },
    /// The sampling parameters were changed by a policy.
    Adjust {
        /// Who.
        policy: Cow<'a, str>,
        /// Which version of it: how often its file was taken over, counted from 1.
        version: u32,
        /// In force from now on, before decay.
        temperature: f32,
        /// In force from now on, before decay.
        repeat_penalty: f32,
        /// Why.
        reason: Cow<'a, str>,
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
        policy: Cow<'a, str>,
        /// Which version of it: how often its file was taken over, counted from 1.
        version: u32,
        /// Why.
        reason: Cow<'a, str>,
    },
    /// A hook's file changed and its new version runs.
    Reload {
        /// The hook.
        hook: Cow<'a, str>,
        /// The name of its file.
        file: Cow<'a, str>,
        /// Counts from 1.
        version: u32,
        /// Compile, check, probe and swap together.
        milliseconds: f64,
    },
    /// Something the user should read: a hook failed or was parked, a reload was refused, turns were dropped.
    Notice {
        /// A sentence, sometimes several lines.
        text: Cow<'a, str>,
    },
    /// Last event of a reply.
    Done {
        /// Why it ended.
        reason: Cow<'a, EndReason>,
        /// The whole reply.
        text: Cow<'a, str>,
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
        leader: Cow<'a, str>,
        /// Mean agreement of the units that stand.
        avg_agreement: f32,
    },
}

impl Event<'_> {
    /// The same, to keep: it borrows nothing.
    pub fn into_owned(self) -> Event<'static> {
        fn own<T: ToOwned + ?Sized + 'static>(value: Cow<T>) -> Cow<'static, T> {
            Cow::Owned(value.into_owned())
        }
        match self {
            Self::Init { models, fusion_mode, policies, seed } => {
                Event::Init { models: own(models), fusion_mode: own(fusion_mode), policies: own(policies), seed }
            }
            Self::Token { index, text, confidence, entropy, agreement, leader, members, committed, units } => {
                let member = |MemberProbability { name, probability }: &MemberProbability| MemberProbability {
                    name: Cow::Owned(name.to_string()),
                    probability: *probability,
                };
                let (text, leader, members) = (own(text), own(leader), members.iter().map(member).collect());
                Event::Token {
                    index,
                    text,
                    confidence,
                    entropy,
                    agreement,
                    leader,
                    members,
                    committed,
                    units: own(units),
                }
            }
            Self::Adjust { policy, version, temperature, repeat_penalty, reason } => {
                Event::Adjust { policy: own(policy), version, temperature, repeat_penalty, reason: own(reason) }
            }
            Self::Retract { index, tokens, bytes, policy, version, reason } => {
                Event::Retract { index, tokens, bytes, policy: own(policy), version, reason: own(reason) }
            }
            Self::Reload { hook, file, version, milliseconds } => {
                Event::Reload { hook: own(hook), file: own(file), version, milliseconds }
            }
            Self::Notice { text } => Event::Notice { text: own(text) },
            Self::Done {
                reason,
                text,
                tokens,
                retractions,
                avg_confidence,
                tokens_per_second,
                adjustments,
                leader,
                avg_agreement,
            } => Event::Done {
                reason: own(reason),
                text: own(text),
                tokens,
                retractions,
                avg_confidence,
                tokens_per_second,
                adjustments,
                leader: own(leader),
                avg_agreement,
            },
        }
    }
}

/// "calm.rhai reloaded (3rd version, 0.2 ms)".
pub(crate) fn reload_line(file: &str, version: u32, milliseconds: f64) -> String {
    let version = crate::hooks::ordinal(version);
    format!("{file} reloaded ({version} version, {milliseconds:.1} ms)")
}
