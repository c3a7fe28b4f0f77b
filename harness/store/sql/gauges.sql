-- name: sessions
-- Those of tenants beyond the first hundred stand under no tenant's name, so that series stay countable.
with counted as (
    select tenant, queue,
           count(*) filter (where lease_until > clock_timestamp()) as at_work,
           count(*) filter (where lease_until <= clock_timestamp() and due_at <= clock_timestamp()) as due,
           count(*) filter (where lease_until <= clock_timestamp() and due_at > clock_timestamp()) as later,
           count(*) filter (where lease_until <= clock_timestamp() and due_at is null) as person,
           min(due_at) filter (where lease_until <= clock_timestamp() and due_at <= clock_timestamp()) as oldest,
           max(claims) filter (where due_at is not null) as claims
      from session
     where status not in ('done', 'failed', 'cancelled') and head > 0
     group by tenant, queue
), ranked as (
    select *, dense_rank() over (order by total desc, tenant) as rank
      from (select *, sum(at_work + due + later + person) over (partition by tenant) as total from counted) as each
)
select case when rank <= %(tenants)s then tenant else '' end as tenant, queue,
       sum(at_work)::bigint as at_work, sum(due)::bigint as due, sum(later)::bigint as later,
       sum(person)::bigint as person,
       coalesce(extract(epoch from clock_timestamp() - min(oldest)), 0)::float8 as oldest_s,
       coalesce(max(claims), 0) as claims
  from ranked
 group by 1, 2
 order by 1, 2;

-- name: spans_waiting
-- Counted up to a bound: an outbox that nobody empties may hold millions.
select count(*) as spans
  from (select from span
         where ended_at is not null and sent_at is null and refused is null
         limit %(most)s) as counted;

-- name: size
select pg_database_size(current_database()) as bytes;
