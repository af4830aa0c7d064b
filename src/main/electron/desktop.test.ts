/// <reference lib="dom" />
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../demo/issuer.ts'
import { launchDouble, type RunningDouble } from '../../../e2e/electron-double/launch.ts'
import { type SmallGateway, someRecording, startSmallGateway } from '../core/testing/small-gateway.ts'
import { build } from '../testing/build.ts'

let out: string
let issuer: RunningIssuer
let gateway: SmallGateway
let folder: string

beforeAll(async () => {
  out = build('desktop')
  issuer = await startIssuer({ people: [{ subject: 'ada', name: 'Ada', groups: [] }] })
  gateway = await startSmallGateway({ issuer: issuer.url, clientId: issuer.clientId, resource: issuer.resource })
  folder = mkdtempSync(join(tmpdir(), 'countersign-desktop-test-'))
})
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  await issuer?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function signedIn(env: Record<string, string> = {}): Promise<RunningDouble> {
  const double = await launchDouble({ out, folder, env, arguments: [`--countersign-gateway=${gateway.url}`] })
  void double.seen('open-external').then(({ url }) => issuer.completeLogin(url, 'ada'))
  await double.page.evaluate((gateway) => {
    const { countersign } = globalThis as unknown as { countersign: import('../../console-api.ts').ConsoleApi }
    return new Promise<void>((resolve) => {
      const look = (link: { state: string }) => link.state === 'live' && resolve()
      countersign.on((event) => event.type === 'link' && look(event.link))
      void countersign.call('snapshot', {}).then(({ link }) => {
        if (link.state === 'signed-out') void countersign.call('signIn', { gateway })
        else look(link)
      })
    })
  }, gateway.url)
  // The page says once that it is looked at, when it has come up: only then nobody looks.
  await double.page.getByText(/· live$/).waitFor()
  await double.do('blur-window')
  return double
}

