import { canonical } from '@countersign/contract/canonical'
import { Manifest, manifestText } from '@countersign/contract/ledger/bundle'
import { CampaignFacts } from '@countersign/contract/ledger/campaign-facts'
import {
  citedIn,
  csvHead,
  csvOf,
  evidenceName,
  itemName,
  KnownEvidence,
  PackTally,
} from '@countersign/contract/ledger/campaign-pack'
import { hex, utf8 } from '@countersign/contract/ledger/encoding'
import { parseLeaf, parseOpening, payloadValue } from '@countersign/contract/ledger/entry'
import { type SignerKey, signNote } from '@countersign/contract/ledger/note'
import { readBody, readTar, writeTar } from '@countersign/contract/ledger/tar'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import type { Recommendation } from '@countersign/contract/review'

const decoder = new TextDecoder()

/** A pack taken apart, to be put together by somebody who has the log's key and means to deceive. */
export class Forged {
  readonly manifest: Manifest
  readonly members: Map<string, Uint8Array>

  private constructor(members: Map<string, Uint8Array>) {
    this.members = members
    this.manifest = Manifest.parse(JSON.parse(decoder.decode(members.get('manifest.json'))))
  }

  static async of(bytes: Uint8Array): Promise<Forged> {
    const members = new Map<string, Uint8Array>()
    for await (const member of readTar(bytes)) members.set(member.name, await readBody(member, 1 << 26))
    return new Forged(members)
  }

  json<T>(name: string): T {
    return JSON.parse(decoder.decode(this.members.get(name))) as T
  }

  put(name: string, value: unknown): void {
    this.members.set(name, utf8(typeof value === 'string' ? value : canonical(value)))
  }

  /** Takes an entry out, as if it had never been in the bundle. */
  dropEntry(n: number): void {
    this.manifest.entries = this.manifest.entries.filter((one) => one.n !== n)
    for (const name of [...this.members.keys()]) if (name.startsWith(`entries/${n}.`)) this.members.delete(name)
  }

  dropItem(item: string): void {
    this.manifest.items = this.manifest.items?.filter((one) => one.item !== item) ?? []
    this.members.delete(evidenceName(item))
    this.members.delete(itemName(item))
  }

  /** Writes items, campaign and table anew from what entries are left, as an honest pack of these has them. */
  consistent(): void {
    if (this.manifest.about.kind !== 'campaign') return
    const facts = new CampaignFacts(this.manifest.about.campaign)
    const commands = new Set<number>()
    for (const { n, type } of this.manifest.entries) {
      const leaf = parseLeaf(this.members.get(`entries/${n}.leaf`)!)!
      const opening = this.members.get(`entries/${n}.opening`)
      if (opening) facts.add(n, type, leaf.at, payloadValue(parseOpening(opening)!.payload))
      if (type === 'command') commands.add(n)
    }
    const tally = new PackTally()
    const lines = [csvHead()]
    for (const { item } of [...(this.manifest.items ?? [])]) {
      const recommendation = this.json<{ recommendation: Recommendation }>(itemName(item)).recommendation
      const found = facts.item(item, recommendation)
      if (!found) {
        this.dropItem(item)
        continue
      }
      const evidence = this.members.get(evidenceName(item))
      const known = evidence && KnownEvidence.parse(JSON.parse(decoder.decode(evidence)))
      if (!known) tally.evidenceMissing++
      for (const { entry } of known ? citedIn(known) : [])
        if (entry !== undefined)
          if (commands.has(entry)) tally.cited.commands++
          else tally.cited.leftOut++
      tally.add(found)
      lines.push(csvOf(found, known))
      this.put(itemName(item), found)
    }
    this.put('campaign.json', tally.head(facts))
    this.put('items.csv', lines.join(''))
  }

  /** The whole, signed. */
  async written(key: SignerKey): Promise<Uint8Array> {
    const order = [...this.members].filter(([name]) => !name.startsWith('manifest.'))
    const { manifest } = this
    manifest.members = order.map(([name, bytes]) => ({
      name,
      length: bytes.length,
      sha256: hex(nodeCrypto.sha256(bytes)),
    }))
    const bytes = utf8(canonical(manifest))
    const note = utf8(signNote(nodeCrypto, manifestText(manifest.origin, hex(nodeCrypto.sha256(bytes))), [key]))
    const parts: Uint8Array[] = []
    for await (const part of writeTar([
      { name: 'manifest.json', length: bytes.length, bytes },
      { name: 'manifest.note', length: note.length, bytes: note },
      ...order.map(([name, bytes]) => ({ name, length: bytes.length, bytes })),
    ]))
      parts.push(part)
    return Buffer.concat(parts)
  }
}
