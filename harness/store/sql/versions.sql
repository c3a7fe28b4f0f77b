-- name: not_kept
select given.name, given.version
  from json_to_recordset(%(versions)s) as given (name text, version text)
 where not exists (
    select from bundle_version
     where tenant = %(tenant)s and name = given.name and version = given.version
 );

-- name: keep
insert into bundle_version (tenant, name, version, files)
values (%(tenant)s, %(name)s, %(version)s, %(files)s)
on conflict do nothing;

-- name: keep_for
-- Whatever a session is kept for cannot be pruned from here on.
insert into session_bundle (session_id, tenant, name, version)
select %(session_id)s, tenant, name, version
  from bundle_version
  join json_to_recordset(%(versions)s) as given (name text, version text) using (name, version)
 where tenant = %(tenant)s;

-- name: kept
select kept.name, kept.files
  from bundle_version as kept
  join json_to_recordset(%(versions)s) as given (name text, version text) using (name, version)
 where kept.tenant = %(tenant)s;
