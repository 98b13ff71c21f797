"""A model folder in, plain calls out: preprocessing, text encoder and network put together. No Ray.

$ classifier = Classifier.load(Path("runs/demo/pretrain/model"))
$ classifier.probabilities(counts, ["atrial fibrillation", "prolonged qt interval"])  # (batch, 2)
$ generator = Generator.load(Path("runs/demo/generator/model"))
$ generator.generate([Prompt(text="sinus rhythm, left bundle branch block", heart_rate_bpm=70)], seed=1)  # counts
"""

from ecgray.models.baseline import BaselineGenerator
from ecgray.models.classifier import Classifier
from ecgray.models.generator import Generator, load_generator
from ecgray.sediff.prompts import Prompt

__all__ = ["BaselineGenerator", "Classifier", "Generator", "Prompt", "load_generator"]
