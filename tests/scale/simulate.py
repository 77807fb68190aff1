#!/usr/bin/env python3
"""A coordinator before engines on other machines, as processes here: how many tokens a second, and what they cost it.

The engines are stand-ins (serve/examples/far_engine.rs): they answer like llama-servers after a modelled time, and compute nothing.
The coordinator is the real program. docs/scale.md says what comes out of it. Python's own library is enough; Linux only.

    cargo build --release && cargo build --release -p llama_selfmod-serve --example far_engine
    python3 tests/scale/simulate.py
"""
import argparse
import contextlib
import json
import os
import selectors
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORIES = ROOT / "tests/fixtures/models/stories-260k.gguf"
TICKS = os.sysconf("SC_CLK_TCK")
MEMBERS = 2
STEP = 10  # Milliseconds.
LINES = [1, 4, 16, 64]
LARGE = 128_000

# At temperature 0 a text goes round in circles here, so that a draft from the text itself is nearly always right.
DRAFTS = "ngram:length=4"

# Milliseconds to read a token of a prompt, and who arrives with a long one: so many a second, of so many words.
READ, ARRIVALS, WORDS = 0.1, 1, 1500

# Name, delay in milliseconds, rows, tokens of the vocabulary, drafts, coordinators, clients; with arrivals or without.
SETTINGS = [
    ("1 ms, 256 of 512", 1, "256", 512, "off", 1, LINES),
    ("1 ms, all of 512", 1, "full", 512, "off", 1, LINES),
    ("30 ms, 256 of 512", 30, "256", 512, "off", 1, LINES),
    ("30 ms, all of 512", 30, "full", 512, "off", 1, LINES),
    ("30 ms, 256 of 128,000", 30, "256", LARGE, "off", 1, LINES),
    ("1 ms, 256 of 512, drafts that are right", 1, "256", 512, DRAFTS, 1, LINES),
    ("30 ms, 256 of 512, drafts that are right", 30, "256", 512, DRAFTS, 1, LINES),
    ("30 ms, 256 of 512, 2 coordinators", 30, "256", 512, "off", 2, [2, 8, 32, 128]),
    ("30 ms, 256 of 512, somebody arrives each second", 30, "256", 512, "off", 1, [16], True),
]


# Of the printed table: head, digits behind the point, value. What a token takes of the CPU is in microseconds.
COLUMNS = [
    ("clients", 0, lambda of: of["clients"]),
    ("tokens/s", 0, lambda of: of["rate"]),
    ("each", 1, lambda of: of["rate"] / of["clients"]),
    ("µs/token", 0, lambda of: 1e6 * of["cpu"]),
    ("requests", 0, lambda of: 1e6 * of["requests"]),
    ("models", 0, lambda of: 1e6 * of["model"]),
    ("decode", 0, lambda of: 1e6 * of["decode"]),
    ("HTTP", 0, lambda of: 1e6 * of["http"]),
    ("cores", 2, lambda of: of["cores"]),
    ("others", 2, lambda of: of["others"]),
    ("rows/request", 2, lambda of: of["per_request"]),
    ("rows/step", 1, lambda of: of["batch"]),
    ("kB/row", 1, lambda of: of["bytes"] / 1e3),
    ("% new connections", 0, lambda of: 100 * of["connections"]),
    ("MiB", 0, lambda of: of["memory"]),
]


def padded(source, tokens, target):
    """A GGUF file with the vocabulary of `source` and made-up words up to `tokens`, and without weights."""
    data = source.read_bytes()
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def end(kind, at):
        if kind in sizes:
            return at + sizes[kind]
        if kind == 8:
            return at + 8 + struct.unpack_from("<Q", data, at)[0]
        kind, count = struct.unpack_from("<IQ", data, at)
        at += 12
        for _ in range(count):
            at = end(kind, at)
        return at

    pairs, at = struct.unpack_from("<Q", data, 16)[0], 24
    kept = []
    for _ in range(pairs):
        start, length = at, struct.unpack_from("<Q", data, at)[0]
        key = data[at + 8 : at + 8 + length].decode()
        at += 8 + length
        kind = struct.unpack_from("<I", data, at)[0]
        value = at + 4
        at = end(kind, value)
        pair = data[start:at]
        if key in ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
            count = struct.unpack_from("<Q", data, value + 4)[0]
            more = range(count, tokens)
            words = (f"\u2581w{number:06}".encode() for number in more)
            tail = {
                "tokens": lambda: b"".join(struct.pack("<Q", len(word)) + word for word in words),
                "scores": lambda: b"".join(struct.pack("<f", -float(number)) for number in more),
                "token_type": lambda: struct.pack("<i", 1) * len(more),
            }[key.rsplit(".", 1)[1]]()
            pair = data[start : value + 4] + struct.pack("<Q", tokens) + data[value + 12 : at] + tail
        elif key.endswith(".vocab_size"):
            pair = data[start:value] + struct.pack("<I", tokens)
        kept.append(pair)
    target.write_bytes(data[:8] + struct.pack("<QQ", 0, len(kept)) + b"".join(kept))


