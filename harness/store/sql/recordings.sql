-- name: record
-- In the transaction of the call's own event, which has locked the session's row: auxiliary calls, which may end
-- at the same time, are numbered one after another. A step that was refused is answered again under its number.
with own as (
    select number, attempt
      from recording
     where session_id = %(session_id)s and agent_run_id = %(agent_run_id)s and auxiliary = %(auxiliary)s
), place as (
    select coalesce(%(number)s::integer, (select coalesce(max(own.number), 0) + 1 from own)) as number
)
insert into recording (session_id, agent_run_id, path, auxiliary, number, attempt, status, request_headers,
                       request, response_headers, content_type, response)
select %(session_id)s, %(agent_run_id)s, %(path)s, %(auxiliary)s, place.number,
       (select coalesce(max(own.attempt), 0) + 1 from own where own.number = place.number),
       %(status)s, %(request_headers)s, %(request)s, %(response_headers)s, %(content_type)s, %(response)s
  from place;

-- name: recorded_step
-- The last answer first: what came before it are refusals.
select number, status, request_headers, request, response_headers, content_type, response
  from recording
 where session_id = %(session_id)s and path = %(path)s and not auxiliary and number = %(number)s
 order by attempt desc;

-- name: recorded_auxiliaries
select number, status, request_headers, request, response_headers, content_type, response
  from recording
 where session_id = %(session_id)s and path = %(path)s and auxiliary
 order by number;

-- name: count_recorded
select count(*)::integer as calls from recording where session_id = %(session_id)s and status = 200;
