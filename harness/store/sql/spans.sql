-- name: spans
select session_id, span_id, parent_span_id, agent_run_id, kind, name, seq, started_at, ended_at, status,
       opened, closed, tries, sent_at, refused
  from span
 where session_id = %(session_id)s
 order by started_at, seq;

-- name: ended_spans
select span.session_id, span.span_id, parent_span_id, span.agent_run_id, span.kind, name, span.seq, started_at,
       ended_at, span.status, opened, closed, tries, sent_at, refused, tenant, flow, tags,
       forked_from is not null as is_fork
  from span join session on session.id = span.session_id
 where span.session_id = %(session_id)s and ended_at is not null
 order by started_at, span.seq;

-- name: agent_run_spans
-- Without what they tell: that may be long.
select session_id, span_id, parent_span_id, agent_run_id, kind, name, seq, started_at, ended_at, status,
       '{}'::json as opened, null as closed
  from span
 where session_id = %(session_id)s and kind = 'agent_run'
 order by started_at, seq;

-- name: take_spans
-- Spans that have ended and are due. Whoever takes them has `hold` seconds before they are due again.
with due as (
    select span.session_id, span.span_id, session.tenant, session.flow, session.tags, session.forked_from
      from span join session on session.id = span.session_id
     where ended_at is not null and sent_at is null and refused is null
       and next_try <= clock_timestamp()
       and session.tenant = %(tenant)s
       and (%(session_id)s::uuid is null or span.session_id = %(session_id)s)
     order by next_try, ended_at
     limit %(limit)s
       for update of span skip locked)
update span
   set tries = tries + 1, next_try = clock_timestamp() + make_interval(secs => %(hold)s)
  from due
 where span.session_id = due.session_id and span.span_id = due.span_id
returning span.session_id, span.span_id, parent_span_id, agent_run_id, kind, name, seq, started_at, ended_at,
          status, opened, closed, tries, sent_at, refused, tenant, flow, tags, forked_from is not null as is_fork;

-- name: spans_sent
update span
   set sent_at = clock_timestamp()
 where session_id = any(%(session_ids)s::uuid[]) and span_id = any(%(span_ids)s::text[]) and sent_at is null;

-- name: spans_later
-- A try that surely did not reach the receiver counts as none.
update span
   set next_try = clock_timestamp(), tries = tries - (not %(doubtful)s)::int
 where session_id = any(%(session_ids)s::uuid[]) and span_id = any(%(span_ids)s::text[]) and sent_at is null;

-- name: span_refused
update span set refused = %(problem)s where session_id = %(session_id)s and span_id = %(span_id)s;

-- name: standing
select count(*) filter (where ended_at is null) as open,
       count(*) filter (where ended_at is not null and sent_at is null and refused is null) as waiting,
       count(*) filter (where ended_at is not null and sent_at is null and refused is null
                          and next_try > clock_timestamp()) as held,
       count(*) filter (where sent_at is not null) as sent,
       count(*) filter (where refused is not null) as refused,
       count(*) filter (where sent_at is not null and tries > 1) as sent_again,
       min(ended_at) filter (where ended_at is not null and sent_at is null and refused is null) as oldest
  from span join session on session.id = span.session_id
 where session.tenant = %(tenant)s
   and (%(session_id)s::uuid is null or span.session_id = %(session_id)s);

-- name: refusals
select refused as problem, count(*) as spans
  from span join session on session.id = span.session_id
 where session.tenant = %(tenant)s and refused is not null
   and (%(session_id)s::uuid is null or span.session_id = %(session_id)s)
 group by refused order by count(*) desc, refused limit 5;

-- name: add_score
-- The same score again changes nothing; a changed one is sent again. Its name and time stay: by its id, its name
-- and its day Langfuse knows that it is the same one.
insert into score (id, session_id, span_id, name, value, comment, given_at)
values (%(id)s, %(session_id)s, %(span_id)s, %(name)s, %(value)s, %(comment)s, %(given_at)s)
on conflict (id) do update
   set span_id = excluded.span_id, value = excluded.value, comment = excluded.comment,
       sent_at = null, refused = null, tries = 0, next_try = '-infinity'
 where (score.span_id, score.value::text, score.comment)
       is distinct from (excluded.span_id, excluded.value::text, excluded.comment);

-- name: scores
select id, session_id, span_id, name, value, comment, given_at, tries, sent_at, refused
  from score where session_id = %(session_id)s order by given_at, id;

-- name: take_scores
update score
   set tries = tries + 1, next_try = clock_timestamp() + make_interval(secs => %(hold)s)
 where id in (
        select score.id
          from score join session on session.id = score.session_id
         where sent_at is null and refused is null and next_try <= clock_timestamp()
           and session.tenant = %(tenant)s
           and (%(session_id)s::uuid is null or session_id = %(session_id)s)
         order by next_try, given_at
         limit %(limit)s
           for update of score skip locked)
returning id, session_id, span_id, name, value, comment, given_at, tries, sent_at, refused;

-- name: scores_left
select count(*) as left,
       -- What was never tried is due since ever, and before Postgres 17 no time is subtracted from that.
       coalesce(extract(epoch from greatest(min(next_try), now()) - now()), 0)::float8 as pause_s
  from score join session on session.id = score.session_id
 where sent_at is null and refused is null
   and session.tenant = %(tenant)s
   and (%(session_id)s::uuid is null or session_id = %(session_id)s);

-- name: scores_sent
update score set sent_at = clock_timestamp() where id = any(%(ids)s::uuid[]);

-- name: scores_later
update score
   set next_try = clock_timestamp() + make_interval(secs => %(pause)s)
 where id = any(%(ids)s::uuid[]) and sent_at is null;

-- name: score_refused
update score set refused = %(problem)s where id = %(id)s;
