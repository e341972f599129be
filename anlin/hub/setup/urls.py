from __future__ import annotations

from django.urls import path

from anlin.hub.setup import (
    device_views,
    first_views,
    home_views,
    place_views,
    portal_views,
    rule_views,
    time_views,
)

app_name = "setup"
urlpatterns = [
    path("first", first_views.found, name="first"),
    path("", home_views.home, name="home"),
    path("homes", place_views.homes, name="homes"),
    path("homes/<str:unit_id>/cars", place_views.cars, name="cars"),
    path("areas", place_views.areas, name="areas"),
    path("areas/new", place_views.area, name="new_area"),
    path("areas/<str:area_id>", place_views.area, name="area"),
    path("areas/<str:area_id>/remove", place_views.remove_area, name="remove_area"),
    path("times", time_views.times, name="times"),
    path("times/new", time_views.schedule, name="new_schedule"),
    path("times/<str:schedule_id>", time_views.schedule, name="schedule"),
    path("times/<str:schedule_id>/remove", time_views.remove_schedule, name="remove_schedule"),
    path("holidays/new", time_views.holidays, name="new_holidays"),
    path("holidays/<str:table_id>", time_views.holidays, name="holidays"),
    path("holidays/<str:table_id>/remove", time_views.remove_holidays, name="remove_holidays"),
    path("portals", portal_views.portals, name="portals"),
    path("portals/new", portal_views.portal, name="new_portal"),
    path("portals/<str:portal_id>", portal_views.portal, name="portal"),
    path("portals/<str:portal_id>/remove", portal_views.remove_portal, name="remove_portal"),
    path("portals/<str:portal_id>/points/new", portal_views.new_point, name="new_point"),
    path("points/<str:point_id>", portal_views.point, name="point"),
    path("points/<str:point_id>/remove", portal_views.remove_point, name="remove_point"),
    path("rules", rule_views.rules, name="rules"),
    path("rules/new", rule_views.rule, name="new_rule"),
    path("rules/matrix", rule_views.matrix, name="matrix"),
    path("rules/<str:rule_id>", rule_views.rule, name="rule"),
    path("rules/<str:rule_id>/remove", rule_views.remove_rule, name="remove_rule"),
    path("devices/new", device_views.new_device, name="new_device"),
    path("devices/<str:device_id>", device_views.device, name="device"),
    path("devices/<str:device_id>/password", device_views.password, name="device_password"),
    path("devices/<str:device_id>/remove", device_views.remove, name="remove_device"),
]
