"""Every byte that somebody else can send, tried without mercy.

    make fuzz                     30 s for each target; the report goes to docs/proof/fuzz.md
    make fuzz SECONDS=600
    python -m fuzz --seconds 60 qr mqtt_gate

`targets` says what is tried and what may come of it; atheris (the `fuzz` extra) makes the bytes.
The same targets meet the seeds, and every input that once broke one, in the tests (`tests/fuzz`).
"""
