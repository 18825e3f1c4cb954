"""The packed formats, one a file."""
