"""`python -m sdcorr.toybox.train`, an earlier name of `python -m sdcorr.toybox.making.train`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("sdcorr.toybox.making.train", run_name="__main__", alter_sys=True)
