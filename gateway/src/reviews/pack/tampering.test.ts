import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { campaignTypes } from '@countersign/contract/ledger/campaign-facts'
import type { PackItem } from '@countersign/contract/ledger/campaign-item'
import { evidenceName, itemName, type PackHead } from '@countersign/contract/ledger/campaign-pack'
import { parseVerifierKey, type SignerKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signerOf } from '../../sessions/bundles/signer.ts'
import { Room } from '../../sessions/scribe/testing/room.ts'
import { createPacks } from './pack.ts'
import { CampaignHand, person, rae } from './testing/campaign.ts'
import { Forged } from './testing/forged.ts'

/** Packs by somebody who has the log's key, so that no signature gives them away. */

let room: Room
let hand: CampaignHand
let pack: Uint8Array
let key: SignerKey
beforeAll(async () => {
  room = await Room.open()
  const packs = createPacks({ store: room.store, folder: room.folder, ledger: room.ledger, clock: Date.now })
  hand = new CampaignHand(room)
  await hand.policy('v1', [{ file: 'base.cedar', text: 'permit (principal, action, resource);\n' }])
  const cited = await hand.command('select secret from vault')
  await hand.start(['ci', 'support', 'reporting', 'idle'], [cited])
  const decision = await hand.decide(1, 'reduce', 'reads only')
  await hand.overlay(1, decision)
  await hand.comment(1, 'asked the sponsor')
  await hand.decide(2, 'certify')
  await hand.stage(2, 1)
  await hand.move(3, person('Ben'))
  await hand.decide(3, 'certify')
  await hand.decide(3, 'revoke', 'nobody knows it')
  await hand.close({ items: 4, undecided: 2, certify: 0, reduce: 1, revoke: 1, abstain: 0, privileged: 1 })
  for await (const _ of await packs.make(hand.id, 'csv', rae));
  const parts: Buffer[] = []
  for await (const part of await packs.make(hand.id, 'bundle', rae)) parts.push(part as Buffer)
  pack = Buffer.concat(parts)
  key = await signerOf(join(room.folder, 'ledger'))
})
afterAll(() => room[Symbol.asyncDispose]())

async function verified(forged: Forged) {
  const vkey = readFileSync(join(room.folder, 'ledger', 'vkey'), 'utf8').trim()
  const keys = [parseVerifierKey(nodeCrypto.sha256, vkey)]
  return verifyBundle(nodeCrypto, await forged.written(key), { keys })
}

it('put together again as it was, it is whole', async () => {
  const forged = await Forged.of(pack)
  expect(await verified(forged)).toMatchObject({ outcome: 'whole', findings: [] })
  forged.consistent()
  expect(await verified(forged)).toMatchObject({ outcome: 'whole', findings: [] })
})

describe('an entry left out is found', () => {
  it.each(campaignTypes)('%s', async (type) => {
    const { manifest } = await Forged.of(pack)
    const some = manifest.entries.filter((one) => one.type === type)
    const untold = ['campaign.changed', 'overlay.failed', 'overlay.rejected', 'overlay.roll-back-asked']
    const others = ['overlay.roll-back-refused', 'overlay.probed', 'overlay.rolled-back', 'overlay.retired']
    expect(some.length > 0, type).toBe(![...untold, ...others].includes(type))
    for (const { n } of some) {
      const plain = await Forged.of(pack)
      plain.dropEntry(n)
      expect((await verified(plain)).outcome, `${type} ${n}`).not.toBe('whole')
      // And where all that follows from the entries is made to fit.
      const careful = await Forged.of(pack)
      careful.dropEntry(n)
      careful.consistent()
      const report = await verified(careful)
      expect(report.outcome, `${type} ${n}, consistently`).not.toBe('whole')
      expect(report.findings[0]?.text).toBeTruthy()
    }
  })

  it('policy.changed', async () => {
    const { manifest } = await Forged.of(pack)
    for (const { n } of manifest.entries.filter(({ type }) => type === 'policy.changed')) {
      const forged = await Forged.of(pack)
      forged.dropEntry(n)
      const report = await verified(forged)
      expect(report.outcome, String(n)).toBe('incomplete')
      expect(report.findings[0]).toMatchObject({ code: 'policy-unlogged' })
    }
  })

  it('a command that evidence cites is told as left out, never as there', async () => {
    const forged = await Forged.of(pack)
    const { n } = forged.manifest.entries.find(({ type }) => type === 'command')!
    forged.dropEntry(n)
    expect((await verified(forged)).findings[0]).toMatchObject({ code: 'campaign', where: { member: 'campaign.json' } })
    forged.consistent()
    const report = await verified(forged)
    expect(report.campaign?.head).toMatchObject({
      cited: { commands: 0, leftOut: 1 },
      exceptions: expect.arrayContaining([{ code: 'commands-left-out', count: 1 }]),
    })
  })
})

