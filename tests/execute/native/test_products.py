"""Products against NumPy in float64: every way to compute them, layouts, alpha, beta, thread counts, special cases."""

from __future__ import annotations

import ctypes
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite")
sys.path.insert(0, str(Path(__file__).parent))
from product_runs import Runner, product_of, runners, strides_of

from graphad.execute.native import blas as libraries
from graphad.execute.native import dots, panels, product_cut, products, target
from graphad.execute.native.blas import Blas
from graphad.execute.native.blas_products import expressible
from graphad.execute.native.code import Module
from graphad.execute.native.kernel import Kernel
from graphad.execute.native.lanes import Lanes
from graphad.execute.native.product_ends import End, Epilogue
from graphad.execute.native.product_spec import Product

Make = Callable[[Module, Product], Kernel]
Apply = Callable[[Lanes, Sequence[Lanes]], list[Lanes]]
rng = np.random.default_rng(7)


def matrices(layout: str, batch: int, rows: int, columns: int, dtype: type) -> np.ndarray:
    """Return random matrices: by rows, by columns, part of a larger matrix, apart, backwards, or all the same."""
    if layout == "columns":
        return matrices("rows", batch, columns, rows, dtype).transpose(0, 2, 1)
    if layout == "part":
        return matrices("rows", batch, rows + 3, columns + 5, dtype)[:, 2 : 2 + rows, 1 : 1 + columns]
    if layout == "apart":
        return matrices("rows", batch, 2 * rows, 3 * columns, dtype)[:, ::2, ::3]
    if layout == "backwards":
        return matrices("rows", batch, rows, columns, dtype)[:, ::-1, ::-1]
    if layout == "same":
        return np.broadcast_to(rng.standard_normal((1, rows, columns)).astype(dtype), (batch, rows, columns))
    return rng.standard_normal((batch, rows, columns)).astype(dtype)


