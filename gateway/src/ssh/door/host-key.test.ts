import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DataFolderError } from '../../config/data-folder.ts'
import { gatewayHostKey, HOST_KEY_FILE, keptHostKey } from './host-key.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-host-key-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('is made once, for its user alone, and is what ssh-keygen says', async () => {
  expect(await keptHostKey(folder)).toBeUndefined()
  const made = await gatewayHostKey(folder)
  expect(made.made).toBe(true)
  const file = join(folder, HOST_KEY_FILE)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(execFileSync('ssh-keygen', ['-lf', file]).toString()).toContain(made.fingerprint)
  expect(execFileSync('ssh-keygen', ['-yf', file]).toString()).toContain(made.publicKey)
  expect(readFileSync(`${file}.pub`, 'utf8')).toContain(made.publicKey)
  expect(await gatewayHostKey(folder)).toEqual({ ...made, made: false })
})

test('one that others may read is told of', async () => {
  await gatewayHostKey(folder)
  chmodSync(join(folder, HOST_KEY_FILE), 0o644)
  expect((await gatewayHostKey(folder)).doubt).toContain('chmod it to 0600')
})

test.each([
  ['rsa', ['-t', 'rsa', '-b', '2048']],
  ['ecdsa', ['-t', 'ecdsa']],
])('one of kind %s that was put there is used', async (_, how) => {
  await gatewayHostKey(folder)
  const file = join(folder, HOST_KEY_FILE)
  rmSync(file)
  execFileSync('ssh-keygen', ['-q', '-N', '', '-f', file, ...how])
  const { fingerprint } = await gatewayHostKey(folder)
  expect(execFileSync('ssh-keygen', ['-lf', file]).toString()).toContain(fingerprint)
})

test.each([
  ['an empty file', ''],
  ['a public key', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzrgeU/ORuscQrFOclnKyPXy6KHdm4sPNpzAzBJy48N'],
  [
    'a damaged key',
    '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n',
  ],
  ['too much', 'x'.repeat(20_000)],
])('in the place of %s none is made', async (_, text) => {
  await gatewayHostKey(folder)
  writeFileSync(join(folder, HOST_KEY_FILE), text)
  await expect(gatewayHostKey(folder)).rejects.toThrow(DataFolderError)
  expect(readFileSync(join(folder, HOST_KEY_FILE), 'utf8')).toBe(text)
})
