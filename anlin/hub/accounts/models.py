"""Log-ins, and how often one may try."""
