from pathlib import Path

import pytest

from sdcorr.cli.redo import main
from sdcorr.errors import UserError
from sdcorr.run.store import PredictionStore
from tests.run.fakes import FakeBenchmark, FakeMethod, evaluate


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = PredictionStore(tmp_path / "run")
    for name in ("fake", "other"):
        evaluate(FakeBenchmark(broken="c"), FakeMethod(), store, name)
    main([str(store.run_dir), "--method", "fake", "--source", "a", "--source", "b"])
    assert capsys.readouterr().out == (
        f"2 records of fake forgotten in {store.run_dir}: the evaluation that made them makes them again.\n"
    )
    main([str(store.run_dir), "--pair", "d-a", "d-b"])
    assert "1 record of fake, 1 record of other forgotten" in capsys.readouterr().out
    main([str(store.run_dir), "--all"])
    assert "2 records of fake, 4 records of other forgotten" in capsys.readouterr().out
    for arguments in ([str(store.run_dir), "--all"], [str(tmp_path / "nowhere"), "--all"]):
        with pytest.raises(UserError, match="There are no predictions in"):
            main(arguments)
    with pytest.raises(UserError, match="--methods"):
        main([str(store.run_dir), "--methods=fake"])
