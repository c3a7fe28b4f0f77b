"""A few short documents about a fictional queue, with a table, code, a contradiction and a distraction."""

DOCUMENTS = {
    "docs/overview.md": """\
# Tern overview

Tern is a job queue that keeps its jobs in a relational database. A job is a row with a state, a payload and
a lease. Tern was first released in 2019 (see e.g. the changelog) and is written in Python.

## Resuming

When a worker is killed, its lease runs out and another worker resumes the job from its last checkpoint. A
checkpoint is a record of the last step that was finished. Nothing before the checkpoint is run again.

```python
queue = Tern("postgres://localhost")  # A worker is killed here. Never quoted.
```
""",
    "docs/leases.md": """\
# Leases and locks

A lease is a claim on a job that runs out by itself. A worker renews its lease every 10 seconds. The lease
timeout is 30 seconds by default.

A lock is held until it is released. Unlike a lease, a lock outlives the worker that took it, so a crashed
worker blocks the job until somebody intervenes.

| Setting | Default | Meaning |
|---|---|---|
| lease_timeout | 30 s | How long a lease lasts without being renewed. |
| retry_limit | 5 | How often a failed job is tried again. |
""",
    "docs/operations.md": """\
# Operating Tern

The lease timeout is 60 seconds by default. Raise the timeout when jobs block the event loop for long.

Backups of the queue are backups of its database. Use the dump tool of the database, once a day at least.
Why are backups needed? A queue without backups loses its jobs with the disk.

## Retries

A failed job is retried with a growing delay: the delay doubles after each attempt, up to one hour.
""",
    "docs/cooking.md": """\
# Canteen menu

On Mondays the canteen serves lentil soup. The soup is made by the kitchen from red lentils and cumin.
""",
}
