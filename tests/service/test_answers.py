"""What the service answers, with the models that ship: the same in every form, and the same as the models say alone."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from asking import QUERIES, asked, logits, refused
from uploads import csv_bytes, edf_bytes, listed, npy_bytes, packed, wfdb_files, zip_bytes

from ecgray.leads import LEADS
from ecgray.service.backends import Backends
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.simulator import resample if False else None
