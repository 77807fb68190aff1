/* A fusion or a policy for llama_selfmod, in C or C++.
 *
 * Define the constant `llama_selfmod_plugin_v1` (at the end of this file) and build a shared library:
 *
 *     cc -shared -fPIC -O2 -I FOLDER_OF_THIS_FILE -o my_plugin.so my_plugin.c
 *
 * Three rules hold everywhere:
 *
 * - Every struct starts with `struct_size` and only grows at its end, so that a host and a plugin of different minor
 *   versions can each tell which fields the other knows.
 * - No ownership crosses the border. What the host passes is borrowed for the duration of the call; what a plugin answers
 *   goes into a buffer of the host.
 * - Integers in place of `bool` and enumerations.
 *
 * The host calls one instance from one thread at a time, but not always from the same thread. Different instances may be
 * called at the same time. A plugin never calls back into the host outside a call. Pointers that a function is given are
 * never null unless its description says so, and are valid until it returns. An exception never leaves a function.
 *
 * Made from plugin-api/src/abi.rs. Do not edit: `REGENERATE=1 cargo test --release header::` writes it anew.
 */

#ifndef LLAMA_SELFMOD_PLUGIN_H
#define LLAMA_SELFMOD_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * First field of `LLSM_Library`: the bytes `LLSELFMD` read as a little-endian integer.
 */
#define LLSM_MAGIC 0x444d464c45534c4cULL

/**
 * A host refuses a library of another major version.
 */
#define LLSM_ABI_MAJOR 1

/**
 * A minor version adds fields at the ends of structs and nothing else.
 */
#define LLSM_ABI_MINOR 2

/**
 * Status of a call: everything went well.
 */
#define LLSM_OK 0

/**
 * Status of a call: the plugin failed and has said why through `LLSM_Host.set_error`.
 */
#define LLSM_FAILED 1

/**
 * Status of a call: the plugin panicked; the message went through `LLSM_Host.set_error`.
 */
#define LLSM_PANICKED 2

/**
 * Status of a call: the plugin does nothing in this hook; the host need not call it again.
 */
#define LLSM_ABSENT 3

/**
 * `LLSM_PluginEntry.role`: computes the fused row. Runs only when it is the chosen fusion mode.
 */
#define LLSM_ROLE_FUSION 1

/**
 * `LLSM_PluginEntry.role`: watches and answers with verdicts, or edits the fused row. Always runs.
 */
#define LLSM_ROLE_POLICY 2

/**
 * `LLSM_RawVerdict.action`, in rising order of precedence when several hooks answer.
 */
#define LLSM_CONTINUE 0

/**
 * Change the sampling parameters; see the fields of `LLSM_RawVerdict`.
 */
#define LLSM_ADJUST 1

/**
 * Draw the candidate again; it is banned at this position. Only from `on_token`.
 */
#define LLSM_RESAMPLE 2

/**
 * Take `LLSM_RawVerdict.unit` in place of the candidate. Only from `on_token`.
 */
#define LLSM_FORCE 3

/**
 * Take the last `LLSM_RawVerdict.units` units back. Only from `on_assessment`.
 */
#define LLSM_RETRACT 4

/**
 * End the reply, with `LLSM_RawVerdict.reason` as its reason.
 */
#define LLSM_STOP 5

/**
 * By how much older text counts less in `LLSM_Row.evidence`, for each unit of age: half after 23 units.
 *
 * Measured on 100 kB of stories in windows of 255 units, with members that share a vocabulary, each decay at the scale
 * of evidence that suits it: with 0.9 two different members gain 2.0 % over the better one, and a member that is a
 * little worse than the other costs 0.9 %; with 0.97 it is 2.4 % and 0.2 %. 0.99 gains no more and follows a change of
 * quality in the middle of a text later.
 */
#define LLSM_EVIDENCE_DECAY 0.97

/**
 * `LLSM_RawVerdict.flags`: the adjusted parameters do not decay back to the base values.
 */
#define LLSM_HOLD 1

/**
 * How many units one verdict can ban.
 */
#define LLSM_MAX_BANS 16

/**
 * How many bytes of a reason are kept.
 */
#define LLSM_MAX_REASON 160

/**
 * One member's next-unit logits and what the host has already worked out about them.
 */
