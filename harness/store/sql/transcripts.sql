-- name: append_entries
-- The session row is locked against a takeover while the entries go in: a stale token writes nothing.
with own as (
    select from session where id = %(session_id)s and token = %(token)s for share
), fresh as (
    insert into transcript (scope, claude_session_id, subpath, uuid, parent_uuid, type, entry)
    select %(scope)s, %(claude_session_id)s, %(subpath)s, e.uuid, e.parent_uuid, e.type, e.entry::json
      from own, unnest(%(uuids)s::text[], %(parents)s::text[], %(types)s::text[], %(entries)s::text[])
           with ordinality as e (uuid, parent_uuid, type, entry, n)
     order by e.n
    on conflict do nothing
)
select count(*)::int as held from own;

-- name: append_unfenced
insert into transcript (scope, claude_session_id, subpath, uuid, parent_uuid, type, entry)
select %(scope)s, %(claude_session_id)s, %(subpath)s, e.uuid, e.parent_uuid, e.type, e.entry::json
  from unnest(%(uuids)s::text[], %(parents)s::text[], %(types)s::text[], %(entries)s::text[])
       with ordinality as e (uuid, parent_uuid, type, entry, n)
 order by e.n
on conflict do nothing;

-- name: load_entries
select entry from transcript
 where scope = %(scope)s and claude_session_id = %(claude_session_id)s and subpath = %(subpath)s
 order by seq;

-- name: list_subpaths
select distinct subpath from transcript
 where scope = %(scope)s and claude_session_id = %(claude_session_id)s and subpath <> ''
 order by subpath;

-- name: list_claude_sessions
select claude_session_id, (extract(epoch from max(recorded_at)) * 1000)::bigint as mtime
  from transcript
 where scope = %(scope)s and subpath = ''
 group by claude_session_id;

-- name: delete_entries
delete from transcript
 where scope = %(scope)s and claude_session_id = %(claude_session_id)s
   and (%(subpath)s::text is null or subpath = %(subpath)s);
