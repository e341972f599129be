"""Codecs and keys: bytes in, messages out, and no sockets."""
