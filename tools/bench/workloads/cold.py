"""A fresh process that imports a library and computes one gradient of an MLP 64-32-1, batch 16, float32.

Each library's side is a whole program, which prints the value and the norm of the gradients; what counts is the wall
time of its process. `BARE` is Python and NumPy without any gradient.
"""

from __future__ import annotations

DATA = """
import numpy as np
rng = np.random.default_rng(0)
w1 = (rng.standard_normal((64, 32)) / 8).astype(np.float32)
w2 = (rng.standard_normal((32, 1)) / 6).astype(np.float32)
x = rng.standard_normal((16, 64)).astype(np.float32)
y = rng.standard_normal((16, 1)).astype(np.float32)
"""

PRINT = """
total = sum(float((np.asarray(g).astype(np.float64) ** 2).sum()) for g in grads)
print(float(value), total ** 0.5)
"""

GRAPHAD = """
import graphad as ga
def loss(w1, w2, x, y):
    return np.mean((np.tanh(x @ w1) @ w2 - y) ** 2)
value, grads = ga.jit(ga.value_and_grad(loss, argnums=(0, 1)))(w1, w2, x, y)
"""

JAX = """
import jax, jax.numpy as jnp
def loss(w1, w2, x, y):
    return jnp.mean((jnp.tanh(x @ w1) @ w2 - y) ** 2)
value, grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(w1, w2, x, y)
"""

TORCH = """
import torch
a, b = torch.from_numpy(w1).requires_grad_(), torch.from_numpy(w2).requires_grad_()
value = ((torch.tanh(torch.from_numpy(x) @ a) @ b - torch.from_numpy(y)) ** 2).mean()
grads = torch.autograd.grad(value, [a, b])
value = value.item()
"""

AUTOGRAD = """
import autograd.numpy as anp
from autograd import value_and_grad
def loss(weights):
    return anp.mean((anp.dot(anp.tanh(anp.dot(x, weights[0])), weights[1]) - y) ** 2)
value, grads = value_and_grad(loss)((w1, w2))
"""

BY_HAND = """
h = np.tanh(x @ w1)
e = h @ w2 - y
value = (e * e).mean()
d = e * np.float32(2 / 16)
grads = [x.T @ ((d @ w2.T) * (1 - h * h)), h.T @ d]
"""

BARE = "import numpy\n"

PROGRAMS = {
    "graphad": DATA + GRAPHAD + PRINT,
    "jax": DATA + JAX + PRINT,
    "torch": DATA + TORCH + PRINT,
    "autograd": DATA + AUTOGRAD + PRINT,
    "by_hand": DATA + BY_HAND + PRINT,
}
