"""Django's settings for the hub. Everything that differs between machines comes from ANLIN_*."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from anlin.hub.secret import load_or_make

HUB_HOME = Path(os.environ.get("ANLIN_HOME", "var")).resolve() / "hub"
"""The hub's own state: records, event log, pictures, secret."""
BROKER_HOME = HUB_HOME.parent / "broker"
"""Where the MQTT broker reads which devices may sign in."""
PICTURES_HOME = HUB_HOME / "media"

HUB_URL = os.environ.get("ANLIN_HUB_URL", "http://127.0.0.1:8000").rstrip("/")
LIVE_URL = os.environ.get("ANLIN_LIVE_URL", "http://127.0.0.1:8001").rstrip("/")
"""The origins of the pages and of the live process, as the browser sees them."""

SECRET_KEY = load_or_make(HUB_HOME / "secret")
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ANLIN_HOSTS", "127.0.0.1,localhost,[::1]").split(",") + [
    str(urlsplit(url).hostname) for url in (HUB_URL, LIVE_URL)
]
CSRF_TRUSTED_ORIGINS = [HUB_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "anlin.hub.people",
    "anlin.hub.accounts",
    "anlin.hub.devices",
    "anlin.hub.access",
    "anlin.hub.audit",
    "anlin.hub.events",
    "anlin.hub.state",
    "anlin.hub.explain",
    "anlin.hub.console",
    "anlin.hub.setup",
    "anlin.hub.vehicles",
    "anlin.hub.watch",
    "anlin.hub.join",
    "anlin.hub.office",
    "anlin.hub.resident",
    "anlin.hub.privacy",
    "anlin.hub.visits",
    "anlin.hub.notices",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "anlin.hub.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "anlin.hub.accounts.middleware.last_seen",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "anlin.hub.urls"
WSGI_APPLICATION = "anlin.hub.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "anlin.hub.middleware.page_context",
            ],
        },
    },
]


def _sqlite(name: str) -> dict[str, Any]:
    """Give one SQLite database: WAL, every commit on disk, writers taking turns from the start.

    IMMEDIATE, because a transaction that reads first and writes later is refused at once, without
    waiting, when another has written in between.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": HUB_HOME / name,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 10,
            "transaction_mode": "IMMEDIATE",
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; "
                # What is deleted is overwritten with zeros, not only unlinked (ADR 12).
                "PRAGMA secure_delete=ON;"
            ),
        },
    }


DATABASES = {"default": _sqlite("hub.sqlite3"), "events": _sqlite("events.sqlite3")}
DATABASE_ROUTERS = ["anlin.hub.databases.EventsApart"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login"

MFA_ADAPTER = "anlin.hub.accounts.mfa.Adapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1
"""A phone whose clock is half a minute off still fits; a code is taken once all the same."""

SMS_MODE = os.environ.get("ANLIN_SMS", "")
"""How residents get their log-in code: "gateway", "console" (development: into the log), or not."""
SMS_CONFIG = os.environ.get("ANLIN_SMS_CONFIG", "")
"""The TOML file of the gateway; its secret is ANLIN_SMS_SECRET (docs/guide/accounts.md)."""
PUSH_CONTACT = os.environ.get("ANLIN_PUSH_CONTACT", "")
"""Whom a push service writes to: mailto: or https:; empty: this hub's address."""
PUSH_ALLOWS_LOCAL = os.environ.get("ANLIN_PUSH_LOCAL", "") == "1"
"""For tests only: whether a push service may stand on this machine, over http."""
IS_BEHIND_PROXY = os.environ.get("ANLIN_PROXY", "") == "1"
"""Whether a proxy of our own writes X-Forwarded-For; nobody else's word is taken for an address."""

SESSION_COOKIE_NAME = "anlin_session"
SESSION_COOKIE_AGE = 12 * 3600
"""One shift: a console that was left open overnight asks again."""
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HUB_URL.startswith("https:")
CSRF_COOKIE_NAME = "anlin_csrf"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("Simplified Chinese")), ("en", _("English"))]
LOCALE_PATHS = [Path(__file__).parent / "locale"]
LANGUAGE_COOKIE_NAME = "anlin_language"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATICFILES_DIRS = [path for path in (Path(__file__).parent / "static",) if path.is_dir()]
WHITENOISE_USE_FINDERS = True
"""Static files come straight from the package: nothing to collect before the first start."""
WHITENOISE_MAX_AGE = 300

DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

VERIFIER_URL = os.environ.get("ANLIN_VERIFIER_URL", "")
"""An outside service that confirms names and numbers (`people.verifiers`); empty: none is asked."""
VERIFIER_TOKEN = os.environ.get("ANLIN_VERIFIER_TOKEN", "")

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("ANLIN_LOG", "WARNING")},
}
if SMS_MODE == "console":
    # Where a person waits for a code, not among the faults.
    LOGGING["handlers"]["stdout"] = {
        "class": "logging.StreamHandler",
        "formatter": "line",
        "stream": "ext://sys.stdout",
    }
    LOGGING["loggers"] = {
        "anlin.notify.sms": {"handlers": ["stdout"], "propagate": False},
    }
