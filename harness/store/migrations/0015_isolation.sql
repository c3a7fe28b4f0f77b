-- Row-level security: a tenant's plain role sees and changes its tenant's rows alone. The owner of the tables sees
-- all: policies do not concern it. What such a role may do at all is granted by harness.store.tenant_roles.

create table tenant_role (
    role name not null,
    tenant text not null references tenant (name) on delete cascade,
    granted_at timestamptz not null default clock_timestamp(),
    primary key (role, tenant)
);

comment on table tenant_role is 'no plain role may read it: they ask own_tenants()';

-- With its owner's rights, for whoever asks. Names in it are bound here and now, so that nobody's search_path or
-- temporary table can stand in for them. Within it current_user is the owner; who asks is told by these two.
create function own_tenants() returns setof text
language sql stable security definer parallel restricted
begin atomic
    select tenant from tenant_role
     where role = coalesce(nullif(current_setting('role'), 'none'), session_user);
end;

comment on function own_tenants is 'the tenants that the role at work was granted to; none for the owner';

-- In a policy the array is made once for each statement.

alter table tenant enable row level security;
create policy own on tenant using (name = any (array(select own_tenants())));

alter table session enable row level security;
create policy own on session using (tenant = any (array(select own_tenants())));
-- What has been begun stays: its journal is what was spent.
create policy unborn on session as restrictive for delete using (head = 0);
-- Workers read these columns of all tenants' sessions at once: one that they cannot read would stop them all.
create policy readable on session as restrictive using (true) with check (
    least(created_at, updated_at, seen_at, due_at) > '2000-01-01'
    and greatest(created_at, updated_at, seen_at, due_at, lease_until) < '9000-01-01'
    and (
        holder is null
        or (select count(*) from json_object_keys(holder)) = 4
            and length(holder ->> 'host') > 0
            and length(holder ->> 'boot_id') > 0
            and json_typeof(holder -> 'host') = 'string'
            and json_typeof(holder -> 'boot_id') = 'string'
            and json_typeof(holder -> 'process_started') = 'number'
            and holder ->> 'pid' ~ '^[0-9]{1,9}$'
    )
);

alter table document enable row level security;
create policy own on document using (tenant = any (array(select own_tenants())));

alter table tool_answer enable row level security;
create policy own on tool_answer using (tenant = any (array(select own_tenants())));

-- In the following a session or document that its own policy hides does not exist.

alter table event enable row level security;
create policy own on event using (exists (select from session where id = session_id));

alter table result enable row level security;
create policy own on result using (exists (select from session where id = session_id));

alter table kept_response enable row level security;
create policy own on kept_response using (exists (select from session where id = session_id));

alter table span enable row level security;
create policy own on span using (exists (select from session where id = session_id));

alter table score enable row level security;
create policy own on score using (exists (select from session where id = session_id));

alter table recording enable row level security;
create policy own on recording using (exists (select from session where id = session_id));

-- A scope that is no session's id belongs to nobody; it must not make the cast fail, which would show it.
alter table transcript enable row level security;
create policy own on transcript using (
    exists (
        select from session
         where id = case when scope ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then scope::uuid end
    )
);

alter table passage enable row level security;
create policy own on passage using (exists (select from document where id = passage.document));

-- A worker reads a session's documents as the owner: none of another tenant's may ever be linked to it.
alter table session_document enable row level security;
create policy own on session_document
    using (exists (select from session where id = session_id))
    with check (
        exists (
            select from session
              join document using (tenant)
             where session.id = session_id and document.id = session_document.document
        )
    );

alter table bundle_version enable row level security;
create policy own on bundle_version using (tenant = any (array(select own_tenants())));

alter table session_bundle enable row level security;
create policy own on session_bundle
    using (exists (select from session where id = session_id))
    with check (exists (select from session where id = session_id and session.tenant = session_bundle.tenant));

-- One for named tenants says who they are, and holds what is theirs.
alter table rollout enable row level security;
create policy own on rollout using (tenants is null or tenants && array(select own_tenants()));

alter table rollout_session enable row level security;
create policy own on rollout_session using (exists (select from session where id = session_id));

alter table account enable row level security;
create policy own on account using (tenant = any (array(select own_tenants())));

alter table reservation enable row level security;
create policy own on reservation using (tenant = any (array(select own_tenants())));

alter table spending enable row level security;
create policy own on spending using (tenant = any (array(select own_tenants())));
