"""Plates that were given before cars had records of their own become cars."""

from django.db import migrations
from django.utils import timezone

from anlin.core import plate

CHUNK = 500


def take_over(apps, schema_editor):
    Credential = apps.get_model("access", "Credential")
    Vehicle = apps.get_model("vehicles", "Vehicle")
    now = timezone.now()
    rows = Credential.objects.filter(method="plate").exclude(status="revoked").select_related("holder")
    cars = []
    for row in rows.iterator(chunk_size=CHUNK):
        try:
            kind = plate.parse(row.key).kind.value
        except plate.PlateError:
            kind = plate.PlateKind.STANDARD.value
        cars.append(
            Vehicle(
                community_id=row.community_id,
                owner_id=row.holder_id,
                plate=row.key[:16],
                kind=kind,
                credential=row,
                state="approved",
                asked_by="migration",
                asked_at=row.created_at,
                decided_by="migration",
                decided_at=now,
            )
        )
        if len(cars) == CHUNK:
            Vehicle.objects.bulk_create(cars)
            cars = []
    Vehicle.objects.bulk_create(cars)


class Migration(migrations.Migration):
    dependencies = [("vehicles", "0001_initial")]
    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
