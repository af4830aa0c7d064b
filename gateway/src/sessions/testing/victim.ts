/**
 * A process to be killed: opens sessions on a data folder, records in them and closes some, and says on stdout, after
 * each append has returned, what was recorded (`SESSION SEQ`), or only recovers what another one left behind.
 * `node victim.ts FOLDER record|recover`
 */
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { openStore } from '../../store/store.ts'
import type { LiveSession } from '../session.ts'
import { createSessions } from '../sessions.ts'

const [folder, what] = process.argv.slice(2) as [string, 'record' | 'recover']
const log = { info() {}, warn() {}, error: (...all: unknown[]) => console.error(...all) }
const store = await openStore(join(folder, 'store.db'))
const sessions = createSessions({
  store,
  folder,
  limits: () => ({ sessions_per_agent: 1000, recorded_rows: 10, recorded_bytes: 1000 }),
  log,
})
const say = (line: string) => writeSync(1, `${line}\n`)

say('ready')
await sessions.recover()
say('recovered')
if (what === 'recover') process.exit(0)

const open = () =>
  sessions.open({
    connection: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' },
    protocol: 'postgres',
    agent: {
      kind: 'agent',
      id: 'https://idp#ci',
      issuer: 'https://idp',
      subject: 'ci',
      name: 'ci',
      groups: [],
      expiresAt: new Date(Date.now() + 3_600_000),
    },
    client: { address: '127.0.0.1' },
  })
const record = (session: LiveSession, seq: number) => {
  session.recorder.append({
    type: 'command',
    command: `c${seq}`,
    text: `select ${seq} /* ${'x'.repeat(seq * 37)} */`,
    parameters: [],
    kind: 'select',
    effects: [],
    digest: 'sha256:00',
    verdict: { outcome: 'allow', policies: [] },
  })
  say(`${session.id} ${seq}`)
}

const work = async () => {
  for (let round = 0; ; round++) {
    const session = await open()
    for (let seq = 1; seq <= 20 + round; seq++) {
      record(session, seq)
      if (seq % 7 === 0) await session.recorder.sync()
      if (seq % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await session.close('closed', 'done')
    say(`closed ${session.id}`)
  }
}
await Promise.all([work(), work(), work()])
