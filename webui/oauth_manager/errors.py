"""One tree of errors; callers that do not care which may catch the root.

    OAuthError
    ├── OAuthNotConnected      the person has to connect (or reconnect, or allow more)
    │   └── OAuthAmbiguous     the person has to say which of several accounts is meant
    ├── OAuthUnavailable       the provider is in trouble: nothing is lost, try again later
    │   └── StoreUnavailable   Redis is in trouble: likewise
    ├── OAuthMisconfigured     the operator has to look: a wrong set-up, or an answer not understood
    ├── OAuthRefused           the provider refused this code or grant, for good
    ├── HostRefused            a client's request to a host that the provider's tokens do not go to
    ├── FlowRefused            a callback or link that must not go on (see ``reason``)
    └── RecordUnreadable       a stored record that cannot be opened; it is kept as it is
        └── RecordNewer        written by a newer version of this program

No message holds a secret or a provider's own text; ``code`` is an error code of RFC
6749 or the like, bounded and of a plain alphabet.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Meaning(StrEnum):
    """A refusal's meaning: for the grant, and for the one who can act on it."""

    GONE = "gone"  # the code or the grant is over
    AGAIN = "again"  # over until the person signs in or agrees once more
    MOVED = "moved"  # it was issued to another client id than the one set up now
    ADMIN = "admin"  # an administrator of the person's organisation has to allow it
    DENIED = "denied"  # the person said no
    VERIFY = "verify"  # the person has to verify address or account there first
    OTHER_ACCOUNT = "other_account"  # not with this account of theirs
    OTHER_BROWSER = "other_browser"  # not in this kind of browser
    SETUP = "setup"  # client id, secret, address, scope or request: the operator's
    TROUBLE = "trouble"  # the provider's own, for now
    UNKNOWN = "unknown"  # refused with an unknown error

    @property
    def outcome(self) -> str:
        """Return the outcome of connecting: ``failed``, or a word of its own that a card knows."""
        return _OUTCOMES.get(self, "failed")


_OUTCOMES = {
    Meaning.ADMIN: "needs_admin",
    Meaning.DENIED: "denied",
    Meaning.VERIFY: "verify",
    Meaning.OTHER_ACCOUNT: "other_account",
    Meaning.OTHER_BROWSER: "other_browser",
    Meaning.SETUP: "misconfigured",
    Meaning.TROUBLE: "provider_trouble",
    Meaning.UNKNOWN: "not_understood",
}


class OAuthError(Exception):
    """Root of every error that this library raises on purpose."""

    @property
    def for_model(self) -> str:
        """Return the message for a model that called the tool: it holds no link."""
        return str(self)

    @property
    def outcome(self) -> str:
        """Return the error in one word: ``failed``, or one that a card, notice or chat knows."""
        return "failed"


class OAuthNotConnected(OAuthError):
    """A tool needs access that the person has not given; ``connect_url`` asks for it.

    ``missing_scopes`` names the missing permissions if the service is connected, but with too few;
    ``account`` is the name of the account that was asked for, if one was.
    """

    def __init__(
        self,
        provider: str,
        connect_url: str,
        missing_scopes: tuple[str, ...] = (),
        *,
        account: str | None = None,
    ) -> None:
        self.provider = provider
        self.connect_url = connect_url
        self.missing_scopes = missing_scopes
        self.account = account
        lacking = f" with these permissions: {' '.join(missing_scopes)}" if missing_scopes else ""
        named = f"{provider} ({account})" if account else provider
        self._fact = f"{named} is not connected{lacking}."
        super().__init__(f"{self._fact} Open this link to connect it: {connect_url}")

    @property
    def for_model(self) -> str:
        return f"{self._fact} The person connects it by a link, which is for them alone."

    def __repr__(self) -> str:
        # The link is a one-time capability: it is for the person, not for a log.
        return f"OAuthNotConnected(provider={self.provider!r})"


class OAuthAmbiguous(OAuthNotConnected):
    """A tool named no account, and the person has, or has had, several; nothing is guessed.

    ``accounts`` are the names of those that are there.  The message is a question that the
    person can answer; ``connect_url`` is their connections page.
    """

    def __init__(
        self, provider: str, connect_url: str, accounts: Sequence[str], label: str = ""
    ) -> None:
        super().__init__(provider, connect_url)
        self.accounts = list(accounts)
        *others, last = self.accounts or [""]
        several = f"{', '.join(others)} or {last}" if others else last
        self._fact = f"Which {label or provider}: {several}?"
        self.args = (self._fact,)

    @property
    def for_model(self) -> str:
        return f"{self._fact} Ask the person, and pass their answer as the account."

    def __repr__(self) -> str:
        return f"OAuthAmbiguous(provider={self.provider!r}, accounts={self.accounts!r})"


