-- name: keep_result
insert into result (session_id, reference, body)
values (%(session_id)s, %(reference)s, %(body)s)
on conflict do nothing;

-- name: read_result
select substr(body, %(offset)s + 1, %(length)s) as part, length(body) as length
  from result
 where session_id = %(session_id)s and reference = %(reference)s;
