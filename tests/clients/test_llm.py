"""The command `llm`, with the server as one of its models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LLM = Path(sys.executable).with_name("llm")
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["dog", "cat"]}, "friendly": {"type": "boolean"}},
    "required": ["kind", "friendly"],
    "additionalProperties": False,
}


@pytest.fixture
def llm(tmp_path, restless):
    models = [
        {"model_id": "ensemble", "supports_schema": True, "supports_tools": True},
        {"model_id": "writer", "completion": True},
    ]
    common = {"model_name": "tale+fable", "api_base": restless.base_url}
    # JSON is YAML.
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([{**common, **model} for model in models]))
    home = {**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"}

    def run(*args):
        done = subprocess.run([LLM, *args], env=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_prompt_at_once_and_in_parts(llm, restless):
    options = ["-m", "ensemble", "-o", "max_tokens", "60", "-o", "seed", "1"]
    with restless.logged() as log:
        whole = llm("Tell me a story.", "--no-stream", *options)
    assert whole.rstrip("\n") == log.record["response"].rstrip("\n") and log.record["retractions"] > 2
    assert llm("Tell me a story.", *options) == whole


def test_a_system_message_and_a_conversation(llm):
    options = ["-m", "ensemble", "-o", "max_tokens", "8"]
    assert llm("Tell me a story.", "-s", "You tell stories.", *options).strip()
    assert llm("-c", "Go on.", "-o", "max_tokens", "8").strip()


def test_a_completion(llm, restless):
    with restless.logged() as log:
        text = llm("Once upon a time", "-m", "writer", "-o", "max_tokens", "30", "-o", "seed", "1")
    assert text.rstrip("\n") == log.record["response"].rstrip("\n")


def test_a_schema(llm):
    text = llm("Which animal?", "-m", "ensemble", "--schema", json.dumps(SCHEMA), "-o", "max_tokens", "200")
    assert json.loads(text)["kind"] in ("dog", "cat")


def test_tools(llm):
    # Whether it calls the tool is its affair.
    llm("Which version?", "-m", "ensemble", "-T", "llm_version", "--chain-limit", "3", "-o", "max_tokens", "60")
