-- Timed steps of sessions, each exported once when it has ended, and scores of sessions.

create table span (
    session_id uuid not null references session (id) on delete cascade,
    span_id text not null,
    parent_span_id text,
    agent_run_id uuid,
    kind text not null,
    name text not null,
    seq bigint not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    status text not null default 'open',
    opened json not null,
    closed json,
    tries integer not null default 0,
    next_try timestamptz not null default '-infinity',
    sent_at timestamptz,
    refused text,
    primary key (session_id, span_id)
);

create index span_outbox on span (next_try, ended_at)
    where ended_at is not null and sent_at is null and refused is null;

comment on column span.seq is 'of the event that opened it: the checkpoint it belongs to';
comment on column span.opened is 'what was known when it began';
comment on column span.closed is 'what its end added';
comment on column span.next_try is 'an exporter that has taken the span moves it ahead, so that no other takes it';
comment on column span.refused is 'why the receiver will never take it';

create table score (
    id uuid primary key,
    session_id uuid not null references session (id) on delete cascade,
    span_id text,
    name text not null,
    value json not null,
    comment text,
    given_at timestamptz not null default clock_timestamp(),
    tries integer not null default 0,
    next_try timestamptz not null default '-infinity',
    sent_at timestamptz,
    refused text
);

create index score_of on score (session_id);
create index score_outbox on score (next_try) where sent_at is null and refused is null;

comment on column score.value is 'a number, or a category as a string';

alter table session add column seen_at timestamptz not null default clock_timestamp();
comment on column session.seen_at is 'the last sign of life of a process that held the lease';
