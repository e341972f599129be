from __future__ import annotations

from django.urls import path

from anlin.hub.accounts import enter, home, mine, staff

app_name = "accounts"
urlpatterns = [
    path("login/second", enter.second, name="second"),
    path("login/enrol", enter.enrol, name="enrol"),
    path("login/enrol/begin", enter.enrol_begin, name="enrol_begin"),
    path("login/enrol/finish", enter.enrol_finish, name="enrol_finish"),
    path("login/passkey/begin", enter.passkey_begin, name="passkey_begin"),
    path("login/passkey/finish", enter.passkey_finish, name="passkey_finish"),
    path("account", mine.mine, name="mine"),
    path("account/password", mine.password, name="password"),
    path("account/authenticator", mine.authenticator, name="authenticator"),
    path("account/codes", mine.codes, name="codes"),
    path("account/passkeys/begin", mine.passkey_begin, name="add_begin"),
    path("account/passkeys/finish", mine.passkey_finish, name="add_finish"),
    path("account/factors/<int:pk>/remove", mine.remove, name="remove"),
    path("account/sessions/end", mine.end_others, name="end_others"),
    path("account/sessions/<str:pk>/end", mine.end_session, name="end_session"),
    path("staff", staff.staff, name="staff"),
    path("staff/new", staff.add, name="add_staff"),
    path("staff/rule", staff.rule, name="rule"),
    path("staff/<int:pk>", staff.one, name="one"),
    path("staff/<int:pk>/reset", staff.reset, name="reset"),
    path("staff/<int:pk>/password", staff.password, name="staff_password"),
    path("staff/<int:pk>/sessions", staff.end_sessions, name="end_sessions"),
    path("staff/<int:pk>/end", staff.end, name="end_staff"),
    path("home/login", home.login, name="home_login"),
    path("home/login/code", home.code, name="home_code"),
    path("home/login/who", home.who, name="home_who"),
    path("home/logout", home.logout, name="home_logout"),
    path("home/login/mine", mine.home_mine, name="home_mine"),
    path("home/login/passkeys/begin", mine.home_passkey_begin, name="home_add_begin"),
    path("home/login/passkeys/finish", mine.home_passkey_finish, name="home_add_finish"),
    path("home/login/passkeys/<int:pk>/remove", mine.home_remove, name="home_remove"),
    path("home/login/sessions/end", mine.home_end_others, name="home_end_others"),
    path("home/login/sessions/<str:pk>/end", mine.home_end_session, name="home_end_session"),
]
