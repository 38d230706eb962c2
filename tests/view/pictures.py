"""Pictures with the structure of real training graphs, for the tests of the view."""

from __future__ import annotations

from graphad.view.drawing import Arrow, Box, Picture, lay_backward_beside_forward, legend_of


class Sketch:
    """Collects boxes and arrows of a picture under construction."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []

    def add(self, key: str, text: str, *sources: str, kind: str = "forward", scope: str = "") -> str:
        shape = "ellipse" if kind in ("input", "output") else "box" if kind in ("parameter", "constant") else "rounded"
        cluster = tuple(scope.split("/")) if scope else ()
        lines = (text, "f32[128,64]")
        tooltip = f"%{key}: {text}\nmodel.py:12  h = np.tanh(x @ w + b)"
        self.boxes.append(Box(key, lines, kind, shape, tooltip, cluster))  # type: ignore[arg-type]
        self.arrows.extend(Arrow(source, key) for source in sources)
        return key

    def picture(self, title: str) -> Picture:
        backward = {box.key for box in self.boxes if box.kind in ("backward", "update")}
        backward |= {b.key for b in self.boxes if b.kind == "output" and b.key.startswith("grad")}
        arrows = lay_backward_beside_forward(self.arrows, backward)
        return Picture(title, tuple(self.boxes), arrows, legend_of(self.boxes))


def mlp(layers: int, *, backward: bool = True, scopes: bool = True) -> Picture:
    """Draw an MLP of `layers` layers with its loss and, if asked, its reverse pass and gradients."""
    s = Sketch()
    h = s.add("x", "x", kind="input")
    target = s.add("y", "y", kind="input")
    activations, products = [h], []
    for i in range(layers):
        scope = f"layer{i}" if scopes else ""
        w = s.add(f"w{i}", f"w{i}", kind="parameter", scope=scope)
        b = s.add(f"b{i}", f"b{i}", kind="parameter", scope=scope)
        m = s.add(f"m{i}", "matmul", h, w, scope=scope)
        p = s.add(f"p{i}", "add", m, b, scope=scope)
        h = s.add(f"h{i}", "tanh", p, scope=scope)
        activations.append(h)
        products.append(p)
    d = s.add("d", "sub", h, target, scope="loss" if scopes else "")
    q = s.add("q", "square", d, scope="loss" if scopes else "")
    s.add("out", "loss", s.add("l", "mean", q, scope="loss" if scopes else ""), kind="output")
    if backward:
        g = s.add("gd", "mul", d, kind="backward", scope="loss" if scopes else "")
        for i in reversed(range(layers)):
            scope = f"layer{i}" if scopes else ""
            g = s.add(f"gp{i}", "tanh_grad", g, activations[i + 1], kind="backward", scope=scope)
            gw = s.add(f"gw{i}", "matmul[tn]", activations[i], g, kind="backward", scope=scope)
            gb = s.add(f"gb{i}", "sum[axis=0]", g, kind="backward", scope=scope)
            s.add(f"grad w{i}", f"grad w{i}", gw, kind="output", scope=scope)
            s.add(f"grad b{i}", f"grad b{i}", gb, kind="output", scope=scope)
            if i:
                g = s.add(f"gh{i}", "matmul[nt]", g, f"w{i}", kind="backward", scope=scope)
    return s.picture(f"mlp of {layers} layers")


def transformer(blocks: int, *, scopes: bool = True) -> Picture:
    """Draw a transformer's forward and reverse pass: residual streams, attention and MLP, about 50 boxes a block."""
    s = Sketch()
    x = s.add("tokens", "tokens", kind="input")
    mask = s.add("mask", "mask", kind="input")
    tape: list[tuple[str, str, tuple[str, ...], str]] = []
    counter = 0

    def op(text: str, *sources: str, scope: str) -> str:
        nonlocal counter
        counter += 1
        key = s.add(f"v{counter}", text, *sources, scope=scope if scopes else "")
        tape.append((key, text, sources, scope))
        return key

    for i in range(blocks):
        names = ("wq", "wk", "wv", "wo", "w1", "w2", "g1", "g2")
        scope, norm, attention, dense = f"block{i}", f"block{i}/norm", f"block{i}/attention", f"block{i}/mlp"
        p = {n: s.add(f"{n}.{i}", n, kind="parameter", scope=scope if scopes else "") for n in names}
        n1 = op("mul", op("rsqrt", op("mean", op("square", x, scope=norm), scope=norm), scope=norm), x, scope=norm)
        n1 = op("mul", n1, p["g1"], scope=norm)
        q, k, v = (op("matmul", n1, p[n], scope=attention) for n in ("wq", "wk", "wv"))
        e = op("add", op("matmul", q, k, scope=attention), mask, scope=attention)
        e = op("exp", op("sub", e, op("max", e, scope=attention), scope=attention), scope=attention)
        e = op("div", e, op("sum", e, scope=attention), scope=attention)
        a = op("matmul", op("matmul", e, v, scope=attention), p["wo"], scope=attention)
        x = op("add", x, a, scope=scope)
        n2 = op("mul", op("rsqrt", op("mean", op("square", x, scope=norm), scope=norm), scope=norm), x, scope=norm)
        f = op("tanh", op("matmul", op("mul", n2, p["g2"], scope=norm), p["w1"], scope=dense), scope=dense)
        x = op("add", x, op("matmul", f, p["w2"], scope=dense), scope=scope)
    s.add("loss", "loss", op("mean", x, scope="loss"), kind="output")
    cotangents: dict[str, str] = {}
    for key, text, sources, scope in reversed(tape):
        scope = scope if scopes else ""
        seed = [cotangents[key]] if key in cotangents else []
        for position, source in enumerate(sources):
            if source in ("mask", "tokens"):
                continue
            saved = [
                other for other in (*sources, key) if text in ("matmul", "mul", "div", "exp", "rsqrt", "tanh", "square")
            ]
            g = s.add(f"g.{key}.{position}", f"{text}_vjp", *seed, *saved[:2], kind="backward", scope=scope)
            if source in cotangents:
                g = s.add(f"s.{key}.{position}", "add", cotangents[source], g, kind="backward", scope=scope)
            cotangents[source] = g
    for source, g in cotangents.items():
        if not source.startswith("v"):
            scope = f"block{source.split('.')[1]}" if scopes else ""
            s.add(f"grad {source}", f"grad {source}", g, kind="output", scope=scope)
    return s.picture(f"transformer of {blocks} blocks")
