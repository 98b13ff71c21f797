"""The service under load, beside the same model behind plain FastAPI and uvicorn, in one run.

$ python benchmarks/serving.py                       # classification: 12 minutes on two cores
$ python benchmarks/serving.py --what generator soak # drawing alone and beside classification; ten minutes' memory

Open loop: requests are sent at their intended times whatever the answers do, and a latency counts from that time. The
driver, the service and Ray share the machine, so that each is slowed by the others. `plain` is one uvicorn process,
`plain-2` two; each request is decoded, standardised and classified by itself, in a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
PORT = 8340
QUERIES = ["atrial fibrillation", "left bundle branch block", "normal ecg", "sinus rhythm", "inferior st elevation"]
SHARES = (0.5, 0.8, 1.0, 1.5, 3.0)
CONNECTIONS = 400
IN_TIME_S = 1.0
"""An answer later than this after its request was due counts for nothing: goodput."""


def request_bytes(port: int, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def classify_bytes(port: int) -> bytes:
    from ecgray.leads import LEADS
    from ecgray.service.samples import samples
    from ecgray.uploads.read import read_upload
    from ecgray.uploads.settings import UploadSettings

    counts = read_upload(samples()["left-bundle-branch-block"].archive, UploadSettings()).counts
    data = base64.b64encode(np.ascontiguousarray(counts, "<i2").tobytes()).decode()
    ecg = {"encoding": "base64", "dtype": "int16", "shape": [12, 5000], "fs": 500, "unit": "uV", "leads": list(LEADS)}
    return request_bytes(port, "/v1/classify", json.dumps({"ecg": {**ecg, "data": data}, "queries": QUERIES}).encode())


@dataclass
class Heard:
    """What came back."""

    latency_s: list[float] = field(default_factory=list)
    shed_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def row(self, seconds: float) -> dict[str, Any]:
        in_time = sum(value <= IN_TIME_S for value in self.latency_s)
        found = {"goodput": round(in_time / seconds, 1), "statuses": dict(self.statuses)}
        for name, values in (("", self.latency_s), ("shed_", self.shed_s)):
            if values:
                for quantile in (50, 90, 99, 99.9):
                    found[f"{name}p{quantile:g}_ms"] = round(float(np.percentile(values, quantile)) * 1000, 1)
        return found


class Connections:
    """Keep-alive connections; one request at a time on each."""

    def __init__(self, port: int) -> None:
        self.port, self.free, self.made = port, asyncio.Queue(), 0

    async def send(self, content: bytes) -> tuple[int, bytes]:
        if self.free.empty() and self.made < CONNECTIONS:
            self.made += 1
            pair = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
        else:
            pair = await self.free.get()
        reader, writer = pair
        try:
            writer.write(content)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.made -= 1
            writer.close()
            raise
        if b"connection: close" in head.lower():
            self.made -= 1
            writer.close()
        else:
            self.free.put_nowait(pair)
        return int(head.split(b" ", 2)[1]), body


async def one(connections: Connections, content: bytes, due: float, heard: Heard, retries: int) -> None:
    for attempt in range(retries + 1):
        try:
            status, _ = await connections.send(content)
        except (OSError, asyncio.IncompleteReadError) as error:
            status = type(error).__name__
        if status in (200, 429) or attempt == retries:
            break
    heard.statuses[str(status)] += 1
    took = time.perf_counter() - due
    if status == 200:
        heard.latency_s.append(took)
    elif status == 429:
        heard.shed_s.append(took)


async def open_loop(port: int, content: bytes, rate: float, seconds: float, *, retries: int = 0) -> Heard:
    """So many requests a second at their times."""
    heard, connections = Heard(), Connections(port)
    start, tasks = time.perf_counter() + 0.1, []
    for number in range(int(rate * seconds)):
        due = start + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(connections, content, due, heard, retries)))
    await asyncio.gather(*tasks)
    return heard


async def closed_loop(port: int, content: bytes, clients: int, seconds: float) -> float:
    """Answers a second of clients who ask again at once."""
    heard, connections, end = Heard(), Connections(port), time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            await one(connections, content, time.perf_counter(), heard, 0)

    await asyncio.gather(*(client() for _ in range(clients)))
    return len(heard.latency_s) / seconds


@contextmanager
def started(words: list[str], port: int) -> Iterator[psutil.Process]:
    """A server that answers, and its end."""
    log = Path(tempfile.mkdtemp()) / "log"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    with log.open("wb") as file:
        server = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=file, stderr=file, env=environment)
    try:
        asyncio.run(until_up(port, server, log))
        yield psutil.Process(server.pid)
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


async def until_up(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}: {log.read_text()[-2000:]}")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            if b" 200 " in answer.split(b"\r\n")[0]:
                return
        except (OSError, TimeoutError):
            pass
        await asyncio.sleep(0.2)
    raise SystemExit("the server never answered")


def servers(options: argparse.Namespace, port: int) -> dict[str, list[str]]:
    classifier = options.classifier
    folder = [] if classifier is None else ["--classifier", str(classifier)]
    plain = [str(ROOT / "benchmarks" / "plain_serving.py"), "--port", str(port), *folder]
    two = ["--classifier_replicas", "2", "--classifier_most", "2"] if options.heavy else []
    return {
        "ours": [str(ROOT / "jobs" / "serve.py"), "laptop", "--port", str(port), *folder, *two],
        "plain": plain,
        "plain-2": [*plain, "--workers", "2"],
    }


def heavy_classifier() -> Path:
    """The paper's ViT-tiny over lead tokens with random weights: one pass takes a tenth of a second of a core."""
    import torch

    from ecgray.models import Classifier
    from ecgray.supreme.config import SIZES
    from ecgray.supreme.model import Supreme
    from ecgray.supreme.preprocess import PreprocessConfig
    from ecgray.text.encoders import load_text_encoder

    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp()) / "model"
    classifier = Classifier.from_parts(
        Supreme(SIZES["vit_tiny_ours"]), load_text_encoder("lexical"), PreprocessConfig()
    )
    classifier.save(folder, card="# Random weights, for a benchmark\n")
    return folder


