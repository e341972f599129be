from __future__ import annotations

from django.urls import path

from anlin.hub.privacy import views

app_name = "privacy"
urlpatterns = [
    path("", views.home, name="home"),
    path("ledger", views.ledger, name="ledger"),
    path("people/<str:holder_id>", views.person, name="person"),
    path("people/<str:holder_id>/give", views.give, name="give"),
    path("people/<str:holder_id>/withdraw/<str:purpose>", views.withdraw, name="withdraw"),
    path("people/<str:holder_id>/ask", views.ask, name="ask"),
    path("people/<str:holder_id>/copy", views.copy, name="copy"),
    path("notices", views.notices, name="notices"),
    path("notices/new", views.new_notice, name="new_notice"),
    path("notices/<str:notice_id>", views.notice, name="notice"),
    path("receipts", views.receipts, name="receipts"),
    path("receipts/<str:receipt_id>", views.receipt, name="receipt"),
    path("points", views.points, name="points"),
    path("requests", views.requests, name="requests"),
    path("requests/<str:request_id>", views.request_page, name="request"),
    path("requests/<str:request_id>/<str:act>", views.answer, name="answer"),
    path("retention", views.retention, name="retention"),
    path("retention/set", views.set_retention, name="set_retention"),
    path("retention/run", views.run_retention, name="run_retention"),
    path("filing", views.filing, name="filing"),
    path("filing/data", views.filing_data, name="filing_data"),
    path("cameras", views.cameras, name="cameras"),
    path("cameras/<str:device_id>", views.camera, name="camera"),
    path("assessments", views.assessments, name="assessments"),
    path("assessments/make", views.make_assessment, name="make_assessment"),
    path("assessments/<str:assessment_id>", views.assessment, name="assessment"),
    path("assessments/<str:assessment_id>/approve", views.approve, name="approve"),
]
