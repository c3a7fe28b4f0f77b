-- name: known_documents
select sha256 from document where tenant = %(tenant)s and sha256 = any(%(sha256)s::text[]);

-- name: add_documents
-- Two sessions may add the same documents at once: in one order they wait for one another, and never in a ring.
insert into document (tenant, sha256, title, length)
select %(tenant)s, sha256, title, length
  from unnest(%(sha256)s::text[], %(title)s::text[], %(length)s::integer[]) as given (sha256, title, length)
 order by sha256
on conflict (tenant, sha256) do nothing
returning id, sha256;

-- name: add_passages
insert into passage (document, number, start, title, heading, text)
select * from unnest(%(document)s::bigint[], %(number)s::integer[], %(start)s::integer[],
                     %(title)s::text[], %(heading)s::text[], %(text)s::text[]);

-- name: lock_labels
-- Labels of one session are given out by one transaction at a time. The session row itself is the journal's.
select pg_advisory_xact_lock(hashtextextended('labels of ' || %(session_id)s::uuid::text, 0));

-- name: link_documents
-- A document that is gone makes the insert fail: its column takes no null.
with given as (
    select document.id as document, locator, place
      from unnest(%(sha256)s::text[], %(locator)s::text[]) with ordinality as file (sha256, locator, place)
      left join document on document.tenant = %(tenant)s and document.sha256 = file.sha256
)
insert into session_document (session_id, number, document, locator)
select %(session_id)s,
       coalesce((select max(number) from session_document where session_id = %(session_id)s), 0)
           + row_number() over (order by place),
       document, locator
  from given
 where not exists (
           select from session_document linked
            where linked.session_id = %(session_id)s and linked.document = given.document
       );

-- name: label
select label
  from session_document
  join document on document.id = session_document.document
 where session_id = %(session_id)s and tenant = %(tenant)s and sha256 = %(sha256)s;

-- name: sources
select label, coalesce(title, locator) as title, locator, length
  from session_document
  join document on document.id = session_document.document
 where session_id = %(session_id)s
 order by number;

-- name: source_text
select string_agg(passage.text, '' order by passage.number) as text
  from session_document
  join passage using (document)
 where session_id = %(session_id)s and label = %(label)s;

-- name: excerpt
-- The casts matter: psycopg sends a small number as smallint, and the sum of two may be too large for one.
select label as source, coalesce(document.title, locator) as title, locator, document.length,
       (select substr(string_agg(text, '' order by number), %(offset)s::integer - min(start) + 1, %(length)s)
          from passage
         where passage.document = document.id
           and start < %(offset)s::integer + %(length)s::integer
           and start + length(text) > %(offset)s::integer) as text
  from session_document
  join document on document.id = session_document.document
 where session_id = %(session_id)s and label = %(label)s;

-- name: search
-- A passage is worth the words of the query it holds: each by its rarity among the session's passages (inverse
-- document frequency, ln(1 + N / n)) and by ts_rank_cd, which its normalisation 32 keeps below 1. Passages with
-- every word come before all others, and those beyond the first few of a document after all others.
with word as (
    select query
      from (select distinct websearch_to_tsquery('english', given) as query
              from unnest(%(words)s::text[]) as given) as parsed
     where numnode(query) > 0
), mine as (
    select number as place, document, label, locator from session_document where session_id = %(session_id)s
), found as (
    select document, place, passage.number, query,
           ts_rank_cd('{0.3, 0.3, 0.3, 1}', words, query, 32) as rank,
           words @@ websearch_to_tsquery('english', %(query)s) as has_every_word
      from word
      join passage on passage.words @@ query
      join mine using (document)
), rarity as (
    select query,
           ln(1 + (select count(*) from passage join mine using (document)) / count(*)::float8) as weight
      from found
     group by query
), scored as (
    select document, place, number,
           sum(weight * rank) / (select sum(weight) from rarity) + bool_or(has_every_word)::integer as score
      from found
      join rarity using (query)
     group by document, place, number
), ranked as (
    select *,
           row_number() over (partition by document order by score desc, number) > %(per_document)s as further,
           count(*) over () as total
      from scored
), best as (
    select * from ranked order by further, score desc, place, number limit %(limit)s
)
select label as source, coalesce(document.title, locator) as title, locator, number as passage, start as offset,
       rtrim(text, E' \n\t') as text, score, total
  from best
  join mine using (document)
  join document on document.id = best.document
  join passage using (document, number)
 order by further, score desc, best.place, number;

-- name: copy_documents
-- Those that a session began with, under the same labels; what its agents fetched they fetch again.
insert into session_document (session_id, number, document, locator)
select %(session_id)s, number, document, locator
  from session_document
 where session_id = %(from)s and number <= %(count)s;
