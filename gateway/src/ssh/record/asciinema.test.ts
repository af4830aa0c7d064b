/// <reference lib="dom" />
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { PassThrough } from 'node:stream'
import { type Browser, chromium, type Page } from '@playwright/test'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { find, chromium as system } from '../../../../scripts/system.ts'
import { HOST, run, start } from '../testing/clients.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'

/** What real OpenSSH clients did through a real gateway is played by asciinema's own player, in a real Chromium. */

vi.setConfig({ testTimeout: 60_000 })

let world: SshWorld
let browser: Browser
let page: Page
const complaints: string[] = []

beforeAll(async () => {
  world = await startSshWorld()
  const executablePath = find(system)
  browser = await chromium.launch({ args: ['--no-sandbox'], ...(executablePath && { executablePath }) })
  page = await browser.newPage()
  page.on('pageerror', (error) => complaints.push(error.message))
  const { resolve } = createRequire(import.meta.url)
  const bundle = 'asciinema-player/dist/bundle/asciinema-player'
  await page.setContent('<!doctype html><div id="player"></div>')
  await page.addScriptTag({ path: resolve(`${bundle}.min.js`) })
  await page.addStyleTag({ path: resolve(`${bundle}.css`) })
}, 60_000)
afterAll(async () => {
  await browser?.close()
  await world?.[Symbol.asyncDispose]()
})

/** The cast of the newest session's first channel. */
async function newestCast(): Promise<string> {
  const { items } = await world.as<{ items: { id: string }[] }>('aud', '/v1/sessions?limit=1')
  const headers = { authorization: `Bearer ${await world.person('aud')}`, accept: 'application/x-asciicast' }
  const answer = await fetch(`${world.api}/v1/sessions/${items[0]!.id}/recording`, { headers })
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-asciicast'])
  return answer.text()
}

/** Plays it to its end; answers what was on the screen then, and what the player told on the way. */
async function played(cast: string): Promise<{ screen: string; inputs: string; markers: string[] }> {
  return page.evaluate(async (data) => {
    const { AsciinemaPlayer } = window as unknown as { AsciinemaPlayer: { create(...args: unknown[]): Player } }
    interface Player {
      play(): Promise<void>
      dispose(): void
      addEventListener(name: string, heard: (event: { data?: string; label?: string }) => void): void
    }
    const element = document.getElementById('player')!
    const player = AsciinemaPlayer.create({ data }, element, { speed: 20, idleTimeLimit: 0.1, fit: false })
    const inputs: string[] = []
    const markers: string[] = []
    player.addEventListener('input', ({ data }) => inputs.push(data ?? ''))
    player.addEventListener('marker', ({ label }) => markers.push(label ?? ''))
    const ended = new Promise<void>((resolve) => player.addEventListener('ended', () => resolve()))
    await player.play()
    await ended
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
    const screen = element.querySelector('.ap-term')?.textContent ?? ''
    player.dispose()
    return { screen, inputs: inputs.join(''), markers }
  }, cast)
}

it('a shell, with what was typed, a password unseen, more than ASCII', async () => {
  const keyboard = new PassThrough()
  const shell = "PS1='ready> ' TERM=xterm-256color bash --norc -i"
  const child = start(await world.through(), 'ssh', ['-tt', HOST, shell], { input: keyboard })
  let screen = ''
  let heard = () => {}
  child.stdout!.on('data', (chunk: Buffer) => {
    screen += chunk.toString()
    heard()
  })
  const until = (text: string) =>
    new Promise<void>((resolve) => {
      heard = () => {
        const found = screen.indexOf(text)
        if (found === -1) return
        screen = screen.slice(found + text.length)
        resolve()
      }
      heard()
    })
  for (const [shown, typed] of [
    ['ready> ', 'echo gr"ü"n 漢字\r'],
    ['ready> ', 'read -rsp "Pass"": " x; echo\r'],
    ['Pass: ', 'hunter2\r'],
    ['ready> ', 'exit 3\r'],
  ] as const) {
    await until(shown)
    keyboard.write(typed)
  }
  const [code] = await once(child, 'close')
  expect(code).toBe(3)

  const cast = await newestCast()
  expect(cast).not.toContain('hunter2')
  expect(JSON.parse(cast.trimEnd().split('\n').at(-1)!)).toEqual([expect.any(Number), 'x', '3'])
  const { screen: shown, inputs, markers } = await played(cast)
  expect(shown).toContain('ready> echo gr"ü"n 漢字')
  expect(shown).toContain('grün 漢字')
  expect(inputs).toBe('echo gr"ü"n 漢字\rread -rsp "Pass"": " x; echo\rexit 3\r')
  expect(markers).toEqual(['8 bytes typed unseen'])
  expect(complaints).toEqual([])
})

it('a command without a terminal, its lines below each other', async () => {
  const { code } = await run(await world.through(), 'ssh', [HOST, 'echo one; echo two >&2; printf "%s\\n" three'])
  expect(code).toBe(0)
  const { screen } = await played(await newestCast())
  // The player has a row's cells one after another, blanks too.
  const rows = (screen.match(/.{80}/g) ?? []).map((row) => row.trimEnd()).filter((row) => row !== '')
  expect(rows.sort()).toEqual(['one', 'three', 'two'])
  expect(complaints).toEqual([])
})
