import { isUtf8 } from 'node:buffer'
import { sshParameters } from '@countersign/contract/approval'
import type { Asked } from '../commands.ts'
import { execEffects, shellEffects, unfit } from '../effects/effects.ts'
import type { Terminal } from '../upstream/host.ts'
import type { Words } from '../words.ts'
import type { Input } from './input.ts'

/** What a channel is opened for, beside sftp. */
export type Wanted = { kind: 'exec'; text: string } | { kind: 'shell' }

/** What a command or shell is asked with. */
export interface Circumstances {
  connection: string
  /** What of it passes to the host. */
  environment: Readonly<Record<string, string>>
  terminal: Terminal | undefined
}

/** The end of standard input is waited for so long (ms): without a byte, and in all. */
const QUIET = 500
const MOST = 3000

/**
 * What is asked of the gate for a command or shell, while nobody has looked at its input.
 * @returns `unfit`: why nobody may run it, and what is recorded of it
 */
export function askedOf(wanted: Wanted, circumstances: Circumstances): Asked | { unfit: Words; asked: Asked } {
  const { connection, environment, terminal } = circumstances
  const unshown = {
    parameters: sshParameters(undefined, shownOf(circumstances)),
    meaning: { environment, terminal: terminal?.type ?? null, input: 'not shown' },
  }
  if (wanted.kind === 'shell') return { text: 'shell', kind: 'shell', effects: shellEffects(connection), ...unshown }
  const { text } = wanted
  const asked: Asked = { text, kind: 'exec', effects: execEffects(connection, text), ...unshown }
  const why = unfit(text)
  if (why === undefined) return asked
  const words = { message: `not run: ${why}`, hint: 'Send the command as UTF-8 text without NUL bytes.' }
  return { unfit: words, asked: { ...asked, text: text.replaceAll('\0', '\ufffd') } }
}

/** The same, with the whole of its input where that comes soon: somebody will have to see it. */
export async function withInput(
  asked: Asked,
  { environment, terminal, connection }: Circumstances,
  input: Input,
  bytes: number,
  signal: AbortSignal,
): Promise<Asked> {
  const whole = await input.whole({ bytes, quiet: QUIET, most: MOST }, signal)
  if (!whole) return asked
  const shown = isUtf8(whole) ? whole.toString() : { base64: whole.toString('base64') }
  return {
    ...asked,
    parameters: sshParameters(shown, shownOf({ environment, terminal, connection })),
    meaning: {
      ...{ environment, terminal: terminal?.type ?? null, input: 'whole' },
      // What a terminal makes of input that was shown (which byte erases, which ends it) is the client's to say.
      ...(terminal && { modes: terminal.modes.toString('hex') }),
    },
  }
}

/** The variables that people are shown: hosts make TERM of a terminal's kind, whatever else they were told. */
const shownOf = ({ environment, terminal }: Circumstances): Record<string, string> => ({
  ...environment,
  ...(terminal && terminal.type !== '' && { TERM: terminal.type }),
})
