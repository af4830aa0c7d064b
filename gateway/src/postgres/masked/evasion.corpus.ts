import { B, C, D, E, H, P, Q, S } from '../testing/raw.ts'
import { cstring, int16, int32, message, T } from '../wire/messages.ts'

/** What no byte may show that reaches a client which may not see the classes, nor its recording: by any of forms(). */
export const secrets = [
  'zqxjkvw@hushhush.test',
  'KWYJIBOFLUM',
  'vqzzxwjk',
  '918273645',
  '736451928',
  '5ec4e7aa-91b7-4d1f-8a3e-c0ffeed15ea5',
  '198.51.100.237',
  '1947-08-23',
] as const

/** A shop whose secrets stand in classified columns only. */
export const shop = `
  CREATE SCHEMA vault; CREATE SEQUENCE counter;
  CREATE TYPE pair AS (a text, b int); CREATE DOMAIN address AS text CHECK (VALUE LIKE '%@%');
  CREATE TABLE customers (id int PRIMARY KEY, name text, email text UNIQUE, pin int, city text NOT NULL,
    profile jsonb, tags text[], photo bytea, debt numeric, token uuid, ip inet, born date, remark text, spare text, words tsvector,
    handle text GENERATED ALWAYS AS (split_part(email, '@', 1)) STORED);
  INSERT INTO customers SELECT n, 'KWYJIBOFLUM', CASE n WHEN 1 THEN '' ELSE n::text END || 'zqxjkvw@hushhush.test', 918273645, 'Oslo',
    '{"k": "vqzzxwjk", "n": 736451928}', '{vqzzxwjk,b}', 'vqzzxwjk', 736451928, '5ec4e7aa-91b7-4d1f-8a3e-c0ffeed15ea5',
    '198.51.100.237', '1947-08-23', NULL, NULL, NULL FROM generate_series(1, 5) n;
  CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total int, note text);
  INSERT INTO orders VALUES (10, 1, 100, 'fragile'), (11, 2, 250, 'gift');
  CREATE TABLE vault.cards (id int, number text, label text) PARTITION BY RANGE (id);
  CREATE TABLE vault.cards_1 PARTITION OF vault.cards FOR VALUES FROM (0) TO (10);
  CREATE TABLE vault.cards_rest PARTITION OF vault.cards DEFAULT;
  INSERT INTO vault.cards VALUES (1, '736451928', 'blue'), (20, '736451928', 'red');
  CREATE TABLE base (id int, label text); CREATE TABLE derived (secret text) INHERITS (base);
  INSERT INTO derived VALUES (5, 'green', 'KWYJIBOFLUM');
  CREATE TABLE people_in (LIKE customers); CREATE TABLE log (line text); CREATE TABLE numbers (n int UNIQUE);
  CREATE TABLE contacts (id int, who pair, mail address); INSERT INTO contacts VALUES (1, ROW('KWYJIBOFLUM', 1), 'zqxjkvw@hushhush.test');
  CREATE VIEW people AS SELECT id, email AS contact, city, lower(name) AS who FROM customers;
  CREATE VIEW over_people AS SELECT p.id, p.contact AS c2, p.city AS c3, o.total FROM people p JOIN orders o ON o.customer = p.id;
  CREATE MATERIALIZED VIEW kept AS SELECT id, email AS m, city FROM customers;
  CREATE VIEW ruled AS SELECT id, note FROM orders;
  CREATE RULE tells AS ON INSERT TO log DO ALSO SELECT email FROM customers;
  CREATE FUNCTION anyone() RETURNS text LANGUAGE sql AS 'SELECT email FROM customers LIMIT 1';
  CREATE FUNCTION shout() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'it is %', (SELECT email FROM customers LIMIT 1); END $$;
  CREATE FUNCTION tell() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('news', (SELECT email FROM customers LIMIT 1)); END $$;
  CREATE FUNCTION set_name() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('application_name', (SELECT email FROM customers LIMIT 1), false); END $$;
  CREATE FUNCTION opened() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'theirs'; BEGIN OPEN c FOR SELECT email FROM customers; RETURN c; END $$;
  CREATE FUNCTION rows_of() RETURNS SETOF customers LANGUAGE sql AS 'SELECT * FROM customers';
  CREATE FUNCTION complain() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION USING MESSAGE = (SELECT email FROM customers LIMIT 1), DETAIL = (SELECT name FROM customers LIMIT 1), ERRCODE = '42703', COLUMN = (SELECT name FROM customers LIMIT 1); END $$;
  CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'late %', (SELECT email FROM customers LIMIT 1); END $$;
  CREATE TABLE deferred (id int REFERENCES customers DEFERRABLE INITIALLY DEFERRED);
  CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON customers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.remark = 'late') EXECUTE FUNCTION late();
  CREATE STATISTICS both_of ON name, city FROM customers; CREATE INDEX by_lower ON customers (lower(email));
  ANALYZE;`

