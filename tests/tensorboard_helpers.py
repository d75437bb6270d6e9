"""The real TensorBoard, and what it is promised to show."""

import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest

PICTURES = {"inputs_above_reconstructions", "prior_means", "prior_samples", "latent_traversal"}
LEDGER = ("elbo_nats", "energy_nats", "log_norm_const_nats", "kl_nats")
SESSIONS = {"startIndex": 0, "sliceSize": 100, "colParams": [], "allowedStatuses": ["STATUS_SUCCESS"]}


class Served:
    """A TensorBoard process, asked over HTTP."""

    def __init__(self, address):
        self.address = address

    def __call__(self, path, body=None, **query):
        url = f"{self.address}/data/{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def when_loaded(self, runs):
        """Wait until the runs are there with their tests, which are written last."""
        for _ in range(100):
            tags = self("plugin/scalars/tags")
            if all("test/elbo_nats" in tags.get(run, {}) for run in runs):
                return self
            time.sleep(0.1)
        raise AssertionError(f"{runs} are not all in {tags}")


@contextmanager
def tensorboard(folder, *flags):
    """The real program on a free port."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", *flags]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in running.stdout:
            if found := re.search(r"http://[^/\s]+:(\d+)/", line):
                yield Served(f"http://127.0.0.1:{found[1]}")
                break
        else:
            pytest.fail("TensorBoard did not start")
    finally:
        running.kill()
        running.communicate()
