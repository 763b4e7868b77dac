import pytest
import torch

from sdcorr.prompt.randomness import Draws, Query

QUERIES = [Query("cat.jpg", x, 7.5, restart) for x in (3.0, 4.0) for restart in range(3)]
COUNT = 10**9
LOW, HIGH = torch.zeros(6, 2, dtype=torch.int64), torch.full((6, 2), COUNT - 1)


@pytest.fixture
def draws() -> Draws:
    return Draws(0, "zoo", "uniform", shared=False)


def everything(draws: Draws, queries: list[Query], step: int = 5) -> torch.Tensor:
    """All that is drawn for queries at a step, (Q, n)."""
    count = len(queries)
    parts = [
        draws.embeddings(queries, 4, 8).flatten(1),
        draws.noise(queries, step, (2, 3, 3)).flatten(1),
        draws.crop_starts(queries, step, LOW[:count], HIGH[:count], COUNT).float(),
        draws.flips(queries, step, 0.5)[:, None].float(),
    ]
    return torch.cat(parts, 1)


def test_shapes(draws):
    assert draws.embeddings(QUERIES, 4, 8).shape == (6, 4, 8)
    assert draws.noise(QUERIES, 0, (2, 3, 3)).shape == (6, 2, 3, 3)
    assert draws.crop_starts(QUERIES, 0, LOW, HIGH, COUNT).shape == (6, 2)
    assert draws.flips(QUERIES, 0, 0.5).shape == (6,)


def test_batch_order_and_history_do_not_matter(draws):
    together = everything(draws, QUERIES)
    for index in (4, 1, 5):
        alone = everything(Draws(0, "zoo", "uniform", shared=False), [QUERIES[index]])
        assert torch.equal(alone[0], together[index])
    assert torch.equal(everything(draws, QUERIES[::-1]), together.flip(0))


@pytest.mark.parametrize(
    "other",
    [
        QUERIES[0]._replace(image="dog.jpg"),
        QUERIES[0]._replace(x=3.25),
        QUERIES[0]._replace(y=8.0),
        QUERIES[0]._replace(restart=1),
        QUERIES[0]._replace(target="dog.jpg"),
    ],
)
def test_everything_in_the_key_matters(draws, other):
    first, second = everything(draws, [QUERIES[0], other])
    assert (first != second)[:-1].all()  # all but the coin


def test_seed_data_set_and_step_matter(draws):
    base = everything(draws, QUERIES)
    assert (everything(Draws(1, "zoo", "uniform", shared=False), QUERIES) != base)[:, :-1].all()
    assert (everything(Draws(0, "park", "uniform", shared=False), QUERIES) != base)[:, :-1].all()
    later = everything(draws, QUERIES, step=6)
    assert torch.equal(later[:, :32], base[:, :32])  # the random start belongs to no step
    assert (later != base)[:, 32:-1].all()


def test_distributions(draws):
    queries = [QUERIES[0]]
    uniform = draws.noise(queries, 0, (200, 200))
    assert 0 <= uniform.min() and uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(1 / 2, abs=0.01)
    assert uniform.var().item() == pytest.approx(1 / 12, abs=0.01)
    for normal in (Draws(0, "zoo", "normal").noise(queries, 0, (200, 200)), draws.embeddings(queries, 200, 200)):
        assert normal.mean().item() == pytest.approx(0, abs=0.02)
        assert normal.std().item() == pytest.approx(1, abs=0.02)


def test_crops_reach_both_bounds(draws):
    low, high = torch.tensor([[2, 10]]), torch.tensor([[4, 10]])
    starts = torch.cat([draws.crop_starts([QUERIES[0]], step, low, high, 36) for step in range(60)])
    assert set(starts[:, 0].tolist()) == {2, 3, 4}
    assert set(starts[:, 1].tolist()) == {10}


def test_flips_follow_their_probability(draws):
    share = torch.stack([draws.flips(QUERIES, step, 0.3) for step in range(200)]).float().mean().item()
    assert share == pytest.approx(0.3, abs=0.05)
    assert not draws.flips(QUERIES, 0, 0.0).any()
    assert draws.flips(QUERIES, 0, 1.0).all()


class TestShared:
    @pytest.fixture
    def draws(self) -> Draws:
        return Draws(0, "zoo", "uniform")

    def test_points_share_crops_and_noise_and_restarts_do_not(self, draws):
        drawn = everything(draws, QUERIES)[:, 32:]  # without the random starts
        assert torch.equal(drawn[:3], drawn[3:])
        assert (drawn[0] != drawn[1])[:-1].all()

    def test_random_starts_stay_the_points_own(self, draws):
        starts = draws.embeddings(QUERIES, 4, 8).flatten(1)
        assert len({tuple(start.tolist()) for start in starts}) == len(QUERIES)

    def test_a_target_is_cropped_alike_for_every_source(self, draws):
        at_target = [query._replace(target="dog.jpg") for query in QUERIES]
        of_another = [query._replace(image="cow.jpg", x=1.0) for query in at_target]
        assert torch.equal(everything(draws, at_target)[:, 32:], everything(draws, of_another)[:, 32:])
        elsewhere = [query._replace(target="cow.jpg") for query in QUERIES]
        assert (everything(draws, at_target) != everything(draws, elsewhere))[:, 32:-1].all()

    def test_batch_and_order_do_not_matter(self, draws):
        together = everything(draws, QUERIES)
        assert torch.equal(everything(draws, QUERIES[::-1]), together.flip(0))
        assert torch.equal(everything(draws, QUERIES[4:5])[0], together[4])

    def test_bounds_are_each_points_own(self, draws):
        low = torch.tensor([[0, 10]] * 3 + [[5, 30]] * 3)
        high = torch.tensor([[9, 10]] * 3 + [[5, 39]] * 3)
        starts = torch.stack([draws.crop_starts(QUERIES, step, low, high, 40) for step in range(50)])
        assert ((starts >= low) & (starts <= high)).all()
        assert set(starts[:, :3, 0].flatten().tolist()) == set(range(10))

    def test_points_with_different_bounds_share_what_both_may_have(self, draws):
        queries = [QUERIES[0], QUERIES[3]]  # two points, one restart
        low, high = torch.tensor([[0, 0], [9, 0]]), torch.tensor([[35, 35], [35, 20]])
        first, second = torch.stack([draws.crop_starts(queries, step, low, high, 36) for step in range(200)]).unbind(1)
        may = (first >= low[1]) & (first <= high[1])
        assert 0.5 < may.float().mean() < 0.8
        assert torch.equal(first[may], second[may])

    @pytest.mark.parametrize("low, high", [(3, 6), (34, 35), (0, 35)])
    def test_each_place_within_the_bounds_is_as_likely(self, draws, low, high):
        bounds = torch.tensor([[low, low]]), torch.tensor([[high, high]])
        starts = torch.stack([draws.crop_starts(QUERIES[:1], step, *bounds, 36) for step in range(2000)])
        counts = torch.bincount(starts.flatten() - low, minlength=high - low + 1).float()
        expected = 4000 / (high - low + 1)
        assert len(counts) == high - low + 1
        assert (counts - expected).abs().max() < 5 * expected**0.5


def test_same_on_every_machine(draws):
    # A change here changes every result: predictions made before and after would not be comparable.
    assert draws.crop_starts([QUERIES[0]], 0, LOW[:1], HIGH[:1], COUNT).tolist() == [[916875841, 31811559]]
