import pg from 'pg'
import { startPostgres } from '../../../../../demo/postgres.ts'
import { type Catalog, loadCatalog } from '../catalog.ts'
import { type Analysis, analyse, loadParser, type StatementContext } from '../effects.ts'

/** A small shop, with one of everything that a statement can hide behind. */
export const schema = `
  CREATE SCHEMA vault; CREATE SCHEMA other; CREATE SCHEMA closed;
  CREATE TABLE customers (id int PRIMARY KEY, email text, name text);
  CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE, total int);
  CREATE TABLE notes (id int, customer int REFERENCES customers ON DELETE SET NULL, body text);
  CREATE TABLE vault.secrets (id int PRIMARY KEY, secret text);
  CREATE TABLE "vault"."Odd ""Name" (id int, "select" text);
  CREATE TABLE other.customers (id int); CREATE TABLE closed.orders (id int);
  CREATE VIEW secret_view AS SELECT s.secret, c.name FROM vault.secrets s, customers c;
  CREATE VIEW outer_view AS SELECT * FROM secret_view;
  CREATE MATERIALIZED VIEW summary AS SELECT count(*) FROM orders;
  CREATE TABLE ruled (id int);
  CREATE RULE divert AS ON INSERT TO ruled DO ALSO DELETE FROM vault.secrets;
  CREATE TABLE events (at int, what text) PARTITION BY RANGE (at);
  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
  CREATE TABLE whole (at int) PARTITION BY RANGE (at);
  CREATE TABLE tail (at int); ALTER TABLE whole ATTACH PARTITION tail DEFAULT;
  CREATE TABLE head PARTITION OF whole FOR VALUES FROM (0) TO (10);
  CREATE VIEW head_first AS SELECT h.at FROM head h, whole w;
  CREATE VIEW tail_first AS SELECT t.at FROM tail t, whole w;
  CREATE TABLE base (a int); CREATE TABLE derived (b int) INHERITS (base);
  CREATE SEQUENCE counter;
  CREATE FUNCTION wipe(customers) RETURNS int LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION total(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
  CREATE FUNCTION lower(int) RETURNS text LANGUAGE sql AS 'SELECT 1::text';
  CREATE PROCEDURE purge(a int, OUT b int) LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION vault.leak(int, int) RETURNS bool LANGUAGE sql AS 'SELECT true';
  CREATE OPERATOR vault.==> (FUNCTION = vault.leak, LEFTARG = int, RIGHTARG = int);
  CREATE OPERATOR @@@@ (FUNCTION = vault.leak, LEFTARG = int, RIGHTARG = int);
  CREATE TYPE mood AS ENUM ('glad', 'sad');
  CREATE FUNCTION to_mood(int) RETURNS mood LANGUAGE sql AS $$ SELECT 'sad'::mood $$;
  CREATE CAST (int AS mood) WITH FUNCTION to_mood(int);
  CREATE INDEX by_name ON customers (name);
  CREATE TABLE codes (code text PRIMARY KEY, note text);
  CREATE TABLE coded (id int, code text REFERENCES codes ON UPDATE CASCADE);
  CREATE VIEW codes_view AS SELECT code AS shown, note FROM codes;
  CREATE VIEW customers_view AS SELECT * FROM customers;
  CREATE RECURSIVE VIEW around (id) AS SELECT id FROM vault.secrets UNION SELECT id + 1 FROM around WHERE id < 3;
  CREATE VIEW invoked WITH (security_invoker) AS SELECT * FROM vault.secrets;
  CREATE VIEW swapped AS SELECT 1 AS id; CREATE RULE swap AS ON UPDATE TO swapped DO INSTEAD DELETE FROM vault.secrets;
  CREATE VIEW settings_view AS SELECT * FROM pg_settings; CREATE VIEW stats_view AS SELECT most_common_vals::text FROM pg_stats;
  CREATE VIEW catalog_view AS SELECT c.relname, o.id FROM pg_class c, orders o;
  CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far;
  CREATE FOREIGN TABLE abroad (id int) SERVER far;`

export interface World extends AsyncDisposable {
  catalog: Catalog
  query(sql: string, values?: unknown[]): Promise<(string | null)[][]>
  analyse(sql: string, context?: Partial<StatementContext>): Analysis
}

export async function startWorld(): Promise<World> {
  await loadParser()
  const server = await startPostgres({ auth: 'trust' })
  await server.query(schema)
  const client = new pg.Client({ host: server.host, port: server.port, user: server.user, database: 'postgres' })
  await client.connect()
  const query = async (text: string, values: unknown[] = []) => {
    const types = { getTypeParser: () => (value: unknown) => value }
    return (await client.query<(string | null)[]>({ text, values, rowMode: 'array', types })).rows
  }
  const catalog = await loadCatalog(query)
  const usual: StatementContext = {
    connection: 'shop',
    catalog,
    searchPath: ['$user', 'public'],
    user: 'postgres',
    tempSchema: null,
    prepared: () => undefined,
    portal: () => undefined,
  }
  return {
    catalog,
    query,
    analyse: (sql, context) => analyse(sql, { ...usual, ...context }),
    async [Symbol.asyncDispose]() {
      await client.end()
      await server.stop()
    },
  }
}

/** Effects in short, sorted: `write public.customers delete!` where ! is unbounded; the connection is `.`. */
export function short(analysis: Analysis): string[] {
  const lines = analysis.effects.map(({ action, resource, command }) => {
    const on = resource.type === 'Connection' ? '.' : resource.id.replace('shop/', '')
    return `${action.replace('sql:', '')} ${on} ${command.kind}${command.bounded ? '' : '!'}`
  })
  return [...new Set(lines)].sort()
}
