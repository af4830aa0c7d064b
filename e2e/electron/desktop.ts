import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { _electron, type Page } from '@playwright/test'
import { launchDouble } from '../electron-double/launch.ts'

/** The desktop shell as a person meets it: by the real Electron where its binary is, else by the double of its API. */
export interface Desktop extends AsyncDisposable {
  by: 'electron' | 'double'
  page: Page
  /** What the operating system does with a link of ours while the console runs. */
  openLink(link: string): Promise<void>
  close(): Promise<void>
}

const root = join(import.meta.dirname, '..', '..')

/** The real binary, where `install-electron` has put it. */
export function electronBinary(): string | undefined {
  const home = join(root, 'node_modules', 'electron')
  const named = join(home, 'path.txt')
  if (!existsSync(named)) return undefined
  const binary = join(home, 'dist', readFileSync(named, 'utf8').trim())
  return existsSync(binary) ? binary : undefined
}

/** Starts the built desktop shell on a gateway, signed in as `person` of the sample world. */
export async function openDesktop(gateway: string, person: string): Promise<Desktop> {
  if (!existsSync(join(root, 'out/main/main.js'))) throw new Error('The console is not built. Run: npm run build')
  const folder = mkdtempSync(join(tmpdir(), 'countersign-desktop-'))
  const options = [`--countersign-gateway=${gateway}`, '--countersign-sign-in']
  const env = { BROWSER: `"${process.execPath}" "${join(root, 'demo/sign-in.ts')}" --as ${person}` }
  const binary = electronBinary()
  const forget = () => rmSync(folder, { recursive: true, force: true })
  if (!binary) {
    console.warn('Electron’s binary is absent (npx install-electron gets it): its double runs the built shell instead.')
    const double = await launchDouble({ folder, arguments: options, env })
    const close = async () => {
      await double[Symbol.asyncDispose]()
      forget()
    }
    return {
      by: 'double',
      page: double.page,
      openLink: async (link) => void (await double.do('second-instance', ['countersign', link])),
      close,
      [Symbol.asyncDispose]: close,
    }
  }
  const app = await _electron.launch({
    executablePath: binary,
    args: [root, ...options, `--countersign-folder=${folder}`, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
    env: { ...(process.env as Record<string, string>), ...env },
  })
  const close = async () => {
    await app.evaluate(({ app }) => app.quit()).catch(() => {})
    await app.close()
    forget()
  }
  return {
    by: 'electron',
    page: await app.firstWindow(),
    openLink: (link) =>
      app.evaluate(({ app }, link) => void app.emit('second-instance', {}, ['countersign', link]), link),
    close,
    [Symbol.asyncDispose]: close,
  }
}
