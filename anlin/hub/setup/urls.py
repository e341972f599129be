from __future__ import annotations

from django.urls import path

from anlin.hub.setup import device_views, views

app_name = "setup"
urlpatterns = [
    path("", views.home, name="home"),
    path("homes", views.homes, name="homes"),
    path("homes/<str:unit_id>/cars", views.cars, name="cars"),
    path("areas", views.areas, name="areas"),
    path("areas/new", views.area, name="new_area"),
    path("areas/<str:area_id>", views.area, name="area"),
    path("areas/<str:area_id>/remove", views.remove_area, name="remove_area"),
    path("times", views.times, name="times"),
    path("times/new", views.schedule, name="new_schedule"),
    path("times/<str:schedule_id>", views.schedule, name="schedule"),
    path("times/<str:schedule_id>/remove", views.remove_schedule, name="remove_schedule"),
    path("holidays/new", views.holidays, name="new_holidays"),
    path("holidays/<str:table_id>", views.holidays, name="holidays"),
    path("holidays/<str:table_id>/remove", views.remove_holidays, name="remove_holidays"),
    path("portals", views.portals, name="portals"),
    path("portals/new", views.portal, name="new_portal"),
    path("portals/<str:portal_id>", views.portal, name="portal"),
    path("portals/<str:portal_id>/remove", views.remove_portal, name="remove_portal"),
    path("portals/<str:portal_id>/points/new", views.new_point, name="new_point"),
    path("points/<str:point_id>", views.point, name="point"),
    path("points/<str:point_id>/remove", views.remove_point, name="remove_point"),
    path("rules", views.rules, name="rules"),
    path("rules/new", views.rule, name="new_rule"),
    path("rules/matrix", views.matrix, name="matrix"),
    path("rules/<str:rule_id>", views.rule, name="rule"),
    path("rules/<str:rule_id>/remove", views.remove_rule, name="remove_rule"),
    path("devices/new", device_views.new_device, name="new_device"),
    path("devices/<str:device_id>", device_views.device, name="device"),
    path("devices/<str:device_id>/password", device_views.password, name="device_password"),
    path("devices/<str:device_id>/remove", device_views.remove, name="remove_device"),
]
