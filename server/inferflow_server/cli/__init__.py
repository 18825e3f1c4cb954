"""The command `inferflow`. One command a file; a file is imported when its command is called."""

from inferflow_server.cli.main import main

__all__ = ["main"]
