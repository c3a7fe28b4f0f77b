-- The versions that sessions began with, and rollouts of new ones.

create table bundle_version (
    tenant text not null,
    name text not null,
    version text not null,
    files json not null,
    added_at timestamptz not null default clock_timestamp(),
    primary key (tenant, name, version)
);

comment on table bundle_version is 'each tenant keeps its own: the files hold code, which nobody may put under the hash of another''s';
comment on column bundle_version.files is 'harness.packing.Packed';

create table session_bundle (
    session_id uuid not null references session (id) on delete cascade,
    tenant text not null,
    name text not null,
    version text not null,
    primary key (session_id, name),
    foreign key (tenant, name, version) references bundle_version
);

create index session_bundle_of on session_bundle (tenant, name, version);

comment on table session_bundle is 'which sessions a kept version is kept for';

create table rollout (
    id uuid primary key,
    kind text not null,
    name text not null,
    old_version text not null,
    new_version text not null,
    content json not null,
    percent double precision not null,
    tenants text[],
    bounds json not null,
    status text not null default 'running',
    reason text,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
);

create unique index rollout_running on rollout (kind, name, old_version) where status = 'running';

comment on column rollout.content is 'the new version: the files of a bundle, or a flow';
comment on column rollout.ended_at is 'when it was promoted or aborted';

create table rollout_session (
    rollout_id uuid not null references rollout (id) on delete cascade,
    session_id uuid not null references session (id) on delete cascade,
    arm text not null,
    status text,
    passed integer not null default 0,
    sent_back integer not null default 0,
    abstained integer not null default 0,
    cost_usd double precision,
    ended_at timestamptz,
    primary key (rollout_id, session_id)
);

create index rollout_session_of on rollout_session (session_id);

comment on column rollout_session.arm is 'old or new: the version that the session began with';
comment on column rollout_session.cost_usd is 'null where a price is not known';
