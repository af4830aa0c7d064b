import { Command, Option } from 'commander'
import metadata from '../package.json' with { type: 'json' }
import { withoutAction } from './commands/group.ts'
import { tokenTypes } from './subject/sources.ts'

const epilogue = `
The gateway is --gateway, COUNTERSIGN_GATEWAY, or the one that was signed in to last. Calls are made as the agent whose
token is here (--subject-token-file, COUNTERSIGN_SUBJECT_TOKEN_FILE, client credentials, GitHub Actions, Kubernetes), else
as the person who is signed in; --as says which where both are.

exit status: 0 done, 1 refused or failed, 2 used wrongly or can't tell, 3 held, 4 not signed in; connect: its client's,
126 refused before it ran, 127 no such client. More: docs/cli.md`

type Register = (program: Command) => void

/** Every command, in the order of the help, by the file that has it. A file is read once somebody needs it. */
const files: [names: string[], load: () => Promise<Register>][] = [
  [['login', 'logout', 'whoami'], async () => (await import('./commands/login.ts')).loginCommands],
  [['connect'], async () => (await import('./commands/connect.ts')).connectCommand],
  [['token'], async () => (await import('./commands/token.ts')).tokenCommand],
  [['grants'], async () => (await import('./commands/grants.ts')).grantCommands],
  [['plans'], async () => (await import('./commands/plans.ts')).planCommands],
  [['approvals'], async () => (await import('./commands/approvals.ts')).approvalCommands],
  [['reviews'], async () => (await import('./commands/reviews.ts')).reviewCommands],
  [['sessions'], async () => (await import('./commands/sessions.ts')).sessionCommands],
  [['agents'], async () => (await import('./commands/agents.ts')).agentCommands],
  [['people'], async () => (await import('./commands/people.ts')).peopleCommands],
  [['connections'], async () => (await import('./commands/connections.ts')).connectionCommands],
  [['access'], async () => (await import('./commands/access.ts')).accessCommand],
  [['away'], async () => (await import('./commands/away.ts')).awayCommands],
  [['kube-credential'], async () => (await import('./commands/kube-credential.ts')).kubeCredentialCommand],
  [['ssh-askpass'], async () => (await import('./commands/ssh-askpass.ts')).sshAskpassCommand],
  [['verify'], async () => (await import('./commands/verify.ts')).verifyCommand],
  [['completion'], async () => (await import('./commands/completion.ts')).completionCommand],
  [['connection-names'], async () => (await import('./commands/connection-names.ts')).connectionNamesCommand],
]

/** The commands that these arguments may be for; all of them where that can't be told, and for a list of them. */
export async function createProgram(args: string[]): Promise<Command> {
  const program = new Command('countersign')
    .description('evidence, access and approvals from a terminal')
    .usage('COMMAND [OPTIONS]')
    .version(metadata.version, '-v, --version', 'the version')
    .helpOption('-h, --help', 'this text')
    .option('--gateway <url>', 'the gateway')
    .option('--ca <file>', "PEM of the gateway's certificate, or of its authority")
    .option('--json', "results as JSON, in the API's own shapes")
    .addOption(new Option('--as <who>', 'who calls').choices(['person', 'agent']))
    .option('--subject-token-file <file>', "the agent's own token; - is standard input")
    .addOption(new Option('--subject-token-type <type>', 'what it is, where it can’t be seen').choices(tokenTypes))
    .addHelpText('after', epilogue)
  const end = args.indexOf('--')
  const words = new Set(end < 0 ? args : args.slice(0, end))
  const named = files.filter(([names]) => names.some((name) => words.has(name)))
  const all = named.length === 0 || words.has('completion')
  for (const register of await Promise.all((all ? files : named).map(([, load]) => load()))) register(program)
  withoutAction(program)
  for (const command of everyCommand(program)) settle(command)
  return program
}

/** A command and all below it. */
function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

/** What every command does alike: it throws instead of ending the process, and says what is wrong in one line. */
function settle(command: Command): void {
  command
    .exitOverride()
    .showHelpAfterError(false)
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: command.parent !== null, styleTitle: (title) => title.toLowerCase() })
    .configureOutput({ outputError: (text, write) => write(`countersign: ${words(text)}; see countersign --help\n`) })
}

/** A complaint of commander's as ours are. */
function words(text: string): string {
  return text
    .replace(/^error: /, '')
    .trim()
    .replace(/\.$/, '')
    .replaceAll('\n', ' ')
}
