"""`python -m anlin.edge`: run one node."""

import sys

# httpx and structlog bring along what only people at a terminal see, two fifths of all that is
# imported. Where it can't be had, they do without.
for name in ("rich", "httpx._main"):
    sys.modules[name] = None  # type: ignore[assignment]  # None: can't be imported

from anlin.edge.run import main  # noqa: E402

if __name__ == "__main__":
    main()
