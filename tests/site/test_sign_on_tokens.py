"""Id tokens and key sets: what proves who signed in, and everything that does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from tests.kit.every import every
from tests.kit.openid_server import jwk_set, new_key, unsigned
from webui.sign_on.id_token import (
    ALGORITHMS,
    PublicKeys,
    read_id_token,
    read_keys,
)
from webui.sign_on.identity import Identity, IdTokenRefused, KeyUnknown, read_identity

ISSUER = "https://login.example"
CLIENT = "client"
NOW = 1_750_000_000
NONCE = "n-0S6_WzA2Mj"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
KEY = new_key("ec")


def published(*keys: Key) -> PublicKeys:
    found = read_keys(json.dumps(jwk_set(keys)).encode())
    assert found is not None
    return found


KEYS = published(KEY, RSA)


def right(**changes: Any) -> dict[str, Any]:
    usual = {"iss": ISSUER, "sub": "carol", "aud": CLIENT, "exp": NOW + 300, "iat": NOW}
    merged = {**usual, "nonce": NONCE, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def signed(claims: dict[str, Any], key: Key = KEY, alg: str = "ES256", **header: Any) -> str:
    head = {"alg": alg, "kid": key.kid, **header}
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    return jwt.encode(head, claims, key, registry=registry)


def read(token: str, keys: PublicKeys = KEYS) -> dict[str, Any]:
    return read_id_token(token, keys, issuer=ISSUER, client_id=CLIENT, nonce=NONCE, now=NOW)


def refusal(token: str, keys: PublicKeys = KEYS) -> str:
    with pytest.raises(IdTokenRefused) as caught:
        read(token, keys)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value.reason


# Signatures


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # of EdDSA, in signing
def test_every_algorithm_that_is_allowed_works(alg: str) -> None:
    curves = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
    key: Key = RSA
    if alg in curves:
        key = ECKey.generate_key(curves[alg], auto_kid=True)
    elif alg.startswith("Ed"):
        key = OKPKey.generate_key("Ed25519", auto_kid=True)
    assert read(signed(right(), key, alg), published(key))["sub"] == "carol"


def test_reading_an_eddsa_token_gives_no_warning() -> None:
    key = OKPKey.generate_key("Ed25519", auto_kid=True)
    with pytest.warns(SecurityWarning):
        token = signed(right(), key, "EdDSA")
    assert read(token, published(key))  # warnings are errors


@every("alg", ["none", "None", "NONE", "nOnE", ""])
@every("signature", ["", "AAAA"])
def test_a_token_without_a_signature_proves_nothing(alg: str, signature: str) -> None:
    token = unsigned({"alg": alg, "kid": KEY.kid}, right())
    assert refusal(f"{token}.{signature}") in ("unsupported_algorithm", "decode_error")


@every("alg", ["HS256", "HS384", "HS512"])
@every("form", ["pem", "der", "jwk"])
def test_the_public_key_is_no_secret_to_sign_with(alg: str, form: str) -> None:
    """The classic confusion: an HMAC under the published key."""
    secret = {
        "pem": RSA.as_pem(private=False),
        "der": RSA.as_der(private=False),
        "jwk": json.dumps(RSA.as_dict(private=False)).encode(),
    }[form]
    token = unsigned({"alg": alg, "kid": "rsa"}, right())
    digest = hmac.new(secret, token.encode(), getattr(hashlib, f"sha{alg[2:]}")).digest()
    mac = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert refusal(f"{token}.{mac}") == "unsupported_algorithm"


def test_a_secret_key_in_the_key_set_is_passed_over() -> None:
    secret = OctKey.generate_key(256, {"kid": "secret"})
    body = {"keys": [secret.as_dict(private=True), KEY.as_dict(private=False)]}
    keys = read_keys(json.dumps(body).encode())
    assert keys is not None
    assert [key.kid for key in keys] == ["ec"]
    token = jwt.encode({"alg": "HS256", "kid": "secret"}, right(), secret)
    assert refusal(token, keys) == "unsupported_algorithm"


def test_another_key_under_the_same_name_proves_nothing() -> None:
    assert refusal(signed(right(), new_key("ec"))) == "bad_signature"


def test_a_key_for_another_kind_of_signature_proves_nothing() -> None:
    for_rsa = signed(right(), RSA, "RS256", kid="ec")
    assert refusal(for_rsa) == "invalid_key_type"
    only_ps256 = RSAKey.import_key({**RSA.as_dict(private=True), "alg": "PS256"})
    with pytest.raises(KeyUnknown):
        read(signed(right(), RSA, "RS256"), published(only_ps256))


def test_a_key_for_encryption_does_not_sign() -> None:
    key = ECKey.generate_key("P-256", {"use": "enc", "kid": "enc"})
    assert read_keys(json.dumps(jwk_set([key])).encode()) is None
    assert published(key, KEY).keys == published(KEY).keys


def test_a_name_that_is_not_there_may_be_that_of_a_newer_key() -> None:
    with pytest.raises(KeyUnknown):
        read(signed(right(), new_key("newer")))


def test_without_a_name_there_must_be_one_key_alone() -> None:
    token = jwt.encode({"alg": "ES256"}, right(), KEY)
    assert read(token, published(KEY))
    with pytest.raises(KeyUnknown):
        read(token)


def test_a_header_of_the_providers_own_is_ignored_unless_it_is_critical() -> None:
    assert read(signed(right(), x_own="1"))
    token = unsigned({"alg": "ES256", "kid": "ec", "crit": ["x_own"], "x_own": 1}, right())
    assert refusal(f"{token}.AAAA") == "unsupported_header"


def test_a_key_that_the_token_brings_along_is_not_used() -> None:
    own = new_key("ec")
    token = signed(right(), own, jwk=own.as_dict(private=False))
    assert refusal(token) == "bad_signature"
    elsewhere = "https://evil.example/keys"
    assert refusal(signed(right(), own, jku=elsewhere, x5u=elsewhere)) == "bad_signature"


def test_certificates_beside_the_name_of_the_key_are_passed_over() -> None:
    assert read(signed(right(), x5c=["A" * 2000, "B" * 2000]))
    assert refusal(signed(right(), x5c=["A" * 20_000])) == "exceeded_size"


def test_somebody_may_be_in_very_many_groups() -> None:
    groups = [f"{number:08}-0000-0000-0000-000000000000" for number in range(1000)]
    assert read(signed(right(groups=groups)))["groups"] == groups


# Claims


@every(
    ("claim", "value", "reason"),
    [
        ("iss", None, "missing_claim iss"),
        ("iss", "", "invalid_claim iss"),
        ("iss", ISSUER + "/", "invalid_claim iss"),
        ("iss", ISSUER.upper(), "invalid_claim iss"),
        ("iss", [ISSUER], "invalid_claim iss"),
        ("aud", None, "missing_claim aud"),
        ("aud", "", "invalid_claim aud"),
        ("aud", "other", "invalid_claim aud"),
        ("aud", [], "invalid_claim aud"),
        ("aud", ["other"], "invalid_claim aud"),
        ("aud", {"client": 1}, "invalid_claim aud"),
        ("aud", [CLIENT, 1], "invalid_claim aud"),
        ("aud", [CLIENT, "other"], "azp"),
        ("azp", "other", "azp"),
        ("azp", "", "azp"),
        ("azp", [CLIENT], "azp"),
        ("sub", None, "missing_claim sub"),
        ("sub", "", "invalid_claim sub"),
        ("sub", 5, "invalid_claim sub"),
        ("exp", None, "missing_claim exp"),
        ("exp", 0, "expired_token exp"),
        ("exp", "soon", "invalid_claim exp"),
        ("exp", True, "invalid_claim exp"),
        ("exp", float("nan"), "invalid_claim exp"),
        ("exp", float("inf"), "invalid_claim exp"),
        ("iat", None, "missing_claim iat"),
        ("iat", "now", "invalid_claim iat"),
        ("iat", 10**400, "invalid_claim iat"),
        ("nbf", 10**10, "invalid_claim nbf"),
        ("nbf", "then", "invalid_claim nbf"),
        ("nonce", None, "nonce"),
        ("nonce", "", "nonce"),
        ("nonce", NONCE + "x", "nonce"),
        ("nonce", NONCE.upper(), "nonce"),
        ("nonce", [NONCE], "nonce"),
        ("nonce", "é\ud800", "nonce"),
    ],
)
def test_a_claim_that_is_wrong_or_missing_refuses_the_token(
    claim: str, value: object, reason: str
) -> None:
    if value is None or claim != "nonce" or not isinstance(value, str) or value.isascii():
        assert refusal(signed(right(**{claim: value}))) == reason
        return
    payload = json.dumps(right(nonce=value)).encode()  # a lone surrogate, as JSON escapes it
    assert refusal(jws.serialize_compact({"alg": "ES256", "kid": "ec"}, payload, KEY)) == reason


def test_clocks_may_be_a_minute_apart_and_no_more() -> None:
    assert read(signed(right(exp=NOW - 59, iat=NOW + 60, nbf=NOW + 60)))
    assert refusal(signed(right(exp=NOW - 60))) == "expired_token exp"
    assert refusal(signed(right(iat=NOW + 61))) == "invalid_claim iat"
    assert refusal(signed(right(nbf=NOW + 61))) == "invalid_claim nbf"


def test_several_audiences_are_fine_where_it_was_made_for_us() -> None:
    assert read(signed(right(aud=[CLIENT, "other"], azp=CLIENT)))
    assert read(signed(right(aud=[CLIENT])))


# Nonsense


def test_a_token_that_was_bent_is_refused_and_never_breaks_anything() -> None:
    rng, token = random.Random(5), signed(right())  # noqa: S311
    head = token[: token.rindex(".")]
    for _ in range(3000):
        bent = list(head)
        for _ in range(rng.randint(1, 3)):
            place, character = rng.randrange(len(bent)), rng.choice("AZaz09-_.=+/{}\0é\ud800")
            bent[place : place + rng.randint(0, 1)] = [character]
        if "".join(bent) != head:
            assert refusal("".join(bent) + token[len(head) :])


@every(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "a.b.c.d.e",
        "{}",
        "x" * 300_000,
        unsigned({"alg": ["ES256"]}, {}) + ".AAAA",
        unsigned({"alg": {}, "kid": 5}, {}) + ".AAAA",
        unsigned({"kid": "ec"}, {}) + ".AAAA",
        unsigned({"alg": "ES256", "kid": "ec", "crit": ["b64"], "b64": False}, {}) + ".AAAA",
    ],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refusal(token)


@every("payload", [b"[]", b"5", b"", b"\xff", b"[" * 45_000, b"9" * 5000])
def test_what_is_no_set_of_claims_is_refused_though_it_is_signed(payload: bytes) -> None:
    token = jws.serialize_compact({"alg": "ES256", "kid": "ec"}, payload, KEY)
    assert refusal(token) in ("invalid_payload", "malformed")


@every(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [5, null, "x", []]}',
        b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
        b'{"keys": [{"kty": ["RSA"]}]}',
        b'{"keys": [{"kty": "RSA", "n": 5, "e": "AQAB"}]}',
        b'{"keys": [{"kty": "RSA", "n": "AQ", "e": "AQAB"}]}',
        b'{"keys": [{"kty": "RSA", "use": "other", "key_ops": ["verify"], "n": "A", "e": "A"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-0", "x": "AA", "y": "AA"}]}',
        b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "!"}]}',
        b"[" * 100_000,
    ],
)
def test_a_key_set_without_a_usable_key_is_none(body: bytes) -> None:
    assert read_keys(body) is None


def test_a_key_that_is_too_short_is_passed_over() -> None:
    with pytest.warns(SecurityWarning):
        short = RSAKey.generate_key(1024, auto_kid=True)
    assert published(KEY, short).keys == published(KEY).keys


# Identity


def identity(**claims: Any) -> Identity:
    return read_identity({"sub": "carol", **claims}, "sub", "groups", NOW)


@every(
    ("groups", "expected"),
    [
        (["support", "all"], ("support", "all")),
        ("support", ("support",)),
        ([], ()),
        (None, ()),
        ("", ()),
        (5, ()),
        (True, ()),
        ({"support": True}, ()),
        ([["support"]], ()),
        ([None, 5, "", "support", {}], ("support",)),
    ],
)
def test_groups_are_a_name_or_a_list_of_names(groups: object, expected: tuple[str, ...]) -> None:
    assert identity(groups=groups).groups == expected


def test_a_claim_may_lie_deeper_or_have_dots_in_its_name() -> None:
    deep = {"realm_access": {"roles": ["support"]}, "https://acme.example/id": "U1"}
    found = read_identity(deep, "https://acme.example/id", "realm_access.roles", NOW)
    assert (found.user, found.groups) == ("U1", ("support",))


@every("user", [None, "", 5, True, ["carol"], {"a": 1}, "x" * 256, "a\nb", "a\0", "\ud800"])
def test_what_is_no_user_id_signs_nobody_in(user: object) -> None:
    with pytest.raises(IdTokenRefused, match="user_claim"):
        read_identity({"id": user}, "id", "groups", NOW)


def test_the_time_of_the_sign_in_is_the_providers_where_it_says_one() -> None:
    assert identity(auth_time=1000).signed_in_at == 1000
    assert identity(auth_time=1000.5).signed_in_at == 1000.5
    assert identity().signed_in_at == NOW
    assert identity(auth_time=NOW + 30).signed_in_at == NOW


@every("auth_time", [True, "1000", -1, 10**400, float("nan"), float("inf"), [1000], 10**11])
def test_a_time_that_cannot_be_is_refused(auth_time: object) -> None:
    with pytest.raises(IdTokenRefused, match="auth_time"):
        identity(auth_time=auth_time)
