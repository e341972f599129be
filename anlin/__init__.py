"""Anlin (安邻): open, self-hosted security for residential communities."""

__version__ = "0.1.0"
