import { createWriteStream, existsSync } from 'node:fs'
import { link, rm } from 'node:fs/promises'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { CliError, exits, misuse } from '../errors.ts'
import { shown } from '../terminal/text.ts'
import { expectGood, type Gateway } from './gateway.ts'
import { trusted, unreachable } from './request.ts'

/** So long nothing may come (ms): what is large is made while it is sent. */
const PATIENCE = 120_000
/** Of a refusal so much is read at most. */
const REFUSAL = 1 << 20

/**
 * Has the gateway's answer in a file, all of it or none: it is there under its name once it is whole.
 * @param file is not overwritten
 * @returns bytes that were written
 * @throws CliError where the gateway refuses, the network fails, or the file can't be written
 */
export async function download(gateway: Gateway, path: string, file: string): Promise<number> {
  if (existsSync(file)) throw misuse(`${shown(file)} is there already: name another file`)
  const part = `${file}.part`
  const token = await gateway.caller.token()
  const answer = await asked(gateway, path, token)
  if (answer.statusCode !== 200) {
    let size = 0
    answer.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > REFUSAL) answer.destroy()
    })
    const said = await text(answer).catch(() => '')
    const body = parsed(said)
    expectGood({ status: answer.statusCode ?? 0, body, headers: answer.headers }, gateway.caller.kind)
    throw new CliError(exits.refused, `the gateway answered ${answer.statusCode} where a file was asked for`)
  }
  const out = createWriteStream(part, { flags: 'wx', mode: 0o600 })
  try {
    await pipeline(answer, out)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw misuse(`${shown(part)} is there already: another download, or what is left of one`)
    await rm(part, { force: true })
    if (code === 'ENOSPC' || code === 'EACCES' || code === 'ENOENT')
      throw misuse(`${shown(file)} can’t be written: ${message}`)
    throw unreachable(gateway.base, error as Error)
  }
  try {
    // Not renamed: that would take the place of a file that came there meanwhile.
    await link(part, file)
  } catch {
    throw misuse(`${shown(file)} is there already: name another file`)
  } finally {
    await rm(part, { force: true })
  }
  return out.bytesWritten
}

function asked({ base, ca }: Gateway, path: string, token: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const send = base.protocol === 'https:' ? https.request : http.request
  const outgoing = send(new URL(path, base), {
    ...(ca === undefined || base.protocol !== 'https:' ? {} : { ca: trusted(ca) }),
    timeout: PATIENCE,
    headers: { 'user-agent': 'countersign', authorization: `Bearer ${token}` },
  })
  outgoing.once('timeout', () => outgoing.destroy(new Error('it did not answer in time')))
  outgoing.once('error', (error) => reject(unreachable(base, error)))
  outgoing.once('response', resolve)
  outgoing.end()
  return promise
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
