import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { startWorld } from '../demo/world.ts'
import { find, pgbouncer } from '../scripts/system.ts'
import { startPgbouncer, type Target } from './pgbouncer.ts'
import { INSPECTABLE, Inspected, rss } from './process.ts'
import { printTable } from './table.ts'
import { int32, message } from './wire.ts'

const sessions = Number(process.env.BENCH_SESSIONS ?? 500)
export const title = `${sessions} idle sessions: what each of them holds, in pgbouncer and in the gateway`

const KB = 1024
/** What a session may hold at most. */
const bound = 100 * KB

/** Prints how much memory a signed-in session costs that has asked once and is idle since. */
export async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const world = stack.use(
    await startWorld({
      folder: join(folder, 'world'),
      policy: { 'bench.cedar': policy },
      config: { limits: { drain: '5s', sessions_per_agent: 2 * sessions } },
      connection: { data_classes: { 'public.customers.email': 'email' } },
      env: { NODE_OPTIONS: INSPECTABLE },
      server: { config: { max_connections: String(sessions + 50), shared_buffers: '32MB' } },
    }),
  )
  const rows: string[][] = []
  const kb = (bytes: number) => (bytes / KB / sessions).toFixed(1)

  const pooler = find(pgbouncer)
  if (pooler) {
    await using ended = new AsyncDisposableStack()
    const target = await startPgbouncer(pooler, world, folder, ended)
    await (await opened(target, false, 5))()
    const before = rss(target.pid).now
    const close = await opened(target, false, sessions)
    rows.push(['pgbouncer', kb(rss(target.pid).now - before), '', '', '', '', ''])
    await close()
  } else console.log('pgbouncer is not here (apt-get install pgbouncer): its row is left out')

  const gateway = {
    name: 'gateway',
    ...world.postgres,
    user: 'bench',
    password: await world.agents.agentToken({ subject: 'bench', groups: ['bench-agents'], expiresIn: 7200 }),
  }
  for (const tls of [false, true]) {
    if (tls) await world.restartGateway() // or it would use again what the others have left
    const pid = world.gateway.process.pid!
    const descriptors = () => readdirSync(`/proc/${pid}/fd`).length
    const inspected = await Inspected.open(world.gateway)
    await (await opened(gateway, tls, 20))() // what is made once has been made
    const before = await settled(inspected)
    const files = descriptors()
    const close = await opened(gateway, tls, sessions)
    const raw = rss(pid).now
    const after = await settled(inspected)
    const each = after.rss - before.rss
    rows.push([
      `gateway${tls ? ', TLS' : ''}`,
      `${kb(each)}${each / sessions > bound ? ' > 100' : ''}`,
      kb(raw - before.rss),
      kb(after.heapUsed - before.heapUsed),
      kb(after.external - before.external),
      kb(after.arrayBuffers - before.arrayBuffers),
      ((descriptors() - files) / sessions).toFixed(1),
    ])
    if (process.env.BENCH_SNAPSHOT) console.log(await held(inspected))
    inspected.close()
    await close()
  }
  printTable(['KiB per session', 'resident', 'before GC', 'heap', 'external', 'of which buffers', 'descriptors'], rows)
  console.log(
    'differences of resident memory with and without the sessions, after a garbage collection; bound: 100 KiB',
  )
}

/** Memory once it falls no further: freed pages go back to the system little by little. */
async function settled(inspected: Inspected): Promise<NodeJS.MemoryUsage> {
  let before = await inspected.memory()
  for (let n = 0; n < 20; n++) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    const now = await inspected.memory()
    if (Math.abs(now.rss - before.rss) < 256 * KB) return now
    before = now
  }
  return before
}

/** Opens so many sessions that have asked once, a few at a time; answers how to close them. */
async function opened(target: Target, tls: boolean, count: number): Promise<() => Promise<void>> {
  const sockets: Socket[] = []
  let next = 0
  const openOne = async () => {
    while (next++ < count) sockets.push(await idle(target, tls))
  }
  await Promise.all(Array.from({ length: 8 }, openOne))
  return async () => {
    await Promise.all(
      sockets.map((socket) => {
        const closed = new Promise((resolve) => socket.once('close', resolve))
        socket.end(message('X', ''))
        socket.resume()
        return closed
      }),
    )
  }
}

const PASSWORD = message('R', int32(3)).toString('latin1')
const READY = message('Z', 'I').toString('latin1')

/** A session that has signed in, asked once and says nothing since. Its memory is the bench's, and small. */
async function idle({ host, port, user, password }: Target, tls: boolean): Promise<Socket> {
  const plain = connect({ host, port, noDelay: true })
  let socket: Socket = plain
  if (tls) {
    plain.write(Buffer.concat([int32(8), int32(80_877_103)]))
    await new Promise((resolve) => plain.once('readable', resolve))
    plain.read(1)
    const secure = connectTls({ socket: plain, rejectUnauthorized: false, ALPNProtocols: ['postgresql'] })
    await new Promise((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject))
    socket = secure
  }
  const body = Buffer.from(`user\0${user}\0database\0orders\0\0`)
  let seen = ''
  let wake = () => {}
  socket.on('data', (chunk: Buffer) => {
    seen = (seen + chunk.toString('latin1')).slice(-4096)
    wake()
  })
  socket.once('close', () => wake())
  const until = async (...ends: string[]) => {
    while (!ends.some((end) => seen.endsWith(end))) {
      if (socket.destroyed) throw new Error(`a session ended early: ${seen}`)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    const asked = seen.endsWith(PASSWORD)
    seen = ''
    return asked
  }
  socket.write(Buffer.concat([int32(body.length + 8), int32(196_608), body]))
  if (await until(PASSWORD, READY)) {
    socket.write(message('p', `${password}\0`))
    await until(READY)
  }
  socket.write(message('Q', 'SELECT id, name FROM customers WHERE id < 20\0'))
  await until(READY)
  socket.removeAllListeners('data')
  return socket
}

/** What the heap holds most of, by constructor: count and bytes of the objects alone. */
async function held(inspected: Inspected): Promise<string> {
  const chunks: string[] = []
  inspected.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => chunks.push(chunk as string))
  await inspected.ask('HeapProfiler.takeHeapSnapshot', { reportProgress: false })
  const { snapshot, nodes, strings } = JSON.parse(chunks.join('')) as {
    snapshot: { meta: { node_fields: string[]; node_types: [string[]] } }
    nodes: number[]
    strings: string[]
  }
  const fields = snapshot.meta.node_fields
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ]
  const types = snapshot.meta.node_types[0]
  const sums = new Map<string, { count: number; bytes: number }>()
  for (let at = 0; at < nodes.length; at += fields.length) {
    const kind = types[nodes[at + type]!]!
    const label = /^(object|closure|native)$/.test(kind) ? `${kind} ${strings[nodes[at + name]!]!.slice(0, 60)}` : kind
    const sum = sums.get(label) ?? { count: 0, bytes: 0 }
    sum.count++
    sum.bytes += nodes[at + size]!
    sums.set(label, sum)
  }
  return [...sums]
    .sort((a, b) => b[1].bytes - a[1].bytes)
    .slice(0, 40)
    .map(
      ([label, { count, bytes }]) => `${(bytes / KB).toFixed(0).padStart(8)} KiB ${String(count).padStart(8)} ${label}`,
    )
    .join('\n')
}

const policy = `
permit (principal in Group::"bench-agents", action in [Action::"sql:connect", Action::"sql:read"], resource in Connection::"orders");
`
