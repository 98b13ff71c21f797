"""What /metrics counts: numbers of requests and of recordings, never anything of one."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Meters:
    """The meters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("ecgray_requests", "Requests answered", "route", "method", "status")
        self.seconds = Histogram(
            "ecgray_request_seconds", "Time to answer", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.recordings = self._counter("ecgray_recordings", "Recordings answered", "what")
        self.refused = self._counter("ecgray_problems", "Problems, by code", "code")
        self.generated = self._counter("ecgray_ecgs_generated", "ECGs drawn")
        self.inside = Gauge("ecgray_inside", "What is being answered or waits", ["gate"], registry=self.registry)
        self.batch = Histogram(
            "ecgray_batch_recordings", "Recordings in one pass", buckets=SIZES, registry=self.registry
        )
        Gauge("ecgray_start_time_seconds", "When this process began", registry=self.registry).set(time.time())

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def answered(self, route: str, method: str, status: int, took_s: float) -> None:
        """One request is done."""
        known = method if method in ("GET", "HEAD", "POST", "OPTIONS") else "OTHER"
        self.requests.labels(route, known, str(status)).inc()
        self.seconds.labels(route).observe(took_s)

    def text(self) -> bytes:
        """In the format that Prometheus reads."""
        return generate_latest(self.registry)
