import json

import yaml

from sdcorr.toybox.making.curve import curve
from tests.scoring.fakes import write_run


def test_states_of_the_model_in_the_order_of_their_training(tmp_path):
    right = {"late": [0, 0, 0], "early": [0, 30, 30]}  # of three points all, and one, are within a tenth
    for name, images in (("late", 2000), ("early", 1000)):
        model = tmp_path / f"model-{name}"
        model.mkdir()
        (model / "training.json").write_text(json.dumps({"images_seen": images}))
        run = write_run(tmp_path / name, {"a-z": right[name], "b-z": right[name]})
        write_run(run, {"a-z": [30, 30, 30], "b-z": [30, 30, 30]}, method="unet_features")
        (run / "config.yaml").write_text(yaml.safe_dump({"model": {"path": str(model)}}))
    figure, states = curve([tmp_path / "late", tmp_path / "early"])
    assert [seen for seen, _ in states] == [1000, 2000]
    assert [round(values["prompt embedding"].value, 2) for _, values in states] == [0.33, 1]
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["prompt embedding", "nearest UNet feature"]
    assert axes.lines[0].get_xdata().tolist() == [1, 2]
