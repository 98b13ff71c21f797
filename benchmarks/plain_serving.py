"""The yardstick of benchmarks/serving.py: the same model behind plain FastAPI and uvicorn, each request by itself.

$ python benchmarks/plain_serving.py --port 8001
"""

from __future__ import annotations

import argparse
import base64
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from ecgray.models.classifier import EMBEDDED, Classifier
from ecgray.waveform.record import Recording
from ecgray.waveform.standard import standardise


class Ecg(BaseModel):
    encoding: str
    dtype: str
    shape: list[int]
    fs: float
    unit: str
    leads: list[str]
    data: str


class Body(BaseModel):
    ecg: Ecg
    queries: list[str]


def build() -> FastAPI:
    torch.set_num_threads(1)
    classifier = Classifier.load(Path(os.environ["PLAIN_CLASSIFIER"]))
    app = FastAPI()

    @app.get("/v2/health/ready")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/v1/classify")
    def classify(body: Body) -> dict[str, Any]:
        ecg = body.ecg
        counts = np.frombuffer(base64.b64decode(ecg.data), "<i2").reshape(ecg.shape)
        leads = len(ecg.leads)
        recording = Recording(counts, (1000.0,) * leads, (0,) * leads, ecg.fs, tuple(ecg.leads))
        standard = standardise(recording)
        found = classifier.probabilities(standard.counts[None], body.queries)[0].tolist()
        results = [{"query": query, "probability": value} for query, value in zip(body.queries, found, strict=True)]
        return {"results": results, "quality": {"flags": list(standard.flags)}}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--classifier", type=Path, default=EMBEDDED)
    options = parser.parse_args()
    os.environ["PLAIN_CLASSIFIER"] = str(options.classifier)
    uvicorn.run(
        "plain_serving:build",
        factory=True,
        host="127.0.0.1",
        port=options.port,
        workers=options.workers,
        log_level="warning",
        access_log=False,
        app_dir=str(Path(__file__).parent),
    )


if __name__ == "__main__":
    main()
