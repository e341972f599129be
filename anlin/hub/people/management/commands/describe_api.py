"""Write the API's OpenAPI description, as it is committed and compared."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Print the OpenAPI description: redirect it to docs/ref/openapi.json."

    def handle(self, *args: Any, **options: Any) -> None:
        from anlin.hub.api import api

        described = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/")))
        described["info"].pop("version")
        self.stdout.write(json.dumps(described, indent=1, ensure_ascii=False, sort_keys=True))
