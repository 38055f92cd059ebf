"""Writes an evaluation report: report.md with plots, and metrics.json."""

from training.report.writing import write_report

__all__ = ["write_report"]
