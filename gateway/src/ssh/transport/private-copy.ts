import { readFileSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import type * as ssh2 from 'ssh2'
import { LARGEST_PACKET } from './limits.ts'
import { MLKEM } from './post-quantum.ts'

const require = createRequire(import.meta.url)

/** What the patches were written for: another release has to be read before it is trusted with them. */
const KNOWN = '1.17.'

/** A module of the copy, by its path below `lib`; what is put into its exports before others ask is what they get. */
export type Part = <T>(path: string) => T

/**
 * Loads ssh2 once more, for us alone, with some of its modules amended before the others ask for them. Whoever imports
 * `ssh2` itself gets the one of the registry, so that tests can show what is wrong with that.
 * @throws Error where another release of ssh2 is installed than the one whose source the patches know
 */
export function privateCopy(amend: (part: Part) => void): typeof ssh2 {
  const root = dirname(require.resolve('ssh2/package.json'))
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  if (!version.startsWith(KNOWN))
    throw new Error(
      `ssh2 ${version} is installed, the patches of gateway/src/ssh/transport are for ${KNOWN}x: read them`,
    )
  const belongs = (file: string) => file.startsWith(root + sep)
  const others = Object.entries(require.cache).filter(([file]) => belongs(file))
  for (const [file] of others) delete require.cache[file]
  try {
    const left = new Map(rewritten.map((each) => [each.file, each]))
    amend((path) => {
      const each = left.get(path)
      left.delete(path)
      const file = join(root, 'lib', path)
      if (each) rewrite(file, each)
      return require(file)
    })
    if (left.size > 0) throw new Error(`nobody asked for ${[...left.keys()].join(', ')}, which would be read as it is`)
    return require('ssh2')
  } finally {
    for (const file of Object.keys(require.cache).filter(belongs)) delete require.cache[file]
    for (const [file, module] of others) require.cache[file] = module
  }
}

/**
 * What no export of ssh2 1.17 lets be changed, and is read with other words in its source. It breaks the connection off
 * over packets of more than 35,000 bytes, the least that RFC 4253, section 6.1 asks for: so over every longer command.
 * And it knows no exchange of keys but its own; `hybrid` is put into the module's exports by whoever amends it. Each is read when it is asked
 * for: a module takes what it needs of others when it is read, so those are amended before.
 */
const rewritten: { file: string; from: string; to: string }[] = [
  {
    file: 'protocol/crypto.js',
    from: 'const MAX_PACKET_SIZE = 35000;',
    to: `const MAX_PACKET_SIZE = ${LARGEST_PACKET};`,
  },
  {
    file: 'protocol/kex.js',
    from: "        case 'curve25519-sha256':\n",
    to: `        case '${MLKEM}':
          return new (module.exports.hybrid(Curve25519Exchange))('sha256', ...args);

        case 'curve25519-sha256':\n`,
  },
]

function rewrite(file: string, { from, to }: (typeof rewritten)[number]): void {
  if (require.cache[file]) throw new Error(`${file} was read before it could be read with other words`)
  const source = readFileSync(file, 'utf8')
  const amended = source.replace(from, to)
  if (amended === source) throw new Error(`${file} doesn't say “${from.trim()}” as it did: read it`)
  const module = new Module(file) as NodeJS.Module & { _compile(source: string, file: string): void }
  module.filename = file
  module.paths = require.resolve.paths(file) ?? []
  require.cache[file] = module
  module._compile(amended, file)
  module.loaded = true
}

/** For the module whose exports are the class itself. */
export function replaceExports(part: Part, path: string, with_: (of: never) => unknown): void {
  const exported = part(path)
  const file = require.resolve(join('ssh2/lib', path))
  require.cache[file]!.exports = with_(exported as never)
}
