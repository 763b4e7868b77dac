import json

import pytest

from sdcorr.strict_json import loads


def test_what_python_reads():
    text = '{"a": [1, 2.5, null, true], "b": {"a": "\\u00e9\\ud83d\\ude00"}, "c": [{"a": 1}, {"a": 2}]}'
    assert loads(text, "x.json") == json.loads(text)


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice in the object that begins"),
        ('[{"source": "a.png", "points": [[1, 2]], "points": [[3, 4]]}]', "'points' is there twice"),
        ('{"deep": [{"x": {"y": 1, "y": 1}}]}', "'y' is there twice"),
        ('{"a": 1,}', "x.json:1 is not JSON at character 9"),
        ("[1]\n[2]", "x.json:2 is not JSON at character 1 (Extra data)"),
        ("[" * 100_000, "x.json cannot be read (maximum recursion depth"),
        ("9" * 5000, "x.json cannot be read (Exceeds the limit"),
        ('["\\ud83d"]', "x.json has half of a letter in it (\\ud83d)"),
        ('{"\\uDE00": 1}', "x.json has half of a letter in it (\\ude00)"),
    ],
)
def test_what_it_refuses(text, words):
    with pytest.raises(ValueError) as caught:
        loads(text, "x.json")
    assert words in str(caught.value) and "\n" not in str(caught.value)