typedef struct LLSM_Row {
    /**
     * `sizeof(LLSM_Row)` of the host, also the stride from one row to the next.
     */
    uint32_t struct_size;
    /**
     * The unit with the highest logit.
     */
    uint32_t top_unit;
    /**
     * `LLSM_Rows.units` raw logits; −∞ where the member cannot emit the unit.
     */
    const float *logits;
    /**
     * `LLSM_Rows.units` probabilities; they sum to 1.
     */
    const float *probabilities;
    /**
     * `log Σ exp logits`: the log-probability of unit v is `logits[v] − log_sum_exp`.
     */
    float log_sum_exp;
    /**
     * Of this row, in nats.
     */
    float entropy;
    /**
     * Probability of `top_unit`.
     */
    float top_probability;
    /**
     * How well this member has predicted the text that stands: the sum of the log-probabilities it gave to the
     * accepted units and to the last ones of the prompt, each decayed by `LLSM_EVIDENCE_DECAY` for every unit that came after
     * it. In nats; 0 before any text.
     */
    float evidence;
    /**
     * The member's weight as set by the user, scaled so that all weights sum to 1.
     */
    float weight;
    /**
     * Length of `name` in bytes.
     */
    uint32_t name_len;
    /**
     * UTF-8, not NUL-terminated.
     */
    const uint8_t *name;
} LLSM_Row;

/**
 * All members' rows for the position being decided.
 */
typedef struct LLSM_Rows {
    /**
     * `sizeof(LLSM_Rows)` of the host.
     */
    uint32_t struct_size;
    /**
     * How many rows.
     */
    uint32_t count;
    /**
     * Length of each row.
     */
    uint32_t units;
    /**
     * Reserved; 0.
     */
    uint32_t reserved;
    /**
     * `count` rows, `LLSM_Row.struct_size` bytes apart.
     */
    const struct LLSM_Row *rows;
} LLSM_Rows;

/**
 * What the host offers to a plugin. Valid, and the same, from `LLSM_PluginEntry.create` until `LLSM_PluginEntry.destroy`
 * returns. Its functions are never null. They may be called from within a call of the plugin alone, on the thread of that
 * call: never from a thread of the plugin's own, never between calls.
 */
typedef struct LLSM_Host {
    /**
     * `sizeof(LLSM_Host)` of the host.
     */
    uint32_t struct_size;
    /**
     * The host's `LLSM_ABI_MINOR`.
     */
    uint32_t abi_minor;
    /**
     * Says why the call in progress fails. The text belongs to the plugin and is copied before this returns; `text` is
     * UTF-8 (what is not is replaced) of `len` bytes, without a NUL, and may be null, which says nothing. At most 4096
     * bytes are kept. Of several texts in one call the last counts; one in a call that returns `LLSM_OK` is dropped. Cannot
     * fail.
     */
    void (*set_error)(const uint8_t *text, size_t len);
    /**
     * Writes the linear mixture `log Σ_i weights[i] · p_i(v)` of all rows to `fused`; vectorised. Only from within
     * `LLSM_PluginEntry.on_logits`, with the `rows` of that call. `weights` has `LLSM_Rows.count` entries, finite and at least
     * 0, not all 0; the host scales them to sum to 1. `fused` has room for `LLSM_Rows.units` entries: the buffer of the call
     * or one of the plugin's own. Nothing is kept. Returns `LLSM_OK`, or `LLSM_FAILED` when an argument is null or the weights
     * cannot be used; then the error is set and `fused` is as before.
     */
    int32_t (*mix)(const struct LLSM_Rows *rows, const float *weights, float *fused);
} LLSM_Host;

/**
 * Sampling parameters.
 */
typedef struct LLSM_Parameters {
    /**
     * 0 is greedy.
     */
    float temperature;
    /**
     * In (0, 1]; 1 is off.
     */
    float top_p;
    /**
     * In [0, 1]; 0 is off.
     */
    float min_p;
    /**
     * At least 1; 1 is off.
     */
    float repeat_penalty;
    /**
     * 0 is off.
     */
    uint32_t top_k;
} LLSM_Parameters;

/**
 * Where the reply stands. Passed to every hook.
 */
