"""Whoever is to live in a home is asked for in `join`; what is left here is who no longer does."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def forget_asks_to_add(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Without its kind an ask to add somebody would read as one to remove them."""
    apps.get_model("resident", "HouseholdAsk").objects.filter(kind="add").delete()


class Migration(migrations.Migration):
    dependencies = [("resident", "0002_households")]

    operations = [
        migrations.RunPython(forget_asks_to_add, migrations.RunPython.noop),
        migrations.RemoveField("householdask", "kind"),
        migrations.RemoveField("householdask", "phone"),
        migrations.RemoveField("householdask", "last_day"),
    ]
