"""Channels: one directory for each way to reach a person (SMS, web push, mail)."""
