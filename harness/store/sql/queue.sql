-- name: tenant_in_turn
-- Turns go to the tenant with the fewest sessions at work, and among equals to the one served longest ago.
-- The row of one that may have only so many at work stays locked while one of its sessions is claimed, so that two
-- workers cannot both take its last place; a lock that leaves sessions to be submitted meanwhile. It is not `free`
-- while another worker has it.
-- Nothing here reads all that wait: tenants are looked at in their order, no further than to the
-- first with something due, and times are the statement's, which an index can be searched for, the clock's not.
select turn.name, turn.max_sessions is null or locked.name is not null as free
  from (
    select candidate.name, candidate.max_sessions
      from (
        select name, max_sessions, sessions, served_at
          from tenant
         cross join lateral (
            select count(*) as sessions from session
             where tenant = tenant.name and holder is not null and due_at is not null
               and lease_until > statement_timestamp()
         ) as at_work
         where (max_sessions is null or sessions < max_sessions)
           and not name = any(%(passed_over)s)
         order by sessions, served_at
     ) as candidate
     cross join lateral (
        select from unnest(%(queues)s::text[]) as its (queue)
         cross join lateral (
            -- In the order of the index, so that no other is ever thought better.
            select from session
             where tenant = candidate.name and queue = its.queue
               and due_at <= statement_timestamp() and lease_until <= statement_timestamp()
               and not id = any(%(not_ours)s::uuid[])
             order by priority desc, due_at
             limit 1
         ) as first
         limit 1
     ) as something_due
     order by candidate.sessions, candidate.served_at
     limit 1
 ) as turn
  left join lateral (
    select name from tenant
     where tenant.name = turn.name and turn.max_sessions is not null
       for no key update skip locked
 ) as locked on true;

-- name: claim
-- A statement of its own, so that it sees what was claimed before the tenant's row was locked.
with best as (
    select first.id, first.since
      from unnest(%(queues)s::text[]) as its (queue)
     cross join lateral (
        select id, priority, due_at, greatest(due_at, updated_at, lease_until) as since
          from session
         where tenant = %(tenant)s and queue = its.queue
           and due_at <= statement_timestamp() and lease_until <= statement_timestamp()
           and not id = any(%(not_ours)s::uuid[])
         order by priority desc, due_at
         limit 1
           for update skip locked
     ) as first
     where (select count(*) from session
             where tenant = %(tenant)s and holder is not null and due_at is not null
               and lease_until > statement_timestamp())
         < coalesce((select max_sessions from tenant where name = %(tenant)s), 2147483647)
     order by first.priority desc, first.due_at
     limit 1
), served as (
    -- When another worker serves it just now, that counts.
    update tenant set served_at = clock_timestamp()
     where name = (select name from tenant where name = %(tenant)s and exists (select from best)
                      for no key update skip locked)
)
update session
   set token = token + 1,
       holder = %(holder)s,
       lease_until = clock_timestamp() + make_interval(secs => %(ttl)s),
       claims = claims + 1,
       -- Should it take this worker with it, as it did the last one, it is not due again at once.
       due_at = case
                  when claims = 0 then session.due_at
                  else statement_timestamp() + make_interval(secs => (0.5 + random() / 2) * least(600, 5 * 2 ^ least(claims - 1, 7)))
                end
  from best
 where session.id = best.id
returning session.id, token, seen_at, claims,
          greatest(0, extract(epoch from statement_timestamp() - best.since))::float8 as waited_s;

-- name: unclaim
update session
   set claims = greatest(claims - 1, 0), due_at = least(due_at, statement_timestamp())
 where id = %(id)s and token = %(token)s and due_at is not null;

-- name: uncount
update session set claims = greatest(claims - 1, 0) where id = %(id)s and token = %(token)s;

-- name: held_here
-- Sessions for workers whose holder was a process of this host; it may be dead, with time left in its lease.
select id, token, holder
  from session
 where holder is not null and due_at is not null and lease_until > statement_timestamp()
   and holder ->> 'host' = %(host)s;

-- name: expire
update session set lease_until = '-infinity' where id = %(id)s and token = %(token)s;

-- name: place
update session set queue = %(queue)s, priority = %(priority)s where id = %(id)s and token = %(token)s;

-- name: at_work
select tenant, count(*) as sessions
  from session
 where holder is not null and due_at is not null and lease_until > statement_timestamp()
 group by tenant;

-- name: ask_for_room
-- For a tenant that has waited too long with nothing at work; asked for once, whoever asks.
update tenant
   set room_asked_at = clock_timestamp()
 where name = (
    select tenant.name
      from tenant
     where room_asked_at < statement_timestamp() - make_interval(secs => %(after_s)s)
       and coalesce(max_sessions, 1) > 0
       and exists (
        select from session
         where tenant = tenant.name and queue = any(%(queues)s)
           and due_at < statement_timestamp() - make_interval(secs => %(after_s)s)
           and lease_until <= statement_timestamp()
           and not id = any(%(not_ours)s::uuid[])
     )
       and not exists (
        select from session
         where tenant = tenant.name and holder is not null and due_at is not null
           and lease_until > statement_timestamp()
     )
     limit 1
       for update skip locked
 )
returning name;

-- name: left
-- Whether a session waits for workers or is with one, of these queues; those that begin later do not count.
select exists (
    select from session where queue = any(%(queues)s) and due_at <= statement_timestamp()
       and not id = any(%(not_ours)s::uuid[])
 ) as any;

-- name: notify
select pg_notify(%(channel)s, %(told)s);
