"""House rules: who may import what, where a dangerous thing is done, how long a piece may be."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import webui.oauth_manager as oauth_manager
from webui.oauth_manager import OAuthError, errors

ROOT = Path(__file__).parents[2]
WEBUI = ROOT / "webui"
LIBRARY = WEBUI / "oauth_manager"
SANDBOX = WEBUI / "sandbox"  # the demo's stand-ins are not the product

LONGEST_FUNCTION = 45  # lines, docstring included
LONGEST_MODULE = 260


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def product() -> list[Path]:
    return [path for path in modules(WEBUI) if SANDBOX not in path.parents]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module imported anywhere in the file, by its absolute name."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def importers(package: str) -> set[str]:
    return {
        name_of(path)
        for path in product()
        if any(name == package or name.startswith(package + ".") for name in imports(path))
    }


@cache
def strings(path: Path) -> frozenset[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    constants = (node.value for node in nodes if isinstance(node, ast.Constant))
    return frozenset(value for value in constants if isinstance(value, str))


@cache
def started() -> frozenset[str]:
    """Every module that a start of the site has imported when it begins to listen."""
    script = "import sys, webui.app, webui.cli, webui.serving.server; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True)
    return frozenset(run.stdout.decode().split())


def calls(path: Path) -> set[str]:
    """Every function called in the file, as it is written there."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}


def docstrings(path: Path) -> set[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))
    return {doc for node in nodes if (doc := ast.get_docstring(node, clean=False))}


