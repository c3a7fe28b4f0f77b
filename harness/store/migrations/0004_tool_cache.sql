-- Answers of tools that only read, kept for as long as the tool says.

create table tool_answer (
    tenant text not null,
    tool text not null,
    version text not null,
    input_hash text not null,
    answer json not null,
    kept_until timestamptz not null,
    primary key (tenant, tool, version, input_hash)
);

create index tool_answer_by_end on tool_answer (kept_until);

comment on column tool_answer.version is 'hash of the tool''s definition and code';
comment on column tool_answer.input_hash is 'of the checked input as canonical JSON';
comment on column tool_answer.answer is 'a JSON string, not text: an answer may hold NUL and lone surrogates';
