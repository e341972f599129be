"""The consent ledger: which text was in force, who agreed to which, whose has to be renewed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Consent, Holder, Purpose
from anlin.hub.privacy.models import Notice

SECTION_CHARS = 2000

FIRST_ZH: Mapping[str, str] = MappingProxyType(
    {
        "purpose": "人脸只用于打开本小区的门和闸机，不作他用。",
        "contact": "请向物业办公室查询处理者的名称和联系方式。",
        "method": (
            "由一张照片算出一组数字（人脸模板），加密后只发给需要它的门口设备；模板不出小区，不上互联网。"
            "照片在算出模板后删除；只有您另行单独同意，照片才会加密保存。"
        ),
        "retention": (
            "同意有效且您住在这里期间保存；撤回同意、搬离或不再需要时删除。"
            "门口抓拍的图片最多保存30天。"
        ),
        "necessity": "人脸不是必需的：门禁卡、二维码、密码和门卫同样可以开门。",
        "effect": (
            "人脸是敏感个人信息，泄露可能难以补救，因此只以加密形式保存在本地。"
            "不同意不影响您的任何服务。"
        ),
        "rights": (
            "您可以随时在手机上或到物业办公室撤回同意，与同意一样方便；"
            "也可以查阅、复制、更正、删除您的信息。"
        ),
    }
)

FIRST_EN: Mapping[str, str] = MappingProxyType(
    {
        "purpose": "A face is used to open doors and gates of this community, for nothing else.",
        "contact": "Ask the property office for the name and address of who answers for the data.",
        "method": (
            "A row of numbers (a template) is made from one photograph and sent, closed, only to "
            "the gates that need it. It does not leave the community and does not go over the "
            "internet. The photograph is deleted once the template is made; it is kept, closed, "
            "only where you agree to that separately."
        ),
        "retention": (
            "For as long as the consent stands and you live here; deleted when you withdraw it, "
            "move out, or it is no longer needed. Pictures taken at gates: 30 days at most."
        ),
        "necessity": (
            "A face is not needed: card, QR code, PIN and the guard open the same doors just as "
            "well."
        ),
        "effect": (
            "A face is sensitive: once it has leaked that is hard to mend, so it is kept closed "
            "and here only. Who says no loses nothing."
        ),
        "rights": (
            "You may withdraw at any time, on your phone or at the property office, as easily as "
            "you agreed; and see, copy, correct and delete what is held about you."
        ),
    }
)
"""The text that a community starts with; it publishes its own with its name in it."""


def notice_in_force(community: Community) -> Notice:
    """Give the notice that people agree to now."""
    return notice_of(community, community.face_notice_version)


def notice_of(community: Community, version: str) -> Notice:
    """Give the text of one version; one that was never published here is the first."""
    notice = Notice.objects.filter(community=community, version=version).first()
    if notice is None:
        notice, _is_new = Notice.objects.get_or_create(
            community=community,
            version=version,
            defaults={
                "text_zh": dict(FIRST_ZH),
                "text_en": dict(FIRST_EN),
                "published_at": timezone.now(),
                "published_by": "anlin",
            },
        )
    return notice


def text_of(notice: Notice) -> dict[str, str]:
    """Give a notice's text in the language in use."""
    is_chinese = (get_language() or "zh").startswith("zh")
    text: dict[str, str] = notice.text_zh if is_chinese else notice.text_en
    return {name: text.get(name, "") for name in Notice.SECTIONS}


def publish_notice(
    community: Community,
    version: str,
    text_zh: Mapping[str, str],
    text_en: Mapping[str, str],
    by: Actor,
    *,
    needs_new_consent: bool,
) -> Notice:
    """Publish a new version; from now on people agree to it. Older ones are kept as they are.

    Raises:
        RuleError: the version is there already, or a section is missing or too long.
    """
    version = version.strip()
    if not version or len(version) > 20:
        raise RuleError(_("A version has 1 to 20 characters, such as 2027-01."), "version")
    for language, text in (("zh", text_zh), ("en", text_en)):
        for name in Notice.SECTIONS:
            said = text.get(name, "").strip()
            if not said:
                raise RuleError(
                    _("The law asks for every section; this one is empty."), f"{language}_{name}"
                )
            if len(said) > SECTION_CHARS:
                raise RuleError(
                    _("At most %(n)d characters; nobody reads more.") % {"n": SECTION_CHARS},
                    f"{language}_{name}",
                )
    with transaction.atomic():
        locked = Community.objects.select_for_update().get(pk=community.pk)
        # The text that people have agreed to so far has to be there beside the new one.
        notice_of(locked, locked.face_notice_version)
        if Notice.objects.filter(community=locked, version=version).exists():
            raise RuleError(
                _("Version %(version)s is published; a published text is never changed.")
                % {"version": version},
                "version",
            )
        notice = Notice.objects.create(
            community=locked,
            version=version,
            text_zh={name: text_zh[name].strip() for name in Notice.SECTIONS},
            text_en={name: text_en[name].strip() for name in Notice.SECTIONS},
            needs_new_consent=needs_new_consent,
            published_at=timezone.now(),
            published_by=by.name,
        )
        created(by, locked, notice, action="publish notice")
        with changing(by, locked, locked, "publish notice"):
            locked.face_notice_version = version
    community.face_notice_version = version
    return notice


def outdated(community: Community) -> QuerySet[Consent]:
    """List consents in force that were given to a text which has since changed too much."""
    breaking = (
        Notice.objects.filter(community=community, needs_new_consent=True)
        .order_by("-published_at")
        .first()
    )
    standing = Consent.objects.filter(holder__community=community, withdrawn_at=None)
    if breaking is None:
        return standing.none()
    since = Notice.objects.filter(
        community=community, published_at__gte=breaking.published_at
    ).values_list("version", flat=True)
    return standing.exclude(text_version__in=list(since)).select_related("holder")


@dataclass(frozen=True, slots=True)
class Line:
    """One consent with the text that it was given under."""

    consent: Consent
    notice: Notice
    is_outdated: bool


def ledger_of(holder: Holder) -> list[Line]:
    """List everything that a person has agreed to or withdrawn, the newest first."""
    old = set(outdated(holder.community).filter(holder=holder).values_list("pk", flat=True))
    return [
        Line(consent, notice_of(holder.community, consent.text_version), consent.pk in old)
        for consent in holder.consents.order_by("-given_at")
    ]


def give(holder: Holder, purpose: Purpose, by: Actor, *, given_by: str = "") -> Consent:
    """Write down a consent to the notice in force; an outdated one is replaced.

    Raises:
        RuleError: of `people.services.give_consent`, such as a child without a guardian.
    """
    with transaction.atomic():
        notice_in_force(holder.community)
        old = outdated(holder.community).filter(holder=holder, purpose=purpose).first()
        if old is not None:
            # Renewed, not withdrawn: nothing is deleted, and the ledger keeps both lines.
            with changing(by, holder.community, old, "renew consent"):
                old.withdrawn_at = timezone.now()
                old.withdrawn_by = given_by or holder.name
        return people.give_consent(holder, purpose, by, given_by=given_by)


def withdraw(holder: Holder, purpose: Purpose, by: Actor, *, withdrawn_by: str = "") -> None:
    """Withdraw a consent; what rests on it is deleted here and everywhere, with a receipt."""
    people.withdraw_consent(holder, purpose, by, withdrawn_by=withdrawn_by)
