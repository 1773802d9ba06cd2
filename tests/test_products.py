"""Products are the same by either of torch's libraries, in every layout; which is called no clock decides."""

import itertools
from importlib.util import find_spec, module_from_spec

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.pytorch_utils import Conv1D

from acdc.models.products import RightSide, packs, pairwise_products, product, quick_modules

#: Rows, terms and columns: tiny, thin in each direction, long enough to be cut, and large.
SHAPES = [
    (3, 5, 7),
    (1500, 1100, 1),
    (1, 1500, 1100),
    (1100, 6, 700),
    (20, 576, 1400),
    (200, 1000, 128),
    (300, 256, 320),
]
LARGE = (300, 256, 320)


def by_onednn(call):
    """What a call gives, and whether oneDNN has multiplied in it."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        found = call()
    return found, any("mkldnn" in event.key for event in seen.key_averages())


def copies(call):
    """How many right sides are put into oneDNN's own order in a call."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        call()
    return sum(event.count for event in seen.key_averages() if "_reorder_linear_weight" in event.key)


def has_512_bits():
    return torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def left_sides(rows, terms):
    x = torch.randn(rows, terms)
    yield "dense", x
    yield "a part", torch.cat([torch.randn(rows, 3), x], 1)[:, 3:]
    yield "turned", x.T.contiguous().T
    yield "every other", torch.stack([x, x + 1], 1).flatten(0, 1)[::2]
    yield "one row", x[:1].expand(rows, -1)


def right_sides(terms, columns):
    weight = torch.randn(terms, columns)
    yield "dense", weight
    yield "turned", weight.T.contiguous().T
    yield "some columns", torch.cat([torch.randn(terms, 5), weight], 1)[:, 5:]
    yield "some terms, turned", torch.cat([torch.randn(columns, 5), weight.T], 1)[:, 5:].T
    yield "some rows", torch.cat([torch.randn(2, columns), weight])[2:]
    yield "one column", weight[:, :1].expand(-1, columns)


def bases(rows, columns):
    base = torch.randn(rows, columns)
    yield "none", None
    yield "for all rows", base[0]
    yield "for each row", base
    yield "for each row, turned", base.T.contiguous().T
    yield "one row", base[:1]
    yield "one column", base[:, :1].expand(-1, columns)


def exact(x, weight, base=None):
    """The product in float64, and how large all that is summed up is at most."""
    x, weight = x.double(), weight.double()
    found, size = x @ weight, x.abs() @ weight.abs()
    return (found, size.max()) if base is None else (found + base, (size + base.abs()).max())


def assert_close(found, expected):
    __tracebackhide__ = True
    (exactly, size) = expected
    assert found.shape == exactly.shape
    # Roundings of sums hardly ever all point the same way.
    assert not found.numel() or float((found - exactly).abs().max()) <= 1e-6 * float(size)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("in_parts", [False, True])
def test_products_are_right_however_both_sides_lie_in_memory(shape, in_parts):
    rows, terms, columns = shape
    for (_, x), (_, weight) in itertools.product(left_sides(rows, terms), right_sides(terms, columns)):
        exactly, size = exact(x, weight)
        for _, base in bases(rows, columns):
            expected = exactly if base is None else exactly + base, size
            assert_close(product(x, weight, base, in_parts=in_parts, repeats=40), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_room_may_be_used_for_the_result_and_be_what_is_added(shape):
    rows, terms, columns = shape
    x, weight, base = torch.randn(rows, terms), torch.randn(terms, columns), torch.randn(rows, columns)
    assert_close(product(x, weight, out=torch.full_like(base, torch.nan)), exact(x, weight))
    expected = exact(x, weight, base)
    assert_close(product(x, weight, base, out=base), expected)


def test_all_but_the_last_dimension_are_rows():
    x, weight, base = torch.randn(5, 60, 256), torch.randn(256, 320), torch.randn(320)
    assert_close(product(x, weight, base), exact(x, weight, base))
    assert product(x[:, :0], weight).shape == (5, 0, 320)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [0, 1, 3])
def test_several_products_are_those_of_each_pair(shape, n):
    rows, terms, columns = shape
    weight = torch.randn(n, terms, columns)
    for x in (torch.randn(n, rows, terms), torch.randn(rows, terms).expand(n, -1, -1)):
        out = torch.full((n, rows, columns), torch.nan)
        assert pairwise_products(x, weight, out=out) is out
        for found in (out, pairwise_products(x, weight), pairwise_products(x, weight.mT.contiguous().mT)):
            assert found.shape == out.shape
            for one, left, right in zip(found, x, weight, strict=True):
                assert_close(one, exact(left, right))


def test_the_same_product_is_rounded_the_same_way_whatever_came_before():
    x, weight = torch.randn(300, 256), torch.randn(256, 320)
    first = product(x, weight)
    for rows in range(260, 300, 8):
        product(x[:rows], weight)
    assert torch.equal(product(x, weight), first)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_right_side_of_many_products_gives_what_each_would_alone(shape):
    rows, terms, columns = shape
    left = torch.randn(9000, terms)
    for _, weight in right_sides(terms, columns):
        right = RightSide(weight, torch.empty)
        for _ in range(2):  # there is a copy behind the first products of so many rows
            for x in (left[:rows], left):
                for base in (None, torch.randn(columns), torch.randn(len(x), columns)):
                    found = right.product(x, base)
                    assert_close(found, exact(x, weight, base))
                    assert torch.equal(found, product(x, weight, base))