describe('the desktop shell, built, on a double of Electron', () => {
  let double: RunningDouble
  beforeAll(async () => {
    double = await signedIn()
  })
  afterAll(() => double?.[Symbol.asyncDispose]())

  test('a held command becomes a native notification, a badge and the tray’s words', async () => {
    gateway.hold({ id: 'ap_1' })
    const shown = await double.seen('notification')
    expect(shown).toMatchObject({ title: 'billing-cleanup waits on orders', body: 'DELETE FROM payments' })
    await double.seen('badge', ({ count }) => count === 1)
    await double.seen('tray', ({ toolTip }) => toolTip === 'Countersign: 1 waits for you')
  })

  /** Away from the queue, which opens its first card by itself. */
  async function goAway(): Promise<void> {
    await double.page.evaluate(() => {
      location.hash = '#/settings'
    })
    await double.page.waitForURL(/#\/settings/)
  }

  test('its click opens the card, also after the garbage was collected', async () => {
    await goAway()
    const { id } = await double.seen('notification')
    await double.do('collect-garbage')
    await double.do('click-notification', id)
    await double.page.waitForURL(/#\/queue\/ap_1$/)
    await double.do('blur-window')
  })

  test('it is withdrawn when somebody else decides, and the count goes down', async () => {
    gateway.hold({
      id: 'ap_2',
      command: { ...gateway.approvals.get('ap_1')!.command, text: 'SELECT 1 < 2 & <b>x</b>' },
    })
    const shown = await double.seen('notification', ({ body }) => body.startsWith('SELECT'))
    if (process.platform === 'linux') expect(shown.body).toBe('SELECT 1 &lt; 2 &amp; &lt;b&gt;x&lt;/b&gt;')
    gateway.close('ap_2', 'denied')
    await double.seen('notification-closed', ({ id }) => id === shown.id)
    gateway.close('ap_1', 'expired')
    await double.seen('tray', ({ toolTip }) => toolTip === 'Countersign: Nothing waits for you')
  })

  test.each([
    ['open-url', (route: string) => route],
    ['second-instance', (route: string) => ['countersign', '--flag', route]],
  ])('a deep link by %s opens the card', async (deed, given) => {
    const id = `ap_${deed.replace('-', '')}`
    gateway.hold({ id })
    await goAway()
    await double.do(deed, given(`countersign://approval/${id}`))
    await double.page.waitForURL(new RegExp(`#/queue/${id}$`))
  })

  test('the page goes nowhere else, opens no window, embeds nothing', async () => {
    const before = double.page.url()
    await double.page.evaluate(() => {
      const link = Object.assign(document.createElement('a'), { href: 'https://evil.example/' })
      document.body.append(link)
      link.click()
    })
    await double.page.evaluate(() => {
      location.href = 'https://countersign.app-scheme.test.evil.example/'
    })
    const opened = await double.page.evaluate(() => {
      const popup = window.open('https://evil.example/')
      return new Promise<boolean>((resolve) => {
        if (!popup) return resolve(false)
        const timer = setInterval(() => {
          if (!popup.closed) return
          clearInterval(timer)
          resolve(false)
        }, 10)
      })
    })
    expect(opened).toBe(false)
    expect(double.page.url()).toBe(before)
    expect(
      double.page
        .context()
        .pages()
        .filter((page) => page.url().includes('evil')),
    ).toEqual([])
  })

  test('it grants no permission but to copy', async () => {
    const states = await double.page.evaluate(async () => {
      const names = ['notifications', 'geolocation', 'microphone', 'clipboard-read']
      const query = (name: string) => navigator.permissions.query({ name: name as PermissionName })
      return Promise.all(names.map(async (name) => (await query(name)).state))
    })
    expect(states).toEqual(['denied', 'denied', 'denied', 'denied'])
  })

  test('nothing outside of the built renderer is served', async () => {
    const statuses = await double.page.evaluate(() =>
      Promise.all(
        ['/..%2fmain/main.js', '/%2e%2e/main/main.js', '/assets/..%5c..%5cmain%5cmain.js', '/x.txt'].map((path) =>
          fetch(path).then((answer) => answer.status),
        ),
      ),
    )
    expect(statuses).toEqual([404, 404, 404, 404])
  })

  test('closing the window leaves it in the tray; the tray brings it back', async () => {
    await double.do('close-window')
    await double.seen('window-hidden')
    const shown = double.events.filter(({ what }) => what === 'window-shown').length
    await double.do('click-tray')
    expect(double.events.filter(({ what }) => what === 'window-shown').length).toBe(shown + 1)
  })

  test('a second start leaves to the first one', async () => {
    await expect(launchDouble({ out, folder })).rejects.toThrow('ended with 0')
  })

  test('a session becomes a PDF: by a window that nobody sees, that runs nothing and is gone afterwards', async () => {
    gateway.open({ id: 'se_paper', state: 'closed', recording: { bytes: 1, complete: true } })
    gateway.recordings.set('se_paper', someRecording('se_paper'))
    const path = join(folder, 'paper.pdf')
    void double.seen('save-dialog').then(({ name }) => {
      expect(name).toBe('countersign-se_paper.pdf')
      return double.do('save-as', path)
    })
    const { state } = await double.page.evaluate(() => {
      const { countersign } = globalThis as unknown as { countersign: import('../../console-api.ts').ConsoleApi }
      return countersign.call('exportSession', { session: 'se_paper', format: 'pdf', work: 'paper' })
    })
    expect(state).toBe('written')
    const pdf = readFileSync(path)
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-')
    expect(pdf.length).toBeGreaterThan(10_000)
    expect(
      double.page
        .context()
        .pages()
        .filter((page) => page.url().includes('/page/')),
    ).toEqual([])
  })

  test('quitting ends it; tokens lie sealed, and the next start goes on signed in', async () => {
    await double.do('quit').catch(() => {})
    expect(await double.exited).toBe(0)
    for (const name of readdirSync(join(folder, 'secrets')))
      expect(readFileSync(join(folder, 'secrets', name)).includes('eyJ')).toBe(false)
    await using again = await signedIn()
    expect(again.events.filter(({ what }) => what === 'open-external')).toEqual([])
  })
})

test('without a keychain (basic_text) nothing secret touches the disk, and the console says so', async () => {
  const own = mkdtempSync(join(tmpdir(), 'countersign-desktop-test-'))
  try {
    await using double = await launchDouble({ out, folder: own, env: { ELECTRON_DOUBLE_KEYCHAIN: 'basic_text' } })
    const secure = await double.page.evaluate(() => {
      const { countersign } = globalThis as unknown as { countersign: import('../../console-api.ts').ConsoleApi }
      return countersign.call('snapshot', {}).then(({ capabilities }) => capabilities.secureStorage)
    })
    expect(secure).toBe(false)
    expect(readdirSync(own)).not.toContain('secrets')
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
})

test('a certificate that can’t be read is said in words', async () => {
  const missing = join(folder, 'no.crt')
  await expect(launchDouble({ out, arguments: [`--countersign-ca=${missing}`] })).rejects.toThrow(
    /Countersign can’t start: The certificate .*no\.crt can't be read \(ENOENT\)\.\n$/,
  )
})
