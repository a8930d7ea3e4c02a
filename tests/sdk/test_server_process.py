"""The server's process under the SDK: what was committed survives its death."""

import hashlib
import signal
import socket
import time
import urllib.parse

import requests

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


def test_sigterm_ends_the_server_in_a_few_seconds_while_clients_are_in_the_middle(tmp_path):
    """A download over a slow link, one whose client has stopped reading, and half an upload."""
    server = Server(tmp_path / "data")
    try:
        content = bytes(16 << 20)
        server.log_manifest("p", "large", {"f": content})
        found = server.graphql(
            """query($e: String) { project(entityName: $e, name: "p") { artifactCollection(name: "large") {
                artifacts { edges { node { files { edges { node { directUrl } } } } } } } } }""", e=server.entity)
        version = found["project"]["artifactCollection"]["artifacts"]["edges"][0]["node"]
        url = version["files"]["edges"][0]["node"]["directUrl"]
        paused = requests.get(url, stream=True, timeout=60)
        assert next(paused.iter_content(1))
        requests.put(f"{server.base_url}/_test/knobs", json={"bytes_per_s": 1000}, timeout=60).raise_for_status()
        slow = requests.get(url, stream=True, timeout=60)
        assert next(slow.iter_content(1))
        requests.put(f"{server.base_url}/_test/knobs", json={}, timeout=60).raise_for_status()
        with half_an_upload(server):
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 10
    finally:
        server.stop(signal.SIGKILL)
    with Server(tmp_path / "data") as again:
        assert again.entity == server.entity


def half_an_upload(server: Server) -> socket.socket:
    """A connection that has announced a megabyte and sent a kilobyte of it."""
    made = server.graphql(
        """mutation($i: CreateArtifactInput!) { createArtifact(input: $i) { artifact { id } } }""",
        i=dict(entityName=server.entity, projectName="p", artifactTypeName="dataset", digest="0" * 32,
               artifactCollectionName="half", digestAlgorithm="MANIFEST_MD5", clientID="half"))
    made = server.graphql(
        """mutation($i: CreateArtifactManifestInput!) { createArtifactManifest(input: $i) {
            artifactManifest { file { uploadUrl } } } }""",
        i=dict(artifactID=made["createArtifact"]["artifact"]["id"], name="wandb_manifest.json", type="FULL",
               digest=hashlib.md5().hexdigest(), entityName=server.entity, projectName="p", runName=""))
    url = urllib.parse.urlsplit(made["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"])
    line = socket.create_connection((url.hostname, url.port), timeout=60)
    line.sendall(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 1048576\r\n\r\n"
                 .encode() + bytes(1024))
    return line
