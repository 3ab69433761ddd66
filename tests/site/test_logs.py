"""Logs: one line per event, and no secret on any of them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.logging_restored import everything_put_back
from webui.logs import configure_logs, tell_request
from webui.oauth_manager.errors import OAuthMisconfigured, OAuthNotConnected, StoreUnavailable
from webui.routes import routes

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The stream of the log, at DEBUG and as JSON; all global settings are put back."""
    with everything_put_back():
        written = io.StringIO()
        configure_logs("debug", as_json=True, stream=written)
        yield written


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def timeless(line: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "now", line)


class TestOurEvents:
    def test_are_one_json_object_with_time_level_and_logger(self, lines: Lines) -> None:
        structlog.get_logger("webui.access").info("request", status=200, ms=1.5, ok=True)
        (line,) = lines()
        assert line.pop("timestamp").endswith("Z")
        assert line == {
            "event": "request",
            "level": "info",
            "logger": "webui.access",
            "status": 200,
            "ms": 1.5,
            "ok": True,
        }

    def test_of_requests_are_what_any_event_with_their_facts_is(self, stream: io.StringIO) -> None:
        for as_json in (True, False):
            configure_logs("info", as_json=as_json, stream=stream)
            for route in [*(route.path for route in routes()), "unmatched"]:
                facts = {"method": "GET", "route": route, "status": 200, "ms": 1.5}
                stream.seek(0)
                stream.truncate()
                with structlog.contextvars.bound_contextvars(request_id="r1"):
                    structlog.get_logger("webui.access").info("request", **facts)
                    tell_request(**facts, request_id="r1")
                plain, told = (timeless(line) for line in stream.getvalue().splitlines())
                assert json.loads(told) == json.loads(plain) if as_json else told == plain

    def test_of_requests_are_written_at_their_level_alone(self, stream: io.StringIO) -> None:
        configure_logs("warning", as_json=True, stream=stream)
        tell_request(status=200)
        assert stream.getvalue() == ""

    def test_of_the_standard_library_look_the_same(self, lines: Lines) -> None:
        logging.getLogger("webui.oauth_manager").info("kept %s", "github", extra={"user": "ann"})
        (line,) = lines()
        assert (line["event"], line["user"], line["level"]) == ("kept github", "ann", "info")

    def test_carry_the_request_id(self, lines: Lines) -> None:
        with structlog.contextvars.bound_contextvars(request_id="r1"):
            structlog.get_logger("webui").info("one")
            logging.getLogger("webui").info("two")
            logging.getLogger("redis").warning("three")
        assert [line["request_id"] for line in lines()] == ["r1"] * 3

    def test_below_the_level_are_not_written(self, stream: io.StringIO) -> None:
        configure_logs("warning", as_json=True, stream=stream)
        structlog.get_logger("webui.access").info("request")
        logging.getLogger("webui.oauth_manager").info("kept")
        assert stream.getvalue() == ""

    def test_on_a_terminal_are_one_line_too(self, stream: io.StringIO) -> None:
        configure_logs("info", as_json=False, stream=stream)
        try:
            raise KeyError("canary")
        except KeyError:
            structlog.get_logger("webui").exception("broken", user="a\nlevel=info b")
        (line,) = stream.getvalue().splitlines()
        assert 'error broken user="a\\\\nlevel=info b" logger="webui" error=KeyError < ' in line
        assert "canary" not in line


class TestSecrets:
    @pytest.mark.parametrize(
        "name",
        [
            "access_token",
            "refresh-token",
            "client_secret",
            "code",
            "state",
            "code_verifier",
            "cookie",
            "Authorization",
            "encryption_key",
            "session",
            "password",
            "link_code",
            "connect_url",
        ],
    )
    def test_are_masked_by_their_name(self, lines: Lines, name: str) -> None:
        structlog.get_logger("webui").info("event", **{name: "canary"})
        logging.getLogger("webui.x").info("event", extra={name: "canary"})
        assert [line[name] for line in lines()] == ["***", "***"]

    def test_error_codes_are_no_secrets(self, lines: Lines) -> None:
        structlog.get_logger("webui").info("event", error_code="invalid_grant", status_code=400)
        (line,) = lines()
        assert (line["error_code"], line["status_code"]) == ("invalid_grant", 400)

    def test_inside_of_objects_are_not_shown(self, lines: Lines) -> None:
        class Holder:
            def __repr__(self) -> str:
                return "canary"

        values = {"a": Holder(), "b": {"x": "canary"}, "c": b"canary", "d": [Holder(), "ok"]}
        structlog.get_logger("webui").info("event", **values)
        (line,) = lines()
        assert (line["a"], line["b"], line["c"]) == ("Holder", "dict", "bytes")
        assert line["d"] == ["Holder", "ok"]

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("GET /oauth/github/callback?code=canary&state=x done", "/callback?*** done"),
            ("redis://:canary@redis.test:6379", "redis://***@redis.test:6379"),
            ("rediss://user:canary@redis.test", "rediss://***@redis.test"),
        ],
    )
    def test_in_addresses_are_masked(self, lines: Lines, text: str, shown: str) -> None:
        structlog.get_logger("webui").info("event", where=text)
        logging.getLogger("webui").info("event %s", text)
        for line in lines():
            assert shown in str(line)
            assert "canary" not in str(line)


