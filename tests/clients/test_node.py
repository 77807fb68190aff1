"""The `openai` package for Node, in `client.test.mjs`."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def test_node(restless):
    if not (HERE / "node_modules").is_dir():
        pytest.fail("run `npm ci` in tests/clients first")
    environment = {**os.environ, "BASE_URL": restless.base_url, "LOG": str(restless.log)}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", HERE / "client.test.mjs"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "# pass 8" in done.stdout
