"""The client: a method for each thing that the service does."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecgray.client.answers import Classified, Embedded, Explained, Generated, Measured, ModelInfo, Read
from ecgray.client.failures import ServiceError, Unreachable
from ecgray.client.record import ecg_json, pack, read_files
from ecgray.client.said import Said, dumped, options_of, texts
from ecgray.client.wire import Request, Wire, parse, problem

MOST_JSON_BYTES = 1_900_000
"""The service reads 2 MB of JSON; a record that would be larger goes as a zip."""
MOST_BATCH_BYTES = 15_000_000
MOST_BATCH_ECGS = 64

Ecg = Any
"""An array (lead, time), or lists of numbers; where a method says so also a file: its path, or its bytes."""


class Client:
    """One service. Safe to share between threads: each has a connection of its own, which stays open.

    `server` is http:// or https://; `token` defaults to ECGRAY_TOKEN of the environment. `timeout_s` is how long any
    part of an answer may take; `retries` how often a request is sent again that was lost, or found the service busy.

    What all methods say of an ECG: `fs` samples a second; `unit` mV, uV or V (by default integers are counts of
    1/1000 mV and floats are mV); `leads` the names of the rows; `allow_missing_leads` takes an ECG that lacks I, II or
    a chest lead; `strict` refuses a WFDB record with a wrong checksum; the window of 10 s begins at `start_s`.
    All raise `ServiceError`.
    """

    def __init__(
        self,
        server: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 1,
    ) -> None:
        self._wire = Wire(server, token=token, timeout_s=timeout_s, retries=retries)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    # --- one ECG

    def classify(
        self,
        ecg: Ecg,
        queries: Sequence[str],
        *,
        fs: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
        allow_missing_leads: bool = False,
        strict: bool = True,
        start_s: float = 0.0,
    ) -> Classified:
        """A probability for each question, of an array or a file."""
        options = options_of(allow_missing_leads, strict, start_s)
        said = Said(fs, unit, leads, options, queries=texts(queries))
        return Classified.of(self._about("classify", ecg, said))

    def classify_file(
        self,
        source: str | Path | bytes,
        queries: Sequence[str],
        *,
        fs: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
        allow_missing_leads: bool = False,
        strict: bool = True,
        start_s: float = 0.0,
    ) -> Classified:
        """A probability for each question, of a file: .hea with the files that it names, zip, npy, csv, edf.

        npy needs `fs`, `unit` and `leads`; csv what its header line does not say.
        """
        return self.classify(
            source,
            queries,
            fs=fs,
            unit=unit,
            leads=leads,
            allow_missing_leads=allow_missing_leads,
            strict=strict,
            start_s=start_s,
        )

    def embed(
        self,
        ecg: Ecg,
        *,
        fs: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
        allow_missing_leads: bool = False,
        strict: bool = True,
        start_s: float = 0.0,
    ) -> Embedded:
        """The ECG as a vector, of an array or a file."""
        said = Said(fs, unit, leads, options_of(allow_missing_leads, strict, start_s))
        return Embedded.of(self._about("embed", ecg, said))

    def measure(
        self,
        ecg: Ecg,
        *,
        fs: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
        allow_missing_leads: bool = False,
        strict: bool = True,
        start_s: float = 0.0,
    ) -> Measured:
        """Heart rate, PR, QRS, QT and others, of an array or a file."""
        said = Said(fs, unit, leads, options_of(allow_missing_leads, strict, start_s))
        return Measured.of(self._about("measure", ecg, said))

    def explain(
        self,
        ecg: Ecg,
        query: str,
        *,
        fs: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
        allow_missing_leads: bool = False,
        strict: bool = True,
        start_s: float = 0.0,
    ) -> Explained:
        """Which leads and times speak for the answer to one question, of an array or a file."""
        said = Said(fs, unit, leads, options_of(allow_missing_leads, strict, start_s), query=query)
        return Explained.of(self._about("explain", ecg, said))

    def read(
        self,
        ecg: Ecg,
        *,
        fs: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
        allow_missing_leads: bool = False,
        strict: bool = True,
        start_s: float = 0.0,
    ) -> Read:
        """The ECG as the models see it: twelve leads, 500 Hz, 10 s, of an array or a file."""
        said = Said(fs, unit, leads, options_of(allow_missing_leads, strict, start_s))
        return Read.of(self._about("read", ecg, said))

    def plot(
        self,
        ecg: Ecg,
        *,
        layout: str = "3x4+1",
        speed_mm_s: int = 25,
        gain_mm_mv: int = 10,
        title: str = "",
        fs: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
        allow_missing_leads: bool = False,
        strict: bool = True,
        start_s: float = 0.0,
    ) -> str:
        """The ECG on paper, as SVG text, of an array or a file. Layouts: 3x4+1, 6x2, 12x1."""
        drawn = {"layout": layout, "speed_mm_s": speed_mm_s, "gain_mm_mv": gain_mm_mv}
        drawn |= {"title": title} if title else {}
        said = Said(fs, unit, leads, options_of(allow_missing_leads, strict, start_s), drawn=drawn)
        return self._send("plot", ecg, said, accept="image/svg+xml").decode()

    # --- many

    def classify_batch(
        self,
        ecgs: Sequence[Ecg],
        queries: Sequence[str],
        *,
        fs: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
        allow_missing_leads: bool = False,
        start_s: float = 0.0,
    ) -> list[Classified | ServiceError]:
        """The same questions about many arrays (or one, ecg by lead by time), of one sampling rate and the same leads.

        An ECG that cannot be answered has its error in its place. Sent 64 at a time, fewer where they are long.
        """
        options = options_of(allow_missing_leads, True, start_s)
        asked = {"queries": texts(queries)}
        found: list[Classified | ServiceError] = []
        for items in _batches({"ecg": ecg_json(ecg, fs=fs, unit=unit, leads=leads)} | options for ecg in ecgs):
            values = self._post("/v1/classify/batch", {"items": items} | asked)
            shared = {name: values.get(name) for name in ("model", "request_id", "notice")}
            for item in values["items"]:
                found.append(problem(item["error"], 422) if "error" in item else Classified.of(shared | item))
        return found

    # --- a text

    def generate(
        self,
        prompt: str,
        *,
        age: float | None = None,
        sex: str | None = None,
        heart_rate: float | None = None,
        n: int = 1,
        steps: int | None = None,
        sampler: str | None = None,
        seed: int | None = None,
        guidance_scale: float | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Generated:
        """Draw `n` ECGs of what a clinical text says; age in years, sex F or M, heart rate in bpm.

        The service draws the seed where none is given, and says which. `progress(step, of)` is called after each step;
        an exception in it, as Ctrl-C, closes the connection, and the service stops drawing.
        """
        asked = {
            "prompt": prompt,
            "age": age,
            "sex": sex,
            "heart_rate": heart_rate,
            "n": n,
            "steps": steps,
            "sampler": sampler,
            "seed": seed,
            "guidance_scale": guidance_scale,
        }
        body = {name: value for name, value in asked.items() if value is not None}
        if progress is None:
            return Generated.of(self._post("/v1/generate", body, once=True))
        request = Request("POST", "/v1/generate", dumped(body), accept="text/event-stream", once=True)
        events = self._wire.events(request)
        try:
            for event, data in events:
                if event == "progress":
                    progress(int(data["step"]), int(data["of"]))
                elif event == "error":
                    raise problem(data, int(data.get("status") or 500))
                elif event == "result":
                    return Generated.of(data)
        finally:
            events.close()
        raise Unreachable(f"{self._wire.address} closed the connection before the ECGs came; ask again.")

    # --- the service itself

    def models(self) -> tuple[ModelInfo, ...]:
        """The models that answer."""
        return tuple(ModelInfo.of(each) for each in self._get("/v1/models")["models"])

    def version(self) -> dict[str, Any]:
        """What runs there: `ecgray`, `api`, `ray`."""
        return dict(self._get("/version"))

    def ready(self) -> bool:
        """Whether the service answers and its models are loaded."""
        try:
            self._wire.ask(Request("GET", "/v2/health/ready"))
        except ServiceError:
            return False
        return True

    # --- how

    def _get(self, path: str) -> Any:
        return parse(self._wire.ask(Request("GET", path)).body)

    def _post(self, path: str, body: Mapping[str, Any], *, once: bool = False) -> Any:
        return parse(self._wire.ask(Request("POST", path, dumped(body), once=once)).body)

    def _about(self, what: str, ecg: Ecg, said: Said) -> Any:
        return parse(self._send(what, ecg, said))

    def _send(self, what: str, ecg: Ecg, said: Said, *, accept: str = "application/json") -> bytes:
        """Send an array as JSON; a record's files as JSON too, or as a zip where that is too large; a file as it is."""
        if isinstance(ecg, (bytes, bytearray)):
            return self._raw(what, bytes(ecg), said, accept)
        sent: dict[str, Any]
        if isinstance(ecg, (str, os.PathLike)):
            files = read_files(Path(ecg))
            if not files[0][0].lower().endswith(".hea"):
                return self._raw(what, files[0][1], said, accept)
            if sum(len(content) for _, content in files) > MOST_JSON_BYTES * 3 // 4:
                return self._raw(what, pack(files), said, accept)
            sent = {"files": [{"name": name, "data": _base64(content)} for name, content in files]}
        else:
            sent = {"ecg": ecg_json(ecg, fs=said.fs, unit=said.unit, leads=said.leads)}
        return self._wire.ask(Request("POST", f"/v1/{what}", said.body(sent), accept=accept)).body

    def _raw(self, what: str, content: bytes, said: Said, accept: str) -> bytes:
        path = f"/v1/{what}/file{said.address()}"
        return self._wire.ask(Request("POST", path, content, kind="application/octet-stream", accept=accept)).body


def _batches(items: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Items in bodies that the service takes."""
    batch: list[dict[str, Any]] = []
    size = 0
    for item in items:
        long = len(item["ecg"]["data"]) + 500
        if batch and (len(batch) == MOST_BATCH_ECGS or size + long > MOST_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += long
    if batch:
        yield batch


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
