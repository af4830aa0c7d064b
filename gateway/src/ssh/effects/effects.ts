import { argvOf } from '@countersign/contract/argv'
import type { Effect } from '../../gate/command.ts'

const MOST_REMEMBERED = 256
const known = new Map<string, Effect[]>()

/**
 * Effects of a command line: `ssh:exec` on the connection, with its words. The same array for the same text, since
 * answers are remembered by it.
 */
export function execEffects(connection: string, text: string): Effect[] {
  const key = `${connection}\n${text}`
  let effects = known.get(key)
  if (effects) return effects
  const { argv, program, shell } = argvOf(text)
  effects = [
    { action: 'ssh:exec', resource: { type: 'Connection', id: connection }, command: { argv, program, shell } },
  ]
  if (text.length > 4096) return effects
  if (known.size >= MOST_REMEMBERED) known.delete(known.keys().next().value!)
  known.set(key, effects)
  return effects
}

/** Effects of an interactive shell: what is typed into it is recorded, and policy is not asked about it. */
export function shellEffects(connection: string): Effect[] {
  return [
    {
      action: 'ssh:shell',
      resource: { type: 'Connection', id: connection },
      command: { argv: '', program: '', shell: true },
    },
  ]
}

/**
 * Why a command line can't be taken at all; undefined where it can. Text arrives decoded: bytes that were no UTF-8 would
 * reach the host as other bytes than were sent, and a NUL ends a text for some hosts and not for others.
 */
export function unfit(text: string): string | undefined {
  if (text.includes('\0')) return 'it holds a NUL byte'
  if (text.includes('\ufffd')) return 'it is not valid UTF-8'
  return undefined
}
