import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { canonical } from '@countersign/contract/canonical'
import type { PersonRef } from '@countersign/contract/identity'
import { writeBundle } from '@countersign/contract/ledger/bundle'
import { personOf } from '@countersign/contract/ledger/campaign-facts'
import { csvHead } from '@countersign/contract/ledger/campaign-pack'
import { payloadValue } from '@countersign/contract/ledger/entry'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { ItemVerdict } from '@countersign/contract/review'
import type { Kysely } from 'kysely'
import { filesOf } from '../../policy/versions.ts'
import { type BundleSources, damaged, NoBundle } from '../../sessions/bundles/bundles.ts'
import { hurried, readTile, TooMany } from '../../sessions/bundles/making.ts'
import { signerOf } from '../../sessions/bundles/signer.ts'
import { type Entries, openEntries } from '../../sessions/ledger/entries.ts'
import type { Ledger } from '../../sessions/ledger/ledger.ts'
import { placeOf, readRecording } from '../../sessions/recording.ts'
import { appendAudit } from '../../store/audit.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { campaignEvidence, encoded, type PackMade, type PackPolicy } from './bundle.ts'
import { type PackReading, type PackSummary, readCampaign } from './read.ts'
import { reportOf } from './report.ts'

/** `bundle`: all of it, signed; the others are its report and tables alone. */
export type PackForm = 'bundle' | 'report' | 'csv' | 'json'

/** Makes evidence packs of campaigns (docs/reviews.md, "Evidence pack"). Each that is made is an entry of the ledger. */
export interface Packs {
  /**
   * What the ledger says of a campaign by now, as a stream.
   * @param recordings of a bundle: also the recordings of sessions of which evidence cites commands
   * @throws NoBundle; LedgerStopped; TooMany
   */
  make(campaign: string, form: PackForm, by: PersonRef, options?: { recordings?: boolean }): Promise<Readable>
}

export interface PacksOptions {
  store: Store
  /** The data folder. */
  folder: string
  ledger: Pick<Ledger, 'signed' | 'state' | 'tile'>
  clock: () => number
  /** Who does not go on reading for so long loses it (ms). */
  patienceMs?: number
}

/** Each keeps what the ledger says of its campaign in memory until it is through. */
const MOST = 3
const MOST_OF_ONE = 2
const PATIENCE_MS = 60_000

export function createPacks(options: PacksOptions): Packs {
  const { store, ledger, clock } = options
  const folder = join(options.folder, 'ledger')
  const making: string[] = []

  /** Says that it is made, and answers where that stands: what the pack says ends there. */
  const say = async (campaign: string, form: PackForm, by: PersonRef, at: Date) => {
    const { size } = await ledger.signed()
    using entries = openEntries(folder)
    const reading = await readCampaign(store.db, entries, campaign, size - 1)
    const before = { size, entries: reading?.entries.length ?? 0 }
    const pack = `pk_${randomBytes(10).toString('hex')}`
    await store.db.transaction().execute(async (tx) => {
      const counts = await countsOf(tx, campaign)
      await appendAudit(tx, 'pack.made', { campaign, by: personOf(by), form, pack, counts, before }, at)
    })
    return pack
  }

  const make = async (campaign: string, form: PackForm, by: PersonRef, recordings: boolean) => {
    await mustBeStarted(store.db, campaign)
    const at = new Date(clock())
    const pack = await say(campaign, form, by, at)
    const head = await ledger.signed()
    const { handovers } = await ledger.state()
    const entries = openEntries(folder)
    try {
      const made: PackMade = { at, by, entry: entryOf(entries, pack), recordings }
      const reading = await readCampaign(store.db, entries, campaign, made.entry)
      if (!reading) throw damaged(`no entry says that campaign ${campaign} was made`)
      const sources: BundleSources = {
        checkpoint: head.note,
        handovers,
        entries,
        tile: (tile) => readTile(ledger, tile),
        recording: async (id) => recordingOf(options.folder, entries, id),
        policy: (version) => filesOf(store.db, version),
      }
      return { bytes: await bytesOf(form, sources, reading, made, folder), entries }
    } catch (error) {
      entries[Symbol.dispose]()
      throw error
    }
  }

  return {
    async make(campaign, form, by, { recordings = false } = {}) {
      if (making.length >= MOST || making.filter((one) => one === by.id).length >= MOST_OF_ONE)
        throw new TooMany('As many evidence packs are being made as may be at a time: try again in a minute.')
      making.push(by.id)
      const end = () => void making.splice(making.indexOf(by.id), 1)
      try {
        const { bytes, entries } = await make(campaign, form, by, recordings)
        const inTime = hurried(bytes, options.patienceMs ?? PATIENCE_MS, () => {
          stream.destroy(new Error('who asked for this pack does not read it'))
        })
        const stream = Readable.from(inTime, { objectMode: false, highWaterMark: 256 * 1024 })
        stream.once('close', () => {
          entries[Symbol.dispose]()
          end()
        })
        // One that nobody ever begins to read.
        stream.read(0)
        return stream
      } catch (error) {
        end()
        throw error
      }
    },
  }
}

