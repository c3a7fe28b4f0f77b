"""The harness beside what a user would pick instead: the same work, the same played model, one run.

`work` is what all of them do and `played` how the model plays it; `systems` are who does it, each a program
of its own (`peers/`, and `harness run`). Part by part it is measured, and `figures` hold what came out.
"""
