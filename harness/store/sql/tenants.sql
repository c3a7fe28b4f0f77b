-- name: plain_role
select exists (select from own_tenants()) as plain;

-- name: limits
select daily_usd, monthly_usd, session_usd, daily_tokens, monthly_tokens, session_tokens, max_sessions, models, flows
  from tenant where name = %(name)s;

-- name: begin
insert into tenant (name) values (%(name)s) on conflict do nothing;

-- name: limits_to_change
select daily_usd, monthly_usd, session_usd, daily_tokens, monthly_tokens, session_tokens, max_sessions, models, flows
  from tenant where name = %(name)s
   for no key update;

-- name: names
select name from tenant order by name;

-- name: set
update tenant
   set daily_usd = %(daily_usd)s, monthly_usd = %(monthly_usd)s, session_usd = %(session_usd)s,
       daily_tokens = %(daily_tokens)s, monthly_tokens = %(monthly_tokens)s, session_tokens = %(session_tokens)s,
       max_sessions = %(max_sessions)s, models = %(models)s, flows = %(flows)s, revision = revision + 1
 where name = %(name)s;

-- name: release
-- Sessions that wait for the next day or month, though the limits have been set anew since.
update session
   set due_at = clock_timestamp(), held_revision = null
  from tenant
 where tenant.name = session.tenant and held_revision < tenant.revision and due_at > clock_timestamp();

-- name: today
select (clock_timestamp() at time zone 'UTC')::date as day;

-- name: spent
-- By day since one, the newest first; what is on the wire is reserved on the day on which it was sent.
select day, sum(calls) as calls, sum(tokens) as tokens, sum(usd) as usd, sum(unpriced_calls) as unpriced_calls,
       sum(unattributed_calls) as unattributed_calls, sum(unattributed_tokens) as unattributed_tokens,
       sum(unattributed_usd) as unattributed_usd, sum(reserved_calls) as reserved_calls,
       sum(reserved_tokens) as reserved_tokens, sum(reserved_usd) as reserved_usd
  from (
    select day, calls, tokens, usd, unpriced_calls, unattributed_calls, unattributed_tokens, unattributed_usd,
           0 as reserved_calls, 0 as reserved_tokens, 0 as reserved_usd
      from spending where tenant = %(name)s and day >= %(since)s
    union all
    select day, 0, 0, 0, 0, 0, 0, 0, 1, tokens, coalesce(usd, 0)
      from reservation where tenant = %(name)s and day >= %(since)s
  ) as booked
 group by day
 order by day desc;

-- name: sessions
select status, count(*) as sessions from session where tenant = %(name)s and head > 0 group by status order by status;
