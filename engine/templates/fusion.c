/* A fusion: it makes one distribution of all members' distributions, at every token.
 *
 *     cc -std=c11 -O2 -shared -fPIC -o my_plugin.so my_plugin.c -lm
 *
 * llama_selfmod_plugin.h describes all that there is: structs, hooks, verdicts, and who owns what. */
#include "llama_selfmod_plugin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What lives as long as the session: the host's functions and the settings. */
struct fusion {
    const LLSM_Host *host;
    float sharpness;
};

/* What the user can set, with `--plugin FILE:sharpness=4`. The program checks it, and shows this when it does not fit. */
static const char *settings_schema(void) {
    return "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"sharpness\": {"
           "\"description\": \"How much more a member counts when it is surer: 0 is the plain mean.\","
           "\"type\": \"number\", \"minimum\": 0, \"maximum\": 100, \"default\": 2}}}";
}

/* The number behind a key of the settings. They are JSON that fits the schema, without a NUL at its end. */
static float number(const uint8_t *settings, size_t len, const char *key, float otherwise) {
    char text[256];
    if (len >= sizeof text) return otherwise;
    memcpy(text, settings, len);
    text[len] = '\0';
    const char *found = strstr(text, key);
    found = found ? strchr(found, ':') : NULL;
    return found ? strtof(found + 1, NULL) : otherwise;
}

static void *create(const LLSM_Host *host, const uint8_t *settings, size_t len) {
    struct fusion *fusion = malloc(sizeof *fusion);
    if (!fusion) return NULL;
    fusion->host = host;
    fusion->sharpness = number(settings, len, "\"sharpness\"", 2);
    return fusion;
}

static void destroy(void *instance) { free(instance); }

/* Row `index`. They stand struct_size bytes apart, which is more than sizeof with a newer program. */
static const LLSM_Row *row(const LLSM_Rows *rows, uint32_t index) {
    return (const LLSM_Row *)((const char *)rows->rows + (size_t)index * rows->rows->struct_size);
}

static int32_t fail(const LLSM_Host *host, const char *why) {
    host->set_error((const uint8_t *)why, strlen(why));
    return LLSM_FAILED;
}

/* Writes `len` log-probabilities, or scores that differ from them by a constant, to `fused`; −INFINITY masks a token. A row
 * has `logits` and `probabilities`, and what the program worked out already: `entropy` (0 is certain), `evidence` (how well
 * the member predicted the text so far), `weight` (of --weights). */
static int32_t on_logits(void *instance, const LLSM_Step *step, const LLSM_Rows *rows, float *fused, size_t len) {
    (void)step;
    const struct fusion *fusion = instance;
    if (len != rows->units) return fail(fusion->host, "the row is not as long as those of the members");
    float weights[64];
    if (rows->count > 64) return fail(fusion->host, "more than 64 members");
    float surest = INFINITY, sum = 0;
    for (uint32_t i = 0; i < rows->count; i++) surest = fminf(surest, row(rows, i)->entropy);
    for (uint32_t i = 0; i < rows->count; i++) {
        weights[i] = row(rows, i)->weight * expf(fusion->sharpness * (surest - row(rows, i)->entropy));
        sum += weights[i];
    }
    /* Without a member of any weight the plain mean stands, which is in `fused` already. */
    if (!(sum > 0)) return LLSM_OK;
    /* The program's own vectorised arithmetic; the weights need not sum to 1. */
    return fusion->host->mix(rows, weights, fused);
}

/* The hooks that are not named are null and not called: on_token, on_assessment, on_retract, save, restore. */
static const LLSM_PluginEntry entry = {
    .struct_size = sizeof(LLSM_PluginEntry),
    .role = LLSM_ROLE_FUSION,
    .name = "my_plugin",
    .version = "0.1.0",
    .description = "Weighs each member by how sure it is of the next token.",
    .settings_schema = settings_schema,
    .create = create,
    .destroy = destroy,
    .on_logits = on_logits,
};

static const LLSM_PluginEntry *const plugins[] = {&entry};

const LLSM_Library llama_selfmod_plugin_v1 = {
    .magic = LLSM_MAGIC,
    .abi_major = LLSM_ABI_MAJOR,
    .abi_minor = LLSM_ABI_MINOR,
    .struct_size = sizeof(LLSM_Library),
    .plugin_count = 1,
    .sdk = "C",
    .plugins = plugins,
};
