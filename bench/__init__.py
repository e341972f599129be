"""Benchmarks: the figures that the README quotes, each beside a peer in the same run."""
