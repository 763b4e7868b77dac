from collections.abc import Callable, Iterator

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.precision import Float32Mode, matmul_fp32, settle, weights_dtype
from sdcorr.errors import UserError
from tests import models

MODES = {"fp32": "ieee", "tf32": "tf32", "bf16": "ieee"}


def flag_for(kernel: str) -> str:
    """What is in force for a kernel; of matrix products, on GPUs and on CPUs."""
    if kernel.startswith("convolution"):
        return torch.backends.cudnn.conv.fp32_precision
    gpu, cpu = torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision
    return gpu if gpu == cpu else f"{gpu} and {cpu}"


class Watch(TorchDispatchMode):
    """The flag in force at every product that reaches a kernel: [(kernel's name, flag)]."""

    def __init__(self):
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def __torch_dispatch__(self, kernel, types, args=(), kwargs=None):
        name = kernel.overloadpacket.__name__
        if name in ("mm", "addmm", "bmm", "convolution", "convolution_backward"):
            self.seen.append((name, flag_for(name)))
        return kernel(*args, **(kwargs or {}))

    def of(self, *names: str) -> set[str]:
        """The flags in force at the kernels of these names, which must have been there."""
        found = [flag for name, flag in self.seen if name in names]
        assert found
        return set(found)


def everything() -> list[str]:
    """All flags that a mode sets."""
    parts = [torch.backends.mkldnn.matmul, torch.backends.cuda.matmul]
    return [part.fp32_precision for part in (*parts, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """torch's own settings after the test."""
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.mkldnn.matmul.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "none"
    torch.backends.cudnn.allow_tf32 = True


def own(choice: str) -> None:
    """Settings that somebody may have made before."""
    if choice == "one by one":
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        torch.backends.cudnn.conv.fp32_precision = "ieee"
    elif choice != "torch's":
        torch.set_float32_matmul_precision(choice)


CHOICES = ["torch's", "highest", "high", "medium", "one by one"]


def test_weights_dtype():
    assert [weights_dtype(p) for p in MODES] == [torch.float32, torch.float32, torch.bfloat16]
    with pytest.raises(UserError, match="precision='fp16' is unknown: choose from fp32, tf32, bf16"):
        weights_dtype("fp16")


class TestFloat32Mode:
    @pytest.mark.parametrize("choice", CHOICES)
    @pytest.mark.parametrize("precision", MODES)
    def test_inside_and_after(self, precision, choice):
        own(choice)
        before = everything()
        with Float32Mode(precision):
            assert everything() == [MODES[precision]] * 4
            assert torch.get_float32_matmul_precision() == {"ieee": "highest", "tf32": "high"}[MODES[precision]]
            assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")  # torch.compile asks; flags may not differ
        assert everything() == before

    @pytest.mark.parametrize("choice", CHOICES[:4])
    def test_overall_word_after(self, choice):
        own(choice)
        before = torch.get_float32_matmul_precision()
        for precision in MODES:
            with Float32Mode(precision):
                pass
            assert torch.get_float32_matmul_precision() == before

    def test_nested(self):
        with Float32Mode("tf32"):
            with Float32Mode("fp32"):
                assert everything() == ["ieee"] * 4
            assert everything() == ["tf32"] * 4

    def test_gradient_goes_through_unchanged_and_in_the_mode(self):
        mode, before, seen = Float32Mode("tf32"), everything(), []
        x = torch.tensor([3.0], requires_grad=True)
        inside = mode.way_in(x)
        middle = inside * 2
        middle.register_hook(lambda gradient: seen.append(everything()))
        y = mode.way_out(middle * 5)
        y.register_hook(lambda gradient: seen.append(everything()))
        (y * 1).backward()
        assert seen == [["tf32"] * 4] * 2
        assert x.grad.item() == 10
        assert everything() == before


class TestMatmul:
    @pytest.mark.parametrize(
        "a, b", [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((1, 2, 3, 4), (6, 2, 4, 5)), ((3, 4), (6, 4, 5))]
    )
    def test_values_and_gradients_are_those_of_the_product(self, a, b):
        generator = torch.Generator().manual_seed(0)
        a, b = (torch.randn(shape, generator=generator, requires_grad=True) for shape in (a, b))
        assert torch.equal(matmul_fp32(a, b), a @ b)
        weights = torch.randn((a @ b).shape, generator=generator)
        ours, expected = (torch.autograd.grad(f(a, b), (a, b), weights) for f in (matmul_fp32, torch.matmul))
        torch.testing.assert_close(ours, expected)

    def test_gradient(self):
        a = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
        b = torch.randn(2, 2, 4, 2, dtype=torch.float64, requires_grad=True)
        assert gradcheck(matmul_fp32, (a, b))
        assert gradgradcheck(matmul_fp32, (a, b))

    def test_nothing_is_computed_for_a_constant(self):
        a, b = torch.randn(3, 4), torch.randn(4, 5, requires_grad=True)
        with Watch() as watch:
            matmul_fp32(a, b).sum().backward()
        assert len(watch.seen) == 2  # forward, and b's gradient

    def test_ieee_in_both_directions(self):
        a, b = (torch.randn(2, 3, 3, requires_grad=True) for _ in range(2))
        with Float32Mode("tf32"), Watch() as watch:
            matmul_fp32(a, b).sum().backward()
        assert len(watch.seen) == 3 and watch.of("bmm") == {"ieee"}


class TestNetwork:
    @pytest.fixture(scope="class")
    def load(self, two_level_folder) -> Callable[[str], FrozenDiffusion]:
        layers = models.TWO_LEVEL_LAYERS
        return lambda precision: FrozenDiffusion.load(str(two_level_folder), layers=layers, precision=precision)

    @staticmethod
    def inputs(model: FrozenDiffusion) -> tuple[torch.Tensor, int, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        embeddings = torch.randn(2, model.tokens, model.width, generator=generator).requires_grad_()
        return torch.randn(2, 4, 16, 16, generator=generator), 140, embeddings

    @pytest.mark.parametrize("precision", MODES)
    @pytest.mark.parametrize("choice", ["torch's", "high"])
    def test_mode_inside_and_ieee_where_maps_are_read(self, load, precision, choice):
        own(choice)
        before, model = everything(), load(precision)
        with Watch() as forward:
            maps = model.attention_maps(*self.inputs(model))
        assert everything() == before
        with Watch() as backward:
            sum(m.sum() for m in maps).backward()
        assert everything() == before
        mode = {MODES[precision]}
        assert forward.of("convolution") == forward.of("mm", "addmm") == mode
        assert backward.of("convolution_backward") == backward.of("mm") == mode
        assert forward.of("bmm") == backward.of("bmm") == {"ieee"}  # the scores of what is read

    @pytest.mark.parametrize("precision", MODES)
    def test_mode_for_given_attention_queries(self, load, precision):
        before, model = everything(), load(precision)
        noisy, timestep, embeddings = self.inputs(model)
        queries = model.attention_queries(noisy, timestep, embeddings)
        with Watch() as watch:
            sum(m.sum() for m in model.attend(queries, embeddings)).backward()
        assert watch.of("mm") == {MODES[precision]} and watch.of("bmm") == {"ieee"}
        assert everything() == before

    @pytest.mark.parametrize("precision", MODES)
    def test_mode_of_the_autoencoder(self, load, precision):
        with Watch() as watch:
            load(precision).encode(torch.rand(1, 3, 64, 64))
        assert watch.of("convolution", "mm", "addmm") == {MODES[precision]}

    def test_each_backward_has_its_own_models_mode(self, load):
        strict, fast = load("fp32"), load("tf32")
        losses = [sum(m.sum() for m in model.attention_maps(*self.inputs(model))) for model in (fast, strict)]
        for loss, mode in zip(losses, ("tf32", "ieee"), strict=True):
            with Watch() as watch:
                loss.backward()
            assert watch.of("convolution_backward", "mm") == {mode}

    def test_a_pass_that_failed_is_put_right_by_the_next(self, load):
        before, model = everything(), load("tf32")

        def fail(gradient: torch.Tensor) -> None:
            raise torch.OutOfMemoryError("no memory left")

        def fail_at(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            output.register_hook(fail)

        hook = model.unet.mid_block.register_forward_hook(fail_at)
        loss = sum(m.sum() for m in model.attention_maps(*self.inputs(model)))
        hook.remove()
        with pytest.raises(torch.OutOfMemoryError):
            loss.backward()
        assert everything() == ["tf32"] * 4  # nobody was there to take it back
        own("highest")
        with Watch() as watch:
            sum(m.sum() for m in model.attention_maps(*self.inputs(model))).backward()
        assert watch.of("convolution", "convolution_backward", "mm", "addmm") == {"tf32"}
        assert everything() == before

    def test_on_a_cpu_tf32_is_fp32(self, load):
        maps = []
        for precision in ("fp32", "tf32"):
            model = load(precision)
            inputs = self.inputs(model)
            read = model.attention_maps(*inputs)
            sum(m.square().sum() for m in read).backward()
            maps.append([*read, inputs[-1].grad])
        for strict, fast in zip(*maps, strict=True):
            assert torch.equal(strict, fast)


class TestSettle:
    @pytest.fixture
    def able(self, monkeypatch) -> Callable[[bool], None]:
        """Says what the processor can."""
        return lambda can: monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": can})

    @pytest.mark.parametrize(
        "can, device, large, expected",
        [
            (True, "cpu", True, "bf16"),
            (True, "cpu", False, "fp32"),  # as the toybox's, which gains nothing
            (False, "cpu", True, "fp32"),
            (True, "cuda", True, "fp32"),
        ],
    )
    def test_auto(self, able, can, device, large, expected):
        able(can)
        assert settle("auto", torch.device(device), large) == expected

    def test_what_is_said_is_done(self, able):
        able(True)
        assert settle("tf32", torch.device("cpu"), True) == "tf32"

    def test_a_small_model_is_loaded_in_float32(self, two_level_folder):
        assert FrozenDiffusion.load(str(two_level_folder), precision="auto").precision == "fp32"
