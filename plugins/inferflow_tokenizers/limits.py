"""Bounds on what a text or a template may cost. Apart, so that the template worker starts fast."""

MAX_TEXT = 4 << 20
"""Characters of one text: beyond any context, and some seconds of work, ten at most as measured."""

MAX_TEMPLATE = 1 << 20
MAX_REQUEST = 4 * MAX_TEXT
"""Characters of a template, and of the JSON that goes to the worker."""

CPU_SECONDS = 2.0
"""Processor time of one rendering."""

WALL_SECONDS = 4 * CPU_SECONDS
"""Backstop by the clock, for systems without the worker's own limit; generous, since on a busy
machine an honest template waits for its turn."""

START_SECONDS = 30.0
"""A worker's start: an interpreter and Jinja, on a busy machine."""

MEMORY_BYTES = 512 << 20
"""Address space of the worker."""
