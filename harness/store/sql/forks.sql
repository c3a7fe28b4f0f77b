-- name: span_named
select span_id, seq from span
 where session_id = %(session_id)s and span_id like %(prefix)s || '%%'
 order by span_id
 limit 2;

-- name: fork_session
-- The lock hinders nobody but who would prune the origin: it stays until all of it is copied.
insert into session (id, tenant, flow, tags, question, status, head, forked_from, forked_at)
select %(id)s, tenant, flow, tags, %(question)s, 'suspended', %(at)s + 1, id, %(at)s
  from session
 where id = %(origin)s
   for key share;

-- name: copy_events
-- Times and spans stay: the events took place when and where the origin says. Only the last may be another.
insert into event (session_id, seq, id, kind, version, token, agent_run_id, span_id, recorded_at, payload)
select %(id)s, seq, gen_random_uuid(), kind,
       case when seq = %(at)s then coalesce(%(version)s, version) else version end,
       token, agent_run_id, span_id, recorded_at,
       case when seq = %(at)s then coalesce(%(edited)s, payload) else payload end
  from event
 where session_id = %(origin)s and seq <= %(at)s;

-- name: add_forked
insert into event (session_id, seq, id, kind, version, token, span_id, payload)
values (%(id)s, %(at)s + 1, gen_random_uuid(), %(kind)s, %(version)s, 0, %(span_id)s, %(payload)s);

-- name: add_span
-- One that the fork's own trace begins with. Copied events name spans of the origin's, which stay there.
insert into span (session_id, seq, span_id, parent_span_id, agent_run_id, kind, name, started_at, opened)
values (%(id)s, %(at)s + 1, %(span_id)s, %(parent_span_id)s, %(agent_run_id)s, %(kind)s, %(name)s,
        %(started_at)s, %(opened)s);

-- name: copy_documents
-- Beside those it was given: those that its agents had been shown by then.
insert into session_document (session_id, number, document, locator)
select %(id)s, number, document, locator
  from session_document
 where session_id = %(origin)s and (number <= %(sources)s or label = any(%(read)s::text[]));

-- name: copy_bundles
insert into session_bundle (session_id, tenant, name, version)
select %(id)s, tenant, name, version from session_bundle where session_id = %(origin)s;

-- name: copy_results
insert into result (session_id, reference, body)
select %(id)s, reference, body from result where session_id = %(origin)s;

-- name: copy_responses
insert into kept_response (session_id, agent_run_id, conversation, call_id, content_type, body)
select %(id)s, agent_run_id, conversation, call_id, content_type, body
  from kept_response
 where session_id = %(origin)s and call_id = any(%(calls)s::uuid[]);

-- name: copy_transcript
-- The copy names itself: of two Claude sessions at work on one machine none may have the other's id.
insert into transcript (scope, claude_session_id, uuid, parent_uuid, type, entry, recorded_at)
select %(id)s, %(copy)s, uuid, parent_uuid, type,
       replace(entry::text, %(known_by)s, %(named)s)::json, recorded_at
  from (select * from transcript
         where scope = %(origin)s and claude_session_id = %(stored)s and subpath = ''
         order by seq
         limit %(entries)s) as there
 order by seq;
