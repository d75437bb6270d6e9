"""The real TensorBoard, and what it is promised to show."""

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

from forks import Fork

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


def _serve(flags):
    """The program `tensorboard`."""
    from tensorboard.main import run_main

    sys.argv = ["tensorboard", *flags]
    return run_main()


@contextmanager
def tensorboard(folder, *flags):
    """The real program on a free port."""
    running = Fork(_serve, ["--logdir", str(folder), "--port", "0", *flags], folder=folder)
    try:
        while not (address := re.search(r"http://[^/\s]+:(\d+)/", running.written())):
            assert running.poll() is None, f"TensorBoard did not start: {running.written()}"
            time.sleep(0.02)
        yield Served(f"http://127.0.0.1:{address[1]}")
    finally:
        running.kill()
        running.communicate()
