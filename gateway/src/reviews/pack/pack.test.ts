import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { parseVerifierKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import type { EvidenceCommand } from '@countersign/contract/review'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Room } from '../../sessions/scribe/testing/room.ts'
import { createPacks, type PackForm, type Packs } from './pack.ts'
import { CampaignHand, person, rae } from './testing/campaign.ts'

let room: Room
let packs: Packs
let hand: CampaignHand
let cited: EvidenceCommand
beforeAll(async () => {
  room = await Room.open()
  packs = createPacks({ store: room.store, folder: room.folder, ledger: room.ledger, clock: Date.now })
  hand = new CampaignHand(room)
  await hand.policy('v1', [{ file: 'base.cedar', text: 'permit (principal, action, resource);\n' }])
  cited = await hand.command('select secret from vault')
  await hand.start(['ci', 'support', '=cmd()', 'idle'], [cited])
  const decision = await hand.decide(1, 'reduce', 'reads only')
  await hand.overlay(1, decision)
  await hand.comment(1, 'asked the sponsor')
  await hand.decide(2, 'certify')
  await hand.move(3, person('Ben'))
  await hand.decide(3, 'revoke', 'nobody knows it')
  await hand.close({
    items: 4,
    undecided: 1,
    certify: 1,
    reduce: 1,
    revoke: 1,
    abstain: 0,
    privileged: 1,
    decisions: 3,
  })
})
afterAll(() => room[Symbol.asyncDispose]())

async function made(form: PackForm, options: { recordings?: boolean } = {}): Promise<Uint8Array> {
  const parts: Buffer[] = []
  for await (const part of await packs.make(hand.id, form, rae, options)) parts.push(part as Buffer)
  return Buffer.concat(parts)
}
const keys = () => [
  parseVerifierKey(nodeCrypto.sha256, readFileSync(join(room.folder, 'ledger', 'vkey'), 'utf8').trim()),
]
const verify = (bytes: Uint8Array) => verifyBundle(nodeCrypto, bytes, { keys: keys() })

describe('an evidence pack', () => {
  it('is whole, and says what of the campaign entries confirm', async () => {
    const bytes = await made('bundle')
    const report = await verify(bytes)
    expect(report.findings).toEqual([])
    expect(report.outcome).toBe('whole')
    expect(report.parts.map(({ part, state }) => [part, state])).toEqual([
      ['manifest', 'whole'],
      ['checkpoint', 'whole'],
      ['entries', 'whole'],
      ['policies', 'whole'],
      ['evidence', 'whole'],
      ['items', 'whole'],
      ['campaign', 'whole'],
      ['report', 'whole'],
    ])
    expect(report.campaign?.head?.counts).toMatchObject({
      items: 4,
      undecided: 1,
      certify: 1,
      reduce: 1,
      revoke: 1,
      decisions: 3,
      applications: { verified: 1, 'not-supported': 1 },
    })
    expect(report.campaign?.head?.cited).toEqual({ commands: 1, erased: 0, leftOut: 0 })
  })

  it('has the recordings of sessions that evidence cites where they are asked for', async () => {
    const report = await verify(await made('bundle', { recordings: true }))
    expect(report.findings).toEqual([])
    expect(report.manifest?.recordings).toHaveLength(1)
    expect(report.outcome).toBe('whole')
  })

  it('says of what retention has erased that it is, and by which entry', async () => {
    const { entry } = cited
    await room.ledger.erase({
      ...{ run: 'run-1', rule: 'recordings: 90d', by: { kind: 'gateway' } },
      ...{ entries: [[entry!, entry!]], recordings: [cited.session] },
    })
    const report = await verify(await made('bundle', { recordings: true }))
    expect(report.findings).toEqual([])
    expect(report).toMatchObject({
      outcome: 'whole',
      campaign: { head: { cited: { commands: 0, erased: 1, leftOut: 0 } } },
    })
    expect(report.parts.at(-1)).toMatchObject({ part: `recording ${cited.session}`, state: 'erased' })
  })
})