typedef struct LLSM_Step {
    /**
     * `sizeof(LLSM_Step)` of the host.
     */
    uint32_t struct_size;
    /**
     * Units accepted since the start of the reply; the position being decided (`on_logits`, `on_token`) or just
     * after the newest unit (`on_assessment`).
     */
    uint32_t position;
    /**
     * 0 at the first try of this position, then 1, 2, … after resamples and retractions.
     */
    uint32_t attempt;
    /**
     * How many units can be taken back right now: bounded by the horizon and by the start of the reply.
     */
    uint32_t retractable;
    /**
     * Retractions this reply may still make. At 0 a retraction is ignored.
     */
    uint32_t retractions_left;
    /**
     * How many members decode together.
     */
    uint32_t members;
    /**
     * What random draws of a hook are made from: a function of (seed, position, attempt), so that the same seed
     * gives the same bytes. The Rust face draws from it with SplitMix64.
     */
    uint64_t seed;
    /**
     * The parameters in force, adjustments included.
     */
    struct LLSM_Parameters parameters;
    /**
     * The parameters the user set, to which adjustments decay.
     */
    struct LLSM_Parameters base;
} LLSM_Step;

/**
 * The candidate that was drawn and not yet decoded.
 */
typedef struct LLSM_Token {
    /**
     * `sizeof(LLSM_Token)` of the host.
     */
    uint32_t struct_size;
    /**
     * The candidate.
     */
    uint32_t unit;
    /**
     * Its bytes; not always UTF-8 by themselves. Empty for the end of the text.
     */
    const uint8_t *bytes;
    /**
     * Length of `bytes`.
     */
    uint32_t bytes_len;
    /**
     * The member that gave it most weight.
     */
    uint32_t leader;
    /**
     * Its probability in the fused row, before temperature and truncation.
     */
    float probability;
    /**
     * Of the fused row, in nats.
     */
    float entropy;
    /**
     * 1 − mean pairwise total-variation distance of the members' rows.
     */
    float agreement;
    /**
     * 1 when the candidate ends the text, else 0.
     */
    uint32_t is_end;
    /**
     * `LLSM_Step.members` probabilities the members gave it.
     */
    const float *member_probabilities;
    /**
     * Since 1.1: mean of −ln `probability` over the units that stand in this reply, in nats; 0 before the first.
     */
    float surprise_mean;
    /**
     * Since 1.1: their standard deviation.
     */
    float surprise_deviation;
    /**
     * Since 1.1: ln of the likeliest unit's probability less ln of this one's, in nats, units that are banned here left out;
     * 0 for the likeliest.
     */
    float behind;
    /**
     * 0.
     */
    uint32_t reserved;
} LLSM_Token;

/**
 * A plugin's answer, in a buffer of the host. The host fills it with "continue, change nothing" before the call.
 */
typedef struct LLSM_RawVerdict {
    /**
     * `sizeof(LLSM_RawVerdict)` of the host. A plugin writes no field beyond it.
     */
    uint32_t struct_size;
    /**
     * `LLSM_CONTINUE` … `LLSM_STOP`.
     */
    uint32_t action;
    /**
     * For `LLSM_RETRACT`: how many.
     */
    uint32_t units;
    /**
     * For `LLSM_FORCE`: which.
     */
    uint32_t unit;
    /**
     * `LLSM_HOLD`.
     */
    uint32_t flags;
    /**
     * How many of `bans` are set.
     */
    uint32_t ban_count;
    /**
     * Units banned at the position that is tried again, beside the one that stood there.
     */
    uint32_t bans[LLSM_MAX_BANS];
    /**
     * NaN: leave as it is.
     */
    float temperature;
    /**
     * NaN: leave as it is.
     */
    float top_p;
    /**
     * NaN: leave as it is.
     */
    float min_p;
    /**
     * NaN: leave as it is.
     */
    float repeat_penalty;
    /**
     * −1: leave as it is.
     */
    int32_t top_k;
    /**
     * How many bytes of `reason` are set.
     */
    uint32_t reason_len;
    /**
     * UTF-8; shown to the user.
     */
    uint8_t reason[LLSM_MAX_REASON];
} LLSM_RawVerdict;

/**
 * The report on the recent window, after a unit was accepted.
 */