class TestLibraries:
    @pytest.mark.parametrize(
        "name", ["httpx", "httpcore", "redis", "uvicorn.error", "asyncio", "multipart", "webuix"]
    )
    def test_are_capped_at_warning_whatever_their_own_level(
        self, stream: io.StringIO, name: str
    ) -> None:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        try:
            logger.debug("canary")
            logger.info("canary")
        finally:
            logger.setLevel(logging.NOTSET)
        assert stream.getvalue() == ""

    @pytest.mark.parametrize(
        ("message", "arguments", "event"),
        [
            ("Invalid HTTP request received.", (), "Invalid HTTP request received"),
            ("Retry %s", ("canary",), "Retry"),
            ("Key " + "canary" * 4, (), "Key"),
            ("sent {'code': 'canary'}", (), "sent"),
            ("'canary'", (), "message withheld"),
            (ValueError("canary"), (), "message withheld"),
            ("Task exception was never retrieved\nfuture: <canary>", (), None),
        ],
    )
    def test_say_only_the_words_before_the_first_value(
        self, lines: Lines, message: object, arguments: tuple[str, ...], event: str | None
    ) -> None:
        logging.getLogger("library").warning(message, *arguments, extra={"more": "canary"})
        for line in lines():
            assert line["event"] == (event or "Task exception was never retrieved")
            assert line["where"].startswith("test_logs.py:")
            assert "canary" not in str(line)

    def test_a_lost_task_does_not_tell_what_went_wrong_in_words(self, lines: Lines) -> None:
        async def lose_a_task() -> None:
            async def fail() -> None:
                raise ValueError("canary")

            task = asyncio.create_task(fail(), name="canary")
            await asyncio.sleep(0)
            del task

        asyncio.run(lose_a_task())
        (line,) = lines()
        assert line["logger"] == "asyncio"
        assert line["error"][0] == "ValueError"
        assert "canary" not in str(line)


class TestExceptions:
    def story(self, lines: Lines, error: BaseException) -> list[str]:
        logging.getLogger("webui").error("broken", exc_info=error)
        (line,) = lines()
        assert "canary" not in str(line)
        found = line["error"]
        assert isinstance(found, list)
        return found

    def test_of_others_are_type_and_places_without_words_or_values(self, lines: Lines) -> None:
        local = "canary"
        with pytest.raises(ValueError, match="canary") as caught:
            int(local)
        kind, place = self.story(lines, caught.value)
        assert kind == "ValueError"
        path, line, function = place.split(":")
        assert path.endswith("tests/site/test_logs.py")
        assert line.isdigit()
        assert function == "test_of_others_are_type_and_places_without_words_or_values"

    def test_of_ours_say_what_they_say(self, lines: Lines) -> None:
        (told,) = self.story(lines, StoreUnavailable("load session", "TimeoutError"))
        assert "load session failed: Redis is not available (TimeoutError)" in told
        assert told.startswith("StoreUnavailable(")

    def test_of_ours_with_a_link_hide_it(self, lines: Lines) -> None:
        link = "https://connect.test/connect/canary"
        told = self.story(lines, OAuthNotConnected("github", link))
        assert told == ["OAuthNotConnected(provider='github')"]

    def test_tell_their_causes_in_the_same_way(self, lines: Lines) -> None:
        try:
            try:
                raise KeyError("canary")
            except KeyError as cause:
                raise OAuthMisconfigured("github", "exchange", "invalid_client") from cause
        except OAuthMisconfigured as error:
            told = self.story(lines, error)
        assert told[0].startswith("OAuthMisconfigured(")
        assert "KeyError" in told

    def test_in_groups_are_all_told(self, lines: Lines) -> None:
        group = ExceptionGroup("canary", [ValueError("canary"), OSError(98, "canary")])
        told = self.story(lines, group)
        assert told == ["ExceptionGroup", "OSError(EADDRINUSE)", "ValueError"]

    def test_that_cause_each_other_end(self, lines: Lines) -> None:
        first, second = ValueError("canary"), KeyError("canary")
        first.__cause__, second.__cause__ = second, first
        assert self.story(lines, first) == ["ValueError", "KeyError"]

    def test_of_deep_calls_keep_the_innermost_places(self, lines: Lines) -> None:
        def dive(depth: int) -> None:
            if depth == 0:
                raise ValueError("canary")
            dive(depth - 1)

        with pytest.raises(ValueError, match="canary") as caught:
            dive(100)
        assert len(self.story(lines, caught.value)) < 20

    def test_nobody_catches_are_logged_and_not_printed(
        self, lines: Lines, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error = ValueError("canary")
        sys.excepthook(ValueError, error, None)
        (line,) = lines()
        assert (line["event"], line["error"]) == ("uncaught error", ["ValueError"])
        assert "canary" not in capsys.readouterr().err


HOSTILE = st.text(st.characters(codec=None), max_size=60)


@given(HOSTILE, HOSTILE)
def test_whatever_is_in_it_an_event_is_one_line_of_printable_text(event: str, value: str) -> None:
    for as_json in (True, False):
        written = io.StringIO()
        with everything_put_back():
            configure_logs("info", as_json=as_json, stream=written)
            structlog.get_logger("webui").info(event, value=value)
            logging.getLogger("webui").info("%s", event, extra={"value": value})
        text = written.getvalue()
        assert text.count("\n") == 2
        assert text.replace("\n", "").isprintable()
