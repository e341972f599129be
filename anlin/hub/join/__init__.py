"""Residents register themselves: a form on the phone, the owner's word, then the office's."""