class ProviderFailure(OAuthError, RuntimeError):
    """Shared shape of the failures of a call to a provider.

    ``RuntimeError`` because the specification promises it of ``exchange_code``.
    """

    what = "failed"
    meaning = Meaning.GONE

    def __init__(
        self,
        provider: str,
        step: str,
        code: str = "",
        trace: str = "",
        *,
        meaning: Meaning | None = None,
    ) -> None:
        self.provider = provider
        self.step = step
        self.code = code
        self.trace = trace
        self.meaning = meaning or self.meaning
        super().__init__(f"{provider}: {step} {self.what}" + (f" ({code})" if code else ""))

    @property
    def outcome(self) -> str:
        return self.meaning.outcome


class OAuthUnavailable(ProviderFailure):
    """Timeouts, 429, 5xx, nonsense, refusals in unknown words.  All records are kept.

    Retry later.  ``may_reconnect``: renewing has been refused for so long that connecting
    again is worth a try; then the message says so.
    """

    what = "got no usable answer"
    meaning = Meaning.TROUBLE
    retry_after = 0.0  # seconds, if the provider asked for a pause
    may_reconnect = False

    @property
    def outcome(self) -> str:
        # Its meaning may be unknown: even so a retry can bring another answer.
        return "stuck" if self.may_reconnect else Meaning.TROUBLE.outcome

    def __str__(self) -> str:
        more = "; it has refused for over an hour, so connecting again may help"
        return super().__str__() + (more if self.may_reconnect else "")


class StoreUnavailable(OAuthUnavailable):
    """Redis did not answer, or refused.  ``step`` names the operation."""

    what = "failed: Redis is not available"

    def __init__(self, step: str, code: str = "") -> None:
        super().__init__("store", step, code)

    @property
    def outcome(self) -> str:
        return "store_away"


class OAuthMisconfigured(ProviderFailure):
    """``invalid_client`` and the like: a client id, secret, address or scope is wrong.

    Also an answer that holds no token for us and is no refusal we know (``meaning`` is
    ``UNKNOWN``): a retry brings the same, so the operator has to look at it.
    """

    what = "was refused because of this installation's settings"
    meaning = Meaning.SETUP


class OAuthRefused(ProviderFailure):
    """``invalid_grant`` and the like: this code or this grant is over."""

    what = "was refused"


class FlowRefused(OAuthError):
    """A callback or link that must not go on; nothing was sent and nothing stored.

    ``reason`` is one of ``unknown`` (never issued here, already used, replaced
    or run out: these look alike on purpose), ``other_browser``,
    ``other_person``, ``other_provider``, ``malformed``, ``issuer``, ``cancelled``,
    ``unnamed`` (it began in no browser, and whose account it is cannot be asked).
    """

    def __init__(self, reason: str, provider: str = "") -> None:
        self.reason = reason
        self.provider = provider
        super().__init__(f"flow refused: {reason}")

    @property
    def outcome(self) -> str:
        known = {"issuer": "failed", "unnamed": "start_here", "too_many": "too_many"}
        return known.get(self.reason, "attempt_over")


class HostRefused(OAuthError):
    """A request of a client's to a host that is none of the provider's ``api_hosts``.

    Nothing was sent.  ``place`` is its scheme and host.
    """

    def __init__(self, provider: str, place: str, api_hosts: tuple[str, ...]) -> None:
        self.provider = provider
        self.place = place
        known = f"they go to {', '.join(api_hosts)}" if api_hosts else "its api_hosts are not set"
        super().__init__(f"{provider}: tokens do not go to {place}; {known}")


class RecordUnreadable(OAuthError):
    """Wrong key, damaged, foreign or mistyped.  Never deleted, never half used."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"record cannot be read: {reason}")


class RecordNewer(RecordUnreadable):
    """A record whose version this program does not know: it may not replace it either."""

    def __init__(self) -> None:
        super().__init__("a newer version of this program wrote it; upgrade this one")
