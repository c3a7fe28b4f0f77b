-- name: limit_idle
-- How long the server waits for a client within a transaction, for the connection or for one transaction. Whoever has
-- set a limit for the role, the database or the DSN has reasons: none at all, or the usual one of ours, is replaced.
select set_config('idle_in_transaction_session_timeout', %(limit)s, %(local)s)
 where current_setting('idle_in_transaction_session_timeout')::interval in (interval '0', %(usual)s::interval);
