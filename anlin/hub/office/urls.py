from __future__ import annotations

from django.urls import path

from anlin.hub.office import bulk_views, list_views, views

app_name = "office"
urlpatterns = [
    path("queues", views.home, name="home"),
    path("search", views.search, name="search"),
    path("queues/<str:key>", views.queue, name="queue"),
    path("lists", list_views.lists, name="lists"),
    path("lists/template", list_views.template, name="template"),
    path("lists/post", list_views.post, name="post"),
    path("lists/export", list_views.export, name="export"),
    path("jobs/<str:job_id>", list_views.job, name="job"),
    path("jobs/<str:job_id>/take-over", list_views.take_over, name="take_over"),
    path("jobs/<str:job_id>/again", list_views.again, name="again"),
    path("jobs/<str:job_id>/faults", list_views.faults, name="faults"),
    path("jobs/<str:job_id>/file", list_views.file, name="file"),
    path("bulk", bulk_views.choose, name="bulk"),
    path("bulk/<str:job_id>", bulk_views.preview, name="bulk_preview"),
    path("bulk/<str:job_id>/yes", bulk_views.confirm, name="bulk_confirm"),
    path("bulk/<str:job_id>/passes", bulk_views.passes, name="passes"),
]
