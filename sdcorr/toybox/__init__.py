"""The world that ships with sdcorr: drawn things whose parts are known, and a small Stable Diffusion that has learnt to draw them."""
