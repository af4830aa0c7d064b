import { canonical, parseCanonical } from '../canonical.ts'
import { Recommendation } from '../review.ts'
import type { Manifest } from './bundle.ts'
import { CampaignFacts } from './campaign-facts.ts'
import type { PackItem } from './campaign-item.ts'
import {
  citedIn,
  committedCounts,
  csvHead,
  csvName,
  csvOf,
  evidenceName,
  headName,
  KnownEvidence,
  type PackHead,
  PackTally,
  policyTextName,
  reportName,
} from './campaign-pack.ts'
import { fromUtf8, hex, utf8 } from './encoding.ts'
import type { Place } from './findings.ts'
import { type PayloadOf, payloads } from './payloads.ts'
import type { LedgerCrypto, RunningHash } from './ports.ts'

export type CampaignPart = 'campaign' | 'items' | 'evidence' | 'policies' | 'report'

/** Which part of a campaign's bundle a member is of. */
export function campaignPart(member: string): CampaignPart | undefined {
  if (member === headName) return 'campaign'
  if (member === reportName) return 'report'
  if (member === csvName || member.startsWith('items/')) return 'items'
  if (member.startsWith('evidence/')) return 'evidence'
  return member.startsWith('policies/') ? 'policies' : undefined
}

/** Tells a finding of the verifier that these checks are part of. */
export type Tell = (
  about: 'integrity' | 'completeness',
  part: CampaignPart,
  code: string,
  where: Place,
  text: string,
) => void

/** What a pack says of its campaign, as far as entries confirm it. */
export interface CampaignSeen {
  head: PackHead | undefined
  /** Evidence documents that are those of the ledger. */
  evidence: number
  policies: number
}

/**
 * Checks what a bundle says of a campaign against the entries in it: each item, decision, move, comment and overlay, and
 * that none is missing by the counts that stand in the log.
 */
export class CampaignChecks {
  readonly #sha256: LedgerCrypto['sha256']
  readonly #manifest: Manifest
  readonly #tell: Tell
  readonly #facts: CampaignFacts
  readonly #tally = new PackTally()
  readonly #commands = new Map<number, { session: string; command: string }>()
  readonly #erased: ReadonlySet<number>
  readonly #policies: { entry: number; payload: PayloadOf<'policy.changed'> }[] = []
  readonly #csv: RunningHash
  #csvRead: string | undefined
  #evidence: { item: string; known: KnownEvidence } | undefined
  #documents = 0
  #head: PackHead | undefined
  #headRead = false

  constructor(crypto: LedgerCrypto, manifest: Manifest, tell: Tell) {
    this.#sha256 = crypto.sha256
    this.#manifest = manifest
    this.#tell = tell
    this.#facts = new CampaignFacts(manifest.about.kind === 'campaign' ? manifest.about.campaign : '')
    this.#erased = new Set(manifest.entries.flatMap(({ n, erasedBy }) => (erasedBy === undefined ? [] : [n])))
    this.#csv = crypto.sha256Running()
    this.#csv.update(utf8(csvHead()))
  }

  /** An entry whose payload was found to be the one committed to. False where it is not of its type's form. */
  entry(n: number, type: string, at: string, value: unknown): boolean {
    if (type === 'command') {
      const parsed = payloads.command.safeParse(value)
      if (parsed.success) this.#commands.set(n, { session: parsed.data.session, command: parsed.data.command })
      return parsed.success
    }
    if (type === 'policy.changed') {
      const parsed = payloads[type].safeParse(value)
      if (parsed.success) this.#policies.push({ entry: n, payload: parsed.data })
      return parsed.success
    }
    return this.#facts.add(n, type, at, value) !== 'unreadable'
  }

  member(name: string, bytes: Uint8Array): void {
    if (name.startsWith('policies/')) this.#policyText(name, bytes)
    else if (name.startsWith('evidence/')) this.#evidenceOf(name, bytes)
    else if (name.startsWith('items/')) this.#item(name, bytes)
    else if (name === headName) this.#campaign(bytes)
    else if (name === csvName) this.#csvRead = hex(this.#sha256(bytes))
  }

