import base64

import numpy as np
import pytest

from sdcorr.datasets.matfile import read_mat
from sdcorr.errors import UserError
from tests.datasets.fixtures import mat_file

# kps, bbox (bytes) and class (text), as scipy.io.savemat(..., do_compression=True) wrote them, from byte 116 on
FROM_SCIPY = (
    "000000000000Bu&4*&oFIsgCwc%0*7U|>i9Vm2V=fYKnq3gt5cF%u9o0$JGw#SEN4wgCeSXgWaXAN3I01;Tf*LlakU008|k2N@3l"
    "001ih004NL<6~f8FaTmUAm#vKP6h~Ih4LAJm<3F;FeD}AS1<u-"
    "W)>Sw03}@liVpw)04@Lk0C=3^V_;yg0Ae;E<^W<A1_)q<@)?1c8A^l1l5-M^i-EKNP&7HQgaH6Jo&(V"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.mat"


def test_a_file_of_another_program(path):
    path.write_bytes(b" " * 116 + base64.b85decode(FROM_SCIPY))
    found = read_mat(path)
    assert set(found) == {"kps", "bbox"}  # a text is passed over
    assert np.array_equal(found["kps"], [[12.5, 30.25], [np.nan, np.nan], [40, 8]], equal_nan=True)
    assert found["bbox"].tolist() == [[3, 4, 60, 41]]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compressed", [True, False])
def test_both_byte_orders_packed_or_not(path, order, compressed):
    kps, long_name = [[1, 2], [3, 4.5], [np.nan, 6]], [[7.0]]
    path.write_bytes(mat_file(order=order, compressed=compressed, kps=kps, a_long_name=long_name, x=[[]]))
    found = read_mat(path)
    assert np.array_equal(found["kps"], kps, equal_nan=True)
    assert found["a_long_name"].tolist() == long_name
    assert found["x"].shape == (1, 0)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.75, 0.9, 0.99])
def test_a_file_that_is_cut_short_is_refused(path, share, compressed):
    whole = mat_file(compressed=compressed, kps=np.ones((9, 2)))
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match="a.mat is not a whole MAT-file"):
        read_mat(path)


def test_other_versions_and_missing_files_are_refused(path):
    with pytest.raises(UserError, match="There is no .*a.mat"):
        read_mat(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UserError, match="versions 5 to 7.2"):
        read_mat(path)