const itemOf = (n: number) => hand.items[n - 1]!.id
const changes: [string, (forged: Forged) => void, string, RegExp][] = [
  [
    'evidence changed',
    (forged) => {
      const name = evidenceName(itemOf(1))
      forged.put(name, { ...forged.json<object>(name), at: '2026-01-01T00:00:00.000Z' })
    },
    'evidence-hash',
    /evidence\/.*was changed: it has the SHA-256/,
  ],
  [
    'evidence of another item',
    (forged) => forged.members.set(evidenceName(itemOf(2)), forged.members.get(evidenceName(itemOf(1)))!),
    'evidence-hash',
    /evidence of item/,
  ],
  [
    'evidence dropped',
    (forged) => {
      forged.manifest.items![0]!.evidence = false
      forged.members.delete(evidenceName(itemOf(1)))
      forged.consistent()
    },
    'evidence-missing',
    /the evidence document of item .* is not in this bundle/,
  ],
  [
    'an item dropped',
    (forged) => {
      forged.dropItem(itemOf(4))
    },
    'item-left-out',
    /item .* has no document/,
  ],
  [
    'an item added',
    (forged) => {
      forged.manifest.items!.push({ item: 'it_more', evidence: false })
      const campaign = forged.members.get('campaign.json')!
      for (const name of ['campaign.json', 'items.csv', 'report.html']) {
        const bytes = forged.members.get(name)!
        forged.members.delete(name)
        if (name === 'campaign.json') forged.put(itemName('it_more'), forged.json<object>(itemName(itemOf(1))))
        forged.members.set(name, bytes)
      }
      expect(campaign).toBeDefined()
    },
    'item',
    /of an item that no entry of this bundle knows/,
  ],
  ...(
    [
      ['verdict', 'revoke'],
      ['application', 'pending'],
      ['privileged', false],
      ['name', 'somebody else'],
      ['how', 'expired-default'],
      ['exceptions', ['undecided']],
      ['decisions', []],
      ['comments', []],
      ['overlays', []],
      ['reviewers', ['https://people#Mallory']],
    ] as const
  ).map(([member, value]): (typeof changes)[number] => [
    `${member} of an item changed`,
    (forged) => {
      const name = itemName(itemOf(1))
      forged.put(name, { ...forged.json<PackItem>(name), [member]: value })
    },
    'item',
    new RegExp(`says another ${member} than the entries`),
  ]),
  [
    'a recommendation changed',
    (forged) => {
      const name = itemName(itemOf(1))
      const item = forged.json<PackItem>(name)
      forged.put(name, { ...item, recommendation: { ...item.recommendation, verdict: 'certify' } })
    },
    'item',
    /says another recommendation/,
  ],
  ...(['title', 'state', 'plan', 'closed', 'signOffs', 'counts', 'reviewers', 'exceptions', 'cited'] as const).map(
    (member): (typeof changes)[number] => [
      `${member} of the campaign changed`,
      (forged) => forged.put('campaign.json', { ...forged.json<PackHead>('campaign.json'), [member]: 'other' }),
      'campaign',
      new RegExp(`campaign.json says other ${member} than`),
    ],
  ),
  [
    'the table changed',
    (forged) => {
      const text = new TextDecoder().decode(forged.members.get('items.csv')!)
      forged.put('items.csv', text.replace('reads only', 'reads all'))
    },
    'items-csv',
    /not the table of the items/,
  ],
  [
    'a policy changed',
    (forged) => {
      const name = [...forged.members.keys()].find((one) => one.startsWith('policies/'))!
      forged.put(name, 'permit (principal, action, resource); // more')
    },
    'policy-file',
    /policies\/.* was changed/,
  ],
  [
    'a policy set that had other files',
    (forged) => {
      const set = forged.manifest.policies![1]!
      set.files = set.files.map((file) => ({ ...file, path: `not-${file.path}` }))
    },
    'policy-file',
    /had other files than this bundle says/,
  ],
  [
    'the entry that counts what there is, none',
    (forged) => {
      if (forged.manifest.about.kind === 'campaign') delete forged.manifest.about.made
    },
    'pack-unlogged',
    /names no entry that says that this pack was made/,
  ],
  [
    'the entry that counts what there is, one of an earlier pack',
    (forged) => {
      const { n } = forged.manifest.entries.find(({ type }) => type === 'pack.made')!
      if (forged.manifest.about.kind === 'campaign') forged.manifest.about.made = n
    },
    'after-pack',
    /is younger than the pack/,
  ],
  [
    'when it was made',
    (forged) => {
      forged.manifest.madeAt = '2026-01-01T00:00:00.000Z'
    },
    'pack-other',
    /is about another pack/,
  ],
  [
    'the entry that counts what there is, another one',
    (forged) => {
      if (forged.manifest.about.kind === 'campaign') forged.manifest.about.made = forged.manifest.entries[0]!.n
    },
    'pack-unlogged',
    /is to say that this pack was made, and does not/,
  ],
]

describe('what is changed in a pack is found, and said where', () => {
  it.each(changes)('%s', async (_, change, code, text) => {
    const forged = await Forged.of(pack)
    change(forged)
    const report = await verified(forged)
    expect(report.outcome).not.toBe('whole')
    expect(report.findings.map((one) => one.code)).toContain(code)
    expect(report.findings.find((one) => one.code === code)!.text).toMatch(text)
  })

  it('a flipped bit anywhere, with the manifest as it was', async () => {
    const vkey = readFileSync(join(room.folder, 'ledger', 'vkey'), 'utf8').trim()
    const keys = [parseVerifierKey(nodeCrypto.sha256, vkey)]
    for (let at = 300; at < pack.length; at += 4999) {
      const changed = new Uint8Array(pack)
      changed[at]! ^= 4
      expect((await verifyBundle(nodeCrypto, changed, { keys })).outcome, `byte ${at}`).toBe('broken')
    }
  })
})
