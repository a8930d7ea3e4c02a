"""The server's process under the SDK: what was committed survives its death."""

import signal

from harness import Home, Server, sdk

LOG = """
with wandb.init(project="p") as run:
    artifact = wandb.Artifact("kept", type="dataset")
    with artifact.new_file("f.txt") as f: f.write("kept")
    run.log_artifact(artifact).wait()
    result = artifact.version
"""


def test_a_committed_artifact_survives_kill_9_of_the_server(tmp_path):
    home, data = Home(tmp_path / "home"), tmp_path / "data"
    server = Server(data)
    try:
        assert sdk(LOG, home=home, server=server) == "v0"
    finally:
        server.stop(signal.SIGKILL)
    with Server(data) as again:
        assert again.api_key == server.api_key
        text = sdk("""
            root = wandb.Api().artifact("p/kept:latest").download()
            result = pathlib.Path(root, "f.txt").read_text()
            """, home=home, server=again)
    assert text == "kept"


def test_sigterm_ends_the_server_with_0(tmp_path):
    assert Server(tmp_path / "data").stop() == 0