@dataclass
class Case:
    """Operands of a product; `start` is what C holds before."""

    a: np.ndarray
    b: np.ndarray
    start: np.ndarray
    alpha: float = 1.0
    beta: float = 0.0
    c0: np.ndarray | None = None

    @property
    def product(self) -> Product:
        return product_of(self.a, self.b, self.start, self.alpha, self.beta, self.c0)

    def run(self, runner: Runner, threads: int = 1) -> np.ndarray:
        """Return C; what surrounds it in memory must stay."""
        whole = base_of(self.start).copy()
        c = np.lib.stride_tricks.as_strided(
            whole.reshape(-1)[offset_in(self.start) :], self.start.shape, self.start.strides
        )
        c[...] = self.start
        outside = np.ones(whole.size, bool)
        np.lib.stride_tricks.as_strided(
            outside[offset_in(self.start) :], self.start.shape, [s // c.itemsize for s in self.start.strides]
        )[...] = False
        before = whole.reshape(-1)[outside]
        given = [self.a, self.b, c] if len(self.product.buffers) == 3 else [self.a, self.b, self.c0, c]
        runner.run(given, threads)
        assert np.array_equal(whole.reshape(-1)[outside], before, equal_nan=True)
        return c.copy()

    def check(self, result: np.ndarray) -> None:
        """Compare with NumPy in float64, to within rounding."""
        a, b = self.a.astype(np.float64), self.b.astype(np.float64)
        old = np.zeros(self.start.shape)
        if self.beta:
            old = self.beta * (self.start if self.c0 is None else self.c0).astype(np.float64)
        eps = float(np.finfo(self.a.dtype).eps)
        bound = eps * ((2 * self.a.shape[2] + 2) * abs(self.alpha) * (abs(a) @ abs(b)) + 2 * abs(old)) + 1e-300
        assert (abs(result - (self.alpha * (a @ b) + old)) <= bound).all()


def base_of(x: np.ndarray) -> np.ndarray:
    """Return the array that owns the memory of a view."""
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x


def offset_in(x: np.ndarray) -> int:
    """Return the elements from the beginning of the memory of a view to its first element."""
    return (x.ctypes.data - base_of(x).ctypes.data) // x.itemsize


def make_case(
    batch: int,
    m: int,
    n: int,
    k: int,
    dtype: type = np.float32,
    layouts: tuple[str, str, str] = ("rows", "rows", "rows"),
    alpha: float = 1.0,
    beta: float = 0.0,
    separate: str = "",
) -> Case:
    """Return a case; where beta is 0, C holds nan before, which must not matter."""
    a = matrices(layouts[0], batch, m, k, dtype)
    b = matrices(layouts[1], batch, k, n, dtype)
    start = matrices(layouts[2], batch, m, n, dtype)
    c0 = matrices(separate, batch, m, n, dtype) if separate else None
    if beta == 0 or separate:
        start[...] = np.nan
    return Case(a, b, start, alpha, beta, c0)


def run_all(cases: list[Case], make: Make, blas: Blas | None = None, threads: tuple[int, ...] = (1, 2, 3)) -> None:
    """Run cases one way: the results are right, and have the same bits for every number of threads."""
    made = runners([lambda module, case=case: make(module, case.product) for case in cases], blas)
    for case, runner in zip(cases, made, strict=True):
        first = case.run(runner)
        case.check(first)
        for many in threads:
            assert case.run(runner, many).tobytes() == first.tobytes()


def by_panels(module: Module, product: Product) -> Kernel:
    oriented, order = products.oriented(product)
    return panels.panel_kernel(module, oriented, order, target.host().vector_bytes)


def by_dots(module: Module, product: Product) -> Kernel:
    return dots.dots_kernel(module, product, (0, 1), target.host().vector_bytes)


def by_blas(blas: Blas) -> Make:
    return lambda module, product: products.by_blas(module, product, blas)


@pytest.fixture(params=["numpy", "fortran"])
def blas(request: pytest.FixtureRequest) -> Blas:
    found = libraries.numpy_openblas() if request.param == "numpy" else libraries.scipy_blas()
    if found is None:
        pytest.skip("no such BLAS here")
    return found


SMALL = [(1, 8, 8, 8), (2, 5, 7, 3), (3, 1, 20, 11), (1, 19, 2, 4), (4, 3, 3, 3), (1, 1, 1, 300), (1, 33, 17, 9)]
LARGE = [(1, 128, 40, 100), (2, 61, 35, 130), (1, 26, 70, 350), (1, 130, 10, 260), (1, 400, 49, 333), (1, 7, 300, 40)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SMALL, ids=str)
def test_small_products_in_every_layout(sizes: tuple[int, int, int, int], dtype: type) -> None:
    names = ("rows", "columns", "apart")
    layouts = itertools.product(names, names, ("rows", "columns", "part"))
    cases = [make_case(*sizes, dtype, layout) for layout in itertools.islice(layouts, sizes[1] % 3, None, 3)]
    run_all(cases, products.generated, threads=(2,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", LARGE, ids=str)
def test_large_products_by_panels(sizes: tuple[int, int, int, int], dtype: type) -> None:
    chosen = [
        ("rows", "rows", "rows"),
        ("columns", "rows", "part"),
        ("rows", "columns", "columns"),
        ("part", "part", "rows"),
        ("columns", "columns", "apart"),
        ("apart", "backwards", "rows"),
        ("same", "same", "rows"),
    ]
    run_all([make_case(*sizes, dtype, layouts) for layouts in chosen], by_panels, threads=(2, 3, 4, 7))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [products.generated, by_panels])
@pytest.mark.parametrize("sizes", [(1, 9, 14, 5), (2, 70, 50, 400), (1, 50, 1, 33)], ids=str)
def test_alpha_beta_and_a_separate_addend(sizes: tuple[int, int, int, int], make: Make, dtype: type) -> None:
    cases = [
        make_case(*sizes, dtype, layouts, alpha, beta, separate)
        for layouts in (("rows", "rows", "rows"), ("columns", "columns", "columns"))
        for alpha, beta, separate in (
            (-0.125, 1.0, ""), (2.5, -0.5, ""), (1.0, 1.0, ""), (-1.0, 0.0, ""), (0.5, 0.0, "rows"),
            (1.0, 1.0, "rows"), (-2.0, 0.3, "columns"), (1.0, 2.0, "apart"),
        )
    ]  # fmt: skip
    run_all(cases, make, threads=(2,))


def test_an_addend_may_be_the_same_row_everywhere() -> None:
    """A bias: row stride 0."""
    case = make_case(1, 40, 33, 70, beta=1.0, separate="rows")
    case.c0 = np.broadcast_to(case.c0[:, :1], case.start.shape)
    run_all([case], products.generated)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_along_memory(dtype: type) -> None:
    cases = [
        make_case(batch, m, n, k, dtype, (a, b, c), alpha, beta)
        for batch, m, n, k in ((1, 200, 1, 20), (3, 5, 2, 100), (1, 1, 1, 1000), (2, 17, 4, 8), (1, 513, 1, 259))
        for a, b, c in (("rows", "columns", "rows"), ("part", "rows", "columns"), ("rows", "apart", "apart"))
        for alpha, beta in ((1.0, 0.0), (-0.5, 2.0))
    ]
    assert all(dots.suits(case.product) for case in cases)
    run_all(cases, by_dots, threads=(2, 5))


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
def test_other_vector_widths(vector_bytes: int) -> None:
    cases = [
        make_case(*sizes, dtype, layouts)
        for sizes in ((1, 30, 70, 50), (1, 6, 5, 4), (1, 2, 1, 40))
        for dtype in (np.float32, np.float64)
        for layouts in (("rows", "rows", "rows"), ("columns", "columns", "rows"))
    ]

    def make(module: Module, product: Product) -> Kernel:
        return panels.panel_kernel(module, product, (0, 1), vector_bytes)

    def make_dots(module: Module, product: Product) -> Kernel:
        return dots.dots_kernel(module, product, (0, 1), vector_bytes)

    run_all(cases, make)
    run_all([case for case in cases if dots.suits(case.product)], make_dots)


def test_blocks_of_terms_chunks_of_rows_and_groups_of_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    """With small caches a small product goes through every loop of a large one."""
    monkeypatch.setattr(product_cut, "FIRST_LEVEL", 4096)
    monkeypatch.setattr(product_cut, "BEYOND_FIRST_LEVEL", 4096)
    monkeypatch.setattr(product_cut, "SECOND_LEVEL", 8192)
    monkeypatch.setattr(product_cut, "PACKED", 8192)
    monkeypatch.setattr(product_cut, "MANY_PANELS", 5)
    cases = [
        make_case(2, m, n, 170, dtype, layouts, alpha, beta)
        for m, n in ((100, 100), (131, 90), (48, 300))
        for dtype in (np.float32, np.float64)
        for layouts in (("rows", "rows", "rows"), ("columns", "columns", "rows"), ("apart", "rows", "columns"))
        for alpha, beta in ((1.0, 0.0), (-0.5, 1.5))
    ]
    cuts = [product_cut.choose_cut(products.oriented(case.product)[0], target.host().vector_bytes) for case in cases]
    assert any(cut.packs_a for cut in cuts)
    assert any(cut.group > 1 for cut in cuts)
    run_all(cases, by_panels)


def end_of(x: np.ndarray) -> End:
    return End("bool" if x.dtype == bool else f"f{8 * x.itemsize}", strides_of(x))


def check_epilogue(
    case: Case, apply: Apply, expected: Callable[..., list[np.ndarray]], read: list[np.ndarray], layouts: list[str]
) -> None:
    """Run a product with an epilogue that writes arrays of these layouts, on one thread and on several."""
    shape = case.start.shape
    wanted = expected(case, *read)
    results = [matrices(x, *shape, np.float64).astype(y.dtype) for x, y in zip(layouts, wanted, strict=True)]
    for k, layout in enumerate(layouts):
        if layout == "columns":
            results[k] = np.ascontiguousarray(results[k].transpose(0, 2, 1)).transpose(0, 2, 1)
    like = next((x for x in results if x.dtype == case.a.dtype), results[0])
    product = product_of(case.a, case.b, like, case.alpha, case.beta, case.c0)
    epilogue = Epilogue("test", tuple(map(end_of, read)), tuple(map(end_of, results)), apply)
    (runner,) = runners([lambda module: products.finished_kernel(module, product, epilogue)])
    addends = [] if case.c0 is None else [case.c0]
    before = None
    for threads in (1, 2, 3):
        for x in results:
            x[...] = True if x.dtype == bool else np.nan
        runner.run([case.a, case.b, *addends, *read, *results], threads)
        for x, y in zip(results, wanted, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4 if case.a.itemsize == 4 else 1e-11, atol=1e-4)
        bits = [x.tobytes() for x in results]
        assert before is None or before == bits
        before = bits


def summed(case: Case) -> np.ndarray:
    """Return the product and its addend."""
    return case.alpha * (case.a @ case.b) + (0 if case.c0 is None else case.beta * case.c0)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(1, 8, 8, 8), (1, 40, 33, 70), (3, 61, 35, 130), (1, 130, 64, 300)], ids=str)
