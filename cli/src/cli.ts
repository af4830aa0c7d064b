import { parseArgs } from 'node:util'
import { processTerminal, verifyBundleFile } from '@countersign/contract/node/verify-file'

const help = `countersign: evidence, access and approvals from a terminal

usage: countersign COMMAND [OPTIONS]

  verify FILE [--key VKEY] [--json]
                           check an evidence bundle: no gateway and no network is asked. Exits 0 whole, 1 broken or
                           incomplete (it says where first), 2 can't tell (so without a key that you trust)
  login, token, grants, approvals, sessions, kube-credential                                  (not in this version)

options:
  --key VKEY               the verifier key of the log, from elsewhere than the bundle: NAME+ID+BASE64
  --json                   one JSON object instead of lines
  -h, --help               this text
  -v, --version            the version

How to check a bundle without this program: docs/verify.md
`

const later = ['login', 'token', 'grants', 'approvals', 'sessions', 'kube-credential']

/** Runs the command line. Sets the exit code. */
export async function main(args: string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}) // whoever read it has gone
  // Commands of a later version have options of their own.
  if (later.includes(args[0] ?? '')) return misused(`${args[0]} is not in this version`)
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(args)
  } catch (error) {
    return misused((error as Error).message)
  }
  const { values, positionals } = parsed
  const [command, ...rest] = positionals
  if (values.version) return say((await import('../package.json', { with: { type: 'json' } })).default.version)
  if (values.help || command === 'help') return say(help.trimEnd())
  if (command === undefined) return misused('a command is missing')
  if (command !== 'verify') return misused(`there is no command ${JSON.stringify(command)}`)
  if (rest.length !== 1)
    return misused(rest.length === 0 ? 'verify needs a FILE' : `unexpected ${JSON.stringify(rest[1])} after verify`)
  const terminal = processTerminal('countersign')
  try {
    process.exitCode = await verifyBundleFile(rest[0]!, values, terminal)
  } finally {
    terminal.close()
  }
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      key: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' },
    },
  })
}

function misused(message: string): void {
  process.stderr.write(`countersign: ${message}; see countersign --help\n`)
  process.exitCode = 2
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
