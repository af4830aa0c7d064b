import { encodingRefused, optionRefused, replicationRefused, stringsRefused, type Words } from './refusal.ts'

/** A startup packet's parameters, sorted by whom they are for. */
export interface StartupParameters {
  /** Name of the connection. */
  connection: string
  application: string | undefined
  purpose: string | undefined
  hold: 'wait' | 'fail' | undefined
  /** Settings of the server, as it is to see them: by name and value. */
  settings: [string, string][]
}

const PURPOSE_BOUND = 500
/** What the startup packet is about rather than settings: the gateway alone says it to the server, which takes the last. */
const ofTheConnection = new Set(['user', 'database', 'options', 'replication'])
/** What would make the session another's, or load code, is a command of its own and has to be sent as one. */
const asCommands = new Set(['role', 'session_authorization', 'session_preload_libraries', 'local_preload_libraries'])

/**
 * Sorts them, those within `options` (PGOPTIONS) too.
 * @returns Words where one is refused
 */
export function sortParameters(parameters: Map<string, string>): StartupParameters | Words {
  const out: StartupParameters = {
    connection: parameters.get('database') ?? parameters.get('user') ?? '',
    application: parameters.get('application_name'),
    purpose: undefined,
    hold: undefined,
    settings: [],
  }
  const switches = switchesOf(parameters.get('options') ?? '')
  if (!Array.isArray(switches)) return switches
  for (const [name, value] of switches) {
    if (name === 'countersign.purpose') out.purpose = value.slice(0, PURPOSE_BOUND)
    else if (name === 'countersign.hold') {
      if (value !== 'wait' && value !== 'fail') return optionRefused(name, 'It is wait or fail.')
      out.hold = value
    } else if (name.startsWith('countersign.')) {
      return optionRefused(name, 'There are countersign.purpose and countersign.hold.')
    } else out.settings.push([name, value])
  }
  for (const [name, value] of parameters) {
    const folded = name.toLowerCase()
    if (folded === 'user' || folded === 'database' || folded === 'options') continue
    if (folded === 'replication') {
      if (!/^(f|fa|fal|fals|false|of|off|n|no|0)$/i.test(value)) return replicationRefused
      continue
    }
    out.settings.push([name, value])
  }
  for (const [name, value] of out.settings) {
    const refused = refusedSetting(name.toLowerCase(), value)
    if (refused) return refused
  }
  return out
}

function refusedSetting(name: string, value: string): Words | undefined {
  if (name === 'client_encoding') {
    const plain = value.toLowerCase().replace(/[^a-z0-9]/g, '')
    if (plain !== 'utf8' && plain !== 'unicode' && plain !== 'sqlascii') return encodingRefused
  }
  if (name === 'standard_conforming_strings' && !/^(on|t|tr|tru|true|y|ye|yes|1)$/i.test(value)) return stringsRefused
  if (ofTheConnection.has(name)) return optionRefused(name, 'The gateway’s connection says what it is.')
  if (asCommands.has(name)) return optionRefused(name, 'Send it as a SET command: policy decides on that.')
  if (name.startsWith('countersign.')) return optionRefused(name, 'Give it in PGOPTIONS: -c countersign.purpose=…')
  return undefined
}

/** `-c name=value` and `--name=value`, split as the server does: at white space, with backslash as escape. */
function switchesOf(options: string): [string, string][] | Words {
  const words: string[] = []
  for (const match of options.matchAll(/(?:\\[\s\S]|[^\s\\])+/g)) words.push(match[0].replace(/\\([\s\S])/g, '$1'))
  const out: [string, string][] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    const setting =
      word === '-c' ? words[++at] : word.startsWith('-c') || word.startsWith('--') ? word.slice(2) : undefined
    const equals = setting?.indexOf('=') ?? -1
    if (setting === undefined || equals < 1) return optionRefused(word, 'PGOPTIONS takes -c name=value.')
    // The server takes dashes for underscores here (ParseLongOption).
    out.push([setting.slice(0, equals).replaceAll('-', '_'), setting.slice(equals + 1)])
  }
  return out
}