def test_a_right_side_may_have_a_gradient_and_be_in_float64():
    x, weight = torch.randn(9000, 256), torch.randn(256, 320, requires_grad=True)
    for _ in range(2):
        right = RightSide(weight, torch.empty)
        with torch.no_grad():
            for _ in range(2):  # there may be a copy then
                assert torch.equal(right.product(x), product(x, weight))
        right.product(x).sum().backward()
        assert torch.allclose(weight.grad[:, 0], x.sum(0), rtol=1e-4, atol=1e-3)
        x, weight = x.double(), weight.detach().double().requires_grad_()


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.skipif(not has_512_bits(), reason="the processor has no 512-bit instructions")
def test_a_right_side_is_copied_once_many_rows_have_been_multiplied_by_it():
    x, weight = torch.randn(5000, 256), torch.randn(256, 320)
    assert packs()  # tries out what is called, besides
    with torch.backends.mkldnn.flags(enabled=False):
        assert not packs()
    for room in (torch.empty, None):
        right = RightSide(weight, room)
        assert [copies(lambda right=right: right.product(x)) for _ in range(3)] == [0, int(room is not None), 0]


@pytest.mark.parametrize("terms", [64, 192, 193, 576, 1000, 3072])
def test_a_value_that_is_no_difference_is_as_exact_as_by_torch(terms):
    x, weight = torch.randn(160, terms), torch.randn(terms, 192)
    expected = x.double() @ weight.double()
    error, usual = (
        (found - expected).square().mean().sqrt() for found in (product(x, weight, in_parts=True), x @ weight)
    )
    assert error <= 1.2 * usual


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.skipif(not has_512_bits(), reason="the processor has no 512-bit instructions")
def test_large_products_go_to_onednn_in_float32_where_no_gradient_is_wanted():
    rows, terms, columns = LARGE
    x, weight, few = torch.randn(rows, terms), torch.randn(terms, columns), torch.randn(20, terms)
    product(x, weight)  # the first one tries oneDNN out, which is no answer to what is asked here
    assert by_onednn(lambda: product(x, weight))[1]
    assert by_onednn(lambda: pairwise_products(x.expand(2, -1, -1), weight.expand(2, -1, -1)))[1]
    assert not by_onednn(lambda: product(few, weight))[1]  # to set it up takes longer
    assert by_onednn(lambda: product(few, weight, repeats=20))[1]
    assert not by_onednn(lambda: product(x.double(), weight.double()))[1]
    assert not by_onednn(lambda: product(x, weight.clone().requires_grad_()))[1]
    with torch.no_grad():
        assert by_onednn(lambda: product(x, weight.clone().requires_grad_()))[1]
    with torch.backends.mkldnn.flags(enabled=False):  # torch's own switch
        assert not by_onednn(lambda: product(x, weight))[1]


def test_gradients_go_through_products():
    x, weight = torch.randn(300, 256, requires_grad=True), torch.randn(256, 320, requires_grad=True)
    product(x, weight).sum().backward()
    assert torch.allclose(x.grad, weight.detach().sum(1).expand(300, -1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("module", [nn.Linear(256, 320), nn.Linear(256, 320, bias=False), Conv1D(320, 256)])
def test_modules_multiply_likewise_and_to_the_same(module):
    x = torch.randn(3, 100, 256)
    with torch.no_grad():
        expected = module(x)
        with quick_modules(300, 256):
            found, seen = by_onednn(lambda: module(x))
    assert seen == has_512_bits()
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_modules_of_which_a_gradient_is_wanted_are_left_alone():
    module, x = nn.Linear(256, 320), torch.randn(300, 256)
    with quick_modules(300, 256):
        found, seen = by_onednn(lambda: module(x))
    assert not seen
    found.sum().backward()
    assert torch.allclose(module.weight.grad[0], x.sum(0), rtol=1e-4, atol=1e-4)


class Packed(torch.Tensor):
    """Weights of a class that multiplies in its own way, and can't do anything else."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args) if func is F.linear else NotImplemented


def test_what_is_no_matrix_of_numbers_is_left_to_torch():
    x, weight = torch.randn(300, 256), torch.randn(320, 256)
    with torch.no_grad(), quick_modules(300, 256):
        found = {
            "one row": F.linear(x[0], weight)[None],
            "one column": F.linear(x, weight[0])[:, None],
            "sparse": F.linear(x, weight.to_sparse()),
            "of its own class": F.linear(x, weight.as_subclass(Packed)),
        }
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            F.linear(x, weight.T)
    for own in found.values():
        rows, columns = own.shape
        assert_close(own.as_subclass(torch.Tensor), exact(x[:rows], weight[:columns].T))


class Sizes(TorchDispatchMode):
    """Notes how large a tensor each operation makes, but for that which makes room for the result."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if not func.is_view and func is not torch.ops.aten.new_empty.default and isinstance(found, torch.Tensor):
            self.made.append(found.numel())
        return found


@pytest.mark.skipif(not has_512_bits(), reason="the processor has no 512-bit instructions")
def test_an_unembedding_is_never_copied_as_a_whole_and_logits_are_in_memory_once():
    x, weight = torch.randn(140, 400), torch.randn(16000, 400)
    with torch.no_grad(), quick_modules(1000, 400), Sizes() as sizes:
        found = F.linear(x, weight)
    assert_close(found, exact(x, weight.T))
    assert sizes.made
    assert max(sizes.made) < min(found.numel(), weight.numel()) / 4


@pytest.mark.skipif(not has_512_bits(), reason="the processor has no 512-bit instructions")
def test_it_is_tried_out_in_float32_on_the_cpu_whatever_is_torchs_default():
    spec = find_spec("acdc.models.products")
    fresh = module_from_spec(spec)
    spec.loader.exec_module(fresh)
    x, weight = torch.randn(300, 256), torch.randn(256, 320)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            fresh.product(x, weight)  # tried out now
            assert by_onednn(lambda: fresh.product(x, weight))[1]
    finally:
        torch.set_default_dtype(torch.float32)
