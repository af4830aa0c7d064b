import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openFreshStore } from '../../store/testing/fresh.ts'
import { grantsIn } from './grants.ts'

test('who was given access is among the grants of a rule, however often another one asked after them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-grants-'))
  try {
    await using store = await openFreshStore(join(folder, 'store.db'))
    const give = async (agent: string, hour: number, actions: string[]) => {
      const at = new Date(Date.UTC(2026, 9, 1, hour)).toISOString()
      await store.db
        .insertInto('grants')
        .values({
          ...{ id: `gr_${hour}`, state: 'expired', connection: 'orders', connection_tags: '[]', agent },
          ...{ on_behalf_of: '', identity: JSON.stringify({ id: agent, groups: [] }), resources: null, plan: null },
          ...{ actions: JSON.stringify(actions), duration: '1h', seconds: 3600, purpose: 'work', step: null },
          ...{ extends: null, requested_at: at, requested_by: '{}', approval: null, policies: '["jit"]' },
          ...{ active_from: at, expires_at: at, ended_at: at, ended_by: null, ended_because: null },
          last_used_at: null,
        })
        .execute()
    }
    await give('i#quiet', 0, ['sql:read'])
    await give('i#other', 1, ['sql:read'])
    for (let hour = 2; hour < 150; hour++) await give('i#loud', hour, ['sql:read'])
    const window = { from: '2026-09-01T00:00:00.000Z', to: '2026-11-01T00:00:00.000Z' }
    const shown = await grantsIn(store, { connection: 'orders' }, window)
    expect(new Set(shown.map(({ agent }) => agent))).toEqual(new Set(['i#loud', 'i#other', 'i#quiet']))
    expect(shown).toHaveLength(102)
    expect(await grantsIn(store, { connection: 'orders', agent: 'i#loud' }, window)).toHaveLength(100)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