/** Opened when it is read, so that nobody has to close it who doesn't. */
async function* recordingOf(folder: string, entries: Entries, session: string): AsyncGenerator<Uint8Array> {
  const opened = entries.entriesOf(session, { types: ['session.opened'] }).next().value
  const stream = opened && (await readRecording(placeOf(folder, session, opened.at)))
  if (!stream) throw damaged(`the recording of session ${session} is not there`)
  yield* stream
}

/** What a pack is saved as. */
export const packName = (campaign: string, form: PackForm): string =>
  `${campaign}.${{ bundle: 'evidence.tar', report: 'report.html', csv: 'items.csv', json: 'items.json' }[form]}`

async function bytesOf(
  form: PackForm,
  sources: BundleSources,
  reading: PackReading,
  made: PackMade,
  folder: string,
): Promise<AsyncIterable<Uint8Array>> {
  const { checkpoint } = sources
  const report = (summary: PackSummary, policies: readonly PackPolicy[]) =>
    reportOf(reading, { summary, policies, made, checkpoint })
  const { content, summary, policies } = await campaignEvidence(sources, reading, made, report)
  switch (form) {
    case 'bundle':
      return writeBundle(nodeCrypto, content, [await signerOf(folder)])
    case 'report':
      return encoded(report(summary, policies))
    case 'csv':
      return encoded([csvHead(), ...summary.csv])
    case 'json':
      return encoded(jsonOf(reading, canonical(summary.head)))
  }
}

async function* jsonOf(reading: PackReading, head: string): AsyncGenerator<string> {
  yield `{"campaign":${head},"items":[`
  let first = true
  for await (const { item } of reading.items()) {
    yield `${first ? '' : ','}${canonical(item)}`
    first = false
  }
  yield ']}'
}

/** How much there is by the tables: what the pack has, by the ledger, must come to the same. */
async function countsOf(tx: Kysely<Tables>, campaign: string): Promise<Record<string, number>> {
  const count = async (
    table: 'item_decisions' | 'item_comments' | 'item_moves' | 'campaign_sign_offs' | 'overlays',
  ) => {
    const select = tx.selectFrom(table).select((e) => e.fn.countAll<number>().as('n'))
    return Number((await select.where('campaign', '=', campaign).executeTakeFirstOrThrow()).n)
  }
  const counts: Record<string, number> = {
    ...{ items: 0, privileged: 0, stages: 0 },
    ...Object.fromEntries(ItemVerdict.options.map((one) => [one, 0])),
    decisions: await count('item_decisions'),
    comments: await count('item_comments'),
    moves: await count('item_moves'),
    signOffs: await count('campaign_sign_offs'),
    overlays: await count('overlays'),
  }
  const add = (name: string, n: number) => {
    counts[name] = (counts[name] ?? 0) + n
  }
  const groups = await tx
    .selectFrom('campaign_items')
    .select((e) => ['verdict', 'privileged', 'stage', e.fn.countAll<number>().as('n')])
    .where('campaign', '=', campaign)
    .groupBy(['verdict', 'privileged', 'stage'])
    .execute()
  for (const { verdict, privileged, stage, n } of groups) {
    add('items', Number(n))
    add(verdict, Number(n))
    add('stages', stage * Number(n))
    if (privileged) add('privileged', Number(n))
  }
  const row = await tx.selectFrom('campaigns').select('state').where('id', '=', campaign).executeTakeFirst()
  return { ...counts, closed: row?.state === 'closed' ? 1 : 0 }
}

/** @throws NoBundle */
async function mustBeStarted(db: Kysely<Tables>, campaign: string): Promise<void> {
  const row = await db.selectFrom('campaigns').select('state').where('id', '=', campaign).executeTakeFirst()
  if (!row) throw new NoBundle('unknown-campaign', `There is no campaign ${campaign}.`)
  if (row.state === 'draft')
    throw new NoBundle(
      'not-started',
      'This campaign has not been started: there is no evidence of a draft. Start it first.',
    )
}

/** The entry that says that this pack was made. */
function entryOf(entries: Entries, pack: string): number {
  let found: number | undefined
  for (const { n, payload } of entries.byType('pack.made'))
    if (payload && (payloadValue(payload) as { pack?: string }).pack === pack) found = n
  if (found === undefined) throw damaged(`pack ${pack} is in no entry`)
  return found
}
