"""What a gate's screen shows and its voice says, in the community's language.

A screen says what to do next, not what is on file: a neighbour stands behind.
"""

from __future__ import annotations

from anlin.core.access import Decision, Reason
from anlin.core.entities import Method

_TELL: dict[Reason, tuple[str, str]] = {
    Reason.GRANTED: ("请进", "Please come in"),
    Reason.FREE_EGRESS: ("请慢走", "Goodbye"),
    Reason.EMERGENCY_VEHICLE: ("应急车辆,请通行", "Emergency vehicle. Please pass"),
    Reason.TEMPORARY_VEHICLE: ("临时车辆,请通行", "Visiting car. Please pass"),
    Reason.FIRE_RELEASE: ("火警,请立即撤离", "Fire. Leave now"),
    Reason.LOCKDOWN: ("暂停通行,请听从保安指挥", "Closed. Please follow the guard"),
    Reason.MASK_WORN: ("请刷卡,或摘下口罩", "Please use your card, or lower the mask"),
    Reason.FACE_NOT_RECOGNISED: (
        "未识别,请刷卡或呼叫保安",
        "Not known. Use your card, please",
    ),
    Reason.LIVENESS_FAILED: ("请刷卡", "Please use your card"),
    Reason.PLATE_NOT_READ: ("车牌未识别,请稍候", "Plate not read. Please wait"),
    Reason.VEHICLE_NOT_PRESENT: ("请驶近道闸", "Please drive up to the barrier"),
    Reason.SECOND_FACTOR_REQUIRED: ("请再用第二种方式验证", "One more step: a second means"),
    Reason.SECOND_PERSON_REQUIRED: ("请第二人验证", "A second person, please"),
    Reason.ESCORT_REQUIRED: ("请陪同人员验证", "Please wait for your escort"),
    Reason.INVALID_PIN: ("密码错误", "Wrong PIN"),
    Reason.PIN_LOCKED: ("密码已锁定,请刷卡或呼叫保安", "PIN closed. Use your card, please"),
    Reason.INTERLOCKED: ("请等另一道门关闭", "Please wait: the other door is open"),
    Reason.AREA_FULL: ("已满,请稍候", "Full. Please wait"),
    Reason.ANTI_PASSBACK: ("请先刷出,或联系保安", "Please go out first, or ask the guard"),
    Reason.VEHICLE_ALREADY_INSIDE: ("此车牌已在场内,请联系保安", "Already inside. Ask the guard"),
    Reason.HOUSEHOLD_FULL: ("车位已满,请联系物业", "No space left. Please ask the office"),
    Reason.PARKING_NEXT_DOOR: ("场内不停车,请停旁边停车场", "Please park next door"),
    Reason.OFF_VISITOR_PATH: ("不在访问路线上", "Not on your way to your host"),
    Reason.PASS_UNPROVEN: ("网络中断,请到首个入口或找保安", "Offline. Please ask the guard"),
    Reason.PASS_STALE: ("请打开页面出示实时二维码", "Show the live code, not a picture"),
    Reason.PASS_SHOWN: ("此码刚用过,请等下一个", "Used just now. Wait for the next"),
    Reason.PASS_USED: ("二维码已使用", "This code was used already"),
    Reason.PASS_EXPIRED: ("二维码已过期", "This code has expired"),
    Reason.PASS_NOT_ACTIVE: ("二维码未到使用时间", "This code is not valid yet"),
    Reason.PASS_WRONG_POINT: ("此码不能在此处使用", "This code is for another gate"),
    Reason.PASS_INVALID: ("二维码无效", "This code is not valid"),
    Reason.PASS_OTHER_COMMUNITY: ("二维码无效", "This code is not valid"),
    Reason.RESIDENCY_ENDED: ("权限已到期,请联系物业", "Access has ended. Please ask the office"),
    Reason.CREDENTIAL_EXPIRED: ("权限已到期,请联系物业", "Access has ended. Please ask the office"),
    Reason.NOT_PERMITTED_AT_THIS_TIME: ("当前时段不可通行", "Not open to you at this hour"),
    Reason.RECORDS_UNAVAILABLE: ("系统故障,请联系保安", "Out of order. Please ask the guard"),
    Reason.INTERNAL_ERROR: ("系统故障,请联系保安", "Out of order. Please ask the guard"),
}

_OTHERWISE = ("未获授权,请联系物业或保安", "Not authorised. Please ask the office or guard")
_PRESENT_VEHICLE = ("外来车辆,请联系保安", "Visiting car. Please ask the guard")


def tell(decision: Decision, language: str) -> str:
    """Word a decision for the person in front of the screen."""
    pair = _TELL.get(decision.reason, _OTHERWISE)
    if decision.reason is Reason.CREDENTIAL_UNKNOWN and decision.method is Method.PLATE:
        pair = _PRESENT_VEHICLE
    text = pair[0] if language.startswith("zh") else pair[1]
    if decision.reason is Reason.GRANTED and decision.label:
        text = (
            f"{decision.label},{text}" if language.startswith("zh") else f"{text}, {decision.label}"
        )
    return text
