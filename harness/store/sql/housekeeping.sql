-- name: columns
-- A computed column is computed again wherever its row goes.
select relation.relname as table, attname as name, attidentity <> '' as identity,
       array_position(key.indkey::int2[], attnum) as place
  from pg_class relation
  join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped and attgenerated = ''
  left join pg_index key on key.indrelid = relation.oid and key.indisprimary
 where relation.oid = any(select to_regclass(name) from unnest(%(tables)s::text[]) as name)
 order by relation.relname, attnum;

-- name: one_snapshot
set transaction isolation level repeatable read, read only;

-- name: plain_values
-- Values are then written in one way, whatever the server and its databases prefer.
select set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true),
       set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true),
       set_config('intervalstyle', 'postgres', true);

-- name: session_to_export
select head, tenant, lease_until > clock_timestamp() as leased,
       (select max(version) from schema_migration) as schema
  from session where id = %(id)s;

-- name: session_there
select head, tenant = %(tenant)s as own from session where id = %(id)s;

-- name: know_tenant
insert into tenant (name) values (%(tenant)s) on conflict do nothing;

-- name: place_document
-- A tenant has a text once: one that is there already is used, and from now on kept by a lock.
insert into document (tenant, sha256, title, length, added_at)
values (%(tenant)s, %(sha256)s, %(title)s, %(length)s, %(added_at)s)
on conflict (tenant, sha256) do update set sha256 = excluded.sha256
returning id::text, xmax = 0 as made;

-- name: keep_version
insert into bundle_version (tenant, name, version, files, added_at)
values (%(tenant)s, %(name)s, %(version)s, %(files)s::json, %(added_at)s)
on conflict do nothing;

-- name: drop_unused_versions
-- Not one that was just kept: the session that it is kept for may be at its beginning.
delete from bundle_version as kept
 where added_at < clock_timestamp() - interval '1 hour'
   and not exists (
           select from session_bundle as used
            where (used.tenant, used.name, used.version) = (kept.tenant, kept.name, kept.version)
       );

-- name: prunable
-- One whose first event was never committed has been seen by nobody, whatever its status.
select id, tenant, question, status, head as events, created_at, updated_at
  from session
 where (%(tenant)s::text is null or tenant = %(tenant)s)
   and updated_at < %(before)s
   and (status = any(%(statuses)s::text[]) or head = 0)
   and due_at is null
   and lease_until <= clock_timestamp()
 order by updated_at, id;

-- name: not_ended
select id::text, lease_until > clock_timestamp() as leased from session where status <> all(%(ended)s::text[]);

-- name: replays
-- The text is asked, for any operator on json fails at an escaped NUL.
select session.id, payload as created
  from session
  join event on session_id = session.id and seq = 1
 where status <> all(%(ended)s::text[])
   and strpos(payload::text, '"replays": "') > 0;

-- name: lock_prunable
-- Those that nobody has taken up, forked or touched since they were chosen. A taker waits, and finds nothing.
select id
  from session
 where id = any(%(ids)s::uuid[])
   and updated_at < %(before)s
   and due_at is null
   and lease_until <= clock_timestamp()
   for update skip locked;

-- name: passage_versions
select session_id::text, count(*) as rows,
       sum(hashtextextended(passage.ctid::text || ' ' || passage.xmin::text, 0)) as versions
  from session_document
  join passage using (document)
 where session_id = any(%(ids)s::uuid[])
 group by 1;

-- name: recording_versions
select session_id::text, count(*) as rows,
       sum(hashtextextended(ctid::text || ' ' || xmin::text, 0)) as versions
  from recording
 where session_id = any(%(ids)s::uuid[])
 group by 1;

-- name: touched
select relname as table, n_tup_del as deleted, n_tup_upd as changed from pg_stat_xact_user_tables;

-- name: documents_whole
select label, length, coalesce(sum(length(passage.text)), 0) as there
  from session_document
  join document on document.id = session_document.document
  left join passage on passage.document = document.id
 where session_id = %(session_id)s
 group by label, length;

-- name: lock_unused_documents
-- One that is being made a source just now is locked by that, and left.
select id from document
 where not exists (select from session_document where session_document.document = document.id)
 limit %(limit)s
   for update skip locked;

-- name: still_unused
select id from document
 where id = any(%(ids)s::bigint[])
   and not exists (select from session_document where session_document.document = document.id);

-- name: drop_passages
delete from passage where document = any(%(ids)s::bigint[]);

-- name: drop_documents
delete from document where id = any(%(ids)s::bigint[]);

-- name: drop_sent_spans
-- Of sessions that have ended: nobody goes on in them.
delete from span
 where session_id in (
           select id from session
            where (%(tenant)s::text is null or tenant = %(tenant)s)
              and status = any(%(ended)s::text[])
              and exists (select from span sent where sent.session_id = session.id and sent.sent_at < %(before)s)
            limit %(limit)s
       )
   and sent_at < %(before)s;

-- name: table_sizes
select relname as table, pg_total_relation_size(oid) as bytes
  from pg_class
 where relkind = 'r' and relnamespace = (select relnamespace from pg_class where oid = to_regclass('session'))
 order by bytes desc, relname;

-- name: sessions_by_status
select status, count(*) as sessions, min(created_at) as oldest
  from session
 where tenant = %(tenant)s and head > 0
 group by status
 order by count(*) desc, status;

-- name: all_events
select coalesce(sum(head), 0)::bigint as events from session;
