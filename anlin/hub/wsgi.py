"""Pages, API and uploads from edges: one thread for each worker.

    granian --interface wsgi --blocking-threads 1 anlin.hub.wsgi:application
"""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anlin.hub.settings")

application = get_wsgi_application()
