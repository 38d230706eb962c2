"""Building blocks of models: convolution, pooling and resizing of arrays [batch, channels, *space].

Functions, without state. This room stands above all others and uses only what users can use. Where channels come last,
move them: ``np.moveaxis(conv(np.moveaxis(x, -1, 1), w), 1, -1)``.
"""

from graphad.nn.convolution import conv, conv_transpose
from graphad.nn.pooling import avg_pool, max_pool, min_pool, reduce_window
from graphad.nn.resizing import resize

__all__ = ["avg_pool", "conv", "conv_transpose", "max_pool", "min_pool", "reduce_window", "resize"]
