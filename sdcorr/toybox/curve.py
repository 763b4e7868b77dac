"""`python -m sdcorr.toybox.curve`, an earlier name of `python -m sdcorr.toybox.making.curve`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("sdcorr.toybox.making.curve", run_name="__main__", alter_sys=True)
