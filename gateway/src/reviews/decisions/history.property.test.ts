import type { CampaignItem, CampaignItemPage, ReviewStage, Verdict } from '@countersign/contract/review'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { PersonPrincipal } from '../../identity/principal.ts'
import { comparisons } from '../../verify/comparisons.ts'
import { SaidRows } from '../../verify/said.ts'
import { DecisionRefused } from './refused.ts'
import { cast, clientId, type Name, type ReviewWorld, startReviewWorld } from './testing/review-world.ts'

let of: ReviewWorld
beforeAll(async () => {
  of = await startReviewWorld()
})
afterAll(() => of[Symbol.asyncDispose]())

const names = Object.keys(cast) as Name[]
const reviewers = names.filter((name) => (cast[name] as readonly string[]).includes('security'))
const verdicts: Verdict[] = ['certify', 'reduce', 'revoke', 'abstain']
const all = { title: 'All', reviewers: [{ kind: 'role' as const }] }
const group = { title: 'Security', reviewers: [{ kind: 'group' as const, group: 'security' }] }
const one = { title: 'Rae', reviewers: [{ kind: 'person' as const, person: 'rae' }] }
const plans = fc.constantFrom<ReviewStage[][]>([all], [group, all], [one, all], [one, group, all])
// Of those who can, three times as often as of those who can't.
const who = fc.constantFrom(...names, ...reviewers, ...reviewers, 'rae')
const item = fc.nat({ max: 2 })
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('decide' as const),
      who,
      item,
      verdict: fc.constantFrom(...verdicts),
      stale: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('reassign' as const, 'delegate' as const), who, item, to: who }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('comment' as const), who, item }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('bulk' as const),
      who,
      verdict: fc.constantFrom('certify' as const, 'revoke' as const, 'abstain' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('again' as const) }) },
)
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

/** What happened, as anybody can tell from an item's history: no column of the item is asked. */
function replayed(page: CampaignItemPage, last: number): Pick<CampaignItem, 'stage' | 'verdict'> & { by?: string } {
  const final = page.decisions.findLast(({ stage }) => stage === last)
  const stage = Math.min(new Set(page.decisions.map((one) => one.stage)).size, last)
  if (!final) return { stage, verdict: 'undecided' }
  return { stage: last, verdict: final.verdict, by: final.by!.name }
}

/** The same from the ledger's entries, and whatever else they say of the rows. */
async function differing(campaign: string): Promise<string[]> {
  const wrong: string[] = []
  using said = new SaidRows()
  const ofReviews = comparisons.filter(({ table }) => /^(campaign_items|item_\w+)$/.test(table))
  for (const entry of await of.entries(campaign))
    for (const one of ofReviews) {
      if (!(one.types as readonly string[]).includes(entry.type)) continue
      const row = one.says(entry, (key) => said.get(one.table, key))
      if (row) said.say(one.table, row.key, row.columns, entry.n)
    }
  for (const one of ofReviews) {
    const rows = await of.rows(one.sql)
    for (const raw of rows) {
      const { key, columns } = one.row(raw)
      if (columns.campaign !== campaign) continue
      const told = said.get(one.table, key)
      if (!told) wrong.push(`${one.table}/${key}: no entry`)
      for (const [column, value] of Object.entries(told?.columns ?? {}))
        if (columns[column] !== undefined && columns[column] !== value && !one.mayDiffer?.(columns, column, told!))
          wrong.push(`${one.table}/${key}: ${column} is ${columns[column]}, said was ${value}`)
    }
  }
  return wrong
}

