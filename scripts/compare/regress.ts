import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bzip2, find, provide, psql } from '../system.ts'

/** PostgreSQL's own regression suite, as its source package has it. */
export interface Regress {
  /** Holds `sql/`, `data/` and `parallel_schedule`; the server's account may read it. */
  folder: string
  version: string
  /** Names of its files in the order in which they have to run. */
  files: string[]
}

/**
 * The suite of the installed psql's version, out of the distribution's source package: fetched with apt-get once, then
 * kept in the temporary folder. Needs no root, and leaves apt's own lists alone.
 * @throws Error that says what can't be run and why
 */
export function fetchRegress(): Regress {
  provide([psql])
  const major = /(\d+)/.exec(spawnSync(find(psql)!, ['--version'], { encoding: 'utf8' }).stdout)![1]!
  const home = join(tmpdir(), `countersign-regress-${major}-${process.getuid?.() ?? 0}`)
  const folder = join(home, 'regress')
  if (existsSync(home)) {
    const { uid, mode } = lstatSync(home)
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0) throw new Error(`${home} is not ours: remove it`)
  }
  if (!existsSync(folder)) fetch(`postgresql-${major}`, home)
  const schedule = readFileSync(join(folder, 'parallel_schedule'), 'utf8')
  const files = [...schedule.matchAll(/^test: (.*)$/gm)].flatMap(([, names]) => names!.trim().split(/\s+/))
  return { folder, version: readFileSync(join(home, 'version'), 'utf8'), files }
}

function fetch(name: string, home: string): void {
  const cannot = (why: string) =>
    new Error(
      `PostgreSQL's regression suite can't be compared: its source (apt-get source ${name}) can't be had here.\n${why}`,
    )
  if (!existsSync('/usr/bin/apt-get')) throw cannot('There is no apt-get: run it on a Debian or Ubuntu.')
  provide([bzip2])
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { mode: 0o755 })
  chmodSync(home, 0o755)
  const work = join(home, 'work')
  for (const each of ['', 'lists/partial', 'cache/archives/partial']) mkdirSync(join(work, each), { recursive: true })
  // The same places that the system takes its packages from, for their sources.
  const places = run('apt-get', ['indextargets', '--format', '$(SITE) $(RELEASE) $(COMPONENT)', 'Created-By: Packages'])
  const lines = [...new Set(places.out.trim().split('\n'))].map((place) => `deb-src ${place}\n`)
  writeFileSync(join(work, 'sources.list'), lines.join(''))
  const own = [
    `Dir::Etc::sourcelist=${work}/sources.list`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::Lists=${work}/lists`,
    `Dir::Cache=${work}/cache`,
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option])
  const updated = run('apt-get', [...own, '-qq', 'update'])
  const sources = run('apt-cache', [...own, 'showsrc', name]).out
  const versions = [...sources.matchAll(/^Version: (.*)$/gm)].map(([, version]) => version!)
  if (versions.length === 0) throw cannot(updated.err || 'No archive that apt knows has it.')
  // A mirror may announce a version that it doesn't have (yet).
  let last = ''
  const version = versions.find((each) => {
    const got = run('apt-get', [...own, '-qq', '--download-only', 'source', `${name}=${each}`], work)
    last = got.err
    return got.status === 0
  })
  if (version === undefined) throw cannot(last)
  const upstream = version.replace(/-[^-]*$/, '')
  const archive = ['bz2', 'xz', 'gz'].map((end) => `${name}_${upstream}.orig.tar.${end}`)
  const tar = archive.find((file) => existsSync(join(work, file)))
  const unpacked = run('tar', ['xf', tar ?? '', '--strip-components=3', '--wildcards', '*/src/test/regress'], work)
  if (unpacked.status !== 0) throw cannot(unpacked.err)
  run('chmod', ['-R', 'a+rX', join(work, 'regress')])
  writeFileSync(join(home, 'version'), version)
  renameSync(join(work, 'regress'), join(home, 'regress'))
  rmSync(work, { recursive: true })
}

function run(command: string, args: string[], cwd?: string): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', ...(cwd ? { cwd } : {}) })
  return { status, out: stdout ?? '', err: stderr || error?.message || '' }
}
