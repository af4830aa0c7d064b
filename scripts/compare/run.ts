/**
 * `npm run suites`: PostgreSQL's own regression suite, directly and through a gateway that allows everything, compared file
 * by file. `npm run suites -- boolean join` runs the named files only (test_setup first), `--diffs FILE` keeps what differs.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { fetchRegress } from './regress.ts'
import { compareSuite, leftOut } from './suite.ts'

const { values, positionals } = parseArgs({ options: { diffs: { type: 'string' } }, allowPositionals: true })
const suite = fetchRegress()
const chosen = positionals.length > 0 ? ['test_setup', ...positionals] : suite.files
console.log(`PostgreSQL's regression suite of ${suite.version}: ${chosen.length} files`)
for (const [file, why] of Object.entries(leftOut)) if (chosen.includes(file)) console.log(`${file} is left out: ${why}`)
const { compared, complaints } = await compareSuite(suite, chosen, ({ file, diff, lines, ms }) => {
  console.log(`${diff === '' ? 'same   ' : 'DIFFERS'} ${file} (${lines} lines, ${ms} ms)`)
})
const differing = compared.filter(({ diff }) => diff !== '')
const diffs = differing.map(({ file, diff }) => `${file}\n${diff}`).join('\n')
if (values.diffs) writeFileSync(values.diffs, diffs)
else if (diffs) console.log(`\n${diffs.slice(0, 20_000)}`)
for (const line of complaints) console.log(line)
console.log(`\n${compared.length - differing.length} of ${compared.length} files the same`)
if (differing.length > 0 || complaints.length > 0) process.exitCode = 1
