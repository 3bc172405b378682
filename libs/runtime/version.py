"""Parley's version: the wheel's metadata, `parley --version` and the edge's `/status` take it from here."""

VERSION = "0.1.0"
