import type { RecordingLine } from '@countersign/contract/recording'
import { someRecording } from './small-gateway.ts'

const tables = ['customers', 'orders', 'payments', 'invoices', 'shipments', 'returns']
const words = 'kettle scale tuesday refund voucher pour-over grinder filter monthly wholesale courier doorstep'.split(
  ' ',
)

/**
 * A recording as an agent at work makes one, of so many commands: reads with some rows, writes, now and then a denial, a
 * hold that is approved, an error, masked columns. Always the same for the same numbers; no two commands are alike.
 * @param bytes what its lines come to, about; rows are added to reach it
 */
export function* longRecording(session: string, commands: number, bytes: number): Generator<RecordingLine> {
  const [header] = someRecording(session)
  if (header?.type !== 'header') throw new Error('a recording begins with a header')
  yield { ...header, startedAt: '2026-11-20T08:00:00.000Z' }
  const perCommand = bytes / commands
  let spent = 0
  let random = 12_345
  const next = (below: number) => {
    random = (random * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((random / 2_147_483_648) * below)
  }
  let seq = 0
  let t = 0
  for (let i = 0; i < commands; i++) {
    const id = `c${i}`
    const table = tables[next(tables.length)]!
    const kind = i % 7 === 3 ? 'update' : 'select'
    const denied = i % 211 === 17
    const held = i % 487 === 29
    const failed = i % 131 === 11
    t += next(40) + (i % 1000 === 0 ? 15_000 : 0)
    const text =
      kind === 'select'
        ? `SELECT id, name, email, note FROM ${table} WHERE id > ${i * 13} AND note LIKE '%${words[next(words.length)]}%' ORDER BY id LIMIT 20`
        : `UPDATE ${table} SET note = 'checked by batch ${i}' WHERE id = ${next(1_000_000)}`
    const effects = [
      {
        action: kind === 'select' ? 'sql:read' : 'sql:write',
        resource: { type: 'Table', id: `orders/public.${table}` },
        kind,
        bounded: true,
      },
    ]
    const verdict = denied
      ? { outcome: 'deny' as const, policies: ['no-bulk-reads'], reason: 'Read one at a time' }
      : { outcome: held ? ('hold' as const) : ('allow' as const), policies: ['shop-agents'] }
    if (held) {
      yield { seq: ++seq, t, type: 'hold', command: id, approval: `ap_${i}`, state: 'pending' }
      t += 30_000
      yield {
        seq: ++seq,
        t,
        type: 'hold',
        command: id,
        approval: `ap_${i}`,
        state: 'approved',
        by: ['Ada'],
        reason: 'agreed',
      }
      yield { seq: ++seq, t, type: 'hold', command: id, approval: `ap_${i}`, state: 'used' }
    }
    yield {
      seq: ++seq,
      t,
      type: 'command',
      command: id,
      text,
      parameters: [],
      kind,
      effects,
      digest: `sha256:${'0'.repeat(64)}`,
      verdict,
    }
    if (denied) {
      yield {
        seq: ++seq,
        t,
        type: 'result',
        command: id,
        status: 'refused',
        sqlstate: '42501',
        message: 'denied by policy',
        ms: 0,
      }
      continue
    }
    t += next(20)
    if (failed) {
      yield {
        seq: ++seq,
        t,
        type: 'result',
        command: id,
        status: 'failed',
        sqlstate: '23505',
        message: `duplicate key value violates unique constraint "${table}_pkey"`,
        ms: 2,
      }
      continue
    }
    let kept = 0
    spent += 560
    if (kind === 'select' && perCommand * i - spent > 600) {
      const rows: string[][] = []
      const missing = Math.min(20_000, perCommand * i - spent)
      for (let size = 400; size < missing; size += 110)
        rows.push([
          String(i * 13 + ++kept),
          `Mira Haddad ${next(100_000)}`,
          'redacted',
          `called about the ${words[next(words.length)]}`,
        ])
      spent += 400 + rows.length * 110
      yield {
        seq: ++seq,
        t,
        type: 'rows',
        command: id,
        columns: [
          { name: 'id', type: 20 },
          { name: 'name', type: 25 },
          { name: 'email', type: 25, masked: [{ class: 'email', style: 'redact', revealed: false }] },
          { name: 'note', type: 25 },
        ],
        rows,
      }
    }
    yield {
      seq: ++seq,
      t,
      type: 'result',
      command: id,
      status: 'completed',
      tag: kind === 'select' ? `SELECT ${kept}` : 'UPDATE 1',
      rows: kind === 'select' ? kept : 1,
      ms: 3,
    }
  }
  yield { seq: ++seq, t: t + 10, type: 'end', state: 'closed', reason: 'the client disconnected' }
}

/** The lines of a long recording as the gateway sends them. */
export function longRecordingBytes(session: string, commands: number, bytes: number): Buffer {
  const pieces: Buffer[] = []
  let text = ''
  for (const line of longRecording(session, commands, bytes)) {
    text += `${JSON.stringify(line)}\n`
    if (text.length < 1 << 20) continue
    pieces.push(Buffer.from(text))
    text = ''
  }
  pieces.push(Buffer.from(text))
  return Buffer.concat(pieces)
}
