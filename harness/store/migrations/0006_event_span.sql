-- An event names its span; the times and the place in the trace are the span's.

alter table event
    drop column trace_id,
    drop column parent_span_id,
    drop column started_at,
    drop column ended_at;
comment on column event.span_id is 'of the step that it opens or closes, or in which it happened';
