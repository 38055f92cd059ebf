"""Errors of the pipeline's input; printed as one line without a traceback."""


class TrainingError(Exception):
    """A step cannot do its work; the message names the file or field, the limit and the value."""
