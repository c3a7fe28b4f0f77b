-- What the model service said of its rate limits, and which calls wait for room or are under way.

-- Unlogged: no commit waits for the disk, and what a crash forgets is learned again from the next answer.
create unlogged table rate_limit (
    key text not null,
    model text not null,
    requests_limit double precision,
    requests_left double precision,
    requests_per_s double precision,
    input_limit double precision,
    input_left double precision,
    input_per_s double precision,
    output_limit double precision,
    output_left double precision,
    output_per_s double precision,
    counted_at timestamptz not null default clock_timestamp(),
    blocked_until timestamptz,
    blocked_status integer,
    primary key (key, model)
) with (fillfactor = 50);

comment on table rate_limit is 'token buckets of an API key and a model; null is not known, and limits nothing';
comment on column rate_limit.key is 'a hash of the endpoint and its key, never the key';
comment on column rate_limit.requests_left is 'at counted_at, without what calls under way are taken to need';
comment on column rate_limit.blocked_until is 'by a retry-after: nothing is sent before';
comment on column rate_limit.blocked_status is 'the HTTP status that said so';

-- The one place that says how a bucket fills up.
create view rate_level with (security_invoker = true) as
select key, model, requests_limit, requests_per_s, input_limit, input_per_s, output_limit, output_per_s,
       blocked_until, blocked_status,
       greatest(counted_at, now()) as counted_at,
       least(requests_limit, requests_left + requests_per_s * past.s) as requests_left,
       least(input_limit, input_left + input_per_s * past.s) as input_left,
       least(output_limit, output_left + output_per_s * past.s) as output_left
  from rate_limit,
       lateral (select greatest(0, extract(epoch from now() - counted_at))::double precision as s) as past;

create unlogged table rate_call (
    key text not null,
    model text not null,
    call uuid not null,
    tenant text not null,
    requests double precision not null,
    input double precision not null,
    output double precision not null,
    since timestamptz not null,
    until timestamptz not null,
    sent boolean not null,
    primary key (key, model, call)
);

comment on table rate_call is 'calls that wait for room, or are under way';
comment on column rate_call.requests is 'what it is taken to need; zero once an answer has told what it took';
comment on column rate_call.since is 'from when on it has waited';
comment on column rate_call.until is 'when it counts no longer: whoever made it may have died';

create unlogged table rate_share (
    key text not null,
    model text not null,
    tenant text not null,
    used double precision not null,
    used_at timestamptz not null,
    primary key (key, model, tenant)
) with (fillfactor = 50);

comment on column rate_share.used is 'shares of the limit, fading by rate_faded from used_at on';

-- What is left of a use when it fades with a time constant of one minute.
create function rate_faded(used double precision, used_at timestamptz) returns double precision
stable return used * exp(-least(50, greatest(0, extract(epoch from now() - used_at)::double precision) / 60));

-- What follows are functions, because each statement in them sees what was committed before they had the bucket's
-- lock, and because their plans are kept.

-- A call asks to be sent. It is when nothing blocks, and there is room for it and for all that wait and go first:
-- those whose tenant used least of late, and of one tenant's those that have waited longest. Else it may keep its
-- place for waits_s seconds. Where no limit is known it passes, and nothing is noted.
create function rate_ask(
    the_key text, the_model text, the_call uuid, the_tenant text,
    requests_need double precision, input_need double precision, output_need double precision,
    waited_s double precision, waits boolean, waits_s double precision, under_way_s double precision,
    out granted boolean, out noted boolean, out blocked_s double precision, out short_s double precision,
    out blocked_until timestamptz, out blocked_status integer
) language plpgsql as $$
declare
    bucket rate_level;
    ahead record;
    own_use double precision;
    begun timestamptz;
