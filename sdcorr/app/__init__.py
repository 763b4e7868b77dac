"""A page on which one clicks points of a picture and sees their matches in another: `sdcorr app`."""
