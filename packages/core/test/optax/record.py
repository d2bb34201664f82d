"""Writes mechanize.json: where optax's mechanize goes around other optimizers, in float64.

pip install optax==0.2.8; python record.py
"""
import json

import jax

jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy
import optax

shapes = [[3, 4], [5], []]


def initial(shape, k):
    i = numpy.arange(numpy.prod(shape)) + 1.0
    return numpy.sin(0.7 * i + 1.3 * k).reshape(shape)


def gradient(params, step):
    """Of a bowl around 1 that moves a little from step to step."""
    shifted = lambda x: x - 1 + 0.3 * jnp.cos(1.1 * jnp.arange(x.size).reshape(x.shape) + 2.3 * step)
    return jax.tree.map(shifted, params)


def run(name, optimizer, steps):
    params = {f"tensor{k}": jnp.asarray(initial(shape, k)) for k, shape in enumerate(shapes)}
    state = optimizer.init(params)
    recorded = []
    for step in range(1, steps + 1):
        updates, state = optimizer.update(gradient(params, step), state, params)
        params = optax.apply_updates(params, updates)
        if step in (1, 2, 5, steps):
            values = [[float(x) for x in numpy.asarray(value).ravel()] for value in params.values()]
            recorded.append({"step": step, "params": values})
    return {"name": name, "optax": optax.__version__, "shapes": shapes, "recorded": recorded}


mechanize = optax.contrib.mechanize
runs = [
    run("sgd", mechanize(optax.sgd(1.0)), 40),
    run("adamW", mechanize(optax.adamw(1.0, weight_decay=0.1), weight_decay=0.0, s_init=1e-3), 40),
    run("momentum", mechanize(optax.sgd(0.5, momentum=0.9), weight_decay=0.05, eps=1e-6, s_init=1e-2), 40),
]
with open("mechanize.json", "w") as file:
    file.write(json.dumps(runs) + "\n")
