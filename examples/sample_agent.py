#!/usr/bin/env python3
"""A small agent to try AgentSight on: it fixes a failing test, as a coding agent would.

Its "model" is a fixed list of tool calls, so it needs no network, no key and no more than
Python's standard library; the processes that it starts are real. It works in a temporary
directory of its own and is done within a few seconds:

    agentsight run -- python3 examples/sample_agent.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FILES = {
    "basket.py": '''\
def total(prices, discount=0):
    """The sum of the prices in cents, less a discount in percent."""
    return sum(prices) * (100 + discount) // 100
''',
    "test_basket.py": '''\
import unittest
from basket import total


class Total(unittest.TestCase):
    def test_without_discount(self):
        self.assertEqual(total([250, 750]), 1000)

    def test_with_discount(self):
        self.assertEqual(total([250, 750], discount=10), 900)


unittest.main()
''',
}


def plan():
    """What the model says, turn by turn: a thought, a tool, and the tool's input."""
    # -B: bytecode of the first run would hide an edit of the same size within the same second.
    run_tests = f"{sys.executable} -B test_basket.py"
    yield "Which files are there?", "shell", "ls -l | tail -n +2 | wc -l"
    yield "Where is the discount computed?", "shell", "grep -n discount *.py | sort | head -n 5"
    yield "Is there a history to look at?", "shell", "git --version && git init --quiet . && git status --short"
    yield "Let me run the tests.", "shell", run_tests
    yield "The sign is wrong: a discount is taken off.", "edit", ("basket.py", "100 + discount", "100 - discount")
    yield "Once more.", "shell", run_tests
    yield "Both in parallel, to be sure.", "shell", "sha256sum basket.py & sha256sum test_basket.py & wait"


def shell(directory, command):
    """The agent's shell tool: output to the model, exit code to the log."""
    result = subprocess.run(["sh", "-c", command], cwd=directory, capture_output=True, text=True, timeout=60)
    last_line = ((result.stdout + result.stderr).strip().splitlines() or [""])[-1]
    return f"exit {result.returncode}: {last_line}"


def edit(directory, change):
    """The agent's edit tool."""
    name, old, new = change
    path = Path(directory, name)
    path.write_text(path.read_text().replace(old, new))
    return f"{name} changed"


def main():
    tools = {"shell": shell, "edit": edit}
    with tempfile.TemporaryDirectory(prefix="sample-agent-") as directory:
        for name, text in FILES.items():
            Path(directory, name).write_text(text)
        for thought, tool, argument in plan():
            asked = argument if isinstance(argument, str) else "{}: {} → {}".format(*argument)
            print(f"agent: {thought}\n  {tool}: {asked}\n  {tools[tool](directory, argument)}", flush=True)
    print("agent: Done: the discount is taken off, and the tests pass.", flush=True)


if __name__ == "__main__":
    main()
