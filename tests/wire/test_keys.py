from __future__ import annotations

import base64

import pytest

from anlin.wire.keys import (
    SealError,
    new_sealing_key,
    new_signing_key,
    public_sealing_key,
    public_signing_key,
    seal,
    sign,
    unseal,
    verify,
)

# RFC 8032 section 7.1, TEST 2: secret key, public key, message, signature.
SECRET = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def from_hex(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def test_signing_gives_what_rfc_8032_says():
    assert public_signing_key(from_hex(SECRET)) == from_hex(PUBLIC)
    assert sign(from_hex(SECRET), b"\x72").hex() == SIGNATURE
    assert verify(from_hex(PUBLIC), b"\x72", bytes.fromhex(SIGNATURE))


def test_what_is_signed_verifies_with_its_own_key_only():
    key, other = new_signing_key(), new_signing_key()
    signature = sign(key, b"gate")
    assert len(signature) == 64
    assert verify(public_signing_key(key), b"gate", signature)
    assert not verify(public_signing_key(other), b"gate", signature)
    assert not verify(public_signing_key(key), b"door", signature)


def test_every_changed_bit_of_a_signature_is_noticed():
    key = new_signing_key()
    public, signature = public_signing_key(key), sign(key, b"gate")
    for place in range(len(signature) * 8):
        changed = bytearray(signature)
        changed[place // 8] ^= 1 << place % 8
        assert not verify(public, b"gate", bytes(changed))


@pytest.mark.parametrize("key", ["", "AA==", "not base64!", "钥匙", from_hex(PUBLIC)[:-2]])
def test_a_public_key_of_the_wrong_form_verifies_nothing(key):
    assert not verify(key, b"\x72", bytes.fromhex(SIGNATURE))


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, bytes.fromhex(SIGNATURE)[:63]])
def test_a_signature_of_the_wrong_form_does_not_hold(signature):
    assert not verify(from_hex(PUBLIC), b"\x72", signature)


@pytest.mark.parametrize("key", ["", "AA==", "not base64!"])
def test_a_private_key_of_the_wrong_form_is_refused(key):
    for use in (lambda: sign(key, b""), lambda: public_signing_key(key)):
        with pytest.raises(ValueError, match=r".+"):
            use()
    with pytest.raises(ValueError, match=r".+"):
        public_sealing_key(key)
    with pytest.raises(ValueError, match=r".+"):
        seal(key, b"template", "node-1")


@pytest.mark.parametrize("plain", [b"", b"template", bytes(range(256)) * 64])
def test_a_sealed_template_opens_with_its_nodes_key(plain):
    key = new_sealing_key()
    sealed = seal(public_sealing_key(key), plain, "node-1")
    assert unseal(key, sealed, "node-1") == plain
    assert plain == b"" or plain not in base64.b64decode(sealed)


def test_nobody_else_opens_it_and_no_other_context():
    key, other = new_sealing_key(), new_sealing_key()
    sealed = seal(public_sealing_key(key), b"template", "node-1")
    for wrong_key, context in ((other, "node-1"), (key, "node-2"), (key, ""), ("", "node-1")):
        with pytest.raises(SealError, match="sealed for another key, or damaged"):
            unseal(wrong_key, sealed, context)


def test_sealing_twice_gives_two_texts():
    public = public_sealing_key(new_sealing_key())
    assert seal(public, b"template", "node-1") != seal(public, b"template", "node-1")


def test_every_cut_and_every_changed_byte_of_a_box_is_noticed():
    key = new_sealing_key()
    box = base64.b64decode(seal(public_sealing_key(key), b"template", "node-1"))
    cuts = [box[:end] for end in range(len(box))]
    changes = [
        box[:place] + bytes([byte ^ 1 << place % 8]) + box[place + 1 :]
        for place, byte in enumerate(box)
    ]
    for damaged in (*cuts, *changes, box + b"\0"):
        with pytest.raises(SealError):
            unseal(key, base64.b64encode(damaged).decode(), "node-1")


def test_a_box_that_is_no_base64_is_damaged():
    with pytest.raises(SealError, match="node-1"):
        unseal(new_sealing_key(), "no box!", "node-1")
