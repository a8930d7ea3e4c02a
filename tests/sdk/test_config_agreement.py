"""The SDK and `wandbfs doctor` find the same server and the same credential.

Each situation is an environment, settings files and a netrc in a home of its own. The SDK answers in
a process of its own, since it keeps what it found. Run with the interpreter that has wandb installed;
WANDBFS names the program (default: the debug build).
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

PROGRAM = os.environ.get(
    "WANDBFS", str(pathlib.Path(__file__).parents[2] / "target" / "debug" / "wandbfs")
)


def key(letter):
    return letter * 40


ASK_THE_SDK = """
import json, os, sys
os.environ["WANDB_SILENT"] = "true"
try:
    import wandb
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth
    from wandb.sdk.lib.wbauth import authenticate, wbnetrc
    settings = wandb_setup.singleton().settings
    host = wbauth.HostUrl(settings.base_url)
    found = authenticate._try_env_auth(host=host) or wbnetrc.read_netrc_auth_with_source(host=host)
    source = found.source if found else ("settings" if settings.api_key else None)
    auth = found.auth if found else None
    if auth is None and settings.api_key:
        auth = wbauth.AuthApiKey(host=host, api_key=settings.api_key)
    print(json.dumps({"base_url": host.url, "app_url": host.app_url, "source": source}))
except Exception as error:
    print(json.dumps({"error": type(error).__name__}))
