import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { SecretRef } from './schema.ts'

/** A secret or file that can't be had; the message says which one and what to do, and never what is in it. */
export class SecretError extends Error {
  override name = 'SecretError'
  readonly mend: string
  readonly code: 'missing' | 'ended' | 'unusable'
  constructor(message: string, mend: string, code: SecretError['code'] = 'unusable') {
    super(message)
    this.mend = mend
    this.code = code
  }
}

export interface ResolvedSecret {
  value: string
  /** What is doubtful about it, in words: a file that others may read. */
  doubt?: string
}

const largest = 64 * 1024

/**
 * Reads a secret where its reference points to; one newline at its end is dropped (editors put it there).
 * @param folder what a relative path is relative to
 * @throws SecretError where it is missing, empty, unreadable, longer than 64 KiB or holds a NUL
 */
export async function resolveSecret(
  reference: SecretRef,
  folder: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<ResolvedSecret> {
  if ('env' in reference) {
    const value = environment[reference.env]
    if (value === undefined)
      throw new SecretError(`environment variable ${reference.env} is not set`, 'set it where the gateway is started')
    if (value === '')
      throw new SecretError(`environment variable ${reference.env} is empty`, 'set it where the gateway is started')
    return { value: whole(value, `environment variable ${reference.env}`) }
  }
  const file = resolve(folder, reference.file)
  const { text, mode } = await readBounded(file, largest)
  const value = whole(text.replace(/\r?\n$/, ''), `the file ${file}`)
  if (value === '') throw new SecretError(`the file ${file} is empty`, 'write the secret into it')
  const doubt = process.platform !== 'win32' && (mode & 0o004) !== 0 ? `everybody may read ${file}` : undefined
  return doubt === undefined ? { value } : { value, doubt }
}

/**
 * Reads a text file that a person named in the configuration.
 * @throws SecretError where it is missing, unreadable, no regular file, or longer than `bytes`
 */
export async function readBounded(file: string, bytes: number): Promise<{ text: string; mode: number }> {
  try {
    await using handle = await open(file, 'r')
    const { mode, size, ...kind } = await handle
      .stat()
      .then((s) => ({ mode: s.mode, size: s.size, file: s.isFile(), fifo: s.isFIFO() }))
    if (!kind.file && !kind.fifo) throw new SecretError(`${file} is no file`, 'name a file')
    if (size > bytes) throw new SecretError(`${file} is larger than ${bytes} bytes`, 'name the right file')
    return { text: await handle.readFile('utf8'), mode }
  } catch (error) {
    if (error instanceof SecretError) throw error
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT')
      throw new SecretError(`the file ${file} does not exist`, 'make it, or correct the path', 'missing')
    if (code === 'EACCES' || code === 'EPERM')
      throw new SecretError(`the file ${file} may not be read`, 'let the user that runs the gateway read it')
    throw new SecretError(`the file ${file} can't be read (${code ?? error})`, 'correct the path')
  }
}

/** No protocol carries a NUL in a password: it would be cut there, silently. */
function whole(value: string, where: string): string {
  if (value.includes('\0')) throw new SecretError(`${where} holds a NUL character`, 'write the secret as text')
  return value
}