export const dataClasses: Readonly<Record<string, string>> = {
  'public.customers.name': 'name',
  'public.customers.email': 'email',
  'public.customers.pin': 'pin',
  'public.customers.profile': 'profile',
  'public.customers.tags': 'profile',
  'public.customers.photo': 'profile',
  'public.customers.debt': 'pin',
  'public.customers.token': 'token',
  'public.customers.ip': 'ip',
  'public.customers.born': 'born',
  'vault.cards.number': 'card',
  'public.derived.secret': 'name',
  'public.contacts.who': 'name',
  'public.contacts.mail': 'email',
}

/** Messages sent together; answers are waited for up to their last ReadyForQuery. */
export type Step = string | readonly Buffer[]

/**
 * A way to get at the secrets. Texts are sent by simple Query, by the extended protocol, and by Execute without Describe
 * with results in binary; each way in a session of its own. Rows are only ever added.
 */
export interface Evasion {
  steps: Step | readonly Step[]
  /** False where not even an agent that may see everything is told a secret in a form that forms() knows. */
  tells?: false
  /** What an agent that may see the classes makes by it is a copy without a class, and recorded as what it is. */
  copies?: true
}

const row = (...steps: Step[]): Evasion => ({ steps })
const quiet = (...steps: Step[]): Evasion => ({ steps, tells: false })
const copy = (...steps: Step[]): Evasion => ({ steps, copies: true })
const undone = (...steps: Step[]): Evasion => ({ steps: ['BEGIN', ...steps, 'ROLLBACK'] })
const binary = (portal: string, statement: string) =>
  message(T.Bind, cstring(portal), cstring(statement), int16(0), int16(0), int16(1), int16(1))
const executed = (portal: string, rows: number) => message(T.Execute, cstring(portal), int32(rows))

