"""Which of llama.cpp's server tests are run, and why the others are not."""

from fnmatch import fnmatchcase

# Files whose tests are run one by one.
FILES = [
    "basic",
    "chat_completion",
    "compat_anthropic",
    "compat_oai_responses",
    "completion",
    "security",
    "tokenize",
    "tool_call",
]

# Files that are out of scope as a whole.
OTHER_FILES = {
    "compat_gcp": "Google's prediction interface",
    "ctx_shift": "asks `/completion`",
    "embedding": "embeddings",
    "ignore_eos": "asks `/completion`, `ignore_eos`",
    "infill": "`/infill`",
    "kv_keep_only_active": "asks `/completion`, slots",
    "lora": "LoRA adapters",
    "mcp_servers": "tools that the server runs itself",
    "metrics": "names and timings of llama-server's own metrics, where ours are called otherwise",
    "proxy": "a proxy for MCP",
    "rerank": "reranking",
    "router": "a server of servers",
    "sleep": "unloading idle models",
    "slot_save": "slots",
    "speculative": "asks `/completion`; drafts are tested in tests/drafts.rs",
    "stream": "streams that are resumed",
    "template": "asks `/apply-template`; templates are tested in tests/fixtures/templates",
    "tools_builtin": "tools that the server runs itself",
    "vision_api": "images",
}

OWN = "asks `/completion`, llama-server's own interface; the same is asked of `/v1/completions` in test_openai.py"
TEMPLATE = "asks for `__verbose`, llama-server's own field"
CORS = "pages of other origins are let in only where `--cors-origin` names them"
IMAGES = "images are refused with 400, where llama-server says 500"

# By name, first match first.
OUT_OF_SCOPE = {
    "basic::test_load_split_model": "downloads a model",
    "basic::test_no_ui": "the page is always there",
    "basic::test_server_model_aliases_and_tags": "tags of models",
    "basic::test_server_multiple_addresses": "a server listens at one address",
    "basic::test_server_props": "`/props`",
    "basic::test_server_slots": "`/slots`",
    "chat_completion::test_apply_chat_template": "`/apply-template`",
    "chat_completion::test_chat_completion_cached_tokens": "counts one token otherwise: the row behind a prompt that is known is known, too",
    "chat_completion::test_chat_completion_with_timings_per_token": "`timings`, llama-server's own field",
    "chat_completion::test_chat_completions_multiple_choices": "`id_slot`: no slot can be chosen",
    "chat_completion::test_chat_completions_token_count": "`/chat/completions/input_tokens`; `/tokenize` counts",
    "chat_completion::test_chat_template*prefill*": "a reply that is begun is not continued",
    "chat_completion::test_chat_template_continue_final_message_vllm_compat": "a reply that is begun is not continued",
    "chat_completion::test_chat_template": TEMPLATE,
    "chat_completion::test_context_size_exceeded*": "llama-server's own `type`; ours is OpenAI's `code`, in test_openai.py",
    "chat_completion::test_return_progress*": "`return_progress`, llama-server's own field",
    "chat_completion::test_verbose_debug": TEMPLATE,
    "compat_anthropic::test_anthropic_empty_messages": "no messages are refused, as by Anthropic",
    "compat_anthropic::test_anthropic_thinking": "`thinking` is refused, not ignored",
    "compat_anthropic::test_anthropic_thinking_history*": "`thinking` is refused, not ignored",
    "compat_anthropic::*image": IMAGES,
    "compat_anthropic::*vision*": IMAGES,
    "compat_oai_responses::*llama_telemetry": "`timings`, `return_progress`: llama-server's own fields",
    "completion::test_completion_stream_with_openai_library": None,
    "completion::test_completion_with_openai_library": None,
    "completion::*": OWN,
    "security::test_access_static_assets*": "files of llama-server's page; ours is one file",
    "security::test_correct_api_key*": "asks `/completions`, llama-server's own interface; the keys are tested in test_openai.py and test_anthropic.py",
    "security::test_cors_proxy*": "a proxy for MCP",
    "security::test_cors*": CORS,
    "security::test_local_media_file*": "images",
}

# Words that llama.cpp's own random numbers draw from the model. Any others are as good.
WORDS = {
    "But she couldn't",
    '(Suddenly)+|\\{ " Sarax.',
    "^ blue",
    "(Aside|she|felter|alonger)+",
    "Whillicter",
    "(Suddenly)+",
    "(going|bed)+",
    "[ -3000 ]",
    "(\\{|John)+",
}


def reason(name):
    """Why a test is not run, if it is not."""
    return next((why for pattern, why in OUT_OF_SCOPE.items() if fnmatchcase(name, pattern)), None)
