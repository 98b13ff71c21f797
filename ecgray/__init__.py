"""ecgray: an archive of ECGs goes in; a classifier that answers free-text cardiac questions comes out."""

__version__ = "0.1.0"
