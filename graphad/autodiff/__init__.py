"""Derivatives and batching: VJP and JVP rules put together into the transformations that users call.

`reverse`, `forward` and `batching` are the three walks; the other files are what people ask for, each in a few lines.
"""

from typing import TYPE_CHECKING

from graphad.loading import homes_of, on_first_use

if TYPE_CHECKING:
    from graphad.autodiff.check import GradientCheckError, check_grads
    from graphad.autodiff.checkpointing import checkpoint
    from graphad.autodiff.custom import custom_jvp, custom_vjp
    from graphad.autodiff.gradients import grad, value_and_grad
    from graphad.autodiff.jacobians import hessian, jacfwd, jacobian, jacrev
    from graphad.autodiff.mapping import vmap
    from graphad.autodiff.products import hvp, jvp, linearize, vjp
    from graphad.autodiff.stopping import stop_gradient

__all__ = [
    "GradientCheckError",
    "check_grads",
    "checkpoint",
    "custom_jvp",
    "custom_vjp",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linearize",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]

__getattr__ = on_first_use(
    globals(),
    homes_of(
        {
            "graphad.autodiff.check": ("GradientCheckError", "check_grads"),
            "graphad.autodiff.checkpointing": ("checkpoint",),
            "graphad.autodiff.custom": ("custom_jvp", "custom_vjp"),
            "graphad.autodiff.gradients": ("grad", "value_and_grad"),
            "graphad.autodiff.jacobians": ("hessian", "jacfwd", "jacobian", "jacrev"),
            "graphad.autodiff.mapping": ("vmap",),
            "graphad.autodiff.products": ("hvp", "jvp", "linearize", "vjp"),
            "graphad.autodiff.stopping": ("stop_gradient",),
        }
    ),
)
