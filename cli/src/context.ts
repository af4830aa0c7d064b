import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { misuse, refused } from './errors.ts'
import { type Caller, createGateway, type Gateway } from './gateway/gateway.ts'
import { createSender, gatewayAddress, type Sender } from './gateway/request.ts'
import { personAt } from './sign-in/access.ts'
import { type Kept, keptIn } from './sign-in/kept.ts'
import { hasSubject, type SubjectOptions, subjectToken } from './subject/sources.ts'
import { processTerminal, type Terminal } from './terminal/terminal.ts'
import { shown } from './terminal/text.ts'

/** Options that every command takes. */
export interface CommonOptions extends SubjectOptions {
  gateway?: string
  ca?: string
  json?: boolean
  as?: 'person' | 'agent'
}

/** What a command works with. */
export interface Context {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  kept: Kept
  options: CommonOptions
  /** Results as JSON. */
  json: boolean
}

/** Makes an action of commander's out of one that takes the context, its options and its arguments, and answers an exit status. */
export function runs<O, A extends unknown[]>(
  action: (context: Context, options: O, ...args: A) => Promise<number | undefined>,
) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.at(-1) as Command
    const options = command.optsWithGlobals() as CommonOptions & O
    const { env } = process
    const context = { env, terminal: processTerminal(), kept: keptIn(env), options, json: options.json ?? false }
    process.exitCode = await action(context, options, ...(given.slice(0, -2) as A))
  }
}

/** The gateway that a command is for: --gateway, COUNTERSIGN_GATEWAY, or the one that was signed in to last. */
export function addressIn({ options, env, kept }: Context): URL {
  const given = options.gateway ?? (env.COUNTERSIGN_GATEWAY || kept.current())
  if (!given) throw misuse('which gateway? give --gateway URL or set COUNTERSIGN_GATEWAY')
  return gatewayAddress(given)
}

/** PEM of the certificate that was given by --ca or COUNTERSIGN_CA, or else at the sign-in to this gateway. */
export function caIn({ options, env, kept }: Context, base: URL): string | undefined {
  const file = options.ca ?? env.COUNTERSIGN_CA
  if (!file) return kept.read(base.origin)?.ca
  let pem: string
  try {
    pem = readFileSync(file, 'utf8')
  } catch (error) {
    throw misuse(`--ca ${shown(file)} can't be read: ${(error as Error).message}`)
  }
  try {
    new X509Certificate(pem)
  } catch {
    throw misuse(`--ca ${shown(file)} holds no certificate: it takes PEM`)
  }
  return pem
}

/** For calls that need no token. */
export function senderIn(context: Context): Sender {
  const base = addressIn(context)
  return createSender(base, caIn(context, base))
}

/** For calls as the person who is signed in, or as the agent whose token is here; --as decides where both are. */
export function gatewayIn(context: Context): Gateway {
  const base = addressIn(context)
  return createGateway(base, caIn(context, base), callerIn(context, base))
}

function callerIn({ options, env, kept }: Context, base: URL): Caller {
  const asAgent = options.as === undefined ? hasSubject(options, env) : options.as === 'agent'
  if (!asAgent) return personAt(kept, base.origin)
  let known: Promise<string> | undefined
  const read = async () => {
    const subject = await subjectToken(options, env)
    if (subject.type === 'saml2')
      throw refused('the API takes no SAML assertions: give the agent’s token as a JWT for this command')
    return subject.text
  }
  return {
    kind: 'agent',
    // One token does for a command; whoever waits long asks for a new one.
    token: () => (known ??= read()),
    renew: () => {
      known = undefined
    },
  }
}