typedef struct LLSM_Assessment {
    /**
     * `sizeof(LLSM_Assessment)` of the host.
     */
    uint32_t struct_size;
    /**
     * The unit just accepted.
     */
    uint32_t unit;
    /**
     * Its probability in the fused row, before temperature and truncation.
     */
    float confidence;
    /**
     * Mean confidence of the last 5 units, or of as many as there are.
     */
    float mean_confidence;
    /**
     * Least-squares slope of those confidences, per unit.
     */
    float slope;
    /**
     * The lowest of those confidences.
     */
    float minimum;
    /**
     * How many units back the lowest stands; 1 is the newest. `retract(minimum_back)` takes it away.
     */
    uint32_t minimum_back;
    /**
     * Of the fused row the unit was drawn from, in nats.
     */
    float entropy;
    /**
     * 1 − mean pairwise total-variation distance of the members' rows.
     */
    float agreement;
    /**
     * The member that gave the unit most weight.
     */
    uint32_t leader;
    /**
     * How many different units stand among the last 10.
     */
    uint32_t unique;
    /**
     * How many units `unique` was counted over: 10, less at the start.
     */
    uint32_t unique_of;
    /**
     * Length of the longest suffix of the window that stands there a second time, in units; 0 when there is none.
     */
    uint32_t repeated;
    /**
     * How far apart the two copies are, in units; 0 when there is none.
     */
    uint32_t period;
    /**
     * The newest confidences, oldest first.
     */
    const float *confidences;
    /**
     * The newest units, oldest first; as many as `confidences`.
     */
    const uint32_t *units;
    /**
     * Length of both.
     */
    uint32_t window;
    /**
     * Reserved; 0.
     */
    uint32_t reserved;
} LLSM_Assessment;

/**
 * Told to every hook after text was taken back: state about those units must go.
 */
typedef struct LLSM_Retraction {
    /**
     * `sizeof(LLSM_Retraction)` of the host.
     */
    uint32_t struct_size;
    /**
     * How many units were taken back.
     */
    uint32_t units;
    /**
     * How many units remain since the start of the reply.
     */
    uint32_t position;
    /**
     * Length of `policy`.
     */
    uint32_t policy_len;
    /**
     * The policy whose verdict won; UTF-8.
     */
    const uint8_t *policy;
} LLSM_Retraction;

/**
 * Takes bytes out of a `LLSM_PluginEntry.save` call: a function of the host, called within that call, on its thread, with
 * the `context` that came with it. The bytes belong to the plugin and are copied before this returns; null only with a
 * `len` of 0. May be called several times: the pieces are joined. Cannot fail; of more than 64 MiB in all the host keeps
 * nothing and takes the call for failed.
 */
typedef void (*LLSM_Write)(void *context, const uint8_t *bytes, size_t len);

/**
 * One plugin of a library: constant, as all that it points to, and in place as long as the library.
 *
 * The host calls the functions of one instance one at a time, though not always on the same thread. The functions that
 * take no instance (`settings_schema`, `create`) it may call on any thread and for several instances at once.
 *
 * Functions that return a status return `LLSM_OK`; `LLSM_FAILED` or `LLSM_PANICKED` after `LLSM_Host.set_error`; or `LLSM_ABSENT`.
 * Whatever else they return counts as a failure, and so does a call of more than 250 ms, which the host cannot stop. What a
 * failed call wrote is ignored, and its error is shown; the instance must stay usable. After three failures in a row at one
 * hook it is called no more, until a newer version takes over or the user gives it another chance.
 *
 * A function that is null, or beyond `struct_size`, is not called.
 */
