"""The domain: values in, values out. Standard library only; no clock, no socket, no table."""
