"""Recipes of docs/moving-in.md: each exporter over a database of its system, then the import.

``REQUIRE_MOVING_IN=1`` installs django-allauth and Better Auth (if npm is there) and fetches Open
WebUI, and runs their migrations; without it, and for Nango, there are tables of the columns that
they publish.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.kit.library import KEY
from tests.site.test_import import look
from tests.site.test_import import run as imported
from webui.oauth_manager import OAuthManager

ROOT = Path(__file__).parents[2]
RECIPES = (ROOT / "docs" / "moving-in.md").read_text()
FOREIGN = ROOT / ".venv-moving"
ENDS = 4_000_000_000
MOMENT = datetime.fromtimestamp(ENDS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
needs_others = pytest.mark.skipif(
    not os.environ.get("REQUIRE_MOVING_IN"), reason="installs other systems: REQUIRE_MOVING_IN=1"
)


def exported(name: str, *arguments: object, python: Path | None = None, **more: str) -> bytes:
    command = [python or sys.executable, ROOT / "examples" / "exporters" / name, *arguments]
    given = more.pop("stdin", "")
    done = subprocess.run(
        [str(part) for part in command],
        input=given.encode(),
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], **more},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def works(redis_url: str, data: bytes, user: str, provider: str) -> None:
    """The export is imported once, and the token works without a consent."""
    count = len(data.splitlines())
    first = imported(redis_url, data)
    assert (first.exit_code, first.output) == (0, f"{count} stored.\n")
    again = imported(redis_url, data)
    assert (again.exit_code, again.output) == (0, f"{count} were there already.\n")

    async def token(redis: Any) -> Any:
        return await OAuthManager(KEY).valid_token(redis, user, provider)

    held = look(redis_url, token)
    assert (held.access_token, held.refresh_token) == ("old-access", "old-refresh")
    assert held.expires_at == ENDS


def sealed_session(secret: str) -> str:
    """A token as Open WebUI seals it."""
    import hashlib

    key = base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())
    token = {"access_token": "old-access", "refresh_token": "old-refresh", "scope": "openid email"}
    return Fernet(key).encrypt(json.dumps(token).encode()).decode()


def put_session(file: Path) -> None:
    row = ("s1", "7f3c", "google", sealed_session("t0p-secret"), ENDS, 1, 1)
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO oauth_session VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def test_open_webui(empty_redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "webui.db"
    with sqlite3.connect(file) as database:
        database.execute(
            "CREATE TABLE oauth_session (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, "
            "provider TEXT NOT NULL, token TEXT NOT NULL, expires_at BIGINT NOT NULL, "
            "created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)"
        )
    put_session(file)
    data = exported("open_webui.py", file, WEBUI_SECRET_KEY="t0p-secret")
    works(empty_redis_url, data, "7f3c", "google")


def test_better_auth(empty_redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "auth.db"
    with sqlite3.connect(file) as database:
        database.execute(
            "CREATE TABLE account (id TEXT PRIMARY KEY, accountId TEXT NOT NULL, "
            "providerId TEXT NOT NULL, userId TEXT NOT NULL, accessToken TEXT, "
            "refreshToken TEXT, idToken TEXT, accessTokenExpiresAt DATE, "
            "refreshTokenExpiresAt DATE, scope TEXT, password TEXT, createdAt DATE NOT NULL, "
            "updatedAt DATE NOT NULL)"
        )
        own = ("a1", "42", "github", "u9", "old-access", "old-refresh", None, MOMENT, None)
        more = ("read:user,user:email", None, MOMENT, MOMENT)
        database.execute(f"INSERT INTO account VALUES ({', '.join('?' * 13)})", (*own, *more))  # noqa: S608
        by_password = ("a2", "u9", "credential", "u9", *[None] * 6, "hash", MOMENT, MOMENT)
        database.execute(f"INSERT INTO account VALUES ({', '.join('?' * 13)})", by_password)  # noqa: S608
    data = exported("better_auth.py", file)
    assert json.loads(data)["scopes"] == "read:user user:email"
    works(empty_redis_url, data, "u9", "github")


@pytest.mark.parametrize("is_sealed", [True, False])
def test_nango(empty_redis_url: str, *, is_sealed: bool) -> None:
    held: dict[str, Any] = {
        "type": "OAUTH2",
        "access_token": "old-access",
        "refresh_token": "old-refresh",
        "expires_at": MOMENT,
        "raw": {"scope": "identify"},
    }
    key, nonce = b"k" * 32, b"n" * 12
    row: dict[str, Any] = {"connection_id": "u9", "provider_config_key": "discord"}
    row |= {"credentials": held, "credentials_iv": None, "credentials_tag": None}
    if is_sealed:
        both = AESGCM(key).encrypt(nonce, json.dumps(held).encode(), None)
        sealed, iv, tag = (base64.b64encode(p).decode() for p in (both[:-16], nonce, both[-16:]))
        row |= {"credentials": {"encrypted_credentials": sealed}}
        row |= {"credentials_iv": iv, "credentials_tag": tag}
    other = {**row, "credentials": {"type": "API_KEY", "apiKey": "k"}, "credentials_iv": None}
    rows = f"{json.dumps(row)}\n{json.dumps(other)}\n"
    data = exported("nango.py", stdin=rows, NANGO_ENCRYPTION_KEY=base64.b64encode(key).decode())
    works(empty_redis_url, data, "u9", "discord")


def test_every_command_of_the_recipes_runs_an_exporter_and_the_import() -> None:
    commands = re.findall(r"^```sh\n(.*)\n```$", RECIPES, re.M)
    exporters = sorted(path.name for path in (ROOT / "examples" / "exporters").glob("*.py"))
    run = sorted(
        Path(word).name
        for command in commands
        for word in shlex.split(command)
        if word.startswith("examples/")
    )
    assert run == exporters
    assert all(command.endswith("| webui import -") for command in commands)


# With what the other systems install


@pytest.fixture(scope="module")
def foreign() -> Path:
    """The interpreter of an environment with the other systems in it."""
    python = FOREIGN / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", FOREIGN], check=True)
        packages = "django-allauth[socialaccount]", "alembic", "sqlalchemy"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


SETTINGS = """
SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
MIDDLEWARE = ["allauth.account.middleware.AccountMiddleware"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "allauth",
                  "allauth.account", "allauth.socialaccount",
                  "allauth.socialaccount.providers.google"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
"""
FILL = f"""
import django
django.setup()
from datetime import datetime, timezone
from django.core.management import call_command
from django.contrib.auth.models import User
from allauth.socialaccount.models import SocialAccount, SocialToken
call_command("migrate", verbosity=0)
user = User.objects.create(pk=7, username="ann")
mail = {{"email": "mona@example.org"}}
own = SocialAccount.objects.create(user=user, provider="google", uid="42", extra_data=mail)
ends = datetime.fromtimestamp({ENDS}, timezone.utc)
SocialToken.objects.create(account=own, token="old-access", token_secret="old-refresh",
                           expires_at=ends)
"""


@needs_others
def test_django_allauth_by_its_own_migrations(
    empty_redis_url: str, tmp_path: Path, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moved_settings.py").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    django = {"DJANGO_SETTINGS_MODULE": "moved_settings", "PYTHONPATH": str(tmp_path)}
    environment = {**os.environ, **django}
    subprocess.run([foreign, "-c", FILL], check=True, env=environment)
    data = exported("django_allauth.py", python=foreign, **django)
    assert json.loads(data)["account"] == {"id": "42", "label": "mona@example.org"}
    works(empty_redis_url, data, "7", "google")


MIGRATE = """
import importlib.util, sys, sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
spec = importlib.util.spec_from_file_location("migration", sys.argv[1])
migration = importlib.util.module_from_spec(spec)
with sa.create_engine(f"sqlite:///{sys.argv[2]}").begin() as connection:
    connection.execute(sa.text("CREATE TABLE user (id TEXT PRIMARY KEY)"))
    with Operations.context(MigrationContext.configure(connection)):
        spec.loader.exec_module(migration)
        migration.upgrade()
"""


@needs_others
def test_open_webui_by_its_own_migration(
    empty_redis_url: str, tmp_path: Path, foreign: Path
) -> None:
    fetch = "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path, "open-webui"
    subprocess.run([foreign, *fetch], check=True)
    (wheel,) = tmp_path.glob("open_webui-*.whl")
    with zipfile.ZipFile(wheel) as package:
        (name,) = [n for n in package.namelist() if n.endswith("_add_oauth_session_table.py")]
        (tmp_path / "migration.py").write_bytes(package.read(name))
        sealing = package.read("open_webui/models/oauth_sessions.py").decode()
    assert "hashlib.sha256(self.encryption_key.encode()).digest()" in sealing
    file = tmp_path / "webui.db"
    subprocess.run([foreign, "-c", MIGRATE, tmp_path / "migration.py", file], check=True)
    put_session(file)
    data = exported("open_webui.py", file, WEBUI_SECRET_KEY="t0p-secret")
    works(empty_redis_url, data, "7f3c", "google")


NODE = "better-auth@1.7.25", "kysely@0.28.19", "node-sqlite3-wasm@0.8.60"


@needs_others
@pytest.mark.skipif(not shutil.which("npm"), reason="there is no npm here")
def test_better_auth_by_its_own_migrations(empty_redis_url: str, tmp_path: Path) -> None:
    folder = FOREIGN / "node"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / NODE[-1].partition("@")[0]).exists():
        install = "npm", "install", "--prefix", folder, "--no-audit", "--no-fund", *NODE
        subprocess.run(install, check=True)
    shutil.copy(ROOT / "tests" / "kit" / "better_auth.mjs", folder)
    file = tmp_path / "auth.db"
    command = "node", folder / "better_auth.mjs", file, MOMENT
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    data = exported("better_auth.py", file)
    line = json.loads(data)
    assert (line["scopes"], line["account"]) == ("read:user user:email", {"id": "42"})
    works(empty_redis_url, data, made.stdout.strip(), "github")