typedef struct LLSM_PluginEntry {
    /**
     * `sizeof(LLSM_PluginEntry)` of the plugin.
     */
    uint32_t struct_size;
    /**
     * `LLSM_ROLE_FUSION` or `LLSM_ROLE_POLICY`.
     */
    uint32_t role;
    /**
     * UTF-8, NUL-terminated, not empty: what `--fusion-mode` and events call it.
     */
    const char *name;
    /**
     * UTF-8, NUL-terminated; or null.
     */
    const char *version;
    /**
     * UTF-8, NUL-terminated: one sentence for `--list-hooks`; or null.
     */
    const char *description;
    /**
     * The JSON schema of the settings: an object whose `properties` are the settings there are. UTF-8, NUL-terminated; it
     * belongs to the library, lives as long, and is the same at every call. Null, from the function or in its place, means
     * that the plugin looks at its settings by itself. May be called before `create`, on any thread; no function of the
     * host may be called in it. The host checks settings against the schema before it makes an instance.
     */
    const char *(*settings_schema)(void);
    /**
     * Makes an instance. `host` stays valid until the instance is destroyed. `settings` are `len` bytes of UTF-8, without
     * a NUL: a JSON object, `{}` at least, that fits the schema; they are borrowed for the call. The instance belongs to
     * the plugin and is opaque to the host, which passes it back and never reads it. Null is a failure, after
     * `LLSM_Host.set_error`; the program does not start then, or keeps the version of the plugin that it has. Several
     * instances can exist at once: a newer version is tried on one that is thrown away. An entry without this function is
     * refused.
     */
    void *(*create)(const struct LLSM_Host *host, const uint8_t *settings, size_t len);
    /**
     * Ends an instance and frees what it holds. Called once for each, last, on any thread, never while another call of the
     * instance runs. Cannot fail. If it is null, instances are dropped without a word.
     */
    void (*destroy)(void *instance);
    /**
     * Writes the fused row: `len` log-probabilities or any scores that differ from them by a constant; −∞ masks a unit,
     * NaN and +∞ are failures, and so is a row without a finite score. On entry it holds what the chain has made so far,
     * the weighted mean of the members at its start. All pointers are the host's, borrowed for the call; `fused` alone may
     * be written. `len` is `LLSM_Rows.units`. After a failure the row is as it was on entry.
     */
    int32_t (*on_logits)(void *instance,
                         const struct LLSM_Step *step,
                         const struct LLSM_Rows *rows,
                         float *fused,
                         size_t len);
    /**
     * Judges a candidate before it is decoded. All pointers are the host's, borrowed for the call; `verdict` alone may be
     * written, and holds "continue, change nothing" on entry. After a failure the verdict is ignored.
     */
    int32_t (*on_token)(void *instance,
                        const struct LLSM_Step *step,
                        const struct LLSM_Token *token,
                        struct LLSM_RawVerdict *verdict);
    /**
     * Judges the recent window after a unit was accepted. Pointers, `verdict` and failures as in `on_token`.
     */
    int32_t (*on_assessment)(void *instance,
                             const struct LLSM_Step *step,
                             const struct LLSM_Assessment *assessment,
                             struct LLSM_RawVerdict *verdict);
    /**
     * Hears that units were taken back, whoever asked for it: what the instance remembers of them must go. The pointers
     * are the host's, borrowed for the call. A failure does not undo the retraction.
     */
    int32_t (*on_retract)(void *instance, const struct LLSM_Step *step, const struct LLSM_Retraction *retraction);
    /**
     * Writes the instance's state: what `restore` of a newer version of the plugin takes over when its library has
     * changed. Called between two steps; the instance goes on if the newer version is refused, so it must not change.
     * `write` and `context` are the host's and valid for the call. If it fails, the newer version is refused.
     */
    int32_t (*save)(void *instance, LLSM_Write write, void *context);
    /**
     * Takes over the state that an older version of the plugin saved: `len` bytes, borrowed for the call; null only with a
     * `len` of 0. Called at most once, right after `create`. The bytes can come from any earlier version: check them. If it
     * fails, this version is refused and the older one goes on. Without this function an instance starts afresh.
     */
    int32_t (*restore)(void *instance, const uint8_t *bytes, size_t len);
    /**
     * Since 1.2: one more than the most units that it takes back at once; 0 where it does not say. Text that is out of every
     * policy's reach is certain, and need not be held back from readers that cannot take it back. The host cuts a retraction
     * that goes further.
     */
    uint32_t reach;
    /**
     * 0.
     */
    uint32_t reserved;
} LLSM_PluginEntry;

/**
 * What a shared library exports as the constant `llama_selfmod_plugin_v1`. Read once after the library was opened, which
 * is copied under another name before and stays open until the program ends.
 */
typedef struct LLSM_Library {
    /**
     * `LLSM_MAGIC`.
     */
    uint64_t magic;
    /**
     * `LLSM_ABI_MAJOR` the library was built against.
     */
    uint32_t abi_major;
    /**
     * `LLSM_ABI_MINOR` the library was built against.
     */
    uint32_t abi_minor;
    /**
     * `sizeof(LLSM_Library)` of the plugin.
     */
    uint32_t struct_size;
    /**
     * How many plugins.
     */
    uint32_t plugin_count;
    /**
     * What it was built with, UTF-8, NUL-terminated; or null. For people.
     */
    const char *sdk;
    /**
     * `plugin_count` pointers, none of them null.
     */
    const struct LLSM_PluginEntry *const *plugins;
} LLSM_Library;

#endif  /* LLAMA_SELFMOD_PLUGIN_H */

#if defined(__GNUC__)
#define LLSM_EXPORT __attribute__((visibility("default")))
#else
#define LLSM_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What the host looks for in a library: define it.
 */
extern LLSM_EXPORT const LLSM_Library llama_selfmod_plugin_v1;

#ifdef __cplusplus
}
#endif
