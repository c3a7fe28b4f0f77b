-- name: known_tenant
insert into tenant (name) values (%(tenant)s) on conflict do nothing;

-- name: examine
-- What the role is, or may become by `set role`. No row: there is no such role.
with meant as (
    select oid from pg_roles where rolname = %(role)s
)
select bool_or(rolsuper) as superuser,
       bool_or(rolbypassrls) as unbound,
       bool_or(pg_roles.oid in ((select relowner from pg_class where oid = 'session'::regclass),
                                (select datdba from pg_database where datname = current_database()))) as owner,
       bool_or(rolcreaterole) as makes_roles,
       bool_or(rolreplication) as replicates,
       bool_or(rolname in ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'))
           as reaches_files,
       has_schema_privilege(meant.oid, current_schema(), 'create') as creates,
       has_database_privilege(meant.oid, current_database(), 'create') as makes_schemas
  from meant
  join pg_roles on pg_has_role(meant.oid, pg_roles.oid, 'member')
 group by meant.oid;

-- name: add
insert into tenant_role (role, tenant) values (%(role)s, %(tenant)s) on conflict do nothing;

-- name: remove
delete from tenant_role where role = %(role)s and tenant = %(tenant)s;

-- name: granted
select exists (select from tenant_role where role = %(role)s) as still;

-- name: is_kept
select to_regclass('tenant_role') is not null as kept;

-- name: grants
-- The statements that give their rights to all roles of tenants, or to one of them. Policies say on which rows.
-- Never truncate, references, trigger: policies do not hold them back.
with may (name, rights) as (
    values ('schema_migration', 'select'),
           ('tenant', 'select, insert (name)'),
           ('session', 'select, insert, update, delete'),
           ('event', 'select, insert'),
           ('transcript', 'select, insert'),
           ('result', 'select, insert'),
           ('document', 'select, insert'),
           ('passage', 'select, insert'),
           ('session_document', 'select, insert'),
           ('kept_response', 'select, insert, delete'),
           ('tool_answer', 'select, insert, update, delete'),
           ('span', 'select, insert, update'),
           ('score', 'select, insert, update'),
           ('recording', 'select, insert'),
           -- Workers run the code of a bundle, so only the service keeps versions and rolls them out.
           ('bundle_version', 'select'),
           ('session_bundle', 'select, insert'),
           ('rollout', 'select'),
           ('rollout_session', 'select, insert (rollout_id, session_id, arm)'),
           -- Whoever could write these would set its own budget.
           ('account', 'select'),
           ('reservation', 'select'),
           ('spending', 'select')
)
select format('grant usage on schema %%I to %%I', current_schema(), rolname) as grant
  from pg_roles
 where rolname in (select role from tenant_role) and rolname = coalesce(%(role)s, rolname)
 union all
select format('grant %%s on %%I to %%I', rights, name, rolname)
  from may, pg_roles
 where rolname in (select role from tenant_role) and rolname = coalesce(%(role)s, rolname);

-- name: revocations
select format('revoke all on all tables in schema %%I from %%I', current_schema(), %(role)s::text) as revoke
  from pg_roles where rolname = %(role)s
 union all
select format('revoke usage on schema %%I from %%I', current_schema(), %(role)s::text)
  from pg_roles where rolname = %(role)s;
