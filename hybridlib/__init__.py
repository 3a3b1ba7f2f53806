"""The library of the book *Hybrid Generative Models*: every model a chapter builds, small enough to read."""

__version__ = "0.1.0"