def memory_mb(server: psutil.Process) -> dict[str, float]:
    """What the server and each process below it hold for themselves and share, each page once."""
    held: Counter[str] = Counter()
    for process in [server, *server.children(recursive=True)]:
        try:
            held[_short_name(process)] += process.memory_full_info().pss
        except psutil.Error:
            continue
    return {name: round(size / 1e6, 1) for name, size in {"all": held.total(), **held}.items()}


def _short_name(process: psutil.Process) -> str:
    """`Replica:ecgray:Front` of Ray's title, or the last word of the program's path."""
    words = process.cmdline() or [process.name()]
    if words[0].startswith("ray::"):
        return words[0].split("#")[0].removeprefix("ray::").removeprefix("Serve")
    script = next((word for word in words[1:] if word.endswith(".py")), words[0])
    return Path(script.split()[0]).name


def cpu_s(server: psutil.Process) -> float:
    total = 0.0
    for process in [server, *server.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def classification(options: argparse.Namespace) -> dict[str, Any]:
    """Each server by itself: capacity, the rates, and the latency at low load."""
    found: dict[str, Any] = {}
    for name in options.servers:
        words = servers(options, PORT)[name]
        with started(words, PORT) as server:
            content = classify_bytes(PORT)
            asyncio.run(closed_loop(PORT, content, 8, 3))  # warm
            before = cpu_s(server)
            capacity = asyncio.run(closed_loop(PORT, content, 24, options.seconds))
            rows: dict[str, Any] = {"capacity": round(capacity, 1)}
            rows["cpu_ms_each"] = round((cpu_s(server) - before) / (capacity * options.seconds) * 1000, 2)
            rows["low"] = asyncio.run(open_loop(PORT, content, 5, options.seconds)).row(options.seconds)
            for share in SHARES:
                heard = asyncio.run(open_loop(PORT, content, share * capacity, options.seconds))
                rows[f"{share:.0%}"] = heard.row(options.seconds)
                print(name, f"{share:.0%}", rows[f"{share:.0%}"], flush=True)
            rows["memory_mb"] = memory_mb(server)["all"]
            found[name] = rows
            print(name, {key: rows[key] for key in ("capacity", "cpu_ms_each", "low", "memory_mb")}, flush=True)
    return found


def killing(options: argparse.Namespace) -> dict[str, Any]:
    """One replica of the classifier killed at half load: without and with one retry of the client."""
    found = {}
    with started(
        [*servers(options, PORT)["ours"], "--classifier_replicas", "2", "--classifier_most", "2"], PORT
    ) as server:
        content = classify_bytes(PORT)
        capacity = asyncio.run(closed_loop(PORT, content, 24, options.seconds))
        for retries in (0, 1):

            async def run(retries: int = retries) -> Heard:
                async def kill() -> None:
                    await asyncio.sleep(options.seconds / 3)
                    for process in server.children(recursive=True):
                        if "Replica:ecgray:Classifier" in " ".join(process.cmdline()):
                            process.kill()
                            return

                heard, _ = await asyncio.gather(
                    open_loop(PORT, content, capacity / 2, options.seconds, retries=retries), kill()
                )
                return heard

            found[f"retries={retries}"] = asyncio.run(run()).row(options.seconds)
            print("killed", retries, found[f"retries={retries}"], flush=True)
            time.sleep(20)  # until the replica is back
    return found


def generator(options: argparse.Namespace) -> dict[str, Any]:
    """ECGs a minute alone; and what drawing does to classification at half load."""
    found: dict[str, Any] = {}
    with started(servers(options, PORT)["ours"], PORT):
        content = classify_bytes(PORT)
        prompt = {"prompt": "sinus bradycardia, left bundle branch block", "heart_rate": 50, "n": 4, "seed": 1}
        draw = request_bytes(PORT, "/v1/generate", json.dumps(prompt).encode())
        asyncio.run(closed_loop(PORT, draw, 1, 5))
        found["ecgs_a_minute"] = round(asyncio.run(closed_loop(PORT, draw, 4, options.seconds)) * 4 * 60, 1)
        capacity = asyncio.run(closed_loop(PORT, content, 24, options.seconds))
        found["alone"] = asyncio.run(open_loop(PORT, content, capacity / 2, options.seconds)).row(options.seconds)

        async def both() -> tuple[Heard, float]:
            return await asyncio.gather(
                open_loop(PORT, content, capacity / 2, options.seconds), closed_loop(PORT, draw, 4, options.seconds)
            )

        heard, drawn = asyncio.run(both())
        found["beside drawing"] = heard.row(options.seconds) | {"ecgs_a_minute": round(drawn * 4 * 60, 1)}
        found["p99 ratio"] = round(found["beside drawing"]["p99_ms"] / found["alone"]["p99_ms"], 2)
    print(found, flush=True)
    return found


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Memory over ten minutes at 70 % load, a few ECGs drawn beside."""
    rows = []
    with started(servers(options, PORT)["ours"], PORT) as server:
        content = classify_bytes(PORT)
        draw = request_bytes(PORT, "/v1/generate", json.dumps({"prompt": "sinus rhythm", "steps": 10}).encode())
        capacity = asyncio.run(closed_loop(PORT, content, 24, options.seconds))
        for minute in range(options.minutes + 1):
            rows.append({"minute": minute, "memory_mb": memory_mb(server)})
            print(rows[-1], flush=True)
            if minute < options.minutes:

                async def run() -> Heard:
                    heard, _ = await asyncio.gather(
                        open_loop(PORT, content, 0.7 * capacity, 60), open_loop(PORT, draw, 0.2, 60)
                    )
                    return heard

                rows[-1] |= asyncio.run(run()).row(60)
    return {"rate": round(0.7 * capacity, 1), "minutes": rows}


WHAT = {"classification": classification, "killing": killing, "generator": generator, "soak": soak}


def main() -> None:
    """Run what is asked for; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", nargs="+", choices=sorted(WHAT), default=["classification", "killing"])
    parser.add_argument("--classifier", type=Path, help="another model folder than the one that ships")
    parser.add_argument("--heavy", action="store_true", help="ViT-tiny with random weights, two replicas of it")
    parser.add_argument("--servers", nargs="+", default=["ours", "plain", "plain-2"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    options = parser.parse_args()
    if options.heavy:
        options.classifier = heavy_classifier()
    found = {name: WHAT[name](options) for name in options.what}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
