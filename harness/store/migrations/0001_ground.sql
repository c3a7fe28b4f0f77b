-- Sessions, their leases, the journal, transcripts of Claude sessions, and results too large to hand over whole.

create table session (
    id uuid primary key,
    tenant text not null,
    flow text not null,
    question text not null,
    status text not null,
    head bigint not null default 0,
    token bigint not null default 0,
    holder json,
    lease_until timestamptz not null default '-infinity',
    cancel_requested boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

create index session_by_tenant on session (tenant, created_at desc);

comment on column session.head is 'seq of the newest event';
comment on column session.token is 'fencing token: every write of the holder proves it';

-- No foreign key to session: the append statement has just updated that row, which proves more.
create table event (
    session_id uuid not null,
    seq bigint not null,
    id uuid not null,
    kind text not null,
    version integer not null,
    token bigint not null,
    agent_run_id uuid,
    trace_id text not null,
    span_id text,
    parent_span_id text,
    started_at timestamptz,
    ended_at timestamptz,
    recorded_at timestamptz not null default clock_timestamp(),
    payload json not null,
    primary key (session_id, seq),
    unique (session_id, id)
);

comment on column event.payload is 'json, not jsonb: tool output holds NUL and lone surrogates, and stays byte for byte';

create table transcript (
    scope text not null,
    claude_session_id text not null,
    subpath text not null default '',
    seq bigint generated always as identity,
    uuid text,
    parent_uuid text,
    type text,
    entry json not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (scope, claude_session_id, subpath, seq)
);

create unique index transcript_entry on transcript (scope, claude_session_id, subpath, uuid);

create table result (
    session_id uuid not null references session (id) on delete cascade,
    reference text not null,
    body text not null,
    primary key (session_id, reference)
);
