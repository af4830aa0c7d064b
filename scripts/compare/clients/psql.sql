\d
\d+
\dt+ person
\d+ person
\d+ note
\d happy
\df
\df+ shout
\l
\dp
\dT+
\ds
\dv+
\dm+
\di+
\dn+
\du
\drds
\dx
\dO
\d part
\sf shout
\sv happy
SELECT id, name FROM person ORDER BY id LIMIT 3 \gx
SELECT count(*) AS n, max(name) AS top FROM person \gset
\echo :n :top
SELECT * FROM person WHERE id = $1 \bind 3 \g
SELECT 'CREATE TABLE made_' || i || ' (x int)' FROM generate_series(1, 3) i \gexec
SELECT kind, id % 2 AS odd, count(*) FROM part GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview
SELECT 10 / (3 - nextval('counter')) \watch 0.01
SELECT shout('hello') \gdesc
SELECT shout('hello');
\copy person (id, name, tags) TO 'person.csv' WITH (FORMAT csv, HEADER)
\copy (SELECT * FROM note ORDER BY id) TO 'note.bin' WITH (FORMAT binary)
CREATE TEMP TABLE back (LIKE note);
\copy back FROM 'note.bin' WITH (FORMAT binary)
SELECT count(*), md5(string_agg(body, '' ORDER BY id)) FROM back;
CREATE TEMP TABLE people (id int, name text, tags text[]);
\copy people FROM 'person.csv' WITH (FORMAT csv, HEADER)
\copy people FROM 'note.bin'
\copy nowhere FROM 'person.csv'
SELECT count(*), max(name) FROM people;
COPY people FROM STDIN;
1	typed	{a,b}
2	\N	\N
\.
SELECT * FROM people WHERE id < 3 ORDER BY 1, 2;
COPY people TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *) \g copied.txt
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT 1/0;
INSERT INTO people VALUES (7, 'seven');
SAVEPOINT s;
SELECT nope;
ROLLBACK TO s;
COMMIT;
\set FETCH_COUNT 7
SELECT id, name FROM person ORDER BY id LIMIT 30;
\unset FETCH_COUNT
SELECT 1 \; SELECT 2 \; SELECT shout('three') ;
\set SHOW_ALL_RESULTS off
SELECT 1 \; SELECT 2 ;
\errverbose
SELECT * FROM nowhere;
\errverbose
LISTEN ear;
SELECT pg_notify('ear', 'word') IS NULL;
