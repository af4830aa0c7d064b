import { canonical } from '../../canonical.ts'
import type { BundleContent } from '../bundle.ts'
import { CampaignFacts } from '../campaign-facts.ts'
import {
  csvHead,
  csvName,
  csvOf,
  evidenceName,
  headName,
  itemName,
  KnownEvidence,
  PackTally,
  reportName,
} from '../campaign-pack.ts'
import { hex, utf8 } from '../encoding.ts'
import { payloadValue } from '../entry.ts'
import { inclusionProof } from '../merkle.ts'
import { hashReader, tilePath } from '../tiles.ts'
import { ada, sha256, type World } from './world.ts'

const by = { kind: 'person' as const, ...ada }
const at = '2026-11-21T10:00:00.000Z'

/** Writes a campaign of so many items into a log, all certified by Ada, and what a bundle of it has. */
export async function campaignBundle(world: World, campaign = 'ca_one', items = 2): Promise<BundleContent> {
  const before = world.log.size
  const documents = new Map<string, string>()
  world.append('policy.changed', { version: 'v1', files: [], by: { kind: 'gateway' } })
  world.append('campaign.created', { campaign, title: 'Quarterly', plan: {}, trigger: { kind: 'person' }, by })
  world.append('campaign.started', { campaign, by, items, snapshotAt: at, dueAt: at, policy: 'v1' })
  const ids = Array.from({ length: items }, (_, i) => `it_${i + 1}`)
  const hashes = ids.map((item) => {
    const text = canonical({
      ...{ format: 'countersign-evidence/1', campaign, item, identity: {}, connection: { name: 'orders' } },
      ...{ permitted: [], used: [], days: [], refused: [], heldCommands: [] },
    })
    documents.set(evidenceName(item), text)
    return hex(sha256(utf8(text)))
  })
  const recommendation = { verdict: 'certify' as const, summary: 'It is used.', reasons: [], keeps: [], drops: [] }
  for (const [i, item] of ids.entries())
    world.append('campaign.item', {
      ...{ campaign, item, number: i + 1, kind: 'access', name: `bot-${i}`, connection: 'orders', privileged: false },
      ...{ evidence: hashes[i]!, recommendation, reviewers: [ada.id] },
    })
  for (const [i, item] of ids.entries())
    world.append('item.decided', {
      ...{ campaign, item, decision: `decision-${i}`, stage: 0, verdict: 'certify', reason: 'needed', by },
      ...{ how: 'reviewer', evidence: hashes[i]! },
    })
  world.append('campaign.closed', { campaign, by, reason: 'done', counts: { items, certify: items, undecided: 0 } })
  world.append('campaign.signed-off', { campaign, by: ada, statement: 'I stand by it' })
  const made = world.append('pack.made', {
    ...{ campaign, by: ada, form: 'bundle', counts: { items, decisions: items } },
    before: { size: world.log.size, entries: 4 + 2 * items },
  })
  world.sign()
  const facts = new CampaignFacts(campaign)
  const rows = world.rows.filter(({ entry }) => entry >= before)
  for (const { entry, type, at, payload } of rows) facts.add(entry, type!, at!, payloadValue(payload!))
  const tally = new PackTally()
  const lines = [csvHead()]
  for (const id of ids) {
    const item = facts.item(id)!
    tally.add(item)
    lines.push(csvOf(item, KnownEvidence.parse(JSON.parse(documents.get(evidenceName(id))!))))
    const evidence = documents.get(evidenceName(id))!
    // Each behind its evidence.
    documents.delete(evidenceName(id))
    documents.set(evidenceName(id), evidence).set(itemName(id), canonical(item))
  }
  documents
    .set(headName, canonical(tally.head(facts)))
    .set(csvName, lines.join(''))
    .set(reportName, '<!doctype html>')
  const { size } = world.log
  const read = hashReader(sha256, size, async (tile) => world.tiles.get(tilePath(tile)))
  return {
    about: { kind: 'campaign', campaign, sessions: [], made },
    madeAt: new Date(rows.at(-1)!.at!),
    madeBy: ada,
    checkpoint: new TextDecoder().decode(world.checkpoint),
    entries: await Promise.all(
      rows.map(async ({ entry: n, type, payload, salt }) => ({
        ...{ n, type: type!, leaf: world.leaves[n]!, opened: { payload: payload!, salt: salt! } },
        proof: await inclusionProof(sha256, n, size, read),
      })),
    ),
    recordings: [],
    policies: [],
    items: ids.map((item) => ({ item, evidence: true })),
    *documents() {
      for (const [name, text] of documents)
        yield {
          name,
          async *open() {
            yield utf8(text)
          },
        }
    },
    people: [ada],
    decisions: [],
  }
}
