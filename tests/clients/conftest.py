"""Starts the real program for the clients that are tested here.

`LLAMA_SELFMOD` names the binary; without it the one that `cargo build --release` makes is taken.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODELS = ROOT / "tests" / "fixtures" / "models"
BINARY = Path(os.environ.get("LLAMA_SELFMOD", ROOT / "target" / "release" / "llama_selfmod"))
RESTLESS = HERE / "restless.rhai"

# Seconds for whatever has to happen soon.
PATIENCE = 30


class Server:
    """A server that runs, and its log."""

    def __init__(self, folder, args):
        self.log = folder / "log.jsonl"
        self.errors = ""
        # One thread: small models gain nothing by two, which on a busy machine wait for each other at every layer.
        command = [BINARY, "serve", "--port", "0", "--memory-file", self.log, "--threads", "1", *args]
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.url = None
        ready = threading.Event()
        threading.Thread(target=self._read, args=(ready,), daemon=True).start()
        ready.wait(PATIENCE)
        assert self.url, f"{BINARY} does not serve:\n{self.errors}"
        self.base_url = f"{self.url}/v1"

    def _read(self, ready):
        for line in self.process.stderr:
            self.errors += line
            if self.url is None and (found := re.search(r"serving (http://\S+:\d+)", line)):
                self.url = found[1]
                ready.set()
        ready.set()

    def records(self):
        """The log's lines: one for each reply."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def logged(self, count=1):
        """Tells of a block what it added to the log."""
        return Logged(self, count)

    def stop(self):
        """Ends it as an administrator does, and looks whether it ends well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        assert code == 0, f"exit code {code}:\n{self.errors}"
        assert "panicked" not in self.errors, self.errors


class Logged:
    """`with server.logged() as log: …`; then `log.record` is what was logged meanwhile."""

    def __init__(self, server, count):
        self.server, self.count, self.records = server, count, []

    def __enter__(self):
        # A line is written a moment after its reply was answered.
        self.before, lines = -1, len(self.server.records())
        while self.before != lines:
            time.sleep(0.1)
            self.before, lines = lines, len(self.server.records())
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        end = time.monotonic() + PATIENCE
        while len(self.records) < self.count and time.monotonic() < end:
            time.sleep(0.02)
            self.records = self.server.records()[self.before :]
        assert len(self.records) == self.count

    @property
    def record(self):
        (record,) = self.records
        return record


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Starts servers by their arguments, each once."""
    running = {}

    def start(*args):
        if args not in running:
            running[args] = Server(tmp_path_factory.mktemp("server"), args)
        return running[args]

    yield start
    for server in running.values():
        server.stop()


@pytest.fixture(scope="session")
def demo(serve):
    """Two members with different vocabularies: units are bytes. No policy runs."""
    return serve("--demo", "--policy", "none")


@pytest.fixture(scope="session")
def tokens(serve):
    """One member: units are its tokens. No policy runs."""
    return serve("--model", MODELS / "stories-260k.gguf", "--policy", "none")


@pytest.fixture(scope="session")
def tale(serve):
    """One member with more words: descriptions of tools have room in its context. No policy runs."""
    return serve("--model", ROOT / "engine" / "models" / "tale.gguf", "--policy", "none")


@pytest.fixture(scope="session")
def restless(serve):
    """The ensemble of `demo` with a policy that takes text back all the time."""
    return serve("--demo", "--policy", RESTLESS, "--max-retractions", "1000")


@pytest.fixture(scope="session")
def locked(serve, tmp_path_factory):
    """A server that wants a key: `secret`."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("secret\n")
    return serve("--model", MODELS / "stories-260k.gguf", "--policy", "none", "--api-key-file", keys)


@pytest.fixture(scope="session")
def narrow(serve):
    """A server that takes one request at a time, and refuses a second one."""
    model = MODELS / "stories-260k.gguf"
    return serve("--model", model, "--policy", "none", "--context-shift", "--parallel", "1", "--queue", "1")