export const evasions: readonly Evasion[] = [
  // Another name, another place.
  row('SELECT * FROM customers'),
  row('SELECT email AS city FROM customers'),
  row('SELECT c.email FROM customers AS c(id, city)'),
  row('SELECT town FROM customers AS c(id, name, town)'),
  row('TABLE customers'),
  row('SELECT x FROM (SELECT email FROM customers) AS s(x)'),
  row('WITH w AS (SELECT email FROM customers) SELECT * FROM w'),
  row('WITH w AS MATERIALIZED (SELECT email AS e FROM customers) SELECT e FROM w'),
  row(
    'WITH RECURSIVE w(e, n) AS (SELECT email, 1 FROM customers UNION ALL SELECT e, n + 1 FROM w WHERE n < 2) SELECT e FROM w',
  ),
  row('SELECT DISTINCT email FROM customers'),
  row('SELECT DISTINCT ON (name) name FROM customers'),
  row('SELECT email FROM customers ORDER BY 1 LIMIT 1'),
  row('SELECT email FROM ONLY customers'),
  row('SELECT email FROM customers TABLESAMPLE bernoulli (100)'),
  row('SELECT email FROM customers FOR SHARE'),
  row('SELECT a.email FROM customers a JOIN customers b USING (email)'),
  row('SELECT email FROM customers NATURAL JOIN (SELECT id FROM customers) b'),
  row('SELECT email FROM orders o JOIN customers c ON c.id = o.customer'),
  row('SELECT l.e FROM orders, LATERAL (SELECT email AS e FROM customers WHERE id = customer) l'),
  row('SELECT (SELECT email FROM customers WHERE id = customer) FROM orders'),
  row('SELECT note FROM orders UNION SELECT email FROM customers'),
  row('SELECT note FROM orders WHERE false UNION ALL SELECT name FROM customers'),
  row('SELECT email FROM customers EXCEPT SELECT note FROM orders'),
  row('SELECT email FROM customers INTERSECT SELECT email FROM customers'),
  row('VALUES ((SELECT email FROM customers LIMIT 1))'),
  row('SELECT "email" FROM "public"."customers"'),
  row('SELECT customers.email FROM public.customers, orders'),
  row('/* SELECT city */ SELECT/**/email--x\nFROM customers'),
  row('SELECT e.* FROM (TABLE customers) e'),
  // Computed.
  row('SELECT email::varchar(60) FROM customers'),
  row('SELECT email COLLATE "C" FROM customers'),
  row("SELECT email || '' FROM customers"),
  row("SELECT concat(email, '') FROM customers"),
  row("SELECT format('%s', email) FROM customers"),
  row('SELECT upper(email) FROM customers'),
  row('SELECT reverse(name) FROM customers'),
  row('SELECT substr(name, 2, 8) FROM customers'),
  row("SELECT encode(email::bytea, 'hex') FROM customers"),
  row("SELECT encode(email::bytea, 'base64') FROM customers"),
  row('SELECT email::bytea FROM customers'),
  row("SELECT convert_to(email, 'UTF8') FROM customers"),
  row('SELECT md5(name) FROM customers'),
  row("SELECT encode(sha256(name::bytea), 'hex') FROM customers"),
  row('SELECT pin + 0 FROM customers'),
  row('SELECT pin::text::numeric FROM customers'),
  row('SELECT debt * 1 FROM customers'),
  row('SELECT CASE WHEN true THEN email END FROM customers'),
  row("SELECT coalesce(email, '') FROM customers"),
  row("SELECT nullif(email, '') FROM customers"),
  row('SELECT greatest(email, name) FROM customers'),
  row("SELECT replace(name, 'x', 'y') FROM customers"),
  row("SELECT regexp_matches(name, '(.*)') FROM customers"),
  row("SELECT regexp_split_to_table(email, '@') FROM customers"),
  row("SELECT string_to_table(email, '.') FROM customers"),
  row("SELECT unnest(string_to_array(email, '@')) FROM customers"),
  row('SELECT handle FROM customers'),
  row('SELECT token::text FROM customers'),
  row('SELECT host(ip) FROM customers'),
  row("SELECT to_char(born, 'YYYY-MM-DD') FROM customers"),
  row('SELECT quote_literal(email) FROM customers'),
  quiet('SELECT ascii(email), length(email) FROM customers'),
  quiet("SELECT email LIKE 'z%', email = 'zq' FROM customers"),
  row("SELECT to_tsvector('simple', name) FROM customers"),
  // Aggregates and windows.
  row('SELECT max(email) FROM customers'),
  row("SELECT string_agg(name, ',') FROM customers"),
  row('SELECT array_agg(email) FROM customers'),
  row('SELECT json_agg(email) FROM customers'),
  row('SELECT jsonb_object_agg(id, email) FROM customers'),
  row('SELECT email, count(*) FROM customers GROUP BY email'),
  row('SELECT email, name FROM customers GROUP BY GROUPING SETS ((email), (name))'),
  row('SELECT email FROM customers GROUP BY ROLLUP (email)'),
  row('SELECT first_value(email) OVER () FROM customers'),
  row('SELECT lag(name) OVER (ORDER BY id) FROM customers'),
  row('SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY pin) FROM customers'),
  row('SELECT mode() WITHIN GROUP (ORDER BY email) FROM customers'),
  row('SELECT min(pin) FILTER (WHERE true) FROM customers'),
  // Whole rows, composites, arrays, JSON, XML.
  row('SELECT c FROM customers c'),
  row('SELECT customers FROM customers'),
  row('SELECT c::text FROM customers c'),
  row('SELECT ROW(c.*) FROM customers c'),
  row('SELECT ROW(email, 1) FROM customers'),
  row('SELECT (c).email FROM customers c'),
  row('SELECT ((c).*) FROM (SELECT c FROM customers c) s'),
  row('SELECT row_to_json(c) FROM customers c'),
  row('SELECT to_jsonb(c) FROM customers c'),
  row("SELECT to_jsonb(c) ->> 'email' FROM customers c"),
  row("SELECT to_jsonb(c) #>> '{email}' FROM customers c"),
  row("SELECT jsonb_path_query(to_jsonb(c), '$.email') FROM customers c"),
  row('SELECT key, value FROM customers c, jsonb_each_text(to_jsonb(c))'),
  row("SELECT json_build_object('a', email) FROM customers"),
  row("SELECT JSON_OBJECT('a': email) FROM customers"),
  row("SELECT profile ->> 'k' FROM customers"),
  row("SELECT profile['k'] FROM customers"),
  row('SELECT profile, tags, photo, debt, token, ip, born FROM customers'),
  row("SELECT j.k FROM customers, JSON_TABLE(profile, '$' COLUMNS (k text PATH '$.k')) j"),
  row('SELECT tags[1] FROM customers'),
  row('SELECT unnest(tags) FROM customers'),
  row('SELECT ARRAY[email, name] FROM customers'),
  row('SELECT ARRAY(SELECT email FROM customers)'),
  row('SELECT (ARRAY(SELECT email FROM customers))[1]'),
  row('SELECT array_to_string(ARRAY(SELECT name FROM customers), $$,$$)'),
  row('SELECT xmlelement(name a, email) FROM customers'),
  row('SELECT xmlforest(email, name) FROM customers'),
  row('SELECT (who).a FROM contacts'),
  row('SELECT who, mail FROM contacts'),
  row('SELECT mail::text FROM contacts'),
  row('SELECT int4range(pin, pin + 1) FROM customers'),
  // Views, partitions, inheritance, rules, generated columns.
  row('SELECT * FROM people'),
  row('SELECT c2 FROM over_people'),
  row('SELECT m FROM kept'),
  row('SELECT number FROM vault.cards'),
  row('SELECT number FROM vault.cards_1'),
  row('SELECT * FROM vault.cards_rest'),
  row('SELECT secret FROM derived'),
  row('SELECT b.*, d.secret FROM base b JOIN derived d USING (id)'),
  undone('CREATE VIEW fresh AS SELECT email AS x FROM customers', 'SELECT x FROM fresh'),
  undone('CREATE TEMP VIEW fresh AS SELECT name FROM customers', 'SELECT * FROM pg_temp.fresh'),
  undone(
    'CREATE OR REPLACE VIEW ruled AS SELECT id, note FROM orders UNION ALL SELECT id, email FROM customers',
    'SELECT note FROM ruled',
  ),
  undone("INSERT INTO log VALUES ('x')"),
  undone("INSERT INTO log VALUES ('x') RETURNING line, (SELECT email FROM customers LIMIT 1)"),
  undone(
    'CREATE TABLE part PARTITION OF vault.cards FOR VALUES FROM (50) TO (60)',
    "INSERT INTO part VALUES (51, '7364519' || '28', 'x')",
    'SELECT number FROM part',
  ),
  undone('CREATE TABLE under () INHERITS (customers)', 'SELECT customers.email FROM customers LEFT JOIN under ON true'),
  undone('ALTER TABLE customers RENAME COLUMN email TO city2', 'SELECT city2 FROM customers'),
  undone('ALTER TABLE customers RENAME TO others', 'SELECT email FROM others'),
  undone('ALTER TABLE customers SET SCHEMA vault', 'SELECT email FROM vault.customers'),
  row('SELECT * FROM rows_of()'),
  row('SELECT email FROM rows_of()'),
  row('SELECT anyone()'),
  row('SELECT note, anyone() FROM orders'),
  // RETURNING.
  undone('UPDATE customers SET city = city RETURNING email'),
  undone('UPDATE customers SET city = city RETURNING *'),
  undone('UPDATE customers SET email = email RETURNING old.email, new.email'),
  undone('UPDATE customers c SET city = city RETURNING c'),
  undone('DELETE FROM contacts RETURNING *'),
  undone('INSERT INTO people_in SELECT * FROM customers RETURNING email'),
  undone(
    "INSERT INTO customers (id, city, email) VALUES (1, 'x', 'x') ON CONFLICT (id) DO UPDATE SET city = 'x' RETURNING email",
  ),
  undone(
    'MERGE INTO customers c USING orders o ON o.customer = c.id WHEN MATCHED THEN UPDATE SET city = city RETURNING c.email',
  ),
  undone(
    'MERGE INTO orders o USING customers c ON o.customer = c.id WHEN MATCHED THEN UPDATE SET note = c.email RETURNING o.note',
  ),
  undone('WITH u AS (UPDATE customers SET city = city RETURNING email) SELECT * FROM u'),
  undone('WITH d AS (DELETE FROM contacts RETURNING mail) SELECT mail || $$x$$ FROM d'),
  undone('UPDATE orders o SET total = total FROM customers c WHERE c.id = o.customer RETURNING c.email'),
  undone('DELETE FROM orders o USING customers c WHERE c.id = o.customer RETURNING c.name'),
  // Elsewhere first, then from there.
  copy('BEGIN', 'CREATE TABLE copied AS SELECT email AS x FROM customers', 'SELECT x FROM copied', 'ROLLBACK'),
  copy('BEGIN', 'CREATE TEMP TABLE copied AS TABLE customers', 'SELECT email FROM copied', 'ROLLBACK'),
  copy('BEGIN', 'SELECT email AS x INTO copied FROM customers', 'TABLE copied', 'ROLLBACK'),
  copy(
    'BEGIN',
    'CREATE MATERIALIZED VIEW copied AS SELECT email || $$$$ AS x FROM customers',
    'TABLE copied',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'PREPARE p AS SELECT email AS x FROM customers',
    'CREATE TABLE copied AS EXECUTE p',
    'TABLE copied',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'INSERT INTO orders SELECT id + 100, 1, 1, email FROM customers',
    'SELECT note FROM orders',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'INSERT INTO orders VALUES (100, 1, 1, (SELECT email FROM customers LIMIT 1))',
    'SELECT note FROM orders',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'UPDATE orders SET note = email FROM customers c WHERE c.id = customer',
    'SELECT note FROM orders',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'UPDATE orders SET note = (SELECT email FROM customers LIMIT 1)',
    'SELECT note FROM orders',
    'ROLLBACK',
  ),
  copy('BEGIN', 'UPDATE customers SET city = email', 'SELECT city FROM customers', 'ROLLBACK'),
  copy(
    'BEGIN',
    'UPDATE customers SET (city, remark) = (email, name)',
    'SELECT city, remark FROM customers',
    'ROLLBACK',
  ),
  copy('BEGIN', 'UPDATE people SET city = contact', 'SELECT city FROM customers', 'ROLLBACK'),
  copy(
    'BEGIN',
    'WITH s AS (SELECT email FROM customers) INSERT INTO orders SELECT 100, 1, 1, email FROM s LIMIT 1',
    'SELECT note FROM orders',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    "INSERT INTO customers (id, city) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET city = customers.email",
    'SELECT city FROM customers',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'MERGE INTO orders o USING customers c ON o.customer = c.id WHEN MATCHED THEN UPDATE SET note = c.email',
    'SELECT note FROM orders',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'ALTER TABLE customers ADD COLUMN e2 text GENERATED ALWAYS AS (email || $$x$$) STORED',
    'SELECT e2 FROM customers',
    'ROLLBACK',
  ),
  copy('BEGIN', 'ALTER TABLE customers ALTER spare TYPE text USING email', 'SELECT spare FROM customers', 'ROLLBACK'),
  copy(
    'BEGIN',
    'CREATE RULE r AS ON UPDATE TO orders DO ALSO INSERT INTO log SELECT email FROM customers',
    'UPDATE orders SET total = 1',
    'SELECT line FROM log',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT email FROM customers LIMIT 1'",
    'SELECT f()',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log SELECT email FROM customers; RETURN 1; END $$',
    'SELECT f()',
    'SELECT line FROM log',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    'DO $$ BEGIN UPDATE orders SET note = (SELECT email FROM customers LIMIT 1); END $$',
    'SELECT note FROM orders',
    'ROLLBACK',
  ),
  copy(
    'BEGIN',
    "CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.simple', name)",
    'UPDATE customers SET name = name WHERE id = 1',
    'SELECT words FROM customers WHERE id = 1',
    'ROLLBACK',
  ),
  {
    steps: [
      'BEGIN',
      'SELECT lo_from_bytea(4711, email::bytea) FROM customers LIMIT 1',
      'SELECT lo_get(4711)',
      'ROLLBACK',
    ],
  },
  {
    steps: [
      'BEGIN',
      'SELECT lo_from_bytea(4712, email::bytea) FROM customers LIMIT 1',
      'SELECT data FROM pg_largeobject',
      'ROLLBACK',
    ],
  },
  copy(
    'BEGIN',
    "SELECT set_config('my.thing', email, false) FROM customers LIMIT 1",
    "SELECT current_setting('my.thing')",
    'ROLLBACK',
  ),
  copy("SELECT set_config('application_name', email, false) FROM customers LIMIT 1", 'SHOW application_name'),
  row("SELECT set_config('search_path', email, false) FROM customers LIMIT 1"),
  row('SELECT set_name()'),
  { steps: ['LISTEN news', "SELECT pg_notify('news', email) FROM customers LIMIT 1", 'SELECT 1'] },
  row('LISTEN news', 'SELECT tell()', 'SELECT 1'),
  copy('BEGIN', "SELECT setval('counter', pin) FROM customers LIMIT 1", 'SELECT last_value FROM counter', 'ROLLBACK'),
  {
    steps: [
      'BEGIN',
      'SELECT pg_advisory_xact_lock(pin) FROM customers LIMIT 1',
      "SELECT objid, classid FROM pg_locks WHERE locktype = 'advisory'",
      'ROLLBACK',
    ],
    copies: true,
  },
  // Errors and notices.
  row('SELECT email::int FROM customers'),
  row('SELECT name::date FROM customers'),
  row('SELECT email::json FROM customers'),
  row('SELECT name::regclass FROM customers'),
  row('SELECT name::uuid FROM customers'),
  row('SELECT name::boolean FROM customers'),
  row("SELECT ('{' || name)::int[] FROM customers"),
  row('SELECT name::inet FROM customers'),
  quiet("SELECT to_date(name, 'YYYY') FROM customers"),
  quiet("SELECT to_timestamp(name, 'YYYY-MM') FROM customers"),
  row("SELECT name::xml, xmlparse(document '<' || name) FROM customers"),
  quiet('SELECT 1 / (pin - pin) FROM customers'),
  row('SELECT pin::text::int2 FROM customers'),
  undone('INSERT INTO numbers SELECT pin FROM customers'),
  undone("UPDATE customers SET email = replace(email, '2', '') WHERE id = 2"),
  undone('UPDATE customers SET city = NULL WHERE id = 2'),
  quiet('BEGIN', 'ALTER TABLE customers ADD CHECK (pin < 5)', 'ROLLBACK'),
  undone('ALTER TABLE derived ALTER secret TYPE int USING secret::int'),
  undone('CREATE UNIQUE INDEX ON customers (name)'),
  undone('CREATE INDEX ON customers ((email::int))'),
  undone('CREATE INDEX ON customers ((1 / (id - 1)))  WHERE name::int > 0'),
  undone('ALTER TABLE contacts ADD CONSTRAINT k CHECK (mail::int > 0)'),
  quiet('BEGIN', "ALTER DOMAIN address ADD CHECK (VALUE NOT LIKE 'z%')", 'ROLLBACK'),
  undone('REINDEX TABLE customers', 'SELECT max(name)::int FROM customers'),
  undone('CREATE TABLE t (e text PRIMARY KEY)', 'INSERT INTO t SELECT name FROM customers'),
  quiet('BEGIN', 'SET CONSTRAINTS ALL DEFERRED', 'INSERT INTO deferred SELECT pin FROM customers', 'COMMIT'),
  row('BEGIN', "UPDATE customers SET remark = 'late' WHERE id = 1", 'COMMIT'),
  row("BEGIN; UPDATE customers SET remark = 'late' WHERE id = 1; COMMIT"),
  row("UPDATE customers SET remark = 'late' WHERE id = 1"),
  undone("UPDATE customers SET remark = 'late' WHERE id = 1", 'SET CONSTRAINTS ALL IMMEDIATE'),
  row([P('', "UPDATE customers SET remark = 'late' WHERE id = 1"), B('', ''), E(''), S]),
  row('SELECT complain()'),
  row('SELECT shout()'),
  row("DO $$ BEGIN RAISE NOTICE 'it is %', (SELECT email FROM customers LIMIT 1); END $$"),
  row("DO $$ BEGIN RAISE EXCEPTION '%', (SELECT email FROM customers LIMIT 1); END $$"),
  row("DO $$ BEGIN RAISE WARNING USING MESSAGE = 'x', HINT = (SELECT email FROM customers LIMIT 1); END $$"),
  row("DO $$ BEGIN PERFORM set_config('application_name', (SELECT email FROM customers LIMIT 1), false); END $$"),
  row("SELECT query_to_xml('SELECT email::int FROM customers', true, true, '')"),
  row('SELECT * FROM customers WHERE email::int = 1'),
  row('SELECT id FROM customers ORDER BY name::int'),
  row('SELECT count(*) FROM customers GROUP BY name::date'),
  quiet("SELECT id FROM customers WHERE name ~ ('(' || name)"),
  row('BEGIN', 'DECLARE c CURSOR WITH HOLD FOR SELECT email::int FROM customers', 'COMMIT'),
  // EXPLAIN, statistics, other sessions.
  quiet('EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM customers'),
  row('EXPLAIN ANALYZE SELECT email::int FROM customers'),
  row("SELECT most_common_vals FROM pg_stats WHERE tablename = 'customers'"),
  row("SELECT most_common_vals::text FROM pg_stats WHERE attname = 'name'"),
  row('SELECT stavalues1 FROM pg_statistic'),
  row('SELECT s::text FROM pg_stats s'),
  row('SELECT most_common_vals FROM pg_stats_ext'),
  row('SELECT stxdmcv FROM pg_statistic_ext_data'),
  row('SELECT m.* FROM pg_statistic_ext_data, pg_mcv_list_items(stxdmcv) m'),
  quiet('SELECT query FROM pg_stat_activity'),
  quiet('SELECT * FROM pg_prepared_statements'),
  quiet('SELECT * FROM pg_cursors'),
  row("SELECT query_to_xml('SELECT email FROM customers', true, true, '')"),
  row("SELECT table_to_xml('customers', true, true, '')"),
  row("SELECT schema_to_xml('public', true, true, '')"),
  row("SELECT database_to_xml(true, true, '')"),
  row(
    "SELECT cursor_to_xml('c', 5, true, true, '')",
    'BEGIN',
    'DECLARE c CURSOR FOR SELECT email FROM customers',
    "SELECT cursor_to_xml('c', 5, true, true, '')",
  ),
  row("SELECT * FROM ts_stat('SELECT to_tsvector($$simple$$, name) FROM customers')"),
  // COPY.
  row('COPY customers TO STDOUT'),
  row('COPY customers (email) TO STDOUT'),
  row('COPY customers (city, email, id) TO STDOUT (FORMAT csv, HEADER)'),
  row('COPY customers TO STDOUT (FORMAT binary)'),
  row('COPY customers TO STDOUT WITH BINARY'),
  row("COPY customers TO STDOUT WITH CSV QUOTE '''' DELIMITER ';' FORCE QUOTE *"),
  row("COPY customers TO STDOUT (NULL 'x\\')"),
  row("COPY customers TO STDOUT (ENCODING 'LATIN1')"),
  row("COPY customers TO STDOUT (DELIMITER E'\\x01', NULL '')"),
  row('COPY (SELECT * FROM customers) TO STDOUT'),
  row('COPY (SELECT email AS city FROM customers) TO STDOUT (FORMAT csv)'),
  row('COPY (SELECT pin, email FROM customers) TO STDOUT (FORMAT binary)'),
  row('COPY (SELECT max(email) FROM customers) TO STDOUT'),
  row('COPY (TABLE people) TO STDOUT'),
  row('COPY vault.cards_1 TO STDOUT'),
  row('COPY (SELECT number FROM vault.cards) TO STDOUT'),
  row('COPY derived TO STDOUT'),
  row('COPY kept TO STDOUT', 'COPY (TABLE kept) TO STDOUT'),
  undone('COPY (UPDATE customers SET city = city RETURNING email) TO STDOUT'),
  row('COPY orders TO STDOUT; COPY customers TO STDOUT; COPY (SELECT email FROM customers) TO STDOUT'),
  row('COPY (SELECT email::int FROM customers) TO STDOUT'),
  row('BEGIN', 'COPY (SELECT name FROM customers) TO STDOUT', 'COMMIT'),
  // Names: prepared, cursors, portals.
  row('PREPARE p AS SELECT email FROM customers', 'EXECUTE p'),
  row('PREPARE p AS SELECT email FROM customers; EXECUTE p'),
  row('PREPARE p(int) AS SELECT email FROM customers WHERE id = $1', 'EXECUTE p(1)'),
  row([P('s', 'SELECT email FROM customers'), S], 'EXECUTE s'),
  row('PREPARE p AS SELECT email FROM customers', [B('', 'p'), E(''), S]),
  row('PREPARE p AS SELECT email FROM customers', [binary('', 'p'), D('P', ''), E(''), S]),
  row('PREPARE p AS SELECT email FROM customers', 'EXPLAIN ANALYZE EXECUTE p', 'EXECUTE p'),
  row('BEGIN', 'DECLARE c CURSOR FOR SELECT email FROM customers', 'FETCH ALL c', 'COMMIT'),
  row('BEGIN; DECLARE c CURSOR FOR SELECT email FROM customers; FETCH 1 c; COMMIT'),
  row('BEGIN', 'DECLARE c BINARY CURSOR FOR SELECT pin, email FROM customers', 'FETCH ALL c', 'COMMIT'),
  row('BEGIN', 'DECLARE c SCROLL CURSOR FOR SELECT * FROM customers', 'FETCH LAST c', 'FETCH PRIOR c', 'COMMIT'),
  row('DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers', 'FETCH ALL c'),
  row('BEGIN', 'DECLARE c CURSOR FOR SELECT email FROM customers', [E('c'), S], 'COMMIT'),
  row(
    'BEGIN',
    'DECLARE c CURSOR FOR SELECT email FROM customers',
    [D('P', 'c'), E('c', 1), S],
    [E('c', 1), S],
    'COMMIT',
  ),
  row('BEGIN', [P('', 'SELECT email FROM customers'), B('w', ''), S], 'FETCH ALL w', 'COMMIT'),
  row('BEGIN', [P('', 'SELECT email FROM customers'), B('w', ''), E('w', 1), S], 'FETCH 1 w', [E('w', 1), S], 'COMMIT'),
  row('BEGIN', 'SELECT opened()', 'FETCH ALL theirs', 'COMMIT'),
  // A cursor, or a plan, that outlives what its names meant.
  row(
    'SET search_path = public',
    'DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers',
    'CREATE TEMP TABLE customers (email text)',
    'FETCH ALL c',
  ),
  {
    steps: [
      'BEGIN',
      'CREATE TABLE vault.people (contact text)',
      'SET LOCAL search_path = public',
      'DECLARE c CURSOR FOR SELECT contact FROM people',
      'SET LOCAL search_path = vault, public',
      'FETCH ALL c',
      'ROLLBACK',
    ],
  },
  row(
    'BEGIN',
    'CREATE TABLE lure (email text)',
    [P('s', 'SELECT email FROM lure'), D('S', 's'), S],
    'ALTER TABLE lure RENAME TO lured',
    'ALTER TABLE customers RENAME TO lure',
    [B('', 's'), E(''), S],
    'ROLLBACK',
  ),
  row(
    'BEGIN',
    'CREATE VIEW lure AS SELECT note AS x FROM orders',
    [P('s', 'SELECT x FROM lure'), D('S', 's'), B('', 's'), E(''), S],
    'CREATE OR REPLACE VIEW lure AS SELECT email AS x FROM customers',
    [B('', 's'), E(''), S],
    'ROLLBACK',
  ),
  row(
    'BEGIN',
    'CREATE TABLE vault.orders AS SELECT 1 AS id, $$x$$::text AS note',
    [P('s', 'SELECT note FROM orders'), D('S', 's'), S],
    'ROLLBACK',
    [P('', 'SELECT email FROM customers'), B('', ''), E(''), S],
  ),
  row(
    'BEGIN',
    'CREATE TEMP TABLE people (contact text)',
    [P('s', 'SELECT contact FROM people'), D('S', 's'), S],
    'DROP TABLE people',
    [B('', 's'), E(''), S],
    'ROLLBACK',
  ),
  // Messages in unusual orders.
  row([P('', 'SELECT email FROM customers'), B('', ''), E(''), S]),
  row([P('', 'SELECT email FROM customers'), binary('', ''), E(''), S]),
  row([P('', 'SELECT email FROM customers'), D('S', ''), S], [B('', ''), E(''), S], [B('', ''), E(''), S]),
  row([P('s', 'SELECT * FROM customers'), D('S', 's'), B('', 's'), D('P', ''), E('', 1), E('', 1), E('', 0), S]),
  row(
    'BEGIN',
    [P('s', 'SELECT * FROM customers'), binary('p', 's'), E('p', 2), S],
    [executed('p', 1), S],
    [D('P', 'p'), executed('p', 0), S],
    'COMMIT',
  ),
  row([
    P('', 'SELECT city FROM customers'),
    B('a', ''),
    P('', 'SELECT email FROM customers'),
    B('b', ''),
    E('a'),
    E('b'),
    S,
  ]),
  row([
    P('', 'SELECT city FROM customers'),
    B('a', ''),
    E('a'),
    C('P', 'a'),
    P('', 'SELECT email FROM customers'),
    B('a', ''),
    E('a'),
    S,
  ]),
  row([
    P('a', 'SELECT city FROM customers'),
    C('S', 'a'),
    P('a', 'SELECT email FROM customers'),
    D('S', 'a'),
    B('', 'a'),
    E(''),
    S,
  ]),
  row([P('', 'SELECT email FROM customers'), B('', ''), H, E(''), H, S]),
  row([Q('SELECT city FROM customers'), Q('SELECT email FROM customers'), Q('SELECT 1')]),
  row('SELECT city FROM customers; SELECT email FROM customers; SELECT note FROM orders'),
  row('SELECT note FROM orders; SELECT city, email FROM customers'),
  row('SELECT note FROM orders; SELECT email::int FROM customers; SELECT 1'),
  row('CREATE TEMP VIEW v AS SELECT email AS note FROM customers; SELECT note FROM v'),
  row('SET search_path = vault; SELECT number FROM cards'),
  row([P('', 'SELECT $1::text, email FROM customers'), B('', '', 'x'), E(''), S]),
  row([
    P('', 'SELECT id, email, pin FROM customers'),
    message(T.Bind, cstring(''), cstring(''), int16(0), int16(0), int16(3), int16(1), int16(0), int16(1)),
    E(''),
    S,
  ]),
  row([P('', 'SELECT email::int FROM customers'), B('', ''), E(''), S], 'SELECT 1'),
]
