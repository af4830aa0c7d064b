import { parseArgs } from 'node:util'

const help = `countersign-gateway: the gateway that agents connect through

usage: countersign-gateway COMMAND [OPTIONS]

  serve  --config FILE     run the gateway. One line on standard output says when it is ready and where it listens;
                           logs go to standard error. SIGTERM ends it in order, SIGHUP reloads policy, certificates,
                           secrets, issuers and connections (a broken file changes nothing)
  check  --config FILE [--connect]
                           check configuration and policies: every problem as file:line; exits 1 if there is any.
                           --connect asks the databases, too, whether data_classes name columns of theirs
  classes suggest --config FILE [--connection NAME] [--rows 1000] [--json] [--check]
                           look at a sample of a database, read-only, and print which columns may need a data class, as
                           YAML to paste; never a value. --check exits 1 if one that likely does has none
  policy test DIR [--json] run the tests (*.test.yaml) of a policy folder: every one that fails, with what was expected and
                           what came; exits 1 if any fails or a file is wrong, 2 if there are none
  policy backtest --config FILE --policy DIR [--since 30d] [--until TIME] [--against recorded|in-force] [--no-overlays]
                  [--agent ID]… [--on CONNECTION]… [--json] [--check]
                           what the policies of a folder would have decided of the commands that were recorded, whether
                           the gateway runs or not: exits 0 whatever would change, 1 with --check if anything would, 2 if it
                           could not be told
  verify --config FILE [--key VKEY] [--json]
                           check ledger, recordings and database against each other, whether the gateway runs or not:
                           exits 0 whole, 1 broken or incomplete (it says where first), 2 can't tell
  verify --bundle FILE [--key VKEY] [--json]
                           check an evidence bundle; without a key that you have from elsewhere the answer is 2
  export --config FILE --session ID [--out FILE]
                           write the evidence bundle of a session; --out - is standard output
  retention --config FILE [--dry-run] [--json]
                           erase what is due, while the gateway is stopped (running, it does so by itself every hour);
                           --dry-run shows what would go now, whether it runs or not
  ledger show-key --config FILE
                           print the verifier key of the ledger, for people to write down
  ledger rotate-key --config FILE --reason TEXT
                           put a new key in the place of the ledger's, while the gateway is stopped
  webhook-secret --config FILE
                           print the secret by which receivers of webhooks check signatures, made where there is none

options:
  --config FILE            the configuration (gateway.yaml)
  --log-level LEVEL        trace, debug, info (default), warn, error or silent
  -h, --help               this text
  -v, --version            the version

exit status: 0 all went well, 1 it didn't, 2 it could not be told (or the command line is wrong)
`

