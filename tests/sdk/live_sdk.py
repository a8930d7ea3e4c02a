"""The unmodified SDK in one interpreter that stays: a question costs milliseconds, not an import."""

import json
import os
import subprocess
import sys
import textwrap

from harness import Home, Server

LOOP = textwrap.dedent("""
    import json, os, pathlib, sys, traceback
    import wandb

    def forget():
        try:
            from wandb.sdk.artifacts.artifact_instance_cache import artifact_instance_cache
            artifact_instance_cache.clear()
        except ImportError:
            pass

    answers = os.fdopen(int(sys.argv[1]), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        forget()
        names = dict(api=wandb.Api(), json=json, os=os, pathlib=pathlib, wandb=wandb, result=None,
                     **asked["variables"])
        try:
            exec(asked["code"], names)
            answer = dict(result=names["result"])
        except Exception as error:
            answer = dict(error=str(error), trace=traceback.format_exc())
        answers.write(json.dumps(answer, default=str) + "\\n")
        answers.flush()
""")


class LiveSdk:
    """Call it with code; the code finds `api` (a fresh `wandb.Api`) and the keyword arguments, and
    its `result` is the answer."""

    def __init__(self, home: Home, server: Server):
        answers, theirs = os.pipe()
        self.log = open(home.root / "live-sdk.log", "w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", LOOP, str(theirs)], env=home.env(server),
            cwd=home.root / "work", pass_fds=[theirs], stdin=subprocess.PIPE, text=True,
            stdout=self.log, stderr=self.log)
        os.close(theirs)
        self.answers = os.fdopen(answers)

    def __call__(self, code: str, **variables):
        asked = dict(code=textwrap.dedent(code), variables=variables)
        self.process.stdin.write(json.dumps(asked, default=str) + "\n")
        self.process.stdin.flush()
        line = self.answers.readline()
        assert line, f"the SDK's interpreter died: {(self.log.seek(0), self.log.read())[1][-4000:]}"
        answer = json.loads(line)
        assert "error" not in answer, answer["trace"]
        return answer["result"]

    def collection(self, path: str, artifact_type: str = "dataset") -> dict | None:
        """What the SDK says of a collection; None if it has none."""
        return self(
            """
            name, kind = path, artifact_type
            if api.artifact_collection_exists(name, kind):
                c = api.artifact_collection(kind, name)
                result = dict(name=c.name, type=c.type, description=c.description,
                              tags=sorted(c.tags), aliases=sorted(c.aliases),
                              versions={a.version: sorted(a.aliases) for a in c.artifacts()})
            """, path=path, artifact_type=artifact_type)

    def artifact(self, name: str) -> dict:
        """What the SDK says of a version."""
        return self(
            """
            a = api.artifact(name)
            result = dict(version=a.version, aliases=sorted(a.aliases), tags=sorted(a.tags),
                          description=a.description, metadata=a.metadata,
                          ttl=a.ttl and a.ttl.total_seconds())
            """, name=name)

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.answers.close()
        self.log.close()