it('the history, and the ledger, replayed give the state of each item', async () => {
  const { decisions } = of.world.reviews
  let settled = 0
  await fc.assert(
    fc.asyncProperty(plans, fc.array(action, { minLength: 15, maxLength: 40 }), async (stages, actions) => {
      const campaign = await of.begin(
        [{ agent: 'bot', recommended: 'reduce' }, { agent: 'ant', privileged: true }, { agent: 'elk' }],
        { stages },
      )
      let last: (() => Promise<unknown>) | undefined
      for (const one of actions) {
        const before = await itemsOf(campaign)
        const attempt = workOf(one, campaign, before, last)
        const done = await attempt().then(
          () => true,
          (error) => {
            if (!(error instanceof DecisionRefused)) throw error
            return false
          },
        )
        // What was refused changed nothing.
        if (!done || one.do === 'again') expect(await itemsOf(campaign)).toEqual(before)
        if (done && one.do === 'decide') last = attempt
      }
      for (const now of await itemsOf(campaign)) {
        const page = (await decisions.page({ campaign, item: now.id }, principal('rae')))!
        expect({ stage: now.stage, verdict: now.verdict, ...(now.decidedBy && { by: now.decidedBy.name }) }).toEqual(
          replayed(page, stages.length - 1),
        )
        // No two stages by one person, nor in their place.
        const people = page.decisions.map(({ stage, by, inPlaceOf }) => ({
          stage,
          ids: [by, inPlaceOf].flatMap((p) => (p ? [p.id] : [])),
        }))
        for (const a of people)
          for (const b of people) if (a.stage !== b.stage) expect(a.ids.filter((id) => b.ids.includes(id))).toEqual([])
        // What is decided together is never privileged, nor a reduce.
        if (now.privileged) expect(page.decisions.filter(({ bulk }) => bulk !== undefined)).toEqual([])
        expect(page.decisions.every(({ bulk, verdict }) => bulk === undefined || verdict !== 'reduce')).toBe(true)
        // An overlay waits exactly where the last word is to take something away.
        const open = await of.rows(`select id, decision from overlays where state = 'proposed' and item = '${now.id}'`)
        if (now.verdict !== 'undecided') settled++
        const takes = now.verdict === 'reduce' || now.verdict === 'revoke'
        expect(open).toEqual(takes ? [{ id: now.overlay, decision: page.decisions.at(-1)!.id }] : [])
        expect(now.application).toBe(takes ? 'pending' : undefined)
      }
      expect(await differing(campaign)).toEqual([])
    }),
    { seed: 6, numRuns: 16 },
  )
  // Not all of it was refused.
  expect(settled).toBeGreaterThan(15)
}, 60_000)

/** Not over HTTP, which bounds how often somebody may call. */
const itemsOf = async (campaign: string) =>
  (await of.world.reviews.campaigns.items({ campaign, limit: 10 }, principal('rae')))!.items

function workOf(
  one: Action,
  campaign: string,
  items: readonly CampaignItem[],
  last: (() => Promise<unknown>) | undefined,
): () => Promise<unknown> {
  const { decisions } = of.world.reviews
  if (one.do === 'again') return last ?? (() => Promise.resolve())
  const person = principal(one.who)
  if (one.do === 'bulk') {
    const bulk = { items: items.map(({ id, revision }) => ({ id, revision })), verdict: one.verdict, reason: 'all' }
    return async () => {
      const { preview } = await decisions.bulk(campaign, person, bulk)
      return decisions.bulk(campaign, person, { ...bulk, preview })
    }
  }
  const about = items[one.item]!
  const place = { campaign, item: about.id }
  if (one.do === 'decide') {
    const id = clientId()
    const revision = one.stale ? about.revision + 1 : about.revision
    return () => decisions.decide(place, id, person, { verdict: one.verdict, reason: 'so', revision })
  }
  if (one.do === 'comment') return () => decisions.comment(place, clientId(), person, { text: 'hm' })
  return () => decisions.move(place, person, { kind: one.do, to: of.idOf(one.to), reason: 'away' })
}

function principal(name: Name): PersonPrincipal {
  const { id, issuer, subject, name: called, email, groups, roles } = of.world.access.registry.person(of.idOf(name))!
  const expiresAt = new Date(Date.now() + 3_600_000)
  return { kind: 'person', id, issuer, subject, name: called, groups, roles, expiresAt, ...(email && { email }) }
}
