"""What people look at: one HTML file that holds everything and opens from disk.

`run.write_report` makes the report of a run, `comparison.write_comparison` that of several, and
`python -m sdcorr.report RUN [RUN ...]` both from what is on disk. `gallery` chooses and packs the pairs that
are shown, `scores` and `variants` make tables and charts of the numbers of a summary; templates, scripts and styles are
in `sdcorr.web`.
"""
