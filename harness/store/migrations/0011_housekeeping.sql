-- What a document is used by is asked when it is deleted, and whenever a session that used it is.

create index session_document_of on session_document (document);