class TestThePublicFace:
    def test_all_is_sorted_and_names_everything_that_is_imported_there(self) -> None:
        tree = ast.parse((LIBRARY / "__init__.py").read_text())
        imported = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert set(oauth_manager.__all__) == imported
        assert len(set(oauth_manager.__all__)) == len(oauth_manager.__all__)

    def test_nothing_private_is_public(self) -> None:
        assert not [name for name in oauth_manager.__all__ if name.startswith("_")]

    def test_every_public_class_and_function_lives_in_the_library_and_says_what_it_is(self) -> None:
        for name in oauth_manager.__all__:
            thing = getattr(oauth_manager, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                assert thing.__module__.startswith("webui.oauth_manager."), name
                assert inspect.getdoc(thing), name

    def test_every_error_a_caller_may_meet_is_public(self) -> None:
        raised = {
            name
            for name, thing in vars(errors).items()
            if inspect.isclass(thing) and issubclass(thing, OAuthError)
        }
        assert raised - {"ProviderFailure"} <= set(oauth_manager.__all__)

    def test_the_tree_in_the_docstring_is_the_tree_of_the_errors(self) -> None:
        drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
        assert drawn | {"OAuthError"} == {
            name
            for name, thing in vars(errors).items()
            if inspect.isclass(thing) and issubclass(thing, OAuthError)
        } - {"ProviderFailure"}

    def test_the_library_works_without_the_site(self) -> None:
        script = (
            "import sys, webui.oauth_manager\n"
            "site = {m for m in sys.modules if m.startswith('webui.')"
            " and not m.startswith('webui.oauth_manager')}\n"
            "banned = {'starlette', 'jinja2', 'uvicorn', 'itsdangerous'} & set(sys.modules)\n"
            "raise SystemExit(f'{site} {banned}' if site or banned else 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


class TestOneImporterOfEachDangerousThing:
    def test_httpx(self) -> None:
        assert importers("httpx") == {
            "webui/oauth_manager/blocking/calls.py",
            "webui/oauth_manager/client/api_client.py",
            "webui/oauth_manager/client/blocking_client.py",
            "webui/oauth_manager/client/guard.py",
            "webui/oauth_manager/client/token_auth.py",
            "webui/oauth_manager/protocol/network.py",
            "webui/oauth_manager/protocol/transport.py",
            "webui/testing/fake_connections.py",
        }

    @pytest.mark.parametrize("module", ["aiohttp", "httpx_aiohttp"])
    def test_aiohttp(self, module: str) -> None:
        assert importers(module) == {"webui/oauth_manager/protocol/network.py"}

    @pytest.mark.parametrize(
        "module", ["aiohttp", "joserfc", "prometheus_client", "webui.cards.gallery"]
    )
    def test_no_start_waits_for(self, module: str) -> None:
        assert module not in started()

    def test_cryptography(self) -> None:
        assert importers("cryptography") == {
            "webui/oauth_manager/storage/bulk_cipher.py",
            "webui/oauth_manager/storage/bulk_sealer.py",
            "webui/oauth_manager/storage/sealer.py",
        }

    def test_joserfc(self) -> None:
        assert importers("joserfc") == {
            "webui/oauth_manager/providers/client_keys.py",
            "webui/sign_on/id_token.py",
        }

    def test_packages_of_the_extra_metrics(self) -> None:
        assert importers("opentelemetry") == {
            "webui/metrics/telemetry.py",
            "webui/metrics/traces.py",
        }
        assert importers("prometheus_client") == {
            "webui/metrics/exporter.py",
            "webui/metrics/prometheus.py",
        }

    def test_zlib(self) -> None:
        assert importers("zlib") == {
            "webui/oauth_manager/protocol/transport.py",
            "webui/oauth_manager/storage/packed.py",
            "webui/settings/png.py",
        }

    def test_parsers_of_xml(self) -> None:
        assert importers("xml.parsers.expat") == {"webui/settings/svg_elements.py"}
        assert importers("xml.etree") == set()

    @pytest.mark.parametrize(
        "module", ["pickle", "shelve", "marshal", "requests", "urllib.request"]
    )
    def test_of_some_there_is_none(self, module: str) -> None:
        assert importers(module) == set()

    def test_settings_alone_reads_the_environment(self) -> None:
        readers = {
            name_of(path)
            for path in modules(LIBRARY)
            if re.search(r"\bos\.environ\b|\bgetenv\(", path.read_text())
        }
        assert readers == set()


class TestRedis:
    def test_names_of_keys_stand_in_one_place_for_each_kind(self) -> None:
        holders = {
            name_of(path)
            for path in product()
            if any("stargazer:" in text for text in strings(path) - docstrings(path))
        }
        assert holders <= {
            "webui/oauth_manager/storage/keys.py",
            "webui/sessions/index.py",
            "webui/sessions/record.py",
            "webui/api/service_keys.py",
            "webui/rate_limits.py",
            "webui/incident_codes.py",
            "webui/sign_on/attempts.py",
            "webui/webhooks/queue.py",
        }

    def test_commands_that_walk_all_keys_or_are_not_portable_are_not_used(self) -> None:
        banned = r"\.(keys|hexpire|waitaof|fcall|function_load|flushall|flushdb)\([^)]*\*"
        for path in product():
            assert not re.search(banned, path.read_text()), name_of(path)

    def test_only_rotation_census_erasure_and_the_search_for_a_first_record_walk_the_keys(
        self,
    ) -> None:
        walks = re.compile(r"\.h?scan_iter\(")
        walkers = {name_of(path) for path in product() if walks.search(path.read_text())}
        assert walkers <= {
            "webui/oauth_manager/flows/census.py",
            "webui/oauth_manager/storage/rotation.py",
            "webui/oauth_manager/storage/canary.py",
            "webui/oauth_manager/storage/key_walk.py",
        }

    def test_every_script_touches_one_key(self) -> None:
        for path in product():
            text = path.read_text()
            assert "KEYS[2]" not in text, name_of(path)
            assert not re.search(r"\beval\(\s*\w+,\s*[2-9]", text), name_of(path)


class TestDirections:
    def test_what_is_said_to_be_without_io_has_none(self) -> None:
        pure = ("models", "connection", "storage/keys", "storage/sealer", "providers/provider")
        wire = ("protocol/answers", "protocol/requests", "protocol/callback")
        for name in (*pure, *wire):
            path = LIBRARY / f"{name}.py"
            assert not [
                node
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Await)
            ]
            assert not {"asyncio", "redis", "socket"} & {i.split(".")[0] for i in imports(path)}

    def test_every_module_can_be_imported_alone(self) -> None:
        for module in pkgutil.walk_packages([str(LIBRARY)], "webui.oauth_manager."):
            assert importlib.import_module(module.name)


class TestTime:
    # The clock itself; a property that the specification promises without one; the signals of
    # a process, and a command that a person types: no test turns their clock.
    OWN = (
        "webui/cli.py",
        "webui/oauth_manager/clock.py",
        "webui/oauth_manager/token_data.py",
        "webui/serving/server.py",
        "webui/serving/supervisor.py",
        "webui/serving/workers.py",
    )

    def test_everything_asks_the_one_clock(self) -> None:
        hands = {"time.time", "time.monotonic", "datetime.now", "datetime.datetime.now"}
        assert {name_of(path) for path in product() if calls(path) & hands} == set(self.OWN)

    def test_no_module_takes_a_hand_off_the_clock_to_call_it_otherwise(self) -> None:
        names = {"time.time", "time.monotonic"}
        assert [name_of(path) for path in product() if names & imports(path)] == []


class TestProviders:
    NAMES = ("github", "google", "discord", "microsoft")

    def test_a_providers_name_stands_in_its_own_module_alone(self) -> None:
        """Code that asks which provider it is would have to be found for the next one."""
        for path in modules(LIBRARY):
            if path.parent.name == "providers":
                continue
            spoken = strings(path) - docstrings(path)
            assert not [text for text in spoken if text.lower() in self.NAMES], name_of(path)

    def test_no_code_compares_a_providers_name(self) -> None:
        for path in product():
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare):
                    values = {
                        item.value
                        for item in (node.left, *node.comparators)
                        if isinstance(item, ast.Constant)
                    }
                    assert not values & set(self.NAMES), f"{name_of(path)}:{node.lineno}"


class TestSize:
    def test_no_module_of_the_library_is_too_long(self) -> None:
        long = {
            name_of(path): lines
            for path in modules(LIBRARY)
            if (lines := len(path.read_text().splitlines())) > LONGEST_MODULE
        }
        # The specification's one class: signatures and docstrings, each body a line or two.
        long.pop("webui/oauth_manager/manager.py", None)
        assert long == {}

    def test_no_function_of_the_library_is_too_long(self) -> None:
        long = {}
        for path in modules(LIBRARY):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = (node.end_lineno or 0) - node.lineno + 1
                    if lines > LONGEST_FUNCTION:
                        long[f"{name_of(path)}:{node.name}"] = lines
        assert long == {}


class TestHabits:
    def test_no_module_is_called_after_nothing(self) -> None:
        banned = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
        assert not [name_of(path) for path in product() if path.stem in banned]

    def test_nothing_catches_every_exception(self) -> None:
        for path in modules(LIBRARY):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ExceptHandler):
                    caught = ast.unparse(node.type) if node.type else ""
                    assert caught not in ("", "Exception", "BaseException"), name_of(path)

    def test_nothing_of_the_library_logs_a_traceback(self) -> None:
        """A traceback shows what a cause was called with."""
        for path in modules(LIBRARY):
            assert not re.search(r"exc_info|log\.exception|traceback", path.read_text())