begin
    select * into bucket from rate_level where key = the_key and model = the_model for update;
    noted := found;
    granted := not found;
    blocked_s := 0;
    short_s := 0;
    if granted then
        return;
    end if;

    -- What needs more than all there can be gets all there can be.
    requests_need := least(requests_need, bucket.requests_limit);
    input_need := least(input_need, bucket.input_limit);
    output_need := least(output_need, bucket.output_limit);
    begun := coalesce(
        (select since from rate_call where key = the_key and model = the_model and call = the_call),
        now() - make_interval(secs => waited_s)
    );
    own_use := coalesce((
        select rate_faded(used, used_at) from rate_share
         where key = the_key and model = the_model and tenant = the_tenant
    ), 0);
    select coalesce(sum(requests), 0) as requests, coalesce(sum(input), 0) as input,
           coalesce(sum(output), 0) as output
      into ahead
      from rate_call left join rate_share using (key, model, tenant)
     where key = the_key and model = the_model and call <> the_call and not sent and until > now()
       and (coalesce(rate_faded(used, used_at), 0), since, call) < (own_use, begun, the_call);

    -- Of a limit that is not known every figure is null, and greatest() passes over it.
    blocked_s := greatest(0, extract(epoch from bucket.blocked_until - now()));
    short_s := greatest(
        0,
        (ahead.requests + requests_need - bucket.requests_left) / bucket.requests_per_s,
        (ahead.input + input_need - bucket.input_left) / bucket.input_per_s,
        (ahead.output + output_need - bucket.output_left) / bucket.output_per_s
    );
    blocked_until := bucket.blocked_until;
    blocked_status := bucket.blocked_status;
    granted := blocked_s = 0 and short_s < 1e-6;
    noted := granted;
    if granted then
        update rate_limit
           set requests_left = bucket.requests_left - requests_need,
               input_left = bucket.input_left - input_need,
               output_left = bucket.output_left - output_need,
               counted_at = bucket.counted_at
         where key = the_key and model = the_model;
        insert into rate_share as known (key, model, tenant, used, used_at) values (
            the_key, the_model, the_tenant,
            greatest(
                0,
                requests_need / bucket.requests_limit,
                input_need / bucket.input_limit,
                output_need / bucket.output_limit
            ),
            now()
        ) on conflict (key, model, tenant) do update
           set used = rate_faded(known.used, known.used_at) + excluded.used,
               used_at = greatest(known.used_at, excluded.used_at);
        delete from rate_call
         where key = the_key and model = the_model and call <> the_call and until < now();
    end if;
    if granted or waits then
        insert into rate_call (key, model, call, tenant, requests, input, output, since, until, sent) values (
            the_key, the_model, the_call, the_tenant, requests_need, input_need, output_need, begun,
            now() + make_interval(secs => case when granted then under_way_s else waits_s end), granted
        ) on conflict (key, model, call) do update
           set requests = excluded.requests, input = excluded.input, output = excluded.output,
               until = excluded.until, sent = excluded.sent;
    end if;
end $$;

-- An answer has told of the limits. What it took of requests and input is in its figures, so the call's own
-- estimate is given back; what other calls under way are taken to need stays taken. A call that was refused gets
-- its output back, too. The lower of both views counts: somebody else may use the key.
create function rate_heard(
    the_key text, the_model text, the_call uuid, told_status integer, blocked_s double precision,
    told_requests_limit double precision, told_requests_left double precision,
    told_requests_per_s double precision,
    told_input_limit double precision, told_input_left double precision, told_input_per_s double precision,
    told_output_limit double precision, told_output_left double precision, told_output_per_s double precision
) returns void language plpgsql as $$
declare
    refused boolean := told_status <> 200;
    told_until timestamptz := now() + make_interval(secs => blocked_s);
    bucket rate_level;
    own rate_call;
    others record;
begin
    insert into rate_limit (key, model) values (the_key, the_model) on conflict do nothing;
    select * into bucket from rate_level where key = the_key and model = the_model for update;
    if refused then
        delete from rate_call where key = the_key and model = the_model and call = the_call and sent
        returning * into own;
    else
        select * into own from rate_call
         where key = the_key and model = the_model and call = the_call and sent;
        update rate_call set requests = 0, input = 0
         where key = the_key and model = the_model and call = the_call and sent;
    end if;
    select coalesce(sum(requests), 0) as requests, coalesce(sum(input), 0) as input,
           coalesce(sum(output), 0) as output
      into others
      from rate_call
     where key = the_key and model = the_model and sent and until > now();
    -- Null is what is not known, and least() passes over it.
    update rate_limit
       set requests_limit = coalesce(told_requests_limit, bucket.requests_limit),
           requests_per_s = coalesce(told_requests_per_s, bucket.requests_per_s),
           requests_left = least(
               bucket.requests_left + coalesce(own.requests, 0), told_requests_left - others.requests
           ),
           input_limit = coalesce(told_input_limit, bucket.input_limit),
           input_per_s = coalesce(told_input_per_s, bucket.input_per_s),
           input_left = least(bucket.input_left + coalesce(own.input, 0), told_input_left - others.input),
           output_limit = coalesce(told_output_limit, bucket.output_limit),
           output_per_s = coalesce(told_output_per_s, bucket.output_per_s),
           output_left = least(
               bucket.output_left + case when refused then coalesce(own.output, 0) else 0 end,
               told_output_left - others.output
           ),
           counted_at = bucket.counted_at,
           blocked_until = greatest(bucket.blocked_until, told_until),
           blocked_status = case when told_until >= coalesce(bucket.blocked_until, '-infinity')
                                 then told_status else bucket.blocked_status end
     where key = the_key and model = the_model;
end $$;
