"""Writes trajectories.json: what optax does to matrices of [in, out] and kernels of [height, width, in, out].

pip install optax==0.2.8; python record.py
"""
import json

import jax

jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy
import optax


def initial(shape, k):
    i = numpy.arange(numpy.prod(shape)) + 1.0
    return numpy.sin(0.7 * i + 1.3 * k).reshape(shape)


def gradient(shape, k, step):
    i = numpy.arange(numpy.prod(shape)) + 1.0
    return numpy.cos(1.1 * i + k + 2.3 * step).reshape(shape)


def run(name, optimizer, shapes):
    params = {f"tensor{k}": jnp.asarray(initial(shape, k)) for k, shape in enumerate(shapes)}
    state = optimizer.init(params)
    for step in range(1, 6):
        gradients = {f"tensor{k}": jnp.asarray(gradient(shape, k, step)) for k, shape in enumerate(shapes)}
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    return {
        "name": name,
        "optax": optax.__version__,
        "shapes": shapes,
        "steps": 5,
        "params": [[float(f"{x:.9g}") for x in numpy.asarray(value).ravel()] for value in params.values()],
    }


runs = [
    run("muon", optax.contrib.muon(0.05, beta=0.9, nesterov=False, weight_decay=0.0), [[4, 16], [12, 3], [5, 5]]),
    run(
        "adaptiveGradientClipping",
        optax.chain(optax.adaptive_grad_clip(0.1, eps=1e-3), optax.sgd(0.3)),
        [[4, 6], [6, 2], [3, 3, 2, 4]],
    ),
]
with open("trajectories.json", "w") as file:
    file.write(json.dumps(runs) + "\n")
