import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningPostgres, startPostgres } from '../../demo/postgres.ts'
import { startWorld } from '../../demo/world.ts'

/** How a client reaches a database: by itself, or through the gateway. */
export interface Side {
  name: 'direct' | 'gateway'
  host: string
  port: number
  /** The same on both sides: the gateway's connection is named after the database. */
  database: string
  user: string
  password: string
  /** The server behind it. */
  server: RunningPostgres
}

export interface Sides extends AsyncDisposable {
  direct: Side
  gateway: Side
  /** What the gateway logged at warning and above. */
  complaints: string[]
}

/** Everything is allowed, what can't be parsed too, and nothing is masked. */
const everything = 'permit (principal, action, resource);\n'

/**
 * Two servers made alike, each with an empty database: one is spoken to directly, before the other stands the whole
 * gateway with identity, recording and a policy that allows everything.
 * @param start how a server is started; PostgreSQL 18 out of the npm package, where absent
 */
export async function startSides(
  database: string,
  start = (config: Record<string, string>) => startPostgres({ config }),
): Promise<Sides> {
  await using stack = new AsyncDisposableStack()
  // What happens in the background, and when, must not be what differs.
  const config = { autovacuum: 'off', max_prepared_transactions: '2', max_connections: '60' }
  const [plain, behind] = await Promise.all([
    start(config).then((started) => stack.use(started)),
    start(config).then((started) => stack.use(started)),
  ])
  await Promise.all([plain, behind].map((server) => server.query(`CREATE DATABASE ${database} TEMPLATE template0`)))
  const folder = mkdtempSync(join(tmpdir(), 'countersign-sides-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  const complaints: string[] = []
  const { host, port, user, password } = behind
  const world = stack.use(
    await startWorld({
      folder: join(folder, 'world'),
      policy: { 'everything.cedar': everything },
      env: { SIDES_PASSWORD: password },
      config: {
        connections: {
          [database]: { kind: 'postgres', host, port, database, user, password: { env: 'SIDES_PASSWORD' } },
        },
        limits: { drain: '5s', max_statement: '16MiB' },
      },
      log: (line) => {
        if (/"level":[456]0/.test(line)) complaints.push(line)
      },
    }),
  )
  const token = await world.agents.agentToken({ subject: 'compare', groups: ['compare'], expiresIn: 7200 })
  const whole = stack.move()
  return {
    direct: { name: 'direct', host, port: plain.port, database, user, password, server: plain },
    gateway: { name: 'gateway', ...world.postgres, database, user, password: token, server: behind },
    complaints,
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  }
}

/** libpq's environment for a side, with nothing of one's own. */
export function environment(side: Side, more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && !name.startsWith('LC_'))
  return {
    ...Object.fromEntries(own),
    LANG: 'C.UTF-8',
    PGHOST: side.host,
    PGPORT: String(side.port),
    PGDATABASE: side.database,
    PGUSER: side.user,
    PGPASSWORD: side.password,
    PGSSLMODE: 'disable',
    PGGSSENCMODE: 'disable',
    ...more,
  }
}
