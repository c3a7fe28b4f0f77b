-- Completed model responses of agent runs that have not ended: asked for again, they are not paid again.

create table kept_response (
    session_id uuid not null references session (id) on delete cascade,
    agent_run_id uuid not null,
    conversation text not null,
    call_id uuid not null,
    content_type text not null,
    body bytea not null,
    primary key (session_id, agent_run_id, conversation)
);

comment on column kept_response.conversation is 'hash of what the model was told, without what a resume adds to it';
comment on column kept_response.body is 'zlib: the stream or JSON as it came over the wire';
