-- name: kept_response
select call_id, content_type, body from kept_response
 where session_id = %(session_id)s and agent_run_id = %(agent_run_id)s and conversation = %(conversation)s;

-- name: forget_responses
-- When the agent run has ended nobody can ask for them again.
delete from kept_response where session_id = %(session_id)s and agent_run_id = %(agent_run_id)s;

-- name: forget_response
-- One that is of no use: its conversation is asked for anew, and the new answer takes its place.
delete from kept_response
 where session_id = %(session_id)s and agent_run_id = %(agent_run_id)s and conversation = %(conversation)s
   and exists (select from session where id = %(session_id)s and token = %(token)s);
