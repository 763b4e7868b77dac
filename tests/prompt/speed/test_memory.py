import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from sdcorr.errors import UserError
from sdcorr.prompt.speed import memory
from sdcorr.prompt.speed.memory import QueryBatches, free_bytes, saved_bytes

CPU = torch.device("cpu")
VALUES = torch.rand(50, 3)
CPU_ERROR = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to ..."
TOO_LARGE = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(CPU_ERROR),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]


class Work:
    """Doubles rows; batches above `room` do not fit."""

    def __init__(self, room: int = 10**9, error: Exception = TOO_LARGE[0]):
        self.room, self.error = room, error
        self.tried: list[int] = []

    def __call__(self, rows: slice) -> Tensor:
        self.tried.append(rows.stop - rows.start)
        if self.tried[-1] > self.room:
            raise self.error
        return VALUES[rows] * 2


class TestLimit:
    @pytest.mark.parametrize(
        "count, limit, sizes",
        [(50, 40, [25, 25]), (50, 50, [50]), (50, 15, [13, 13, 12, 12]), (10, 4, [4, 3, 3]), (3, 1, [1, 1, 1])],
    )
    def test_batches_are_few_even_and_consecutive(self, count, limit, sizes):
        work = Work()
        assert torch.equal(QueryBatches(limit).run(count, work), VALUES[:count] * 2)
        assert work.tried == sizes

    def test_memory_is_not_looked_at(self):
        work = Work()
        QueryBatches(4, lambda: pytest.fail("measured for nothing")).run(8, work)
        assert work.tried == [4, 4]

    def test_no_query_is_a_mistake(self):
        with pytest.raises(ValueError, match="at least one query, not 0"):
            QueryBatches(4).run(0, Work())


