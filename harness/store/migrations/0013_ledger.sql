-- The ledger: what each tenant's model calls have cost, and what those on the wire may cost at most.

alter table tenant add column revision integer not null default 0;
comment on column tenant.revision is 'how often its limits have been set';

alter table session add column held_revision integer;
create index session_held_for_budget on session (tenant) where held_revision is not null;
comment on column session.held_revision is
    'the revision of its tenant''s limits that left no room for its next call, when it last met that';

create table account (
    tenant text primary key references tenant (name),
    day date not null,
    day_usd numeric not null default 0,
    day_tokens bigint not null default 0,
    month_usd numeric not null default 0,
    month_tokens bigint not null default 0
);

comment on table account is
    'what is taken of a tenant''s budgets, settled, reserved or unattributed: on its newest day and in that month';
comment on column account.day is 'in UTC';

-- No reference to tenant: each row would lock its tenant's, and workers pass over a tenant whose row is locked.
create table reservation (
    id uuid primary key,
    session_id uuid not null references session (id) on delete cascade,
    token bigint not null,
    tenant text not null,
    day date not null,
    model text not null,
    tokens bigint not null,
    usd numeric,
    reserved_at timestamptz not null default clock_timestamp()
);

create index reservation_of_session on reservation (session_id);
create index reservation_of_tenant on reservation (tenant);

comment on table reservation is 'an attempt of a model call that is on the wire, and what it can use at most';
comment on column reservation.token is 'of the lease of its session: only the holder of that lease settles it';
comment on column reservation.usd is 'null when the price of the model is not known';

create table spending (
    tenant text not null,
    day date not null,
    model text not null,
    calls bigint not null default 0,
    tokens bigint not null default 0,
    usd numeric not null default 0,
    unpriced_calls bigint not null default 0,
    unattributed_calls bigint not null default 0,
    unattributed_tokens bigint not null default 0,
    unattributed_usd numeric not null default 0,
    primary key (tenant, day, model)
);

comment on table spending is 'what a tenant has spent on a day (UTC), by model';
comment on column spending.unpriced_calls is 'answered calls whose price is not known: their cost is not in usd';
comment on column spending.unattributed_calls is
    'attempts that were sent and whose use is not known; the columns beside it are the most they can have used';
