"""What Langfuse makes of spans, so that tests can hold to what a person sees there.

    rows = [observe(span) for span in receiver.spans]     # `observation`: as Langfuse's table shows them
    shown = trace(rows)                                   # `traces`: the trace that it makes of its rows
    assert problems(receiver.spans) == []                 # `rules`: what would be shown wrongly
    assert shown.cost_usd == phoenix_cost(receiver.spans) # `prices`: what another receiver computes by itself

The rules are facts read in the sources of Langfuse 4.16.0 and Phoenix; each is told with its source. Their
code is not here. Fields that the harness never sends are left out.
"""
