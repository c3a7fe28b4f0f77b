-- name: append_event
-- One statement proves the lease's token, advances the session row and appends the event.
-- No row comes back when the token is stale or an event of this id is there already. An earlier try of the
-- same append may still be committing: then its row is met at the insert, and one seq stays unused.
-- The spans that the event opens and closes are written with it; their times are the process's own. What
-- they tell comes as JSON text within the JSON, so that it may hold escaped NUL and lone surrogates.
with own as (
    update session
       set head = head + 1,
           status = coalesce(%(status)s, status),
           due_at = case
                      when %(status)s::text is null or %(status)s = 'running' then due_at
                      when %(status)s = 'queued' and %(due_s)s > 0
                        then clock_timestamp() + make_interval(secs => %(due_s)s)
                      -- One that was begun and handed back keeps its turn.
                      when %(status)s = 'queued' then least(due_at, clock_timestamp())
                    end,
           claims = case when %(progress)s then 0 else claims end,
           updated_at = clock_timestamp(),
           seen_at = clock_timestamp()
     where id = %(session_id)s
       and token = %(token)s
       and not exists (select from event where session_id = %(session_id)s and id = %(id)s)
    returning head, token
), kept as (
    insert into kept_response (session_id, agent_run_id, conversation, call_id, content_type, body)
    select %(session_id)s, %(agent_run_id)s, %(conversation)s, %(call_id)s, %(content_type)s, %(body)s
      from own
     where %(conversation)s::text is not null
    on conflict (session_id, agent_run_id, conversation) do nothing
), opened as (
    insert into span (session_id, seq, span_id, parent_span_id, agent_run_id, kind, name, started_at, ended_at,
                      status, opened, closed)
    select %(session_id)s, own.head, its.span_id, its.parent_span_id, its.agent_run_id, its.kind, its.name,
           its.started_at, its.ended_at, coalesce(its.status, 'open'), its.opened::json, its.closed::json
      from own,
           json_to_recordset(%(opened)s)
               as its (span_id text, parent_span_id text, agent_run_id uuid, kind text, name text,
                       started_at timestamptz, ended_at timestamptz, status text, opened text, closed text)
    on conflict (session_id, span_id) do nothing
), closed as (
    update span
       set ended_at = greatest(its.ended_at, span.started_at), status = its.status, closed = its.closed::json
      from own,
           json_to_recordset(%(closed)s)
               as its (span_id text, ended_at timestamptz, status text, closed text)
     where span.session_id = %(session_id)s and span.span_id = its.span_id and span.ended_at is null
)
insert into event (session_id, seq, id, kind, version, token, agent_run_id, span_id, payload)
select %(session_id)s, own.head, %(id)s, %(kind)s, %(version)s, own.token, %(agent_run_id)s, %(span_id)s,
       %(payload)s
  from own
on conflict (session_id, id) do nothing
returning seq, recorded_at;

-- name: tag_session
update session set tags = %(tags)s where id = %(id)s;

-- name: event_by_id
select seq, recorded_at from event where session_id = %(session_id)s and id = %(id)s;

-- name: events
select session_id, seq, id, kind, version, agent_run_id, span_id, recorded_at, payload
  from event
 where session_id = %(session_id)s and seq > %(after)s
 order by seq;

-- name: events_of_kinds
select session_id, seq, id, kind, version, agent_run_id, span_id, recorded_at, payload
  from event
 where session_id = %(session_id)s and kind = any(%(kinds)s)
 order by seq;

-- name: create_session
with known as (
    insert into tenant (name) values (%(tenant)s) on conflict do nothing
)
insert into session (id, tenant, flow, question, status, token, holder, lease_until)
values (%(id)s, %(tenant)s, %(flow)s, %(question)s, 'running', 1, %(holder)s,
        clock_timestamp() + make_interval(secs => %(ttl)s))
on conflict do nothing;

-- name: session
-- A lease that nobody holds has ended at -infinity, from which Postgres can subtract since version 17 only.
select id, tenant, flow, question, status, head, token, holder, created_at, updated_at, due_at,
       lease_until > clock_timestamp() as leased,
       extract(epoch from greatest(lease_until, statement_timestamp()) - statement_timestamp())::float8 as lease_left
  from session where id = %(id)s;

-- name: tenant_of
-- A session whose first event was never committed has been seen by nobody.
select tenant from session where id = %(id)s and head > 0;

-- name: request_stop
update session set stop_requested = %(what)s, updated_at = clock_timestamp() where id = %(id)s;

-- name: drop_unborn_session
-- A session whose first event was never committed: nobody has seen it.
delete from session where id = %(id)s and head = 0;
