"""EleutherAI's `lm_eval` itself over `/v1/completions`: its figures are those of `llama_selfmod eval` and `score`.

No server of GGUF files but this one tells log-probabilities of a given text, without which most of its tasks cannot be run.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from conftest import BINARY, MODELS

TASKS = Path(__file__).resolve().parent / "tasks"
NAMES = ["story_choices", "story_perplexity", "story_endings"]

# Whatever policy runs in the server does not touch a text that is given: so the default one does.
SYSTEMS = {
    "one": ("--model", str(MODELS / "stories-260k.gguf")),
    "ensemble": ("--demo",),
    "average": ("--demo", "--fusion-mode", "average"),
}


# The command itself, once for each list of arguments: its imports take longer than all it does here.
COMMAND = """
import json, sys
from lm_eval.__main__ import cli_evaluate
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()
"""


def arguments(server, output):
    model = f"base_url={server.base_url}/completions,model=any,tokenizer_backend=remote,max_length=512,num_concurrent=4"
    chosen = ["--model", "local-completions", "--model_args", model, "--tasks", ",".join(NAMES), "--include_path", "."]
    return ["run", *chosen, "--log_samples", "--output_path", str(output)]


class Run:
    """What `lm_eval` found of a server."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        (results,) = folder.glob("*/results_*.json")
        self.results = json.loads(results.read_text())["results"]

    def samples(self, task):
        (samples,) = self.folder.glob(f"*/samples_{task}_*.jsonl")
        return [json.loads(line) for line in samples.read_text().splitlines()]


@pytest.fixture(scope="module")
def runs(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm_eval")
    servers = {name: serve(*models, "--alias", "any") for name, models in SYSTEMS.items()}
    lists = [arguments(server, folder / name) for name, server in servers.items()]
    environment = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    command = [sys.executable, "-c", COMMAND, json.dumps(lists)]
    done = subprocess.run(
        command, cwd=TASKS, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return {name: Run(server, folder / name) for name, server in servers.items()}


def program(*args):
    done = subprocess.run([BINARY, *args, "--threads", "1"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# The default fusion weighs members by how well they foretold the text: here that has the question in it, and in `eval` the
# answer alone.
@pytest.mark.parametrize("system", ["one", "average"])
def test_choices_are_those_of_eval(runs, system, tmp_path):
    output = tmp_path / "eval.jsonl"
    program("eval", TASKS / "story_choices.toml", *SYSTEMS[system], "-o", output)
    ours = {item["id"]: item for item in map(json.loads, output.read_text().splitlines()[1:])}
    assert len(ours) == 20
    for sample in runs[system].samples("story_choices"):
        document, item = sample["doc"], ours[sample["doc"]["id"]]
        found = [float(likelihood) for likelihood, _ in sample["filtered_resps"]]
        assert document["choices"]["text"][found.index(max(found))] == item["answer"]
        assert (sample["acc"] == 1) == item["right"] and (sample["acc_norm"] == 1) == item["right_normalised"]
    right = sum(item["right"] for item in ours.values())
    results = runs[system].results["story_choices"]
    assert results["acc,none"] == pytest.approx(right / 20) and 12 <= right <= 19, "a task that tells models apart"
    assert results["acc_norm,none"] == pytest.approx(sum(item["right_normalised"] for item in ours.values()) / 20)


@pytest.mark.parametrize("system, documents", [("one", 20), ("ensemble", 5), ("average", 5)])
def test_what_a_text_costs_is_what_score_says(runs, system, documents, tmp_path):
    samples = runs[system].samples("story_perplexity")
    assert len(samples) == 20
    text = tmp_path / "text.txt"
    for sample in samples[:documents]:
        text.write_text(sample["doc"]["text"])
        found = json.loads(program("score", *SYSTEMS[system], text, "--json"))
        nats = found["fused"] * found["bytes"] * math.log(2)
        assert -float(sample["filtered_resps"][0]) == pytest.approx(nats, rel=1e-4)
    results = runs[system].results["story_perplexity"]
    nats = -sum(float(sample["filtered_resps"][0]) for sample in samples)
    size = sum(len(sample["doc"]["text"].encode()) for sample in samples)
    assert results["bits_per_byte,none"] == pytest.approx(nats / size / math.log(2))


@pytest.mark.parametrize("system", ["one", "ensemble"])
def test_what_is_written_is_what_is_judged(runs, system):
    run = runs[system]
    samples = run.samples("story_endings")
    assert len(samples) == 20
    for sample in samples[:5]:
        body = {"prompt": sample["doc"]["question"], "temperature": 0, "stop": [".", "\n"], "max_tokens": 24}
        reply = requests.post(f"{run.server.base_url}/completions", json=body, timeout=60).json()
        assert sample["resps"][0][0] == reply["choices"][0]["text"]
    assert len({sample["resps"][0][0] for sample in samples}) > 10
