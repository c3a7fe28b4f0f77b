-- The wire of model calls, kept when a person asks for it, so that a session can be played again.

create table recording (
    session_id uuid not null references session (id) on delete cascade,
    agent_run_id uuid not null,
    path text not null,
    auxiliary boolean not null,
    number integer not null,
    attempt integer not null,
    status integer not null,
    request_headers json not null,
    request bytea not null,
    response_headers json not null,
    content_type text not null,
    response bytea not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (session_id, agent_run_id, auxiliary, number, attempt)
);

create index recording_of_path on recording (session_id, path, auxiliary, number);

comment on column recording.path is 'of the agent run in the flow: the same in every session of that flow';
comment on column recording.number is 'of the call among the completed steps, or auxiliary calls, of its agent run; from 1';
comment on column recording.attempt is 'of several answers to that call the last is the one that counted';
comment on column recording.request is 'zlib: the body as it was sent, without any key';
comment on column recording.response is 'zlib: the stream or JSON as it came over the wire';