"""

HOST = "http://127.0.0.1:8080"
GLOBAL = ".config/wandb/settings"


def settings(**values):
    return "[default]\n" + "".join(f"{k} = {v}\n" for k, v in values.items())


def netrc(machine, letter, login="user"):
    return f"machine {machine}\n  login {login}\n  password {key(letter)}\n"


# name: (environment, files in the home)
SITUATIONS = {
    "nothing": ({}, {}),
    "key in the environment": ({"WANDB_API_KEY": key("a")}, {}),
    "key on premises": ({"WANDB_API_KEY": "local-" + key("a")}, {}),
    "key as a token": ({"WANDB_API_KEY": "aa.bb.cc"}, {}),
    "key too short": ({"WANDB_API_KEY": "short"}, {}),
    "key with blanks": ({"WANDB_API_KEY": " " + key("a")}, {}),
    "key with odd characters": ({"WANDB_API_KEY": "$" * 40}, {}),
    "empty key": ({"WANDB_API_KEY": ""}, {".netrc": netrc("api.forge.coreweave.com", "n")}),
    "identity token": ({"WANDB_IDENTITY_TOKEN_FILE": "/tmp/token"}, {}),
    "key and identity token": (
        {"WANDB_API_KEY": key("a"), "WANDB_IDENTITY_TOKEN_FILE": "/tmp/token"},
        {},
    ),
    "host in the environment": ({"WANDB_BASE_URL": HOST + "///"}, {}),
    "host in the global settings": ({}, {GLOBAL: settings(base_url=HOST)}),
    "host in the workspace": (
        {},
        {GLOBAL: settings(base_url="http://other:1"), "work/wandb/settings": settings(base_url=HOST)},
    ),
    "host in the hidden workspace": (
        {},
        {
            "work/.wandb/settings": settings(base_url=HOST),
            "work/wandb/settings": settings(base_url="http://other:1"),
        },
    ),
    "environment over settings": (
        {"WANDB_BASE_URL": HOST},
        {GLOBAL: settings(base_url="http://other:1", api_key=key("s"))},
    ),
    "another configuration directory": (
        {"WANDB_CONFIG_DIR": "~/elsewhere"},
        {"elsewhere/settings": settings(base_url=HOST, api_key=key("s"))},
    ),
    "key in the settings": ({}, {GLOBAL: settings(base_url=HOST, api_key=key("s"))}),
    "only the default section": ({}, {GLOBAL: "[other]\nbase_url = http://other:1\n"}),
    "settings that are no INI": ({}, {GLOBAL: "base_url = http://other:1\n"}),
    "a bad host in the settings": ({}, {GLOBAL: settings(base_url="nonsense", api_key=key("s"))}),
    "a bad host in the environment": ({"WANDB_BASE_URL": "nonsense"}, {}),
    "the app instead of the API": ({"WANDB_BASE_URL": "https://app.wandb.ai"}, {}),
    "the API without TLS": ({"WANDB_BASE_URL": "http://api.wandb.ai"}, {}),
    "the old API": ({"WANDB_BASE_URL": "https://api.wandb.ai"}, {}),
    "the forge proxy": ({"WANDB_BASE_URL": "https://forge.coreweave.com/api/wandb/"}, {}),
    "another forge service": ({"WANDB_BASE_URL": "https://forge.coreweave.com/other"}, {}),
    "netrc with a port": ({"WANDB_BASE_URL": HOST}, {".netrc": netrc("127.0.0.1:8080", "n")}),
    "netrc without the port": ({"WANDB_BASE_URL": HOST}, {".netrc": netrc("127.0.0.1", "n")}),
    "netrc with another login": (
        {"WANDB_BASE_URL": HOST},
        {".netrc": netrc("127.0.0.1:8080", "n", login="me@example.com")},
    ),
    "netrc by default entry": (
        {"WANDB_BASE_URL": HOST},
        {".netrc": f"default login x password {key('n')}\n"},
    ),
    "netrc upstream of the forge": ({}, {".netrc": netrc("api.wandb.ai", "n")}),
    "netrc with an underscore": ({}, {"_netrc": netrc("api.forge.coreweave.com", "n")}),
    "netrc by variable": (
        {"NETRC": "~/mine"},
        {"mine": netrc("api.forge.coreweave.com", "n"), ".netrc": "garbage"},
    ),
    "netrc that is garbage": ({}, {".netrc": "garbage\n", GLOBAL: settings(api_key=key("s"))}),
    "netrc without a password": (
        {},
        {".netrc": "machine api.forge.coreweave.com login user\n", GLOBAL: settings(api_key=key("s"))},
    ),
    "netrc with a short key": ({}, {".netrc": "default login x password short\n"}),
    "netrc quoted and commented": (
        {},
        {".netrc": f'# mine\nmachine "api.forge.coreweave.com" # here\n password "{key("n")}"\n'},
    ),
}


def answers(home, environment):
    (home / "work").mkdir(exist_ok=True)
    env = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": str(home),
        **environment,
    }
    run = lambda *argv: subprocess.run(
        argv, env=env, cwd=home / "work", capture_output=True, text=True, timeout=60
    )
    sdk = json.loads(run(sys.executable, "-c", ASK_THE_SDK).stdout.splitlines()[-1])
    doctor = run(PROGRAM, "doctor", "--json", "--offline")
    return sdk, json.loads(doctor.stdout)


def source_of(sdk, home):
    """How doctor words what the SDK found."""
    source = sdk["source"]
    if source is None:
        return "none"
    if source.startswith("WANDB_"):
        return f"environment variable {source}"
    return "settings file" if source == "settings" else f"netrc {source}"


@pytest.mark.parametrize("name", SITUATIONS)
def test_doctor_finds_what_the_sdk_finds(name, tmp_path):
    environment, files = SITUATIONS[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    sdk, doctor = answers(tmp_path, environment)
    if "error" in sdk:
        # what the SDK refuses is a failed check here, and no credential is used
        assert doctor["credential_source"] == "none"
        failed = {check["name"] for check in doctor["checks"] if not check["ok"]}
        assert failed & {"settings", "credential"}
        return
    assert doctor["base_url"] == sdk["base_url"]
    assert doctor["credential_source"].startswith(source_of(sdk, tmp_path))
    wanted = "default"
    if "WANDB_BASE_URL" in environment:
        wanted = "environment variable WANDB_BASE_URL"
    elif sdk["base_url"] == HOST:
        wanted = "settings file"
    assert doctor["base_url_source"].startswith(wanted)
