"""Warnings that a person should see while a run goes on, and find in its log afterwards."""

import logging
import sys

LOG = logging.getLogger("ocelot")


def warn(text: str) -> None:
    """Says it on standard error and in the log."""
    LOG.warning("%s", text)
    print(f"Warning: {text}", file=sys.stderr, flush=True)
