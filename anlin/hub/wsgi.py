"""Pages, API and uploads from edges; granian serves it, one thread for each worker."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anlin.hub.settings")

application = get_wsgi_application()
