"""``webui logs --explain``: every code that this program writes is explained."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from webui.cli import main
from webui.commands.logs import KINDS, read_codes
from webui.oauth_manager import Meaning
from webui.oauth_manager.protocol import steps
from webui.oauth_manager.protocol.network_faults import fault_of
from webui.oauth_manager.protocol.transport import Transport, _coarse
from webui.oauth_manager.storage import Fit
from webui.text import words

WEBUI = Path(__file__).parents[2] / "webui"
CODES = read_codes()
PRODUCT = [path for path in WEBUI.rglob("*.py") if "sandbox" not in path.parts]


def calls(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Every call in a file: the function as it is written, and the texts that it is given."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            given = [a.value for a in node.args if isinstance(a, ast.Constant)]
            yield ast.unparse(node.func), [text for text in given if isinstance(text, str)]


def test_every_meaning_of_a_refusal_is_explained() -> None:
    assert set(CODES["meaning"]) == {meaning.value for meaning in Meaning}


def test_every_outcome_of_a_step_is_explained() -> None:
    outcomes = {outcome for outcomes in steps.OUTCOMES.values() for outcome in outcomes}
    assert set(CODES["outcome"]) == outcomes
    assert set(CODES["wait"]) == {*steps.LOCK_OUTCOMES, *steps.SAVED_BY}


def test_every_outcome_of_a_call_is_explained() -> None:
    named = set(re.findall(r"``(\w+)``", Transport.send.__doc__ or "")) - {"SSL_CERT_FILE"}
    named -= {"OAuthUnavailable"}
    named |= {_coarse(word) for word in re.findall(r"``(\w+)``", fault_of.__doc__ or "")}
    answers = {steps.answer_class(status) for status in range(100, 600)}
    assert set(CODES["call"]) - {"http_STATUS", "not_set_up"} == {*named, *answers, "cancelled"}


def test_every_reason_to_refuse_a_callback_is_explained() -> None:
    reasons = {
        texts[0]
        for path in PRODUCT
        for function, texts in calls(path)
        if function.endswith("FlowRefused") and texts
    }
    assert set(CODES["refusal"]) >= reasons
    assert len(reasons) > 5


def test_every_fault_of_a_server_that_is_found_is_explained() -> None:
    named = {
        texts[-1]
        for path in PRODUCT
        for function, texts in calls(path)
        if function.endswith(("OAuthMisconfigured", "OAuthUnavailable")) and texts
        if "oauth_manager" in path.parts and ("STEP" in path.read_text() or "register" in texts)
    }
    assert set(CODES["discovery"]) | set(CODES["call"]) >= named - {"register"}
    assert len(named) > 8


def test_every_kind_of_a_reference_is_explained() -> None:
    catalogue = (WEBUI / "text" / "words" / "en.toml").read_text()
    pages = re.findall(r"^\[error\.(\w+)\]", catalogue, re.M)
    ends = re.findall(r"^\[ended\.connecting\.(\w+)\]", catalogue, re.M)
    # Pages with a status below 500 have none, but for the sign-on's.
    small = {"400", "403", "404", "408", "410", "413", "429", "stale", "unsaid", "unanswered"}
    kinds = {*pages, *ends, *(meaning.outcome for meaning in Meaning)} - small
    kinds |= {
        text
        for path in PRODUCT
        for function, texts in calls(path)
        for text in texts[:1]
        if function == "refer"
    }
    assert set(CODES["reference"]) >= kinds
    assert words  # the catalogue is the one that is used


def test_every_fit_of_the_keys_is_explained() -> None:
    assert set(CODES["keys"]) == {fit.value for fit in Fit}


def test_every_event_of_the_log_is_explained() -> None:
    told = re.compile(r"(_?log|logging\.getLogger\('webui'\))\.(debug|info|warning|error|critical)")
    events = {
        texts[0]
        for path in PRODUCT
        if re.search(r"^import structlog|logging\.getLogger\(.webui.\)", path.read_text(), re.M)
        for function, texts in calls(path)
        if told.fullmatch(function) and texts and "%" not in texts[0]
    }
    assert set(CODES["event"]) >= events | {"oauth", "started", "stopped", "request"}
    assert len(events) > 5


@pytest.mark.parametrize("kind", CODES)
def test_every_explanation_is_two_sentences_or_more(kind: str) -> None:
    assert kind in KINDS
    for code, (what, cure) in CODES[kind].items():
        assert what.endswith("."), code
        assert cure.endswith("."), code


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("renewed", "renewed: outcome of a step of OAuth"),
        ("http_503", "http_503: outcome of one request to a provider"),
        (" worker ended ", "worker ended: event of the log"),
    ],
)
def test_the_command_says_what_it_means_and_what_to_do(code: str, said: str) -> None:
    done = CliRunner().invoke(main, ["logs", "--explain", code])
    assert done.exit_code == 0
    first, what, cure = done.output.splitlines()
    assert first == said
    assert what.startswith("  ")
    assert cure.startswith("  To do: ")


def test_a_code_of_several_kinds_is_explained_for_each() -> None:
    done = CliRunner().invoke(main, ["logs", "--explain", "refused"])
    assert [line for line in done.output.splitlines() if line.startswith("refused: ")] == [
        "refused: outcome of a step of OAuth",
        "refused: outcome of one request to a provider",
    ]


def test_any_other_word_ends_with_1_and_leads_to_the_providers_codes() -> None:
    done = CliRunner().invoke(main, ["logs", "--explain", "no_such_code"])
    assert done.exit_code == 1
    assert "docs/errors.md" in done.output
