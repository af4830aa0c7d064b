import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PersonRef } from '@countersign/contract/identity'
import { cosign } from '@countersign/contract/ledger/checkpoint'
import { utf8 } from '@countersign/contract/ledger/encoding'
import { formatVerifierKey, signerKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LedgerLog } from '../ledger/log.ts'
import { LedgerWriter } from './writer.ts'

const person = (name: string): PersonRef => ({ id: `https://idp#${name}`, issuer: 'https://idp', subject: name, name })
const witness = (n: number) => signerKey(nodeCrypto, `w${n}`, 'cosignature', nodeCrypto.sha256(utf8(`w${n}`)))

let folder: string
let writer: LedgerWriter
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-witnesses-'))
  mkdirSync(join(folder, 'ledger'))
  const { log } = await LedgerLog.open({ folder: join(folder, 'ledger'), crypto: nodeCrypto })
  writer = new LedgerWriter({ log, crypto: nodeCrypto, say() {}, wake() {}, lives: '1' })
})
afterEach(() => {
  writer.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Another checkpoint. */
function grow(reason: string) {
  writer.log.add({ at: new Date().toISOString(), type: 'gateway.stopped', payload: { reason } })
  writer.log.commit()
  writer.sign(0)
}
const send = (by: PersonRef, n: number, note = writer.log.head.note) =>
  writer.ask(
    {
      ask: 'cosign',
      by,
      key: formatVerifierKey(witness(n)),
      note: note + cosign(nodeCrypto, note, witness(n), 1_763_700_000),
    },
    async () => {},
  )
const roster = () => writer.state.witnesses.map(({ key, person }) => `${key.split('+')[0]} of ${person.name}`)

describe('witnesses', () => {
  it('leave room for others: a person has few keys, on a checkpoint and in the list', async () => {
    grow('one')
    await send(person('aud'), 0)
    for (let n = 1; n <= 8; n++) await send(person('mallory'), n)
    await expect(send(person('mallory'), 9)).rejects.toThrow(/8 keys/)
    await send(person('mallory'), 8)
    grow('two')
    await expect(send(person('mallory'), 9)).rejects.toThrow(/8 keys/)
    await send(person('aud'), 20)
    // As one who has a new computer.
    for (let checkpoint = 0; checkpoint < 256; checkpoint++) grow(`${checkpoint}`)
    await send(person('mallory'), 9)
    expect(roster()).toHaveLength(10)
    expect(roster()).toContain('w0 of aud')
  })

  it('stay whose they are, whoever sends their cosignature again', async () => {
    grow('one')
    await send(person('aud'), 0)
    await send(person('mallory'), 0)
    expect(roster()).toEqual(['w0 of aud'])
  })
})
