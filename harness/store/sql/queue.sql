-- name: tenant_in_turn
-- Turns go to the tenant with the fewest sessions at work, and among equals to the one served longest ago.
-- Its row stays locked while one of its sessions is claimed, so that two workers cannot both take its last place.
select tenant.name
  from tenant
 cross join lateral (
    select count(*) as sessions from session
     where tenant = tenant.name and holder is not null and due_at is not null
       and lease_until > clock_timestamp()
 ) as at_work
 where at_work.sessions < coalesce(max_sessions, at_work.sessions + 1)
   and not tenant.name = any(%(passed_over)s)
   and exists (
    select from session
     where tenant = tenant.name and queue = any(%(queues)s)
       and due_at <= clock_timestamp() and lease_until <= clock_timestamp()
 )
 order by at_work.sessions, served_at
 limit 1
   for update of tenant skip locked;

-- name: claim
-- A statement of its own, so that it sees what was claimed before the tenant's row was locked.
with best as (
    select first.id
      from unnest(%(queues)s::text[]) as its (queue)
     cross join lateral (
        select id, priority, due_at from session
         where tenant = %(tenant)s and queue = its.queue
           and due_at <= clock_timestamp() and lease_until <= clock_timestamp()
         order by priority desc, due_at
         limit 1
           for update skip locked
     ) as first
     where (select count(*) from session
             where tenant = %(tenant)s and holder is not null and due_at is not null
               and lease_until > clock_timestamp())
         < coalesce((select max_sessions from tenant where name = %(tenant)s), 2147483647)
     order by first.priority desc, first.due_at
     limit 1
), served as (
    update tenant set served_at = clock_timestamp()
     where name = %(tenant)s and exists (select from best)
)
update session
   set token = token + 1,
       holder = %(holder)s,
       lease_until = clock_timestamp() + make_interval(secs => %(ttl)s),
       claims = claims + 1
  from best
 where session.id = best.id
returning session.id, token, seen_at, claims;

-- name: held_here
-- Sessions for workers whose holder was a process of this host; it may be dead, with time left in its lease.
select id, token, holder
  from session
 where holder is not null and due_at is not null and lease_until > clock_timestamp()
   and holder ->> 'host' = %(host)s;

-- name: expire
update session set lease_until = '-infinity' where id = %(id)s and token = %(token)s;

-- name: place
update session set queue = %(queue)s, priority = %(priority)s where id = %(id)s and token = %(token)s;

-- name: at_work
select tenant, count(*) as sessions
  from session
 where holder is not null and due_at is not null and lease_until > clock_timestamp()
 group by tenant;

-- name: ask_for_room
-- For a tenant that has waited too long with nothing at work; asked for once, whoever asks.
update tenant
   set room_asked_at = clock_timestamp()
 where name = (
    select tenant.name
      from tenant
     where room_asked_at < clock_timestamp() - make_interval(secs => %(after_s)s)
       and coalesce(max_sessions, 1) > 0
       and exists (
        select from session
         where tenant = tenant.name and queue = any(%(queues)s)
           and due_at < clock_timestamp() - make_interval(secs => %(after_s)s)
           and lease_until <= clock_timestamp()
     )
       and not exists (
        select from session
         where tenant = tenant.name and holder is not null and due_at is not null
           and lease_until > clock_timestamp()
     )
     limit 1
       for update skip locked
 )
returning name;

-- name: left
-- How many sessions wait for workers or are with one, of these queues; those that begin later are not counted.
select count(*) as sessions
  from session
 where queue = any(%(queues)s) and due_at <= clock_timestamp();

-- name: notify
select pg_notify(%(channel)s, %(told)s);
