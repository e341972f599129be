"""Log-ins of residents and staff: who one is, on which devices, and how often one may try."""
