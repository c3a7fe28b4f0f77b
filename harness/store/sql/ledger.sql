-- name: reserve
-- The account's row decides, and stays locked until the commit, so that two calls cannot both take the last of a
-- budget. No row comes back when there is no room, or when the day is not open yet.
with taken as (
    update account
       set day_usd = day_usd + coalesce(%(usd)s, 0), day_tokens = day_tokens + %(tokens)s,
           month_usd = month_usd + coalesce(%(usd)s, 0), month_tokens = month_tokens + %(tokens)s
      from tenant
     where account.tenant = %(tenant)s
       and tenant.name = %(tenant)s
       and account.day >= (clock_timestamp() at time zone 'UTC')::date
       and not coalesce(day_usd + %(usd)s > daily_usd, daily_usd is not null)
       and not coalesce(month_usd + %(usd)s > monthly_usd, monthly_usd is not null)
       and not coalesce(day_tokens + %(tokens)s > daily_tokens, false)
       and not coalesce(month_tokens + %(tokens)s > monthly_tokens, false)
    returning account.day
)
insert into reservation (id, session_id, token, tenant, day, model, tokens, usd)
select %(id)s, %(session_id)s, %(token)s, %(tenant)s, taken.day, %(model)s, %(tokens)s, %(usd)s
  from taken
returning id;

-- name: open_day
-- The first call of a day begins its account; a row is touched only then.
insert into account (tenant, day)
values (%(tenant)s, (clock_timestamp() at time zone 'UTC')::date)
on conflict (tenant) do update
   set day = excluded.day, day_usd = 0, day_tokens = 0,
       month_usd = case when date_trunc('month', account.day) = date_trunc('month', excluded.day)
                        then account.month_usd else 0 end,
       month_tokens = case when date_trunc('month', account.day) = date_trunc('month', excluded.day)
                           then account.month_tokens else 0 end
 where account.day < excluded.day;

-- name: refusal
-- The limit that leaves no room: first one that never can, then one that would not even if the calls on the wire
-- used nothing, and of those the one that is in the way for longest.
select its.setting, its.most, its.taken, its.asked, extract(epoch from its.again)::float8 as again_s,
       tenant.revision, session.due_at is not null as submitted,
       coalesce(its.taken - its.reserved + its.asked <= its.most, false) as passing
  from tenant
  join account on account.tenant = tenant.name
  join session on session.id = %(session_id)s
 cross join (select clock_timestamp() at time zone 'UTC' as moment) as now
 cross join lateral (
    select date_trunc('day', moment) + interval '1 day' - moment as tomorrow,
           date_trunc('month', moment) + interval '1 month' - moment as next_month
 ) as until
 cross join lateral (
    select coalesce(sum(usd) filter (where day = account.day), 0) as today_usd,
           coalesce(sum(tokens) filter (where day = account.day), 0) as today_tokens,
           coalesce(sum(usd), 0) as usd, coalesce(sum(tokens), 0) as tokens
      from reservation
     where tenant = account.tenant and day >= date_trunc('month', account.day)
 ) as wire
 cross join lateral (
    values ('daily-usd', daily_usd, day_usd, wire.today_usd, %(usd)s::numeric, tomorrow),
           ('monthly-usd', monthly_usd, month_usd, wire.usd, %(usd)s::numeric, next_month),
           ('daily-tokens', daily_tokens, day_tokens, wire.today_tokens, %(tokens)s::numeric, tomorrow),
           ('monthly-tokens', monthly_tokens, month_tokens, wire.tokens, %(tokens)s::numeric, next_month)
 ) as its (setting, most, taken, reserved, asked, again)
 where tenant.name = %(tenant)s
   and coalesce(its.taken + its.asked > its.most, its.most is not null)
 order by coalesce(its.asked > its.most, true) desc, passing, its.again desc
 limit 1;

-- name: settle
-- What was reserved beyond the use is given back, on the day and in the month that it was taken from. A use whose
-- price is not known keeps what was reserved for it.
with held as (
    delete from reservation where id = %(id)s
    returning tenant, day, tokens, coalesce(usd, 0) as usd, coalesce(%(usd)s, usd, 0) as used
), given_back as (
    update account
       set day_usd = day_usd + (case when account.day = held.day then held.used - held.usd else 0 end),
           day_tokens = day_tokens + (case when account.day = held.day then %(tokens)s - held.tokens else 0 end),
           month_usd = month_usd
               + (case when date_trunc('month', account.day) = date_trunc('month', held.day)
                       then held.used - held.usd else 0 end),
           month_tokens = month_tokens
               + (case when date_trunc('month', account.day) = date_trunc('month', held.day)
                       then %(tokens)s - held.tokens else 0 end)
      from held
     where account.tenant = held.tenant
)
insert into spending as its (tenant, day, model, calls, tokens, usd, unpriced_calls, unattributed_usd)
select tenant, day, %(model)s, 1, %(tokens)s, coalesce(%(usd)s, 0), (%(usd)s::numeric is null)::int,
       case when %(usd)s::numeric is null then held.usd else 0 end
  from held
 where %(answered)s
on conflict (tenant, day, model) do update
   set calls = its.calls + 1,
       tokens = its.tokens + excluded.tokens,
       usd = its.usd + excluded.usd,
       unpriced_calls = its.unpriced_calls + excluded.unpriced_calls,
       unattributed_usd = its.unattributed_usd + excluded.unattributed_usd;

-- name: lose
-- What these attempts used will never be known: they stay taken from the account at what was reserved for them.
with lost as (
    delete from reservation where id = any(%(ids)s::uuid[]) returning tenant, day, model, tokens, usd
)
insert into spending as its (tenant, day, model, unattributed_calls, unattributed_tokens, unattributed_usd)
select tenant, day, model, count(*), sum(tokens), coalesce(sum(usd), 0)
  from lost
 group by tenant, day, model
 order by tenant, day, model
on conflict (tenant, day, model) do update
   set unattributed_calls = its.unattributed_calls + excluded.unattributed_calls,
       unattributed_tokens = its.unattributed_tokens + excluded.unattributed_tokens,
       unattributed_usd = its.unattributed_usd + excluded.unattributed_usd;

-- name: fence_off
-- A lease that has ended may still be used by who had it, until the token moves on: then nothing is settled any more.
update session
   set token = token + 1
 where lease_until <= clock_timestamp()
   and id in (
    select session.id
      from reservation join session on session.id = reservation.session_id
     where session.lease_until <= clock_timestamp() and session.token = reservation.token
       for no key update of session skip locked
 );

-- name: left_behind
select reservation.id
  from reservation join session on session.id = reservation.session_id
 where reservation.token < session.token;

-- name: hold
-- That it is not answered for want of money is no fault of the session's.
update session set held_revision = %(revision)s, claims = 0 where id = %(id)s and token = %(token)s;