def get(address, path):
    with urllib.request.urlopen(f"{address}{path}", timeout=20) as answer:
        return answer.read().decode()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def process(command, log):
    with open(log, "wb") as out:
        running = subprocess.Popen([str(part) for part in command], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(5)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_for(address, path, running, log):
    for _ in range(600):
        if running.poll() is not None:
            raise SystemExit(f"a process ended: {Path(log).read_text()}")
        try:
            return get(address, path)
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nobody answers at {address}: {Path(log).read_text()}")


def spent(pid):
    """CPU seconds of a process with all threads, those that ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def spent_by_thread(pid, name):
    """CPU seconds of the threads that are there and have a name that begins so."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            before, rest = (task / "stat").read_text().rsplit(")", 1)
            if before.split("(", 1)[1].startswith(name):
                total += sum(map(int, rest.split()[11:13]))
    return total / TICKS


def memory(pid):
    """Mebibytes that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class Arrivals:
    """Long prompts, one after the other, of which a single token is wanted."""

    def __init__(self, address):
        self.over = threading.Event()
        self.times = []
        self.address = address
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        number = 0
        while not self.over.wait(1 / ARRIVALS):
            number += 1
            body = {"prompt": f"{number} " + "once upon a time " * (WORDS // 4), "max_tokens": 1}
            request = urllib.request.Request(f"{self.address}/v1/completions", json.dumps(body).encode(),
                                             {"Content-Type": "application/json"})
            start = time.time()
            with urllib.request.urlopen(request, timeout=30) as answer:
                usage = json.loads(answer.read())["usage"]
            self.times.append((time.time() - start, usage["prompt_tokens"]))

    def stop(self):
        self.over.set()
        self.thread.join()


class Clients:
    """Connections that each have a long text written to them, and read it away."""

    def __init__(self, addresses, count, temperature):
        self.selector, self.heard, self.stopped = selectors.DefaultSelector(), set(), False
        self.sockets = []
        for number in range(count):
            host, port = addresses[number % len(addresses)].removeprefix("http://").split(":")
            connection = socket.create_connection((host, int(port)))
            body = json.dumps({
                "prompt": "Once upon a time", "max_tokens": 4000, "seed": number, "stream": True,
                "temperature": temperature,
            }).encode()
            head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ, number)
            self.sockets.append(connection)
        self.failed = None
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while not self.stopped:
            for key, _ in self.selector.select(0.2):
                data = key.fileobj.recv(1 << 16)
                if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 200"):
                    self.failed = data
                elif b"data: {" in data:
                    self.heard.add(key.data)
                if not data:
                    self.selector.unregister(key.fileobj)
                    self.failed = self.failed or b"a reply ended"
            # As often as a person sees it: reading each token alone would cost this machine more than the coordinator.
            time.sleep(0.05)

    def stop(self):
        self.stopped = True
        self.thread.join()
        for connection in self.sockets:
            connection.close()


def counter(address, name):
    for line in get(address, "/metrics").splitlines():
        if not line.startswith("#") and line.split("{")[0].split(" ")[0].endswith(name):
            return float(line.rsplit(" ", 1)[1])
    raise SystemExit(f"no {name} in /metrics")


def measure(coordinators, engines, count, drafts, seconds):
    addresses = [address for address, _ in coordinators]
    pids = [running.pid for _, running in coordinators]
    clients = Clients(addresses, count, 0.7 if drafts == "off" else 0)
    until = time.time() + 30
    while len(clients.heard) < count and time.time() < until and not clients.failed:
        time.sleep(0.05)
    if clients.failed or len(clients.heard) < count:
        clients.stop()
        raise SystemExit(f"{len(clients.heard)} of {count} clients hear something: {clients.failed}")
    # Until the circles have closed, where there are any.
    time.sleep(0.5 if drafts == "off" else 2.5)

    def look():
        counts = [json.loads(get(address, "/counts")) for address, _ in engines]
        return {
            "time": time.time(),
            "tokens": sum(counter(address, "tokens_written_total") for address in addresses),
            "cpu": sum(map(spent, pids)),
            "decode": sum(spent_by_thread(pid, "decode") for pid in pids),
            "model": sum(spent_by_thread(pid, "model") for pid in pids),
            "http": sum(spent_by_thread(pid, "serve") for pid in pids),
            "others": sum(spent(running.pid) for _, running in engines) + time.process_time(),
            **{name: sum(count[name] for count in counts) for name in counts[0]},
        }

    before = look()
    time.sleep(seconds)
    after = look()
    held = sum(map(memory, pids))
    failed = clients.failed
    clients.stop()
    for address in addresses:
        until = time.time() + 5
        while counter(address, "jobs_running") > 0 and time.time() < until:
            time.sleep(0.05)
    if failed:
        raise SystemExit(f"a client lost its text: {failed}")
    of = {name: after[name] - before[name] for name in before}
    tokens = max(of["tokens"], 1)
    return {
        "clients": count,
        "rate": tokens / of["time"],
        "cpu": of["cpu"] / tokens,
        "decode": of["decode"] / tokens,
        "http": of["http"] / tokens,
        "model": of["model"] / tokens,
        "serial": (of["decode"] + of["model"] / MEMBERS) / tokens,
        "requests": (of["cpu"] - of["decode"] - of["http"] - of["model"]) / tokens,
        "cores": of["cpu"] / of["time"],
        "others": of["others"] / of["time"],
        "rows": of["rows"] / tokens / MEMBERS,
        "per_request": of["rows"] / max(of["requests"], 1),
        "batch": of["rows"] / max(of["steps"], 1),
        "bytes": of["bytes"] / max(of["rows"], 1),
        "connections": of["connections"] / max(of["requests"], 1),
        "memory": held,
    }


def simulate(options, folder, name, delay, rows, tokens, drafts, coordinators, clients, arrive=False):
    vocabulary = STORIES if tokens == 512 else folder / f"{tokens}.gguf"
    if not vocabulary.exists():
        padded(STORIES, tokens, vocabulary)
    with contextlib.ExitStack() as stack:
        engines, running = [], []
        # Two coordinators number slots alike. These engines find a text by its beginning, as vLLM does.
        read = READ if coordinators == 1 else 0
        for seed in range(1, MEMBERS + 1):
            port, log = free_port(), folder / f"engine-{seed}.log"
            command = [options.engine, vocabulary, "--port", port, "--delay", delay, "--step", STEP, "--seed", seed]
            engine = stack.enter_context(process([*command, "--batch", 64, "--read", read], log))
            engines.append((f"http://127.0.0.1:{port}", engine))
            wait_for(engines[-1][0], "/counts", engine, log)
        for number in range(coordinators):
            port, log = free_port(), folder / f"coordinator-{number}.log"
            command = [options.program, "serve", "--port", port, "--parallel", 64, "--queue", 200, "--policy", "none"]
            command += ["--raw", "--ctx-size", 4096, "--repeat-penalty", 1, "--draft", drafts, "--memory-file", "none"]
            for index, (address, _) in enumerate(engines):
                command += ["--model", f"remote:{address},vocab={vocabulary},rows={rows},name=far{index}"]
            running.append((f"http://127.0.0.1:{port}", stack.enter_context(process(command, log))))
            wait_for(running[-1][0], "/health", running[-1][1], log)
        arrivals = Arrivals(running[0][0]) if arrive else None
        seconds = options.seconds * (3 if arrive else 1)
        results = [measure(running, engines, count, drafts, seconds) for count in clients]
        if arrivals:
            arrivals.stop()
        for number in range(coordinators):
            if "is away" in (text := (folder / f"coordinator-{number}.log").read_text()):
                print(f"  (a member was away: {text.strip()[:200]})")
    print(f"\n{name}", flush=True)
    if arrive:
        longest, tokens = max(arrivals.times)
        print(f"{len(arrivals.times)} prompts of {tokens} tokens; reading takes an engine {tokens * READ:.0f} ms, and the answer "
              f"was there after {longest * 1e3:.0f} ms at most")
    print(" | ".join(head for head, _, _ in COLUMNS))
    for result in results:
        print(" | ".join(f"{show(result):{len(head)}.{digits}f}" for head, digits, show in COLUMNS), flush=True)
    saturated = next((more["clients"] for less, more in zip(results, results[1:])
                      if more["rate"] / less["rate"] < 0.5 * more["clients"] / less["clients"]), None)
    last = results[-1]
    # A coordinator's thread that decodes waits for those of the models, which run side by side.
    print(f"less than half of linear: {f'at {saturated} clients' if saturated else 'not up to here'}; "
          f"bound of one core {1 / last['cpu']:.0f} tokens/s, and of what is done in turn {coordinators / max(last['serial'], 1e-9):.0f}")
    return {"name": name, "results": results, "saturated": saturated}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=ROOT / "target/release/llama_selfmod", type=Path)
    parser.add_argument("--engine", default=ROOT / "target/release/examples/far_engine", type=Path)
    parser.add_argument("--seconds", default=3.0, type=float, help="of each measurement")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of settings, from 0")
    parser.add_argument("--json", type=Path, help="where the numbers go as well")
    options = parser.parse_args()
    print(f"load before: {Path('/proc/loadavg').read_text().strip()}; {os.cpu_count()} cores; a step of {STEP} ms, batch 64, "
          f"{MEMBERS} members")
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        chosen = options.only if options.only is not None else range(len(SETTINGS))
        all_results = [simulate(options, Path(folder), *SETTINGS[number]) for number in chosen]
    print(f"\n{time.time() - start:.0f} s; load after: {Path('/proc/loadavg').read_text().strip()}")
    if options.json:
        options.json.write_text(json.dumps(all_results, indent=1))


if __name__ == "__main__":
    main()
