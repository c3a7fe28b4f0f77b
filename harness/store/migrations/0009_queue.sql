-- Tenants, and the queue: a session's own row is its place in it.

create table tenant (
    name text primary key,
    daily_usd numeric,
    monthly_usd numeric,
    session_usd numeric,
    daily_tokens bigint,
    monthly_tokens bigint,
    session_tokens bigint,
    max_sessions integer,
    models text[],
    flows text[],
    served_at timestamptz not null default '-infinity',
    room_asked_at timestamptz not null default '-infinity',
    created_at timestamptz not null default clock_timestamp()
);

insert into tenant (name) select distinct tenant from session;

comment on table tenant is 'a limit that is null does not exist';
comment on column tenant.max_sessions is 'of its sessions, how many workers advance at the same time';
comment on column tenant.served_at is 'when a worker last took up a session of it';
comment on column tenant.room_asked_at is 'when a worker was last asked to make room for it';

alter table session
    add foreign key (tenant) references tenant (name),
    add column queue text not null default 'default',
    add column priority integer not null default 0,
    add column due_at timestamptz,
    add column claims integer not null default 0,
    add column stop_requested text,
    drop column cancel_requested;

create index session_due on session (tenant, queue, priority desc, due_at) where due_at is not null;
create index session_held on session (tenant) where holder is not null;

comment on column session.priority is 'among the sessions of its tenant: the higher goes first';
comment on column session.due_at is 'from when on workers advance it; null: only a person does';
comment on column session.claims is 'how often a worker has taken it up since a model call was last settled';
comment on column session.stop_requested is 'what its holder is to do: cancel or pause';
