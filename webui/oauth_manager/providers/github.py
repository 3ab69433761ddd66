"""GitHub.  Facts: docs.github.com, "Authorizing OAuth apps", "REST API: OAuth apps"."""

from __future__ import annotations

from typing import Any

from .scope_rules import ScopeSentences

SCOPE_SENTENCES: ScopeSentences = {
    "": (
        "see your public profile, repositories and gists",
        "Sees",
        "see what anyone can see: your public profile, repositories and gists",
    ),
    "read:user": ("read your full profile", "Sees"),
    "user:email": ("see your e-mail addresses", "Sees"),
    "user:follow": ("follow and unfollow people for you", "Acts"),
    "user": (
        "change your profile",
        "Changes",
        "change your profile, see your addresses, follow people",
    ),
    "public_repo": (
        "change code and settings in your public repositories, and star repositories",
        "Changes",
        (
            "read and change code and settings such as collaborators in your public "
            "repositories, and star repositories"
        ),
    ),
    "repo": (
        "read and change your private repositories, also in your organisations",
        "Changes",
        (
            "read and change everything in your public and private repositories, and manage "
            "invitations, projects and hooks, also in your organisations"
        ),
    ),
    "repo:status": (
        "see and set check results on commits",
        "Changes",
        "see and set check results on commits, without seeing code",
    ),
    "repo_deployment": (
        "see and set deployment results",
        "Changes",
        "see and set deployment results, without seeing code",
    ),
    "repo:invite": ("accept or refuse repository invitations for you", "Acts"),
    "read:org": ("see which organisations and teams you belong to", "Sees"),
    "write:org": ("change organisation membership and projects", "Changes"),
    "admin:org": ("run your organisations fully", "Changes"),
    "gist": ("create and change your gists", "Changes"),
    "notifications": ("read your notifications, mark them read, change what you watch", "Changes"),
    "read:project": ("see your planning boards", "Sees"),
    "project": ("change your planning boards", "Changes"),
    "workflow": ("add and change automation files that run in your repositories", "Changes"),
    "write:repo_hook": (
        "set up and test messages that repositories send to other services",
        "Changes",
    ),
    "read:packages": ("download packages", "Sees"),
    "write:packages": ("publish packages", "Changes"),
    "delete:packages": ("delete packages", "Deletes"),
    "codespace": ("create and manage your cloud workspaces", "Changes"),
    "delete_repo": ("delete repositories you administer", "Deletes"),
}

# docs.github.com, "Troubleshooting authorization request errors", "Troubleshooting OAuth app
# access token request errors", "Authorizing OAuth apps" (device flow).
WORDS = {
    "gone": ("expired_token", "token_expired"),
    "setup": ("application_suspended", "device_flow_disabled", "incorrect_device_code"),
    "trouble": ("authorization_pending",),
}

TEMPLATE: dict[str, Any] = {
    "label": "GitHub",
    "purpose": "Lets {bot} work with your GitHub account.",
    "authorize_url": "https://github.com/login/oauth/authorize",
    "token_url": "https://github.com/login/oauth/access_token",
    # /grant ends all tokens and takes the application off the person's list;
    # /token would leave it listed there.
    "revoke_url": "https://api.github.com/applications/{client_id}/grant",
    "revoke_style": "delete",
    "account_url": "https://api.github.com/user",
    # In every callback since April 2026 (RFC 9207).
    "issuer": "https://github.com/login/oauth",
    "iss_required": True,
    "account_label_field": "login",
    "account_handle_field": "login",
    "scopes": ["read:user"],
    "tokens_expire": False,
    "manage_url": "https://github.com/settings/connections/applications/{client_id}",
    "manage_label": "Authorized OAuth Apps",
    "status_url": "https://www.githubstatus.com/",
    "scope_sentences": SCOPE_SENTENCES,
    "words": WORDS,
    # docs.github.com, "Scopes for OAuth apps": the wider scope is stored alone.
    "scope_contains": {
        "repo": ("repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"),
        "user": ("read:user", "user:email", "user:follow"),
        "admin:org": ("write:org", "read:org"),
        "write:org": ("read:org",),
        "project": ("read:project",),
        "write:packages": ("read:packages",),
        "admin:repo_hook": ("write:repo_hook", "read:repo_hook"),
        "write:repo_hook": ("read:repo_hook",),
    },
}