def test_epilogues(sizes: tuple[int, int, int, int], dtype: type, split: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums wait in a result of their kind where there is one; the operands may be the same along an axis."""
    if split:
        monkeypatch.setattr(product_cut, "FIRST_LEVEL", 4096)
        monkeypatch.setattr(product_cut, "BEYOND_FIRST_LEVEL", 4096)
        monkeypatch.setattr(product_cut, "SECOND_LEVEL", 8192)
    case = make_case(*sizes, dtype, alpha=-0.5, beta=1.0, separate="rows")
    plain = make_case(*sizes, dtype, ("columns", "rows", "rows"))
    full = matrices("part", *case.start.shape, dtype)
    row = np.broadcast_to(full[:, :1], full.shape)
    column = np.broadcast_to(full[:, :, 1:2], full.shape)
    chosen = matrices("rows", *case.start.shape, np.float64) > 0

    def scaled(sums: Lanes, read: Sequence[Lanes]) -> list[Lanes]:
        positive = sums > 0.0
        return [positive.select(sums, 0.0) * read[0], positive, sums + read[1]]

    def scaled_in_numpy(case: Case, first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
        y = summed(case)
        return [np.maximum(y, 0) * first, y > 0, y + second]

    def masked(sums: Lanes, read: Sequence[Lanes]) -> list[Lanes]:
        return [(sums > read[0]).select(read[1], False)]

    for layouts in (["rows", "rows", "columns"], ["columns", "rows", "columns"], ["apart", "rows", "rows"]):
        check_epilogue(case, scaled, scaled_in_numpy, [row, column], layouts)
        check_epilogue(plain, scaled, scaled_in_numpy, [full, row], layouts)
    for layout in ("rows", "columns"):
        check_epilogue(plain, masked, lambda case, x, c: [(summed(case) > x) & c], [column, chosen], [layout])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blas(blas: Blas, dtype: type) -> None:
    cases = [
        make_case(*sizes, dtype, layouts, alpha, beta, separate)
        for sizes in ((1, 150, 70, 90), (3, 70, 160, 64), (2, 49, 97, 30))
        for layouts in (("rows", "rows", "rows"), ("columns", "rows", "part"), ("rows", "columns", "columns"))
        for alpha, beta, separate in ((1.0, 0.0, ""), (-0.5, 1.0, ""), (2.0, 0.5, "part"))
    ]
    run_all(cases, by_blas(blas), blas)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blas_gives_the_same_bits_whatever_the_share(blas: Blas, dtype: type) -> None:
    sizes = [(1, 128, 512, 784), (1, 513, 130, 300), (1, 777, 100, 129), (1, 100, 1001, 400)]
    layouts = [("rows", "rows", "rows"), ("columns", "rows", "rows"), ("rows", "columns", "rows")]
    cases = [make_case(*s, dtype, x) for s in sizes for x in layouts]
    run_all(cases, by_blas(blas), blas, threads=(2, 3, 4, 5))


def test_blas_cannot_express_every_stride() -> None:
    for layouts in (("apart", "rows", "rows"), ("rows", "backwards", "rows"), ("rows", "rows", "apart")):
        assert not expressible(make_case(1, 9, 8, 7, layouts=layouts).product)
    for layouts in (("part", "columns", "rows"), ("columns", "part", "part")):
        assert expressible(make_case(1, 9, 8, 7, layouts=layouts).product)
    assert not expressible(make_case(1, 9, 8, 7, layouts=("rows", "rows", "columns")).product)


def test_large_products_are_left_to_blas() -> None:
    found = libraries.find()
    if found is None:
        pytest.skip("no BLAS here")
    product = make_case(1, 1500, 1500, 1500).product
    assert found.convention in products.product_kernel(Module(), product).name
    assert "cblas" not in products.generated_or_blas(Module(), product, None).name


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_sums_of_nothing(beta: float) -> None:
    run_all([make_case(2, m, n, 0, beta=beta) for m, n in ((3, 4), (1, 1), (100, 60))], products.product_kernel)


def test_products_with_nothing_in_them() -> None:
    run_all([make_case(*s) for s in ((0, 3, 4, 5), (1, 0, 4, 5), (1, 3, 0, 5), (1, 0, 0, 0))], products.product_kernel)


def test_nan_and_infinity_spread_as_they_should() -> None:
    case = make_case(1, 30, 40, 20)
    case.a[0, 3, 5], case.b[0, 7, 9] = np.nan, np.inf
    (runner,) = runners([lambda module: products.generated(module, case.product)])
    result = case.run(runner)
    assert np.array_equal(np.isnan(result), np.isnan(case.a @ case.b))
    assert np.array_equal(np.isinf(result), np.isinf(case.a @ case.b))


def test_a_zero_alpha_still_multiplies() -> None:
    case = make_case(1, 3, 4, 5, alpha=0.0)
    case.a[0, 1, 1] = np.nan
    (runner,) = runners([lambda module: products.generated(module, case.product)])
    result = case.run(runner)
    assert np.isnan(result[0, 1]).all()
    assert (result[0, [0, 2]] == 0).all()


def test_equal_products_share_one_kernel() -> None:
    module = Module()
    case = make_case(1, 40, 50, 60)
    first = products.product_kernel(module, case.product)
    text = module.text()
    assert products.product_kernel(module, case.product) == first
    assert module.text() == text
    found = libraries.find()
    if found is not None:
        a, b = (products.by_blas(module, make_case(1, m, 90, 90).product, found) for m in (100, 200))
        assert a.name == b.name
        assert a.sizes != b.sizes


@pytest.mark.parametrize("sizes", [(40, 30, 20), (4, 4, 4), (200, 1, 20), (300, 300, 100)], ids=str)
def test_more_members_need_no_other_kernel(sizes: tuple[int, int, int]) -> None:
    cases = [make_case(members, *sizes) for members in (32, 64, 65)]
    found = [products.generated(Module(), case.product) for case in cases]
    assert len({kernel.name for kernel in found}) == 1
    assert len({kernel.extent for kernel in found}) == 3
    run_all(cases, products.generated)


def random_case(dtype: type, layouts: tuple[str, ...]) -> Case:
    """Return a case of any sizes: round those of tiles, and far from them."""
    m = int(rng.choice([1, 2, 5, 8, 11, 12, 13, 20, 24, 25, 28, 30, 32, 36, 37, 47, 49, 52, 61, 100, 203]))
    n = int(rng.choice([1, 2, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 40, 64, 70]))
    k = int(rng.choice([0, 1, 2, 7, 8, 9, 31, 64, 65, 130, 163, 300, 511]))
    alpha, beta = ((1.0, 0.0), (1.0, 1.0), (-0.5, 0.0), (0.5, 2.0))[rng.integers(4)]
    a, b, c, c0 = (str(rng.choice(layouts)) for _ in range(4))
    separate = c0 if beta and rng.random() < 0.5 else ""
    return make_case(int(rng.choice([1, 1, 3])), m, n, k, dtype, (a, b, c), alpha, beta, separate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layouts", [("rows",), ("rows", "columns"), ("rows", "columns", "part", "apart")], ids=str)
def test_any_sizes_in_one_module(layouts: tuple[str, ...], dtype: type) -> None:
    """Kernels of one name serve products of many sizes and strides."""
    cases = [random_case(dtype, layouts) for _ in range(40)]
    run_all(cases, products.generated)


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize(
    "rows", [(24, 25, 26, 28, 29, 31, 33), (35, 36, 37, 45, 47, 49, 50), (1, 2, 3, 11, 13, 19, 23)]
)
def test_every_number_of_rows_beyond_a_tile(rows: tuple[int, ...], vector_bytes: int) -> None:
    def make(module: Module, product: Product) -> Kernel:
        return panels.panel_kernel(module, product, (0, 1), vector_bytes)

    cases = [make_case(1, m, n, k, beta=beta) for m in rows for n, k in ((70, 30), (9, 70)) for beta in (0.0, 1.0)]
    run_all(cases, make)


@pytest.mark.parametrize(
    ("sizes", "others"),
    [
        ((128, 100, 300), [(96, 100, 300), (61, 100, 300), (250, 100, 999), (24, 100, 270)]),
        ((784, 96, 300), [(784, 96, 261), (784, 96, 500)]),
        ((40, 20, 10), [(24, 20, 20), (31, 20, 11)]),
        ((128, 10, 300), [(33, 10, 300), (500, 10, 777)]),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "layouts", [("rows", "rows", "rows"), ("columns", "rows", "rows"), ("rows", "columns", "rows")]
)
def test_other_sizes_need_no_other_code(
    sizes: tuple[int, int, int], others: list[tuple[int, int, int]], layouts: tuple[str, str, str]
) -> None:
    """The rows of A, and the terms, are what a batch changes."""
    check_same_code([make_case(1, *some, layouts=layouts).product for some in (sizes, *others)])


def check_same_code(wanted: list[Product]) -> None:
    """Check that all products need the code of the first and no other."""
    module = Module()
    products.generated(module, wanted[0])
    text = module.text()
    for product in wanted[1:]:
        products.generated(module, product)
        assert module.text() == text


@pytest.mark.parametrize(
    "sizes", [((100, 1, 200), (33, 1, 200), (1000, 1, 999)), ((1, 1, 3000), (1, 1, 5000))], ids=str
)
def test_sums_along_memory_of_other_sizes_need_no_other_code(sizes: tuple[tuple[int, int, int], ...]) -> None:
    check_same_code([make_case(1, *some).product for some in sizes])


def test_stacks_of_other_sizes_need_no_other_code() -> None:
    """Not the strides between members either."""
    layouts = ("rows", "columns", "rows")
    sizes = [(4, 128, 64, 32), (8, 96, 64, 32), (3, 77, 64, 48), (1, 128, 64, 32)]
    check_same_code([make_case(*some, layouts=layouts).product for some in sizes])


def test_epilogues_of_products_of_other_sizes_in_one_module() -> None:
    """Strides of what an epilogue reads and writes are in no name but for 0 and 1."""
    cases, given, wanted, epilogues = [], [], [], []

    def shifted(sums: Lanes, read: Sequence[Lanes]) -> list[Lanes]:
        return [sums + read[0], sums * read[1]]

    for m, n, k in ((40, 33, 70), (61, 65, 50), (100, 33, 64), (24, 97, 80), (12, 40, 90)):
        for layouts in (("rows", "columns"), ("columns", "part")):
            case = make_case(2, m, n, k)
            full, row = matrices("part", 2, m, n, np.float32), matrices("rows", 2, 1, n, np.float32)
            read = [full, np.broadcast_to(row, full.shape)]
            results = [matrices(layout, 2, m, n, np.float32) for layout in layouts]
            product = product_of(case.a, case.b, results[0])
            cases.append(product)
            given.append([case.a, case.b, *read, *results])
            wanted.append([case.a @ case.b + read[0], (case.a @ case.b) * read[1]])
            epilogues.append(Epilogue("shifted", tuple(map(end_of, read)), tuple(map(end_of, results)), shifted))
    makes = [
        lambda module, p=p, e=e: products.finished_kernel(module, p, e) for p, e in zip(cases, epilogues, strict=True)
    ]
    for threads in (1, 2, 3):
        for runner, arrays, expected in zip(runners(makes), given, wanted, strict=True):
            runner.run(arrays, threads)
            for x, y in zip(arrays[-2:], expected, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)


def test_numpy_s_own_blas_comes_first() -> None:
    found = libraries.find()
    assert found == (libraries.numpy_openblas() or libraries.packaged_openblas() or libraries.scipy_blas())
    if found is not None:
        assert set(found.functions) == set(libraries.FUNCTIONS)
        assert all(found.functions.values())
        assert set(found.symbols().values()) == set(found.functions.values())


def test_one_thread_is_set_and_restored(blas: Blas) -> None:
    if not blas.set_threads:
        pytest.skip("this BLAS has no threads to set")
    count = ctypes.CFUNCTYPE(ctypes.c_int)(blas.get_threads)
    before = count()
    with libraries.single_threaded(blas):
        assert count() == 1
    assert count() == before
