import { expect, it } from 'vitest'
import { Q, RawClient } from '../postgres/testing/raw.ts'
import { reportFields, T } from '../postgres/wire/messages.ts'
import type { Touch } from './plan.ts'
import { parameterPasses, scrubNotification, scrubReport } from './scrub.ts'
import { leaks, startWorld } from './testing/world.ts'

it('nothing of a value is left of what a server says', async () => {
  await using world = await startWorld()
  const client = await RawClient.start(world.server.port, { user: 'postgres', database: 'postgres' })
  const said: Record<string, string>[] = []
  for (const [sql, code] of [
    ['SELECT email::int FROM customers', '22P02'],
    ['SELECT email::date FROM customers', '22007'],
    ['SELECT email::json FROM customers', '22P02'],
    ['SELECT email::regclass FROM customers', '3F000'],
    ['SELECT name::regclass FROM customers', '42P01'],
    ['SELECT (name || email)::xml FROM customers', undefined],
    ['UPDATE customers SET id = 1', '23505'],
    ['UPDATE customers SET id = NULL', '23502'],
    ['SELECT 1 / (pin - pin) FROM customers', '22012'],
    [
      `DO $$ DECLARE v text; BEGIN SELECT email INTO v FROM customers; RAISE EXCEPTION '%', v
      USING DETAIL = v, HINT = v, TABLE = v, COLUMN = v, CONSTRAINT = v, DATATYPE = v, SCHEMA = v; END $$`,
      'P0001',
    ],
    ["DO $$ BEGIN RAISE NOTICE '%', (SELECT email FROM customers LIMIT 1); END $$", '00000'],
    ['SELECT nothing FROM customers', '42703'],
  ] as const) {
    client.send(Q(sql))
    for (const frame of await client.ready()) {
      if (frame[0] !== T.ErrorResponse && frame[0] !== T.NoticeResponse) continue
      const fields = reportFields(frame)
      said.push(fields)
      if (code) expect(fields.C, sql).toBe(code)
      const left = scrubReport(new Map(Object.entries(fields)), ['email'])
      expect(left.get('C')).toBe(fields.C)
      expect(left.get('V')).toBe(fields.V)
      expect(leaks(Buffer.from([...left.values()].join(' ')))).toBe(false)
      expect([...left.keys()].sort().join('')).toMatch(/^CFHLMP?RSV$/)
      expect(left.has('P')).toBe(fields.C === '42703')
    }
  }
  // The test is worth something only if the server did quote them.
  expect(said.filter((fields) => leaks(Buffer.from(JSON.stringify(fields)))).length).toBeGreaterThan(6)
  client.socket.destroy()
})

it('what a server would never say is left out', () => {
  const left = scrubReport(
    new Map([
      ['V', 'zq'],
      ['C', 'zq@h.'],
      ['F', 'a b'],
      ['P', 'x'],
      ['Z', 'zq'],
    ]),
    [],
  )
  expect(left.get('S')).toBe('ERROR')
  expect(left.get('C')).toBe('XX000')
  expect([...left.keys()].sort().join('')).toBe('CHMSV')
})

it('settings and payloads', () => {
  const touch = (hidden: string[]) => ({ hidden }) as unknown as Touch
  expect(parameterPasses('application_name', touch(['email']))).toBe(false)
  expect(parameterPasses('TimeZone', touch(['email']))).toBe(false)
  expect(parameterPasses('application_name', touch([]))).toBe(true)
  expect(parameterPasses('is_superuser', touch(['email']))).toBe(true)
  expect(scrubNotification('a', ['email'])).toBe('')
  expect(scrubNotification('a', [])).toBe('a')
})
