"""Drivers: one file for each family of devices, found by being here.

A driver turns what a device says into reports (`anlin.core.device`) and commands into what the
device understands. It decides nothing and remembers nothing that a restart may not lose.
"""
