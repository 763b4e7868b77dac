"""A page in the browser: click points on one picture and see their matches on another (`sdcorr app`)."""
