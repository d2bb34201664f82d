"""Starts workers of a study on a Ray cluster: ray job submit --working-dir . -- python this.

The working directory has the module and node_modules. A worker that is ended hears SIGTERM and gives its trials back at once.
"""

import os
import signal
import subprocess

import ray

command = [
    *["fallline", "study", "worker", {{module}}, "--study", {{study}}, "--name", {{name}}],
    *["--trials", "{{trials}}", "--workers", "{{workers}}"],
]


@ray.remote(num_cpus={{workers}}, max_retries=-1, retry_exceptions=True)
def work():
    path = os.pathsep.join([os.path.join(os.getcwd(), "node_modules", ".bin"), os.environ["PATH"]])
    process = subprocess.Popen(command, env={**os.environ, "PATH": path})
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    if code != 0:
        raise RuntimeError(f"the worker ended with {code}")


ray.init()
ray.get([work.remote() for _ in range({{machines}})])
