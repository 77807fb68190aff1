"""Fetches llama.cpp's server tests and runs those that are in scope. `--table` writes ../llama_cpp.md."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import scope

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent.parent.parent / "target" / "clients"
VERSION = "0.3.36"
TESTS = FOLDER / f"llama.cpp-{VERSION}" / "tools" / "server" / "tests"
WANTED = ("tools/server/tests/", "models/templates/")


def fetch():
    """Takes the tests and the templates out of the source distribution, which has all of llama.cpp."""
    archive = FOLDER / "sdist" / f"llama_cpp_python-{VERSION}.tar.gz"
    if not archive.exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "llama-cpp-python"]
        subprocess.run([*command, "-d", archive.parent, f"llama-cpp-python=={VERSION}"], check=True)
    prefix = f"llama_cpp_python-{VERSION}/vendor/llama.cpp/"
    with tarfile.open(archive) as tar:
        members = []
        for member in tar:
            path = member.name.removeprefix(prefix)
            if path != member.name and path.startswith(WANTED):
                member.name = path
                members.append(member)
        tar.extractall(FOLDER / f"llama.cpp-{VERSION}", members, filter="data")


def main():
    if not TESTS.is_dir():
        fetch()
    there = {path.stem.removeprefix("test_") for path in (TESTS / "unit").glob("test_*.py")}
    assert there == {*scope.FILES, *scope.OTHER_FILES}, "every file is in scope or out of it"
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    if "LLAMA_SELFMOD" in os.environ:
        environment["LLAMA_SELFMOD"] = str(Path(os.environ["LLAMA_SELFMOD"]).resolve())
    if "--table" in sys.argv:
        environment["TABLE"] = str(HERE.parent / "llama_cpp.md")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "plugin", "-p", "no:cacheprovider", "-m", "not slow", "--tb=short"]
    files = [f"unit/test_{name}.py" for name in scope.FILES]
    sys.exit(subprocess.run([*command, *files], cwd=TESTS, env=environment).returncode)


if __name__ == "__main__":
    main()
