"""`sdcorr report` as it is called."""

import pytest

from sdcorr.cli.report import main
from sdcorr.errors import UserError
from sdcorr.report.page import write_report
from sdcorr.report.results import gather
from sdcorr.scoring.protocols import protocol_named
from tests.report.runs import Few, make_run
from tests.report.test_page_data import text
from tests.scoring.fakes import write_run


def test_a_report_is_made_again_with_the_pictures_of_its_data_set(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    results = gather(make_run(tmp_path / "run"), "prompt", protocol_named("standard"), samples=100)
    page = write_report(results, image=Few().image)
    before = page.read_text()
    page.unlink()
    main([str(page.parent), "--bootstrap", "100"])
    assert capsys.readouterr().out.strip() == str(page)
    assert page.read_text() == before  # to the byte: numbers, charts, pictures


def test_without_the_data_set_it_says_what_is_lacking(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_run(tmp_path / "run", {"a-b": [0, 30], "b-c": [0, 3]})
    (folder / "config.yaml").write_text("dataset: {name: pfwillow, split: test}\n")
    main([str(folder), "--bootstrap", "5"])
    assert "PF-WILLOW" in (said := capsys.readouterr().err) and "--root" in said
    assert "The pictures were not found" in text((folder / "report.html").read_text())


def test_it_is_scored_as_the_run_was_unless_another_protocol_is_named(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_run(tmp_path / "run", {"a-b": [0, 30], "b-c": [0, 3]})
    (folder / "summary.json").write_text('{"protocol": "dift"}')
    main([str(folder), "--bootstrap", "5"])
    assert "PCK@0.10 per point, protocol dift" in text((folder / "report.html").read_text())
    main([str(folder), "--bootstrap", "5", "--protocol", "hpf"])
    assert "PCK@0.10 per image, protocol hpf" in text((folder / "report.html").read_text())


def test_several_runs_are_compared(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        write_run(tmp_path / name, {"a-b": [0, 30], "b-c": [0, 3]})
    main(["a", "b", "--bootstrap", "5"])
    assert capsys.readouterr().out.strip() == "comparison.html" and (tmp_path / "comparison.html").exists()
    main(["a", "b", "--bootstrap", "5", "--output", "there/page.html"])
    assert (tmp_path / "there/page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["none"], "none"), (["a", "--pairs", "-1"], "-1"), (["a", "--output", "x"], "--output"), (["a", "a"], "twice")],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, arguments, word) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a", {"a-b": [0, 30]})
    with pytest.raises(UserError, match=word):
        main(arguments)
    assert not list(tmp_path.rglob("*.html"))
