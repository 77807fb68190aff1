"""Tokens a second of `llama_selfmod serve` at 1, 4 and 8 chats, against one llama-server per member in the same run.

    python throughput.py PROGRAM MODEL MODEL... [-- WORDS]

Needs xllamacpp (a llama-server in a wheel) in the Python that runs it. Each server runs alone, with all threads, one after the
other, ROUNDS times in turn; the median of each is shown. What llama-servers could give the members together is the harmonic
share: 1 / sum(1 / tokens a second).
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CHATS = [1, 4, 8]
TOKENS = 160
ROUNDS = int(os.environ.get("ROUNDS", 5))
OPENINGS = ["Once upon a time", "One day a girl", "The dog ran", "There was a boy", "Lily and Tom", "Mom said", "In the park", "A bird"]

LLAMA_SERVER = """
import sys, time, xllamacpp as x
p = x.CommonParams()
p.model.path = sys.argv[1]
p.n_parallel, p.n_ctx, p.port, p.cpuparams.n_threads, p.cpuparams_batch.n_threads = 8, 8 * 512, 0, 2, 2
p.verbosity = -1
s = x.Server(p)
print("at", s.listening_address, flush=True)
time.sleep(3600)
"""


def start(command, pattern, stream):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if stream == "out" else subprocess.PIPE,
                               text=True, cwd=tempfile.mkdtemp())
    lines = process.stdout if stream == "out" else process.stderr
    for line in lines:
        found = re.search(pattern, line)
        if found:
            threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
            return process, found.group(1)
    raise SystemExit(f"{command[0]} does not start")


def ask(address, body, told):
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=300)
    connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    told.append(answer["usage"]["completion_tokens"])


def speed(address, chats, extra):
    bodies = [{"prompt": OPENINGS[n % len(OPENINGS)], "max_tokens": TOKENS, "seed": n, "temperature": 0.7, **extra} for n in range(chats)]
    told = []
    threads = [threading.Thread(target=ask, args=(address, body, told)) for body in bodies]
    start_time = time.perf_counter()
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return sum(told) / (time.perf_counter() - start_time)


def measure(command, pattern, stream, extra):
    process, address = start(command, pattern, stream)
    try:
        speed(address, 8, extra)  # warm
        return {chats: speed(address, chats, extra) for chats in CHATS}
    finally:
        process.kill()
        process.wait()


def main():
    words = sys.argv[2:]
    models, more = (words[:words.index("--")], words[words.index("--") + 1:]) if "--" in words else (words, [])
    ours = [sys.argv[1], "serve", "--port", "0", "--parallel", "8", "--ctx-size", "512", "--memory-file", "none", "--models", ",".join(models), *more]
    runs = {"ensemble": [], **{model: [] for model in models}}
    for _ in range(ROUNDS):
        runs["ensemble"].append(measure(ours, r"serving http://(\S+)", "err", {"ignore_eos": True}))
        for model in models:
            runs[model].append(measure([sys.executable, "-c", LLAMA_SERVER, model], r"at http://(\S+)", "out", {"ignore_eos": True}))
    median = {name: {chats: statistics.median(run[chats] for run in all) for chats in CHATS} for name, all in runs.items()}
    for name, of in median.items():
        print(f"{os.path.basename(name):28}" + "".join(f"{of[chats]:9.0f} tok/s at {chats}" for chats in CHATS))
    bound = 1 / sum(1 / median[model][8] for model in models)
    own = median["ensemble"]
    print(f"{own[8] / bound:.2f} x what llama-servers give the members in turn at 8; {own[4] / own[1]:.2f} x and {own[8] / own[1]:.2f} x of one chat")


main()
