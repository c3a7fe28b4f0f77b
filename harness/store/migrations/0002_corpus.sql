-- The documents of sessions: kept once for each tenant and content, in passages that a search finds.

create table document (
    id bigint generated always as identity primary key,
    tenant text not null,
    sha256 text not null,
    title text,
    length integer not null,
    added_at timestamptz not null default clock_timestamp(),
    unique (tenant, sha256)
);

comment on column document.sha256 is 'of the bytes of the file and of the way they were read';
comment on column document.length is 'in characters, as all offsets are';

-- The passages of a document, put together, are its text: it is stored nowhere else.
create table passage (
    document bigint not null references document (id) on delete cascade,
    number integer not null,
    start integer not null,
    title text not null,
    heading text not null,
    text text not null,
    words tsvector not null generated always as (
        setweight(to_tsvector('english', title || E'\n' || heading), 'A')
        -- A word divided at the end of a line is found as one word.
        || to_tsvector('english', regexp_replace(text, '([[:alpha:]])-\n\s*([[:alpha:]])', '\1\2', 'g'))
    ) stored,
    primary key (document, number)
);

create index passage_words on passage using gin (words);

comment on column passage.start is 'offset of the passage in the text of the document';

create table session_document (
    session_id uuid not null references session (id) on delete cascade,
    number integer not null,
    label text not null generated always as ('S' || number::text) stored,
    document bigint not null references document (id),
    locator text not null,
    primary key (session_id, number),
    unique (session_id, document)
);
