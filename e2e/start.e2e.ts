import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { find, psql } from '../scripts/system.ts'
import { press } from './fixture.ts'

// What the README promises a newcomer, to the letter.

const root = join(import.meta.dirname, '..')

test.describe.configure({ mode: 'serial' })
test.setTimeout(120_000)

let npm: ChildProcess
let output = ''

test.beforeAll(async () => {
  npm = spawn('npm', ['start', '--', '--browser', '--no-open'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const ready = new Promise<void>((resolve, reject) => {
    for (const stream of [npm.stdout!, npm.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (/^ready/m.test(output)) resolve()
      })
    }
    npm.once('exit', (code) => reject(new Error(`npm start ended with ${code}:\n${output}`)))
  })
  await ready
})

test.afterAll(() => {
  try {
    process.kill(-npm.pid!, 'SIGKILL')
  } catch {}
})

test('the console opens signed in, with something waiting for a decision', async ({ page }) => {
  await page.goto(/console {3}(\S+)/.exec(output)![1]!)
  await expect(page.getByRole('heading', { name: 'Waiting for you' })).toBeVisible()
  await expect(page.getByRole('option').first()).toBeVisible()
  await expect(page.getByText('DELETE FROM payments').first()).toBeVisible()
})

test("the README's psql line works, held commands and all", async ({ page }) => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const line = /^PGPASSWORD="\$\(cat \.demo\/token\)" psql .*$/m.exec(readme)?.[0]
  expect(line, 'the README gives the line').toBeTruthy()
  const port = /port=(\d+)/.exec(output)![1]!
  const there = line!.replace('port=7432', `port=${port}`)
  expect(find(psql), 'psql is installed').toBeTruthy()
  const shell = (sql: string) =>
    spawn('sh', ['-c', `${there} -X -At -c "${sql}"`], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })

  const read = shell('SELECT count(*) FROM orders')
  expect((await once(read.stdout!, 'data')).toString().trim()).toBe('6000')
  const masked = shell('SELECT email, phone, tier FROM customers WHERE id = 1')
  const shown = (await once(masked.stdout!, 'data')).toString().trim()
  expect(shown).toMatch(/^email_[0-9a-f]{16}\|\+44 20 7946 0037\|standard$/)

  await page.goto(/console {3}(\S+)/.exec(output)![1]!)
  const write = shell("UPDATE customers SET tier = 'gold' WHERE id = 399")
  let said = ''
  write.stdout!.on('data', (text) => {
    said += text
  })
  write.stderr!.on('data', (text) => {
    said += text
  })
  const ended = once(write, 'close')
  const card = page.getByRole('option', { name: /id = 399/ })
  await card.click()
  await press(page, 'Approve')
  const [code] = await ended
  expect(said).toMatch(/held for approval ap_/)
  expect(said).toMatch(/UPDATE 1/)
  expect(code).toBe(0)
})

test("the README's ssh lines work: allowed, held and approved, denied", async ({ page }) => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const block = /^export SSH_ASKPASS=.*\n(?:s(?:sh|cp) .*\n)+/m.exec(readme)?.[0]
  const [setting, allowed, held, denied] = block!.trim().split('\n')
  const run = (line: string) => {
    const child = spawn('sh', ['-c', `${setting}\n${line}`], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
    return once(child, 'close').then(([code]) => ({ code, said }))
  }
  expect(await run(allowed!)).toEqual({ code: 0, said: expect.stringContaining('load average') })
  expect(await run(denied!)).toEqual({
    code: 1,
    said: expect.stringContaining('denied by policy secrets-of-hosts-stay'),
  })

  await page.goto(/console {3}(\S+)/.exec(output)![1]!)
  await expect(page.getByRole('heading', { name: 'Waiting for you' })).toBeVisible()
  const restarted = run(held!.replace('restart shop', 'restart nginx'))
  await page.getByRole('option', { name: /systemctl restart nginx/ }).click()
  await press(page, 'Approve')
  expect(await restarted).toEqual({ code: 0, said: expect.stringMatching(/held for approval ap_/) })
})

test('Ctrl-C leaves no process behind', async () => {
  const before = descendants(npm.pid!)
  expect(before.length).toBeGreaterThan(3) // start.ts, PostgreSQL, gateway, console
  const gone = once(npm, 'exit')
  process.kill(-npm.pid!, 'SIGINT')
  await gone
  await expect.poll(() => before.filter(alive)).toEqual([])
})

interface Process {
  pid: number
  parent: number
  command: string
}

function processes(): Process[] {
  return execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line)!)
    .map(([, pid, parent, command]) => ({ pid: Number(pid), parent: Number(parent), command: command! }))
}

function descendants(of: number): Process[] {
  const all = processes()
  const found: Process[] = []
  const look = (pid: number) => {
    for (const child of all.filter((p) => p.parent === pid)) {
      found.push(child)
      look(child.pid)
    }
  }
  look(of)
  return found
}

function alive(one: Process): boolean {
  return processes().some((p) => p.pid === one.pid && p.command === one.command)
}
