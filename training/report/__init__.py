"""A directory that tells a person how good a model is: report.md, its pictures, metrics.json."""

from training.report.writing import write_report

__all__ = ["write_report"]
