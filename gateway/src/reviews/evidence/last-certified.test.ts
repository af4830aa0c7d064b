import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Store } from '../../store/store.ts'
import { openFreshStore } from '../../store/testing/fresh.ts'
import { lastCertified } from './last-certified.ts'

async function put(
  { db }: Store,
  id: string,
  item: {
    kind?: 'access' | 'rule'
    agent?: string
    name?: string
    verdict: 'certify' | 'reduce'
    at: string
    by?: string
  },
): Promise<void> {
  const { kind = 'access', agent = 'i#bot', name = 'Bot', verdict, at, by } = item
  const campaign = `ca_${id}`
  const nothing = {
    problem: null,
    started_at: null,
    started_by: null,
    snapshot_at: null,
    window_from: null,
    policy: null,
  }
  const open = { coverage: null, due_at: null, closed_at: null, closed_by: null, closed_because: null }
  await db
    .insertInto('campaigns')
    .values({
      id: campaign,
      state: 'closed',
      title: 't',
      plan: '{}',
      trigger: '{}',
      template: null,
      created_at: at,
      created_by: null,
      owner: null,
      ...nothing,
      ...open,
    })
    .execute()
  await db
    .insertInto('campaign_items')
    .values({
      ...{ id: `it_${id}`, campaign, number: 1, kind, agent: kind === 'rule' ? '' : agent, name, connection: 'orders' },
      ...{ summary: '{}', evidence: '{}', evidence_sha256: '', recommendation: '{}', reviewers: '[]' },
      ...{ verdict, how: 'reviewer', decision: `de_${id}`, decided_at: at, application: null, overlay: null },
    })
    .execute()
  await db
    .insertInto('item_decisions')
    .values({
      ...{ id: `de_${id}`, campaign, item: `it_${id}`, stage: 0, verdict, reason: '', policy: null, at, made_at: null },
      ...{ by: by === undefined ? null : JSON.stringify({ name: by }), in_place_of: null, how: 'reviewer', bulk: null },
      ...{ seconds: null, evidence_opened: null, followed: 1 },
    })
    .execute()
}

test('the newest certification counts, of the same access or rule, whoever it was by', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-certified-'))
  try {
    await using store = await openFreshStore(join(folder, 'store.db'))
    const of = { kind: 'access', agent: 'i#bot', connection: 'orders' } as const
    expect(await lastCertified(store, of)).toBeUndefined()
    await put(store, '1', { verdict: 'certify', at: '2026-01-01T00:00:00.000Z', by: 'Rae' })
    await put(store, '2', { verdict: 'certify', at: '2026-04-01T00:00:00.000Z' })
    await put(store, '3', { verdict: 'reduce', at: '2026-07-01T00:00:00.000Z', by: 'Rae' })
    await put(store, '4', { verdict: 'certify', at: '2026-08-01T00:00:00.000Z', by: 'Rae', agent: 'i#other' })
    await put(store, '5', { kind: 'rule', name: 'ask', verdict: 'certify', at: '2026-09-01T00:00:00.000Z', by: 'Ben' })
    expect(await lastCertified(store, of)).toEqual({
      campaign: 'ca_2',
      at: '2026-04-01T00:00:00.000Z',
      by: 'nobody: the campaign was due',
    })
    expect(await lastCertified(store, { kind: 'rule', policy: 'ask', connection: 'orders' })).toMatchObject({
      by: 'Ben',
    })
    expect(await lastCertified(store, { ...of, connection: 'files' })).toBeUndefined()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
