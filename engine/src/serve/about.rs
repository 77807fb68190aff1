//! What the server says of the ensemble.

use crate::engine::Engine;
use crate::memory::sha256;
use serve::backend::{About, Sampling};
use std::time::UNIX_EPOCH;

pub(super) fn about(engine: &Engine, name: Option<String>) -> About {
    let members: Vec<String> = engine.members().iter().map(|member| member.name.clone()).collect();
    let (settings, speech) = (engine.settings(), engine.speech());
    let parameters = settings.parameters;
    About {
        name: name.unwrap_or_else(|| members.join("+")),
        members,
        context: engine.context(),
        units: speech.units,
        is_bytes: speech.is_bytes,
        fingerprint: fingerprint(engine),
        end: speech.end.clone(),
        beginning: speech.beginning.clone(),
        template: speech.template.clone(),
        defaults: Sampling {
            temperature: Some(parameters.temperature),
            top_p: Some(parameters.top_p),
            top_k: Some(parameters.top_k),
            min_p: Some(parameters.min_p),
            repeat_penalty: Some(parameters.repeat_penalty),
        },
        max_tokens: settings.n_predict,
        horizon: settings.horizon,
    }
}

/// Of the files, by what the system says of them, and of all settings that a text depends on.
fn fingerprint(engine: &Engine) -> String {
    let settings = engine.settings();
    let mut all = format!(
        "{} {} {:?} {:?} {:?} {} {:?}\n",
        env!("CARGO_PKG_VERSION"),
        settings.fusion_mode,
        settings.cache_type,
        settings.align,
        settings.heads,
        engine.context(),
        engine.policies(),
    );
    for (model, member) in settings.models.iter().zip(engine.members()) {
        let changed = model.path.metadata().and_then(|data| data.modified()).ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos());
        let (system, before) = (&model.system, &model.before);
        all += &format!("{} {changed} {} {system:?} {before:?}\n", member.bytes, model.weight);
    }
    format!("fp_{}", &sha256(all.as_bytes())[..16])
}
