-- Forks: sessions that began as a copy of another one, up to one of its events.

alter table session add column forked_from uuid, add column forked_at bigint;

comment on column session.forked_from is 'no foreign key: a fork stands by itself';
comment on column session.forked_at is 'seq of the newest event that was copied';
