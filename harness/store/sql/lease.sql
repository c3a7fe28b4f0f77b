-- name: take_lease
-- Only when nobody holds it, or the caller has shown that the holder with this token is dead. It is a person
-- who takes it up so, whatever was asked of those before.
update session
   set token = token + 1,
       holder = %(holder)s,
       lease_until = clock_timestamp() + make_interval(secs => %(ttl)s),
       stop_requested = null
 where id = %(id)s
   and (lease_until <= clock_timestamp() or token = %(dead_token)s)
returning token, seen_at;

-- name: renew_lease
update session
   set lease_until = clock_timestamp() + make_interval(secs => %(ttl)s),
       seen_at = clock_timestamp()
 where id = %(id)s and token = %(token)s
returning stop_requested;

-- name: release_lease
update session
   set lease_until = '-infinity', holder = null
 where id = %(id)s and token = %(token)s;
