"""What the checks of the charts share: how Helm is called, how values are laid over each other, and how it is all counted."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CHART = HERE.parent.parent / "chart/pipeline-app"
GUIDE = HERE / "guide-chart"
HELMS = {"helm 4": os.environ["helm4"], "helm 3": os.environ["helm3"]}


class Tally:
    """What passed and failed, of the checks that were asked for."""

    def __init__(self, words):
        self.words, self.passed, self.failed, self.skipped = words, 0, 0, 0

    def check(self, name, look):
        """Calls look, which returns what is wrong, or nothing."""
        if self.words and not any(word in name for word in self.words):
            return
        try:
            wrong = look()
        except Refusal as refusal:
            wrong = str(refusal)
        if wrong:
            self.failed += 1
            print(f"not ok {name}: {wrong}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)

    def skip(self, name, reason):
        if not self.words or any(word in name for word in self.words):
            self.skipped += 1
            print(f"skipped {name}: {reason}", flush=True)

    def finish(self):
        """Adds it all up, and ends the program."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.exit(self.failed > 0)


class Refusal(Exception):
    """Something was not done, in the words of whoever refused it."""


def helm(program, *arguments, values=None):
    """Runs Helm with values on top of those of the files; what it prints."""
    command = [program, *map(str, arguments), *([] if values is None else ["-f", "-"])]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True)
    if done.returncode != 0:
        raise Refusal(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def merged(*layers):
    """Values over values, as Helm lays them."""
    result = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def differs(got, want):
    return None if got == want else f"got {json.dumps(got)}, want {json.dumps(want)}"


def lacks(text, words):
    missing = [word for word in words if word not in text]
    return f"{missing} missing in:\n{text}" if missing else None
