import type { Command } from 'commander'
import { type Context, runs } from '../context.ts'
import { misuse, refused } from '../errors.ts'
import { fromFile } from '../subject/sources.ts'
import { shown } from '../terminal/text.ts'
import { gatewayToken } from './token.ts'

/**
 * ssh-askpass: what OpenSSH runs to ask for a password (SSH_ASKPASS), with the prompt as its argument. It answers a
 * password prompt alone: not whether a host key is to be trusted, nor for the passphrase of a key.
 */
export function sshAskpassCommand(program: Command): void {
  program
    .command('ssh-askpass')
    .argument('[prompt...]', "OpenSSH's question")
    .description("answers OpenSSH's password prompt with a token; for SSH_ASKPASS")
    .action(runs(sshAskpass))
}

async function sshAskpass(context: Context, _options: object, words: string[]): Promise<undefined> {
  const prompt = words.join(' ')
  if (/yes\/no/i.test(prompt))
    throw refused(
      `the host key is not known yet, and a program doesn't say whether to trust it: add it to ~/.ssh/known_hosts first (${shown(prompt.split('\n')[0]!)})`,
    )
  if (!/password: *$/i.test(prompt) || /passphrase/i.test(prompt))
    throw refused(`this is no password prompt: ${shown(prompt)}`)
  const { COUNTERSIGN_SSH_TOKEN_FILE: kept, COUNTERSIGN_SSH_TARGET: target } = context.env
  if (kept) {
    if (target === undefined || !asksFor(prompt, target))
      throw refused(
        `this token is for ${shown(target ?? 'nobody')} alone, and is not given to who asks: ${shown(prompt)}`,
      )
    context.terminal.out(fromFile(kept))
    return undefined
  }
  // CONNECTION@HOST's password:, or (CONNECTION@HOST) Password:
  const connection = context.env.COUNTERSIGN_CONNECTION ?? /^\(?([a-z0-9][a-z0-9-]*)@/.exec(prompt)?.[1]
  if (connection === undefined) throw misuse('which connection? set COUNTERSIGN_CONNECTION')
  context.terminal.out((await gatewayToken(context, {}, connection)).access_token)
}

/**
 * Whether OpenSSH asks for the password of USER@HOST (its HostKeyAlias): `USER@HOST's password: `, of which older ones cut
 * both parts, or `(USER@HOST) ` before what the server asks.
 */
function asksFor(prompt: string, target: string): boolean {
  const [user = '', host = ''] = target.split('@')
  const cut = `${user.slice(0, 30)}@${host.slice(0, 128)}`
  return [target, cut].some((one) => prompt.startsWith(`${one}'s `) || prompt.startsWith(`(${one}) `))
}
