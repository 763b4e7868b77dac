"""The command for a GPU, on a CPU with the smallest model; and what a step costs beside the network."""

import json

import gpu
import pytest
import torch
from flops import PartFlops
from overhead import bound_seconds, network_seconds, standin_seconds
from problem import SOURCE, make_unit, picture

from sdcorr.errors import UserError
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import FastMatcher

CPU = torch.device("cpu")
SMALL = "--model toybox --device cpu --points 1 --restarts 1 --steps 2 --crops 1 --sweep-steps 1 --matrix 64".split()
SETTINGS = PromptSettings(steps=2, restarts=1)


PARTS = PartFlops(whole=8 * 10**9, forward=5 * 10**9, backward=5 * 10**9, prelude=10**9, encode=11 * 10**9)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """FLOPs that are counted elsewhere; and the script sets its own number of threads."""
    monkeypatch.setattr(gpu, "part_flops", lambda model: PARTS)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_everything_is_measured_with_the_best_flags(tmp_path):
    gpu.main(
        [*SMALL, "--precision", "fp32", "bf16", "--channels-last", "yes", "--compile", "no", "--out", str(tmp_path)]
    )
    result = json.loads((tmp_path / "gpu-toybox-cpu.json").read_text())
    assert [trial["precision"] for trial in result["trials"]] == ["fp32", "bf16"]
    fastest = max(result["trials"], key=lambda trial: trial["rate"])
    best = result["best"]
    assert best["precision"] == fastest["precision"]
    assert best["run, added steps"]["flops"] == best["fit, added steps"]["flops"] == 10e9  # two steps less one
    # Two steps, the one query by which the memory is told, and one crop or two, which are encoded.
    assert best["run"]["flops"] - 3 * 10e9 in (11e9, 2 * 11e9)
    assert best["run"]["rate"] == pytest.approx(best["run"]["flops"] / best["run"]["seconds"])
    assert best["overhead"]["fit"] < 1 and result["matrix_rate"] > 0
    page = (tmp_path / "gpu-toybox-cpu.md").read_text()
    assert f"model.precision={best['precision']} model.channels_last=true model.compile=false" in page
    assert "PF-Willow" in page and "of the matrix rate" in page


def test_hours_count_a_source_once_and_a_transfer_for_every_pair(monkeypatch):
    """PF-Willow: 9,000 pair-points, 9 targets a source."""

    def optimizer(backbone, settings, *others):
        seconds = 36.0 if settings.steps == 30 else 20.0 * settings.steps
        return lambda: {"seconds": seconds, "rate": 1.0, "flops": 1.0 * settings.steps, "peak_bytes": None}

    monkeypatch.setattr(gpu, "optimizer", optimizer)
    monkeypatch.setattr(gpu, "network_seconds", lambda *args, **options: 15.0)
    monkeypatch.setattr(gpu, "seconds_of", lambda work, device: 5.0)
    args = gpu.parse([*SMALL, "--points", "10"])  # and one step of the sweep
    model = gpu.model_named("toybox")
    best = gpu.measure_best(model, gpu.Flags("fp32", False, False), args, PartFlops(1, 1, 1, 1, 1))
    assert best["hours"]["PF-Willow"] == pytest.approx(9000 * (36 / 9 + 5) / 10 / 3600)
    assert best["points_an_hour"] == 1000
    assert best["overhead"]["fit"] == pytest.approx(1 - 15 / 20)


def test_flags_that_do_not_work_are_reported_and_the_others_measured(tmp_path, monkeypatch):
    load = gpu.load

    def refuse(model, device, precision, **options):
        if precision == "bf16":
            raise UserError("There is no bf16 here.")
        return load(model, device, precision=precision, **options)

    monkeypatch.setattr(gpu, "load", refuse)
    flags = ["--precision", "bf16", "fp32", "--channels-last", "no", "--compile", "no"]
    gpu.main([*SMALL, *flags, "--out", str(tmp_path)])
    result = json.loads((tmp_path / "gpu-toybox-cpu.json").read_text())
    assert result["trials"][0]["failed"] == "There is no bf16 here."
    assert result["best"]["precision"] == "fp32"


def test_no_flags_work(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise RuntimeError("no such kernel\nand a long story")

    monkeypatch.setattr(gpu, "load", refuse)
    with pytest.raises(UserError, match="No combination"):
        gpu.main([*SMALL, "--precision", "fp32", "--out", str(tmp_path)])
    assert "no such kernel |" in (tmp_path / "gpu-toybox-cpu.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(UserError, match="no CUDA device"):
        gpu.main(["--model", "toybox"])


def test_overhead_alone(tmp_path):
    gpu.main(
        ["--overhead", "--device", "cpu", "--points", "1", "--restarts", "1", "--steps", "2", "--out", str(tmp_path)]
    )
    seconds = json.loads((tmp_path / "overhead-sd14-cpu.json").read_text())["overhead"]
    assert seconds["bound"] == pytest.approx(10e9 / (0.4 * 790e12))
    assert 0 < seconds["arithmetic"] < seconds["run"] < seconds["fit"]  # a Trainer's start outlasts two steps
    assert "| bookkeeping |" in (tmp_path / "overhead-sd14-cpu.md").read_text()


def test_a_steps_bound():
    assert bound_seconds(PartFlops(0, 60e12, 40e12, 0, 0), 3.16) == pytest.approx(1)


def test_the_stand_in_needs_no_network_time():
    few, many = (standin_seconds(PromptSettings(steps=steps, restarts=1), 1, CPU, "csv") for steps in (2, 20))
    assert many["fit"] < few["fit"]  # what is done once is shared by the steps


def test_the_networks_own_seconds(small_backbone):
    matcher = FastMatcher(small_backbone, PromptSettings(steps=2, restarts=1, sigma=4.0), "test")
    module, crops = matcher.problem(picture(SOURCE), make_unit(1, 1).points, SOURCE)
    before = module.embeddings.detach().clone()
    assert network_seconds(module, crops, repeats=1) > 0
    assert not torch.equal(module.embeddings, before)  # it is a step, Adam included


def test_the_matrix_rate_is_two_flops_a_product(monkeypatch):
    monkeypatch.setattr(gpu, "seconds_of", lambda work, device, repeats=1: 0.5)
    assert gpu.matrix_rate(CPU, 4) == 2 * 4**3 / 0.5
