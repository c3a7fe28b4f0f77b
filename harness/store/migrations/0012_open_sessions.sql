-- Sessions that have not ended, which are counted at every scrape of a worker's metrics.

create index session_open on session (tenant, queue) where status not in ('done', 'failed', 'cancelled');
