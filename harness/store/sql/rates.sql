-- name: ask
select * from rate_ask(
    %(key)s, %(model)s, %(call)s, %(tenant)s, %(requests)s, %(input)s, %(output)s,
    %(waited_s)s, %(waits)s, %(waits_s)s, %(under_way_s)s
);

-- name: heard
select rate_heard(
    %(key)s, %(model)s, %(call)s, %(status)s, %(blocked_s)s,
    %(requests_limit)s, %(requests_left)s, %(requests_per_s)s,
    %(input_limit)s, %(input_left)s, %(input_per_s)s,
    %(output_limit)s, %(output_left)s, %(output_per_s)s
);

-- name: settle
-- An answer has ended: what it was taken to write makes room for what it wrote.
with own as (
    delete from rate_call
     where key = %(key)s and model = %(model)s and call = %(call)s and sent
    returning output
)
update rate_limit set output_left = output_left + own.output - %(output)s
  from own
 where key = %(key)s and model = %(model)s;

-- name: leave
delete from rate_call where key = %(key)s and model = %(model)s and call = %(call)s and not sent;
