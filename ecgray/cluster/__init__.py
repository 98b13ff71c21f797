"""The only package that imports Ray (or vLLM): it batches, places and resumes what the other rooms compute."""

import os
import secrets

# All of this here, because ray reads it once, when it is imported.
for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "180",
}.items():
    os.environ.setdefault(_name, _value)

# A Ray of our own listens on every interface, so it answers only who knows a token that no file holds. A cluster's
# token is the user's affair.
if not {"RAY_AUTH_MODE", "RAY_ADDRESS"} & os.environ.keys():
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
