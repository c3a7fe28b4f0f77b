-- name: kept_answer
select answer from tool_answer
 where tenant = %(tenant)s and tool = %(tool)s and version = %(version)s and input_hash = %(input_hash)s
   and kept_until > clock_timestamp();

-- name: keep_answer
insert into tool_answer (tenant, tool, version, input_hash, answer, kept_until)
values (%(tenant)s, %(tool)s, %(version)s, %(input_hash)s, %(answer)s,
        clock_timestamp() + make_interval(secs => %(cache_s)s))
on conflict (tenant, tool, version, input_hash)
do update set answer = excluded.answer, kept_until = excluded.kept_until;

-- name: drop_expired
-- A few at each write: the table stays as small as what is alive in it, and no write takes long.
delete from tool_answer
 where (tenant, tool, version, input_hash) in (
           select tenant, tool, version, input_hash from tool_answer
            where kept_until <= clock_timestamp()
            limit %(limit)s
              for update skip locked
       );
