"""Optimizer steps of Python libraries, one block at a time.

Reads one JSON request a line and answers with one JSON line, so that its blocks can alternate with those of the other
contenders. Started with `torch` or `jax` and the number of threads; XLA cannot change its number later.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time
import types


def torch_library(threads):
    import torch

    torch.set_num_threads(threads)
    names = {
        "sgd": ("SGD", {"lr": 1e-2, "momentum": 0.9}),
        "adam": ("Adam", {"lr": 1e-3}),
        "adamW": ("AdamW", {"lr": 1e-3, "weight_decay": 0.01}),
    }
    variants = {
        "torch single": {"foreach": False},
        "torch foreach": {"foreach": True},
        "torch fused": {"fused": True},
    }
    # The library's own defaults, with decay where the default of Fallline has it.
    collection = {
        "sgd": ("SGD", {"lr": 1e-2, "momentum": 0.9}),
        "adam": ("Adam", {}),
        "adamW": ("AdamW", {"weight_decay": 0.01}),
        "adan": ("Adan", {"weight_decay": 0.02}),
        "adaBelief": ("AdaBelief", {}),
        "lion": ("Lion", {"weight_decay": 0.01}),
        "adEMAMix": ("AdEMAMix", {"weight_decay": 0.01}),
        "lamb": ("Lamb", {"weight_decay": 0.01}),
        "adafactor": ("AdaFactor", {}),
        "prodigy": ("Prodigy", {}),
        "scheduleFreeAdamW": ("ScheduleFreeAdamW", {}),
        "shampoo": ("Shampoo", {"preconditioning_compute_steps": 10}),
        "soap": ("SOAP", {"precondition_frequency": 10}),
        "psgdKron": ("Kron", {"pre_conditioner_update_probability": 1.0}),
    }

    def in_float32(step):
        """Muon names bfloat16 in its function; here that name means float32 as long as a step runs."""
        module = importlib.import_module("torch.optim._muon")
        names = types.SimpleNamespace(**{**vars(torch), "bfloat16": torch.float32})

        def run():
            module.torch = names
            try:
                step()
            finally:
                module.torch = torch

        return run

    def make(peer, optimizer, shape):
        generator = torch.Generator().manual_seed(1)
        parameter = torch.nn.Parameter(torch.randn(shape, generator=generator))
        parameter.grad = torch.randn(shape, generator=generator) * 1e-2
        if peer == "pytorch_optimizer":
            import pytorch_optimizer

            if optimizer == "muon":
                made = pytorch_optimizer.Muon([{"params": [parameter], "use_muon": True}], lr=1e-2)
            else:
                name, options = collection[optimizer]
                made = getattr(pytorch_optimizer, name)([parameter], **options)
            if hasattr(made, "train"):
                made.train()
        elif peer == "torch" and optimizer == "muon":
            made = torch.optim.Muon([parameter], lr=1e-2)
        elif peer == "torch float32" and optimizer == "muon":
            return in_float32(torch.optim.Muon([parameter], lr=1e-2).step)
        else:
            name, options = names[optimizer]
            made = getattr(torch.optim, name)([parameter], **options, **variants[peer])
        return made.step

    return make, {"torch": torch.__version__, "pytorch_optimizer": importlib.metadata.version("pytorch_optimizer")}


def jax_library(threads):
    # XLA asks the system how many processors it may use, once.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    elif threads < os.cpu_count():
        raise RuntimeError(f"this system cannot limit XLA to {threads} of {os.cpu_count()} processors")
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import optax

    jax.devices()
    makers = {
        "sgd": lambda: optax.sgd(1e-2, momentum=0.9),
        "adam": lambda: optax.adam(1e-3),
        "adamW": lambda: optax.adamw(1e-3, weight_decay=0.01),
        "adan": lambda: optax.adan(1e-3, weight_decay=0.02),
        "adaBelief": lambda: optax.adabelief(1e-3),
        "lion": lambda: optax.lion(1e-4, weight_decay=0.01),
        "adEMAMix": lambda: optax.contrib.ademamix(1e-3, weight_decay=0.01),
        "lamb": lambda: optax.lamb(1e-3, weight_decay=0.01),
        "adafactor": lambda: optax.adafactor(1e-3),
        "prodigy": lambda: optax.contrib.prodigy(),
        "muon": lambda: optax.contrib.muon(1e-2),
        "scheduleFreeAdamW": lambda: optax.contrib.schedule_free_adamw(1e-3),
    }

    def make(peer, optimizer, shape):
        transformation = makers[optimizer]()
        parameter = jax.random.normal(jax.random.key(1), shape)
        gradient = jax.random.normal(jax.random.key(2), shape) * 1e-2
        state = transformation.init(parameter)

        def update(parameter, state, gradient):
            updates, state = transformation.update(gradient, state, parameter)
            return optax.apply_updates(parameter, updates), state

        compiled = jax.jit(update, donate_argnums=(0, 1))
        # Donated buffers must not be shared, as some initial states share theirs with the parameter.
        held = [jax.tree.map(lambda array: array.copy(), (parameter, state))]
        del parameter, state

        def step():
            held[0] = jax.block_until_ready(compiled(*held[0], gradient))

        return step

    return make, {"jax": jax.__version__, "optax": optax.__version__}


def main():
    library, threads = sys.argv[1], int(sys.argv[2])
    # What the libraries print goes to the standard error; only answers go to the standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    try:
        make, versions = {"torch": torch_library, "jax": jax_library}[library](threads)
    except Exception as error:
        answer(ok=False, error=f"{type(error).__name__}: {error}")
        return
    answer(ok=True, versions=versions)
    steps = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["command"] == "create":
                steps[request["id"]] = make(request["peer"], request["optimizer"], tuple(request["shape"]))
                answer(ok=True)
            elif request["command"] == "run":
                step = steps[request["id"]]
                seconds = []
                busy = time.process_time()
                begin = time.perf_counter()
                for _ in range(request["steps"]):
                    start = time.perf_counter()
                    step()
                    seconds.append(time.perf_counter() - start)
                elapsed = time.perf_counter() - begin
                answer(ok=True, seconds=seconds, cores=(time.process_time() - busy) / elapsed)
            elif request["command"] == "drop":
                steps.pop(request["id"], None)
                answer(ok=True)
            else:
                answer(ok=False, error=f"unknown command {request['command']}")
        except Exception as error:
            answer(ok=False, error=f"{type(error).__name__}: {error}".splitlines()[0])


main()
