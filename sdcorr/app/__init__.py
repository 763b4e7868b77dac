"""A page on which one clicks points of a picture and sees their matches in another: `python -m sdcorr.app`."""
