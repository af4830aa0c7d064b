import { hash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { openStore } from '../store/store.ts'
import { putInForce } from './versions.ts'

const one = { version: 'sha256:1', texts: [{ file: 'a.cedar', text: 'permit (principal, action, resource);' }] }
const other = { version: 'sha256:2', texts: [...one.texts, { file: 'b.cedar', text: '' }] }

describe('the policy in force', () => {
  it('is told to the ledger whenever it is another one, also one that comes back', async () => {
    await using store = await openStore(':memory:')
    const at = new Date('2026-11-21T10:00:00.000Z')
    const said = []
    for (const set of [one, one, other, one, one]) said.push(await putInForce(store.db, set, 'reload', at))
    expect(said).toEqual([true, false, true, true, false])
    const rows = await store.db.selectFrom('audit_outbox').selectAll().orderBy('id').execute()
    const file = ({ file, text }: { file: string; text: string }) => ({ path: file, sha256: hash('sha256', text) })
    expect(rows.map(({ type, payload }) => [type, JSON.parse(payload)])).toEqual(
      [one, other, one].map(({ version, texts }) => [
        'policy.changed',
        { version, files: texts.map(file), by: { kind: 'gateway' }, reason: 'reload' },
      ]),
    )
  })

  it('keeps the texts of each version', async () => {
    await using store = await openStore(':memory:')
    await putInForce(store.db, one, 'start')
    await putInForce(store.db, other, 'reload')
    const rows = await store.db.selectFrom('policy_versions').select(['version', 'files']).orderBy('version').execute()
    expect(rows.map((row) => ({ version: row.version, texts: JSON.parse(row.files) }))).toEqual([one, other])
  })
})
