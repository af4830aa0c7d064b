import { expect, test } from 'vitest'
import { createTelemetry } from './telemetry.ts'

function recorded(level?: string) {
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) }
  return { lines, telemetry: createTelemetry({ destination, ...(level === undefined ? {} : { level }) }) }
}

test('what is logged under the name of a secret is not written', () => {
  const { lines, telemetry } = recorded()
  telemetry.log.info({ token: 's3cret', request: { authorization: 's3cret', headers: { cookie: 's3cret' } } }, 'x')
  telemetry.log.child({ password: 's3cret' }).info('y')
  expect(lines).toHaveLength(2)
  expect(JSON.stringify(lines)).not.toContain('s3cret')
})

test('an error is written with its cause, under either name', () => {
  const { lines, telemetry } = recorded()
  const error = new Error('above', { cause: new Error('below') })
  telemetry.log.error({ error }, 'x')
  telemetry.log.error({ err: error }, 'x')
  for (const line of lines) expect(JSON.stringify(line)).toMatch(/above.*below/)
  expect(lines[0]).toMatchObject({ level: 'error', msg: 'x', time: expect.stringMatching(/^\d{4}-.*Z$/) })
})

test('the level is kept to', () => {
  const { lines, telemetry } = recorded('warn')
  telemetry.log.info('x')
  telemetry.log.warn('y')
  expect(lines.map(({ msg }) => msg)).toEqual(['y'])
})

test('each gateway counts for itself, and gauges are read when they are asked for', async () => {
  const [one, other] = [recorded().telemetry.metrics, recorded().telemetry.metrics]
  let open = 1
  const ledger = { stopped: new Error('full'), size: 12, behind: { rows: 3, sessions: 4 } }
  one.watch({ sessionsOpen: () => open, holdsPending: async () => 2, ledger: () => ledger })
  one.commands.of({ protocol: 'postgres', outcome: 'denied' }).count++
  for (const seconds of [0.00005, 0.0001, 0.002, 7]) one.decisionSeconds.of({ protocol: 'postgres' }).observe(seconds)
  open = 3
  const text = await one.registry.metrics()
  expect(text).toContain('countersign_sessions_open 3')
  expect(text).toContain('countersign_holds_pending 2')
  expect(text).toContain('countersign_ledger_stopped 1')
  expect(text).toContain('countersign_ledger_entries 12')
  expect(text).toContain('countersign_ledger_outbox_rows 3')
  expect(text).toContain('countersign_ledger_recordings_behind 4')
  expect(text).toContain('countersign_commands_total{protocol="postgres",outcome="denied"} 1')
  const lines = text.split('\n').filter((line) => line.startsWith('countersign_decision_seconds'))
  const shown = lines.map((line) =>
    line.replace('countersign_decision_seconds', '').replace(/protocol="postgres",?/, ''),
  )
  expect(text).toContain('# TYPE countersign_decision_seconds histogram')
  expect(shown).toContain('_bucket{le="0.0001"} 2')
  expect(shown).toContain('_bucket{le="0.001"} 2')
  expect(shown).toContain('_bucket{le="0.0025"} 3')
  expect(shown).toContain('_bucket{le="1"} 3')
  expect(shown).toContain('_bucket{le="+Inf"} 4')
  expect(shown).toContain('_count{} 4')
  expect(shown.some((line) => /^_sum\{\} 7\.002/.test(line))).toBe(true)
  expect(await other.registry.metrics()).not.toContain('outcome="denied"')
})
