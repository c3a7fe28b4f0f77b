-- name: add
insert into rollout (id, kind, name, old_version, new_version, content, percent, tenants, bounds)
values (%(id)s, %(kind)s, %(name)s, %(old_version)s, %(new_version)s, %(content)s, %(percent)s, %(tenants)s,
        %(bounds)s)
on conflict do nothing
returning id;

-- name: all
select id, kind, name, old_version, new_version, percent, tenants, bounds, status, reason, started_at, ended_at
  from rollout
 order by started_at desc;

-- name: in_effect
select id, kind, name, old_version, new_version, percent, tenants, bounds, status, reason, started_at, ended_at
  from rollout
 where status in ('running', 'promoted')
 order by started_at;

-- name: content
select content from rollout where id = %(id)s;

-- name: end
update rollout
   set status = %(status)s, reason = %(reason)s, ended_at = clock_timestamp()
 where id = %(id)s and status = any(%(from)s)
returning id;

-- name: note_arm
insert into rollout_session (rollout_id, session_id, arm) values (%(rollout_id)s, %(session_id)s, %(arm)s);

-- name: note_end
update rollout_session
   set status = %(status)s, passed = %(passed)s, sent_back = %(sent_back)s, abstained = %(abstained)s,
       cost_usd = %(cost_usd)s, ended_at = clock_timestamp()
 where session_id = %(session_id)s
returning rollout_id;

-- name: unnoted_ends
-- Sessions whose end was committed by a process that died before it could note it here.
select distinct session.id
  from rollout_session
  join session on session.id = rollout_session.session_id
 where rollout_session.rollout_id = %(rollout_id)s and rollout_session.ended_at is null
   and session.status in ('done', 'failed', 'needs_help', 'cancelled')
 limit %(limit)s;

-- name: tallies
select arm,
       count(*)::integer as begun,
       (count(*) filter (where status in ('done', 'failed', 'needs_help')))::integer as ended,
       (count(*) filter (where status in ('failed', 'needs_help')))::integer as failed,
       coalesce(sum(passed), 0)::integer as passed,
       coalesce(sum(sent_back), 0)::integer as sent_back,
       coalesce(sum(abstained), 0)::integer as abstained,
       (count(cost_usd) filter (where status in ('done', 'failed', 'needs_help')))::integer as priced,
       coalesce(sum(cost_usd) filter (where status in ('done', 'failed', 'needs_help')), 0) as cost_usd
  from rollout_session
 where rollout_id = %(rollout_id)s
 group by arm;
