"""What people look at: scores as tables and charts, in a terminal, in a page that opens from disk, and in W&B.

`results.gather` computes all that a run has to show, once. `tables` makes every `table.Table`, which `terminal`, `html`
and `wandb` each turn into theirs; `charts` makes every figure. `page.write_report` is the page of a run,
`comparison.write_comparison` that of several; `gallery` chooses and packs the pairs that they show. Templates, scripts
and styles are in `sdcorr.web`.
"""
