"""ecgray: an ECG archive goes in; a zero-shot classifier and a text-to-ECG generator come out."""

__version__ = "0.1.0"
