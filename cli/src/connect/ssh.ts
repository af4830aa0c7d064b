import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { hostAndPort } from './address.ts'
import type { PrivateFolder } from './private-folder.ts'

export interface SshSetting {
  /** HOST:PORT */
  listener: string
  gateway: URL
  connection: string
  token: string
  /** The gateway's host key, as known_hosts has it behind a host; absent: what the client knows by itself counts. */
  hostKey?: string | undefined
  purpose?: string | undefined
  hold?: 'wait' | 'fail' | undefined
  /** The program that is run for `countersign`. */
  self: string
}

/** What OpenSSH's own clients are called: each of them takes -F. */
const own = ['ssh', 'scp', 'sftp']

/** Ansible forbids passwords behind these, for the first that is said counts. It shares no connection, as `ControlPath none`. */
const ansible = [
  'PasswordAuthentication=yes',
  'KbdInteractiveAuthentication=yes',
  'PreferredAuthentications=publickey,password,keyboard-interactive',
]

/**
 * How an SSH client reaches a connection: a configuration in which the connection is a host of that name, and a helper that
 * answers the password prompt with the token. `ssh` and `sftp` go there where nobody says so; other clients find it by
 * GIT_SSH_COMMAND, RSYNC_RSH and ANSIBLE_SSH_ARGS.
 */
export function sshSetting(
  { listener, gateway, connection, token, hostKey, purpose, hold, self }: SshSetting,
  folder: PrivateFolder,
  command: string[],
): { command: string[]; changes: Record<string, string | undefined> } {
  const { host, port } = hostAndPort(listener, gateway)
  const known = hostKey !== undefined && folder.write('known_hosts', `${keyAlias(host, port)} ${hostKey}\n`)
  const config = folder.write('ssh_config', configText({ connection, host, port, known, purpose, hold }))
  // The prompt is an argument of the helper's, so that it must be one program.
  const askpass = folder.write(
    'askpass',
    `#!/bin/sh\nexec ${shellWord(process.execPath)} ${shellWord(self)} ssh-askpass "$@"\n`,
    true,
  )
  const [program = '', ...args] = command
  const isOwn = own.includes(basename(program))
  const withConfig = `ssh -F ${shellWord(config)}`
  return {
    // sftp -b and scp -B turn BatchMode on, in which the prompt that the token answers isn't asked.
    command: isOwn
      ? [program, '-F', config, '-oBatchMode=no', ...destined(basename(program), args, connection)]
      : command,
    changes: {
      SSH_ASKPASS: askpass,
      SSH_ASKPASS_REQUIRE: 'force',
      COUNTERSIGN_SSH_TOKEN_FILE: folder.write('token', token),
      // The client may come to other hosts, too, on its way or by itself: it is no password of theirs.
      COUNTERSIGN_SSH_TARGET: `${connection}@${keyAlias(host, port)}`,
      GIT_SSH_COMMAND: withConfig,
      RSYNC_RSH: withConfig,
      ANSIBLE_SSH_ARGS: `-F ${shellWord(config)} ${ansible.map((option) => `-o ${option}`).join(' ')}`,
      // Its `sftp -b` asks for no password, whatever stands behind it.
      ANSIBLE_SSH_TRANSFER_METHOD: 'scp',
    },
  }
}

/** Options of OpenSSH's clients that take a value (ssh(1), sftp(1) of OpenSSH 9 and 10). */
const valued: Record<string, string> = { ssh: 'BbcDEeFIiJLlmOoPpQRSWw', sftp: 'BbcDFiJloPRSsX' }

/** The arguments with the connection as destination: `ssh uptime` is a command on it, `ssh NAME uptime` stays. */
function destined(program: string, args: string[], connection: string): string[] {
  const options = valued[program]
  if (options === undefined) return args
  const at = firstOperand(args, options)
  if (at === args.length) return [...args, connection]
  const { host } = /^(?:(?:ssh|sftp):\/\/)?(?:[^@]*@)?(?<host>[^:/]*)/.exec(args[at]!)!.groups as { host: string }
  // sftp takes nothing but where to: whoever says another place means that.
  return host === connection || program === 'sftp' ? args : args.toSpliced(at, 0, connection)
}

/** Where options end, as getopt(3) reads them. */
function firstOperand(args: string[], valued: string): number {
  let at = 0
  for (; at < args.length; at++) {
    const arg = args[at]!
    if (arg === '--') return at + 1
    if (!arg.startsWith('-') || arg === '-') return at
    const letter = [...arg].findIndex((one, index) => index > 0 && valued.includes(one))
    // Its value is the next word where nothing follows it in its own.
    if (letter === arg.length - 1) at++
  }
  return Math.min(at, args.length)
}

export function configText(of: {
  connection: string
  host: string
  port: string
  /** Path of a known_hosts that says who the gateway is; false: there is none. */
  known?: string | false
  purpose?: string | undefined
  hold?: string | undefined
}): string {
  const variables = [
    ...(of.purpose === undefined ? [] : [`COUNTERSIGN_PURPOSE=${of.purpose}`]),
    ...(of.hold === undefined ? [] : [`COUNTERSIGN_HOLD=${of.hold}`]),
  ]
  const theirs = join(homedir(), '.ssh', 'config')
  return [
    `Host ${of.connection}`,
    `  HostName ${of.host}`,
    `  Port ${of.port}`,
    `  User ${of.connection}`,
    '  PreferredAuthentications password,keyboard-interactive',
    '  PubkeyAuthentication no',
    '  NumberOfPasswordPrompts 1',
    // One for each listener, whatever connections are behind it.
    `  HostKeyAlias ${keyAlias(of.host, of.port)}`,
    // Whoever told us where it listens has told us who it is: nobody need be asked, and no other key will do.
    ...(of.known
      ? [
          `  UserKnownHostsFile ${configWord(of.known)}`,
          '  GlobalKnownHostsFile /dev/null',
          '  StrictHostKeyChecking yes',
          '  UpdateHostKeys no',
        ]
      : []),
    '  ForwardAgent no',
    // A shared connection would carry the next session by this one's token.
    '  ControlPath none',
    ...(variables.length === 0 ? [] : [`  SetEnv ${variables.map(configWord).join(' ')}`]),
    // What is said first counts: one's own settings complete ours.
    ...(existsSync(theirs) ? ['Host *', `  Include ${configWord(theirs)}`] : []),
    '',
  ].join('\n')
}

/** What OpenSSH calls the listener in `known_hosts`, and in its prompts. */
const keyAlias = (host: string, port: string): string => `[${host}]:${port}`

/** A word in quotes, as ssh_config reads it; a line has no way to hold a line break. */
function configWord(text: string): string {
  return `"${text.replace(/[\r\n]+/g, ' ').replace(/[\\"]/g, (one) => `\\${one}`)}"`
}

const shellWord = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
