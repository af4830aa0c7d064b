import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { World } from '../demo/world.ts'
import { expect, press, test } from './fixture.ts'

// A person and a real ssh, with the gateway between them: held commands, and shells that are watched and replayed.

test.use({ worldOptions: { host: true } })

let folder: string
test.beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-e2e-ssh-'))
})
test.afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A real ssh whose words can be waited for. */
class Ssh {
  readonly process: ChildProcess
  said = ''
  readonly #waiting = new Set<() => void>()

  constructor(process: ChildProcess) {
    this.process = process
    for (const stream of [process.stdout!, process.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.said += text
        for (const look of this.#waiting) look()
      })
  }

  says(pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`ssh did not say ${pattern} but:\n${this.said}`)), 20_000)
      const look = () => {
        if (!pattern.test(this.said)) return
        clearTimeout(late)
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  type(text: string): void {
    this.process.stdin!.write(text)
  }

  async ended(): Promise<number | null> {
    if (this.process.exitCode !== null) return this.process.exitCode
    return (await once(this.process, 'exit'))[0] as number | null
  }
}

async function ssh(world: World, subject: string, purpose: string, args: string[]): Promise<Ssh> {
  const askpass = join(folder, `askpass-${subject}`)
  writeFileSync(askpass, `#!/bin/sh\necho '${await world.agents.clientCredentials(subject)}'\n`, { mode: 0o700 })
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'].flatMap((one) => [
    '-o',
    one,
  ])
  const { host, port } = world.ssh!
  const child = spawn(
    'ssh',
    [
      '-F',
      '/dev/null',
      ...options,
      '-o',
      `SetEnv=COUNTERSIGN_PURPOSE="${purpose}"`,
      '-p',
      String(port),
      `web-1@${host}`,
      ...args,
    ],
    { env: { ...process.env, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  child.stdin.on('error', () => {})
  return new Ssh(child)
}

test('a held command: the card has what it is sent, and ssh gets its output and its status once it is approved', async ({
  openConsole,
  world,
}) => {
  const { page } = await openConsole('ada')
  const client = await ssh(world, 'release-bot', 'release 2026.11.4', ['sh'])
  client.process.stdin!.end('cd /srv/shop\ncat current/VERSION\nexit 3\n')
  await client.says(/^countersign: held for approval ap_\w+ \(oncall-dba, expires /m)

  await page.getByRole('option', { name: /^sh/ }).click()
  const card = page.getByRole('article')
  await expect(card.getByLabel('Standard input')).toContainText('cat current/VERSION')
  await expect(card).toContainText('release 2026.11.4')
  await expect(card).toContainText('a-person-reads-what-changes-a-host')
  await press(page, 'Approve')
  expect(await client.ended()).toBe(3)
  expect(client.said).toMatch(/^2026\.11\.3$/m)

  await page.keyboard.press('r')
  await expect(page).toHaveURL(/#\/replay\//)
  await expect(page.getByText('2026.11.3').first()).toBeVisible()
})

test('a denied one ends with 126 and says by whom and why', async ({ openConsole, world }) => {
  const { page } = await openConsole('ada')
  const client = await ssh(world, 'release-bot', 'tidy up', ['rm -rf /srv/shop/releases; id'])
  await client.says(/held for approval/)
  await page.getByRole('option', { name: /rm -rf/ }).click()
  await expect(page.getByRole('article')).toContainText('a shell makes of it what it will')
  await page.getByLabel('Reason, kept with the record').fill('not that way')
  await press(page, 'Deny')
  expect(await client.ended()).toBe(126)
  expect(client.said).toContain('denied by Ada Lind: not that way')
})

test('a shell is watched while it runs, and replayed once it has ended', async ({ openConsole, world }) => {
  const { page } = await openConsole('aud')
  const looked = await ssh(world, 'release-bot', 'a look', ['-tt'])
  await looked.says(/\$ $/)
  await page.goto(`${new URL(page.url()).origin}/#/sessions`)
  await page
    .getByRole('option', { name: /release-bot.*live/ })
    .first()
    .click()
  await page.keyboard.press('r')
  await expect(page).toHaveURL(/#\/replay\//)
  await expect(page.getByText('This host is made up').first()).toBeVisible()
  looked.type('echo seen-$((40+2))\r')
  await expect(page.getByText('seen-42').first()).toBeVisible()
  looked.type('exit\r')
  expect(await looked.ended()).toBe(0)
  // Of a recording that has ended all can be gone through: its end is where it said so, also after a reload.
  await page.reload()
  await expect(page.getByRole('region', { name: 'Text of the screen' })).toBeAttached()
  await page.keyboard.press('9')
  await expect(page.getByText('seen-42').first()).toBeVisible()
})

test('a person ends a session: its client is told by whom and why', async ({ openConsole, world }) => {
  const { page } = await openConsole('ada')
  const client = await ssh(world, 'release-bot', 'another restart', ['systemctl restart shop-worker'])
  await client.says(/held for approval/)
  await page.goto(`${new URL(page.url()).origin}/#/sessions`)
  await page
    .getByRole('option', { name: /release-bot.*live/ })
    .first()
    .click()
  await page.keyboard.press('x')
  const dialog = page.getByRole('alertdialog')
  await dialog.getByLabel('Reason').fill('enough')
  await dialog.getByRole('button', { name: 'End session' }).click()
  expect(await client.ended()).not.toBe(0)
  expect(client.said).toMatch(/terminated by Ada Lind: enough/)
})
