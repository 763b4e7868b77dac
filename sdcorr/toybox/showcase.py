"""`python -m sdcorr.toybox.showcase`, an earlier name of `python -m sdcorr.toybox.making.showcase`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("sdcorr.toybox.making.showcase", run_name="__main__", alter_sys=True)
