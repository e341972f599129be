"""Proof by faults: a day at the gates in which everything breaks, a week without the hub, clocks.

    python -m anlin.sim.chaos --seconds 600 --week-events 1000000

Real processes, kept alive as `anlin up` keeps them, and controllers that write down what they
said, what was acknowledged and what they obeyed. Then journal, hub and controllers are compared.
"""
