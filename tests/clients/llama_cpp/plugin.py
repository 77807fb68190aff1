"""Runs llama.cpp's own server tests against `llama_selfmod serve`, as its `DEBUG_EXTERNAL=1` does against any server.

A test sets attributes of a `ServerProcess`, starts it and asks it. Here starting it means that a server of ours with the same
settings is there: each is started once. Tests that are out of scope, by `scope.py`, are left out.
"""

import os
import re
import shutil
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]
# Only for downloads, of which there are none here.
sys.modules["wget"] = types.ModuleType("wget")

import scope
from conftest import MODELS, ROOT, Server

STORIES = "ggml-org/test-model-stories260K"
running = {}
folder = Path(tempfile.mkdtemp(prefix="llama_cpp"))


def template(process):
    """llama-server takes ChatML where a model has no template."""
    if process.chat_template_file:
        return Path(process.chat_template_file).resolve()
    if process.chat_template in (None, "chatml"):
        return Path(__file__).with_name("chatml.jinja")
    written = folder / f"{abs(hash(process.chat_template))}.jinja"
    written.write_text(process.chat_template)
    return written


def model():
    """That of llama.cpp's tests, or one in whose context descriptions of tools have room."""
    has_tools = any(name in os.environ["PYTEST_CURRENT_TEST"] for name in ("test_tool_call", "test_compat_anthropic"))
    return ROOT / "engine" / "models" / "tale.gguf" if has_tools else MODELS / "stories-260k.gguf"


def arguments(process):
    """What of llama-server's arguments has a counterpart."""
    lines = process.n_slots or 4
    # There, the context is that of all slots together.
    yield from ("--model", model(), "--ctx-size", max(16, (process.n_ctx or 2048) // lines))
    yield from ("--parallel", lines, "--temperature", process.temperature, "--seed", process.seed, "--policy", "none")
    if process.model_alias:
        yield from ("--alias", process.model_alias)
    yield from ("--chat-template", template(process))
    if process.n_predict and process.n_predict > 0:
        yield from ("--n-predict", process.n_predict)
    if process.enable_ctx_shift:
        yield "--context-shift"
    if process.api_key:
        keys = folder / f"{process.api_key}.keys"
        keys.write_text(process.api_key)
        yield from ("--api-key-file", keys)
    if process.cors_origins:
        yield from ("--cors-origin", process.cors_origins)


def start(process, timeout_seconds=None):
    if process.model_hf_repo != STORIES:
        pytest.fail(f"needs the model {process.model_hf_repo}")
    key = tuple(map(str, arguments(process)))
    if key not in running:
        running[key] = Server(Path(tempfile.mkdtemp(dir=folder)), key)
    process.server_port = int(running[key].url.rpartition(":")[2])


def without_model(create):
    """llama-server does not look at the name that is asked for, and tests ask for OpenAI's; here it is unknown."""

    def wrapped(self, *args, model=None, **more):
        answer = create(self, *args, model="", **more)
        if getattr(answer, "system_fingerprint", None):
            answer.system_fingerprint = "b" + answer.system_fingerprint
        return answer

    return wrapped


def nameless(request):
    """The same for requests without a package."""

    def wrapped(self, method, path, data=None, *args, **more):
        if isinstance(data, dict) and data.get("model"):
            data = {**data, "model": ""}
        answer = request(self, method, path, data, *args, **more)
        if isinstance(answer, Iterator):
            return map(renamed, answer)
        answer.body = renamed(answer.body)
        return answer

    return wrapped


def match(pattern, text):
    """Any text is as good as the one that llama.cpp's own random numbers make of the model."""
    return bool(text) if pattern in scope.WORDS else bool(re.search(pattern, text, re.I | re.M | re.S))


def renamed(value):
    """The build's number, which tests look for in `system_fingerprint`; ours is a hash: `fp_…`."""
    if isinstance(value, dict) and str(value.get("system_fingerprint", "")).startswith("fp_"):
        value["system_fingerprint"] = "b" + value["system_fingerprint"]
    return value


def pytest_configure(config):
    sys.path.insert(0, str(config.rootpath))
    import utils
    from openai.resources import Completions
    from openai.resources.chat.completions import Completions as Chats
    from openai.resources.responses import Responses

    for resource in (Completions, Responses, Chats):
        resource.create = without_model(resource.create)
    utils.match_regex = match
    utils.ServerProcess.make_request = nameless(utils.ServerProcess.make_request)
    utils.ServerProcess.make_stream_request = nameless(utils.ServerProcess.make_stream_request)

    utils.ServerPreset.load_all = staticmethod(lambda: None)
    utils.ServerProcess.start = start
    utils.ServerProcess.stop = lambda process: None


def name_of(item):
    return f"{Path(item.fspath).stem.removeprefix('test_')}::{item.name}"


def pytest_collection_modifyitems(items):
    for item in items:
        reason = scope.reason(name_of(item))
        if reason and not os.environ.get("EVERYTHING"):
            item.add_marker(pytest.mark.skip(reason=reason))


results = {}


def pytest_runtest_logreport(report):
    """Remembers how each test ended, for the table."""
    file, _, test = report.nodeid.partition("::")
    name = f"{Path(file).stem.removeprefix('test_')}::{test}"
    if report.when == "call" or report.skipped or report.failed:
        results[name] = "passed" if report.passed else "failed" if report.failed else "skipped"


def pytest_sessionfinish():
    if table := os.environ.get("TABLE"):
        write_table(Path(table))


def write_table(path):
    def listed(names):
        found = {}
        for name in names:
            found.setdefault(name.partition("[")[0], []).append(name)
        return [f"`{name}`" + (f" ({len(all)})" if len(all) > 1 else "") for name, all in found.items()]

    state = {one: [name for name, result in results.items() if result == one] for one in ("passed", "failed", "skipped")}
    lines = [
        "# llama.cpp's own server tests",
        "",
        "`tools/server/tests` of llama.cpp, as in the source distribution of llama-cpp-python 0.3.36, run against"
        " `llama_selfmod serve`. Written by `llama_cpp/run.py --table`; tests that are marked as slow need downloaded models and"
        " are left out. What is adapted, in `llama_cpp/plugin.py`: a model's name (llama-server does not look at it), the prefix of"
        " `system_fingerprint`, and the words that llama.cpp's own random numbers draw, which stand for any text.",
        "",
        f"## {len(state['passed'])} pass",
        "",
        *[f"- {name}" for name in listed(state["passed"])],
        "",
    ]
    if state["failed"]:
        lines += [f"## {len(state['failed'])} fail", "", *[f"- {name}" for name in listed(state["failed"])], ""]
    lines += ["## Out of scope", "", "| test | why |", "|---|---|"]
    reasons = {}
    for name in state["skipped"]:
        why = scope.reason(name) or "skipped by llama.cpp itself"
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        lines.append(f"| {', '.join(listed(names))} | {why} |")
    lines += ["", "| file | why |", "|---|---|"]
    lines += [f"| `test_{name}.py` | {why} |" for name, why in scope.OTHER_FILES.items()]
    path.write_text("\n".join(lines) + "\n")


def pytest_unconfigure():
    for server in running.values():
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)