class TestWhatFits:
    @pytest.fixture
    def free(self, monkeypatch):
        """Says how much memory is free."""
        return lambda number: monkeypatch.setattr(memory, "free_bytes", lambda device: number)

    @pytest.mark.parametrize(
        "number, sizes",
        [
            (10**9, [50]),
            (32 * 150 * 10 // 8, [25, 25]),
            (25 * 150 * 10 // 8 + 1, [25, 25]),  # 25 queries of 150 bytes at the peak are 80 % of it
            (25 * 150 * 10 // 8 - 1, [17, 17, 16]),
            (1, [1] * 50),
            (None, [50]),
        ],
    )
    def test_four_fifths_of_the_free_memory_are_filled_to_the_peak(self, free, number, sizes):
        free(number)
        work = Work()
        assert torch.equal(QueryBatches(0, lambda: 100).run(50, work), VALUES * 2)
        assert work.tried == sizes

    def test_the_memory_is_looked_at_every_time_and_a_query_measured_once(self, free):
        measured = []
        batches = QueryBatches(0, lambda: measured.append(1) or 100)
        assert not measured
        for number, sizes in ((10**9, [8]), (4 * 150 * 10 // 8, [4, 4])):
            free(number)
            work = Work()
            batches.run(8, work)
            assert work.tried == sizes
        assert measured == [1]

    def test_without_a_measure_all_go_at_once(self, free):
        free(1)
        work = Work()
        QueryBatches(0).run(50, work)
        assert work.tried == [50]

    def test_a_query_that_cannot_be_measured_is_one_too_many(self, free):
        free(10**9)
        with pytest.raises(UserError, match="too small for a single query"):
            QueryBatches(0, lambda: torch.empty(2**50, dtype=torch.uint8).nbytes).run(8, Work())


class TestOutOfMemory:
    @pytest.mark.parametrize("error", TOO_LARGE, ids=lambda error: type(error).__name__)
    def test_it_goes_on_with_half_and_says_so(self, error):
        work = Work(room=30, error=error)
        with pytest.warns(
            UserWarning, match="50 queries at once .* goes on with 25; no result.*_per_batch=25 "
        ) as told:
            assert torch.equal(QueryBatches(0).run(50, work), VALUES * 2)
        assert work.tried == [50, 25, 25]
        assert len(told) == 1 and told[0].filename == __file__

    def test_once_for_every_halving(self):
        work = Work(room=7)
        with pytest.warns(UserWarning) as told:
            assert torch.equal(QueryBatches(0).run(50, work), VALUES * 2)
        assert work.tried == [50, 25, 10, *[5] * 10]  # 12 are tried as 10, for the sake of even batches
        assert len(told) == 3

    def test_what_was_done_is_not_done_again(self):
        work = Work()
        batches = QueryBatches(20)

        def shrinking(rows: slice) -> Tensor:
            work.room = 17 if rows.start == 0 else 9  # another process takes memory after the first batch
            return work(rows)

        with pytest.warns(UserWarning, match="17 queries .* with 8"):
            assert torch.equal(batches.run(50, shrinking), VALUES * 2)
        assert work.tried == [17, 17, 7, 7, 7, 6, 6]

    def test_it_is_remembered(self):
        batches = QueryBatches(0, lambda: 1)
        with pytest.warns(UserWarning):
            batches.run(50, Work(room=30))
        again = Work()
        assert torch.equal(batches.run(50, again), VALUES * 2)
        assert again.tried == [25, 25]

    def test_one_that_does_not_fit_is_one_sentence(self):
        work = Work(room=0)
        with pytest.warns(UserWarning), pytest.raises(UserError, match="single query: give model.precision=bf16"):
            QueryBatches(4).run(3, work)
        assert work.tried == [3, 1]

    def test_other_errors_are_not_taken_for_it(self):
        work = Work(room=0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        with pytest.raises(RuntimeError, match="mat1"):
            QueryBatches(4).run(3, work)
        assert work.tried == [3]

    def test_what_did_not_fit_is_given_back_before_the_next_try(self, monkeypatch):
        kept: list[weakref.ref] = []
        emptied = []
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append([ref() for ref in kept]))

        def work(rows: slice) -> Tensor:
            activations = VALUES[rows] * 3
            in_a_cycle = [VALUES[rows] * 4]
            in_a_cycle.append(in_a_cycle)
            if len(activations) > 13:
                kept.extend((weakref.ref(activations), weakref.ref(in_a_cycle[0])))
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return activations

        gc.disable()
        try:
            with pytest.warns(UserWarning):
                QueryBatches(0, device="cuda").run(50, work)
        finally:
            gc.enable()
        assert emptied == [[None] * 2, [None] * 4]

    def test_a_real_failure_of_the_cpu_is_known(self):
        def work(rows: slice) -> Tensor:
            if rows.stop - rows.start > 2:
                torch.empty(2**50, dtype=torch.uint8)
            return VALUES[rows]

        with pytest.warns(UserWarning, match="memory of cpu"):
            assert torch.equal(QueryBatches(0, device=CPU).run(4, work), VALUES[:4])


class TestSavedBytes:
    def test_hand_computed(self):
        x = torch.rand(10, 5, requires_grad=True)
        assert saved_bytes(lambda: x.exp().sum()) == 10 * 5 * 4  # exp keeps its result
        assert saved_bytes(lambda: x.double().exp().sin().cos().sum()) == 2 * 10 * 5 * 8  # sin keeps what exp does

    def test_views_of_one_storage_count_once(self):
        x = torch.rand(10, 5, requires_grad=True)

        def run() -> Tensor:
            y = x.exp()
            return (y[:5] * y[5:]).sum() + y.t().square().sum()

        assert saved_bytes(run) == 10 * 5 * 4

    def test_what_is_freed_on_the_way_is_not_taken_for_what_follows(self):
        x = torch.rand(1000, requires_grad=True)
        assert saved_bytes(lambda: [x.exp().sum().item() for _ in range(3)]) == 3 * 4000

    def test_nothing_stays_in_memory(self):
        x = torch.rand(1000, requires_grad=True)
        kept = []
        saved_bytes(lambda: kept.append(StorageWeakRef(x.exp().sin().sigmoid().untyped_storage())))
        assert kept[0].expired()

    def test_what_is_computed_may_be_differentiated(self):
        x = torch.rand(1000, requires_grad=True)
        saved_bytes(lambda: x.exp().sum().backward())
        torch.testing.assert_close(x.grad, x.detach().exp())

    def test_weights_do_not_count(self):
        layer = nn.Linear(6, 7).requires_grad_(False)
        x = torch.rand(4, 6, requires_grad=True)
        assert saved_bytes(lambda: layer(x.exp()).square()) == (6 * 7 + 4 * 6 + 4 * 7) * 4
        assert saved_bytes(lambda: layer(x.exp()).square(), layer.parameters()) == (4 * 6 + 4 * 7) * 4
        layer.requires_grad_(True)  # leaves that learn, by themselves
        assert saved_bytes(lambda: layer.weight * x.exp().mean()) == (4 * 6 + 1) * 4

    def test_grows_with_the_queries_and_asks_for_no_gradient_mode(self, small_backbone):
        weights = [*small_backbone.parameters(), *small_backbone.buffers()]

        def maps(count: int) -> Callable[[], object]:
            embeddings = torch.randn(count, small_backbone.tokens, small_backbone.width, requires_grad=True)
            return lambda: small_backbone.attention_maps(torch.rand(count, 4, 16, 16), 140, embeddings)

        with torch.no_grad():
            one, two, four = (saved_bytes(maps(count), weights) for count in (1, 2, 4))
        assert four - two == 2 * (two - one)
        assert two == pytest.approx(2 * one, rel=0.01)
        assert one > 100_000


class TestFreeBytes:
    def test_the_host_has_some(self):
        assert 2**20 < free_bytes(CPU) < 2**50

    def test_cuda_counts_what_torch_keeps_for_itself(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 10_000))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
        assert free_bytes(torch.device("cuda")) == 1200

    def test_the_least_limit_holds(self, monkeypatch):
        monkeypatch.setattr(memory, "_host_bytes", lambda: iter([500]))
        monkeypatch.setattr(memory, "_control_group_bytes", lambda: iter([700, 400]))
        assert free_bytes(CPU) == 400
        monkeypatch.setattr(memory, "_control_group_bytes", lambda: iter([]))
        assert free_bytes(CPU) == 500
        monkeypatch.setattr(memory, "_host_bytes", lambda: iter([]))
        assert free_bytes(CPU) is None

    def test_the_cache_of_files_is_free(self, tmp_path):
        (tmp_path / "meminfo").write_text(
            "MemTotal:  100 kB\nMemFree:  10 kB\nMemAvailable:   60 kB\nHugePages_Total: 0\n"
        )
        assert list(memory._host_bytes(tmp_path / "meminfo")) == [60 * 1024]

    @pytest.mark.parametrize("missing", [ValueError, AttributeError])
    def test_a_host_that_does_not_tell(self, tmp_path, monkeypatch, missing):
        monkeypatch.setattr(memory.os, "sysconf", {"SC_AVPHYS_PAGES": 7, "SC_PAGE_SIZE": 10}.get)
        assert list(memory._host_bytes(tmp_path / "meminfo")) == [70]
        monkeypatch.setattr(memory.os, "sysconf", Mock(side_effect=missing))
        assert list(memory._host_bytes(tmp_path / "meminfo")) == []


class TestControlGroups:
    def group(self, folder: Path, limit: object, used: int = 0, files: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {files}\n")

    def test_every_group_above_counts(self, tmp_path):
        root, own = tmp_path / "cgroup", tmp_path / "own"
        self.group(root / "job" / "step", limit=1000, used=600, files=250)
        self.group(root / "job", limit=700, used=710)
        self.group(root, limit="max")
        own.write_text("4:memory:/old\n0::/job/step\n")
        assert list(memory._control_group_bytes(root, own)) == [650, 0]
        own.write_text("0::/\n")  # as in a container
        self.group(root, limit=1000, used=100)
        assert list(memory._control_group_bytes(root, own)) == [900]

    def test_there_are_none(self, tmp_path):
        own = tmp_path / "own"
        assert list(memory._control_group_bytes(tmp_path, own)) == []
        own.write_text("0::/job\n")
        assert list(memory._control_group_bytes(tmp_path, own)) == []
