-- name: newest
-- A session whose first event was never committed has been seen by nobody.
select session.id, tenant, flow, question, status, head, holder, created_at, updated_at, forked_from,
       forked_at, lease_until > clock_timestamp() as leased, event.payload as created
  from session
  left join event on event.session_id = session.id and event.seq = 1
 where head > 0 and tenant = %(tenant)s
 order by created_at desc
 limit %(limit)s;

-- name: like
select id from session
 where head > 0 and tenant = %(tenant)s and id::text like %(prefix)s || '%%'
 order by created_at desc
 limit 2;

-- name: row
select session.id, tenant, flow, question, status, head, holder, created_at, updated_at, forked_from,
       forked_at, lease_until > clock_timestamp() as leased, event.payload as created
  from session
  left join event on event.session_id = session.id and event.seq = 1
 where head > 0 and tenant = %(tenant)s and session.id = %(id)s;

-- name: checkpoints
-- Payloads are taken whole: one may hold an escaped NUL, at which any operator on json fails.
select seq, recorded_at, agent_run_id, kind, payload
  from event
 where session_id = %(id)s
   and kind in ('model.requested', 'tool.requested', 'delegation.requested', 'delegation.joined')
 order by seq;
