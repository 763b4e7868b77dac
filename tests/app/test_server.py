"""The server without a browser: requests as the page sends them, and as it never would."""

import csv
import io
import json

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load
from starlette.testclient import TestClient

from sdcorr import pictures
from sdcorr.app.examples import EXAMPLES
from sdcorr.app.matching import Matching
from sdcorr.app.server import MOST_POINTS, Server
from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.errors import UserError
from sdcorr.findings import FOUND, reasons, weighed
from sdcorr.scoring.calibration_file import SHIPPED
from sdcorr.toybox.dataset import drawing
from tests.app.conftest import new_page


def example(client: TestClient, name: str = "fish", points=((20.5, 30.25),), method: str = "read_once") -> dict:
    pair = client.post(f"/api/examples/{name}").json()
    return {"source": pair["source"]["name"], "target": pair["target"]["name"], "method": method, "points": points}


def last(response) -> dict:
    assert response.status_code == 200, response.text
    return json.loads(response.text.splitlines()[-1])


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_match_with_its_maps(client: TestClient, server: Server) -> None:
    question = example(client, points=[[20.5, 30.25], [40, 20]])
    lines = [json.loads(line) for line in client.post("/api/match", json=question).text.splitlines()]
    assert lines[-1]["state"] == "done" and {"optimizing", "reading"} & {line["state"] for line in lines}
    for match, point in zip(lines[-1]["matches"], question["points"], strict=True):
        assert match["source"] == point and 0 <= match["confidence"] <= 1
        assert all(0 <= value <= 64 for value in match["target"])
        assert all(len(coded) == 4 * -(-5 * 64 * 64 // 3) for coded in match["maps"].values())
    again = client.post("/api/match", json=question)
    assert [json.loads(line)["state"] for line in again.text.splitlines()] == ["done"]  # it is still known
    assert last(again) == lines[-1]


WAYS = {"none": "none", "dense_flip": "pixels"}  # consensus -> refinement


@pytest.mark.parametrize("consensus", WAYS)
def test_the_matches_are_those_of_an_evaluation_and_of_the_command_line(client: TestClient, consensus: str) -> None:
    how = {"consensus": consensus, "refine": WAYS[consensus]}
    words = ["embeddings=null", "method=read_once", *(f"method.{name}={value}" for name, value in how.items())]
    points = [[20.5, 30.25], [40, 20]]
    source, target = (pictures.name_picture(drawing(key).image, key) for key in EXAMPLES["bird"])
    request = pictures.MatchRequest(source, np.array(points), (target,))
    read = {each.key: each.image for each in (source, target)}.__getitem__
    [(_, evaluated)] = build.prompt_entry(compose("eval", *words))[1].match(pictures.unit_of(request), read)
    ours = pictures.match_pictures(build.prompt_entry(compose("eval", *words))[1], request)
    [match] = ours.matches
    assert (match.points == evaluated.points).all() and (match.confidence == evaluated.confidence).all()
    assert all((match.evidence[name] == values).all() for name, values in evaluated.evidence.items())
    question = example(client, "bird", points=points[:1]) | how
    client.post("/api/match", json=question)  # the points come one by one, as they are clicked
    found = last(client.post("/api/match", json=question | {"points": points}))["matches"]
    assert np.allclose([each["target"] for each in found], match.points, atol=0.02)
    assert np.allclose([each["confidence"] for each in found], match.confidence, atol=1e-3)
    if consensus == "none":
        assert all(0 < each["probability"] < 1 for each in found)  # a calibration comes with this method
        assert [each["weighed"] for each in found] == [None, None]
        return
    record = client.post("/api/download/points.json", json=question | {"points": points}).json()
    assert (record["consensus"], record["refine"]) == (consensus, "pixels")
    told, expected = record["targets"][0], weighed(ours.ballots[0])
    assert told["trust"] == expected["trust"] and told["mirrored"] == pytest.approx(expected["mirrored"], abs=1e-3)
    assert np.allclose(told["grid"], expected["grid"], atol=0.1)
    for peaks, others in zip(told["peaks"], expected["peaks"], strict=True):
        assert [(each["x"], each["y"]) for each in peaks] == [(each["x"], each["y"]) for each in others]
    rows = client.post("/api/download/points.csv", json=question | {"points": points}).text.splitlines()
    assert rows[0].endswith("doubt,probability,consensus,alone_x,alone_y,counterpart") and "dense_flip" in rows[1]


def test_counterparts_are_those_of_the_command_line(client: TestClient) -> None:
    """Of the two eyes of a cat the target shows one: both are found there, which makes them doubtful."""
    cat, other = drawing("2/cat/1"), drawing("2/cat/1/4")
    half = other.image.crop((0, 0, 25, 64))
    points = [cat.points[cat.names.index(name)].tolist() for name in ("left eye", "right eye")]
    request = pictures.read_request(cat.image, [*points, [34.5, 44]], [half])
    words = ["embeddings=null", "method=read_once", "method.consensus=dense_flip"]
    ours = pictures.match_pictures(build.prompt_entry(compose("eval", *words))[1], request)
    names = [client.post("/api/pictures", content=png(image)).json()["name"] for image in (cat.image, half)]
    way = {"method": "read_once", "consensus": "dense_flip", "refine": "none"}
    question = dict(zip(("source", "target"), names, strict=True)) | way
    for number in (1, 2, 3):  # point by point, as they are clicked
        asked = question | {"points": request.points[:number].tolist()}
        early = client.post("/api/counterparts", json=asked)
        assert early.status_code == 409 and "wait" in early.json()["error"]
        last(client.post("/api/match", json=asked))
        told = client.post("/api/counterparts", json=asked).json()
        assert told["pairs"] == ([[0, 1]] if number > 1 else [])
    assert ours.counterparts == ((0, 1),)
    assert told["doubts"] == reasons(request, ours, 0)
    assert told["doubts"][1] == "point 1, its counterpart, is found in the same place"
    record = client.post("/api/download/points.json", json=asked).json()
    assert record["source"]["counterparts"] == {"origin": FOUND, "pairs": [[0, 1]]}
    assert record["targets"][0]["doubt"] == told["doubts"]
    rows = list(csv.DictReader(io.StringIO(client.post("/api/download/points.csv", json=asked).text)))
    assert [row["counterpart"] for row in rows] == ["2", "1", ""]
    plain = asked | {"consensus": "none"}
    last(client.post("/api/match", json=plain))
    assert client.post("/api/counterparts", json=plain).json()["pairs"] == []
    assert "counterpart" not in client.post("/api/download/points.csv", json=plain).text.splitlines()[0]


def test_a_calibration_that_is_given_holds_for_all_pictures(tmp_path) -> None:
    """It judges the way that it is of, and is refused where the page has none such."""
    plain = yaml.safe_load((SHIPPED / "toybox_read_once.yaml").read_text())
    plain["outcomes"]["there"] = plain["outcomes"]["right"] | {"intercept": -20.0}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(plain))
    with pytest.raises(UserError, match=r"mine\.yaml fits no way in which the page finds points: it is of .*restarts"):
        Matching([f"calibration={path}", "method=read_once", "method.restarts=2"])
    server = Server(Matching([f"calibration={path}", "method=read_once"]))
    page = new_page(server)
    assert page.post("/api/session").json()["calibration"] == "toybox val, 84 pairs"
    question = example(page)
    (found,) = last(page.post("/api/match", json=question))["matches"]
    assert 0 < found["probability"] < 1 and found["missing"] == "not there: 100 % likely"
    (other,) = last(page.post("/api/match", json=question | {"refine": "pixels"}))["matches"]
    assert other["probability"] is None and other["missing"] is None  # nobody has learned it of that way
    record = page.post("/api/download/points.json", json=question).json()
    assert record["calibration"] == "toybox val, 84 pairs"
    target = record["targets"][0]
    assert target["probability"] == [found["probability"]] and target["there"] == [pytest.approx(0, abs=1e-3)]
    assert target["doubt"] == ["not there: 100 % likely"]
    (row,) = csv.DictReader(io.StringIO(page.post("/api/download/points.csv", json=question).text))
    assert float(row["probability"]) == found["probability"] and row["there"] == "0.0"
    assert "calibration" not in page.post("/api/download/points.json", json=question | {"refine": "pixels"}).json()
    server.jobs.close(patience=20)


def test_a_joint_match_is_found_anew_with_every_point() -> None:
    """And says so."""
    server = Server(Matching(["method=read_once", "method.steps=2", "method.consensus=joint"]))
    page = new_page(server)
    about = page.post("/api/session").json()
    assert (about["consensus"], about["default"]) == (
        "joint",
        {"method": "read_once", "consensus": "joint", "refine": "none"},
    )
    question = example(page, points=[[20, 30]]) | {"consensus": "joint"}
    together = question | {"points": [[20, 30], [40, 20]]}
    assert len(last(page.post("/api/match", json=question))["matches"]) == 1
    early = page.post("/api/download/points.json", json=together)
    assert early.status_code == 409  # the first point's match was another one
    assert len(last(page.post("/api/match", json=together))["matches"]) == 2
    assert page.post("/api/download/points.json", json=together).json()["note"].startswith("joint: ")
    refused = page.post("/api/match", json=question | {"consensus": "dense"})
    assert refused.status_code == 400 and "no such consensus: choose none or joint" in refused.json()["error"]
    server.jobs.close(patience=20)


def test_another_target_needs_no_optimization(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = example(client, "car", [[11.25, 12.5]]), example(client, "lamp")
    last(client.post("/api/match", json=first))
    monkeypatch.setattr("sdcorr.prompt.method.fit", lambda *given: pytest.fail("optimized again"))
    elsewhere = first | {"target": other["target"]}
    assert last(client.post("/api/match", json=elsewhere))["state"] == "done"


def test_downloads_can_be_read(client: TestClient) -> None:
    question = example(client, "crab", [[10, 20], [30.5, 40]])
    early = client.post("/api/download/points.json", json=question)
    assert early.status_code == 409 and "wait" in early.json()["error"]
    matches = last(client.post("/api/match", json=question))["matches"]
    got = {
        file: client.post(f"/api/download/{file}", json=question)
        for file in ("points.json", "points.csv", "matches.png", "embeddings.safetensors")
    }
    assert all(file in answer.headers["content-disposition"] for file, answer in got.items())
    record = got["points.json"].json()
    assert record["source"]["points"] == question["points"] and record["model"] == "toybox"
    assert record["targets"][0]["points"] == [match["target"] for match in matches]
    rows = [line.split(",") for line in got["points.csv"].text.splitlines()]
    assert rows[0] == ["source_x", "source_y", "target_x", "target_y", "confidence", "doubt", "probability", "there"]
    assert [float(value) for value in rows[2][:5]] == [30.5, 40, *matches[1]["target"], matches[1]["confidence"]]
    assert rows[2][5:7] == [matches[1]["doubt"] or "", str(matches[1]["probability"])]
    assert load(got["embeddings.safetensors"].content)["embeddings"].shape[:2] == (2, 5)
    assert Image.open(io.BytesIO(got["matches.png"].content)).size[0] > 300


def test_an_upload_is_shown_to_its_page_and_matched(client: TestClient) -> None:
    image = drawing("2/cat/0").image.resize((96, 80))
    headers = {"x-label": "..%2F..%2Fmy%20cat.png"}
    told = client.post("/api/pictures", content=png(image), headers=headers).json()
    assert (told["width"], told["height"]) == (96, 80)
    assert Image.open(io.BytesIO(client.get(told["url"]).content)).size == (96, 80)
    question = example(client) | {"source": told["name"], "points": [[90, 70]]}
    assert last(client.post("/api/match", json=question))["state"] == "done"
    record = client.post("/api/download/points.json", json=question).json()
    assert record["source"]["image"] == "my cat.png"


BAD_QUESTIONS = {
    "outside": ({"points": [[1, 2], [65, 3]]}, 400, "Point 2"),
    "no number": ({"points": [["1", 2]]}, 400, "Point 1"),
    "infinite": ({"points": [[1, 10**400]]}, 400, "Point 1"),
    "none": ({"points": []}, 400, "empty"),
    "many": ({"points": [[1, 1]] * (MOST_POINTS + 1)}, 400, "at a time"),
    "method": ({"method": "magic"}, 400, "magic"),
    "picture": ({"source": "../../etc/passwd"}, 410, "choose it again"),
    "shape": ({"points": None}, 400, "points"),
}


@pytest.mark.parametrize("name", BAD_QUESTIONS)
def test_bad_questions_are_answered_with_a_sentence(client: TestClient, name: str) -> None:
    changes, status, words = BAD_QUESTIONS[name]
    content = json.dumps(example(client) | changes)
    for path in ("/api/match", "/api/download/points.json"):
        answer = client.post(path, content=content)
        assert answer.status_code == status and words in answer.json()["error"], answer.text


def test_what_is_no_question_at_all(client: TestClient) -> None:
    for content in (b"", b"[1]", b"\xff", b"[" * 60000):
        assert client.post("/api/match", content=content).status_code == 400
    assert client.post("/api/match", content=bytes(70_000)).status_code == 413
    assert client.post("/api/examples/unicorn").status_code == 404
    assert client.get("/examples/fish/truth").status_code == 404
    assert client.get("/../pyproject.toml").status_code == 404
    assert "nothing there" in client.get("/api/match").json()["error"]


def test_pages_do_not_mix(client: TestClient, server: Server) -> None:
    stranger = new_page(server)
    question = example(client)
    last(client.post("/api/match", json=question))
    for path in ("/api/match", "/api/download/points.json"):
        assert stranger.post(path, json=question).status_code == 410
    assert client.post("/api/match", json=question, headers={"x-session": "guess"}).status_code == 410


def test_an_error_within_the_model_is_told(client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def broken(*given):
        raise RuntimeError("the inside of the machine")

    monkeypatch.setattr(Matching, "find", broken)
    told = last(client.post("/api/match", json=example(client)))
    assert told["state"] == "failed" and "machine" not in told["error"]
    assert "the inside of the machine" in capsys.readouterr().err


def test_a_server_that_stops_says_so_to_who_waits(client: TestClient, server: Server, monkeypatch, capsys) -> None:
    def find(matching, job, *given):
        server.jobs.close()  # what Ctrl-C does
        job.tell("optimizing")

    monkeypatch.setattr(Matching, "find", find)
    told = last(client.post("/api/match", json=example(client)))
    assert told == {"state": "failed", "error": "The server is about to stop."}
    assert capsys.readouterr().err == ""