  #policyText(name: string, bytes: Uint8Array) {
    const sha256 = hex(this.#sha256(bytes))
    if (name !== policyTextName(sha256))
      this.#tell(
        'integrity',
        'policies',
        'policy-file',
        { member: name },
        `${name} was changed: it has the SHA-256 ${sha256}`,
      )
  }

  #evidenceOf(name: string, bytes: Uint8Array) {
    const item = name.slice('evidence/'.length, -'.json'.length)
    const said = this.#facts.items.get(item)?.said
    const sha256 = hex(this.#sha256(bytes))
    const place = { member: name, ...(said && { entry: said.entry }) }
    this.#evidence = undefined
    if (!said) return
    if (said.payload.evidence !== sha256) {
      this.#tell(
        'integrity',
        'evidence',
        'evidence-hash',
        place,
        `${name} was changed: it has the SHA-256 ${sha256}, the evidence of item ${item} has ${said.payload.evidence} (entry ${said.entry})`,
      )
      return
    }
    const known = KnownEvidence.safeParse(parseCanonical(fromUtf8(bytes) ?? '')?.value)
    if (!known.success) {
      this.#tell(
        'completeness',
        'evidence',
        'evidence-form',
        place,
        `${name} says something that this version can't read`,
      )
      return
    }
    if (known.data.item !== item || known.data.campaign !== this.#facts.campaign) {
      const text = `${name} is the evidence of item ${known.data.item} of campaign ${known.data.campaign}`
      this.#tell('integrity', 'evidence', 'evidence-of-other', place, text)
      return
    }
    this.#documents++
    this.#evidence = { item, known: known.data }
    for (const { session, command, entry } of citedIn(known.data)) this.#cited(name, session, command, entry)
  }

  #cited(member: string, session: string, command: string, entry: number | undefined) {
    const { cited } = this.#tally
    if (entry === undefined) return
    const found = this.#commands.get(entry)
    if (found?.session === session && found.command === command) cited.commands++
    else if (found)
      this.#tell(
        'integrity',
        'evidence',
        'cited-other',
        { member, entry },
        `${member} cites command ${command} of session ${session} as entry ${entry}, which is command ${found.command} of session ${found.session}`,
      )
    else if (this.#erased.has(entry)) cited.erased++
    else cited.leftOut++
  }

  #item(name: string, bytes: Uint8Array) {
    const id = name.slice('items/'.length, -'.json'.length)
    const known = this.#evidence?.item === id ? this.#evidence.known : undefined
    this.#evidence = undefined
    if (!known) this.#tally.evidenceMissing++
    const said = this.#facts.items.get(id)?.said
    const value = parseCanonical(fromUtf8(bytes) ?? '')?.value as PackItem | undefined
    const recommendation = Recommendation.safeParse(value?.recommendation)
    const wrong = (text: string, entry?: number) =>
      this.#tell('integrity', 'items', 'item', { member: name, ...(entry !== undefined && { entry }) }, text)
    if (!said) return wrong(`${name} is of an item that no entry of this bundle knows`)
    if (!recommendation.success) return wrong(`${name} was changed: it is not an item as this version reads one`)
    const item = this.#facts.item(id, recommendation.data)!
    this.#tally.add(item)
    this.#csv.update(utf8(csvOf(item, known)))
    const different = differing(value, item)
    if (different) wrong(`${name} says another ${different} than the entries of this bundle do`, said.entry)
  }

  #campaign(bytes: Uint8Array) {
    this.#headRead = true
    this.#head = this.#tally.head(this.#facts)
    const different = differing(parseCanonical(fromUtf8(bytes) ?? '')?.value, this.#head)
    if (different)
      this.#tell(
        'integrity',
        'campaign',
        'campaign',
        { member: headName },
        `${headName} says other ${different} than the entries of this bundle do`,
      )
  }

  /** After the last member. */
  finish(): void {
    for (const { code, entry, text } of this.#facts.problems) this.#tell('integrity', 'items', code, { entry }, text)
    const head = this.#head
    if (!head || !this.#headRead) return
    this.#lifecycle(head)
    this.#items()
    this.#committed(head)
    this.#policySets()
    if (this.#csvRead !== undefined && this.#csvRead !== hex(this.#csv.digest()))
      this.#tell(
        'integrity',
        'items',
        'items-csv',
        { member: csvName },
        `${csvName} is not the table of the items in this bundle`,
      )
  }

  get seen(): CampaignSeen {
    return { head: this.#head, evidence: this.#documents, policies: this.#manifest.policies?.length ?? 0 }
  }

  #lifecycle({ created, started }: PackHead) {
    const missing = (what: string) =>
      this.#tell(
        'completeness',
        'campaign',
        'campaign-unlogged',
        {},
        `no entry of this bundle says that the campaign was ${what}`,
      )
    if (!created) missing('made')
    if (!started && this.#facts.items.size > 0) missing('started')
  }

  #items() {
    const { started, items } = this.#facts
    const listed = new Set((this.#manifest.items ?? []).map(({ item }) => item))
    for (const [id, { said }] of items)
      if (!listed.has(id))
        this.#tell(
          'completeness',
          'items',
          'item-left-out',
          { entry: said.entry },
          `item ${id} (entry ${said.entry}) has no document in this bundle`,
        )
    for (const { item, evidence } of this.#manifest.items ?? [])
      if (!evidence)
        this.#tell(
          'completeness',
          'evidence',
          'evidence-missing',
          { member: evidenceName(item) },
          `the evidence document of item ${item} is not in this bundle`,
        )
    if (!started) return
    const { entry, payload } = started
    if (payload.items !== items.size)
      this.#tell(
        'completeness',
        'items',
        'items-missing',
        { entry },
        `the campaign was started with ${payload.items} items (entry ${entry}), this bundle has entries of ${items.size}`,
      )
    const numbers = [...items.values()].map(({ said }) => said.payload.number).sort((a, b) => a - b)
    const gap = numbers.findIndex((number, i) => number !== i + 1)
    if (gap >= 0)
      this.#tell(
        'completeness',
        'items',
        'items-missing',
        { entry },
        `there is no item number ${gap + 1}: items are numbered from 1 without gaps`,
      )
  }

  /** The counts by which the log itself says how much there is. */
  #committed(head: PackHead) {
    const counts = committedCounts(head)
    const { closed } = this.#facts
    if (closed) {
      const { entry, payload } = closed
      // After it was closed, overlays go on, and comments may.
      for (const name of ['items', 'undecided', 'certify', 'reduce', 'revoke', 'abstain', 'privileged', 'decisions'])
        this.#count('campaign.closed', entry, name, payload.counts[name], counts[name])
    }
    const { about, madeAt, madeBy } = this.#manifest
    if (about.kind !== 'campaign') return
    const said = about.made === undefined ? undefined : this.#facts.packs.get(about.made)
    if (about.made === undefined || !said) {
      if (about.made === undefined)
        this.#tell(
          'completeness',
          'campaign',
          'pack-unlogged',
          { member: 'manifest.json' },
          'the manifest names no entry that says that this pack was made, and how much there is',
        )
      else if (!this.#erased.has(about.made))
        this.#tell(
          'completeness',
          'campaign',
          'pack-unlogged',
          { entry: about.made },
          `entry ${about.made} is to say that this pack was made, and does not`,
        )
      return
    }
    const made = said.payload
    if (made.form !== 'bundle' || said.at !== madeAt || made.by.id !== madeBy?.id)
      this.#tell(
        'integrity',
        'campaign',
        'pack-other',
        { entry: about.made },
        `entry ${about.made} is about another pack: one made ${said.at} for ${made.by.name}`,
      )
    const after = this.#facts.entries.find((n) => n > about.made!)
    if (after !== undefined)
      this.#tell(
        'integrity',
        'campaign',
        'after-pack',
        { entry: after },
        `entry ${after} is younger than the pack, which entry ${about.made} says was made before`,
      )
    const { before } = made
    if (before) {
      const { length } = this.#facts.entries.filter((n) => n < before.size)
      this.#count('pack.made', about.made, `entries before entry ${before.size}`, before.entries, length)
    }
    for (const [name, expected] of Object.entries(made.counts ?? {}))
      this.#count('pack.made', about.made, name, expected, counts[name])
  }

  #count(type: string, entry: number, name: string, expected: number | undefined, found: number | undefined) {
    if (expected === undefined || found === undefined || expected === found) return
    this.#tell(
      found < expected ? 'completeness' : 'integrity',
      'campaign',
      'count',
      { entry },
      `entry ${entry} (${type}) counts ${expected} ${countWords[name] ?? name}, the entries of this bundle make ${found}`,
    )
  }

  #policySets() {
    for (const { version, entry, files } of this.#manifest.policies ?? []) {
      const said = this.#policies.find((one) => one.entry === entry)?.payload
      if (!said) {
        if (!this.#erased.has(entry))
          this.#tell(
            'completeness',
            'policies',
            'policy-unlogged',
            { entry },
            `entry ${entry}, which is to say which files policy version ${version} had, does not`,
          )
      } else if (said.version !== version || canonical(said.files) !== canonical(files))
        this.#tell(
          'integrity',
          'policies',
          'policy-file',
          { entry },
          `policy version ${version} had other files than this bundle says (entry ${entry})`,
        )
    }
    for (const { version, entry, overlay } of this.#facts.versions) {
      const sets = this.#policies.filter(({ payload }) => payload.version === version)
      if (sets.length === 0)
        this.#tell(
          'completeness',
          'policies',
          'policy-unlogged',
          { entry },
          `no entry of this bundle says which files policy version ${version} had, which entry ${entry} names`,
        )
      else if (
        overlay !== undefined &&
        !sets.some(({ payload }) => payload.files.some(({ path }) => path === `overlay:${overlay}.cedar`))
      )
        this.#tell(
          'integrity',
          'policies',
          'overlay-not-in-force',
          { entry },
          `entry ${entry} says that overlay ${overlay} is applied by policy version ${version}, which does not have it`,
        )
    }
  }
}

const countWords: Record<string, string> = {
  signOffs: 'sign-offs',
  certify: 'items to certify',
  reduce: 'items to reduce',
  revoke: 'items to revoke',
  undecided: 'undecided items',
  abstain: 'abstentions',
  privileged: 'privileged items',
}

/** Names of members that are not the same, in words; undefined where all are. */
function differing(found: unknown, expected: object): string | undefined {
  const one = Object(found) as Record<string, unknown>
  const other = expected as Record<string, unknown>
  const names = [...new Set([...Object.keys(other), ...Object.keys(one)])].filter(
    (name) => form(one[name]) !== form(other[name]),
  )
  return names.length > 0 ? names.slice(0, 5).join(', ') : undefined
}

function form(value: unknown): string | undefined {
  if (value === undefined) return undefined
  return canonical(value)
}
