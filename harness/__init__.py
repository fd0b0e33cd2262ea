"""harness: evaluate image classifiers and write model cards in which every number can be checked."""

__version__ = "0.1.0"
