-- A turn is one span, from its question to its answer, and has no parent.
-- Before this a span of kind 'session' that ended at once was above all turns, and one of kind 'result' held the
-- outcome. Sessions that go on get the span of their turn; what is there of them stays as it is.

alter table session add column tags text[] not null default '{}';
comment on column session.tags is 'what its traces are found by, beside its flow: the way to the model, then its own';

insert into span (session_id, span_id, kind, name, seq, started_at, opened)
select asked.session_id,
       left(encode(sha256(convert_to(asked.session_id::text || e'\x1f' || 'turn' || e'\x1f'
                                     || case when turns > 1 then '/' || turns else '' end, 'UTF8')), 'hex'), 16),
       'turn', 'invoke_workflow ' || session.flow, asked.seq, asked.started_at, asked.opened
  from (select distinct on (session_id) session_id, seq, started_at, opened,
               1 + (select count(*) from span ended
                     where ended.session_id = span.session_id and ended.kind = 'result') as turns
          from span where kind in ('session', 'question') order by session_id, seq desc) asked
       join session on session.id = asked.session_id
 where session.status not in ('done', 'needs_help', 'failed', 'cancelled')
    on conflict do nothing;