/** Runs the command line. Sets the exit code; `serve` ends the process itself when it is told to. */
export async function main(args: string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}) // whoever read it has gone
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(args)
  } catch (error) {
    return misused(error instanceof Error ? error.message : String(error))
  }
  const { values, positionals } = parsed
  const [command, ...rest] = positionals
  if (values.version) return say((await import('../package.json', { with: { type: 'json' } })).default.version)
  if (values.help || command === 'help') return say(help.trimEnd())
  switch (command) {
    case 'serve':
    case 'check': {
      if (rest.length > 0) return misused(`unexpected ${JSON.stringify(rest[0])} after ${command}`)
      if (values.config === undefined) return misused(`${command} needs --config FILE`)
      // Only now: each loads what the others don't need.
      if (command === 'check')
        return (await import('./check.ts')).check(values.config, { connect: values.connect === true })
      const { serve } = await import('./serve.ts')
      return serve(values.config, { ...(values['log-level'] === undefined ? {} : { level: values['log-level'] }) })
    }
    case 'classes': {
      if (rest[0] !== 'suggest' || rest.length > 1) return misused('classes knows: classes suggest')
      if (values.config === undefined) return misused('classes suggest needs --config FILE')
      const rows = Number(values.rows ?? 1000)
      if (!Number.isInteger(rows) || rows < 1 || rows > 100_000) return misused('--rows is a number from 1 to 100000')
      const { suggestFor } = await import('./suggest-classes.ts')
      const { connection, json = false, check = false } = values
      return suggestFor(values.config, { rows, json, check, ...(connection === undefined ? {} : { connection }) })
    }
    case 'policy': {
      const [what, folder, unexpected] = rest
      if (what === 'test') {
        if (folder === undefined || unexpected !== undefined) return misused('policy test takes a folder, and one only')
        return (await import('./policy/tests-command.ts')).testPolicies(folder, { json: values.json === true })
      }
      if (what !== 'backtest' || folder !== undefined) return misused('policy knows: policy test DIR, policy backtest')
      if (values.config === undefined || values.policy === undefined)
        return misused('policy backtest needs --config FILE and --policy DIR')
      return (await import('./backtest/command.ts')).backtest(values.config, values.policy, values)
    }
    case 'verify': {
      if (rest.length > 0) return misused(`unexpected ${JSON.stringify(rest[0])} after verify`)
      if ((values.config === undefined) === (values.bundle === undefined))
        return misused('verify needs --config FILE or --bundle FILE, one of them')
      const { verifyBundle, verifyConfig } = await import('./verify/command.ts')
      return values.bundle === undefined ? verifyConfig(values.config!, values) : verifyBundle(values.bundle, values)
    }
    case 'export': {
      if (rest.length > 0) return misused(`unexpected ${JSON.stringify(rest[0])} after export`)
      if (values.config === undefined || values.session === undefined)
        return misused('export needs --config FILE and --session ID')
      return (await import('./verify/export.ts')).exportSession(values.config, values.session, values.out)
    }
    case 'retention': {
      if (rest.length > 0) return misused(`unexpected ${JSON.stringify(rest[0])} after retention`)
      if (values.config === undefined) return misused('retention needs --config FILE')
      const { retain } = await import('./retain.ts')
      return retain(values.config, { dry: values['dry-run'] === true, json: values.json === true })
    }
    case 'ledger': {
      if ((rest[0] !== 'show-key' && rest[0] !== 'rotate-key') || rest.length > 1)
        return misused('ledger knows: ledger show-key, ledger rotate-key')
      if (values.config === undefined) return misused(`ledger ${rest[0]} needs --config FILE`)
      const { rotateKey, showKey } = await import('./verify/ledger-key.ts')
      if (rest[0] === 'show-key') return showKey(values.config)
      if (!values.reason?.trim()) return misused('ledger rotate-key needs --reason TEXT: the log tells it to everybody')
      return rotateKey(values.config, values.reason.trim())
    }
    case 'webhook-secret': {
      if (rest.length > 0) return misused(`unexpected ${JSON.stringify(rest[0])} after webhook-secret`)
      if (values.config === undefined) return misused('webhook-secret needs --config FILE')
      return (await import('./told.ts')).showWebhookSecret(values.config)
    }
    case undefined:
      return misused('a command is missing')
    default:
      return misused(`there is no command ${JSON.stringify(command)}`)
  }
}

function parse(args: string[]) {
  const parsed = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      'log-level': { type: 'string' },
      policy: { type: 'string' },
      since: { type: 'string' },
      until: { type: 'string' },
      against: { type: 'string' },
      agent: { type: 'string', multiple: true },
      on: { type: 'string', multiple: true },
      'no-overlays': { type: 'boolean' },
      bundle: { type: 'string' },
      key: { type: 'string' },
      session: { type: 'string' },
      out: { type: 'string' },
      reason: { type: 'string' },
      connect: { type: 'boolean' },
      connection: { type: 'string' },
      rows: { type: 'string' },
      json: { type: 'boolean' },
      'dry-run': { type: 'boolean' },
      check: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' },
    },
  })
  const level = parsed.values['log-level']
  const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
  if (level !== undefined && !levels.includes(level)) throw new Error(`--log-level is one of ${levels.join(', ')}`)
  return parsed
}

function misused(message: string): void {
  process.stderr.write(`countersign-gateway: ${message}; see countersign-gateway --help\n`)
  process.exitCode = 2
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
